//! The document that a hook's Job is told, with the fields of the one that goes to receivers by HTTP. Pure: it
//! is made of the resource, whose figures the worker wrote together with its question. Holds no secret and
//! no row value.

use serde_json::{Value, json};

use crate::api::duration;
use crate::api::hook_jobs::QuestionStatus;
use crate::api::migration::SchemaMigration;
use crate::api::status::{ProgressStatus, WorkerReport};

/// What is told with this question.
pub(super) fn document(migration: &SchemaMigration, question: &QuestionStatus) -> Value {
    let spec = &migration.spec;
    let status = migration.status.as_ref();
    let report = status.and_then(|status| status.report.as_ref());
    let figures = status.and_then(|status| status.progress.clone()).unwrap_or_default();
    let mut document = json!({
        "id": question.id,
        "stage": question.stage,
        "migration": migration_name(migration),
        "uid": migration.metadata.uid,
        "attempt": report.map(|report| report.attempt),
        "table": format!("{}.{}", spec.database, spec.table),
        "alter": spec.alter,
        "hint": spec.hooks.as_ref().and_then(|hooks| hooks.hint.as_ref()),
        "at": question.since,
        "progress": progress(&figures, report),
        "error": report.filter(|_| question.stage == "Failure").and_then(error),
    });
    drop_absent(&mut document);
    document
}

/// Namespace and name.
pub(super) fn migration_name(migration: &SchemaMigration) -> String {
    let own = &migration.metadata;
    let text = |part: &Option<String>| part.clone().unwrap_or_default();
    format!("{}/{}", text(&own.namespace), text(&own.name))
}

fn error(report: &WorkerReport) -> Option<Value> {
    let ending = report.ending.as_ref()?;
    Some(json!({"reason": ending.reason, "message": ending.message, "remedy": ending.remedy}))
}

fn progress(figures: &ProgressStatus, report: Option<&WorkerReport>) -> Value {
    let report = report.cloned().unwrap_or_default();
    let throttled: Vec<Value> = figures
        .throttled
        .iter()
        .map(|one| json!({"signal": one.signal, "reason": one.reason}))
        .collect();
    let mut progress = json!({
        "phase": report.phase,
        "rowsCopied": figures.rows_copied,
        "rowsEstimated": figures.rows_estimated,
        "percent": figures.percent,
        "rowsPerSecond": figures.rows_per_second,
        "keysApplied": figures.keys_applied,
        "backlog": figures.backlog,
        "streamLag": seconds(figures.stream_lag.as_ref()),
        "replicaLag": seconds(figures.replica_lag.as_ref()),
        "binlogHeadroom": seconds(figures.binlog_headroom.as_ref()),
        "eta": seconds(figures.eta.as_ref()),
        "verifiedPercent": figures.verified_percent,
        "rowsRepaired": figures.rows_repaired,
        "throttled": throttled,
        "waitingFor": report.waiting_for.unwrap_or_default(),
        "stageHold": report.hold,
        "cutOverAttempts": figures.cut_over_attempts,
        "lastCutOverError": figures.last_cut_over_error.clone().unwrap_or_default(),
        "blocker": report.blocker,
    });
    drop_absent(&mut progress);
    progress
}

/// As the lines of a run have them: with a fraction.
fn seconds(text: Option<&String>) -> Option<f64> {
    text.and_then(|text| duration::parse(text)).map(|time| time.as_secs_f64())
}

/// Takes fields without a value away.
pub(super) fn drop_absent(value: &mut Value) {
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::samples::{active, observed};

    fn told(stage: &str) -> Value {
        let report = json!({"attempt": 2, "phase": "RowCopy", "waitingFor": "something",
            "ending": {"outcome": "Failed", "reason": "DiskFull", "message": "m", "remedy": "r"}});
        let progress = json!({"rowsCopied": 7, "percent": 41, "streamLag": "1.5s",
            "throttled": [{"signal": "maxLag", "reason": "lag"}]});
        let changes = json!({"spec": {"hooks": {"hint": "ticket 42"}},
            "status": {"attempt": 2, "report": report, "progress": progress}});
        let migration = observed(&changes, active()).migration;
        let since = serde_json::from_value(json!("2026-01-01T11:59:00Z")).ok();
        let id = format!("0a1b2c3d-4e5f/2/{stage}");
        let question = QuestionStatus { id, stage: stage.to_owned(), since, ..Default::default() };
        document(&migration, &question)
    }

    #[test]
    fn a_job_is_told_what_a_receiver_is_told() {
        let told = told("BeforeCopy");
        let expected = json!({
            "id": "0a1b2c3d-4e5f/2/BeforeCopy", "stage": "BeforeCopy", "migration": "shop/add-note",
            "uid": "0a1b2c3d-4e5f", "attempt": 2, "table": "shop.orders",
            "alter": "ADD COLUMN note varchar(200)", "hint": "ticket 42",
            "at": "2026-01-01T11:59:00Z", "progress": told["progress"],
        });
        assert_eq!(told, expected);
        let progress = &told["progress"];
        assert_eq!((&progress["phase"], &progress["rowsCopied"]), (&json!("RowCopy"), &json!(7)));
        assert_eq!(progress["streamLag"], 1.5);
        assert_eq!(progress["throttled"], json!([{"signal": "maxLag", "reason": "lag"}]));
        assert!(progress.get("eta").is_none() && progress.get("blocker").is_none());
    }

    #[test]
    fn a_failure_says_why() {
        let error = json!({"reason": "DiskFull", "message": "m", "remedy": "r"});
        assert_eq!(told("Failure")["error"], error);
        assert!(told("Success").get("error").is_none());
    }
}
