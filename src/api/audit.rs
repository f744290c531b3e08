//! Who changed which control or setting of a migration, and when. In: what was seen last, the resource as it
//! is and its field managers; out: changes. Texts are bounded and hold neither the ALTER nor a secret. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, Time};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::control;
use super::migration::SchemaMigration;
use super::names;
use super::ownership::{self, owns_path};
use super::status::{AuditStatus, CHANGES, ChangeStatus};

/// The value of what is not written.
pub const NONE: &str = "none";

/// The fields of the spec by which people steer.
const CONTROLS: [&str; 4] = ["paused", "postponeCutOver", "panic", "abort"];
/// The annotations by which they do.
const WORDS: [&str; 4] = [names::CUT_OVER, names::APPROVE, names::RETRY, names::ABANDON];
/// The parts of the spec that are settings, each field below them for itself.
const TUNING: [&str; 5] = ["copy", "throttle", "cutOver", "windows", "profiles"];
/// The setting that stands elsewhere.
const REPAIR_LIMIT: [&str; 2] = ["verify", "repairLimit"];
/// The longest value that is told as it is, in characters; of a longer one the beginning and a digest.
const LONGEST: usize = 120;
/// Characters of such a digest.
const DIGEST: usize = 12;

/// A migration as it is looked at.
#[derive(Clone, Debug)]
pub struct Look {
    /// Each control and setting that is written.
    pub values: BTreeMap<String, String>,
    /// The generation of the resource.
    pub generation: i64,
    /// Who called the HTTP API last, and when.
    pub caller: Option<(String, Timestamp)>,
    /// The time.
    pub now: Timestamp,
}

impl Look {
    /// Looks at a migration.
    pub fn at(migration: &SchemaMigration, now: Timestamp) -> Self {
        Self {
            values: values(&control::document(migration)),
            generation: migration.metadata.generation.unwrap_or_default(),
            caller: caller(migration),
            now,
        }
    }
}

/// What the status has to remember from now on.
pub fn after(migration: &SchemaMigration, now: Timestamp) -> AuditStatus {
    let look = Look::at(migration, now);
    let managers = managers(migration);
    let old = before(migration);
    let mut all = old.map(|old| old.changes.clone()).unwrap_or_default();
    all.extend(old.map(|old| changes(old, &look, &managers)).unwrap_or_default());
    let owned = CONTROLS.map(|name| (field(&[name]), joined(&owners(&managers, &["spec", name]))));
    let last = managers.iter().filter_map(|entry| Some(entry.time.as_ref()?.0)).max();
    let known = old.and_then(|old| old.wrote_at.as_ref()).map(|at| at.0);
    AuditStatus {
        changes: all.split_off(all.len().saturating_sub(CHANGES)),
        seen: look.values,
        owners: owned.into_iter().filter(|(_, by)| !by.is_empty()).collect(),
        generation: look.generation,
        wrote_at: last.max(known).map(Time),
    }
}

/// What changed since the status of the migration was written. Nothing is a change of what nobody has seen.
pub fn fresh(migration: &SchemaMigration, now: Timestamp) -> Vec<ChangeStatus> {
    let Some(old) = before(migration) else { return Vec::new() };
    changes(old, &Look::at(migration, now), &managers(migration))
}

/// What differs between what was seen and a look, with its author as far as the field managers tell, in the
/// order of time.
pub fn changes(
    before: &AuditStatus,
    now: &Look,
    managers: &[ManagedFieldsEntry],
) -> Vec<ChangeStatus> {
    let fields: BTreeSet<&String> = before.seen.keys().chain(now.values.keys()).collect();
    let mut all: Vec<_> = fields
        .into_iter()
        .filter_map(|field| {
            let (from, to) = (before.seen.get(field), now.values.get(field));
            if from == to && !came_back(before, now, managers, field) {
                return None;
            }
            Some(change((before, now, managers), field, (from, to)))
        })
        .collect();
    all.sort_by_key(|change| change.at.as_ref().map(|at| at.0));
    all
}

/// Whether it is a control that people steer by, not a setting.
pub fn is_control(field: &str) -> bool {
    WORDS.contains(&field) || CONTROLS.iter().any(|name| field.strip_prefix("spec.") == Some(*name))
}

/// Each control and setting that a document has, as texts.
pub fn values(document: &Value) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let (spec, annotations) = (&document["spec"], &document["metadata"]["annotations"]);
    for name in CONTROLS.into_iter().chain(TUNING) {
        collect(&field(&[name]), &spec[name], &mut all);
    }
    let [outer, inner] = REPAIR_LIMIT;
    collect(&field(&REPAIR_LIMIT), &spec[outer][inner], &mut all);
    for name in WORDS {
        collect(name, &annotations[name], &mut all);
    }
    all
}

/// What differs between two documents that nobody manages but one source.
pub fn between(
    before: &BTreeMap<String, String>,
    now: &BTreeMap<String, String>,
    (by, at): (&str, Timestamp),
) -> Vec<ChangeStatus> {
    let seen = AuditStatus { seen: before.clone(), ..AuditStatus::default() };
    let look = Look { values: now.clone(), generation: 0, caller: None, now: at };
    let all = changes(&seen, &look, &[]).into_iter();
    all.map(|change| ChangeStatus { by: by.to_owned(), ..change }).collect()
}

fn before(migration: &SchemaMigration) -> Option<&AuditStatus> {
    migration.status.as_ref()?.audit.as_ref()
}

/// Everybody's entries but those of ghostship's own processes, which write on nobody's behalf.
fn managers(migration: &SchemaMigration) -> Vec<ManagedFieldsEntry> {
    let own = [names::CONTROLLER, names::WORKER];
    let foreign = ownership::entries(migration)
        .filter(|entry| entry.manager.as_deref().is_some_and(|name| !own.contains(&name)));
    foreign.cloned().collect()
}

fn change(
    (before, now, managers): (&AuditStatus, &Look, &[ManagedFieldsEntry]),
    field: &str,
    (from, to): (Option<&String>, Option<&String>),
) -> ChangeStatus {
    let authors = match to {
        Some(_) => writers(managers, &path(field), before.wrote_at.as_ref()),
        None => since(managers, before.wrote_at.as_ref()),
    };
    let at = authors.iter().filter_map(|entry| Some(entry.time.as_ref()?.0)).max();
    let at = at.unwrap_or(now.now).min(now.now);
    let text = |value: Option<&String>| value.map_or_else(|| NONE.to_owned(), String::clone);
    ChangeStatus {
        at: Some(Time(at)),
        field: field.to_owned(),
        from: text(from),
        to: text(to),
        by: on_behalf(joined(&authors), (at, now.caller.as_ref())),
    }
}

/// Who owns what is written: those of them who wrote since the last look, when any did.
fn writers<'a>(
    managers: &'a [ManagedFieldsEntry],
    path: &[&str],
    last: Option<&Time>,
) -> Vec<&'a ManagedFieldsEntry> {
    let owners = owners(managers, path);
    // The server notes whole seconds: who wrote in that of the last look may have written after it.
    let wrote = |entry: &&&ManagedFieldsEntry| {
        entry.time.as_ref().zip(last).is_some_and(|(at, last)| at.0 >= last.0)
    };
    let recent: Vec<_> = owners.iter().filter(wrote).copied().collect();
    if recent.is_empty() { owners } else { recent }
}

/// Who wrote anything since the last look: what is gone has no owner.
fn since<'a>(
    managers: &'a [ManagedFieldsEntry],
    last: Option<&Time>,
) -> Vec<&'a ManagedFieldsEntry> {
    let wrote = |entry: &&ManagedFieldsEntry| {
        entry.time.as_ref().zip(last).is_some_and(|(at, last)| at.0 > last.0)
    };
    managers.iter().filter(wrote).collect()
}

fn owners<'a>(managers: &'a [ManagedFieldsEntry], path: &[&str]) -> Vec<&'a ManagedFieldsEntry> {
    managers.iter().filter(|entry| owns_path(entry, path)).collect()
}

/// Whether a control has the value that was seen, and yet somebody has set it meanwhile: the spec was written
/// at least twice, and who owned the field owns it no longer. What a tool takes over it need not have set.
fn came_back(
    before: &AuditStatus,
    now: &Look,
    managers: &[ManagedFieldsEntry],
    field: &str,
) -> bool {
    let Some(former) = before.owners.get(field) else { return false };
    let present = who(&owners(managers, &path(field)));
    let is_other = |name: &&str| !former.split(", ").any(|one| one == *name);
    now.generation >= before.generation + 2
        && !present.is_empty()
        && present.iter().all(is_other)
        && !present.iter().any(|name| ownership::is_tool(name))
}

fn who<'a>(entries: &[&'a ManagedFieldsEntry]) -> BTreeSet<&'a str> {
    entries.iter().filter_map(|entry| entry.manager.as_deref()).collect()
}

fn joined(entries: &[&ManagedFieldsEntry]) -> String {
    who(entries).into_iter().collect::<Vec<_>>().join(", ")
}

/// What the HTTP API writes it writes for a caller, whom it notes down in the same second.
fn on_behalf(by: String, (at, caller): (Timestamp, Option<&(String, Timestamp)>)) -> String {
    match caller {
        Some((caller, called)) if by == names::API && called.as_second() == at.as_second() => {
            format!("{by} for {caller}")
        }
        _ => by,
    }
}

fn caller(migration: &SchemaMigration) -> Option<(String, Timestamp)> {
    let record = control::annotation(migration, names::LAST_API_ACTION)?;
    let record: Value = serde_json::from_str(record).ok()?;
    Some((told(&record["by"]), record["at"].as_str()?.parse().ok()?))
}

fn field(names: &[&str]) -> String {
    format!("spec.{}", names.join("."))
}

/// The way to a field; the names of annotations have dots themselves.
fn path(field: &str) -> Vec<&str> {
    match field.strip_prefix("spec.") {
        Some(_) => field.split('.').collect(),
        None => vec!["metadata", "annotations", field],
    }
}

fn collect(field: &str, value: &Value, all: &mut BTreeMap<String, String>) {
    match value {
        Value::Null => {}
        Value::Object(fields) => {
            for (name, value) in fields {
                collect(&format!("{field}.{name}"), value, all);
            }
        }
        _ => drop(all.insert(field.to_owned(), told(value))),
    }
}

fn told(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if plain.chars().count() <= LONGEST {
        return plain;
    }
    let digest: String = hex::encode(Sha256::digest(&text)).chars().take(DIGEST).collect();
    let begin: String = plain.chars().take(LONGEST - DIGEST - 3).collect();
    format!("{begin}… #{digest}")
}

#[cfg(test)]
#[path = "audit_tests.rs"]
mod tests;
