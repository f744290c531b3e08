//! Migrations that have ended, newest first, and the way of one.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Serialize;

use super::lines::transition;
use super::{clock, columns, count, labelled, name, namespace, phase, status, table_name, written};
use crate::api::duration;
use crate::api::legal::Stage;
use crate::api::migration::SchemaMigration;
use crate::api::status::{ChangeStatus, Transition};
use crate::args::verbs::Format;
use crate::cli::progress::spoken;

/// A migration that has ended, or one of which the way so far is asked for.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Past {
    name: String,
    namespace: String,
    table: String,
    /// The phase that it ended in.
    outcome: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed_at: Option<Time>,
    /// From the first attempt to the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_seconds: Option<u64>,
    attempts: i64,
    rows_copied: i64,
    /// How long writers were blocked at the most.
    #[serde(skip_serializing_if = "Option::is_none")]
    lock_seconds: Option<f64>,
    transitions: Vec<Transition>,
    /// Who changed what of what is asked for.
    changes: Vec<ChangeStatus>,
}

/// Those that have ended, newest first.
pub fn finished(migrations: &[SchemaMigration]) -> Vec<Past> {
    let ended = migrations.iter().filter(|migration| Stage::of(migration).is_end());
    let mut all: Vec<Past> = ended.map(past).collect();
    all.sort_by_key(|past| std::cmp::Reverse(past.completed_at.as_ref().map(|at| at.0)));
    all
}

/// A table of the past.
pub fn history(all: &[Past], output: Format) -> String {
    match output {
        Format::Text if all.is_empty() => String::new(),
        Format::Text => {
            let head = ["NAME", "TABLE", "OUTCOME", "STARTED", "COMPLETED", "TOOK", "ROWS", "LOCK"];
            let rows = all.iter().map(row);
            columns(
                &std::iter::once(head.map(str::to_owned).to_vec()).chain(rows).collect::<Vec<_>>(),
            )
        }
        Format::Json | Format::Yaml => written(&all, output),
    }
}

/// The way of one migration so far.
pub fn way(migration: &SchemaMigration, output: Format) -> String {
    let past = past(migration);
    match output {
        Format::Text => way_text(&past),
        Format::Json | Format::Yaml => written(&past, output),
    }
}

fn way_text(past: &Past) -> String {
    let outcome = match past.reason.as_str() {
        "" => past.outcome.clone(),
        reason if reason == past.outcome => reason.to_owned(),
        reason => format!("{} ({reason})", past.outcome),
    };
    let lines = [
        ("table", past.table.clone()),
        ("outcome", outcome),
        ("message", past.message.clone()),
        ("started", told(past.started_at.as_ref())),
        ("completed", told(past.completed_at.as_ref())),
        ("took", took(past)),
        ("attempts", past.attempts.to_string()),
        ("rows", count(past.rows_copied)),
        ("lock", lock(past)),
    ];
    let rows: Vec<_> = past.transitions.iter().map(transition).collect();
    let Past { name, namespace, .. } = past;
    let (way, changes) = (indented(&rows), changes(&past.changes));
    format!("{name} in namespace {namespace}\n{}{way}{changes}", labelled(&lines))
}

/// Nothing when nobody changed anything.
fn changes(all: &[ChangeStatus]) -> String {
    if all.is_empty() {
        return String::new();
    }
    let rows: Vec<_> = all.iter().map(change).collect();
    format!("  changed by\n{}", indented(&rows))
}

fn change(one: &ChangeStatus) -> Vec<String> {
    let ChangeStatus { at, field, from, to, by } = one;
    let by = if by.is_empty() { "unknown" } else { by };
    let values = match from == to {
        true => format!("changed, and back to {to}"),
        false => format!("{from} -> {to}"),
    };
    vec![told(at.as_ref()), by.to_owned(), field.clone(), values]
}

fn indented(rows: &[Vec<String>]) -> String {
    columns(rows).lines().map(|line| format!("    {line}\n")).collect()
}

fn past(migration: &SchemaMigration) -> Past {
    let status = status(migration);
    let ending = status.ending.or(status.report.and_then(|report| report.ending));
    let began = status.started_at.as_ref().map(|at| at.0);
    let ended = status.completed_at.as_ref().map(|at| at.0);
    let took =
        began.zip(ended).and_then(|(began, ended)| ended.duration_since(began).try_into().ok());
    let lock = ending.as_ref().and_then(|ending| ending.lock_time.as_deref());
    Past {
        name: name(migration),
        namespace: namespace(migration),
        table: table_name(migration),
        outcome: phase(migration),
        reason: ending.as_ref().map(|ending| ending.reason.clone()).unwrap_or_default(),
        message: status.message.unwrap_or_default(),
        started_at: status.started_at,
        completed_at: status.completed_at,
        duration_seconds: took.map(|took: Duration| took.as_secs()),
        attempts: status.attempt.unwrap_or_default(),
        rows_copied: status.progress.map(|progress| progress.rows_copied).unwrap_or_default(),
        lock_seconds: lock.and_then(duration::parse).map(|lock| lock.as_secs_f64()),
        transitions: status.transitions,
        changes: status.audit.map(|audit| audit.changes).unwrap_or_default(),
    }
}

fn row(past: &Past) -> Vec<String> {
    vec![
        past.name.clone(),
        past.table.clone(),
        past.outcome.clone(),
        told(past.started_at.as_ref()),
        told(past.completed_at.as_ref()),
        took(past),
        count(past.rows_copied),
        lock(past),
    ]
}

fn told(at: Option<&Time>) -> String {
    at.map(clock).unwrap_or_default()
}

fn took(past: &Past) -> String {
    past.duration_seconds.map(|seconds| spoken(Duration::from_secs(seconds))).unwrap_or_default()
}

fn lock(past: &Past) -> String {
    past.lock_seconds.map(|seconds| format!("{seconds:.3} s")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::samples::copying_with;

    fn ended(name: &str, phase: &str, at: &str, lock: Option<&str>) -> SchemaMigration {
        let mut changes = json!({"metadata": {"name": name}, "status": {"phase": phase,
            "completedAt": at, "report": {"ending": {"outcome": "Completed", "reason": phase}}}});
        if let Some(lock) = lock {
            changes["status"]["report"]["ending"]["lockTime"] = json!(lock);
        }
        copying_with(&changes)
    }

    #[test]
    fn the_past_is_listed_newest_first() {
        let all = [
            ended("first", "Succeeded", "2026-01-01T01:10:05Z", Some("12ms")),
            copying_with(&json!({})),
            ended("second", "Failed", "2026-01-01T02:00:05Z", None),
        ];
        let finished = finished(&all);
        let expected = "\
NAME     TABLE         OUTCOME     STARTED                   COMPLETED                 TOOK         ROWS        LOCK
second   shop.orders   Failed      2026-01-01 01:00:05 UTC   2026-01-01 02:00:05 UTC   1 h 0 min    1,234,567
first    shop.orders   Succeeded   2026-01-01 01:00:05 UTC   2026-01-01 01:10:05 UTC   10 min 0 s   1,234,567   0.012 s
";
        assert_eq!(history(&finished, Format::Text), expected);
        let read: Value = serde_json::from_str(&history(&finished, Format::Json)).unwrap();
        assert_eq!(read[0]["name"], "second");
        assert_eq!(read[1]["lockSeconds"], 0.012);
        assert_eq!(read[1]["durationSeconds"], 600);
        assert_eq!(read[1]["transitions"][0]["phase"], "Pending");
        assert_eq!(history(&[], Format::Text), "");
        assert_eq!(history(&[], Format::Json), "[]");
    }

    #[test]
    fn the_way_of_one_lists_its_changes_of_phase() {
        let expected = "\
first in namespace shop
  table       shop.orders
  outcome     Succeeded
  message     it works
  started     2026-01-01 01:00:05 UTC
  completed   2026-01-01 01:10:05 UTC
  took        10 min 0 s
  attempts    1
  rows        1,234,567
  lock        0.012 s
    2026-01-01 01:00:01 UTC   Pending    Accepted
    2026-01-01 01:00:05 UTC   Starting   WorkerStarting
    2026-01-01 01:00:15 UTC   RowCopy    Running
";
        let mut migration = ended("first", "Succeeded", "2026-01-01T01:10:05Z", Some("12ms"));
        assert_eq!(way(&migration, Format::Text), expected);
        let changes = json!([
            {"at": "2026-01-01T01:02:00Z", "field": "spec.paused", "from": "none", "to": "true",
                "by": "kubectl-patch"},
            {"at": "2026-01-01T01:03:00Z", "field": "spec.paused", "from": "true", "to": "none"},
            {"at": "2026-01-01T01:04:00Z", "field": "spec.panic", "from": "false", "to": "false",
                "by": "ghostship-cli"},
        ]);
        let audit = serde_json::from_value(json!({ "changes": changes })).unwrap();
        migration.status.as_mut().unwrap().audit = Some(audit);
        let expected = format!(
            "{expected}  changed by
    2026-01-01 01:02:00 UTC   kubectl-patch   spec.paused   none -> true
    2026-01-01 01:03:00 UTC   unknown         spec.paused   true -> none
    2026-01-01 01:04:00 UTC   ghostship-cli   spec.panic    changed, and back to false
"
        );
        assert_eq!(way(&migration, Format::Text), expected);
        let read: Value = serde_json::from_str(&way(&migration, Format::Json)).unwrap();
        assert_eq!(read["changes"], changes);
        let yaml: Value = serde_yaml::from_str(&way(&migration, Format::Yaml)).unwrap();
        assert_eq!(yaml["changes"][0]["by"], "kubectl-patch");
    }
}
