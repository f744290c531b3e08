//! Lanes: a batch, through the gate, the statements of its shape key by key, commit or not.

use super::insert::Inserted;
use super::{Model, Out, Step};
use crate::engine::backlog::model::backlogs::Call;
use crate::engine::backlog::model::world::{
    Fault, KEYS, LanePhase, Mutation, Owner, Rows, Shape, World, bit, first, has, lane_owner,
};

impl Model {
    pub(super) fn lane(&mut self, world: &World, lane: usize, out: &mut Out) {
        match world.lanes[lane].phase {
            LanePhase::Idle => self.take(world, lane, out),
            LanePhase::Gate if world.visible >= world.lanes[lane].target => {
                self.lane_begins(*world, lane, out);
            }
            LanePhase::Gate => {}
            LanePhase::Delete => self.lane_deletes(world, lane, out),
            LanePhase::Read => self.lane_reads(*world, lane, LanePhase::Insert, out),
            LanePhase::Insert => self.lane_goes_on(world, lane, out),
            LanePhase::Look => self.look(world, lane, out),
            LanePhase::Committed => self.note_batch(*world, lane, Step::LaneIsNoted(lane), out),
        }
    }

    fn take(&mut self, world: &World, lane: usize, out: &mut Out) {
        for limit in self.config.limits {
            let mut next = *world;
            let keys = self.call(&mut next, Call::Take { lane, limit: *limit }).keys;
            if keys != 0 {
                next.lanes[lane].batch = keys;
                next.lanes[lane].phase = LanePhase::Gate;
                next.lanes[lane].target = self.lane_target(world);
                out.push((next, Step::LaneTakes { lane, keys }));
            }
        }
    }

    /// The first statement behind the gate.
    fn lane_begins(&self, mut world: World, lane: usize, out: &mut Out) {
        let present = world.readable().keys();
        let state = &mut world.lanes[lane];
        match self.config.shape {
            Shape::Upsert => state.delete = state.batch & !present,
            Shape::DeleteInsert => state.delete = state.batch,
        }
        if self.config.has(Mutation::ReadFirst) {
            return self.lane_reads(world, lane, LanePhase::Delete, out);
        }
        match self.config.shape {
            Shape::Upsert => {
                state.phase = if state.delete == 0 { LanePhase::Read } else { LanePhase::Delete };
                out.push((world, Step::LaneLooksWhatIsPresent(lane)));
            }
            Shape::DeleteInsert => {
                state.phase = LanePhase::Delete;
                self.lane_deletes(&world, lane, out);
            }
        }
    }

    fn lane_deletes(&self, world: &World, lane: usize, out: &mut Out) {
        let Some(key) = first(world.lanes[lane].delete) else {
            return;
        };
        let owner = lane_owner(lane);
        if world.is_locked(key, owner) {
            return self.lane_is_victim(world, lane, out);
        }
        let mut next = *world;
        if world.row(key, owner) != 0 {
            next.write(key, owner, 0);
        }
        let state = &mut next.lanes[lane];
        state.delete &= !bit(key);
        state.phase = match (state.delete, self.config.has(Mutation::ReadFirst)) {
            (0, true) => LanePhase::Insert,
            (0, false) => LanePhase::Read,
            _ => LanePhase::Delete,
        };
        out.push((next, Step::LaneDeletes { lane, key }));
    }

    fn lane_reads(&self, mut world: World, lane: usize, then: LanePhase, out: &mut Out) {
        let rows = world.readable().only(world.lanes[lane].batch);
        world.lanes[lane].rows = rows;
        world.lanes[lane].phase = then;
        if rows == Rows(0) && then == LanePhase::Insert {
            self.put_position(&mut world, lane);
        }
        out.push((world, Step::LaneReads(lane)));
    }

    fn lane_goes_on(&mut self, world: &World, lane: usize, out: &mut Out) {
        let rows = world.lanes[lane].rows;
        let Some(key) = first(rows.keys()) else {
            return self.commit_batch(*world, lane, out);
        };
        let owner = lane_owner(lane);
        let mut next = *world;
        let row = (key, rows.at(key));
        let done = match (self.insert(&mut next, owner, row), self.config.shape) {
            (Inserted::Done, _) => true,
            (Inserted::Blocked, _) => return self.lane_is_victim(world, lane, out),
            (Inserted::OwnKey, Shape::Upsert) => self.overwrite(&mut next, owner, row),
            (Inserted::OtherUnique, Shape::Upsert) => update_other(&mut next, owner, row),
            (_, Shape::DeleteInsert) => false,
        };
        if !done {
            return self.lane_meets_duplicate(world, lane, out);
        }
        next.lanes[lane].rows = rows.with(key, 0);
        if next.lanes[lane].rows == Rows(0) {
            self.put_position(&mut next, lane);
        }
        out.push((next, Step::LaneInserts { lane, key }));
    }

    /// The update part of an upsert that met its own key; false when another unique value is in the way.
    fn overwrite(&self, world: &mut World, owner: Owner, row: (usize, u8)) -> bool {
        let free = self.meets_unique(world, owner, row).is_none();
        if free {
            world.write(row.0, owner, row.1);
        }
        free
    }

    fn lane_meets_duplicate(&self, world: &World, lane: usize, out: &mut Out) {
        let mut world = *world;
        world.roll_back(lane_owner(lane));
        let batch = world.lanes[lane].batch;
        world.lanes[lane] = Default::default();
        world.lanes[lane].batch = batch;
        world.lanes[lane].phase = LanePhase::Look;
        if self.config.shape == Shape::Upsert {
            world.lanes[lane].phase = LanePhase::Gate;
            world.lanes[lane].target = self.lane_target(&world);
            if !self.config.unique {
                world.fault = Fault::UpsertMetDuplicate;
            }
        }
        out.push((world, Step::LaneMeetsDuplicate(lane)));
    }

    fn lane_is_victim(&self, world: &World, lane: usize, out: &mut Out) {
        let mut world = *world;
        world.roll_back(lane_owner(lane));
        let batch = world.lanes[lane].batch;
        world.lanes[lane] = Default::default();
        world.lanes[lane].batch = batch;
        world.lanes[lane].phase = LanePhase::Gate;
        world.lanes[lane].target = self.lane_target(&world);
        out.push((world, Step::LaneRollsBack(lane)));
    }

    /// Adds the keys of the shadow's rows that bear a value which the batch needs.
    fn look(&mut self, world: &World, lane: usize, out: &mut Out) {
        let mut next = *world;
        let batch = world.lanes[lane].batch;
        let wanted = world.readable().only(batch);
        let bears = |key: usize| {
            let value = world.shadow.at(key);
            value != 0 && (0..KEYS).any(|other| other != key && wanted.at(other) == value)
        };
        let others = (0..self.config.keys).filter(|key| !has(batch, *key) && bears(*key));
        let keys = others.fold(0, |mask, key| mask | bit(key));
        if keys != 0 {
            self.call(&mut next, Call::Extend { lane, keys });
        }
        next.lanes[lane].batch |= keys;
        next.lanes[lane].phase = LanePhase::Gate;
        if !self.config.has(Mutation::RetryGate) {
            next.lanes[lane].target = self.lane_target(world);
        }
        out.push((next, Step::LaneAddsWhatIsInTheWay { lane, keys }));
    }

    /// The position that is written in the transaction of the batch.
    fn put_position(&self, world: &mut World, lane: usize) {
        if world.crashes > 0 {
            world.lanes[lane].position = self.backlogs.facts(world.backlog).with_lane[lane];
        }
    }

    fn commit_batch(&mut self, mut world: World, lane: usize, out: &mut Out) {
        if self.config.returns {
            let mut returned = world;
            returned.roll_back(lane_owner(lane));
            self.call(&mut returned, Call::Return { lane });
            returned.lanes[lane] = Default::default();
            out.push((returned, Step::LaneReturnsItsBatch(lane)));
        }
        world.commit(lane_owner(lane));
        let position = world.lanes[lane].position;
        if position != 0 {
            let justified = world.stored | 1 << self.backlogs.facts(world.backlog).with_lane[lane];
            if justified >> position == 0 {
                world.fault = Fault::PositionAhead;
            }
            world.stored |= 1 << position;
        }
        if self.config.late {
            world.lanes[lane].phase = LanePhase::Committed;
            out.push((world, Step::LaneCommits(lane)));
        } else {
            self.note_batch(world, lane, Step::LaneCommits(lane), out);
        }
    }

    fn note_batch(&mut self, mut world: World, lane: usize, step: Step, out: &mut Out) {
        self.call(&mut world, Call::Commit { lane });
        world.lanes[lane] = Default::default();
        out.push((world, step));
    }
}

/// `ON DUPLICATE KEY UPDATE` updates the row that bears the value; it bears it already.
fn update_other(world: &mut World, owner: Owner, (key, value): (usize, u8)) -> bool {
    let other = (0..KEYS).find(|other| *other != key && world.row(*other, owner) == value);
    if let Some(other) = other {
        world.write(other, owner, value);
    }
    other.is_some()
}
