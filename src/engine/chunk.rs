//! How many rows the next chunk has, and how many may be copied per second.

use std::time::{Duration, Instant};

use super::meter::as_f64;

/// Rows of the first chunk.
const FIRST: u64 = 1000;
/// The fewest rows of a chunk.
const FEWEST: u64 = 10;

/// The size of the next chunk, led towards a time.
#[derive(Clone, Copy, Debug)]
pub struct ChunkSize {
    rows: u64,
    most: u64,
}

impl ChunkSize {
    /// A size to begin with, which never grows beyond `most` rows.
    pub fn up_to(most: u64) -> Self {
        Self { rows: FIRST.min(most), most }
    }

    /// Rows of the next chunk.
    pub fn rows(self) -> u64 {
        self.rows
    }

    /// Learns from a chunk: at most doubles, at most halves. A chunk that found few rows, such as
    /// the last one, tells nothing.
    pub fn observe(&mut self, rows: u64, took: Duration, target: Duration) {
        if rows * 2 < self.rows {
            return;
        }
        let factor = (target.as_secs_f64() / took.as_secs_f64().max(1e-6)).clamp(0.5, 2.0);
        self.rows = scaled(rows, factor).clamp(FEWEST, self.most);
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the factor is positive and the product far below the limits"
)]
fn scaled(rows: u64, factor: f64) -> u64 {
    (as_f64(rows) * factor) as u64
}

/// Keeps the row copy below a number of rows per second.
#[derive(Debug)]
pub struct RateLimit {
    spent: u64,
    since: Instant,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self { spent: 0, since: Instant::now() }
    }
}

impl RateLimit {
    /// Counts copied rows.
    pub fn spend(&mut self, rows: u64) {
        self.spent += rows;
    }

    /// How long the copy has to wait so that the rows copied so far are within the limit; 0 means none.
    pub fn debt(&mut self, rows_per_second: u64) -> Duration {
        let elapsed = self.since.elapsed();
        if rows_per_second == 0 {
            *self = Self::default();
            return Duration::ZERO;
        }
        let due = Duration::from_secs_f64(as_f64(self.spent) / as_f64(rows_per_second));
        if due < elapsed {
            // Unused time is not saved up for a burst.
            *self = Self::default();
        }
        due.saturating_sub(elapsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_follows_the_time_target_within_a_factor_of_two() {
        let target = Duration::from_millis(500);
        let mut size = ChunkSize::up_to(100_000);
        size.observe(1000, Duration::from_millis(1), target);
        assert_eq!(size.rows(), 2000);
        size.observe(2000, Duration::from_secs(10), target);
        assert_eq!(size.rows(), 1000);
        size.observe(1000, Duration::from_millis(400), target);
        assert_eq!(size.rows(), 1250);
        size.observe(3, Duration::from_millis(1), target);
        assert_eq!(size.rows(), 1250, "a chunk at the end tells nothing");
        let mut small = ChunkSize::up_to(1500);
        small.observe(1000, Duration::from_millis(1), target);
        assert_eq!(small.rows(), 1500);
    }

    #[test]
    fn rate_limit_asks_for_the_time_that_is_missing() {
        let mut rate = RateLimit::default();
        rate.spend(1000);
        assert!(rate.debt(100) > Duration::from_secs(9));
        assert_eq!(rate.debt(0), Duration::ZERO);
    }
}
