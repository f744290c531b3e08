//! What a resource asks for, all its sources taken together: the control fields, the annotation of the
//! cut-over, the latches in the status, and its deletion. The controller and the worker both decide by
//! it. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use super::hooks::{self, Approvable};
use super::migration::SchemaMigration;
use super::names;
use super::validate::{self, Control, ValidMigration, Violation};

/// The reason of a hold that waits for a person.
pub const AWAITING_APPROVAL: &str = "AwaitingApproval";

/// What is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Whether the resource is being deleted.
    pub deleted: bool,
    /// The resource with its control fields as all sources together have them.
    pub migration: ValidMigration,
}

/// What the annotation of the cut-over says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutOverWord {
    /// A postponed cut-over may begin.
    Allow,
    /// It has to wait, whatever was allowed before.
    Postpone,
}

/// What a resource asks for.
///
/// # Errors
///
/// Its violations. A resource that asks for panic is heard all the same, see [`asks_for_panic`].
pub fn wanted(migration: &SchemaMigration) -> Result<Wanted, Vec<Violation>> {
    let deleted = migration.metadata.deletion_timestamp.is_some();
    let mut valid = validate::migration(&document(migration))?;
    valid.asked.postpone_cut_over = is_postponed(migration);
    valid.asked.approved.extend(latched_approvals(migration));
    if asks_for_panic(migration) {
        valid.asked.control = Control::Panic;
    }
    Ok(Wanted { deleted, migration: valid })
}

/// Whether panic is asked for, now or since it was latched, however wrong the rest may be.
pub fn asks_for_panic(migration: &SchemaMigration) -> bool {
    let latched = migration.status.as_ref().is_some_and(|status| status.panicked.is_some());
    latched || migration.spec.panic == Some(true)
}

/// Whether the cut-over has to wait. Permission that is latched outlives a revert of the annotation.
pub fn is_postponed(migration: &SchemaMigration) -> bool {
    match cut_over_word(migration) {
        Some(CutOverWord::Postpone) => true,
        Some(CutOverWord::Allow) => false,
        None => migration.spec.postpone_cut_over == Some(true) && !is_permitted(migration),
    }
}

/// The stage that waits for a person; `None` when none does.
pub fn awaiting_approval(migration: &SchemaMigration) -> Option<Approvable> {
    let status = migration.status.as_ref()?;
    let report = status.report.as_ref().filter(|report| Some(report.attempt) == status.attempt)?;
    let hold = report.hold.as_ref().filter(|_| report.ending.is_none())?;
    let stage = Approvable::named(&hold.stage).filter(|_| hold.reason == AWAITING_APPROVAL)?;
    let is_given = hooks::approved(migration).contains(&stage)
        || latched_approvals(migration).any(|given| given == stage);
    (!is_given).then_some(stage)
}

/// What the status remembers; a revert of the annotation does not take it away.
fn latched_approvals(migration: &SchemaMigration) -> impl Iterator<Item = Approvable> {
    let given = migration.status.iter().flat_map(|status| &status.approvals);
    given.filter_map(|one| Approvable::named(&one.stage))
}

/// What the annotation says; other words than the two mean nothing.
pub fn cut_over_word(migration: &SchemaMigration) -> Option<CutOverWord> {
    match annotation(migration, names::CUT_OVER)? {
        "allow" => Some(CutOverWord::Allow),
        "postpone" => Some(CutOverWord::Postpone),
        _ => None,
    }
}

/// The value of an annotation.
pub fn annotation<'a>(migration: &'a SchemaMigration, name: &str) -> Option<&'a str> {
    let annotations: Option<&BTreeMap<String, String>> = migration.metadata.annotations.as_ref();
    annotations?.get(name).map(String::as_str)
}

/// The resource as a document for [`validate`], without what the server and the status add.
pub fn document(migration: &SchemaMigration) -> Value {
    let mut document = serde_json::to_value(migration).unwrap_or_default();
    if let Some(fields) = document.as_object_mut() {
        fields.remove("status");
    }
    document
}

fn is_permitted(migration: &SchemaMigration) -> bool {
    let status = migration.status.as_ref();
    status
        .and_then(|status| status.cut_over.as_ref())
        .is_some_and(|cut_over| cut_over.permission.is_some())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn migration(spec: Value, annotations: Value, status: Value) -> SchemaMigration {
        let mut document = json!({
            "apiVersion": "ghostship.dev/v1alpha1",
            "kind": "SchemaMigration",
            "metadata": {"name": "one", "namespace": "shop", "annotations": annotations},
            "spec": {"target": "db", "database": "shop", "table": "t", "alter": "ENGINE=InnoDB"},
            "status": status,
        });
        for (name, value) in spec.as_object().unwrap() {
            document["spec"][name] = value.clone();
        }
        serde_json::from_value(document).unwrap()
    }

    #[test]
    fn a_cut_over_waits_until_a_human_lets_it() {
        let permission = json!({"cutOver": {"state": "Allowed", "permission": {"by": "somebody"}}});
        let word = |word: &str| json!({"ghostship.dev/cut-over": word});
        let cases = [
            (json!({}), json!({}), json!({}), false),
            (json!({"postponeCutOver": true}), json!({}), json!({}), true),
            (json!({"postponeCutOver": true}), word("allow"), json!({}), false),
            (json!({"postponeCutOver": true}), word("perhaps"), json!({}), true),
            (json!({"postponeCutOver": true}), json!({}), permission.clone(), false),
            (json!({"postponeCutOver": true}), word("postpone"), permission, true),
            (json!({"postponeCutOver": false}), word("postpone"), json!({}), true),
        ];
        for (spec, annotations, status, waits) in cases {
            let migration = migration(spec.clone(), annotations.clone(), status);
            assert_eq!(is_postponed(&migration), waits, "{spec} {annotations}");
            assert_eq!(wanted(&migration).unwrap().migration.asked.postpone_cut_over, waits);
        }
    }

    #[test]
    fn an_approval_counts_by_the_annotation_and_by_the_latch() {
        let word = |word: &str| json!({"ghostship.dev/approve": word});
        let latch = json!({"approvals": [{"stage": "BeforeCopy", "by": "somebody"}]});
        let rows = [
            (json!({}), json!({}), vec![]),
            (word("BeforeCopy"), json!({}), vec![Approvable::BeforeCopy]),
            (json!({}), latch.clone(), vec![Approvable::BeforeCopy]),
            (word("BeforeCutOver"), latch, Approvable::ALL.to_vec()),
            (word("Everything"), json!({}), vec![]),
        ];
        for (annotations, status, expected) in rows {
            let approved = wanted(&migration(json!({}), annotations.clone(), status)).unwrap();
            let approved: Vec<_> = approved.migration.asked.approved.into_iter().collect();
            assert_eq!(approved, expected, "{annotations}");
        }
    }

    #[test]
    fn a_stage_waits_for_a_person_until_one_has_approved() {
        let held = |reason: &str, more: &Value| {
            let mut status = json!({"attempt": 1, "report": {"attempt": 1, "phase": "Prepare",
                "hold": {"stage": "BeforeCopy", "reason": reason}}});
            for (name, value) in more.as_object().unwrap() {
                status[name] = value.clone();
            }
            status
        };
        let given = json!({"approvals": [{"stage": "BeforeCopy"}]});
        let rows = [
            (held("AwaitingApproval", &json!({})), "", true),
            (held("HookWaits", &json!({})), "", false),
            (held("AwaitingApproval", &given), "", false),
            (held("AwaitingApproval", &json!({})), "BeforeCopy", false),
            (held("AwaitingApproval", &json!({})), "BeforeCutOver", true),
            (held("AwaitingApproval", &json!({"attempt": 2})), "", false),
            (json!({}), "", false),
        ];
        for (status, word, waits) in rows {
            let word_of = json!({"ghostship.dev/approve": word});
            let migration = migration(json!({}), word_of, status.clone());
            assert_eq!(awaiting_approval(&migration).is_some(), waits, "{status} {word}");
        }
    }

    #[test]
    fn panic_is_heard_from_the_field_and_from_the_latch() {
        let cases = [
            (json!({}), json!({}), Control::Run),
            (json!({"panic": true, "paused": true}), json!({}), Control::Panic),
            (json!({"panic": false}), json!({"panicked": {"by": "somebody"}}), Control::Panic),
            (json!({"paused": true}), json!({}), Control::Pause),
        ];
        for (spec, status, control) in cases {
            let migration = migration(spec.clone(), json!({}), status);
            assert_eq!(wanted(&migration).unwrap().migration.asked.control, control, "{spec}");
            assert_eq!(asks_for_panic(&migration), control == Control::Panic, "{spec}");
        }
    }
}
