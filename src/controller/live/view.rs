//! A migration of the cluster as the API shows it, from its resource. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::legal::{Command, Stage};
use crate::api::migration::SchemaMigration;
use crate::api::status::{BlockerStatus, PauseStatus, ProgressStatus, SchemaMigrationStatus};
use crate::api::{command, control, duration};
use crate::serve::view::{Blocker, Figures, Migration, Pause, Setting, Throttled};

/// The commands that the API has.
const OFFERED: [Command; 5] =
    [Command::Pause, Command::Resume, Command::Postpone, Command::CutOver, Command::Panic];

/// The migration as its resource tells.
pub(super) fn migration(resource: &SchemaMigration, now: Timestamp) -> Migration {
    let status = resource.status.clone().unwrap_or_default();
    let spec = &resource.spec;
    let stage = Stage::of(resource);
    let possible = command::possible(resource, now);
    let (paused, paused_by) = paused(resource, &status);
    let report = status.report.as_ref().filter(|report| Some(report.attempt) == status.attempt);
    let progress = status.progress.clone().unwrap_or_default();
    let cut_over = status.cut_over.clone().unwrap_or_default();
    Migration {
        namespace: resource.metadata.namespace.clone().unwrap_or_default(),
        name: resource.metadata.name.clone().unwrap_or_default(),
        database: spec.database.clone(),
        table: spec.table.clone(),
        alter: spec.alter.clone(),
        phase: status.phase.clone().unwrap_or_else(|| "Pending".to_owned()),
        message: status.message.clone().unwrap_or_default(),
        ended: stage.is_end(),
        paused,
        paused_by,
        postponed: !stage.is_end() && stage != Stage::Swapped && control::is_postponed(resource),
        actions: OFFERED
            .into_iter()
            .filter(|it| possible.contains(it))
            .map(Command::as_str)
            .collect(),
        figures: figures(&progress, cut_over.attempts, cut_over.last_error.unwrap_or_default()),
        throttled: if stage == Stage::Working { throttled(&progress) } else { Vec::new() },
        waiting_for: report
            .filter(|report| report.ending.is_none())
            .and_then(|report| report.waiting_for.clone()),
        blocker: cut_over.blocker.as_ref().map(blocker),
        last_pause: progress.last_pause.as_ref().map(pause),
        settings: status
            .effective
            .iter()
            .map(|one| Setting {
                field: one.field.clone(),
                value: one.value.clone(),
                origin: one.origin.clone(),
            })
            .collect(),
        laid_over: Vec::new(),
        started_at: status.started_at.as_ref().map(time),
    }
}

/// Whether it is paused, and by what when no person did it.
fn paused(resource: &SchemaMigration, status: &SchemaMigrationStatus) -> (bool, Option<String>) {
    let asked = resource.spec.paused == Some(true);
    let shown = status.conditions.iter().find(|one| one.type_ == "Paused" && one.status == "True");
    let words = shown.filter(|_| !asked).map(|condition| condition.message.clone());
    (asked || shown.is_some(), words)
}

fn figures(progress: &ProgressStatus, attempts: i64, error: String) -> Figures {
    let seconds = |text: &Option<String>| {
        text.as_deref().and_then(duration::parse).map(|time| time.as_secs_f64())
    };
    Figures {
        rows_copied: unsigned(progress.rows_copied),
        rows_estimated: unsigned(progress.rows_estimated),
        percent: share(progress.percent),
        verified_percent: share(progress.verified_percent),
        rows_repaired: unsigned(progress.rows_repaired),
        rows_per_second: f64::from(u32::try_from(progress.rows_per_second).unwrap_or_default()),
        keys_applied: unsigned(progress.keys_applied),
        backlog: unsigned(progress.backlog),
        stream_lag_seconds: seconds(&progress.stream_lag),
        replica_lag_seconds: seconds(&progress.replica_lag),
        binlog_headroom_seconds: seconds(&progress.binlog_headroom),
        eta_seconds: seconds(&progress.eta),
        cut_over_attempts: unsigned(attempts),
        last_cut_over_error: error,
    }
}

fn share(percent: i64) -> f64 {
    f64::from(u8::try_from(percent.clamp(0, 100)).unwrap_or_default())
}

fn throttled(progress: &ProgressStatus) -> Vec<Throttled> {
    let reasons = progress.throttled.iter().map(|one| Throttled {
        signal: one.signal.clone(),
        reason: one.reason.clone(),
        since: one.since.as_ref().map(time),
    });
    reasons.collect()
}

fn blocker(found: &BlockerStatus) -> Blocker {
    Blocker {
        id: found.id.clone(),
        user: found.user.clone(),
        since: found.since.as_ref().map(time),
        holds: found.holds.clone(),
        statement: found.statement.clone(),
    }
}

fn pause(report: &PauseStatus) -> Pause {
    let seconds = |text: &str| duration::parse(text).unwrap_or_default().as_secs_f64();
    Pause {
        reason: report.reason.clone(),
        seconds: seconds(&report.lasted),
        keys_applied: unsigned(report.keys_applied),
        backlog: unsigned(report.backlog),
        catch_up_seconds: seconds(&report.catch_up),
    }
}

fn time(time: &Time) -> String {
    time.0.to_string()
}

fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::samples::{copying_with, now};

    fn seen(changes: &serde_json::Value) -> Migration {
        migration(&copying_with(changes), now())
    }

    #[test]
    fn a_working_one_is_told_by_its_status() {
        let found = seen(&json!({}));
        assert_eq!((found.namespace.as_str(), found.name.as_str()), ("shop", "add-note"));
        assert_eq!((found.phase.as_str(), found.ended, found.paused), ("RowCopy", false, false));
        assert_eq!(found.actions, ["pause", "postpone", "panic"]);
        let figures = found.figures;
        assert_eq!((figures.rows_copied, figures.backlog), (1_234_567, 12));
        assert_eq!((figures.stream_lag_seconds, figures.eta_seconds), (Some(0.02), Some(28.0)));
        assert_eq!(figures.replica_lag_seconds, None);
    }

    #[test]
    fn what_can_be_done_follows_from_how_it_stands() {
        let at = "2026-01-01T02:00:00Z";
        let rows = [
            (json!({"spec": {"paused": true}}), true, ["resume", "postpone", "panic"].as_slice()),
            (
                json!({"spec": {"postponeCutOver": true}}),
                false,
                &["pause", "postpone", "cut-over", "panic"],
            ),
            (
                json!({"status": {"phase": "CleanUp", "report": {"phase": "CleanUp"}}}),
                false,
                &["panic"],
            ),
            (json!({"status": {"phase": "Succeeded", "completedAt": at}}), false, &[]),
        ];
        for (changes, paused, actions) in rows {
            let found = seen(&changes);
            assert_eq!((found.paused, found.actions.as_slice()), (paused, actions), "{changes}");
        }
        assert!(seen(&json!({"status": {"phase": "Succeeded", "completedAt": at}})).ended);
        assert!(seen(&json!({"spec": {"postponeCutOver": true}})).postponed);
    }
}
