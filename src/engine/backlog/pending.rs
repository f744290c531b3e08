//! Which transactions are not yet done, and so how far the stream may be forgotten.
//!
//! The durable position is in front of the oldest transaction of which some key is not yet dropped
//! or committed. It never lies between an XA PREPARE and the end of that transaction: a restart from
//! there would read an XA COMMIT without knowing its keys.

use std::collections::{BTreeMap, HashMap};

use crate::failpoint::{Guard, is_removed};

/// Number of a transaction in this run, counted from 1.
pub type Seq = u64;

/// What marks the end of a transaction: a position.
pub trait Mark: Clone {
    /// Becomes the mark of this transaction and of the one right behind it.
    fn absorb(&mut self, later: Self);
}

/// Transactions that are not yet behind the durable position.
///
/// Neighbours that are done become one entry, so that the memory needed depends on the transactions
/// that are not done and not on how long the oldest of them stays so.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pending<M> {
    /// Transactions up to here are done.
    passed: Seq,
    newest: Seq,
    /// Under the number of the last transaction that an entry stands for.
    entries: BTreeMap<Seq, Entry<M>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Entry<M> {
    /// Keys held, queued, running or awaiting comparison.
    keys: u64,
    end: Option<M>,
    xa: Xa,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Xa {
    No,
    /// Prepared; its end has not been seen.
    Open,
    /// Prepared; the transaction of this number ended it.
    EndedBy(Seq),
}

impl<M> Entry<M> {
    fn is_done(&self) -> bool {
        self.end.is_some() && self.keys == 0 && self.xa == Xa::No
    }
}

impl<M> Default for Pending<M> {
    fn default() -> Self {
        Self { passed: 0, newest: 0, entries: BTreeMap::new() }
    }
}

impl<M: Mark> Pending<M> {
    pub(super) fn begin(&mut self) -> Seq {
        self.newest += 1;
        self.entries.insert(self.newest, Entry { keys: 0, end: None, xa: Xa::No });
        self.newest
    }

    /// The newest transaction that began to arrive.
    pub fn newest(&self) -> Seq {
        self.newest
    }

    /// The newest transaction behind which the durable position is.
    pub fn done_up_to(&self) -> Seq {
        self.passed
    }

    /// The entry that stands for a transaction, unless that is passed.
    fn number_of(&self, seq: Seq) -> Option<Seq> {
        if seq <= self.passed {
            return None;
        }
        self.entries.range(seq..).next().map(|(number, _)| *number)
    }

    fn change(&mut self, seq: Seq, change: impl FnOnce(&mut Entry<M>)) {
        let Some(number) = self.number_of(seq) else { return };
        if let Some(entry) = self.entries.get_mut(&number) {
            change(entry);
        }
        self.join(number);
    }

    /// Makes one entry of this one and its neighbours, as far as they are done.
    fn join(&mut self, number: Seq) {
        let is_done = |entry: Option<&Entry<M>>| entry.is_some_and(Entry::is_done);
        if !is_done(self.entries.get(&number)) {
            return;
        }
        let next = self.entries.range(number + 1..).next().map(|(next, _)| *next);
        let before = self.entries.range(..number).next_back().map(|(before, _)| *before);
        let last = match next.filter(|next| is_done(self.entries.get(next))) {
            Some(next) => self.merge(number, next),
            None => number,
        };
        if let Some(before) = before.filter(|before| is_done(self.entries.get(before))) {
            self.merge(before, last);
        }
    }

    /// Lets the later of two neighbours stand for both.
    fn merge(&mut self, earlier: Seq, later: Seq) -> Seq {
        let absorbed = self.entries.remove(&earlier).and_then(|entry| entry.end);
        if let (Some(mut mark), Some(entry)) = (absorbed, self.entries.get_mut(&later)) {
            if let Some(end) = entry.end.take() {
                mark.absorb(end);
            }
            entry.end = Some(mark);
        }
        later
    }

    /// One more key counts for the transaction. A key of a transaction that is already behind the
    /// durable position needs no counting: a restart does not depend on it.
    pub(super) fn add(&mut self, seq: Seq) {
        self.change(seq, |entry| entry.keys += 1);
    }

    pub(super) fn done(&mut self, seq: Seq) {
        self.change(seq, |entry| entry.keys = entry.keys.saturating_sub(1));
    }

    pub(super) fn end(&mut self, seq: Seq, mark: M) {
        self.change(seq, |entry| entry.end = Some(mark));
    }

    pub(super) fn end_prepared(&mut self, seq: Seq, mark: M) {
        self.change(seq, |entry| {
            entry.end = Some(mark);
            entry.xa = Xa::Open;
        });
    }

    pub(super) fn resolve_prepared(&mut self, prepared: Seq, ended_by: Seq) {
        self.change(prepared, |entry| entry.xa = Xa::EndedBy(ended_by));
    }

    /// Moves the durable position as far as it may go and returns the marks it passed.
    pub(super) fn advance(&mut self) -> Vec<M> {
        let Some(last) = self.passable(&HashMap::new()) else { return Vec::new() };
        let rest = self.entries.split_off(&(last + 1));
        self.passed = last;
        let passed = std::mem::replace(&mut self.entries, rest);
        passed.into_values().filter_map(|entry| entry.end).collect()
    }

    /// The marks that `advance` would pass if that many keys fewer counted for these transactions.
    pub(super) fn passed(&self, freed: &HashMap<Seq, u64>) -> Vec<M> {
        let Some(last) = self.passable(freed) else { return Vec::new() };
        self.entries.range(..=last).filter_map(|(_, entry)| entry.end.clone()).collect()
    }

    /// The last transaction from the front up to which all are done, cut back to the front of any XA
    /// span that does not end among them.
    fn passable(&self, freed: &HashMap<Seq, u64>) -> Option<Seq> {
        let mut fewer: HashMap<Seq, u64> = HashMap::new();
        for (seq, keys) in freed {
            if let Some(number) = self.number_of(*seq) {
                *fewer.entry(number).or_default() += keys;
            }
        }
        let mut last = None;
        let mut needed = 0;
        for (number, entry) in &self.entries {
            if entry.end.is_none() || entry.keys != fewer.get(number).copied().unwrap_or(0) {
                break;
            }
            match entry.xa {
                Xa::No => {}
                _ if is_removed(Guard::XaSpan) => {}
                Xa::Open => break,
                Xa::EndedBy(seq) => needed = needed.max(seq),
            }
            if *number >= needed {
                last = Some(*number);
            }
        }
        last
    }
}

#[cfg(test)]
impl Mark for u8 {
    fn absorb(&mut self, later: Self) {
        *self = later;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(transactions: usize) -> Pending<u8> {
        let mut pending = Pending::default();
        for mark in 1..=transactions {
            let seq = pending.begin();
            pending.end(seq, u8::try_from(mark).unwrap());
        }
        pending
    }

    #[test]
    fn transaction_with_a_key_left_stops_the_position() {
        let mut pending = ended(1);
        let seq = pending.begin();
        pending.add(seq);
        pending.end(seq, 2);
        let last = pending.begin();
        pending.end(last, 3);
        assert_eq!(pending.advance(), [1]);
        assert_eq!(pending.passed(&HashMap::from([(2, 1)])), [2, 3]);
        pending.done(2);
        assert_eq!(pending.advance(), [3], "neighbours that are done have one mark");
    }

    #[test]
    fn transaction_that_is_still_arriving_stops_the_position() {
        let mut pending = ended(1);
        pending.begin();
        assert_eq!(pending.advance(), [1]);
        assert_eq!(pending.advance(), [] as [u8; 0]);
    }

    #[test]
    fn position_never_lies_inside_an_xa_span() {
        let mut pending: Pending<u8> = ended(1);
        let prepare = pending.begin();
        pending.end_prepared(prepare, 2);
        let between = pending.begin();
        pending.add(between);
        pending.end(between, 3);
        assert_eq!(pending.advance(), [1]);
        let commit = pending.begin();
        pending.resolve_prepared(prepare, commit);
        pending.end(commit, 4);
        assert_eq!(pending.advance(), [] as [u8; 0], "the one between is not done");
        pending.done(between);
        assert_eq!(pending.advance(), [2, 4]);
    }

    #[test]
    fn done_transactions_behind_one_that_is_not_need_one_entry() {
        let mut pending = ended(1);
        pending.add(1);
        for mark in 0..100 {
            let seq = pending.begin();
            pending.end(seq, mark);
        }
        assert_eq!(pending.entries.len(), 2);
        pending.done(1);
        assert_eq!(pending.entries.len(), 1);
        assert_eq!(pending.advance(), [99]);
    }
}
