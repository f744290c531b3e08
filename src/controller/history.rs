//! When a finished migration is deleted because its target says so: a pure decision, and the write. Nothing is
//! deleted that runs, may run again by itself, would be made anew, or has left something.

use std::sync::Arc;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use kube::api::{DeleteParams, Preconditions, PropagationPolicy};
use kube::{Api, ResourceExt};

use super::after;
use super::decide::{Decision, Observed, Worker};
use super::observe::within;
use super::{Context, Error, events};
use crate::api::migration::SchemaMigration;
use crate::api::names;
use crate::api::ownership;
use crate::api::status::{Ending, EndingKind};
use crate::api::{duration, history::HistorySettings};

/// What becomes of a migration because of its age.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Fate {
    /// It stays, as far as its age is concerned.
    Stay,
    /// It goes at this time, when nothing changes until then.
    Later(Timestamp),
    /// It goes now; why, in a sentence.
    Go(String),
}

/// One that others wait for is looked at again after this time.
const AWAITED: SignedDuration = SignedDuration::from_mins(2);
/// Labels and annotations by which tools know what they made and would make again.
const MARKS: [&str; 8] = [
    "argocd.argoproj.io/tracking-id",
    "argocd.argoproj.io/instance",
    "app.kubernetes.io/instance",
    "kustomize.toolkit.fluxcd.io/name",
    "helm.toolkit.fluxcd.io/name",
    "meta.helm.sh/release-name",
    "objectset.rio.cattle.io/id",
    "objectset.rio.cattle.io/hash",
];
/// A tool that is told apart by its name alone.
const HELM: &str = "helm";

/// Deletes the migration when its time is over. When it will be, if that is so.
///
/// # Errors
///
/// When the API server refuses, for one because somebody has changed the migration meanwhile.
pub(super) async fn tidy(
    context: &Context,
    observed: &Observed,
    decision: &Decision,
) -> Result<Option<Timestamp>, Error> {
    let migration = &observed.migration;
    let why = match fate(observed, decision) {
        Fate::Stay => return Ok(None),
        Fate::Later(at) => return Ok(Some(at)),
        Fate::Go(_) if is_awaited(migration, &context.everything()) => {
            return Ok(Some(observed.now + AWAITED));
        }
        Fate::Go(why) => why,
    };
    let namespace = migration.metadata.namespace.as_deref().unwrap_or_default();
    let api: Api<SchemaMigration> = Api::namespaced(context.client.clone(), namespace);
    let parameters = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Background),
        preconditions: Some(Preconditions {
            uid: migration.metadata.uid.clone(),
            resource_version: migration.metadata.resource_version.clone(),
        }),
        ..DeleteParams::default()
    };
    let name = migration.name_any();
    within("delete a finished migration", api.delete(&name, &parameters)).await?;
    events::tell_expiry(&context.recorder, migration, &why).await;
    Ok(None)
}

/// What becomes of it.
///
/// | when | fate |
/// |---|---|
/// | it has not ended for good, or is asked for more, or is being deleted | stay |
/// | its target says no age | stay |
/// | its worker has not ended | stay |
/// | deleting it would begin a clean-up, or somebody else's finalizer has work | stay |
/// | Argo CD, Flux, Helm or an owner would make it anew | stay |
/// | its old table is kept, or nobody knows until when | until then, at least |
/// | it ended less than the age ago | until then |
/// | anything else | go |
pub(super) fn fate(observed: &Observed, decision: &Decision) -> Fate {
    let migration = &observed.migration;
    let Decision::Settle { ending } = decision else { return Fate::Stay };
    let Some((text, age)) = age(observed) else { return Fate::Stay };
    let stays = matches!(observed.worker, Worker::Active { .. })
        || migration.metadata.deletion_timestamp.is_some()
        || !leaves_nothing(ending)
        || is_held_by_others(migration)
        || comes_back(migration);
    let ended = migration.status.as_ref().and_then(|status| status.completed_at.as_ref());
    let (Some(ended), false) = (ended, stays) else { return Fate::Stay };
    let Some(free) = old_table_goes(ending, ended.0) else { return Fate::Stay };
    let Ok(due) = ended.0.checked_add(age) else { return Fate::Stay };
    let due = due.max(free);
    if due > observed.now {
        return Fate::Later(due);
    }
    let target = &migration.spec.target;
    Fate::Go(format!(
        "it ended at {}; MigrationTarget {target} has spec.history.migrations: {text}",
        ended.0
    ))
}

fn age(observed: &Observed) -> Option<(String, SignedDuration)> {
    let HistorySettings { migrations, .. } = observed.target.as_ref()?.spec.history.clone()?;
    let text = migrations?;
    let age = SignedDuration::try_from(duration::parse(&text)?).ok()?;
    Some((text, age))
}

/// Whether the finalizer lets go at once. What failed, was refused or stopped may be taken up again, and deleting
/// it begins a clean-up.
fn leaves_nothing(ending: &Ending) -> bool {
    match ending.outcome {
        EndingKind::Completed | EndingKind::AlreadyApplied | EndingKind::Aborted => true,
        EndingKind::Refused
        | EndingKind::Failed
        | EndingKind::Panicked
        | EndingKind::Left
        | EndingKind::Superseded => false,
    }
}

fn is_held_by_others(migration: &SchemaMigration) -> bool {
    migration.finalizers().iter().any(|name| name != names::FINALIZER)
}

/// Whether somebody would make it again: then deleting it begins it anew.
fn comes_back(migration: &SchemaMigration) -> bool {
    let is_marked = |mark: &&str| {
        migration.labels().contains_key(*mark) || migration.annotations().contains_key(*mark)
    };
    let is_tool = |manager: &str| ownership::is_tool(manager) || manager == HELM;
    MARKS.iter().any(is_marked)
        || !migration.owner_references().is_empty()
        || ownership::all_managers(migration).any(is_tool)
}

/// Whether another one that has not begun waits for it to have succeeded, which nobody could see any more.
fn is_awaited(migration: &SchemaMigration, all: &[Arc<SchemaMigration>]) -> bool {
    let waits = |own: &&Arc<SchemaMigration>| {
        own.status.as_ref().is_none_or(|status| status.attempt.is_none())
    };
    all.iter().filter(waits).any(|own| after::is_awaited(migration, own))
}

/// Since when its old table may be gone; `None` when that is not known.
fn old_table_goes(ending: &Ending, ended: Timestamp) -> Option<Timestamp> {
    match (&ending.old_table, &ending.old_table_expires) {
        (None, _) => Some(ended),
        (Some(_), None) => None,
        (Some(_), Some(text)) => {
            let at: DateTime = text.parse().ok()?;
            Some(at.to_zoned(TimeZone::UTC).ok()?.timestamp())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::controller::decide::decide;
    use crate::controller::samples::{active, ended, merge, observed, reported};

    /// A migration that has ended at 11:59:58 on a target with this age.
    fn past(age: Option<&str>, changes: &Value, worker: Worker) -> Observed {
        let mut document = reported("Completed", "Completed");
        merge(&mut document, &json!({"status": {"completedAt": "2026-01-01T11:59:58Z"}}));
        merge(&mut document, changes);
        let mut observed = observed(&document, worker);
        let target = observed.target.as_mut().unwrap();
        target.spec.history =
            age.map(|age| HistorySettings { migrations: Some(age.to_owned()), ledger: None });
        observed.now = "2026-01-03T12:00:00Z".parse().unwrap();
        observed
    }

    /// The fate in a word, and the time when it is later.
    fn told(observed: &Observed) -> String {
        match fate(observed, &decide(observed)) {
            Fate::Stay => "stay".to_owned(),
            Fate::Later(at) => at.to_string(),
            Fate::Go(_) => "go".to_owned(),
        }
    }

    fn ending(changes: &Value) -> Value {
        json!({"status": {"report": {"ending": changes}}})
    }

    #[test]
    fn every_past_has_its_fate() {
        let marked = |kind: &str, mark: &str| json!({"metadata": {kind: {mark: "x"}}});
        let by = |manager: &str| {
            let entry =
                json!({"manager": manager, "operation": "Apply", "fieldsV1": {"f:spec": {}}});
            json!({"metadata": {"managedFields": [entry]}})
        };
        let outcome =
            |outcome: &str, reason: &str| ending(&json!({"outcome": outcome, "reason": reason}));
        let old =
            |expires: Value| ending(&json!({"oldTable": "orders_del", "oldTableExpires": expires}));
        let owner = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "y"});
        let retry = json!({"metadata": {"annotations": {"ghostship.dev/retry": "now"}}});
        let finalizers = json!(["ghostship.dev/clean-up", "somebody.dev/else"]);
        let day = Some("24h");
        let none = json!({});
        let done = || ended(None);
        let rows = [
            ("over", day, none.clone(), done(), "go"),
            ("for ever", None, none.clone(), done(), "stay"),
            ("not yet", Some("72h"), none.clone(), done(), "2026-01-04T11:59:58Z"),
            ("its worker still runs", day, none.clone(), active(), "stay"),
            ("already applied", day, outcome("AlreadyApplied", "AlreadyApplied"), done(), "go"),
            ("aborted", day, outcome("Aborted", "Aborted"), done(), "go"),
            ("failed", day, outcome("Failed", "Triggers"), done(), "stay"),
            ("refused", day, outcome("Refused", "Triggers"), done(), "stay"),
            ("panicked", day, outcome("Panicked", "Panicked"), done(), "stay"),
            ("retrying", day, outcome("Failed", "DiskFull"), done(), "stay"),
            ("asked for again", day, retry, done(), "stay"),
            ("tracked by an annotation", day, marked("annotations", MARKS[0]), done(), "stay"),
            ("tracked by a label", day, marked("labels", MARKS[3]), done(), "stay"),
            ("of a Helm release", day, marked("annotations", MARKS[5]), done(), "stay"),
            ("marked otherwise", day, marked("labels", "team"), done(), "go"),
            ("applied by Argo CD", day, by("argocd-controller"), done(), "stay"),
            ("applied by Helm", day, by("helm"), done(), "stay"),
            ("applied by a person", day, by("kubectl-client-side-apply"), done(), "go"),
            ("owned", day, json!({"metadata": {"ownerReferences": [owner]}}), done(), "stay"),
            ("held", day, json!({"metadata": {"finalizers": finalizers}}), done(), "stay"),
            ("not noted down", day, json!({"status": {"completedAt": null}}), done(), "stay"),
            ("old table gone", day, old(json!("2026-01-03 11:59:58.5")), done(), "go"),
            (
                "old table kept",
                day,
                old(json!("2026-01-04 00:00:00.000001")),
                done(),
                "2026-01-04T00:00:00.000001Z",
            ),
            ("old table kept for ever", day, old(json!(null)), done(), "stay"),
            ("old table kept until nobody knows", day, old(json!("soon")), done(), "stay"),
        ];
        for (name, age, changes, worker, expected) in rows {
            assert_eq!(told(&past(age, &changes, worker)), expected, "{name}");
        }
    }

    #[test]
    fn what_others_wait_for_is_kept() {
        let own = past(Some("24h"), &json!({}), ended(None)).migration;
        let rows = [
            (json!({}), false),
            (json!({"spec": {"startAfter": {"migrations": ["add-note"]}}}), true),
            (json!({"spec": {"startAfter": {"migrations": ["other"]}}}), false),
            (
                json!({"spec": {"startAfter": {"migrations": ["add-note"]}},
                    "status": {"attempt": 1}}),
                false,
            ),
        ];
        for (changes, kept) in rows {
            let other = Arc::new(observed(&changes, Worker::Absent).migration);
            assert_eq!(is_awaited(&own, &[other]), kept, "{changes}");
        }
    }

    #[test]
    fn what_has_no_target_or_no_end_stays() {
        let mut orphan = past(Some("1m"), &json!({}), ended(None));
        orphan.target = None;
        assert_eq!(told(&orphan), "stay");
        let deleted = json!({"metadata": {"deletionTimestamp": "2026-01-03T11:00:00Z"}});
        assert_eq!(told(&past(Some("1m"), &deleted, ended(None))), "stay");
        let goes_on = json!({"status": {"completedAt": null, "report": {"ending": null}}});
        for worker in [active(), Worker::Absent] {
            assert_eq!(told(&past(Some("1m"), &goes_on, worker)), "stay");
        }
    }
}
