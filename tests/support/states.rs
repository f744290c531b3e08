//! Every state in which a tool can meet a migration, as the controller's own functions put it into the
//! resource, and what each tool is to make of it. Needs no server and no cluster.

use anyhow::{Context, Result, anyhow};
use ghostship::api::migration::SchemaMigration;
use ghostship::api::target::MigrationTarget;
use ghostship::controller::decide::{Observed, Worker, decide};
use ghostship::controller::{publish, validate};
use jiff::Timestamp;
use serde_json::{Value, json};

use self::Begins::{Created, Published};

/// The time of every observation.
const NOW: &str = "2026-01-01T12:00:00Z";
/// Actions that are legal while the migration goes on, not paused and not postponed.
const GOING: &[&str] = &["abort", "panic", "pause", "postpone"];
/// The same while its cut-over is postponed.
const POSTPONED: &[&str] = &["abort", "cut-over", "panic", "pause"];
/// The same between two attempts.
const RETRYING: &[&str] = &["abort", "panic", "pause", "postpone", "retry"];
const NONE: &[&str] = &[];

/// A state and what is expected of it.
pub(crate) struct State {
    /// Name of the state, and of its file.
    pub(crate) name: &'static str,
    begins: Begins,
    /// What the resource says beside the ordinary one.
    changes: Value,
    worker: Worker,
    in_front: Option<&'static str>,
    /// What is put over the published resource by hand.
    after: Value,
    /// What the tools make of it.
    pub(crate) seen: Seen,
}

/// What the tools make of a state.
#[derive(Clone, Copy)]
pub(crate) struct Seen {
    /// By kstatus.
    pub(crate) kstatus: &'static str,
    /// By Argo CD.
    pub(crate) argo: &'static str,
    /// By Flux with `health-checks.yaml`.
    pub(crate) flux: &'static str,
    /// By Flux with `health-checks-accepted.yaml`.
    pub(crate) accepted: &'static str,
    /// The actions that are enabled in Argo CD.
    pub(crate) actions: &'static [&'static str],
}

/// Whether the controller has looked.
#[derive(Clone, Copy, PartialEq)]
enum Begins {
    /// As the API server made it.
    Created,
    /// With the status that the controller gives it.
    Published,
}

impl State {
    /// The resource in this state.
    pub(crate) fn resource(&self) -> Result<Value> {
        let observed = self.observed()?;
        let mut resource = serde_json::to_value(&observed.migration)?;
        if self.begins == Published {
            publish_into(&mut resource, &observed)?;
        }
        merge(&mut resource, &self.after);
        Ok(resource)
    }

    /// What the controller finds when it looks at this resource.
    pub(crate) fn observed(&self) -> Result<Observed> {
        let mut document = ordinary();
        merge(&mut document, &self.changes);
        let mut observed = observe(&document, self.worker.clone())?;
        observed.in_front = self.in_front.map(str::to_owned);
        Ok(observed)
    }

    /// The same after somebody has changed the resource.
    pub(crate) fn observed_as(&self, resource: &Value) -> Result<Observed> {
        observe(resource, self.worker.clone())
    }
}

/// A resource as the controller observes it.
fn observe(document: &Value, worker: Worker) -> Result<Observed> {
    let migration: SchemaMigration = serde_json::from_value(document.clone())?;
    let target: MigrationTarget = serde_json::from_value(target())?;
    let target =
        Some(target).filter(|it| it.metadata.name.as_ref() == Some(&migration.spec.target));
    let violations = validate::violations(&migration, target.as_ref());
    let now: Timestamp = NOW.parse().context("the time")?;
    let asked = Vec::new();
    Ok(Observed { migration, violations, target, worker, in_front: None, after: None, asked, now })
}

/// Puts the controller's part of the status into the resource, as its server-side apply does.
fn publish_into(resource: &mut Value, observed: &Observed) -> Result<()> {
    let mut status = serde_json::to_value(publish::status(observed, &decide(observed)))?;
    if status["worker"]["image"] == "" {
        status["worker"]["image"] = json!("ghostship:v1");
    }
    let fields = status.as_object_mut().ok_or_else(|| anyhow!("the status is no map"))?;
    let workers =
        |name: &str| resource["status"].get(name).cloned().map(|it| (name.to_owned(), it));
    fields.extend(["plan", "progress", "report"].into_iter().filter_map(workers));
    resource["status"] = status;
    Ok(())
}

fn ordinary() -> Value {
    json!({
        "apiVersion": "ghostship.dev/v1alpha1",
        "kind": "SchemaMigration",
        "metadata": {"name": "orders-add-note", "namespace": "shop", "generation": 3,
            "uid": "5b0c1d8e-6a4f-4c0e-9a57-0d4a3c1f2b11", "creationTimestamp": "2026-01-01T11:00:00Z",
            "finalizers": ["ghostship.dev/clean-up"]},
        "spec": {"target": "orders-db", "database": "shop", "table": "orders",
            "alter": "ADD COLUMN note varchar(200) NULL"},
        "status": {"observedGeneration": -1},
    })
}

fn target() -> Value {
    json!({
        "apiVersion": "ghostship.dev/v1alpha1",
        "kind": "MigrationTarget",
        "metadata": {"name": "orders-db", "namespace": "shop"},
        "spec": {"host": "orders-db.shop.svc", "credentialsSecret": {"name": "orders-db"},
            "allowedDatabases": ["shop"]},
    })
}

/// Attempt 1 has begun.
fn counted() -> Value {
    json!({"status": {"observedGeneration": 3, "attempt": 1, "startedAt": "2026-01-01T11:30:00Z",
        "worker": {"job": "orders-add-note-5b0c1d8e-1", "image": "ghostship:v1", "failures": 0,
            "startedAt": "2026-01-01T11:30:00Z"}}})
}

/// The worker of attempt 1 reports this stage; with `changes` over it.
fn working(phase: &str, changes: &Value) -> Value {
    let progress = json!({"rowsCopied": 650_000, "rowsEstimated": 1_000_000, "percent": 65,
        "rowsPerSecond": 21_000, "keysApplied": 1200, "backlog": 3, "streamLag": "120ms", "eta": "17s",
        "verifiedPercent": 0, "rowsRepaired": 0, "cutOverAttempts": 0});
    let plan = json!({"strategy": "Copy", "key": "PRIMARY (id)", "shadowTable": "orders_gho",
        "oldTable": "orders_del", "controlTable": "orders_ghc"});
    let report = json!({"attempt": 1, "pod": "orders-add-note-5b0c1d8e-1-x7k2p", "phase": phase,
        "updatedAt": "2026-01-01T11:59:58Z"});
    let mut all = counted();
    merge(&mut all, &json!({"status": {"plan": plan, "progress": progress, "report": report}}));
    merge(&mut all, changes);
    all
}

/// The worker of attempt 1 has reported this end.
fn ended(phase: &str, ending: &Value) -> Value {
    let mut ending = ending.clone();
    merge(&mut ending, &json!({"at": "2026-01-01T11:59:58Z"}));
    working(phase, &json!({"status": {"report": {"ending": ending}}}))
}

fn active() -> Worker {
    Worker::Active { clean_up: false, problem: None }
}

fn gone() -> Worker {
    Worker::Ended { clean_up: false, last_words: None }
}

/// It goes on, and this is seen of it by whoever waits for the end, and by whoever waits for the beginning.
const fn going(
    argo: &'static str,
    accepted: &'static str,
    actions: &'static [&'static str],
) -> Seen {
    Seen { kstatus: "InProgress", argo, flux: "InProgress", accepted, actions }
}

const WELL: Seen = Seen {
    kstatus: "Current",
    argo: "Healthy",
    flux: "Current",
    accepted: "Current",
    actions: NONE,
};

const fn badly(actions: &'static [&'static str]) -> Seen {
    Seen { kstatus: "Failed", argo: "Degraded", flux: "Failed", accepted: "Failed", actions }
}

fn state(name: &'static str, changes: Value, worker: Worker, seen: Seen) -> State {
    State { name, begins: Published, changes, worker, in_front: None, after: json!({}), seen }
}

/// All of them.
pub(crate) fn states() -> Vec<State> {
    [beginning(), under_way(), waiting_for_a_human(), asked_to_end(), over()]
        .into_iter()
        .flatten()
        .collect()
}

fn beginning() -> Vec<State> {
    let begins = |actions| going("Progressing", "InProgress", actions);
    let problem = "the worker's pod does not start: 0/3 nodes are available".to_owned();
    let pending = Worker::Active { clean_up: false, problem: Some(problem) };
    let queued = state("queued", json!({}), Worker::Absent, going("Progressing", "Current", GOING));
    let created = state("not_observed", json!({}), Worker::Absent, begins(GOING));
    vec![
        State { begins: Created, ..created },
        State {
            in_front: Some("orders-add-index to end: it changes shop.orders as well"),
            ..queued
        },
        state("starting", json!({}), Worker::Absent, begins(GOING)),
        state("pod_pending", counted(), pending, begins(GOING)),
        state(
            "preflight",
            working("Preflight", &json!({"status": {"plan": null}})),
            active(),
            begins(GOING),
        ),
    ]
}

fn under_way() -> Vec<State> {
    let goes = |actions| going("Progressing", "Current", actions);
    let waits = json!({"status": {"report": {"waitingFor": "the backlog to be small",
        "waitingSince": "2026-01-01T11:59:00Z"}}});
    let slow = json!({"status": {"progress": {"throttled": [{"reason": "replica lag 4.1s is above 1.5s",
        "since": "2026-01-01T11:58:00Z"}]}}});
    let lost = json!({"outcome": "Failed", "reason": "Unreachable",
        "message": "there is no connection to orders-db.shop.svc:3306"});
    let allowed = json!({"metadata": {"annotations": {"ghostship.dev/cut-over": "allow"}},
        "spec": {"postponeCutOver": true}});
    let latched = json!({"spec": {"postponeCutOver": true}, "status": {"cutOver": {"state": "Allowed",
        "permission": {"at": "2026-01-01T11:40:00Z", "by": "ghostship-cli", "through": "ghostship.dev/cut-over"}}}});
    vec![
        state("copying", working("RowCopy", &json!({})), active(), goes(GOING)),
        state("throttled", working("RowCopy", &slow), active(), goes(GOING)),
        state("waiting", working("CatchUp", &waits), active(), goes(GOING)),
        state("verifying", working("Verify", &json!({})), active(), goes(GOING)),
        state("retrying", ended("RowCopy", &lost), gone(), goes(RETRYING)),
        state("cut_over_allowed", working("AwaitCutOver", &allowed), active(), goes(GOING)),
        state("permission_latched", working("AwaitCutOver", &latched), active(), goes(GOING)),
        state("cutting_over", working("CutOver", &json!({})), active(), goes(GOING)),
        state("blocked", working("CutOver", &blocked()), active(), goes(GOING)),
        state("cleaning_up", working("CleanUp", &json!({})), active(), goes(&["panic"])),
    ]
}

/// A transaction is in the way of the cut-over.
fn blocked() -> Value {
    json!({"status": {
        "progress": {"cutOverAttempts": 2, "lastCutOverError": "the table could not be locked in time"},
        "report": {"waitingFor": "a transaction on shop.orders to end",
            "waitingSince": "2026-01-01T11:58:00Z", "blocker": {"id": "81", "user": "app@10.0.0.7",
                "since": "2026-01-01T11:57:00Z", "holds": "shop.orders",
                "statement": "SELECT * FROM `orders` WHERE `id` = ?"}}}})
}

fn waiting_for_a_human() -> Vec<State> {
    let waits = |actions| going("Suspended", "Current", actions);
    let paused = json!({"spec": {"paused": true}});
    let postponed = json!({"spec": {"postponeCutOver": true}});
    let both = json!({"spec": {"paused": true, "postponeCutOver": true}});
    let break_time =
        json!({"spec": {"windows": {"pause": [{"cron": "30 11 * * *", "duration": "1h"}]}}});
    let nights = json!([{"cron": "0 2 * * *", "duration": "2h", "timeZone": "Europe/Amsterdam"}]);
    let outside = json!({"spec": {"windows": {"cutOver": nights}}, "status": {"report": {
        "waitingFor": "the cut-over window", "waitingSince": "2026-01-01T11:59:00Z"}}});
    let taken_back = json!({"metadata": {"annotations": {"ghostship.dev/cut-over": "postpone"}}});
    let resumable: &[&str] = &["abort", "panic", "postpone", "resume"];
    let both_ways: &[&str] = &["abort", "cut-over", "panic", "resume"];
    let approval = json!({"status": {"conditions": [{"type": "Ready", "status": "False",
        "reason": "AwaitingApproval", "message": "somebody has to approve it", "observedGeneration": 3,
        "lastTransitionTime": NOW}, {"type": "Reconciling", "status": "True",
        "reason": "AwaitingApproval", "message": "somebody has to approve it", "observedGeneration": 3,
        "lastTransitionTime": NOW}], "phase": "AwaitingApproval",
        "message": "somebody has to approve it"}});
    let awaiting = state(
        "awaiting_approval",
        json!({}),
        Worker::Absent,
        going("Suspended", "InProgress", GOING),
    );
    vec![
        State { after: approval, ..awaiting },
        state("paused", working("RowCopy", &paused), active(), waits(resumable)),
        state("paused_by_a_window", working("RowCopy", &break_time), active(), waits(GOING)),
        state("outside_the_window", working("AwaitCutOver", &outside), active(), waits(GOING)),
        state("paused_and_postponed", working("AwaitCutOver", &both), active(), waits(both_ways)),
        state(
            "cut_over_postponed",
            working("AwaitCutOver", &postponed),
            active(),
            waits(POSTPONED),
        ),
        state(
            "permission_taken_back",
            working("AwaitCutOver", &taken_back),
            active(),
            waits(POSTPONED),
        ),
    ]
}

fn asked_to_end() -> Vec<State> {
    let goes = |actions| going("Progressing", "Current", actions);
    let panic = json!({"spec": {"panic": true}});
    let abort = json!({"spec": {"abort": true}});
    let deleted = json!({"metadata": {"deletionTimestamp": "2026-01-01T11:59:30Z"}});
    let cleaning = Worker::Active { clean_up: true, problem: None };
    let terminating = Seen { kstatus: "Terminating", ..goes(NONE) };
    vec![
        state("panicking", working("RowCopy", &panic), active(), goes(NONE)),
        state("aborting", working("RowCopy", &abort), active(), goes(&["panic"])),
        state("deleting", working("RowCopy", &deleted), cleaning, terminating),
    ]
}

fn over() -> Vec<State> {
    let end = |outcome: &str, message: &str| json!({"outcome": outcome, "reason": outcome, "message": message});
    let completed = end(
        "Completed",
        "1000000 rows copied, 1200 keys applied, 1000000 rows compared, 0 repaired",
    );
    let already = end(
        "AlreadyApplied",
        "this migration was finished at 2025-12-01 02:00:07 UTC; nothing was done",
    );
    let refused = json!({"outcome": "Refused", "reason": "Triggers", "message": "the table has 2 triggers",
        "remedy": "drop them for the time of the migration"});
    let differs = json!({"outcome": "Failed", "reason": "ChecksumMismatch", "message": "12 rows differ",
        "remedy": "find out who writes to the shadow table", "kept": "orders_gho and orders_ghc are kept"});
    let panic = json!({"spec": {"panic": true}});
    let aborted = end(
        "Aborted",
        "aborted on request; the table is untouched and what was created is dropped",
    );
    let mut panicked = ended("RowCopy", &end("Panicked", "stopped by panic; every table is kept"));
    merge(&mut panicked, &panic);
    let outdated = state(
        "outdated",
        ended("CleanUp", &completed),
        gone(),
        Seen { actions: NONE, ..going("Progressing", "InProgress", NONE) },
    );
    vec![
        state("succeeded", ended("CleanUp", &completed), gone(), WELL),
        state("already_applied", ended("Preflight", &already), gone(), WELL),
        State { after: json!({"metadata": {"generation": 4}}), ..outdated },
        state("no_target", json!({"spec": {"target": "nowhere"}}), Worker::Absent, badly(GOING)),
        state("refused", ended("Preflight", &refused), gone(), badly(&["retry"])),
        state("failed", ended("Verify", &differs), gone(), badly(&["abort", "retry"])),
        state("panicked", panicked, gone(), badly(&["abort", "retry"])),
        state("aborted", ended("RowCopy", &aborted), gone(), badly(&["retry"])),
    ]
}

/// Puts `changes` over a document, field by field; null takes a field away (a JSON merge patch).
pub(crate) fn merge(document: &mut Value, changes: &Value) {
    let Value::Object(changes) = changes else {
        *document = changes.clone();
        return;
    };
    if !document.is_object() {
        *document = json!({});
    }
    let Some(fields) = document.as_object_mut() else { return };
    for (name, change) in changes {
        if change.is_null() {
            fields.remove(name);
        } else {
            merge(fields.entry(name.clone()).or_insert(Value::Null), change);
        }
    }
}
