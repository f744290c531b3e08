//! What makes a migration go slower, or stand still, for the application's sake. Each signal watches one
//! thing and states its reason here; the row copy, verification and the cut-over ask whether any of them
//! holds. A signal that cannot see counts as bad news.

pub mod judge;
pub mod lag;
pub mod load;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde::Serialize;

use super::meter::Meter;

/// What a signal watches; the word that metrics use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Signal {
    /// A control replica further behind than `throttle.maxLag`.
    MaxLag,
    /// Status variables of the server above `throttle.maxLoad`.
    MaxLoad,
    /// `copy.maxRowsPerSecond`.
    MaxRowsPerSecond,
    /// `throttle.niceRatio`.
    NiceRatio,
}

impl Signal {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MaxLag => "maxLag",
            Self::MaxLoad => "maxLoad",
            Self::MaxRowsPerSecond => "maxRowsPerSecond",
            Self::NiceRatio => "niceRatio",
        }
    }

    /// Whether nothing is copied, compared or swapped as long as it has a reason. The others only make
    /// the copy slower.
    fn holds(self) -> bool {
        match self {
            Self::MaxLag | Self::MaxLoad => true,
            Self::MaxRowsPerSecond | Self::NiceRatio => false,
        }
    }
}

/// Why a migration goes slower than it could.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// Who says so.
    pub signal: Signal,
    /// What it saw, in words, with the value and the limit.
    #[serde(rename = "reason")]
    pub words: String,
    /// Since when it says so without a break.
    #[serde(skip)]
    pub since: SystemTime,
}

/// All reasons of an attempt.
pub struct Throttle {
    reasons: Mutex<BTreeMap<Signal, Reason>>,
    meter: Meter,
}

impl Throttle {
    /// No reason yet; every change is published there.
    pub fn new(meter: Meter) -> Self {
        Self { reasons: Mutex::default(), meter }
    }

    /// States the reason of a signal, or that it has none.
    pub fn state(&self, signal: Signal, words: Option<String>) {
        let mut reasons = self.lock();
        let known = reasons.get(&signal).map(|reason| &reason.words);
        if known == words.as_ref() {
            return;
        }
        match words {
            Some(words) => {
                let since = reasons.get(&signal).map_or_else(SystemTime::now, |known| known.since);
                reasons.insert(signal, Reason { signal, words, since });
            }
            None => drop(reasons.remove(&signal)),
        }
        let all = reasons.values().cloned().collect();
        self.meter.update(|progress| progress.throttled = all);
    }

    /// Why nothing may be copied, compared or swapped now; `None` when all may go on.
    pub fn hold(&self) -> Option<String> {
        let reasons = self.lock();
        let mut holding = reasons.values().filter(|reason| reason.signal.holds());
        holding.next().map(|reason| reason.words.clone())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Signal, Reason>> {
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::watch;

    use super::*;

    #[test]
    fn reasons_are_published_and_keep_their_beginning() {
        let (sender, progress) = watch::channel(Meter::blank());
        let throttle = Throttle::new(Meter::new(sender));
        throttle.state(Signal::NiceRatio, Some("niceRatio is 0.5".to_owned()));
        assert_eq!(throttle.hold(), None, "it only slows down");
        throttle.state(Signal::MaxLoad, Some("Threads_running is 31".to_owned()));
        let since = progress.borrow().throttled[0].since;
        throttle.state(Signal::MaxLoad, Some("Threads_running is 44".to_owned()));
        assert_eq!(throttle.hold().as_deref(), Some("Threads_running is 44"));
        let reasons = progress.borrow().throttled.clone();
        assert_eq!((reasons.len(), reasons[0].since), (2, since));
        throttle.state(Signal::MaxLoad, None);
        assert_eq!(throttle.hold(), None);
        assert_eq!(progress.borrow().throttled.len(), 1);
    }
}
