//! Test only: a migration as it is observed, with a few words changed.

#![cfg(test)]

use jiff::Timestamp;
use serde_json::{Value, json};

use super::decide::{Observed, Worker};

/// The time of every observation.
pub(super) const NOW: &str = "2026-01-01T12:00:00Z";

/// A migration that was accepted and held, with `changes` merged over it.
pub(super) fn observed(changes: &Value, worker: Worker) -> Observed {
    let mut document = json!({
        "apiVersion": "ghostship.dev/v1alpha1",
        "kind": "SchemaMigration",
        "metadata": {"name": "add-note", "namespace": "shop", "uid": "0a1b2c3d-4e5f", "generation": 3,
            "finalizers": ["ghostship.dev/clean-up"], "creationTimestamp": "2026-01-01T11:00:00Z"},
        "spec": {"target": "orders-db", "database": "shop", "table": "orders",
            "alter": "ADD COLUMN note varchar(200)"},
    });
    merge(&mut document, changes);
    let now: Timestamp = NOW.parse().unwrap();
    Observed {
        migration: serde_json::from_value(document).unwrap(),
        violations: Vec::new(),
        target: Some(
            serde_json::from_value(json!({
                "apiVersion": "ghostship.dev/v1alpha1", "kind": "MigrationTarget",
                "metadata": {"name": "orders-db", "namespace": "shop"},
                "spec": {"host": "db.shop.svc", "credentialsSecret": {"name": "orders-db"}},
            }))
            .unwrap(),
        ),
        worker,
        in_front: None,
        after: None,
        asked: Vec::new(),
        now,
    }
}

/// A worker that has not ended and whose pod runs.
pub(super) fn active() -> Worker {
    Worker::Active { clean_up: false, problem: None }
}

/// A worker whose Job ended and whose pod said this.
pub(super) fn ended(last_words: Option<(i32, &str)>) -> Worker {
    let last_words = last_words.map(|(code, text)| (code, text.to_owned()));
    Worker::Ended { clean_up: false, last_words }
}

/// A status in which attempt 1 began at 11:30 and reported this end at 11:59:58.
pub(super) fn reported(outcome: &str, reason: &str) -> Value {
    json!({"status": {
        "attempt": 1,
        "worker": {"job": "add-note-0a1b2c3d-1", "image": "one", "startedAt": "2026-01-01T11:30:00Z",
            "failures": 0},
        "report": {"attempt": 1, "phase": "RowCopy", "ending": {"outcome": outcome, "reason": reason,
            "message": "so it was", "at": "2026-01-01T11:59:58Z"}},
    }})
}

/// Puts `changes` over a document, field by field.
pub(super) fn merge(document: &mut Value, changes: &Value) {
    match (document, changes) {
        (Value::Object(fields), Value::Object(changes)) => {
            for (name, change) in changes {
                merge(fields.entry(name.clone()).or_insert(Value::Null), change);
            }
        }
        (field, change) => *field = change.clone(),
    }
}
