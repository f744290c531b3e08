//! One lane: an ordered set of keys to be made equal, and the batch that runs.
//! An event for a key whose batch already runs is queued anew, never merged into the batch.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::pending::Seq;
use crate::schema::key::Key;

/// Keys of one lane, each with the oldest transaction that asked for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Lane {
    pub(super) queue: BTreeMap<Key, Seq>,
    pub(super) running: BTreeMap<Key, Seq>,
    /// The last key taken: batches go round the queue, so that no key waits for ever.
    cursor: Option<Key>,
}

impl Lane {
    pub(super) fn take(&mut self, limit: usize) -> Vec<Key> {
        if !self.running.is_empty() {
            return Vec::new();
        }
        let from = self.cursor.take().map_or(Bound::Unbounded, Bound::Excluded);
        let mut keys = self.keys_from(from, limit);
        if keys.is_empty() {
            keys = self.keys_from(Bound::Unbounded, limit);
        }
        self.cursor = keys.last().cloned();
        for key in &keys {
            if let Some(seq) = self.queue.remove(key) {
                self.running.insert(key.clone(), seq);
            }
        }
        keys
    }

    pub(super) fn first(&self, limit: usize) -> Vec<Key> {
        self.keys_from(Bound::Unbounded, limit)
    }

    fn keys_from(&self, from: Bound<Key>, limit: usize) -> Vec<Key> {
        self.queue.range((from, Bound::Unbounded)).take(limit).map(|(key, _)| key.clone()).collect()
    }

    pub(super) fn contains(&self, key: &Key) -> bool {
        self.queue.contains_key(key) || self.running.contains_key(key)
    }
}
