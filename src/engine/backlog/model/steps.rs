//! What may happen next in a world: the application, the stream, a crash; chunks and lanes below. The backlog
//! decides about keys; everything here only plays the world around it.

mod chunk;
mod insert;
mod lane;

use super::backlogs::{Backlogs, Call, Done};
use super::world::{
    Config, Fault, KEYS, Kind, LanePhase, Mask, Mutation, Rows, World, bit, has, lane_owner,
};
use crate::engine::backlog::{Fate, KeyOrder};

/// A step, as a trace names it.
#[expect(dead_code, reason = "traces show the fields through Debug")]
#[derive(Clone, Copy, Debug)]
pub enum Step {
    Start,
    Visible,
    /// Logged and visible in one go.
    LoggedVisible(Kind),
    Received {
        key: usize,
        fate: Option<Fate>,
        logged: Option<Kind>,
    },
    ReceivedXa {
        kind: Kind,
        logged: bool,
    },
    ChunkTargets(usize),
    ChunkClaims(usize),
    ChunkClears(usize),
    ChunkReads(usize),
    ChunkInserts {
        range: usize,
        key: usize,
    },
    ChunkRollsBack(usize),
    ChunkGivesUp(usize),
    ChunkCommits(usize),
    ChunkIsNoted(usize),
    LaneTakes {
        lane: usize,
        keys: Mask,
    },
    LaneLooksWhatIsPresent(usize),
    LaneDeletes {
        lane: usize,
        key: usize,
    },
    LaneReads(usize),
    LaneInserts {
        lane: usize,
        key: usize,
    },
    LaneRollsBack(usize),
    LaneReturnsItsBatch(usize),
    LaneMeetsDuplicate(usize),
    LaneAddsWhatIsInTheWay {
        lane: usize,
        keys: Mask,
    },
    LaneCommits(usize),
    LaneIsNoted(usize),
    Crash {
        restart: u8,
    },
}

/// Where successors go.
pub type Out = Vec<(World, Step)>;

/// A configuration with its backlogs.
pub struct Model {
    pub config: Config,
    pub backlogs: Backlogs,
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
            let mut world =
                World { backlog, crashes: self.config.crashes, stored: 1, ..World::default() };
            world.source[0] = rows;
            worlds.push(world);
            if self.config.hidden_start {
                let behind = self.logs(&world).into_iter().filter(|(_, kind)| *kind == Kind::Plain);
                worlds.extend(behind.map(|(world, _)| World {
                    received: 1,
                    start: 1,
                    stored: 2,
                    ..world
                }));
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
        if kind == Kind::Prepare && self.config.has(Mutation::InsideXaSpan) {
            next.stored |= 1 << mark;
        }
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
        let fate =
            if merged { None } else { self.call(&mut next, Call::Receive { key, seq }).fate };
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
            next.finished = self.known_after_restart(world.finished);
            next.backlog = self.backlogs.fresh(next.finished);
            out.push((next, Step::Crash { restart }));
        }
    }

    /// Of text keys only the finished ranges in front of the first gap can be put in order.
    fn known_after_restart(&self, finished: u8) -> u8 {
        match self.config.order {
            KeyOrder::Ours => finished,
            KeyOrder::Server => (1 << finished.trailing_ones()) - 1,
        }
    }

    /// A later position that a broken driver would have stored.
    fn unjustified(&self, world: &World) -> u8 {
        let arrived = world.received
            + u8::from(self.config.has(Mutation::CountArriving) && world.arriving != 0);
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
    (0..KEYS)
        .filter(|key| has(world.prepared, *key))
        .fold(rows, |rows, key| rows.with(key, world.prepared_rows.at(key)))
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
