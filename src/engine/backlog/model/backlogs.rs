//! The engine's own backlog as the explorer uses it: each distinct one is kept once under a number, and
//! what a call made of it is remembered. Every change goes through the public functions of
//! [`Backlog`]; positions advance after each of them.

use std::collections::HashMap;

use super::world::{Config, Mask, Mutation, bit, has};
use crate::engine::backlog::claims::{Claims, FinishedRow, Range};
use crate::engine::backlog::{Backlog, Fate, KeyOrder, insert_lowest};
use crate::schema::key::Key;

/// A call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    Begin,
    Receive {
        key: usize,
        seq: u64,
    },
    End {
        seq: u64,
        mark: u8,
    },
    PrepareXa {
        keys: Mask,
        seq: u64,
        mark: u8,
    },
    CommitXa {
        seq: u64,
        mark: u8,
    },
    RollBackXa {
        seq: u64,
        mark: u8,
    },
    Claim {
        range: usize,
    },
    Finish {
        range: usize,
    },
    GiveUp {
        range: usize,
    },
    Take {
        lane: usize,
        limit: usize,
    },
    Extend {
        lane: usize,
        keys: Mask,
    },
    Commit {
        lane: usize,
    },
    Return {
        lane: usize,
    },
    /// Only a broken driver does this: a queued key changes to the other lane.
    ChangeLane {
        key: usize,
    },
}

/// What a call led to.
#[derive(Clone, Copy, Debug)]
pub struct Done {
    pub backlog: u32,
    /// The durable position, when it moved.
    pub mark: Option<u8>,
    pub fate: Option<Fate>,
    /// Keys that came out.
    pub keys: Mask,
}

/// What is asked about a backlog, computed once.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// The range that would be claimed next.
    pub next_range: Option<usize>,
    pub complete: bool,
    pub held: usize,
    pub queued: usize,
    pub running: Mask,
    /// The durable position if the running batch of each lane committed; 0 when it would not move.
    pub with_lane: [u8; 2],
    /// Whether a transaction that ends now would be durable at once: nothing before it is pending.
    pub all_passed: bool,
    /// The oldest transaction with a key that the broken restart position does not ignore.
    pub oldest_counted: Option<u64>,
}

/// All distinct backlogs met.
pub struct Backlogs {
    config: Config,
    keys: Vec<Key>,
    all: Vec<(Backlog<u8>, Facts)>,
    known: HashMap<Backlog<u8>, u32>,
    done: HashMap<(u32, Call), Done>,
}

impl Backlogs {
    pub fn new(config: Config) -> Self {
        let keys = (0..config.keys).map(|key| key_in_lane(&config, key)).collect();
        Self { config, keys, all: Vec::new(), known: HashMap::new(), done: HashMap::new() }
    }

    pub fn count(&self) -> usize {
        self.all.len()
    }

    pub fn facts(&self, backlog: u32) -> Facts {
        self.all[backlog as usize].1
    }

    /// An empty backlog over these finished ranges.
    pub fn fresh(&mut self, finished: u8) -> u32 {
        let ranges = (0..=self.config.last_range()).filter(|range| finished & (1 << range) != 0);
        let rows = ranges.map(|range| {
            let lower = range.checked_sub(1).and_then(|before| self.upper(before));
            let row = FinishedRow { id: range as u64 + 1, rows: 0 };
            (Range { lower, upper: self.upper(range) }, row)
        });
        let claims = Claims::resume(rows.collect());
        self.keep(Backlog::new(self.config.order, self.config.lanes, claims))
    }

    /// Makes a call, then lets the durable position advance.
    pub fn call(&mut self, backlog: u32, call: Call) -> Done {
        if let Some(done) = self.done.get(&(backlog, call)) {
            return *done;
        }
        let mut after = self.all[backlog as usize].0.clone();
        let (fate, keys) = self.make(&mut after, call);
        let mark = after.advance().pop();
        number_chunks_by_place(&mut after);
        let done = Done { backlog: self.keep(after), mark, fate, keys };
        self.done.insert((backlog, call), done);
        done
    }

    fn make(&self, backlog: &mut Backlog<u8>, call: Call) -> (Option<Fate>, Mask) {
        let xid = "xid";
        let mut fate = None;
        let mut keys = 0;
        match call {
            Call::Begin => drop(backlog.begin()),
            Call::Receive { key, seq } => fate = Some(backlog.receive(self.keys[key].clone(), seq)),
            Call::End { seq, mark } => backlog.end(seq, mark),
            Call::PrepareXa { keys, seq, mark } => {
                backlog.prepare_xa(xid.to_owned(), self.list(keys), seq, mark);
            }
            Call::CommitXa { seq, mark } => backlog.commit_xa(xid, seq, mark),
            Call::RollBackXa { seq, mark } => backlog.roll_back_xa(xid, seq, mark),
            Call::Claim { range } => drop(backlog.claim(self.upper(range))),
            Call::Finish { range } => {
                backlog.finish_chunk(self.chunk(backlog, range), range as u64 + 1, 0);
            }
            Call::GiveUp { range } => backlog.give_up_chunk(self.chunk(backlog, range)),
            Call::Take { lane, limit } => keys = self.mask(&backlog.take_batch(lane, limit)),
            Call::Extend { lane, keys } => backlog.extend_batch(lane, &self.list(keys)),
            Call::Commit { lane } => backlog.commit_batch(lane),
            Call::Return { lane } => backlog.return_batch(lane),
            Call::ChangeLane { key } => change_lane(backlog, &self.keys[key]),
        }
        (fate, keys)
    }

    fn keep(&mut self, backlog: Backlog<u8>) -> u32 {
        if let Some(number) = self.known.get(&backlog) {
            return *number;
        }
        let number = u32::try_from(self.all.len()).unwrap();
        let facts = self.look(&backlog);
        self.known.insert(backlog.clone(), number);
        self.all.push((backlog, facts));
        number
    }

    fn look(&self, backlog: &Backlog<u8>) -> Facts {
        let next = backlog.claims().next_unclaimed();
        let mut probe = backlog.clone();
        let seq = probe.begin();
        probe.end(seq, u8::MAX);
        let with = |lane| backlog.advance_with(lane).last().copied().unwrap_or(0);
        let running = backlog.lanes.iter().flat_map(|lane| lane.running.keys());
        let running: Vec<Key> = running.cloned().collect();
        Facts {
            next_range: next.map(|range| self.range_behind(range.lower.as_ref())),
            complete: backlog.claims().is_complete(),
            held: backlog.held(),
            queued: backlog.queued(),
            running: self.mask(&running),
            with_lane: [with(0), with(1)],
            all_passed: probe.advance() == [u8::MAX],
            oldest_counted: self.oldest_counted(backlog),
        }
    }

    /// The chunk that copies this range: chunks in flight are numbered in key order.
    fn chunk(&self, backlog: &Backlog<u8>, range: usize) -> u64 {
        let lower = range.checked_sub(1).and_then(|before| self.upper(before));
        let chunks = backlog.claims().in_flight().into_iter();
        let mut own =
            chunks.filter(|chunk| backlog.claims().chunk_range(*chunk).unwrap().lower == lower);
        own.next().expect("a chunk in flight")
    }

    fn range_behind(&self, lower: Option<&Key>) -> usize {
        let Some(lower) = lower else { return 0 };
        let key = self.keys.iter().position(|key| key == lower).expect("a bound is a key");
        self.config.ranges[key] + 1
    }

    fn upper(&self, range: usize) -> Option<Key> {
        if range == self.config.last_range() {
            return None;
        }
        self.config.keys_of_range(range).last().map(|key| self.keys[key].clone())
    }

    fn list(&self, mask: Mask) -> Vec<Key> {
        (0..self.keys.len())
            .filter(|key| has(mask, *key))
            .map(|key| self.keys[key].clone())
            .collect()
    }

    fn mask(&self, keys: &[Key]) -> Mask {
        let number = |key: &Key| self.keys.iter().position(|known| known == key).unwrap();
        keys.iter().fold(0, |mask, key| mask | bit(number(key)))
    }

    fn oldest_counted(&self, backlog: &Backlog<u8>) -> Option<u64> {
        let held = backlog.holds.iter().flat_map(|hold| hold.keys.values().copied());
        let queued = backlog.lanes.iter().flat_map(|lane| lane.queue.values().copied());
        let running = backlog.lanes.iter().flat_map(|lane| lane.running.values().copied());
        let counts = |mutation| !self.config.has(mutation);
        held.filter(|_| counts(Mutation::IgnoreHeld))
            .chain(queued.filter(|_| counts(Mutation::IgnoreQueued)))
            .chain(running.filter(|_| counts(Mutation::IgnoreRunning)))
            .min()
    }
}

/// A key whose bytes lie in the lane of its number. The server orders text keys the other way round
/// than their bytes, so that a comparison of bytes shows.
fn key_in_lane(config: &Config, key: usize) -> Key {
    let place = match config.order {
        KeyOrder::Ours => key,
        KeyOrder::Server => 8 - key,
    };
    let probe: Backlog<u8> = Backlog::new(config.order, config.lanes, Claims::new());
    (0..=15u8)
        .map(|low| Key::from_bytes(&[(place as u8) << 4 | low]))
        .find(|bytes| probe.lane_of(bytes) == key % config.lanes)
        .unwrap()
}

/// States that differ by the numbers of chunks only are one.
fn number_chunks_by_place(backlog: &mut Backlog<u8>) {
    let old = backlog.claims.renumber_in_flight();
    for hold in &mut backlog.holds {
        for chunk in &mut hold.waiting_for {
            let place = old.iter().position(|known| known == chunk);
            *chunk = place.expect("a hold waits for chunks in flight only") as u64 + 1;
        }
        hold.waiting_for.sort_unstable();
    }
}

fn change_lane(backlog: &mut Backlog<u8>, key: &Key) {
    let own = backlog.lane_of(key);
    if let Some(seq) = backlog.lanes[own].queue.remove(key) {
        let other = backlog.lanes.len() - 1 - own;
        insert_lowest(&mut backlog.lanes[other].queue, key.clone(), seq, &mut backlog.pending);
        backlog.pending.done(seq);
    }
}
