//! What makes a migration go slower, or stand still, for the application's sake. Each signal watches one
//! thing and states its reason here; the row copy, verification and the cut-over ask whether any of them
//! holds. A signal that cannot see counts as bad news.

pub mod judge;
pub mod lag;
pub mod load;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

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

/// What has to be within its limit for the migration to go on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// How far a control replica may be behind; none means no limit.
    pub max_lag: Option<Duration>,
    /// Status variables with the highest value at which nothing has to wait; empty means none.
    pub max_load: load::MaxLoad,
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
    /// The limits that the reasons are about.
    judged: Mutex<Limits>,
    meter: Meter,
}

impl Throttle {
    /// No reason yet; every change is published there.
    pub fn new(meter: Meter) -> Self {
        Self { reasons: Mutex::default(), judged: Mutex::default(), meter }
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

    /// States what was found about the lag under this limit.
    pub fn judge_lag(&self, limit: Option<Duration>, words: Option<String>) {
        self.state(Signal::MaxLag, words);
        self.judged().max_lag = limit;
    }

    /// States what was found about the load under these limits.
    pub fn judge_load(&self, limits: load::MaxLoad, words: Option<String>) {
        self.state(Signal::MaxLoad, words);
        self.judged().max_load = limits;
    }

    /// Why nothing may be copied, compared or swapped under these limits; `None` when all may go on. What
    /// was not looked at yet under a limit holds.
    pub fn hold(&self, limits: &Limits) -> Option<String> {
        let unknown = self.unknown(limits).map(|what| format!("{what} is not known yet"));
        unknown.or_else(|| {
            let reasons = self.lock();
            let mut holding = reasons.values().filter(|reason| reason.signal.holds());
            holding.next().map(|reason| reason.words.clone())
        })
    }

    fn unknown(&self, limits: &Limits) -> Option<&'static str> {
        let judged = self.judged();
        if limits.max_lag.is_some() && limits.max_lag != judged.max_lag {
            return Some("the lag of the control replicas");
        }
        let load = !limits.max_load.is_empty() && limits.max_load != judged.max_load;
        load.then_some("the load of the server")
    }

    fn judged(&self) -> MutexGuard<'_, Limits> {
        self.judged.lock().unwrap_or_else(PoisonError::into_inner)
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
        let hold = || throttle.hold(&Limits::default());
        throttle.state(Signal::NiceRatio, Some("niceRatio is 0.5".to_owned()));
        assert_eq!(hold(), None, "it only slows down");
        throttle.state(Signal::MaxLoad, Some("Threads_running is 31".to_owned()));
        let since = progress.borrow().throttled[0].since;
        throttle.state(Signal::MaxLoad, Some("Threads_running is 44".to_owned()));
        assert_eq!(hold().as_deref(), Some("Threads_running is 44"));
        let reasons = progress.borrow().throttled.clone();
        assert_eq!((reasons.len(), reasons[0].since), (2, since));
        throttle.state(Signal::MaxLoad, None);
        assert_eq!(hold(), None);
        assert_eq!(progress.borrow().throttled.len(), 1);
    }

    #[test]
    fn what_was_not_looked_at_yet_holds() {
        let throttle = Throttle::new(Meter::new(watch::Sender::new(Meter::blank())));
        let second = Some(Duration::from_secs(1));
        let load = |limit| load::MaxLoad::from([("Threads_running".to_owned(), limit)]);
        let mut limits = Limits { max_lag: second, max_load: load(30) };
        let expect = |limits: &Limits, words: Option<&str>| {
            let found = throttle.hold(limits);
            assert_eq!(found.is_some(), words.is_some(), "{found:?}");
            assert!(found.unwrap_or_default().contains(words.unwrap_or_default()));
        };
        expect(&Limits::default(), None);
        expect(&limits, Some("the lag of the control replicas is not known yet"));
        throttle.judge_lag(second, None);
        expect(&limits, Some("the load of the server is not known yet"));
        throttle.judge_load(load(30), None);
        expect(&limits, None);
        limits.max_load = load(20);
        expect(&limits, Some("the load of the server is not known yet"));
        throttle.judge_load(load(20), Some("Threads_running is 25".to_owned()));
        expect(&limits, Some("Threads_running is 25"));
    }
}
