//! A migration as the API shows it, whoever knows it. What is unknown is absent; durations are seconds.

use serde::Serialize;
use serde_json::Value;

/// A migration as it stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Migration {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Database of the table.
    pub database: String,
    /// The table that is changed.
    pub table: String,
    /// The change, as its user wrote it.
    pub alter: String,
    /// Where it stands, one word.
    pub phase: String,
    /// What goes on, in words; empty when there is nothing to say.
    pub message: String,
    /// Whether it has ended.
    pub ended: bool,
    /// Whether it is paused.
    pub paused: bool,
    /// Why it is paused when nobody asked for it, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused_by: Option<String>,
    /// Whether its cut-over has to wait.
    pub postponed: bool,
    /// Commands that would change something now.
    pub actions: Vec<&'static str>,
    /// Figures; absent before a worker has any.
    #[serde(flatten)]
    pub figures: Figures,
    /// Why it goes slower than it could.
    pub throttled: Vec<Throttled>,
    /// What it waits for; absent when it works.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
    /// Who is in the way of the cut-over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocker: Option<Blocker>,
    /// What the latest pause has cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_pause: Option<Pause>,
    /// Settings as they hold and where they come from.
    pub settings: Vec<Setting>,
    /// What was set through the API and lies over the file of a run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub laid_over: Vec<Laid>,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
}

/// Figures of a migration.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// Rows copied.
    pub rows_copied: u64,
    /// Rows that the table is believed to have.
    pub rows_estimated: u64,
    /// Share of the row copy that is done, 0 to 100.
    pub percent: f64,
    /// Share of the rows that is verified, 0 to 100.
    pub verified_percent: f64,
    /// Rows that verification repaired.
    pub rows_repaired: u64,
    /// Rows copied per second.
    pub rows_per_second: f64,
    /// Keys made equal on behalf of binlog events.
    pub keys_applied: u64,
    /// Keys that wait to be applied.
    pub backlog: u64,
    /// How far the stream is behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_lag_seconds: Option<f64>,
    /// How far the control replica that is furthest behind is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replica_lag_seconds: Option<f64>,
    /// How long the binlog still keeps what a restart would need.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binlog_headroom_seconds: Option<f64>,
    /// Time to the end of the row copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eta_seconds: Option<f64>,
    /// Cut-over attempts made.
    pub cut_over_attempts: u64,
    /// Why the last one did not swap; empty when there was none.
    pub last_cut_over_error: String,
}

/// One reason for going slower.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Throttled {
    /// What is watched, one word.
    pub signal: String,
    /// What it saw, in words.
    pub reason: String,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
}

/// Who is in the way of a cut-over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Blocker {
    /// The server's number for the connection.
    pub id: String,
    /// `user@host`.
    pub user: String,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// What it holds.
    pub holds: String,
    /// Its statement, without values.
    pub statement: String,
}

/// What a pause has cost.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pause {
    /// Why it was paused.
    pub reason: String,
    /// How long it lasted.
    pub seconds: f64,
    /// Keys that were applied meanwhile.
    pub keys_applied: u64,
    /// Keys that waited at its end.
    pub backlog: u64,
    /// Time that applying them was expected to take.
    pub catch_up_seconds: f64,
}

/// A setting as it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// The field, as below `spec`.
    pub field: String,
    /// Its value.
    pub value: String,
    /// Where it comes from.
    pub origin: String,
}

/// A field that the API holds against the file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Laid {
    /// The field, as below `spec`.
    pub field: String,
    /// The value that holds; null for none.
    pub value: Value,
}

/// A migration in the list.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line<'a> {
    namespace: &'a str,
    name: &'a str,
    database: &'a str,
    table: &'a str,
    phase: &'a str,
    percent: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    eta_seconds: Option<f64>,
}

impl<'a> From<&'a Migration> for Line<'a> {
    fn from(migration: &'a Migration) -> Self {
        Self {
            namespace: &migration.namespace,
            name: &migration.name,
            database: &migration.database,
            table: &migration.table,
            phase: &migration.phase,
            percent: migration.figures.percent,
            eta_seconds: migration.figures.eta_seconds,
        }
    }
}
