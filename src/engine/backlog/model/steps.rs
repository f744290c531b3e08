//! What may happen next in a world: the application, the stream, chunks, lanes, a crash. The backlog
//! decides about keys; everything here only plays the world around it.

use super::backlogs::{Backlogs, Call, Done};
use super::world::{
    ChunkPhase, Config, Fault, KEYS, Kind, LanePhase, Mask, Mutation, Owner, RANGES, Rows, Shape,
    World, bit, chunk_owner, first, has, lane_owner,
};
use crate::engine::backlog::{Fate, KeyOrder};

/// A step, as a trace names it.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    Start,
    Visible,
    /// Logged and visible in one go.
    LoggedVisible(Kind),
    Received { key: usize, fate: Option<Fate>, logged: Option<Kind> },
    ReceivedXa { kind: Kind, logged: bool },
    ChunkTargets(usize),
    ChunkClaims(usize),
    ChunkClears(usize),
    ChunkReads(usize),
    ChunkInserts { range: usize, key: usize },
    ChunkRollsBack(usize),
    ChunkGivesUp(usize),
    ChunkCommits(usize),
    ChunkIsNoted(usize),
    LaneTakes { lane: usize, keys: Mask },
    LaneLooksWhatIsPresent(usize),
    LaneDeletes { lane: usize, key: usize },
    LaneReads(usize),
    LaneInserts { lane: usize, key: usize },
    LaneRollsBack(usize),
    LaneReturnsItsBatch(usize),
    LaneMeetsDuplicate(usize),
    LaneAddsWhatIsInTheWay { lane: usize, keys: Mask },
    LaneCommits(usize),
    LaneIsNoted(usize),
    Crash { restart: u8 },
}

/// Where successors go.
pub type Out = Vec<(World, Step)>;

/// A configuration with its backlogs.
pub struct Model {
    pub config: Config,
    pub backlogs: Backlogs,
}

/// What an INSERT of one row met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inserted {
    Done,
    Blocked,
    OwnKey,
    OtherUnique,
}

impl Model {
    pub fn new(config: Config) -> Self {
        Self { config, backlogs: Backlogs::new(config) }
    }

    /// Every content of the source table at the start.
    pub fn initial(&mut self) -> Vec<World> {
        let backlog = self.backlogs.fresh(0);
        let mut worlds = Vec::new();
        for rows in (0..1u8 << (2 * self.config.keys)).map(Rows) {
            let known = (0..self.config.keys).all(|key| rows.at(key) <= self.config.values);
            if !known || !self.is_unique(rows) {
                continue;
            }
            let mut world = World { backlog, crashes: self.config.crashes, stored: 1, ..World::default() };
            world.source[0] = rows;
            worlds.push(world);
            if self.config.hidden_start {
                let behind = self.logs(&world).into_iter().filter(|(_, kind)| *kind == Kind::Plain);
                worlds.extend(behind.map(|(world, _)| World { received: 1, start: 1, stored: 2, ..world }));
            }
        }
        worlds.iter_mut().for_each(World::forget);
        worlds
    }

    /// Whether nothing is left to do.
    pub fn is_final(&self, world: &World) -> bool {
        let facts = self.backlogs.facts(world.backlog);
        world.visible == world.logged
            && world.received == world.logged
            && world.arriving == 0
            && facts.complete
            && facts.held + facts.queued == 0
            && world.lanes.iter().all(|lane| lane.phase == LanePhase::Idle)
            && world.owners == [0; KEYS]
    }

    /// What is wrong with a state, if anything.
    pub fn violation(&self, world: &World) -> Option<&'static str> {
        match world.fault {
            Fault::None => {}
            Fault::ChunkMetRow => return Some("a chunk met a row in its own range"),
            Fault::UpsertMetDuplicate => return Some("an upsert met a duplicate"),
            Fault::PositionAhead => return Some("a batch wrote a position that is not justified"),
        }
        if !self.is_final(world) {
            return None;
        }
        if world.shadow != world.readable() {
            return Some("the shadow differs from the source");
        }
        let passed = self.backlogs.facts(world.backlog).all_passed || world.prepared != 0;
        (!passed).then_some("all is done, but the durable position stays behind")
    }

    /// Everything that may happen next.
    pub fn successors(&mut self, world: &World) -> Out {
        let mut out = Out::new();
        if world.fault != Fault::None {
            return out;
        }
        self.application_and_stream(world, &mut out);
        self.chunks(world, &mut out);
        for lane in 0..self.config.lanes {
            self.lane(world, lane, &mut out);
        }
        self.crash(world, &mut out);
        for (world, _) in &mut out {
            world.stored |= self.unjustified(world);
            world.forget();
        }
        out
    }

    fn call(&mut self, world: &mut World, call: Call) -> Done {
        let done = self.backlogs.call(world.backlog, call);
        world.backlog = done.backlog;
        if let Some(mark) = done.mark {
            world.stored |= 1 << mark;
        }
        done
    }

    // The application. Logging is one step with the first one that can notice it.

    fn application_and_stream(&mut self, world: &World, out: &mut Out) {
        let more = usize::from(world.logged) < self.config.entries;
        let logs = if more { self.logs(world) } else { Vec::new() };
        if world.visible < world.logged {
            out.push((World { visible: world.visible + 1, ..*world }, Step::Visible));
        } else {
            let shown = |(world, kind): &(World, Kind)| {
                (World { visible: world.visible + 1, ..*world }, Step::LoggedVisible(*kind))
            };
            out.extend(logs.iter().map(shown));
        }
        if world.received < world.logged {
            self.stream(world, None, out);
        } else {
            for (world, kind) in &logs {
                self.stream(world, Some(*kind), out);
            }
        }
    }

    /// Every transaction that the application may log next.
    fn logs(&self, world: &World) -> Vec<(World, Kind)> {
        let mut logs = Vec::new();
        for (rows, keys) in self.writes(world) {
            self.log(world, (rows, keys), &mut logs);
        }
        if world.prepared != 0 {
            let now = world.source[usize::from(world.logged)];
            let rows = with_prepared(world, now);
            logs.push((entry(world, rows, 0, Kind::Commit), Kind::Commit));
            logs.push((entry(world, now, 0, Kind::RollBack), Kind::RollBack));
        }
        logs
    }

    fn log(&self, world: &World, (rows, keys): (Rows, Mask), logs: &mut Vec<(World, Kind)>) {
        let prepared = with_prepared(world, rows);
        let waits = keys & world.prepared != 0 || self.waits_for_invisible(world, rows, keys);
        if waits || !self.is_unique(rows) || !self.is_unique(prepared) {
            return;
        }
        logs.push((entry(world, rows, keys, Kind::Plain), Kind::Plain));
        if self.config.xa && world.prepared == 0 {
            logs.push((entry(world, rows, keys, Kind::Prepare), Kind::Prepare));
        }
    }

    /// Inserts, deletes, updates, swaps of two values, moves of a row to another key.
    fn writes(&self, world: &World) -> Vec<(Rows, Mask)> {
        let rows = world.source[usize::from(world.logged)];
        let mut writes = Vec::new();
        for key in 0..self.config.keys {
            let old = rows.at(key);
            let values = (0..=self.config.values).filter(|value| *value != old);
            writes.extend(values.map(|value| (rows.with(key, value), bit(key))));
            for other in (0..self.config.keys).filter(|other| *other != key) {
                let second = rows.at(other);
                let both = bit(key) | bit(other);
                if old != 0 && (second == 0 || (second != old && key < other)) {
                    writes.push((rows.with(key, second).with(other, old), both));
                }
            }
        }
        writes
    }

    /// Whether a row lock of a transaction that is logged and not yet visible is in the way.
    fn waits_for_invisible(&self, world: &World, rows: Rows, keys: Mask) -> bool {
        (usize::from(world.visible)..usize::from(world.logged)).any(|index| {
            let (before, after) = (world.source[index], world.source[index + 1]);
            (0..self.config.keys).filter(|key| before.at(*key) != after.at(*key)).any(|key| {
                let bears = |other: usize| {
                    let value = rows.at(other);
                    value != 0 && (value == before.at(key) || value == after.at(key))
                };
                let others = (0..self.config.keys).filter(|other| *other != key);
                has(keys, key)
                    || (self.config.unique
                        && others.into_iter().any(|other| has(keys, other) && bears(other)))
            })
        })
    }

    fn is_unique(&self, rows: Rows) -> bool {
        let values: Vec<u8> =
            (0..self.config.keys).map(|key| rows.at(key)).filter(|value| *value != 0).collect();
        let twice = |(index, value): (usize, &u8)| values[..index].contains(value);
        !self.config.unique || !values.iter().enumerate().any(twice)
    }

    // The stream: transactions in log order, key by key.

    fn stream(&mut self, world: &World, logged: Option<Kind>, out: &mut Out) {
        let index = usize::from(world.received);
        let early = self.config.has(Mutation::XaAtPrepare);
        let kind = world.kinds[index];
        if kind == Kind::Plain || (early && kind == Kind::Prepare) {
            let keys = if world.arriving == 0 { world.keys[index] } else { world.arriving };
            for key in (0..self.config.keys).filter(|key| has(keys, *key)) {
                self.receive(world, keys, (key, logged), out);
            }
            return;
        }
        let mut next = *world;
        let (seq, mark) = arriving(world);
        self.call(&mut next, Call::Begin);
        let keys = world.keys[index];
        let call = match kind {
            _ if early => Call::End { seq, mark },
            Kind::Prepare => Call::PrepareXa { keys, seq, mark },
            Kind::Commit => Call::CommitXa { seq, mark },
            Kind::RollBack | Kind::Plain => Call::RollBackXa { seq, mark },
        };
        self.call(&mut next, call);
        next.received += 1;
        out.push((next, Step::ReceivedXa { kind, logged: logged.is_some() }));
    }

    fn receive(
        &mut self,
        world: &World,
        keys: Mask,
        (key, logged): (usize, Option<Kind>),
        out: &mut Out,
    ) {
        let mut next = *world;
        let (seq, mark) = arriving(world);
        if world.arriving == 0 {
            self.call(&mut next, Call::Begin);
        }
        let running = self.backlogs.facts(world.backlog).running;
        let merged = self.config.has(Mutation::MergeIntoRunning) && has(running, key);
        let fate = if merged { None } else { self.call(&mut next, Call::Receive { key, seq }).fate };
        next.arriving = keys & !bit(key);
        if next.arriving == 0 {
            self.call(&mut next, Call::End { seq, mark });
            next.received += 1;
        }
        let step = Step::Received { key, fate, logged };
        out.push((next, step));
        if self.config.has(Mutation::TwoLanes) && fate == Some(Fate::Queued) {
            self.call(&mut next, Call::ChangeLane { key });
            out.push((next, step));
        }
    }

    /// What a gate that begins now waits for.
    fn target(&self, world: &World) -> u8 {
        let begun = world.begun();
        if self.config.has(Mutation::StartGate) && begun <= world.start { 0 } else { begun }
    }

    fn chunk_target(&self, world: &World) -> u8 {
        if self.config.has(Mutation::ChunkGate) { 0 } else { self.target(world) }
    }

    fn lane_target(&self, world: &World) -> u8 {
        if self.config.has(Mutation::LaneGate) { 0 } else { self.target(world) }
    }

    // Chunks.

    fn chunks(&mut self, world: &World, out: &mut Out) {
        let busy = world.chunks.iter().filter(|chunk| chunk.phase != ChunkPhase::None).count();
        let next = self.backlogs.facts(world.backlog).next_range;
        for range in 0..RANGES {
            match world.chunks[range].phase {
                ChunkPhase::None if next == Some(range) && busy < self.config.in_flight => {
                    self.claim(world, range, out);
                }
                ChunkPhase::None => {}
                ChunkPhase::Targeted => {
                    let mut world = *world;
                    self.call(&mut world, Call::Claim { range });
                    world.chunks[range].phase = ChunkPhase::Claimed;
                    out.push((world, Step::ChunkClaims(range)));
                }
                ChunkPhase::Claimed => self.chunk_begins(world, range, out),
                ChunkPhase::Cleared => self.chunk_reads(*world, range, out),
                ChunkPhase::Open => self.chunk_goes_on(world, range, out),
                ChunkPhase::Committed => {
                    self.note_chunk(*world, range, Step::ChunkIsNoted(range), out);
                }
            }
        }
    }

    fn claim(&mut self, world: &World, range: usize, out: &mut Out) {
        let mut world = *world;
        world.chunks[range].target = self.chunk_target(&world);
        if self.config.has(Mutation::EarlyTarget) {
            world.chunks[range].phase = ChunkPhase::Targeted;
            out.push((world, Step::ChunkTargets(range)));
        } else {
            self.call(&mut world, Call::Claim { range });
            world.chunks[range].phase = ChunkPhase::Claimed;
            out.push((world, Step::ChunkClaims(range)));
        }
    }

    fn chunk_begins(&self, world: &World, range: usize, out: &mut Out) {
        let owner = chunk_owner(range);
        if world.visible < world.chunks[range].target {
            return;
        }
        if !world.chunks[range].clear {
            self.chunk_reads(*world, range, out);
        } else if !self.config.keys_of_range(range).any(|key| world.is_locked(key, owner)) {
            let mut next = *world;
            for key in self.config.keys_of_range(range).filter(|key| world.shadow.at(*key) != 0) {
                next.write(key, owner, 0);
            }
            next.chunks[range].phase = ChunkPhase::Cleared;
            out.push((next, Step::ChunkClears(range)));
        }
    }

    fn chunk_reads(&self, mut world: World, range: usize, out: &mut Out) {
        let mask = self.config.keys_of_range(range).fold(0, |mask, key| mask | bit(key));
        world.chunks[range].rows = world.readable().only(mask);
        world.chunks[range].phase = ChunkPhase::Open;
        out.push((world, Step::ChunkReads(range)));
    }

    fn chunk_goes_on(&mut self, world: &World, range: usize, out: &mut Out) {
        let rows = world.chunks[range].rows;
        let mut next = *world;
        let Some(key) = first(rows.keys()) else {
            next.commit(chunk_owner(range));
            next.finished |= 1 << range;
            if self.config.late {
                next.chunks[range].phase = ChunkPhase::Committed;
                out.push((next, Step::ChunkCommits(range)));
            } else {
                self.note_chunk(next, range, Step::ChunkCommits(range), out);
            }
            return;
        };
        let skips = self.config.has(Mutation::SkipEarlyRows);
        match self.insert(&mut next, chunk_owner(range), (key, rows.at(key))) {
            Inserted::Done => {}
            Inserted::OwnKey if skips => next = *world,
            failed => return self.chunk_fails(world, range, failed, out),
        }
        next.chunks[range].rows = rows.with(key, 0);
        out.push((next, Step::ChunkInserts { range, key }));
    }

    fn note_chunk(&mut self, mut world: World, range: usize, step: Step, out: &mut Out) {
        self.call(&mut world, Call::Finish { range });
        world.chunks[range] = Default::default();
        out.push((world, step));
    }

    fn chunk_fails(&mut self, world: &World, range: usize, failed: Inserted, out: &mut Out) {
        let mut world = *world;
        world.roll_back(chunk_owner(range));
        if failed == Inserted::OtherUnique {
            self.call(&mut world, Call::GiveUp { range });
            world.chunks[range] = Default::default();
            return out.push((world, Step::ChunkGivesUp(range)));
        }
        let ordered = self.config.order == KeyOrder::Ours;
        let target = self.chunk_target(&world);
        let chunk = &mut world.chunks[range];
        chunk.phase = ChunkPhase::Claimed;
        chunk.rows = Rows(0);
        chunk.target = target;
        if failed == Inserted::OwnKey {
            chunk.clear = true;
            if ordered && self.config.asserts {
                world.fault = Fault::ChunkMetRow;
            }
        }
        out.push((world, Step::ChunkRollsBack(range)));
    }

    fn insert(&self, world: &mut World, owner: Owner, (key, value): (usize, u8)) -> Inserted {
        if world.is_locked(key, owner) {
            return Inserted::Blocked;
        }
        if world.row(key, owner) != 0 {
            return Inserted::OwnKey;
        }
        if let Some(met) = self.meets_unique(world, owner, (key, value)) {
            return met;
        }
        world.write(key, owner, value);
        Inserted::Done
    }

    fn meets_unique(&self, world: &World, owner: Owner, row: (usize, u8)) -> Option<Inserted> {
        let (key, value) = row;
        let others = (0..self.config.keys).filter(|other| self.config.unique && *other != key);
        let mut met = None;
        for other in others {
            if world.is_locked(other, owner) {
                if world.shadow.at(other) == value || world.locked.at(other) == value {
                    return Some(Inserted::Blocked);
                }
            } else if world.row(other, owner) == value {
                met = Some(Inserted::OtherUnique);
            }
        }
        met
    }

    // Lanes.

    fn lane(&mut self, world: &World, lane: usize, out: &mut Out) {
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
                state.phase =
                    if state.delete == 0 { LanePhase::Read } else { LanePhase::Delete };
                out.push((world, Step::LaneLooksWhatIsPresent(lane)));
            }
            Shape::DeleteInsert => {
                state.phase = LanePhase::Delete;
                self.lane_deletes(&world, lane, out);
            }
        }
    }

    fn lane_deletes(&self, world: &World, lane: usize, out: &mut Out) {
        let Some(key) = first(world.lanes[lane].delete) else { return };
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
        let Some(key) = first(rows.keys()) else { return self.commit_batch(*world, lane, out) };
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

    // Crash and restart.

    fn crash(&mut self, world: &World, out: &mut Out) {
        if world.crashes == 0 {
            return;
        }
        for restart in (0..=world.logged).filter(|mark| world.stored & (1 << mark) != 0) {
            let mut next = *world;
            for owner in 1..=lane_owner(self.config.lanes) {
                next.roll_back(owner);
            }
            next.crashes -= 1;
            next.received = restart;
            next.arriving = 0;
            next.start = restart;
            next.stored = 1 << restart;
            next.chunks = Default::default();
            next.lanes = Default::default();
            next.backlog = self.backlogs.fresh(world.finished);
            out.push((next, Step::Crash { restart }));
        }
    }

    /// A later position that a broken driver would have stored.
    fn unjustified(&self, world: &World) -> u8 {
        let arrived = world.received + u8::from(self.config.has(Mutation::CountArriving) && world.arriving != 0);
        let ignores = [
            Mutation::IgnoreHeld,
            Mutation::IgnoreQueued,
            Mutation::IgnoreRunning,
            Mutation::CountArriving,
        ];
        if !ignores.iter().any(|mutation| self.config.has(*mutation)) {
            return 0;
        }
        let oldest = self.backlogs.facts(world.backlog).oldest_counted;
        1 << oldest.map_or(arrived, |seq| arrived.min(world.start + seq as u8 - 1))
    }
}

/// Number and mark of the entry that arrives.
fn arriving(world: &World) -> (u64, u8) {
    (u64::from(world.received - world.start) + 1, world.received + 1)
}

fn with_prepared(world: &World, rows: Rows) -> Rows {
    (0..KEYS).filter(|key| has(world.prepared, *key)).fold(rows, |rows, key| {
        rows.with(key, world.prepared_rows.at(key))
    })
}

fn entry(world: &World, rows: Rows, keys: Mask, kind: Kind) -> World {
    let mut next = *world;
    let index = usize::from(world.logged);
    next.logged += 1;
    next.keys[index] = keys;
    next.kinds[index] = kind;
    next.source[index + 1] = if kind == Kind::Prepare { world.source[index] } else { rows };
    (next.prepared, next.prepared_rows) = match kind {
        Kind::Plain => (world.prepared, world.prepared_rows),
        Kind::Prepare => (keys, rows.only(keys)),
        Kind::Commit | Kind::RollBack => (0, Rows(0)),
    };
    next
}

/// `ON DUPLICATE KEY UPDATE` updates the row that bears the value; it bears it already.
fn update_other(world: &mut World, owner: Owner, (key, value): (usize, u8)) -> bool {
    let other = (0..KEYS).find(|other| *other != key && world.row(*other, owner) == value);
    if let Some(other) = other {
        world.write(other, owner, value);
    }
    other.is_some()
}
