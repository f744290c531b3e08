//! One state of the small world around the backlog: the application's log, the two tables, chunks and
//! lanes between their statements. Says nothing about what may happen next.

use crate::engine::backlog::KeyOrder;

/// Most keys, log entries, ranges and lanes of a configuration.
pub const KEYS: usize = 3;
pub const ENTRIES: usize = 4;
pub const RANGES: usize = 3;
pub const LANES: usize = 2;

/// How a lane writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Upsert,
    DeleteInsert,
}

/// A rule of the world around the backlog that a test breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// Chunks do not pass the gate.
    ChunkGate,
    /// Lanes do not pass the gate.
    LaneGate,
    /// A batch that was extended does not pass the gate again.
    RetryGate,
    /// A chunk's gate target is taken before its claim is registered.
    EarlyTarget,
    /// The gate does not cover what lies before the start position.
    StartGate,
    /// The keys of an XA transaction are received when it is prepared.
    XaAtPrepare,
    /// The restart position ignores held keys.
    IgnoreHeld,
    /// The restart position ignores queued keys.
    IgnoreQueued,
    /// The restart position ignores running batches.
    IgnoreRunning,
    /// The restart position counts a transaction that is still arriving.
    CountArriving,
    /// A key goes to any lane.
    TwoLanes,
    /// A key of a running batch is not queued anew.
    MergeIntoRunning,
    /// A lane reads the source before it deletes.
    ReadFirst,
    /// The position may lie between an XA PREPARE and its end.
    InsideXaSpan,
}

/// What is explored.
#[expect(clippy::struct_excessive_bools, reason = "each is an independent part of the world")]
#[derive(Clone, Copy, Debug)]
pub struct Config {
    pub keys: usize,
    pub values: u8,
    pub entries: usize,
    /// The range of each key, ascending.
    pub ranges: [usize; KEYS],
    pub in_flight: usize,
    pub lanes: usize,
    /// Sizes of batches.
    pub limits: &'static [usize],
    pub order: KeyOrder,
    pub shape: Shape,
    /// Whether the value is unique in both tables.
    pub unique: bool,
    pub xa: bool,
    pub crashes: u8,
    /// Whether a transaction may lie in front of the first start position and not be visible yet.
    pub hidden_start: bool,
    /// Whether a commit and what the engine notes about it are two steps.
    pub late: bool,
    /// Whether a rolled-back batch may also be returned to its queue.
    pub returns: bool,
    /// Whether an ordered chunk that meets a row ends the exploration as a violation.
    pub asserts: bool,
    pub mutation: Option<Mutation>,
}

impl Config {
    /// Two keys in two ranges, two transactions, one crash, the upsert shape on two lanes.
    pub const BASE: Self = Self {
        keys: 2,
        values: 2,
        entries: 2,
        ranges: [0, 1, 2],
        in_flight: 2,
        lanes: 2,
        limits: &[9],
        order: KeyOrder::Ours,
        shape: Shape::Upsert,
        unique: false,
        xa: false,
        crashes: 1,
        hidden_start: false,
        late: false,
        returns: false,
        asserts: true,
        mutation: None,
    };

    /// The last range.
    pub fn last_range(&self) -> usize {
        self.ranges[self.keys - 1]
    }

    pub fn keys_of_range(&self, range: usize) -> impl Iterator<Item = usize> {
        let ranges = self.ranges;
        (0..self.keys).filter(move |key| ranges[*key] == range)
    }

    pub fn has(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }
}

/// The rows of a table: two bits per key, 0 where there is no row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rows(pub u8);

impl Rows {
    pub fn at(self, key: usize) -> u8 {
        (self.0 >> (2 * key)) & 3
    }

    pub fn with(self, key: usize, value: u8) -> Self {
        Self((self.0 & !(3 << (2 * key))) | (value << (2 * key)))
    }

    /// The keys that have rows.
    pub fn keys(self) -> Mask {
        (0..KEYS).filter(|key| self.at(*key) != 0).fold(0, |mask, key| mask | bit(key))
    }

    /// Only the rows of these keys.
    pub fn only(self, mask: Mask) -> Self {
        (0..KEYS).fold(self, |rows, key| if has(mask, key) { rows } else { rows.with(key, 0) })
    }

    /// The same with values 1 and 2 exchanged.
    fn exchanged(self) -> Self {
        Self((self.0 & 0b01_0101) << 1 | (self.0 & 0b10_1010) >> 1)
    }

    pub fn show(self, keys: usize) -> String {
        (0..keys)
            .map(|key| match self.at(key) {
                0 => '-',
                value => char::from(b'0' + value),
            })
            .collect()
    }
}

/// A set of keys.
pub type Mask = u8;

pub fn bit(key: usize) -> Mask {
    1 << key
}

pub fn has(mask: Mask, key: usize) -> bool {
    mask & bit(key) != 0
}

pub fn first(mask: Mask) -> Option<usize> {
    (0..KEYS).find(|key| has(mask, *key))
}

/// What a log entry is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Kind {
    #[default]
    Plain,
    Prepare,
    Commit,
    RollBack,
}

/// Where a chunk stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ChunkPhase {
    #[default]
    None,
    /// Its gate target is taken, its claim is not registered.
    Targeted,
    Claimed,
    Cleared,
    Open,
    Committed,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Chunk {
    pub phase: ChunkPhase,
    pub target: u8,
    pub clear: bool,
    /// Rows read and not yet written.
    pub rows: Rows,
}

/// Where a lane stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LanePhase {
    #[default]
    Idle,
    Gate,
    Delete,
    Read,
    Insert,
    Look,
    Committed,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Lane {
    pub phase: LanePhase,
    pub target: u8,
    pub batch: Mask,
    /// Keys still to be deleted.
    pub delete: Mask,
    /// Rows read and not yet written.
    pub rows: Rows,
    /// The position that this transaction writes; 0 is none.
    pub position: u8,
}

/// Whose row locks: 0 is nobody.
pub type Owner = u8;

pub fn chunk_owner(range: usize) -> Owner {
    1 + range as u8
}

pub fn lane_owner(lane: usize) -> Owner {
    1 + RANGES as u8 + lane as u8
}

/// Why a state is wrong by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Fault {
    #[default]
    None,
    /// A chunk of ordered keys met a row of its own range.
    ChunkMetRow,
    /// The upsert shape met a duplicate.
    UpsertMetDuplicate,
    /// A batch wrote a position that its commit does not justify.
    PositionAhead,
}

/// One state. The number stands for the backlog.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct World {
    pub backlog: u32,
    /// Entries logged, visible, wholly received; keys of the next entry not yet received.
    pub logged: u8,
    pub visible: u8,
    pub received: u8,
    pub arriving: Mask,
    /// Where this run started, and every durable position since, one bit each.
    pub start: u8,
    pub stored: u8,
    pub crashes: u8,
    /// The source table after so many entries.
    pub source: [Rows; ENTRIES + 1],
    pub keys: [Mask; ENTRIES],
    pub kinds: [Kind; ENTRIES],
    /// The prepared transaction: its keys and their rows once it commits.
    pub prepared: Mask,
    pub prepared_rows: Rows,
    /// Finished ranges as recorded, one bit each.
    pub finished: u8,
    pub chunks: [Chunk; RANGES],
    pub lanes: [Lane; LANES],
    /// The shadow table as committed; rows as their lock owners left them.
    pub shadow: Rows,
    pub locked: Rows,
    pub owners: [Owner; KEYS],
    pub fault: Fault,
}

impl World {
    /// What a reader of the source table sees.
    pub fn readable(&self) -> Rows {
        self.source[usize::from(self.visible)]
    }

    /// Entries that began to arrive, with all before the start.
    pub fn begun(&self) -> u8 {
        self.received + u8::from(self.arriving != 0)
    }

    pub fn roll_back(&mut self, owner: Owner) {
        for key in 0..KEYS {
            if self.owners[key] == owner {
                self.owners[key] = 0;
                self.locked = self.locked.with(key, 0);
            }
        }
    }

    pub fn commit(&mut self, owner: Owner) {
        for key in 0..KEYS {
            if self.owners[key] == owner {
                self.shadow = self.shadow.with(key, self.locked.at(key));
            }
        }
        self.roll_back(owner);
    }

    /// Whether somebody else holds the row's lock.
    pub fn is_locked(&self, key: usize, owner: Owner) -> bool {
        self.owners[key] != 0 && self.owners[key] != owner
    }

    /// The row as its lock owner sees it.
    pub fn row(&self, key: usize, owner: Owner) -> u8 {
        if self.owners[key] == owner { self.locked.at(key) } else { self.shadow.at(key) }
    }

    pub fn write(&mut self, key: usize, owner: Owner, value: u8) {
        self.owners[key] = owner;
        self.locked = self.locked.with(key, value);
    }

    /// Two states that differ by an exchange of the values 1 and 2 are one: the first value is 1.
    fn exchange_values(&mut self) {
        let mut all = [Rows(0); ENTRIES + 1 + RANGES + LANES + 3];
        for (place, rows) in all.iter_mut().zip(self.tables()) {
            *place = *rows;
        }
        let leading = all.iter().find(|rows| rows.0 != 0);
        let is_second = leading.is_some_and(|rows| {
            (0..KEYS).map(|key| rows.at(key)).find(|value| *value != 0) == Some(2)
        });
        if is_second {
            self.tables().for_each(|rows| *rows = rows.exchanged());
        }
    }

    fn tables(&mut self) -> impl Iterator<Item = &mut Rows> {
        let single = [&mut self.shadow, &mut self.locked, &mut self.prepared_rows];
        self.source
            .iter_mut()
            .chain(single)
            .chain(self.chunks.iter_mut().map(|chunk| &mut chunk.rows))
            .chain(self.lanes.iter_mut().map(|lane| &mut lane.rows))
    }

    /// Forgets what can no longer make a difference, so that fewer states are told apart.
    pub fn forget(&mut self) {
        for entry in 0..usize::from(self.visible) {
            self.source[entry] = Rows(0);
        }
        if self.crashes == 0 {
            self.stored = 0;
        }
        let needed =
            if self.crashes == 0 { self.received } else { self.stored.trailing_zeros() as u8 };
        for entry in 0..usize::from(needed) {
            self.keys[entry] = 0;
            self.kinds[entry] = Kind::Plain;
        }
        for chunk in &mut self.chunks {
            chunk.target = if chunk.target > self.visible { chunk.target } else { 0 };
        }
        for lane in &mut self.lanes {
            lane.target = if lane.target > self.visible { lane.target } else { 0 };
        }
        self.exchange_values();
    }
}
