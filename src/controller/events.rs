//! Events: one per change of phase, with the reason that the conditions bear, one per latch, one per control or
//! setting that somebody has changed, and one when a tool takes back what somebody has set. What an event says is computed by a pure function.

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::runtime::events::{Event, EventType, Recorder};
use kube::{Resource, ResourceExt};

use super::controls::{self, Revert};
use super::decide::{Decision, Observed};
use super::observe::CALL;
use crate::api::audit;
use crate::api::migration::SchemaMigration;
use crate::api::status::{ChangeStatus, SchemaMigrationStatus};

/// The longest note of an event, in characters; the API server allows 1 kB.
const NOTE_LIMIT: usize = 250;
/// The longest action, in characters; the API server allows 128 bytes.
const ACTION_LIMIT: usize = 120;

/// Tells what changed between two states of the status; an event that cannot be written is only logged.
pub(super) async fn tell(recorder: &Recorder, observed: &Observed, new: &SchemaMigrationStatus) {
    let migration = &observed.migration;
    let changes = audit::fresh(migration, observed.now);
    changes.iter().for_each(|change| log(migration, change));
    let mut all = events(migration, new);
    all.extend(changes.iter().map(changed));
    for event in all {
        let reference = migration.object_ref(&());
        match tokio::time::timeout(CALL, recorder.publish(&event, &reference)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "an event could not be written"),
            Err(_) => tracing::warn!("an event could not be written: the API server is silent"),
        }
    }
}

fn log(migration: &SchemaMigration, change: &ChangeStatus) {
    let (namespace, name) = (migration.namespace().unwrap_or_default(), migration.name_any());
    let ChangeStatus { field, from, to, by, .. } = change;
    tracing::info!(namespace, name, field, from, to, by, "somebody changed what is asked for");
}

/// Tells that a finished migration is deleted, and why; an event that cannot be written is only logged.
pub(super) async fn tell_expiry(recorder: &Recorder, migration: &SchemaMigration, note: &str) {
    let (namespace, name) = (migration.namespace().unwrap_or_default(), migration.name_any());
    tracing::info!(namespace, name, note, "a finished migration is deleted");
    let event = event(EventType::Normal, "HistoryExpired", note, "Delete", None);
    let reference = migration.object_ref(&());
    let published = recorder.publish(&event, &reference);
    if !matches!(tokio::time::timeout(CALL, published).await, Ok(Ok(()))) {
        tracing::warn!("an event could not be written");
    }
}

/// Tells what a deleted migration leaves behind.
pub(super) async fn tell_release(recorder: &Recorder, observed: &Observed, decision: &Decision) {
    let Decision::Release { left } = decision else { return };
    if left.is_empty() {
        return;
    }
    tracing::warn!(migration = observed.migration.name_any(), left, "let go");
    let event = event(EventType::Warning, "CleanUpGivenUp", left, "Delete", None);
    let reference = observed.migration.object_ref(&());
    let published = recorder.publish(&event, &reference);
    if !matches!(tokio::time::timeout(CALL, published).await, Ok(Ok(()))) {
        tracing::warn!("an event could not be written");
    }
}

fn events(migration: &SchemaMigration, new: &SchemaMigrationStatus) -> Vec<Event> {
    let old = &migration.status.clone().unwrap_or_default();
    let mut all = Vec::new();
    let worker = worker(new, migration.metadata.namespace.as_deref());
    if let Some(last) = new.transitions.last().filter(|last| Some(*last) != old.transitions.last())
    {
        let stalled = condition(new, "Stalled").is_some();
        let retrying = new.phase.as_deref() == Some("Retrying");
        let kind = if stalled || retrying { EventType::Warning } else { EventType::Normal };
        let message = new.message.clone().unwrap_or_default();
        let note = format!("{}: {message}", last.phase);
        all.push(event(kind, &last.reason, &note, "Migrate", worker.clone()));
    }
    let permission = |status: &SchemaMigrationStatus| {
        status.cut_over.as_ref().and_then(|cut_over| cut_over.permission.clone())
    };
    if let (Some(latch), None) = (permission(new), permission(old)) {
        let note = format!("permitted through {} by {}", latch.through, latch.by);
        all.push(event(EventType::Normal, "CutOverPermitted", &note, "CutOver", worker.clone()));
    }
    let ignored = |status: &SchemaMigrationStatus| condition(status, "CommandIgnored").cloned();
    if let Some(condition) = ignored(new)
        .filter(|one| Some(&one.message) != ignored(old).map(|old| old.message).as_ref())
    {
        all.push(event(
            EventType::Warning,
            "CommandIgnored",
            &condition.message,
            "Command",
            worker.clone(),
        ));
    }
    if new.retried != old.retried && new.attempt == old.attempt {
        let note = "the retry has no effect: the migration has not ended";
        all.push(event(EventType::Warning, "CommandIgnored", note, "Command", worker.clone()));
    }
    if let (Some(latch), None) = (new.panicked.as_ref(), old.panicked.as_ref()) {
        let note = format!("asked through {} by {}", latch.through, latch.by);
        all.push(event(EventType::Warning, "PanicLatched", &note, "Panic", worker.clone()));
    }
    // Events of one action and reason are counted as one, and the note of the first stays.
    all.extend(controls::reverts(migration, new).into_iter().map(|Revert { what, note }| {
        let action = format!("Revert {what}");
        event(EventType::Warning, "ControlReverted", &note, &action, worker.clone())
    }));
    all
}

/// Events of one action and reason are counted as one, so that each change has an action of its own.
fn changed(change: &ChangeStatus) -> Event {
    let ChangeStatus { at, field, from, to, by } = change;
    let reason = if audit::is_control(field) { "ControlChanged" } else { "TuningChanged" };
    let by = if by.is_empty() { "somebody whom the API server does not name" } else { by };
    let what = match from == to {
        true => format!("{field}: changed, and changed back to {to}"),
        false => format!("{field}: {from} -> {to}"),
    };
    let at = at.as_ref().map(|at| at.0.to_string()).unwrap_or_default();
    let action = ascii(&format!("{at} {field}={to}"));
    event(EventType::Normal, reason, &format!("{what}, by {by}"), &action, None)
}

fn ascii(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii() { c } else { '?' }).take(ACTION_LIMIT).collect()
}

/// A condition that is true.
fn condition<'a>(status: &'a SchemaMigrationStatus, name: &str) -> Option<&'a Condition> {
    status.conditions.iter().find(|one| one.type_ == name && one.status == "True")
}

fn worker(status: &SchemaMigrationStatus, namespace: Option<&str>) -> Option<ObjectReference> {
    let pod = status.worker.as_ref()?.pod.clone()?;
    Some(ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Pod".to_owned()),
        name: Some(pod),
        namespace: namespace.map(str::to_owned),
        ..ObjectReference::default()
    })
}

fn event(
    type_: EventType,
    reason: &str,
    note: &str,
    action: &str,
    secondary: Option<ObjectReference>,
) -> Event {
    let note = note.chars().take(NOTE_LIMIT).collect();
    let (reason, action) = (reason.to_owned(), action.to_owned());
    Event { type_, reason, note: Some(note), action, secondary }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::controller::decide::Worker;

    fn status(value: Value) -> SchemaMigrationStatus {
        serde_json::from_value(value).unwrap()
    }

    fn migration(status: &SchemaMigrationStatus) -> SchemaMigration {
        let changes = json!({"status": status});
        crate::controller::samples::observed(&changes, Worker::Absent).migration
    }

    #[test]
    fn each_change_has_an_event_of_its_own() {
        let at = "2026-01-01T12:00:00Z";
        let one = |field: &str, from: &str, to: &str, by: &str| {
            let change = json!({"at": at, "field": field, "from": from, "to": to, "by": by});
            changed(&serde_json::from_value(change).unwrap())
        };
        let told = |event: &Event| (event.reason.clone(), event.note.clone().unwrap_or_default());
        let note = |reason: &str, text: &str| (reason.to_owned(), text.to_owned());
        let pause = one("spec.paused", "none", "true", "kubectl-patch");
        let expected = note("ControlChanged", "spec.paused: none -> true, by kubectl-patch");
        assert_eq!(told(&pause), expected);
        let resume = one("spec.paused", "true", "false", "kubectl-patch");
        assert_ne!(pause.action, resume.action);
        let slower = one("spec.copy.threads", "4", "1", "");
        let nobody = "spec.copy.threads: 4 -> 1, by somebody whom the API server does not name";
        assert_eq!(told(&slower), note("TuningChanged", nobody));
        let back = one("spec.panic", "false", "false", "one");
        let words = "spec.panic: changed, and changed back to false, by one";
        assert_eq!(told(&back), note("ControlChanged", words));
        let long = one("spec.windows.copy", "none", &"é".repeat(200), "one");
        assert!(long.action.len() <= ACTION_LIMIT && long.note.unwrap().len() <= 1024);
    }

    #[test]
    fn a_change_of_phase_and_each_latch_are_told_once() {
        let before = status(
            json!({"phase": "RowCopy", "transitions": [{"phase": "RowCopy", "reason": "Running"}]}),
        );
        let after = status(json!({
            "phase": "Panicked", "message": "stopped",
            "conditions": [{"type": "CommandIgnored", "status": "True", "reason": "CommandIgnored",
                "message": "spec.paused has no effect", "lastTransitionTime": "2026-01-01T12:00:00Z"},
                {"type": "Stalled", "status": "True", "reason": "Panicked", "message": "",
                "lastTransitionTime": "2026-01-01T12:00:00Z"}],
            "transitions": [{"phase": "RowCopy", "reason": "Running"}, {"phase": "Panicked", "reason": "Panicked"}],
            "panicked": {"by": "kubectl-patch", "through": "spec.panic"},
            "cutOver": {"permission": {"by": "argocd", "through": "ghostship.dev/cut-over"}},
        }));
        let told: Vec<_> = events(&migration(&before), &after)
            .into_iter()
            .map(|event| {
                (event.type_ == EventType::Warning, event.reason, event.note.unwrap_or_default())
            })
            .collect();
        let note = |text: &str| text.to_owned();
        assert_eq!(
            told,
            [
                (true, note("Panicked"), note("Panicked: stopped")),
                (
                    false,
                    note("CutOverPermitted"),
                    note("permitted through ghostship.dev/cut-over by argocd")
                ),
                (true, note("CommandIgnored"), note("spec.paused has no effect")),
                (true, note("PanicLatched"), note("asked through spec.panic by kubectl-patch")),
            ]
        );
        assert!(events(&migration(&after), &after).is_empty());
    }
}
