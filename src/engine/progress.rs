//! Counters and the snapshot of a run that everybody outside sees: the bar, the JSON lines, later the
//! status of the resource. Published over a watch channel; holds no row value and no secret.

use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::blocker::Blocker;
use super::phase::PhaseKind;
use super::stage::StageHold;
use super::throttle::Reason;
use super::throttle::recovery::PauseReport;

/// A snapshot of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// The engine's stage.
    pub phase: PhaseKind,
    /// Rows copied from the source table to the shadow table, by all attempts.
    pub rows_copied: u64,
    /// Rows the source table is believed to have.
    pub rows_estimated: u64,
    /// Share of the row copy that is done, 0 to 100, never beyond.
    pub percent: f64,
    /// Rows copied per second over the last seconds.
    pub rows_per_second: f64,
    /// Keys made equal on behalf of binlog events.
    pub keys_applied: u64,
    /// Keys received and not yet applied.
    pub backlog: u64,
    /// Age of the newest own heartbeat seen in the stream; absent before the first.
    #[serde(with = "seconds", skip_serializing_if = "Option::is_none")]
    pub stream_lag: Option<Duration>,
    /// How far the control replica that is furthest behind is; absent when none can be seen.
    #[serde(with = "seconds", skip_serializing_if = "Option::is_none")]
    pub replica_lag: Option<Duration>,
    /// How long the binlog still keeps what a restart would need; absent when it is kept for ever.
    #[serde(with = "seconds", skip_serializing_if = "Option::is_none")]
    pub binlog_headroom: Option<Duration>,
    /// What the latest pause has cost; absent before there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_pause: Option<PauseReport>,
    /// Time to the end of the row copy; absent when unknown.
    #[serde(with = "seconds", skip_serializing_if = "Option::is_none")]
    pub eta: Option<Duration>,
    /// Share of the key space that is verified, 0 to 100.
    pub verified_percent: f64,
    /// Rows that verification found different and repaired.
    pub rows_repaired: u64,
    /// Why the run goes slower than it could; empty when nothing holds it.
    pub throttled: Vec<Reason>,
    /// What the run waits for, in one sentence; empty when it works.
    pub waiting_for: String,
    /// What holds the run at a stage; absent when nothing does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage_hold: Option<StageHold>,
    /// Cut-over attempts made.
    pub cut_over_attempts: u32,
    /// Why the last cut-over attempt did not swap; empty when there was none.
    pub last_cut_over_error: String,
    /// Who is in the way of the cut-over, also when the run fails of it; absent when nobody is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocker: Option<Blocker>,
    /// What was found and decided before the copy began; absent until then.
    #[serde(skip)]
    pub plan: Option<PlanSummary>,
    /// When this run started.
    #[serde(skip)]
    pub started_at: SystemTime,
}

impl Progress {
    /// Whether nothing is copied, compared or swapped for the application's sake.
    pub fn is_held(&self) -> bool {
        self.throttled.iter().any(|reason| reason.signal.holds())
    }
}

/// What was found and decided before the copy began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanSummary {
    /// `Instant` or `Copy`.
    pub strategy: String,
    /// The index by which rows are identified, with its columns.
    pub key: String,
    /// Name of the shadow table.
    pub shadow_table: String,
    /// Name that the old table gets.
    pub old_table: String,
    /// Name of the control table.
    pub control_table: String,
    /// What is worth knowing, one sentence each.
    pub warnings: Vec<String>,
}

mod seconds {
    //! Optional durations as seconds with a fraction.
    use std::time::Duration;

    use serde::Serializer;

    #[expect(clippy::ref_option, reason = "the signature that serde asks for")]
    pub(super) fn serialize<S: Serializer>(
        value: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => serializer.serialize_f64(value.as_secs_f64()),
            None => serializer.serialize_none(),
        }
    }
}
