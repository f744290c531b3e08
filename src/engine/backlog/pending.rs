//! Which transactions are not yet done, and so how far the stream may be forgotten.
//!
//! The durable position is in front of the oldest transaction of which some key is not yet dropped
//! or committed. It never lies between an XA PREPARE and the end of that transaction: a restart from
//! there would read an XA COMMIT without knowing its keys.

use std::collections::{HashMap, VecDeque};

use crate::failpoint::{Guard, is_removed};

/// Number of a transaction in this run, counted from 1.
pub type Seq = u64;

/// Transactions that are not yet behind the durable position.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pending<M> {
    /// Transactions up to here are done.
    passed: Seq,
    entries: VecDeque<Entry<M>>,
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

impl<M> Default for Pending<M> {
    fn default() -> Self {
        Self { passed: 0, entries: VecDeque::new() }
    }
}

impl<M: Clone> Pending<M> {
    pub(super) fn begin(&mut self) -> Seq {
        self.entries.push_back(Entry { keys: 0, end: None, xa: Xa::No });
        self.newest()
    }

    /// The newest transaction that began to arrive.
    pub fn newest(&self) -> Seq {
        self.passed + self.entries.len() as u64
    }

    fn entry(&mut self, seq: Seq) -> Option<&mut Entry<M>> {
        let index = seq.checked_sub(self.passed + 1)?;
        self.entries.get_mut(usize::try_from(index).ok()?)
    }

    /// One more key counts for the transaction. A key of a transaction that is already behind the
    /// durable position needs no counting: a restart does not depend on it.
    pub(super) fn add(&mut self, seq: Seq) {
        if let Some(entry) = self.entry(seq) {
            entry.keys += 1;
        }
    }

    pub(super) fn done(&mut self, seq: Seq) {
        if let Some(entry) = self.entry(seq) {
            entry.keys = entry.keys.saturating_sub(1);
        }
    }

    pub(super) fn end(&mut self, seq: Seq, mark: M) {
        if let Some(entry) = self.entry(seq) {
            entry.end = Some(mark);
        }
    }

    pub(super) fn end_prepared(&mut self, seq: Seq, mark: M) {
        if let Some(entry) = self.entry(seq) {
            entry.end = Some(mark);
            entry.xa = Xa::Open;
        }
    }

    pub(super) fn resolve_prepared(&mut self, prepared: Seq, ended_by: Seq) {
        if let Some(entry) = self.entry(prepared) {
            entry.xa = Xa::EndedBy(ended_by);
        }
    }

    /// Moves the durable position as far as it may go and returns the marks it passed.
    pub(super) fn advance(&mut self) -> Vec<M> {
        let count = self.passable(&HashMap::new());
        self.passed += count as u64;
        self.entries.drain(..count).filter_map(|entry| entry.end).collect()
    }

    /// The marks that `advance` would pass if that many keys fewer counted for these transactions.
    pub(super) fn passed(&self, freed: &HashMap<Seq, u64>) -> Vec<M> {
        let count = self.passable(freed);
        self.entries.iter().take(count).filter_map(|entry| entry.end.clone()).collect()
    }

    /// How many transactions from the front are done, cut back to the front of any XA span that
    /// does not end among them.
    fn passable(&self, freed: &HashMap<Seq, u64>) -> usize {
        let is_done = |(index, entry): (usize, &Entry<M>)| {
            let seq = self.passed + 1 + index as u64;
            entry.end.is_some() && entry.keys == freed.get(&seq).copied().unwrap_or(0)
        };
        let done = self.entries.iter().enumerate().take_while(|item| is_done(*item)).count();
        let mut count = 0;
        let mut needed = 0;
        for (index, entry) in self.entries.iter().take(done).enumerate() {
            match entry.xa {
                Xa::No => {}
                _ if is_removed(Guard::XaSpan) => {}
                Xa::Open => break,
                Xa::EndedBy(seq) => {
                    needed = needed.max(usize::try_from(seq - self.passed).unwrap_or(usize::MAX));
                }
            }
            if index + 1 >= needed {
                count = index + 1;
            }
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(transactions: usize) -> Pending<u32> {
        let mut pending = Pending::default();
        for mark in 1..=transactions {
            let seq = pending.begin();
            pending.end(seq, u32::try_from(mark).unwrap());
        }
        pending
    }

    #[test]
    fn transaction_with_a_key_left_stops_the_position() {
        let mut pending = ended(3);
        pending.add(2);
        assert_eq!(pending.advance(), [1]);
        assert_eq!(pending.passed(&HashMap::from([(2, 1)])), [2, 3]);
        pending.done(2);
        assert_eq!(pending.advance(), [2, 3]);
    }

    #[test]
    fn transaction_that_is_still_arriving_stops_the_position() {
        let mut pending = ended(1);
        pending.begin();
        assert_eq!(pending.advance(), [1]);
        assert_eq!(pending.advance(), [] as [u32; 0]);
    }

    #[test]
    fn position_never_lies_inside_an_xa_span() {
        let mut pending: Pending<u32> = ended(1);
        let prepare = pending.begin();
        pending.end_prepared(prepare, 2);
        let between = pending.begin();
        pending.add(between);
        pending.end(between, 3);
        assert_eq!(pending.advance(), [1]);
        let commit = pending.begin();
        pending.resolve_prepared(prepare, commit);
        pending.end(commit, 4);
        assert_eq!(pending.advance(), [] as [u32; 0], "the one between is not done");
        pending.done(between);
        assert_eq!(pending.advance(), [2, 3, 4]);
    }
}
