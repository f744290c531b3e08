//! The status of a `SchemaMigration`. Each field has one writer: `plan`, `progress`, `report` and
//! `effective` belong to the worker, everything else to the controller. Usually below 8 KiB; no row value and no
//! secret.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::hook_jobs::{HookJobStatus, QuestionStatus};

/// The longest text in a status, in characters.
pub const TEXT_LIMIT: usize = 1024;
/// Transitions that are kept.
pub const TRANSITIONS: usize = 20;
/// Changes of controls and settings that are kept.
pub const CHANGES: usize = 20;

/// What is known about a migration.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SchemaMigrationStatus {
    /// The generation of the resource that this status is about; -1 before the first look.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where the migration stands, in one word, for people. Programs read the conditions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// What is going on, what is waited for and what to do, in a sentence or two.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Ready, Reconciling and Stalled for tools; Succeeded for the end; and those of the migration.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"])
    )]
    pub conditions: Vec<Condition>,
    /// Number of the newest worker Job; raised before the Job is created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<i64>,
    /// The worker of that attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<WorkerStatus>,
    /// How the cut-over stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut_over: Option<CutOverStatus>,
    /// Stages that people have approved. Nothing takes that away.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2))]
    pub approvals: Vec<ApprovalStatus>,
    /// What became of the newest Jobs of hooks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub hook_jobs: Vec<HookJobStatus>,
    /// Control fields and the annotation of the cut-over, as people have set them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controls: Option<ControlsStatus>,
    /// Who changed which control or setting, and what was seen last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit: Option<AuditStatus>,
    /// When panic was first seen, and from whom. Only a retry takes it away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub panicked: Option<Latch>,
    /// The retry that was last acted upon: the value of its annotation.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub retried: Option<String>,
    /// When the first attempt was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When the migration ended, well or badly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Time>,
    /// How it ended: as its worker reported, or as far as its exit code tells. Only another attempt
    /// takes it away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
    /// The last changes of phase, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub transitions: Vec<Transition>,
    /// What was found and decided before the copy began. Written by the worker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanStatus>,
    /// Figures of the running migration. Written by the worker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<ProgressStatus>,
    /// What the worker says of itself. Written by the worker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<WorkerReport>,
    /// The settings as they hold, and where each comes from. Written by the worker.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub effective: Vec<EffectiveSetting>,
}

/// A setting as it holds.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EffectiveSetting {
    /// The field, as below `spec`.
    pub field: String,
    /// Its value; `none` when there is none.
    pub value: String,
    /// `Default`, `Preset`, `Target`, `Migration` or `Profile(NAME)`.
    pub origin: String,
}

/// The worker of an attempt, as the controller sees it.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkerStatus {
    /// Name of the Job.
    pub job: String,
    /// Name of the pod that reported last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// Image that all attempts of this migration run, so that an upgrade does not touch it.
    pub image: String,
    /// When the attempt was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// Attempts in a row that ended without progress; the pause before the next one grows with them.
    pub failures: i64,
    /// Not before this time is the next attempt made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<Time>,
}

/// How the cut-over stands, as the controller sees it.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CutOverStatus {
    /// `Postponed`, `Allowed` or `Done`.
    pub state: String,
    /// The permission that was given to a postponed cut-over. A later `postponeCutOver: true` of a
    /// tool that re-applies what it holds does not take it away; `kubectl ghostship postpone` does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permission: Option<Latch>,
    /// Attempts made.
    pub attempts: i64,
    /// Why the last attempt did not swap, and who was in the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// Who is in the way, also when the migration failed of it; absent when nobody is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocker: Option<BlockerStatus>,
    /// How long the swap made writers wait at the most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock_time: Option<String>,
}

/// Who is in the way of a cut-over. No row value and no literal of a statement.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BlockerStatus {
    /// The server's number for the connection, which `KILL` takes; of a transaction that was prepared by
    /// XA, its xid.
    pub id: String,
    /// `user@host`; absent for a transaction that was prepared by XA.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// Since when its transaction is open, or its command runs when it has none; absent when unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// What it holds: a table, or a lock by its name.
    pub holds: String,
    /// Its statement, the last one when it idles, without values; its command when that is not known.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub statement: String,
}

/// What people have set and no GitOps tool holds; by this it is known when a tool takes it back.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ControlsStatus {
    /// Each of them.
    #[schemars(length(max = 8))]
    pub set: Vec<SetControl>,
    /// When a tool had last changed the resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools_wrote_at: Option<Time>,
}

/// A control that somebody has set.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SetControl {
    /// The field or annotation.
    pub through: String,
    /// Its value.
    pub value: String,
    /// Who wrote it, as far as known: the field manager.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub by: String,
    /// When it was first seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
}

/// Who changed which control or setting, and what was seen last: a change is what differs from that.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AuditStatus {
    /// The last changes, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub changes: Vec<ChangeStatus>,
    /// Each control and setting that is written, as it was seen last.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub seen: BTreeMap<String, String>,
    /// Who owned each control field then.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub owners: BTreeMap<String, String>,
    /// The generation of the resource then.
    pub generation: i64,
    /// When anybody but ghostship itself had last written the resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wrote_at: Option<Time>,
}

/// A change of a control or setting.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ChangeStatus {
    /// When, as the API server noted it down for whoever wrote; when it was seen, if it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// The field or annotation.
    pub field: String,
    /// Its value before; `none` when there was none. The same as after when it was changed and changed
    /// back before anybody looked.
    pub from: String,
    /// Its value after.
    pub to: String,
    /// Who wrote it: the field manager; empty when that is not known.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub by: String,
}

/// Something that was seen once and holds from then on.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Latch {
    /// When it was first seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// Who wrote it, as far as known: the field manager.
    pub by: String,
    /// What was written: the field or annotation.
    pub through: String,
}

/// A stage that somebody has approved.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ApprovalStatus {
    /// The stage.
    pub stage: String,
    /// Who wrote it, as far as known: the field manager.
    pub by: String,
    /// When it was first seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// What was written: the annotation.
    pub through: String,
}

/// What holds a migration at a stage.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HoldStatus {
    /// The stage.
    pub stage: String,
    /// The stable word of the reason.
    pub reason: String,
    /// Who or what is waited for.
    pub message: String,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
}

/// A change of phase.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Transition {
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// The phase from then on.
    pub phase: String,
    /// Why, one word.
    pub reason: String,
}

/// Figures of a running migration. Durations are written as `1h2m3s` or `12ms`.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProgressStatus {
    /// Rows copied, by all attempts.
    pub rows_copied: i64,
    /// Rows that the table is believed to have.
    pub rows_estimated: i64,
    /// Share of the row copy that is done, 0 to 100.
    pub percent: i64,
    /// Rows copied per second over the last seconds.
    pub rows_per_second: i64,
    /// Keys made equal on behalf of binlog events.
    pub keys_applied: i64,
    /// Keys received and not yet applied.
    pub backlog: i64,
    /// How far the worker is behind the binlog; absent before the first heartbeat.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_lag: Option<String>,
    /// How far the control replica that is furthest behind is; absent when none can be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replica_lag: Option<String>,
    /// How long the binlog still keeps what a restart would need; absent when it is kept for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binlog_headroom: Option<String>,
    /// What the latest pause of this attempt has cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_pause: Option<PauseStatus>,
    /// Time to the end of the row copy; absent when unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eta: Option<String>,
    /// Share of the rows that is verified, 0 to 100.
    pub verified_percent: i64,
    /// Rows that verification found different and repaired.
    pub rows_repaired: i64,
    /// Why the migration goes slower than it could; empty when nothing holds it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub throttled: Vec<ThrottleReason>,
    /// Cut-over attempts made.
    pub cut_over_attempts: i64,
    /// Why the last cut-over attempt did not swap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_cut_over_error: Option<String>,
}

/// One reason for going slower.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ThrottleReason {
    /// What is watched, one word: the field that sets its limit, or `autoPause`, `query`, `retention`,
    /// `baseline`.
    pub signal: String,
    /// The reason, in words.
    pub reason: String,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
}

/// What a pause has cost.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PauseStatus {
    /// Why it was paused.
    pub reason: String,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// How long it lasted.
    pub lasted: String,
    /// Keys that were applied meanwhile.
    pub keys_applied: i64,
    /// Keys that waited to be applied at its end.
    pub backlog: i64,
    /// Time that applying them was expected to take.
    pub catch_up: String,
}

/// What a worker says of itself.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkerReport {
    /// The attempt that reports.
    pub attempt: i64,
    /// Its pod.
    pub pod: String,
    /// The engine's stage.
    pub phase: String,
    /// What it waits for; absent when it works.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
    /// Since when it waits for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_since: Option<Time>,
    /// What holds it at a stage: a hook, an approval or a check; absent when nothing does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<HoldStatus>,
    /// What Jobs are asked; those that are only told stay until their Job is known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    pub questions: Vec<QuestionStatus>,
    /// How often Jobs were asked, by all attempts; the number of the newest question.
    #[serde(skip_serializing_if = "is_none_yet")]
    pub asked: i64,
    /// Who is in the way of the cut-over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocker: Option<BlockerStatus>,
    /// When this was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Time>,
    /// How the attempt ended; absent while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
}

impl WorkerReport {
    /// Who is in the way of the cut-over, as long as the attempt goes on or when it has failed; who was in
    /// the way of one that ended otherwise is not.
    pub fn standing_blocker(&self) -> Option<&BlockerStatus> {
        let still_matters =
            |ending: &Ending| matches!(ending.outcome, EndingKind::Failed | EndingKind::Refused);
        self.blocker.as_ref().filter(|_| self.ending.as_ref().is_none_or(still_matters))
    }
}

/// What was found and decided before the copy began.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PlanStatus {
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
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub warnings: Vec<String>,
}

/// How an attempt ended.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Ending {
    /// Which end it was.
    pub outcome: EndingKind,
    /// The stable word of the cause when it ended badly, the outcome otherwise.
    pub reason: String,
    /// The cause, one sentence.
    pub message: String,
    /// What to do, one sentence; empty when there is nothing to do.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remedy: String,
    /// What is left behind on the server; empty when nothing is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kept: String,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// Whole time of the attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub took: Option<String>,
    /// How long writers were blocked at the most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock_time: Option<String>,
    /// Rows that were compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows_verified: Option<i64>,
    /// The old table, while it is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old_table: Option<String>,
    /// Until when it is kept (UTC).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old_table_expires: Option<String>,
}

/// The ends of an attempt.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndingKind {
    #[expect(missing_docs, reason = "a text here would split the enum in the schema")]
    Completed,
    #[expect(missing_docs, reason = "a text here would split the enum in the schema")]
    AlreadyApplied,
    #[default]
    #[expect(missing_docs, reason = "a text here would split the enum in the schema")]
    Left,
    #[expect(missing_docs, reason = "a text here would split the enum in the schema")]
    Aborted,
    #[expect(missing_docs, reason = "a text here would split the enum in the schema")]
    Panicked,
    #[expect(missing_docs, reason = "a text here would split the enum in the schema")]
    Refused,
    #[expect(missing_docs, reason = "a text here would split the enum in the schema")]
    Superseded,
    #[expect(missing_docs, reason = "a text here would split the enum in the schema")]
    Failed,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_none_yet(count: &i64) -> bool {
    *count == 0
}

/// A text that fits a status.
pub fn bounded(text: &str) -> String {
    match text.char_indices().nth(TEXT_LIMIT) {
        None => text.to_owned(),
        Some(_) => text.chars().take(TEXT_LIMIT - 1).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_status_is_empty_and_reads_back() {
        let text = serde_json::to_string(&SchemaMigrationStatus::default()).unwrap();
        assert_eq!(text, "{}");
        let read: SchemaMigrationStatus = serde_json::from_str(&text).unwrap();
        assert_eq!(read, SchemaMigrationStatus::default());
    }

    #[test]
    fn a_blocker_stands_until_the_attempt_ends_otherwise() {
        let rows = [
            (None, true),
            (Some(EndingKind::Failed), true),
            (Some(EndingKind::Refused), true),
            (Some(EndingKind::Completed), false),
            (Some(EndingKind::AlreadyApplied), false),
            (Some(EndingKind::Left), false),
            (Some(EndingKind::Aborted), false),
            (Some(EndingKind::Panicked), false),
            (Some(EndingKind::Superseded), false),
        ];
        for (outcome, stands) in rows {
            let ending = outcome.map(|outcome| Ending { outcome, ..Ending::default() });
            let blocker = Some(BlockerStatus::default());
            let report = WorkerReport { blocker, ending, ..WorkerReport::default() };
            assert_eq!(report.standing_blocker().is_some(), stands, "{outcome:?}");
        }
        assert_eq!(WorkerReport::default().standing_blocker(), None);
    }

    #[test]
    fn texts_are_bounded_in_characters() {
        assert_eq!(bounded(&"é".repeat(1024)).chars().count(), 1024);
        assert!(bounded(&"é".repeat(1025)).ends_with('…'));
    }
}
