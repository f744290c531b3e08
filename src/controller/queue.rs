//! Who goes first: migrations of one table one after the other, and so many of one target at a time.
//! First come, first served. Pure.

use std::sync::Arc;

use super::{after, decide, validate};
use crate::api::migration::SchemaMigration;
use crate::api::target::MigrationTarget;

/// The phase of one that waits for others.
pub const QUEUED: &str = "Queued";

/// Who has to end before `own` may begin, in words; `None` when it is its turn. `all` are the migrations
/// of every namespace, `max_active` how many of them may work at a time, 0 for no limit.
pub fn in_front(
    own: &SchemaMigration,
    target: &MigrationTarget,
    all: &[Arc<SchemaMigration>],
    max_active: usize,
) -> Option<String> {
    if max_active > 0 && all.iter().filter(|other| works(other)).count() >= max_active {
        return Some(format!(
            "one of {max_active} migrations to end: this controller runs no more"
        ));
    }
    let siblings = all.iter().map(Arc::as_ref).filter(|other| is_same_target(own, other));
    let mut earlier: Vec<&SchemaMigration> = siblings
        .filter(|other| !is_same(own, other) && goes_before(other, own))
        .filter(|other| has_begun(other) || may_begin(other, target, all))
        .collect();
    earlier.sort_by_key(|other| order(other));
    if let Some(other) =
        earlier.iter().find(|other| holds_table(other) && is_same_table(own, other))
    {
        return Some(behind_table(own, other));
    }
    earlier.retain(|other| works(other) || !has_begun(other));
    let limit = usize::from(target.spec.max_concurrent_migrations);
    let last = earlier.get(limit.checked_sub(1)?)?;
    let (name, target) = (name(last), &own.spec.target);
    Some(format!("{name} to end: MigrationTarget {target} runs {limit} at a time"))
}

/// Whether it has come to an end that frees its place, for good or until somebody asks for more.
pub fn is_over(migration: &SchemaMigration) -> bool {
    decide::known_ending(migration).is_some_and(decide::is_final)
}

/// Whether one waits for the place that another, or any other, has left. It goes by what it was last
/// told to do: should that come later than the other's end, it is looked at for that already.
pub fn waits_for(own: &SchemaMigration, freed: Option<&SchemaMigration>) -> bool {
    let phase = own.status.as_ref().and_then(|status| status.phase.as_deref());
    let concerns = |freed| is_same_target(own, freed) || after::is_awaited(freed, own);
    phase == Some(QUEUED) && freed.is_none_or(concerns)
}

/// One that is refused, or waits for others, is in nobody's way.
fn may_begin(
    other: &SchemaMigration,
    target: &MigrationTarget,
    all: &[Arc<SchemaMigration>],
) -> bool {
    after::awaited(other, all).is_none() && validate::violations(other, Some(target)).is_empty()
}

fn behind_table(own: &SchemaMigration, other: &SchemaMigration) -> String {
    let table = format!("{}.{}", own.spec.database, own.spec.table);
    let name = name(other);
    match works(other) || !has_begun(other) {
        true => format!("{name} to end: it changes {table} as well"),
        false => format!(
            "{name}, which stopped half-way on {table}: let it go on with kubectl ghostship retry, or \
             delete it, which cleans up"
        ),
    }
}

/// One that has begun goes before one that has not; then the older one, then by name.
fn goes_before(one: &SchemaMigration, other: &SchemaMigration) -> bool {
    order(one) < order(other)
}

fn order(migration: &SchemaMigration) -> (bool, Option<jiff::Timestamp>, String) {
    let created = migration.metadata.creation_timestamp.as_ref().map(|time| time.0);
    (!has_begun(migration), created, name(migration))
}

fn has_begun(migration: &SchemaMigration) -> bool {
    migration.status.as_ref().is_some_and(|status| status.attempt.is_some())
}

/// Whether it has begun and has not come to an end, or is cleaned up.
fn works(migration: &SchemaMigration) -> bool {
    has_begun(migration) && !is_over(migration)
}

/// Whether it may have something of its table on the server, or will.
fn holds_table(migration: &SchemaMigration) -> bool {
    !decide::known_ending(migration).is_some_and(decide::is_clean)
}

fn is_same(one: &SchemaMigration, other: &SchemaMigration) -> bool {
    one.metadata.uid == other.metadata.uid
}

fn is_same_target(one: &SchemaMigration, other: &SchemaMigration) -> bool {
    one.metadata.namespace == other.metadata.namespace && one.spec.target == other.spec.target
}

/// Servers may compare names without regard to case; then two spellings are one table.
fn is_same_table(one: &SchemaMigration, other: &SchemaMigration) -> bool {
    let lower = |migration: &SchemaMigration| {
        (migration.spec.database.to_lowercase(), migration.spec.table.to_lowercase())
    };
    lower(one) == lower(other)
}

fn name(migration: &SchemaMigration) -> String {
    migration.metadata.name.clone().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const TARGET: &str = r#"{"apiVersion": "ghostship.dev/v1alpha1", "kind": "MigrationTarget",
        "metadata": {"name": "db", "namespace": "shop"},
        "spec": {"host": "db.shop.svc", "credentialsSecret": {"name": "db"}, "allowedDatabases": ["shop"]}}"#;

    fn migration(name: &str, table: &str, minute: u8, changes: &Value) -> Arc<SchemaMigration> {
        let mut document = json!({
            "apiVersion": "ghostship.dev/v1alpha1", "kind": "SchemaMigration",
            "metadata": {"name": name, "namespace": "shop", "uid": name,
                "creationTimestamp": format!("2026-01-01T11:{minute:02}:00Z")},
            "spec": {"target": "db", "database": "shop", "table": table, "alter": "ENGINE=InnoDB"},
        });
        crate::controller::samples::merge(&mut document, changes);
        Arc::new(serde_json::from_value(document).unwrap())
    }

    fn ended(outcome: &str, reason: &str) -> Value {
        json!({"status": {"attempt": 1,
            "report": {"attempt": 1, "ending": {"outcome": outcome, "reason": reason}}}})
    }

    #[test]
    fn one_waits_for_those_that_came_first() {
        let new = json!({});
        let begun = json!({"status": {"attempt": 1}});
        let wrong = json!({"spec": {"database": "another"}});
        let rows = [
            ("alone", vec![], None),
            ("behind an older one", vec![("a", "u", 1, new.clone())], Some("runs 1 at a time")),
            ("before a younger one", vec![("z", "u", 50, new.clone())], None),
            (
                "behind a younger one that has begun",
                vec![("z", "u", 50, begun.clone())],
                Some("z to end"),
            ),
            ("behind one of the same table", vec![("a", "T", 1, begun)], Some("changes shop.t")),
            ("one that was refused by its target", vec![("a", "t", 1, wrong)], None),
            (
                "one that waits for this one",
                vec![("a", "t", 1, json!({"spec": {"startAfter": {"migrations": ["own"]}}}))],
                None,
            ),
            ("one that is done", vec![("a", "t", 1, ended("Completed", "Completed"))], None),
            (
                "one that is done by its exit code",
                vec![(
                    "a",
                    "t",
                    1,
                    json!({"status": {"attempt": 1, "ending": {"outcome": "Completed"}}}),
                )],
                None,
            ),
            ("one that was refused", vec![("a", "t", 1, ended("Refused", "Triggers"))], None),
            (
                "one that retries",
                vec![("a", "u", 1, ended("Failed", "DiskFull"))],
                Some("a to end"),
            ),
            (
                "one that failed on another table",
                vec![("a", "u", 1, ended("Failed", "DuplicateKey"))],
                None,
            ),
            (
                "one that failed half-way",
                vec![("a", "t", 1, ended("Failed", "DuplicateKey"))],
                Some("half-way"),
            ),
            (
                "one that panicked",
                vec![("a", "t", 1, ended("Panicked", "Panicked"))],
                Some("half-way"),
            ),
        ];
        let target: MigrationTarget = serde_json::from_str(TARGET).unwrap();
        for (name, others, expected) in rows {
            let own = migration("own", "t", 30, &new);
            let mut all: Vec<_> = others
                .iter()
                .map(|(name, table, minute, changes)| migration(name, table, *minute, changes))
                .collect();
            all.push(Arc::clone(&own));
            let found = in_front(&own, &target, &all, 0);
            match expected {
                None => assert_eq!(found, None, "{name}"),
                Some(words) => {
                    assert!(found.clone().unwrap_or_default().contains(words), "{name}: {found:?}");
                }
            }
        }
    }

    #[test]
    fn a_free_place_wakes_those_who_wait_for_it() {
        let queued = json!({"status": {"phase": "Queued"}});
        let elsewhere = json!({"status": {"phase": "Queued"}, "spec": {"target": "other"}});
        let freed = migration("freed", "t", 1, &ended("Completed", "Completed"));
        assert!(is_over(&freed));
        assert!(!is_over(&migration("a", "t", 1, &ended("Failed", "DiskFull"))), "it is repeated");
        let rows = [
            ("one that waits", queued.clone(), Some(&freed), true),
            ("one that works", json!({"status": {"phase": "Running"}}), Some(&freed), false),
            ("one that is new", json!({}), Some(&freed), false),
            (
                "one of another target that is to begin after it",
                json!({"status": {"phase": "Queued"},
                    "spec": {"target": "other", "startAfter": {"migrations": ["freed"]}}}),
                Some(&freed),
                true,
            ),
            ("one of another target", elsewhere.clone(), Some(&freed), false),
            ("one of another target, and anybody may be the freed", elsewhere, None, true),
        ];
        for (name, changes, freed, expected) in rows {
            let own = migration("own", "t", 2, &changes);
            assert_eq!(waits_for(&own, freed.map(Arc::as_ref)), expected, "{name}");
        }
    }

    #[test]
    fn the_controller_runs_no_more_than_it_may() {
        let target: MigrationTarget = serde_json::from_str(TARGET).unwrap();
        let elsewhere = json!({"metadata": {"namespace": "other"}, "status": {"attempt": 1}});
        let (own, other) =
            (migration("own", "t", 30, &json!({})), migration("a", "u", 1, &elsewhere));
        let all = [Arc::clone(&own), other];
        assert_eq!(in_front(&own, &target, &all, 2), None);
        assert!(in_front(&own, &target, &all, 1).unwrap().contains("runs no more"));
    }
}
