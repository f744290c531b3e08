//! How quickly keys are applied and compared, to predict how long a cut-over would hold its lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Keys per second before anything was measured: slower than any machine that was tried.
const CAUTIOUS: u64 = 10_000;
/// Lock, marker, RENAME and unlock without any key.
const FIXED: Duration = Duration::from_millis(50);

/// Measured speeds in keys per second.
pub struct Pace {
    applied: AtomicU64,
    compared: AtomicU64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { applied: AtomicU64::new(CAUTIOUS), compared: AtomicU64::new(CAUTIOUS) }
    }
}

impl Pace {
    /// Learns from a batch that was applied.
    pub fn applied(&self, keys: usize, took: Duration) {
        learn(&self.applied, keys, took);
    }

    /// Learns from keys that were compared.
    pub fn compared(&self, keys: usize, took: Duration) {
        learn(&self.compared, keys, took);
    }

    /// How long it takes to apply so many keys.
    pub fn time_to_apply(&self, keys: usize) -> Duration {
        time_for(keys, &self.applied)
    }

    /// How long a lock would be held to apply and compare so many keys; those applied under the lock
    /// are compared as well.
    pub fn predicted_hold(&self, backlog: usize, dirty: usize) -> Duration {
        let apply = time_for(backlog, &self.applied);
        let compare = time_for(backlog + dirty, &self.compared);
        FIXED + apply + compare
    }
}

/// Small samples say more about the round trip than about the pace.
const SAMPLE: usize = 100;

fn learn(pace: &AtomicU64, keys: usize, took: Duration) {
    if keys < SAMPLE {
        return;
    }
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
    let now = (keys as u64).saturating_mul(1_000_000) / micros;
    let known = pace.load(Ordering::Relaxed);
    pace.store((known * 3 + now.max(1)) / 4, Ordering::Relaxed);
}

fn time_for(keys: usize, pace: &AtomicU64) -> Duration {
    let pace = pace.load(Ordering::Relaxed).max(1);
    Duration::from_micros((keys as u64).saturating_mul(1_000_000) / pace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prediction_follows_what_was_measured() {
        let pace = Pace::default();
        assert_eq!(pace.predicted_hold(0, 0), FIXED);
        assert_eq!(pace.predicted_hold(100, 0), FIXED + Duration::from_millis(20));
        for _ in 0..50 {
            pace.applied(1000, Duration::from_millis(10));
            pace.compared(1000, Duration::from_millis(10));
        }
        let hold = pace.predicted_hold(1000, 1000);
        assert!(hold < FIXED + Duration::from_millis(35), "{hold:?}");
    }
}
