//! How often who may ask: buckets that fill with time, one for each caller and one for all. Pure; the time is
//! given.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Callers whose buckets are remembered.
const CALLERS: usize = 1024;
/// Requests at once, and requests a second, of one caller and of all.
const OF_ONE: (f64, f64) = (60.0, 20.0);
const OF_ALL: (f64, f64) = (600.0, 200.0);

/// What is left to each caller.
#[derive(Debug, Default)]
pub struct Limits {
    all: Option<Bucket>,
    callers: HashMap<u64, Bucket>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Limits {
    /// Takes one request of a caller; whether it may be answered.
    pub fn take(&mut self, caller: u64, now: Instant) -> bool {
        if self.callers.len() >= CALLERS && !self.callers.contains_key(&caller) {
            // A bucket that is full again says nothing.
            self.callers.retain(|_, bucket| now.duration_since(bucket.at) < time_to_fill(OF_ONE));
            if self.callers.len() >= CALLERS {
                return false;
            }
        }
        let fresh = |(capacity, _): (f64, f64)| Bucket { left: capacity, at: now };
        let of_one = self.callers.entry(caller).or_insert_with(|| fresh(OF_ONE));
        of_one.take(OF_ONE, now) && self.all.get_or_insert_with(|| fresh(OF_ALL)).take(OF_ALL, now)
    }
}

impl Bucket {
    fn take(&mut self, (capacity, rate): (f64, f64), now: Instant) -> bool {
        let gained = now.duration_since(self.at).as_secs_f64() * rate;
        self.left = (self.left + gained).min(capacity);
        self.at = now;
        let may = self.left >= 1.0;
        if may {
            self.left -= 1.0;
        }
        may
    }
}

fn time_to_fill((capacity, rate): (f64, f64)) -> Duration {
    Duration::from_secs_f64(capacity / rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(limits: &mut Limits, caller: u64, requests: usize, now: Instant) -> usize {
        (0..requests).filter(|_| limits.take(caller, now)).count()
    }

    #[test]
    fn one_caller_gets_a_burst_and_then_a_rate() {
        let (mut limits, now) = (Limits::default(), Instant::now());
        assert_eq!(granted(&mut limits, 1, 100, now), 60);
        assert_eq!(granted(&mut limits, 2, 1, now), 1, "another one is not held up");
        assert_eq!(granted(&mut limits, 1, 100, now + Duration::from_secs(1)), 20);
        assert_eq!(granted(&mut limits, 1, 100, now + Duration::from_secs(60)), 60);
    }

    #[test]
    fn all_together_have_a_limit_and_callers_are_forgotten() {
        let (mut limits, now) = (Limits::default(), Instant::now());
        let all: usize = (0..20).map(|caller| granted(&mut limits, caller, 60, now)).sum();
        assert_eq!(all, 600);
        let mut limits = Limits::default();
        let served = (0..5000).filter(|caller| limits.take(*caller, now)).count();
        assert!(limits.callers.len() <= CALLERS && served <= CALLERS, "{served}");
        assert!(limits.take(9999, now + Duration::from_secs(10)), "old buckets go");
    }
}
