//! Which keys still have to be made equal, and how far the stream may be forgotten.
//!
//! Every key of every row event passes through [`Backlog::receive`], which drops it, holds it or
//! queues it in a lane. The rules are those of the exactness argument in `docs/how-it-works.md`:
//! a key in a range that nobody claimed is dropped, because the claim's later read sees it; a key in
//! a range in flight is held until that chunk has committed; any other key goes to its lane.
//! Pure: no I/O, no clock. The model test explores every interleaving through these functions.

pub mod claims;
pub mod lane;
#[cfg(test)]
mod model;
pub mod pending;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use self::claims::{ChunkId, Claims, Location};
use self::lane::Lane;
use self::pending::{Mark, Pending, Seq};
use crate::failpoint::{Guard, is_removed};
use crate::schema::key::Key;

/// What became of a received key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Its range is not claimed; the later read of that range sees the change.
    Dropped,
    /// A chunk in flight may have read before the change; the key waits for it.
    Held,
    /// It waits in its lane.
    Queued,
}

/// How the keys of this table can be treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyOrder {
    /// Encoded keys compare as the server orders them.
    Ours,
    /// Only the server can order the keys (collated text): they are never dropped, and held for every
    /// chunk that is in flight when they arrive.
    Server,
}

/// Keys that wait for chunks in flight.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Hold {
    waiting_for: Vec<ChunkId>,
    keys: BTreeMap<Key, Seq>,
}

/// Keys of prepared XA transactions: nothing is decided about them before they commit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct PreparedXa {
    seq: Seq,
    keys: Vec<Key>,
}

/// Keys written since their range was verified. A key that is written again while it is compared is in
/// both sets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Dirty {
    waiting: BTreeMap<Key, Seq>,
    comparing: BTreeMap<Key, Seq>,
}

/// Keys received and not yet equal, ranges claimed and finished, transactions not yet durable.
/// `M` is what marks the end of a transaction (a position).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Backlog<M> {
    order: KeyOrder,
    claims: Claims,
    holds: Vec<Hold>,
    lanes: Vec<Lane>,
    pending: Pending<M>,
    prepared: BTreeMap<String, PreparedXa>,
    /// Keys applied since verification began and not compared since; `None` before verification.
    dirty: Option<Dirty>,
    /// Keys that verification looks at right now, and whether an event touched them meanwhile.
    watched: BTreeMap<Key, bool>,
}

impl<M: Mark> Backlog<M> {
    /// An empty backlog over ranges that earlier attempts finished.
    ///
    /// More than one lane needs keys whose bytes identify them and a shadow table without further
    /// unique indexes; the caller decides that.
    pub fn new(order: KeyOrder, lanes: usize, claims: Claims) -> Self {
        Self {
            order,
            claims,
            holds: Vec::new(),
            lanes: vec![Lane::default(); lanes.max(1)],
            pending: Pending::default(),
            prepared: BTreeMap::new(),
            dirty: None,
            watched: BTreeMap::new(),
        }
    }

    /// The claimed, finished and open ranges.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// Access for what concerns durable range rows only.
    pub fn claims_mut(&mut self) -> &mut Claims {
        &mut self.claims
    }

    /// Notes that a transaction begins to arrive and returns its number.
    pub fn begin(&mut self) -> Seq {
        self.pending.begin()
    }

    /// Decides about a key that the running transaction changed.
    pub fn receive(&mut self, key: Key, seq: Seq) -> Fate {
        if let Some(touched) = self.watched.get_mut(&key) {
            *touched = true;
        }
        let waiting_for = match (self.order, self.claims.locate(&key)) {
            _ if is_removed(Guard::Hold) => Vec::new(),
            (KeyOrder::Ours, Location::Unclaimed) => return Fate::Dropped,
            (KeyOrder::Ours, Location::InFlight(chunk)) => vec![chunk],
            (KeyOrder::Ours, Location::Finished) => Vec::new(),
            (KeyOrder::Server, _) => self.claims.in_flight(),
        };
        if waiting_for.is_empty() {
            self.queue(key, seq);
            Fate::Queued
        } else {
            self.hold(key, seq, waiting_for);
            Fate::Held
        }
    }

    fn hold(&mut self, key: Key, seq: Seq, waiting_for: Vec<ChunkId>) {
        let found = self.holds.iter_mut().find(|hold| hold.waiting_for == waiting_for);
        let keys = match found {
            Some(hold) => &mut hold.keys,
            None => {
                self.holds.push(Hold { waiting_for, keys: BTreeMap::new() });
                match self.holds.last_mut() {
                    Some(hold) => &mut hold.keys,
                    None => return,
                }
            }
        };
        insert_lowest(keys, key, seq, &mut self.pending);
    }

    fn queue(&mut self, key: Key, seq: Seq) {
        let lane = self.lane_of(&key);
        if let Some(lane) = self.lanes.get_mut(lane) {
            insert_lowest(&mut lane.queue, key, seq, &mut self.pending);
        }
    }

    /// The one lane that a key belongs to.
    pub fn lane_of(&self, key: &Key) -> usize {
        let hash = crc32fast::hash(key.as_bytes()) as usize;
        hash % self.lanes.len()
    }

    /// Ends the running transaction; positions may advance to `mark` once its keys are done.
    pub fn end(&mut self, seq: Seq, mark: M) {
        self.pending.end(seq, mark);
    }

    /// Keeps the keys of a prepared XA transaction aside and ends its group.
    pub fn prepare_xa(&mut self, xid: String, keys: Vec<Key>, seq: Seq, mark: M) {
        self.pending.end_prepared(seq, mark);
        self.prepared.insert(xid, PreparedXa { seq, keys });
    }

    /// Decides now about the keys of a prepared transaction that committed. Its keys count for the
    /// transaction that prepared them, so that a restart reads that one again.
    pub fn commit_xa(&mut self, xid: &str, seq: Seq, mark: M) {
        if let Some(prepared) = self.prepared.remove(xid) {
            for key in prepared.keys {
                self.receive(key, prepared.seq);
            }
            self.pending.resolve_prepared(prepared.seq, seq);
        }
        self.pending.end(seq, mark);
    }

    /// Forgets the keys of a prepared transaction that was rolled back.
    pub fn roll_back_xa(&mut self, xid: &str, seq: Seq, mark: M) {
        if let Some(prepared) = self.prepared.remove(xid) {
            self.pending.resolve_prepared(prepared.seq, seq);
        }
        self.pending.end(seq, mark);
    }

    /// Xids of prepared transactions that changed rows here and have not ended, as the stream told.
    pub fn prepared_xids(&self) -> Vec<String> {
        let ours = self.prepared.iter().filter(|(_, prepared)| !prepared.keys.is_empty());
        ours.map(|(xid, _)| xid.clone()).collect()
    }

    /// Claims the part of the first unclaimed range up to `upper` (to its end when `None`).
    pub fn claim(&mut self, upper: Option<Key>) -> Option<ChunkId> {
        self.claims.claim(upper)
    }

    /// The chunk has committed: what waited only for it goes to its lane.
    pub fn finish_chunk(&mut self, chunk: ChunkId, row_id: u64, rows: u64) {
        self.claims.finish(chunk, row_id, rows);
        for (key, seq) in self.release(chunk) {
            self.requeue(key, seq);
        }
    }

    /// The chunk gives its range up. Held keys that can be placed are dropped with it, because the
    /// range is unclaimed again; the others go on to their lane.
    pub fn give_up_chunk(&mut self, chunk: ChunkId) {
        self.claims.give_up(chunk);
        for (key, seq) in self.release(chunk) {
            match self.order {
                _ if is_removed(Guard::Requeue) => self.pending.done(seq),
                KeyOrder::Ours => self.pending.done(seq),
                KeyOrder::Server => self.requeue(key, seq),
            }
        }
    }

    fn release(&mut self, chunk: ChunkId) -> Vec<(Key, Seq)> {
        for hold in &mut self.holds {
            hold.waiting_for.retain(|waiting| *waiting != chunk);
        }
        let (free, still) = std::mem::take(&mut self.holds)
            .into_iter()
            .partition(|hold| hold.waiting_for.is_empty());
        self.holds = still;
        let free: Vec<Hold> = free;
        free.into_iter().flat_map(|hold| hold.keys).collect()
    }

    /// Moves a key that already counts for `seq` into its lane.
    fn requeue(&mut self, key: Key, seq: Seq) {
        self.queue(key, seq);
        self.pending.done(seq);
    }

    /// Takes up to `limit` keys of a lane as its running batch, sorted by key. A lane that already
    /// runs a batch gives nothing.
    pub fn take_batch(&mut self, lane: usize, limit: usize) -> Vec<Key> {
        self.lanes.get_mut(lane).map_or_else(Vec::new, |lane| lane.take(limit))
    }

    /// The first keys that wait in a lane behind its running batch.
    pub fn queued_keys(&self, lane: usize, limit: usize) -> Vec<Key> {
        self.lanes.get(lane).map_or_else(Vec::new, |lane| lane.first(limit))
    }

    /// Adds the keys of rows that were in the way to the running batch of the only lane. Each key counts
    /// once, for the oldest transaction that asked for it.
    pub fn extend_batch(&mut self, lane: usize, keys: &[Key]) {
        let Some(lane) = self.lanes.get_mut(lane) else { return };
        let oldest = lane.running.values().min().copied();
        for key in keys {
            let queued = lane.queue.remove(key);
            let seq = queued.or(oldest).unwrap_or_else(|| self.pending.newest());
            insert_lowest(&mut lane.running, key.clone(), seq, &mut self.pending);
            if let Some(queued) = queued {
                self.pending.done(queued);
            }
        }
    }

    /// The running batch of a lane has committed.
    pub fn commit_batch(&mut self, lane: usize) {
        let Some(lane) = self.lanes.get_mut(lane) else { return };
        for (key, seq) in std::mem::take(&mut lane.running) {
            if let Some(dirty) = &mut self.dirty {
                insert_lowest(&mut dirty.waiting, key, seq, &mut self.pending);
            }
            self.pending.done(seq);
        }
    }

    /// The running batch of a lane did not commit, or nobody knows: its keys are queued again.
    pub fn return_batch(&mut self, lane: usize) {
        let Some(lane) = self.lanes.get_mut(lane) else { return };
        for (key, seq) in std::mem::take(&mut lane.running) {
            insert_lowest(&mut lane.queue, key, seq, &mut self.pending);
            self.pending.done(seq);
        }
    }

    /// Queues a key that verification found different. No event stands for it: it counts for the newest
    /// transaction, which a restart may read again without finding the key there. So the caller must
    /// not record as verified what has to be repaired before the lane has written it.
    pub fn repair(&mut self, key: Key) {
        let seq = self.pending.newest();
        self.queue(key, seq);
    }

    /// Marks passed since the last call: the durable position is behind the last of them.
    pub fn advance(&mut self) -> Vec<M> {
        self.pending.advance()
    }

    /// The transactions of which some key is not done yet, and those that have not arrived whole.
    pub fn pending(&self) -> &Pending<M> {
        &self.pending
    }

    /// What `advance` would return if the running batch of `lane` were committed: the position that
    /// may be written in the transaction of that batch.
    pub fn advance_with(&self, lane: usize) -> Vec<M> {
        if self.dirty.is_some() {
            return self.pending.passed(&HashMap::new());
        }
        let mut freed: HashMap<Seq, u64> = HashMap::new();
        if let Some(lane) = self.lanes.get(lane) {
            for seq in lane.running.values() {
                *freed.entry(*seq).or_default() += 1;
            }
        }
        self.pending.passed(&freed)
    }

    /// Keys queued and running, without those that are held.
    pub fn queued(&self) -> usize {
        self.lanes.iter().map(|lane| lane.queue.len() + lane.running.len()).sum()
    }

    /// Whether some lane runs a batch.
    pub fn is_running(&self) -> bool {
        self.lanes.iter().any(|lane| !lane.running.is_empty())
    }

    /// Keys held for chunks in flight.
    pub fn held(&self) -> usize {
        self.holds.iter().map(|hold| hold.keys.len()).sum()
    }

    /// From now on every applied key is remembered until it has been compared.
    pub fn track_dirty(&mut self) {
        self.dirty.get_or_insert_default();
    }

    /// Keys applied and not compared since.
    pub fn dirty(&self) -> usize {
        self.dirty.as_ref().map_or(0, |dirty| dirty.waiting.len() + dirty.comparing.len())
    }

    /// The keys that await comparison, which stay as they are.
    pub fn dirty_keys(&self) -> Vec<Key> {
        let sets = self.dirty.iter().flat_map(|dirty| [&dirty.waiting, &dirty.comparing]);
        sets.flat_map(|keys| keys.keys().cloned()).collect()
    }

    /// Takes up to `limit` keys that await comparison; they count until [`Backlog::clean`].
    pub fn compare_dirty(&mut self, limit: usize) -> Vec<Key> {
        let Some(dirty) = &mut self.dirty else { return Vec::new() };
        let keys: Vec<Key> = dirty.waiting.keys().take(limit).cloned().collect();
        for key in &keys {
            if let Some(seq) = dirty.waiting.remove(key) {
                insert_lowest(&mut dirty.comparing, key.clone(), seq, &mut self.pending);
                self.pending.done(seq);
            }
        }
        keys
    }

    /// The keys have been compared and are equal.
    pub fn clean(&mut self, keys: &[Key]) {
        let Some(dirty) = &mut self.dirty else { return };
        for key in keys {
            if let Some(seq) = dirty.comparing.remove(key) {
                self.pending.done(seq);
            }
        }
    }

    /// Whether an event for this key waits or runs.
    pub fn is_pending(&self, key: &Key) -> bool {
        self.holds.iter().any(|hold| hold.keys.contains_key(key))
            || self.lanes.get(self.lane_of(key)).is_some_and(|lane| lane.contains(key))
    }

    /// Starts to note which of these keys events touch. There is one verifier: what was watched before,
    /// by a comparison that was broken off, is watched no longer.
    pub fn watch(&mut self, keys: &[Key]) {
        self.watched = keys.iter().map(|key| (key.clone(), false)).collect();
    }

    /// Ends watching; returns those of the watched keys that no event touched meanwhile.
    pub fn unwatch(&mut self) -> BTreeSet<Key> {
        let watched = std::mem::take(&mut self.watched).into_iter();
        watched.filter_map(|(key, touched)| (!touched).then_some(key)).collect()
    }
}

/// Inserts a key with the oldest transaction that asked for it; counts it there.
fn insert_lowest<M: Mark>(
    keys: &mut BTreeMap<Key, Seq>,
    key: Key,
    seq: Seq,
    pending: &mut Pending<M>,
) {
    match keys.get_mut(&key) {
        Some(known) if *known <= seq => {}
        Some(known) => {
            pending.add(seq);
            pending.done(std::mem::replace(known, seq));
        }
        None => {
            pending.add(seq);
            keys.insert(key, seq);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> Key {
        Key::from_bytes(&[byte])
    }

    /// A backlog of a table that is copied, with one lane.
    fn copied() -> Backlog<u8> {
        let mut backlog = Backlog::new(KeyOrder::Ours, 1, Claims::new());
        let chunk = backlog.claim(None).expect("an open range");
        backlog.finish_chunk(chunk, 1, 0);
        backlog
    }

    fn transaction(backlog: &mut Backlog<u8>, keys: &[u8], mark: u8) {
        let seq = backlog.begin();
        for byte in keys {
            backlog.receive(key(*byte), seq);
        }
        backlog.end(seq, mark);
    }

    #[test]
    fn key_that_runs_already_counts_once_when_it_is_in_the_way() {
        let mut backlog = copied();
        transaction(&mut backlog, &[1], 1);
        assert_eq!(backlog.take_batch(0, 9), [key(1)]);
        transaction(&mut backlog, &[1, 2], 2);
        backlog.extend_batch(0, &[key(1), key(2), key(3)]);
        assert_eq!(backlog.queued(), 3);
        assert!(backlog.is_pending(&key(3)));
        assert_eq!(backlog.advance_with(0), [1, 2]);
        assert!(backlog.advance().is_empty());
        backlog.commit_batch(0);
        assert_eq!((backlog.queued(), backlog.advance()), (0, vec![2]));
    }

    #[test]
    fn watch_forgets_one_that_was_broken_off() {
        let mut backlog = copied();
        backlog.watch(&[key(1), key(2)]);
        transaction(&mut backlog, &[1], 1);
        backlog.watch(&[key(2), key(3)]);
        transaction(&mut backlog, &[1, 3], 2);
        assert_eq!(backlog.unwatch(), [key(2)].into());
        transaction(&mut backlog, &[2], 3);
        assert!(backlog.unwatch().is_empty());
    }
}
