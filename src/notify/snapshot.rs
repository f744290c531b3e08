//! What is known of a migration at one moment. Plain data that the caller makes from what it has; nothing
//! here knows where it comes from.

use std::time::Duration;

use jiff::Timestamp;

/// What is known of a migration at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// What no other migration has, not even a later one of the same name.
    pub id: String,
    /// `namespace/name`.
    pub migration: String,
    /// `database.table`.
    pub table: String,
    /// Where it stands in its life.
    pub stage: Stage,
    /// Since when it stands there, as far as known.
    pub since: Timestamp,
    /// The same for people: the phase.
    pub phase: String,
    /// The stable word of the reason; empty when there is none.
    pub reason: String,
    /// What is going on, in a sentence or two.
    pub message: String,
    /// How far it has come; stays the same as long as nothing moves.
    pub advance: Advance,
    /// How far the worker or a replica is behind, whichever is more; absent when unknown.
    pub lag: Option<Duration>,
    /// Why it is held; empty when nothing holds it.
    pub held: Vec<Held>,
    /// Whether it rests because its hours have not come.
    pub rests: bool,
    /// Since when it is paused.
    pub paused_since: Option<Timestamp>,
    /// What it waits for; empty when it works.
    pub waits_for: String,
    /// Cut-over attempts made.
    pub cut_over_attempts: u64,
    /// Why the last of them did not swap; empty when there was none.
    pub cut_over_error: String,
    /// Keys received and not yet applied.
    pub backlog: u64,
    /// For how long the server still keeps what the stream needs; absent when unknown.
    pub retention: Option<Duration>,
}

/// How far a migration has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advance {
    /// Its phase.
    pub phase: String,
    /// Rows copied.
    pub rows: u64,
    /// Keys applied; counts only when nothing else is to be done.
    pub keys: u64,
    /// Share of rows compared, in hundredths of a percent.
    pub verified: u64,
    /// Cut-over attempts.
    pub attempts: u64,
}

/// Where a migration stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Nothing has begun.
    Pending,
    /// It works.
    Working,
    /// Everything but the cut-over is done, and that is postponed.
    Postponed,
    /// An attempt failed; another one follows.
    Retrying,
    /// It ended well.
    Succeeded,
    /// It ended badly or was refused.
    Failed,
    /// It was stopped by panic.
    Panicked,
    /// It was given up on request.
    Aborted,
    /// It was left on request, or is being deleted.
    Leaving,
}

impl Stage {
    /// Whether a worker is, or should be, at work.
    pub fn is_under_way(self) -> bool {
        matches!(self, Self::Working | Self::Postponed)
    }
}

/// Something that holds a migration.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// In words.
    pub words: String,
    /// Since when.
    pub since: Timestamp,
}
