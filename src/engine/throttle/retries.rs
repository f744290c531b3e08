//! How often transactions of ours are repeated, because a lock was refused or a deadlock was broken. Where
//! ours meet such errors, the application's do.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Limits;
use super::probe::Gauge;
use super::signal::Signal;
use crate::engine::context::Context;

/// What the rate is about.
const MINUTE: Duration = Duration::from_secs(60);

/// `throttle.maxRetriesPerMinute`.
#[derive(Default)]
pub(super) struct Retries {
    /// Counts at earlier times, the oldest first.
    counts: VecDeque<(Instant, u64)>,
}

impl Gauge for Retries {
    const SIGNAL: Signal = Signal::MaxRetriesPerMinute;

    fn read(&mut self, context: &Context, limits: &Limits) -> Option<String> {
        let limit = limits.max_retries_per_minute?;
        let rate = self.observe(context.meter.retries(), Instant::now());
        (rate > limit).then(|| {
            format!(
                "{rate} transactions of the migration were repeated in a minute, above \
                 maxRetriesPerMinute of {limit}"
            )
        })
    }
}

impl Retries {
    /// How many there were in the last minute, now that there were so many in all.
    fn observe(&mut self, count: u64, now: Instant) -> u64 {
        self.counts.push_back((now, count));
        while self.counts.len() > 1 && self.counts.front().is_some_and(|(at, _)| now - *at > MINUTE)
        {
            self.counts.pop_front();
        }
        self.counts.front().map_or(0, |(_, first)| count.saturating_sub(*first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_minute_counts() {
        let (mut retries, start) = (Retries::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let rows = [(0, 7, 0), (10, 9, 2), (50, 30, 23), (65, 30, 21), (120, 31, 1), (200, 31, 0)];
        for (seconds, count, rate) in rows {
            assert_eq!(retries.observe(count, at(seconds)), rate, "after {seconds} s");
        }
    }
}
