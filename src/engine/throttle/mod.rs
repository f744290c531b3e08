//! What makes a migration go slower, or stand still, for the application's sake. Each signal watches one
//! thing and states its reason here; the row copy, verification and the cut-over ask whether any of them
//! holds. A signal that cannot see counts as bad news.

mod asked;
mod commit;
mod disk;
mod history;
pub mod http;
mod judge;
pub mod load;
mod probe;
pub mod query;
pub mod recovery;
mod redo;
pub mod replicas;
pub mod retention;
mod retries;
mod running;
pub mod server;
pub mod signal;
pub mod slowdown;
mod stream;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde::Serialize;

pub use self::asked::hold_until_known;
pub use self::signal::Signal;
use super::meter::Meter;

/// What has to be within its limit for the migration to go on; what is absent has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// How far a control replica may be behind.
    pub max_lag: Option<Duration>,
    /// How far behind a control replica makes the migration pause.
    pub critical_lag: Option<Duration>,
    /// Transactions that a control replica may have received and not applied.
    pub max_apply_backlog: Option<u64>,
    /// How far the stream may be behind the server.
    pub max_stream_lag: Option<Duration>,
    /// Status variables with the highest value at which nothing has to wait.
    pub max_load: load::LoadLimits,
    /// Status variables with the highest value at which nothing has to pause.
    pub critical_load: load::LoadLimits,
    /// Running sessions for each processor.
    pub max_running_per_core: Option<u64>,
    /// How long a small commit may take.
    pub max_commit_latency: Option<Duration>,
    /// Row versions that may wait to be purged.
    pub max_history_list_length: Option<u64>,
    /// How full the redo log may be, in percent.
    pub max_redo_percent: Option<u64>,
    /// How much disk has to be free, in bytes.
    pub min_free_disk: Option<u64>,
    /// Transactions of ours that may be repeated in a minute.
    pub max_retries_per_minute: Option<u64>,
    /// How many times slower than its baseline the application may be, in percent: 140 is 1.4 times.
    pub max_slowdown_percent: Option<u64>,
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
    /// The limits that each signal has judged last.
    judged: Mutex<BTreeMap<Signal, Limits>>,
    pace: Mutex<slowdown::Pace>,
    meter: Meter,
}

impl Throttle {
    /// No reason yet; every change is published there.
    pub fn new(meter: Meter) -> Self {
        Self { reasons: Mutex::default(), judged: Mutex::default(), pace: Mutex::default(), meter }
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

    /// States what a signal has found under these limits.
    fn judge(&self, signal: Signal, limits: &Limits, words: Option<String>) {
        self.state(signal, words);
        let mut judged = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        judged.insert(signal, limits.clone());
    }

    /// How quickly the row copy may go for the application's sake.
    pub fn pace(&self) -> slowdown::Pace {
        *self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_pace(&self, pace: slowdown::Pace) {
        *self.pace.lock().unwrap_or_else(PoisonError::into_inner) = pace;
    }

    /// What makes the migration pause now, and what else holds it.
    fn dangers(&self) -> recovery::Dangers {
        let reasons = self.lock();
        let words = |chosen: fn(&Reason) -> bool| -> Option<String> {
            reasons.values().find(|reason| chosen(reason)).map(|reason| reason.words.clone())
        };
        recovery::Dangers {
            pausing: words(|reason| reason.signal.pauses()),
            holding: words(|reason| reason.signal.holds() && reason.signal != Signal::AutoPause),
        }
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
        let judged = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        let unknown = Signal::LIMITED.into_iter().find(|signal| {
            let setting = signal.setting(limits);
            let known = judged.get(signal).and_then(|limits| signal.setting(limits));
            setting.is_some() && setting != known
        });
        unknown.map(Signal::subject)
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
        let load = |limit| load::LoadLimits::from([("Threads_running".to_owned(), limit)]);
        let mut limits = Limits { max_lag: second, max_load: load(30), ..Limits::default() };
        let expect = |limits: &Limits, words: Option<&str>| {
            let found = throttle.hold(limits);
            assert_eq!(found.is_some(), words.is_some(), "{found:?}");
            assert!(found.unwrap_or_default().contains(words.unwrap_or_default()));
        };
        expect(&Limits::default(), None);
        expect(&limits, Some("the lag of the control replicas is not known yet"));
        throttle.judge(Signal::MaxLag, &limits, None);
        expect(&limits, Some("the load of the server is not known yet"));
        throttle.judge(Signal::MaxLoad, &limits, None);
        expect(&limits, None);
        limits.max_load = load(20);
        expect(&limits, Some("the load of the server is not known yet"));
        throttle.judge(Signal::MaxLoad, &limits, Some("Threads_running is 25".to_owned()));
        expect(&limits, Some("Threads_running is 25"));
    }
}
