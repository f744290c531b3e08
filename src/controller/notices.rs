//! Tells people how migrations stand: looks at all that are known every few seconds, makes snapshots of
//! them for `notify`, and keeps what was told in an annotation of each, so that the next leader goes on
//! from there. Only the leader tells.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tokio::time::sleep;

use super::observe::within;
use super::standing;
use super::{Context, Error, chain};
use crate::api::migration::SchemaMigration;
use crate::api::status::{ProgressStatus, SchemaMigrationStatus};
use crate::api::{API_VERSION, control, duration, names};
use crate::notify::Notifier;
use crate::notify::snapshot::{Advance, Held, Snapshot, Stage};

/// The migrations are looked at so often.
const LOOK: Duration = Duration::from_secs(2);
/// At the end of the process so much time is left for what is still to be sent.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// The signals that hold nothing back that should go on now.
const SLOWER: [&str; 4] = ["maxSlowdown", "maxRowsPerSecond", "niceRatio", WINDOW];
/// The signal of hours that have not come.
const WINDOW: &str = "window";

/// Tells for ever; does nothing when nobody is to be told.
pub(super) async fn tell(context: &Context) -> Infallible {
    let Some(notifier) = &context.notifier else { return pending().await };
    tokio::select! {
        never = notifier.run() => never,
        never = look(context, notifier) => never,
    }
}

/// Sends what is still to be sent.
pub(super) async fn finish(context: &Context) {
    if let Some(notifier) = &context.notifier {
        tokio::select! {
            never = notifier.run() => match never {},
            () = notifier.finish(LAST_WORDS) => {}
        }
    }
}

async fn look(context: &Context, notifier: &Notifier) -> Infallible {
    loop {
        let all = context.everything();
        for migration in &all {
            hear(context, notifier, migration).await;
        }
        if !all.is_empty() {
            let ids: BTreeSet<String> = all.iter().map(|one| uid(one)).collect();
            notifier.keep_only(&ids);
        }
        sleep(LOOK).await;
    }
}

async fn hear(context: &Context, notifier: &Notifier, migration: &Arc<SchemaMigration>) {
    let now = Timestamp::now();
    let kept = control::annotation(migration, names::NOTIFIED);
    let Some(snapshot) = snapshot(migration, now) else { return };
    let Some(text) = notifier.hear(&snapshot, kept, now) else { return };
    match keep(context, migration, &text).await {
        Ok(()) => notifier.is_kept(&snapshot.id, text),
        Err(error) => {
            let migration = &snapshot.migration;
            tracing::warn!(migration, error = chain(&error), "what was told could not be noted");
        }
    }
}

/// By server-side apply: the annotation is the controller's own and nothing else is touched. The UID keeps
/// a migration that is gone from coming back.
async fn keep(context: &Context, migration: &SchemaMigration, text: &str) -> Result<(), Error> {
    let namespace = migration.metadata.namespace.as_deref().unwrap_or_default();
    let api: Api<SchemaMigration> = Api::namespaced(context.client.clone(), namespace);
    let name = migration.metadata.name.as_deref().unwrap_or_default();
    let patch = Patch::Apply(json!({
        "apiVersion": API_VERSION,
        "kind": "SchemaMigration",
        "metadata": {"name": name, "uid": migration.metadata.uid,
            "annotations": {names::NOTIFIED: text}},
    }));
    let parameters = PatchParams::apply(names::CONTROLLER).force();
    within("note what was told", api.patch(name, &parameters, &patch)).await.map(drop)
}

fn uid(migration: &SchemaMigration) -> String {
    migration.metadata.uid.clone().unwrap_or_default()
}

/// What the status tells; `None` before there is one.
fn snapshot(migration: &SchemaMigration, now: Timestamp) -> Option<Snapshot> {
    let status = migration.status.as_ref()?;
    let namespace = migration.metadata.namespace.as_deref().unwrap_or_default();
    let name = migration.metadata.name.as_deref().unwrap_or_default();
    let phase = status.phase.clone()?;
    let progress = status.progress.clone().unwrap_or_default();
    let reason = condition(status, "Ready").map(|(reason, _)| reason.to_owned());
    let reason = reason.unwrap_or_default();
    let last = status.transitions.last().and_then(|last| last.at.as_ref());
    let report = status.report.as_ref();
    let waits_for = report.and_then(|report| report.waiting_for.clone());
    let cut_over = status.cut_over.clone().unwrap_or_default();
    Some(Snapshot {
        id: uid(migration),
        migration: format!("{namespace}/{name}"),
        table: format!("{}.{}", migration.spec.database, migration.spec.table),
        stage: stage(status, &phase, &reason),
        since: last.map_or(now, |time| time.0),
        message: status.message.clone().unwrap_or_default(),
        advance: advance(&phase, &progress),
        lag: lag(&progress),
        held: held(&progress, now),
        rests: progress.throttled.iter().any(|one| one.signal == WINDOW),
        paused_since: condition(status, "Paused").map(|(_, since)| since),
        waits_for: waits_for.unwrap_or_default(),
        cut_over_attempts: unsigned(cut_over.attempts),
        cut_over_error: cut_over.last_error.unwrap_or_default(),
        backlog: unsigned(progress.backlog),
        retention: progress.binlog_headroom.as_deref().and_then(duration::parse),
        phase,
        reason,
    })
}

/// Reason of a condition, of one that is true its time as well; of `Ready` whatever it is.
fn condition<'a>(status: &'a SchemaMigrationStatus, name: &str) -> Option<(&'a str, Timestamp)> {
    let found = status.conditions.iter().find(|one| one.type_ == name)?;
    let counts = name == "Ready" || found.status == "True";
    counts.then_some((found.reason.as_str(), found.last_transition_time.0))
}

fn stage(status: &SchemaMigrationStatus, phase: &str, reason: &str) -> Stage {
    let fails = status.worker.as_ref().is_some_and(|worker| worker.failures > 0);
    match phase {
        "Succeeded" => Stage::Succeeded,
        "Failed" => Stage::Failed,
        "Panicked" => Stage::Panicked,
        "Aborted" => Stage::Aborted,
        "Terminating" => Stage::Leaving,
        "Retrying" => Stage::Retrying,
        "Starting" if fails => Stage::Retrying,
        "Starting" | "Pending" | "Queued" => Stage::Pending,
        _ if [standing::POSTPONED, standing::OUTSIDE_WINDOW].contains(&reason) => Stage::Postponed,
        _ => Stage::Working,
    }
}

fn advance(phase: &str, progress: &ProgressStatus) -> Advance {
    Advance {
        phase: phase.to_owned(),
        rows: unsigned(progress.rows_copied),
        // Elsewhere the application's writes would look like an advance.
        keys: if phase == "CatchUp" { unsigned(progress.keys_applied) } else { 0 },
        verified: unsigned(progress.verified_percent) * 100,
        attempts: unsigned(progress.cut_over_attempts),
    }
}

fn lag(progress: &ProgressStatus) -> Option<Duration> {
    let lags = [&progress.stream_lag, &progress.replica_lag].into_iter().flatten();
    lags.filter_map(|lag| duration::parse(lag)).max()
}

/// What only makes the copy slower holds nothing.
fn held(progress: &ProgressStatus, now: Timestamp) -> Vec<Held> {
    let reasons = progress.throttled.iter().filter(|one| !SLOWER.contains(&one.signal.as_str()));
    let since = |time: Option<Timestamp>| time.unwrap_or(now);
    reasons
        .map(|one| Held {
            words: one.reason.clone(),
            since: since(one.since.as_ref().map(|time| time.0)),
        })
        .collect()
}

fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::controller::decide::{Worker, decide};
    use crate::controller::publish;
    use crate::controller::samples::{active, ended, merge, observed, reported};

    /// The snapshot of the status that the controller publishes for what it observes.
    fn seen(changes: &Value, worker: Worker) -> Snapshot {
        let observed = observed(changes, worker);
        let mut status = publish::status(&observed, &decide(&observed));
        let old = observed.migration.status.clone().unwrap_or_default();
        (status.progress, status.report) = (old.progress, old.report);
        let migration = SchemaMigration { status: Some(status), ..observed.migration };
        snapshot(&migration, observed.now).unwrap()
    }

    fn in_phase(phase: &str, changes: &Value) -> Value {
        let report = json!({"attempt": 1, "phase": phase});
        let mut all = json!({"status": {"attempt": 1, "report": report}});
        merge(&mut all, changes);
        all
    }

    #[test]
    fn every_standing_has_its_stage() {
        let postponed = json!({"spec": {"postponeCutOver": true}});
        let rows = [
            (json!({}), Worker::Absent, Stage::Pending),
            (json!({"status": {"attempt": 1}}), active(), Stage::Pending),
            (in_phase("RowCopy", &json!({})), active(), Stage::Working),
            (in_phase("AwaitCutOver", &json!({})), active(), Stage::Working),
            (in_phase("AwaitCutOver", &postponed), active(), Stage::Postponed),
            (in_phase("RowCopy", &postponed), active(), Stage::Working),
            (reported("Failed", "DiskFull"), ended(None), Stage::Retrying),
            (reported("Refused", "Triggers"), ended(None), Stage::Failed),
            (reported("Completed", "Completed"), ended(None), Stage::Succeeded),
            (reported("AlreadyApplied", "AlreadyApplied"), ended(None), Stage::Succeeded),
            (reported("Panicked", "Panicked"), ended(None), Stage::Panicked),
            (reported("Aborted", "Aborted"), ended(None), Stage::Aborted),
            (
                json!({"status": {"attempt": 2, "worker": {"job": "x", "image": "x", "failures": 1}}}),
                active(),
                Stage::Retrying,
            ),
        ];
        for (changes, worker, stage) in rows {
            assert_eq!(seen(&changes, worker).stage, stage, "{changes}");
        }
    }

    #[test]
    fn figures_and_waits_are_taken_over() {
        let changes = json!({"spec": {"paused": true}, "status": {
            "progress": {"rowsCopied": 7, "verifiedPercent": 3, "backlog": 11, "streamLag": "2s",
                "replicaLag": "1m5s", "cutOverAttempts": 4, "lastCutOverError": "locked",
                "keysApplied": 99,
                "binlogHeadroom": "2h",
                "throttled": [{"signal": "maxRowsPerSecond", "reason": "it is 5"},
                    {"signal": "niceRatio", "reason": "it is 1"},
                    {"signal": "maxLag", "reason": "replica one is 9s behind", "since": "2026-01-01T11:00:00Z"}]},
            "report": {"waitingFor": "a backup"}}});
        let seen = seen(&in_phase("RowCopy", &changes), active());
        assert_eq!(
            (seen.migration.as_str(), seen.table.as_str()),
            ("shop/add-note", "shop.orders")
        );
        assert_eq!(seen.lag, Some(Duration::from_secs(65)));
        let since = "2026-01-01T11:00:00Z".parse().unwrap();
        let words = "replica one is 9s behind".to_owned();
        assert_eq!(seen.held, [Held { words, since }]);
        assert_eq!(seen.paused_since, Some(super::super::samples::NOW.parse().unwrap()));
        assert_eq!(seen.retention, Some(Duration::from_secs(7200)));
        assert_eq!(seen.waits_for, "a backup");
        assert_eq!((seen.cut_over_attempts, seen.backlog), (4, 11));
        assert_eq!(seen.cut_over_error, "locked");
        let advance =
            Advance { phase: "RowCopy".to_owned(), rows: 7, keys: 0, verified: 300, attempts: 4 };
        assert_eq!(seen.advance, advance);
    }
}
