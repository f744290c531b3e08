//! What people have set on a migration, and which GitOps tool took it back. In: the resource with its
//! managed fields and the status of before; out: the part of the status that remembers it, and the
//! reverts. Pure.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::decide::Observed;
use super::standing::{Health, Standing};
use crate::api::control;
use crate::api::migration::SchemaMigration;
use crate::api::names;
use crate::api::ownership::{self, Place};
use crate::api::status::{ControlsStatus, SchemaMigrationStatus, SetControl};

/// A control that a tool has taken back.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Revert {
    /// The control and its value, the same for every such revert.
    pub(super) what: String,
    /// Who took it back, from whom, and what follows, in a sentence.
    pub(super) note: String,
}

/// What people have set; `None` when that is nothing, or when nothing can be steered any more.
pub(super) fn controls(
    observed: &Observed,
    standing: &Standing,
    old: Option<&ControlsStatus>,
) -> Option<ControlsStatus> {
    let migration = &observed.migration;
    let known = old.map(|old| old.set.as_slice()).unwrap_or_default();
    let now = Time(observed.now);
    let values = values(migration).into_iter();
    let set: Vec<_> =
        values.filter_map(|(place, value)| set(migration, (place, value), known, &now)).collect();
    if set.is_empty() || standing.health == Health::Done {
        return None;
    }
    let tools_wrote_at = ownership::last_tool(migration).map(|(_, at)| at.clone());
    Some(ControlsStatus { set, tools_wrote_at })
}

/// Each control that a tool has taken back since the status of before was written.
pub(super) fn reverts(migration: &SchemaMigration, new: &SchemaMigrationStatus) -> Vec<Revert> {
    let Some(old) = migration.status.as_ref().and_then(|status| status.controls.as_ref()) else {
        return Vec::new();
    };
    let values: BTreeMap<String, (Place, Option<String>)> =
        all(migration).map(|(place, value)| (place.to_string(), (place, value))).collect();
    let taken_back = |was: &SetControl| {
        let (place, value) = values.get(&was.through)?;
        if value.as_ref() == Some(&was.value) {
            return None;
        }
        let tool = match value {
            Some(_) => {
                ownership::managers(migration, *place).find(|one| ownership::is_tool(one))?
            }
            None => taker(migration, old.tools_wrote_at.as_ref())?,
        };
        let what = format!("{}={}", was.through, was.value);
        Some(Revert { what, note: sentence(tool, was, consequence(was, new)) })
    };
    old.set.iter().filter_map(taken_back).collect()
}

/// The tool that wrote since this time. What is gone has no owner, so the last writer counts; a person who
/// takes something away changes no tool's entry.
fn taker<'a>(migration: &'a SchemaMigration, since: Option<&Time>) -> Option<&'a str> {
    let (tool, at) = ownership::last_tool(migration)?;
    since.is_none_or(|since| at.0 > since.0).then_some(tool)
}

fn sentence(tool: &str, was: &SetControl, consequence: &str) -> String {
    let SetControl { through, value, by, .. } = was;
    let by = if by.is_empty() { "somebody" } else { by };
    format!("{tool} took back {through}: {value}, which {by} had set; {consequence}")
}

/// What was latched holds; anything else has to be in Git to last.
fn consequence(was: &SetControl, new: &SchemaMigrationStatus) -> &'static str {
    let permitted = new.cut_over.as_ref().is_some_and(|one| one.permission.is_some());
    match (was.through.as_str(), was.value.as_str()) {
        (names::CUT_OVER, "allow") if permitted => "the permission holds all the same",
        (names::APPROVE, _) if !new.approvals.is_empty() => "the approval holds all the same",
        ("spec.panic", "true") if new.panicked.is_some() => "panic holds until a retry",
        _ => "to make it last, change it in Git as well",
    }
}

/// A control as it is remembered: as it was first seen, unless Git holds it.
fn set(
    migration: &SchemaMigration,
    (place, value): (Place, String),
    known: &[SetControl],
    now: &Time,
) -> Option<SetControl> {
    let (tools, people): (Vec<_>, Vec<_>) =
        ownership::managers(migration, place).partition(|one| ownership::is_tool(one));
    let through = place.to_string();
    let before = known.iter().find(|one| one.through == through && one.value == value);
    match before {
        // On its way to take a field back Flux makes itself its only owner first.
        Some(before) if tools.is_empty() || people.is_empty() => Some(before.clone()),
        None if tools.is_empty() => {
            let by = people.last().map(|one| (*one).to_owned()).unwrap_or_default();
            Some(SetControl { through, value, by, at: Some(now.clone()) })
        }
        Some(_) | None => None,
    }
}

fn values(migration: &SchemaMigration) -> Vec<(Place, String)> {
    all(migration).filter_map(|(place, value)| Some((place, value?))).collect()
}

fn all(migration: &SchemaMigration) -> impl Iterator<Item = (Place, Option<String>)> {
    let spec = &migration.spec;
    let fields = [
        ("paused", spec.paused),
        ("postponeCutOver", spec.postpone_cut_over),
        ("panic", spec.panic),
        ("abort", spec.abort),
    ];
    let word = |name| control::annotation(migration, name).map(str::to_owned);
    fields
        .into_iter()
        .map(|(name, value)| (Place::Field(name), value.map(|value| value.to_string())))
        .chain([names::CUT_OVER, names::APPROVE].map(|name| (Place::Annotation(name), word(name))))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::controller::decide::decide;
    use crate::controller::publish;
    use crate::controller::samples::{active, merge, observed, reported};

    const WORD: &str = "ghostship.dev/cut-over";

    /// An entry of the managed fields.
    fn entry(manager: &str, second: u32, fields: &Value) -> Value {
        json!({"manager": manager, "operation": "Apply", "fieldsV1": fields,
            "time": format!("2026-01-01T11:00:{second:02}Z")})
    }

    fn field(name: &str) -> Value {
        json!({"f:spec": {format!("f:{name}"): {}}})
    }

    fn word() -> Value {
        json!({"f:metadata": {"f:annotations": {format!("f:{WORD}"): {}}}})
    }

    /// A migration that goes on, with this spec, annotation, and managed fields.
    fn going(spec: &Value, annotation: Option<&str>, entries: &[Value]) -> Observed {
        let mut document = reported("Left", "Left");
        let annotations = annotation.map(|value| json!({WORD: value}));
        merge(
            &mut document,
            &json!({"spec": spec, "status": {"report": {"ending": null}},
                "metadata": {"managedFields": entries, "annotations": annotations}}),
        );
        observed(&document, active())
    }

    /// The status after one look, put into the next observation; the events that follow from that.
    fn told(before: &Observed, after: &Observed) -> Vec<Revert> {
        let first = publish::status(before, &decide(before));
        let mut after = after.clone();
        let report = after.migration.status.take().and_then(|status| status.report);
        after.migration.status = Some(SchemaMigrationStatus { report, ..first });
        let second = publish::status(&after, &decide(&after));
        let told = reverts(&after.migration, &second);
        after.migration.status = Some(second);
        let third = publish::status(&after, &decide(&after));
        assert!(reverts(&after.migration, &third).is_empty(), "told twice");
        told
    }

    /// Who wrote at which second, and the field.
    type Written<'a> = &'a [(&'a str, u32, &'a str)];

    fn paused(value: Option<bool>, written: Written<'_>) -> Observed {
        let spec = value.map_or_else(|| json!({}), |value| json!({"paused": value}));
        let entries: Vec<_> =
            written.iter().map(|(who, second, name)| entry(who, *second, &field(name))).collect();
        going(&spec, None, &entries)
    }

    #[test]
    fn what_a_tool_takes_back_is_told_once() {
        let (argo, flux, person) = ("argocd-controller", "kustomize-controller", "kubectl-patch");
        let of_flux = [(flux, 1, "table"), (person, 2, "paused")];
        let rows: [(&str, (bool, Written<'_>), (Option<bool>, Written<'_>), Option<&str>); 8] = [
            (
                "written over by what Git holds",
                (true, &[(argo, 1, "table"), (person, 2, "paused")]),
                (Some(false), &[(argo, 3, "paused")]),
                Some(
                    "argocd-controller took back spec.paused: true, which kubectl-patch had set; ",
                ),
            ),
            (
                "taken away",
                (true, &of_flux),
                (None, &[(flux, 3, "table")]),
                Some(
                    "kustomize-controller took back spec.paused: true, which kubectl-patch had set; ",
                ),
            ),
            ("taken away by a person", (true, &of_flux), (None, &[(flux, 1, "table")]), None),
            (
                "taken away by a person after a tool wrote something else",
                (true, &[(flux, 3, "table"), (person, 2, "paused")]),
                (None, &[(flux, 3, "table")]),
                None,
            ),
            (
                "changed by a person",
                (true, &of_flux),
                (Some(false), &[(flux, 1, "table"), ("ghostship-cli", 3, "paused")]),
                None,
            ),
            (
                "set by the tool itself",
                (true, &[(argo, 1, "paused")]),
                (Some(false), &[(argo, 3, "paused")]),
                None,
            ),
            (
                "put into Git by now",
                (true, &[(argo, 3, "paused"), (person, 2, "paused")]),
                (Some(false), &[(argo, 4, "paused")]),
                None,
            ),
            (
                "a resume is taken back as well",
                (false, &[(argo, 1, "table"), ("argocd-server", 2, "paused")]),
                (Some(true), &[(argo, 3, "paused")]),
                Some(
                    "argocd-controller took back spec.paused: false, which argocd-server had set; ",
                ),
            ),
        ];
        for (name, (was, before), (is, after), expected) in rows {
            let told = told(&paused(Some(was), before), &paused(is, after));
            assert_eq!(told.len(), usize::from(expected.is_some()), "{name}: {told:?}");
            let sentence = told.first().map(|revert| revert.note.as_str()).unwrap_or_default();
            assert!(sentence.starts_with(expected.unwrap_or_default()), "{name}: {sentence}");
            assert!(told.iter().all(|one| one.what == format!("spec.paused={was}")), "{told:?}");
        }
    }

    #[test]
    fn permission_that_is_taken_back_holds() {
        let table = |second| entry("kustomize-controller", second, &field("table"));
        let entries = [table(1), entry("kubectl-annotate", 2, &word())];
        let before = going(&json!({}), Some("allow"), &entries);
        let told = told(&before, &going(&json!({}), None, &[table(3)]));
        let note = "kustomize-controller took back ghostship.dev/cut-over: allow, which \
            kubectl-annotate had set; the permission holds all the same";
        let what = "ghostship.dev/cut-over=allow".to_owned();
        assert_eq!(told, [Revert { what, note: note.to_owned() }]);
    }

    #[test]
    fn panic_that_is_taken_back_holds() {
        let entries =
            [entry("fleet-agent", 1, &field("table")), entry("kubectl-patch", 2, &field("panic"))];
        let before = going(&json!({"panic": true}), None, &entries);
        let after =
            going(&json!({"panic": false}), None, &[entry("fleet-agent", 3, &field("panic"))]);
        let told = told(&before, &after);
        assert!(told.len() == 1 && told[0].note.ends_with("panic holds until a retry"), "{told:?}");
    }

    #[test]
    fn a_field_on_its_way_to_be_taken_back_is_remembered() {
        let kubectl =
            [entry("flux", 1, &field("table")), entry("kubectl-patch", 2, &field("paused"))];
        let before = going(&json!({"paused": true}), None, &kubectl);
        let first = publish::status(&before, &decide(&before));
        let mut between =
            going(&json!({"paused": true}), None, &[entry("flux", 1, &field("paused"))]);
        between.migration.status = Some(first.clone());
        let second = publish::status(&between, &decide(&between));
        assert_eq!(second.controls, first.controls);
        let set = &first.controls.unwrap().set;
        assert_eq!((set[0].by.as_str(), set.len()), ("kubectl-patch", 1));
    }

    #[test]
    fn nothing_is_remembered_of_what_nobody_set_or_what_is_done() {
        let table = entry("argocd-controller", 1, &field("table"));
        let nothing = going(&json!({}), None, std::slice::from_ref(&table));
        assert_eq!(publish::status(&nothing, &decide(&nothing)).controls, None);
        let mut done = reported("Completed", "Completed");
        merge(&mut done, &json!({"spec": {"paused": true}}));
        let done = observed(&done, crate::controller::samples::ended(None));
        assert_eq!(publish::status(&done, &decide(&done)).controls, None);
    }
}
