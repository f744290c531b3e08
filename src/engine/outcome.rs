//! How a run ends when it does not fail: terminal outcomes are not phases.

use std::time::Duration;

use serde::Serialize;

use crate::schema::table::TableName;

/// The end of a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The source table has its new definition.
    Completed(Report),
    /// The ledger says that this very migration was finished before; nothing was done.
    AlreadyApplied {
        /// When it finished, as the server wrote it (UTC).
        finished_at: String,
    },
    /// Stopped on request; everything is kept so that a later run continues.
    Left,
    /// Stopped on request; what was created is dropped, the source table is untouched.
    Aborted,
    /// Stopped by panic; every table is kept and nothing was touched.
    Panicked,
}

/// What a finished migration did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// `Instant` or `Copy`.
    pub strategy: String,
    /// Rows copied.
    pub rows_copied: u64,
    /// Keys made equal on behalf of binlog events.
    pub keys_applied: u64,
    /// Rows compared by verification.
    pub rows_verified: u64,
    /// Rows that verification repaired.
    pub rows_repaired: u64,
    /// From the LOCK TABLES being sent to the UNLOCK answered: the longest a writer can have waited.
    pub lock_seconds: f64,
    /// Cut-over attempts made.
    pub cut_over_attempts: u32,
    /// Wall time of this run by phase, in order.
    pub phase_seconds: Vec<(String, f64)>,
    /// Wall time of this run.
    pub total_seconds: f64,
    /// The former source table, kept for now; absent when it was dropped or never existed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old_table: Option<String>,
    /// Until when the old table is kept (UTC), when it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old_table_expires: Option<String>,
}

/// What `plan` found out; nothing was changed on the server.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanReport {
    /// The table to be changed.
    #[serde(skip)]
    pub source: TableName,
    /// `Instant` or `Copy`, or `Refused`.
    pub strategy: String,
    /// The migration key: index name and its columns.
    pub key: String,
    /// Names of the shadow, old and control table.
    pub helpers: Vec<String>,
    /// The definition now.
    pub definition_before: String,
    /// The definition after, as the server printed it for the empty shadow table.
    pub definition_after: String,
    /// Things worth knowing, one sentence each.
    pub warnings: Vec<String>,
    /// Refusals: reason, cause and remedy of each check that fails.
    pub refusals: Vec<(String, String, String)>,
    /// Rows as estimated by the dictionary.
    pub estimated_rows: u64,
    /// Bytes of data and indexes as estimated by the dictionary: the disk the shadow table needs.
    pub size_bytes: u64,
    /// Expected time, when a copy is needed.
    #[serde(skip)]
    pub estimated_time: Option<Duration>,
}
