//! Test only: a migration as it is read from a cluster, with a few words changed.

#![cfg(test)]

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::api::migration::SchemaMigration;

/// The time of every look.
pub(crate) fn now() -> Timestamp {
    "2026-01-01T02:30:00Z".parse().unwrap()
}

/// A migration that somebody created at 01:00, with `changes` merged over it.
pub(crate) fn migration(changes: &Value) -> SchemaMigration {
    let mut document = json!({
        "apiVersion": "ghostship.dev/v1alpha1",
        "kind": "SchemaMigration",
        "metadata": {"name": "add-note", "namespace": "shop", "uid": "0a1b", "generation": 3,
            "creationTimestamp": "2026-01-01T01:00:00Z"},
        "spec": {"target": "orders-db", "database": "shop", "table": "orders",
            "alter": "ADD COLUMN note varchar(200)"},
        "status": {"observedGeneration": 3},
    });
    merge(&mut document, changes);
    serde_json::from_value(document).unwrap()
}

/// A status: a worker copies, and reported two seconds ago.
pub(crate) fn copying() -> Value {
    json!({"status": {
        "phase": "RowCopy", "message": "it works", "attempt": 1, "startedAt": "2026-01-01T01:00:05Z",
        "worker": {"job": "add-note-0a1b-1", "image": "ghostship:1", "failures": 0},
        "cutOver": {"state": "Allowed"},
        "transitions": [
            {"at": "2026-01-01T01:00:01Z", "phase": "Pending", "reason": "Accepted"},
            {"at": "2026-01-01T01:00:05Z", "phase": "Starting", "reason": "WorkerStarting"},
            {"at": "2026-01-01T01:00:15Z", "phase": "RowCopy", "reason": "Running"},
        ],
        "progress": {"rowsCopied": 1_234_567, "rowsEstimated": 2_700_000, "percent": 45,
            "rowsPerSecond": 52_000, "keysApplied": 1234, "backlog": 12, "streamLag": "20ms",
            "eta": "28s", "verifiedPercent": 0, "rowsRepaired": 0, "cutOverAttempts": 0},
        "report": {"attempt": 1, "pod": "add-note-0a1b-1-xyz", "phase": "RowCopy",
            "updatedAt": "2026-01-01T02:29:58Z"},
        "plan": {"strategy": "Copy", "key": "PRIMARY (id)", "shadowTable": "_orders_s",
            "oldTable": "_orders_o", "controlTable": "_orders_c"},
    }})
}

/// A copying migration with more changes.
pub(crate) fn copying_with(changes: &Value) -> SchemaMigration {
    let mut all = copying();
    merge(&mut all, changes);
    migration(&all)
}

/// Merges `changes` into `document`; null takes a field away.
pub(crate) fn merge(document: &mut Value, changes: &Value) {
    let (Some(fields), Some(changes)) = (document.as_object_mut(), changes.as_object()) else {
        changes.clone_into(document);
        return;
    };
    for (name, change) in changes {
        if change.is_null() {
            fields.remove(name);
        } else {
            merge(fields.entry(name.clone()).or_insert(Value::Null), change);
        }
    }
}
