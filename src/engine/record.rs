//! What people changed of a run while it went on, newest last. Whoever hears of it writes it down here; the ledger
//! has it in the end, and the control table until then.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

/// Entries that are kept: the newest.
const ENTRIES: usize = 50;

/// A change of a control or setting; no value of a row and no secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When, as RFC 3339 writes it.
    pub at: String,
    /// The field or annotation.
    pub field: String,
    /// Its value before.
    pub from: String,
    /// Its value after.
    pub to: String,
    /// Who changed it; empty when that is not known.
    pub by: String,
}

/// The changes of one run; cheap to clone, all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Record(Arc<Mutex<Vec<Entry>>>);

impl Record {
    /// The changes, oldest first.
    pub fn entries(&self) -> Vec<Entry> {
        self.locked().clone()
    }

    /// Writes further changes down.
    pub fn add(&self, more: Vec<Entry>) {
        let mut all = self.locked();
        all.extend(more);
        let surplus = all.len().saturating_sub(ENTRIES);
        all.drain(..surplus);
    }

    /// Takes these for all that there are.
    pub fn replace(&self, all: Vec<Entry>) {
        self.locked().clear();
        self.add(all);
    }

    /// Takes what an earlier attempt has written down, as far as it is not known.
    pub(super) fn restore(&self, stored: &[Entry]) {
        let known = self.entries();
        let former: Vec<Entry> =
            stored.iter().filter(|entry| !known.contains(entry)).cloned().collect();
        self.replace([former, known].concat());
    }

    fn locked(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: usize) -> Entry {
        Entry { at: number.to_string(), ..Entry::default() }
    }

    fn numbers(record: &Record) -> Vec<String> {
        record.entries().into_iter().map(|entry| entry.at).collect()
    }

    #[test]
    fn what_an_earlier_attempt_knew_comes_first_and_once() {
        let record = Record::default();
        record.add(vec![entry(2), entry(3)]);
        record.clone().restore(&[entry(1), entry(2)]);
        assert_eq!(numbers(&record), ["1", "2", "3"]);
        record.restore(&record.entries());
        assert_eq!(numbers(&record), ["1", "2", "3"]);
        record.replace(vec![entry(9)]);
        assert_eq!(numbers(&record), ["9"]);
    }

    #[test]
    fn the_newest_are_kept() {
        let record = Record::default();
        (0..=ENTRIES).for_each(|number| record.add(vec![entry(number)]));
        assert_eq!((numbers(&record).len(), numbers(&record)[0].as_str()), (ENTRIES, "1"));
    }
}
