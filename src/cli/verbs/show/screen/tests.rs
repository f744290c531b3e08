//! The screen in every state that a person may meet, compared with `golden.txt`.

use serde_json::{Value, json};

use super::*;
use crate::api::samples::{copying_with, migration, now};
use crate::cli::console::Colour;

const GOLDEN: &str = include_str!("golden.txt");
const AT: &str = "2026-01-01T02:20:00Z";

/// All states, each with its name in `golden.txt`.
fn states() -> Vec<(&'static str, SchemaMigration)> {
    let moved = |phase: &str, changes: Value| {
        let mut all = json!({"status": {"phase": phase, "transitions": [
            {"at": "2026-01-01T01:00:15Z", "phase": "RowCopy", "reason": "Running"},
            {"at": AT, "phase": phase, "reason": phase},
        ]}});
        crate::api::samples::merge(&mut all, &changes);
        copying_with(&all)
    };
    vec![
        ("just created", unseen("2026-01-01T02:29:50Z")),
        ("never looked at", unseen("2026-01-01T01:00:00Z")),
        ("queued", migration(&queued())),
        ("copying throttled", copying_with(&throttled())),
        ("with settings of its own", copying_with(&settings())),
        ("paused", copying_with(&paused())),
        ("postponed", moved("AwaitCutOver", postponed())),
        ("allowed", moved("CutOver", allowed())),
        ("blocked", moved("CutOver", blocked())),
        ("blocked by a prepared transaction", moved("CutOver", blocked_by_nobody())),
        ("silent", copying_with(&json!({"status": {"report": {"updatedAt": AT}}}))),
        ("retrying", moved("Retrying", retrying())),
        ("rejected", migration(&rejected())),
        ("failed", moved("Failed", ended("Failed", "DuplicateKey"))),
        ("succeeded", moved("Succeeded", succeeded())),
        ("panicked", moved("Panicked", ended("Panicked", "Panicked"))),
        ("ended without a controller", copying_with(&untold())),
        (
            "allowed a moment ago",
            copying_with(&json!({"spec": {"postponeCutOver": true},
            "metadata": {"annotations": {"ghostship.dev/cut-over": "allow"}}})),
        ),
        (
            "being deleted",
            moved(
                "Terminating",
                json!({"metadata": {"deletionTimestamp": AT},
            "status": {"message": "the helper tables are dropped"}}),
            ),
        ),
    ]
}

#[test]
fn every_state_is_told_as_in_the_golden_file() {
    let look = Look { now: now(), colour: Colour::Plain };
    let mut all = String::new();
    for (name, migration) in states() {
        all.push_str(&format!("=== {name}\n{}", screen(&migration, look)));
    }
    assert!(all == GOLDEN, "golden.txt differs; the screens are now:\n{all}");
}

#[test]
fn a_terminal_sees_what_needs_a_human() {
    let look = Look { now: now(), colour: Colour::Ansi };
    let wait = "\u{1b}[33m";
    let text = screen(&copying_with(&paused()), look);
    assert!(text.contains(&format!("{wait}RowCopy")), "{text}");
    assert!(text.contains(&format!("{wait}resume")), "{text}");
}

#[test]
fn a_screen_is_one_screen() {
    let look = Look { now: now(), colour: Colour::Plain };
    for (name, migration) in states() {
        assert!(screen(&migration, look).lines().count() <= 24, "{name}");
    }
}

#[test]
fn bars_are_full_at_the_end_only() {
    let rows = [(-1, 0), (0, 0), (50, 12), (99, 23), (100, 24), (250, 24)];
    for (percent, filled) in rows {
        assert_eq!(bar(percent).matches('#').count(), filled, "{percent}");
        assert_eq!(bar(percent).len(), 26);
    }
}

fn unseen(created: &str) -> SchemaMigration {
    migration(&json!({"metadata": {"creationTimestamp": created, "generation": 1},
        "status": {"observedGeneration": -1}}))
}

fn queued() -> Value {
    json!({"status": {"phase": "Queued", "message": "it waits for shop/drop-old",
        "cutOver": {"state": "Postponed"}, "transitions": [
            {"at": AT, "phase": "Queued", "reason": "Queued"}]},
        "spec": {"postponeCutOver": true}})
}

fn throttled() -> Value {
    json!({"status": {"message": "it goes slower: replica lag of 3.2s", "progress": {"throttled": [
        {"reason": "replica lag of 3.2s", "since": "2026-01-01T02:29:20Z"},
        {"reason": "Threads_running is 41", "since": "2026-01-01T02:29:55Z"}]}}})
}

fn settings() -> Value {
    let one = |field: &str, value: &str, origin: &str| json!({"field": field, "value": value, "origin": origin});
    json!({"status": {"effective": [
        one("copy.threads", "4", "Profile(night)"),
        one("copy.chunkTime", "500ms", "Default"),
        one("throttle.maxLoad", "Threads_running: 50", "Preset"),
        one("cutOver.lockBudget", "300ms", "Target")]}})
}

fn paused() -> Value {
    json!({"spec": {"paused": true}, "metadata": {"generation": 4},
        "status": {"message": "paused by spec.paused; kubectl ghostship resume goes on",
            "progress": {"rowsPerSecond": 0, "eta": null},
            "report": {"waitingFor": "paused by the user", "waitingSince": AT}}})
}

fn postponed() -> Value {
    json!({"spec": {"postponeCutOver": true},
        "status": {
            "message": "copied, verified and kept current; kubectl ghostship cut-over lets the swap happen",
            "cutOver": {"state": "Postponed"},
            "progress": {"rowsCopied": 2_700_000, "percent": 100, "rowsPerSecond": 0, "eta": null, "verifiedPercent": 100,
                "rowsRepaired": 2},
            "report": {"phase": "AwaitCutOver", "waitingFor": "permission to cut over",
                "waitingSince": AT}}})
}

fn allowed() -> Value {
    json!({"spec": {"postponeCutOver": true},
        "metadata": {"annotations": {"ghostship.dev/cut-over": "allow"}},
        "status": {
            "message": "it waits for the next cut-over attempt",
            "cutOver": {"state": "Allowed", "permission": {"at": AT, "by": "ghostship-cli",
                "through": "ghostship.dev/cut-over"}},
            "progress": {"rowsCopied": 2_700_000, "percent": 100, "rowsPerSecond": 0, "eta": null, "verifiedPercent": 100,
                "cutOverAttempts": 3, "lastCutOverError": "session 81 holds the table"},
            "report": {"phase": "CutOver"}}})
}

fn blocked() -> Value {
    json!({"status": {
        "message": "it waits for a transaction on shop.orders to end",
        "progress": {"rowsCopied": 2_700_000, "percent": 100, "rowsPerSecond": 0, "eta": null, "verifiedPercent": 100},
        "report": {"phase": "CutOver", "waitingFor": "a transaction on shop.orders to end",
            "waitingSince": AT, "blocker": {"id": "81", "user": "app@10.0.0.7", "since": AT,
                "holds": "shop.orders", "statement": "SELECT * FROM `orders` WHERE `id` = ?"}}}})
}

fn blocked_by_nobody() -> Value {
    let mut all = blocked();
    all["status"]["report"]["blocker"] =
        json!({"id": "0x6f62737461636c65", "holds": "a prepared XA transaction"});
    all
}

fn retrying() -> Value {
    json!({"status": {
        "message": "the server is read-only; make it writable; the next attempt follows in 40s and continues",
        "attempt": 3,
        "worker": {"job": "add-note-0a1b-3", "failures": 2, "nextAttemptAt": "2026-01-01T02:30:40Z"},
        "report": {"attempt": 3, "ending": {"outcome": "Failed", "reason": "ServerReadOnly",
            "message": "the server is read-only", "took": "3s"}}}})
}

fn rejected() -> Value {
    json!({"status": {"phase": "Failed",
        "message": "there is no MigrationTarget orders-db; create it or name another one"}})
}

fn ended(outcome: &str, reason: &str) -> Value {
    json!({"status": {"message": "how it ended; what to do; what is kept", "completedAt": AT,
        "report": {"ending": {"outcome": outcome, "reason": reason, "message": "how it ended",
            "took": "1h19m"}}}})
}

fn succeeded() -> Value {
    json!({"status": {"message": "2,700,000 rows copied", "completedAt": AT,
        "cutOver": {"state": "Done"},
        "progress": {"rowsCopied": 2_700_000, "percent": 100, "verifiedPercent": 100, "cutOverAttempts": 1},
        "report": {"phase": "CleanUp", "ending": {"outcome": "Completed", "reason": "Completed",
            "took": "1h19m", "lockTime": "12ms", "oldTable": "_orders_o",
            "oldTableExpires": "2026-01-03 02:20:00"}}}})
}

fn untold() -> Value {
    json!({"status": {"report": {"updatedAt": AT, "ending": {"outcome": "Failed",
        "reason": "DiskFull", "message": "the disk of the server is full"}}}})
}
