//! Migrations that begin only after others of their namespace have succeeded: what `spec.startAfter` names.
//! Pure.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::decide;
use crate::api::migration::SchemaMigration;
use crate::api::status::EndingKind;
use crate::api::validate::{Reason, Violation};

/// The reason of one that waits.
pub const WAITS_FOR_OTHER: &str = "WaitsForOther";

/// Who has to succeed before `own` begins, in words; `None` when all have. One that has begun waits for
/// nobody.
pub fn awaited(own: &SchemaMigration, all: &[Arc<SchemaMigration>]) -> Option<String> {
    if has_begun(own) {
        return None;
    }
    let mut missing = named(own).filter_map(|name| {
        let Some(other) = find(own, name, all) else {
            return Some(format!("{name} to be created and to succeed"));
        };
        match decide::known_ending(other) {
            Some(ending) if is_success(ending.outcome) => None,
            Some(ending) if decide::is_final(ending) => {
                Some(format!("{name} to succeed: it has ended with {}", ending.reason))
            }
            _ => Some(format!("{name} to succeed")),
        }
    });
    missing.next()
}

/// Whether one is named by another's `startAfter`.
pub fn is_awaited(freed: &SchemaMigration, own: &SchemaMigration) -> bool {
    let name = freed.metadata.name.as_deref();
    own.metadata.namespace == freed.metadata.namespace && named(own).any(|one| Some(one) == name)
}

/// The violation of one that waits for itself, be it by way of others, before it has begun.
pub fn cycle(own: &SchemaMigration, all: &[Arc<SchemaMigration>]) -> Option<Violation> {
    let start = own.metadata.name.as_deref().filter(|_| !has_begun(own))?;
    let way = way_to(start, own, all, &mut BTreeSet::new())?;
    let message = format!(
        "SchemaMigration spec.startAfter waits for itself: {start} after {}",
        way.join(" after ")
    );
    let remedy = "take one of these names out of spec.startAfter.migrations";
    Some(Violation::new(Reason::InvalidSpec, message, remedy))
}

/// The names from one migration to `aim`, which is the last of them.
fn way_to(
    aim: &str,
    from: &SchemaMigration,
    all: &[Arc<SchemaMigration>],
    seen: &mut BTreeSet<String>,
) -> Option<Vec<String>> {
    for name in named(from) {
        if name == aim {
            return Some(vec![name.to_owned()]);
        }
        if !seen.insert(name.to_owned()) {
            continue;
        }
        let rest = find(from, name, all).and_then(|other| way_to(aim, other, all, seen));
        if let Some(rest) = rest {
            return Some([vec![name.to_owned()], rest].concat());
        }
    }
    None
}

fn has_begun(migration: &SchemaMigration) -> bool {
    migration.status.as_ref().is_some_and(|status| status.attempt.is_some())
}

fn named(migration: &SchemaMigration) -> impl Iterator<Item = &str> {
    let after = migration.spec.start_after.iter();
    after.flat_map(|after| &after.migrations).map(String::as_str)
}

fn find<'a>(
    own: &SchemaMigration,
    name: &str,
    all: &'a [Arc<SchemaMigration>],
) -> Option<&'a SchemaMigration> {
    let same_place = |one: &&Arc<SchemaMigration>| {
        one.metadata.namespace == own.metadata.namespace
            && one.metadata.name.as_deref() == Some(name)
    };
    all.iter().find(same_place).map(Arc::as_ref)
}

fn is_success(outcome: EndingKind) -> bool {
    matches!(outcome, EndingKind::Completed | EndingKind::AlreadyApplied)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn migration(name: &str, after: &[&str], changes: &Value) -> Arc<SchemaMigration> {
        let mut document = json!({
            "apiVersion": "ghostship.dev/v1alpha1", "kind": "SchemaMigration",
            "metadata": {"name": name, "namespace": "shop", "uid": name},
            "spec": {"target": "db", "database": "shop", "table": "t", "alter": "ENGINE=InnoDB",
                "startAfter": {"migrations": after}},
        });
        crate::controller::samples::merge(&mut document, changes);
        Arc::new(serde_json::from_value(document).unwrap())
    }

    fn ended(outcome: &str, reason: &str) -> Value {
        json!({"status": {"attempt": 1,
            "report": {"attempt": 1, "ending": {"outcome": outcome, "reason": reason}}}})
    }

    #[test]
    fn one_waits_until_the_others_have_succeeded() {
        let elsewhere = json!({"metadata": {"namespace": "other"},
            "status": ended("Completed", "Completed")["status"]});
        let rows = [
            ("nothing is there", None, Some("to be created")),
            ("it is new", Some(json!({})), Some("first to succeed")),
            ("it works", Some(json!({"status": {"attempt": 1}})), Some("first to succeed")),
            ("it has succeeded", Some(ended("Completed", "Completed")), None),
            ("it was done before", Some(ended("AlreadyApplied", "AlreadyApplied")), None),
            ("it is repeated", Some(ended("Failed", "DiskFull")), Some("first to succeed")),
            ("it has failed", Some(ended("Failed", "DuplicateKey")), Some("with DuplicateKey")),
            ("it was aborted", Some(ended("Aborted", "Aborted")), Some("with Aborted")),
            ("one of another namespace", Some(elsewhere), Some("to be created")),
        ];
        for (name, first, expected) in rows {
            let own = migration("own", &["first"], &json!({}));
            let mut all = vec![Arc::clone(&own)];
            all.extend(first.map(|changes| migration("first", &[], &changes)));
            let found = awaited(&own, &all);
            match expected {
                None => assert_eq!(found, None, "{name}"),
                Some(words) => {
                    assert!(found.clone().unwrap_or_default().contains(words), "{name}: {found:?}");
                }
            }
        }
        let begun = migration("own", &["first"], &json!({"status": {"attempt": 1}}));
        assert_eq!(awaited(&begun, &[]), None, "who has begun waits for nobody");
    }

    #[test]
    fn a_circle_is_told_with_its_way() {
        let of = |rows: &[(&str, &[&str])]| -> Vec<Arc<SchemaMigration>> {
            rows.iter().map(|(name, after)| migration(name, after, &json!({}))).collect()
        };
        let rows: [(&[(&str, &[&str])], Option<&str>); 6] = [
            (&[("a", &[])], None),
            (&[("a", &["a"])], Some("a after a")),
            (&[("a", &["b"]), ("b", &["a"])], Some("a after b after a")),
            (
                &[("a", &["x", "b"]), ("b", &["c"]), ("c", &["a"])],
                Some("a after b after c after a"),
            ),
            (&[("a", &["b", "c"]), ("b", &["d"]), ("c", &["d"]), ("d", &[])], None),
            (&[("a", &["b"]), ("b", &["c"]), ("c", &["b"])], None),
        ];
        for (migrations, expected) in rows {
            let all = of(migrations);
            let found = cycle(&all[0], &all).map(|violation| violation.message);
            match expected {
                None => assert_eq!(found, None, "{migrations:?}"),
                Some(way) => {
                    assert!(found.clone().unwrap_or_default().ends_with(way), "{found:?}");
                }
            }
        }
    }
}
