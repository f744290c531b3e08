//! How many messages each receiver got, and how many it did not.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The receiver confirmed it.
    Delivered,
    /// It was tried for long enough, or the receiver does not want it.
    Failed,
    /// There were too many before it.
    Dropped,
}

impl Outcome {
    /// Its word in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
        }
    }
}

/// The counts of this process.
#[derive(Debug, Default)]
pub struct Counts(Mutex<BTreeMap<(String, Outcome), u64>>);

impl Counts {
    /// Counts some more.
    pub fn add(&self, receiver: &str, outcome: Outcome, count: usize) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = counts.entry((receiver.to_owned(), outcome)).or_default();
        *known += u64::try_from(count).unwrap_or(u64::MAX);
    }

    /// All of them.
    pub fn all(&self) -> Vec<(String, Outcome, u64)> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|((name, outcome), count)| (name.clone(), *outcome, *count)).collect()
    }
}
