//! What the user currently asks of a run. It arrives from outside (a saved file, a watched resource)
//! over a watch channel and is seen at defined points: between chunks, between batches, before each
//! cut-over attempt, and, for panic, everywhere.

use std::time::Duration;

/// The latest wishes and settings, replaced as a whole on each change.
#[derive(Clone, Debug, PartialEq)]
pub struct Intent {
    /// Where the migration shall go.
    pub command: Command,
    /// Whether the cut-over has to wait although everything is ready.
    pub postpone_cut_over: bool,
    /// Settings that may change at any time.
    pub tuning: Tuning,
}

/// The one thing asked for; the strongest wins when several are set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Go on to the end.
    Run,
    /// Hold copying and verification between chunks; following the binlog and applying go on.
    Pause,
    /// Stop within a batch and leave everything so that a later run continues.
    Leave,
    /// Stop, drop what was created, leave the source table as it is.
    Abort,
    /// Stop within a second, touch nothing, keep every table.
    Panic,
}

/// Settings that take effect within one chunk.
#[derive(Clone, Debug, PartialEq)]
pub struct Tuning {
    /// Ranges copied at a time.
    pub copy_threads: usize,
    /// How long one chunk should take.
    pub chunk_time: Duration,
    /// Upper limit of copied rows per second; 0 means none.
    pub max_rows_per_second: u64,
    /// Longest time that writers may be blocked by one cut-over attempt.
    pub lock_budget: Duration,
    /// Cut-over attempts before the migration fails; 0 means no limit.
    pub max_cut_over_attempts: u32,
    /// Rows that verification may repair before the migration fails.
    pub repair_limit: u64,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            copy_threads: 2,
            chunk_time: Duration::from_millis(500),
            max_rows_per_second: 0,
            lock_budget: Duration::from_secs(1),
            max_cut_over_attempts: 0,
            repair_limit: 0,
        }
    }
}
