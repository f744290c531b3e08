//! Counters of a run and the snapshot that is published from them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;

use super::blocker::{Blocker, Obstacle};
use super::phase::PhaseKind;
use super::progress::Progress;
use super::stage::StageHold;

/// The rate is averaged over this time.
const WINDOW: Duration = Duration::from_secs(10);

/// Counters; cheap to clone, shared by all attempts of a run.
#[derive(Clone)]
pub struct Meter(Arc<Inner>);

struct Inner {
    progress: watch::Sender<Progress>,
    keys_applied: AtomicU64,
    retries: AtomicU64,
    rows_verified: AtomicU64,
    samples: Mutex<VecDeque<(Instant, u64)>>,
    phases: Mutex<Vec<(PhaseKind, Instant)>>,
    heartbeats: Mutex<VecDeque<(u64, Instant)>>,
    began: Instant,
}

/// Heartbeats whose sending time is remembered.
const HEARTBEATS: usize = 1000;

impl Meter {
    /// Starts counting into this channel.
    pub fn new(progress: watch::Sender<Progress>) -> Self {
        Self(Arc::new(Inner {
            progress,
            keys_applied: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            rows_verified: AtomicU64::new(0),
            samples: Mutex::default(),
            phases: Mutex::default(),
            heartbeats: Mutex::default(),
            began: Instant::now(),
        }))
    }

    /// The snapshot before anything is known.
    pub fn blank() -> Progress {
        Progress {
            phase: PhaseKind::Preflight,
            rows_copied: 0,
            rows_estimated: 0,
            percent: 0.0,
            rows_per_second: 0.0,
            keys_applied: 0,
            backlog: 0,
            stream_lag: None,
            replica_lag: None,
            binlog_headroom: None,
            last_pause: None,
            eta: None,
            verified_percent: 0.0,
            rows_repaired: 0,
            throttled: Vec::new(),
            waiting_for: String::new(),
            stage_hold: None,
            cut_over_attempts: 0,
            last_cut_over_error: String::new(),
            blocker: None,
            plan: None,
            started_at: SystemTime::now(),
        }
    }

    /// The stage entered last.
    pub fn phase(&self) -> PhaseKind {
        self.0.progress.borrow().phase
    }

    /// How far the stream was behind when last heard of.
    pub fn stream_lag(&self) -> Option<Duration> {
        self.0.progress.borrow().stream_lag
    }

    /// Changes the snapshot.
    pub fn update(&self, change: impl FnOnce(&mut Progress)) {
        self.0.progress.send_modify(change);
    }

    /// Enters a stage.
    pub fn enter(&self, phase: PhaseKind) {
        let mut phases = self.0.phases.lock().unwrap_or_else(PoisonError::into_inner);
        phases.push((phase, Instant::now()));
        drop(phases);
        self.update(|progress| {
            progress.phase = phase;
            progress.waiting_for.clear();
            progress.blocker = None;
            progress.stage_hold = None;
        });
    }

    /// The snapshot of now.
    pub fn snapshot(&self) -> Progress {
        self.0.progress.borrow().clone()
    }

    /// Says what holds the run at a stage.
    pub fn hold(&self, hold: StageHold) {
        self.say(&format!("{} ({})", hold.message, hold.reason), None);
        self.0.progress.send_if_modified(|progress| {
            let hold = Some(hold.after(progress.stage_hold.as_ref()));
            let changed = progress.stage_hold != hold;
            progress.stage_hold = hold;
            changed
        });
    }

    /// Nothing holds the run at a stage any more.
    pub fn release(&self) {
        self.0.progress.send_if_modified(|progress| {
            let held = progress.stage_hold.take().is_some();
            if held {
                progress.waiting_for.clear();
            }
            held
        });
    }

    /// Snapshots as they change.
    #[cfg(test)]
    pub fn subscribe(&self) -> watch::Receiver<Progress> {
        self.0.progress.subscribe()
    }

    /// Says what the run waits for; empty when it works.
    pub fn wait_for(&self, what: &str) {
        self.say(what, None);
    }

    /// Says what the run waits for, and who that is.
    pub fn wait_for_obstacle(&self, obstacle: Obstacle) {
        self.say(&obstacle.words, obstacle.blocker);
    }

    fn say(&self, what: &str, blocker: Option<Blocker>) {
        self.0.progress.send_if_modified(|progress| {
            let blocker = blocker.map(|blocker| blocker.after(progress.blocker.as_ref()));
            let changed = progress.waiting_for != what || progress.blocker != blocker;
            what.clone_into(&mut progress.waiting_for);
            progress.blocker = blocker;
            changed
        });
    }

    /// Takes back what [`Meter::wait_for`] said, unless something else was said since.
    pub fn no_longer_wait_for(&self, what: &str) {
        self.0.progress.send_if_modified(|progress| {
            let same = progress.waiting_for == what;
            if same {
                progress.waiting_for.clear();
                progress.blocker = None;
            }
            same
        });
    }

    /// Remembers when a heartbeat was sent.
    pub fn send_heartbeat(&self, number: u64) {
        let mut sent = self.0.heartbeats.lock().unwrap_or_else(PoisonError::into_inner);
        sent.push_back((number, Instant::now()));
        if sent.len() > HEARTBEATS {
            sent.pop_front();
        }
    }

    /// When a heartbeat was sent; the oldest known time when that is forgotten.
    pub fn heartbeat_sent(&self, number: u64) -> Instant {
        let mut sent = self.0.heartbeats.lock().unwrap_or_else(PoisonError::into_inner);
        while sent.front().is_some_and(|(known, _)| *known < number) {
            sent.pop_front();
        }
        sent.front().map_or_else(Instant::now, |(_, at)| *at)
    }

    /// How far the stream is behind the server now: when it stands still, the age of the oldest heartbeat
    /// that it has yet to bring.
    pub fn stream_behind(&self) -> Duration {
        let heard = self.stream_lag().unwrap_or_default();
        let sent = self.0.heartbeats.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = sent.get(1).map(|(_, at)| at.elapsed());
        heard.max(waiting.unwrap_or_default())
    }

    /// Counts a transaction that has to be repeated.
    pub fn add_retry(&self) {
        self.0.retries.fetch_add(1, Ordering::Relaxed);
    }

    /// Transactions that had to be repeated in all attempts of this run.
    pub fn retries(&self) -> u64 {
        self.0.retries.load(Ordering::Relaxed)
    }

    /// Counts keys that a lane made equal.
    pub fn add_keys(&self, keys: u64) {
        self.0.keys_applied.fetch_add(keys, Ordering::Relaxed);
    }

    /// Keys made equal in all attempts of this run.
    pub fn keys_applied(&self) -> u64 {
        self.0.keys_applied.load(Ordering::Relaxed)
    }

    /// Continues the counts of earlier runs.
    pub fn restore(&self, keys_applied: u64, rows_verified: u64) {
        self.0.keys_applied.fetch_max(keys_applied, Ordering::Relaxed);
        self.0.rows_verified.store(rows_verified, Ordering::Relaxed);
    }

    /// Counts rows that verification compared.
    pub fn add_verified(&self, rows: u64) {
        self.0.rows_verified.fetch_add(rows, Ordering::Relaxed);
    }

    /// Rows compared in all.
    pub fn rows_verified(&self) -> u64 {
        self.0.rows_verified.load(Ordering::Relaxed)
    }

    /// Counts rows that verification repairs; returns how many there were in all.
    pub fn add_repaired(&self, rows: u64) -> u64 {
        let mut repaired = 0;
        self.update(|progress| {
            progress.rows_repaired += rows;
            repaired = progress.rows_repaired;
        });
        repaired
    }

    /// Takes a sample of the row copy and publishes rate, share and time left.
    pub fn sample(&self, rows_copied: u64, backlog: u64) {
        let rate = self.rate(rows_copied);
        let keys_applied = self.keys_applied();
        self.update(|progress| {
            progress.rows_copied = rows_copied;
            progress.backlog = backlog;
            progress.keys_applied = keys_applied;
            progress.rows_per_second = rate;
            let copying = progress.phase == PhaseKind::RowCopy;
            progress.percent = percent(rows_copied, progress.rows_estimated, copying);
            progress.eta =
                copying.then(|| eta(rows_copied, progress.rows_estimated, rate)).flatten();
        });
    }

    fn rate(&self, rows_copied: u64) -> f64 {
        let mut samples = self.0.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        samples.push_back((now, rows_copied));
        while samples.len() > 2 && samples.front().is_some_and(|(at, _)| now - *at > WINDOW) {
            samples.pop_front();
        }
        let Some((first, rows)) = samples.front() else { return 0.0 };
        let seconds = (now - *first).as_secs_f64();
        if seconds > 0.0 { as_f64(rows_copied.saturating_sub(*rows)) / seconds } else { 0.0 }
    }

    /// Wall time of each stage so far, in order of first entry.
    pub fn phase_seconds(&self) -> Vec<(String, f64)> {
        let phases = self.0.phases.lock().unwrap_or_else(PoisonError::into_inner);
        let ends = phases.iter().skip(1).map(|(_, at)| *at).chain([Instant::now()]);
        let mut seconds: Vec<(String, f64)> = Vec::new();
        for ((phase, begin), end) in phases.iter().zip(ends) {
            let time = (end - *begin).as_secs_f64();
            match seconds.iter_mut().find(|(name, _)| name == phase.as_str()) {
                Some((_, sum)) => *sum += time,
                None => seconds.push((phase.as_str().to_owned(), time)),
            }
        }
        seconds
    }

    /// Wall time of the run so far.
    pub fn total_seconds(&self) -> f64 {
        self.0.began.elapsed().as_secs_f64()
    }
}

/// Share in percent, below 100 as long as the copy goes on.
fn percent(done: u64, estimated: u64, copying: bool) -> f64 {
    match (copying, estimated) {
        (false, _) if done > 0 => 100.0,
        (_, 0) => 0.0,
        (_, _) => (as_f64(done) / as_f64(estimated) * 100.0).min(99.9),
    }
}

fn eta(done: u64, estimated: u64, rate: f64) -> Option<Duration> {
    let left = as_f64(estimated.saturating_sub(done));
    (rate > 0.0 && left > 0.0).then(|| Duration::from_secs_f64(left / rate))
}

/// Counts as a floating point number; the loss beyond 2^53 does not matter for display.
#[expect(clippy::cast_precision_loss, reason = "for display only")]
pub fn as_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn share_is_clamped_until_the_copy_ends() {
        assert!((percent(50, 100, true) - 50.0).abs() < f64::EPSILON);
        assert!((percent(500, 100, true) - 99.9).abs() < f64::EPSILON);
        assert!((percent(500, 100, false) - 100.0).abs() < f64::EPSILON);
        assert!(percent(5, 0, true).abs() < f64::EPSILON);
    }

    #[test]
    fn time_left_is_unknown_without_a_rate() {
        assert_eq!(eta(10, 100, 0.0), None);
        assert_eq!(eta(10, 100, 9.0), Some(Duration::from_secs(10)));
        assert_eq!(eta(100, 100, 9.0), None);
    }
}
