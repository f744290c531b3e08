//! What the controller does next for one migration: a pure function of what was observed. Nothing that
//! it decides by is kept in the process, and it never reads back the phase that it shows.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::api::control::annotation;
use crate::api::migration::SchemaMigration;
use crate::api::names;
use crate::api::status::{Ending, EndingKind, SchemaMigrationStatus, WorkerReport};
use crate::api::target::MigrationTarget;
use crate::api::validate::Violation;
use crate::controller::hook_jobs::asked::Asked;

/// Pauses between attempts: the first, and the longest.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));
/// How long a worker may take to clean up by itself when its migration is deleted.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a deleted migration may take to clean up on the server before it is let go.
const CLEAN_UP_LIMIT: Duration = Duration::from_secs(600);

/// Causes that pass without anybody changing the resource: another attempt is made by itself.
const PASSING: [&str; 11] = [
    "Unreachable",
    "AuthFailed",
    "CredentialsUnavailable",
    "TlsVerification",
    "ServerReadOnly",
    "NotPrimary",
    "DiskFull",
    "Blocked",
    "BackupRunning",
    "XaPending",
    "Superseded",
];

/// Everything that a decision depends on.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The resource as it is.
    pub migration: SchemaMigration,
    /// Why it cannot be run; empty when it can.
    pub violations: Vec<Violation>,
    /// Its target, when there is one of that name.
    pub target: Option<MigrationTarget>,
    /// The worker of the newest attempt.
    pub worker: Worker,
    /// Who has to end before this one begins, in words.
    pub in_front: Option<String>,
    /// Who has to succeed before this one begins, in words.
    pub after: Option<String>,
    /// What its worker asks Jobs and has no answer to.
    pub asked: Vec<Asked>,
    /// The time.
    pub now: Timestamp,
}

/// The worker of the newest attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum Worker {
    /// There is no Job.
    Absent,
    /// Its Job has not ended.
    Active {
        /// Whether it only cleans up.
        clean_up: bool,
        /// Why its pod does not run, in the words of the scheduler, the kubelet or admission.
        problem: Option<String>,
    },
    /// Its Job has ended.
    Ended {
        /// Whether it only cleaned up.
        clean_up: bool,
        /// What its pod said last, when it said something: exit code and message.
        last_words: Option<(i32, String)>,
    },
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Nothing: it is deleted and holds nothing.
    Ignore,
    /// Add the finalizer, before anything may be left on a server.
    Hold,
    /// Take the finalizer away: nothing is left, or what is left is told.
    Release {
        /// What is left behind; empty when nothing is.
        left: String,
    },
    /// End the worker, so that a clean-up run can begin.
    Stop,
    /// Raise the attempt's number and make its Job.
    Attempt {
        /// The new number.
        number: i64,
        /// Whether it only cleans up.
        clean_up: bool,
        /// Attempts in a row that ended early.
        failures: i64,
    },
    /// Make the Job of an attempt that was counted already.
    Launch {
        /// Its number.
        number: i64,
        /// Whether it only cleans up.
        clean_up: bool,
    },
    /// The worker works.
    Follow {
        /// Why its pod does not run.
        problem: Option<String>,
    },
    /// The last attempt ended early; the next is made later.
    Wait {
        /// Not before.
        until: Timestamp,
        /// Attempts in a row that ended early.
        failures: i64,
        /// Why it ended.
        why: Ending,
    },
    /// Somebody else is first.
    Queue {
        /// Who.
        behind: String,
    },
    /// Others have to succeed first.
    Depend {
        /// Who.
        on: String,
    },
    /// The resource cannot be run as it is.
    Reject {
        /// Why.
        violations: Vec<Violation>,
    },
    /// It has come to its end.
    Settle {
        /// Which end.
        ending: Ending,
    },
}

/// Decides; the first row that matches wins.
///
/// | row | when | decision |
/// |---|---|---|
/// | gone | deleted, without our finalizer | ignore |
/// | abandoned | deleted, and abandoned, never begun, or settled without a trace | release |
/// | panicking | deleted while panic is asked for | release, and say what is left |
/// | overdue | deleted for longer than clean-up may take | release, and say what is left |
/// | cleaning | deleted, and a worker cleans up: the one that migrated for a minute, or the clean-up run | follow |
/// | stuck | deleted, and the worker that migrated does not end | stop |
/// | homeless | deleted, nobody works, and the target is gone | release, and say what is left |
/// | to be cleaned | deleted, anything else | the next clean-up attempt, with back-off |
/// | settled | ended for good, and neither a new retry nor an abort of what stopped half-way is asked for | settle |
/// | invalid | violations, and nobody works | reject |
/// | active | the worker has not ended | follow |
/// | not held | no finalizer | hold |
/// | counted | the attempt is counted and has neither Job nor end | launch |
/// | early end | the last attempt ended early and its pause is not over | wait |
/// | dependent | others have to succeed first | depend |
/// | queued | somebody is in front | queue |
/// | next | anything else | the next attempt |
pub fn decide(observed: &Observed) -> Decision {
    if observed.migration.metadata.deletion_timestamp.is_some() {
        return decide_deleted(observed);
    }
    let status = status(observed);
    let ending = last_ending(observed);
    let retries = asks_for_retry(observed);
    let cleans_up = ending.as_ref().is_some_and(|ending| asks_to_clean_up(observed, ending));
    let is_over = |ending: &&Ending| is_final(ending) && !retries && !cleans_up;
    if let Some(ending) = ending.as_ref().filter(is_over) {
        return Decision::Settle { ending: ending.clone() };
    }
    if let Worker::Active { problem, .. } = &observed.worker {
        return Decision::Follow { problem: problem.clone() };
    }
    if !observed.violations.is_empty() {
        return Decision::Reject { violations: observed.violations.clone() };
    }
    if status.panicked.is_some() && !retries && !cleans_up {
        return Decision::Settle { ending: panicked() };
    }
    if !is_held(observed) {
        return Decision::Hold;
    }
    if let Some(number) = status.attempt.filter(|_| is_unlaunched(observed)) {
        return Decision::Launch { number, clean_up: false };
    }
    let failures = if retries { 0 } else { failures(observed, ending.as_ref()) };
    if let Some(why) = ending.filter(|_| !retries)
        && let Some(until) = pause_end(observed, failures)
    {
        return Decision::Wait { until, failures, why };
    }
    if let Some(on) = &observed.after {
        return Decision::Depend { on: on.clone() };
    }
    if let Some(behind) = &observed.in_front {
        return Decision::Queue { behind: behind.clone() };
    }
    let number = status.attempt.unwrap_or(0) + 1;
    Decision::Attempt { number, clean_up: false, failures }
}

fn decide_deleted(observed: &Observed) -> Decision {
    let status = status(observed);
    if !is_held(observed) {
        return Decision::Ignore;
    }
    if is_abandoned(observed) || status.attempt.is_none() || left_nothing(observed) {
        return Decision::Release { left: String::new() };
    }
    if observed.migration.spec.panic == Some(true) {
        let left = "spec.panic keeps every table: drop the helper tables by hand";
        return Decision::Release { left: left.to_owned() };
    }
    if is_deleted_for(observed, CLEAN_UP_LIMIT) {
        let left = "the server could not be cleaned up in time: helper tables may be left there";
        return Decision::Release { left: left.to_owned() };
    }
    match &observed.worker {
        Worker::Active { clean_up: true, problem } => Decision::Follow { problem: problem.clone() },
        Worker::Active { problem: None, .. } if !is_deleted_for(observed, PATIENCE) => {
            Decision::Follow { problem: None }
        }
        Worker::Active { .. } => Decision::Stop,
        Worker::Absent | Worker::Ended { .. } if observed.target.is_none() => {
            let left = "its target is gone, so nobody can clean up: helper tables may be left";
            Decision::Release { left: left.to_owned() }
        }
        Worker::Absent if is_unlaunched(observed) => {
            Decision::Launch { number: status.attempt.unwrap_or(0), clean_up: true }
        }
        Worker::Absent | Worker::Ended { .. } => next_clean_up(observed),
    }
}

fn next_clean_up(observed: &Observed) -> Decision {
    let status = status(observed);
    let cleaned = matches!(observed.worker, Worker::Ended { clean_up: true, .. });
    let ending = last_ending(observed);
    let failures = if cleaned { failures(observed, ending.as_ref()) } else { 0 };
    match (cleaned.then_some(ending).flatten(), pause_end(observed, failures)) {
        (Some(why), Some(until)) => Decision::Wait { until, failures, why },
        _ => {
            let number = status.attempt.unwrap_or(0) + 1;
            Decision::Attempt { number, clean_up: true, failures }
        }
    }
}

fn status(observed: &Observed) -> SchemaMigrationStatus {
    observed.migration.status.clone().unwrap_or_default()
}

/// How the newest attempt ended, if it did: as its worker reported, else as its pod said, else unknown.
pub fn last_ending(observed: &Observed) -> Option<Ending> {
    if let Some(ending) = known_ending(&observed.migration) {
        return Some(ending.clone());
    }
    match &observed.worker {
        Worker::Ended { last_words, .. } => Some(unreported(last_words.as_ref())),
        Worker::Absent | Worker::Active { .. } => None,
    }
}

/// The end of a worker that could not report it. Exit codes are those of `ghostship worker`.
fn unreported(last_words: Option<&(i32, String)>) -> Ending {
    let (outcome, reason, message) = match last_words {
        Some((0, text)) => (EndingKind::Completed, "Completed", text.clone()),
        Some((3, text)) => (EndingKind::Refused, "Refused", text.clone()),
        Some((1 | 2, text)) => (EndingKind::Failed, "Failed", text.clone()),
        Some((5, text)) => (EndingKind::Aborted, "Aborted", text.clone()),
        Some((6, text)) => (EndingKind::Panicked, "Panicked", text.clone()),
        Some((code, text)) => {
            (EndingKind::Left, "WorkerLost", format!("the worker ended with code {code}: {text}"))
        }
        None => (EndingKind::Left, "WorkerLost", "the worker is gone without a word".to_owned()),
    };
    Ending { outcome, reason: reason.to_owned(), message, ..Ending::default() }
}

fn panicked() -> Ending {
    Ending {
        outcome: EndingKind::Panicked,
        reason: "Panicked".to_owned(),
        message: "stopped by panic; every table is kept".to_owned(),
        ..Ending::default()
    }
}

/// What the worker of the newest attempt says of itself.
pub fn report(observed: &Observed) -> Option<&WorkerReport> {
    current_report(&observed.migration)
}

/// What the worker of the newest attempt says of itself.
pub fn current_report(migration: &SchemaMigration) -> Option<&WorkerReport> {
    let status = migration.status.as_ref()?;
    status.report.as_ref().filter(|report| Some(report.attempt) == status.attempt)
}

/// How the newest attempt ended, as its worker reported, or as the controller has noted it down.
pub fn known_ending(migration: &SchemaMigration) -> Option<&Ending> {
    let reported = current_report(migration).and_then(|report| report.ending.as_ref());
    reported.or_else(|| migration.status.as_ref()?.ending.as_ref())
}

/// Whether an end leaves nothing half-way on the server.
pub fn is_clean(ending: &Ending) -> bool {
    match ending.outcome {
        EndingKind::Completed | EndingKind::AlreadyApplied | EndingKind::Aborted => true,
        EndingKind::Refused => is_final(ending),
        EndingKind::Failed | EndingKind::Panicked | EndingKind::Left | EndingKind::Superseded => {
            false
        }
    }
}

/// Whether no further attempt follows by itself.
pub fn is_final(ending: &Ending) -> bool {
    match ending.outcome {
        EndingKind::Completed
        | EndingKind::AlreadyApplied
        | EndingKind::Aborted
        | EndingKind::Panicked => true,
        EndingKind::Refused | EndingKind::Failed => !PASSING.contains(&ending.reason.as_str()),
        EndingKind::Left | EndingKind::Superseded => false,
    }
}

/// A migration that ended well or was cleaned up leaves nothing that the finalizer would have to drop.
fn left_nothing(observed: &Observed) -> bool {
    let ended = !matches!(observed.worker, Worker::Active { .. });
    ended
        && last_ending(observed).is_some_and(|ending| match ending.outcome {
            EndingKind::Completed | EndingKind::AlreadyApplied | EndingKind::Aborted => true,
            EndingKind::Refused
            | EndingKind::Failed
            | EndingKind::Panicked
            | EndingKind::Left
            | EndingKind::Superseded => false,
        })
}

/// Whether a migration that stopped half-way shall be aborted: panic, once taken back, allows it.
pub fn asks_to_clean_up(observed: &Observed, ending: &Ending) -> bool {
    let spec = &observed.migration.spec;
    spec.abort == Some(true) && spec.panic != Some(true) && !is_clean(ending)
}

/// Whether another attempt is asked for that was not made yet.
pub fn asks_for_retry(observed: &Observed) -> bool {
    let asked = annotation(&observed.migration, names::RETRY);
    asked.is_some_and(|token| status(observed).retried.as_deref() != Some(token))
}

fn is_held(observed: &Observed) -> bool {
    let finalizers = observed.migration.metadata.finalizers.iter().flatten();
    finalizers.into_iter().any(|name| name == names::FINALIZER)
}

fn is_abandoned(observed: &Observed) -> bool {
    annotation(&observed.migration, names::ABANDON) == Some("true")
}

/// Whether it was deleted longer ago than that.
fn is_deleted_for(observed: &Observed, time: Duration) -> bool {
    let since = observed.migration.metadata.deletion_timestamp.as_ref();
    since.is_some_and(|since| elapsed(since.0, observed.now) > time)
}

/// Whether the newest attempt was counted, but its Job was not made or is lost.
fn is_unlaunched(observed: &Observed) -> bool {
    observed.worker == Worker::Absent
        && status(observed).attempt.is_some()
        && last_ending(observed).is_none()
}

/// Attempts in a row that ended early, the last one included. Leaving on request is no failure. A time
/// for the next attempt in the status says that the last one is counted there already.
fn failures(observed: &Observed, ending: Option<&Ending>) -> i64 {
    let worker = status(observed).worker.unwrap_or_default();
    let before = worker.failures;
    match ending {
        None => before,
        Some(_) if worker.next_attempt_at.is_some() => before,
        Some(ending) if ending.outcome == EndingKind::Left && ending.reason == "Left" => 0,
        Some(_) => before + 1,
    }
}

/// When the pause after the last attempt ends; `None` when it is over.
fn pause_end(observed: &Observed, failures: i64) -> Option<Timestamp> {
    let ended = last_ending(observed).and_then(|ending| ending.at).map(|at| at.0);
    let began = status(observed).worker.and_then(|worker| worker.started_at).map(|at| at.0);
    let pause = SignedDuration::try_from(back_off(failures)).ok()?;
    let until = ended.or(began)?.checked_add(pause).ok()?;
    (until > observed.now).then_some(until)
}

/// The pause after so many attempts in a row that ended early.
fn back_off(failures: i64) -> Duration {
    let doublings = u32::try_from((failures - 1).clamp(0, 16)).unwrap_or(0);
    if failures <= 0 {
        return Duration::ZERO;
    }
    (BACK_OFF.0 * 2_u32.pow(doublings)).min(BACK_OFF.1)
}

fn elapsed(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::validate::Reason;
    use crate::controller::samples::{NOW, active, ended, merge, observed, reported};

    fn with(one: &Value, other: &Value) -> Value {
        let mut all = one.clone();
        merge(&mut all, other);
        all
    }

    fn kind(decision: &Decision) -> String {
        let text = format!("{decision:?}");
        text.split([' ', '{']).next().unwrap_or_default().to_owned()
    }

    #[test]
    fn a_living_migration_gets_the_first_row_that_fits() {
        let counted =
            json!({"status": {"attempt": 1, "worker": {"job": "", "image": "", "failures": 0}}});
        let retry = json!({"metadata": {"annotations": {"ghostship.dev/retry": "again"}}});
        let panicked = json!({"status": {"panicked": {"by": "somebody"}}});
        let rows = [
            ("accepted", json!({"metadata": {"finalizers": []}}), Worker::Absent, "Hold"),
            ("held", json!({}), Worker::Absent, "Attempt"),
            ("counted", counted.clone(), Worker::Absent, "Launch"),
            ("working", counted.clone(), active(), "Follow"),
            ("gone without a word", counted.clone(), ended(None), "Attempt"),
            ("done by its code", counted.clone(), ended(Some((0, ""))), "Settle"),
            ("left by its code", counted.clone(), ended(Some((4, ""))), "Attempt"),
            ("refused by its code", counted.clone(), ended(Some((3, ""))), "Settle"),
            ("done", reported("Completed", "Completed"), ended(None), "Settle"),
            (
                "done, and the Job is gone",
                reported("Completed", "Completed"),
                Worker::Absent,
                "Settle",
            ),
            (
                "noted down, and nothing else is left",
                json!({"status": {"attempt": 1, "ending": {"outcome": "Completed"}}}),
                Worker::Absent,
                "Settle",
            ),
            ("done before", reported("AlreadyApplied", "AlreadyApplied"), ended(None), "Settle"),
            ("refused", reported("Refused", "ForeignKeys"), ended(None), "Settle"),
            ("unreachable", reported("Refused", "Unreachable"), ended(None), "Wait"),
            ("failed", reported("Failed", "DuplicateKey"), ended(None), "Settle"),
            ("failed for a time", reported("Failed", "DiskFull"), ended(None), "Wait"),
            ("left", reported("Left", "Left"), ended(None), "Attempt"),
            ("superseded", reported("Superseded", "Superseded"), ended(None), "Wait"),
            ("aborted", reported("Aborted", "Aborted"), ended(None), "Settle"),
            ("panicked", reported("Panicked", "Panicked"), ended(None), "Settle"),
            ("panic before it began", panicked.clone(), Worker::Absent, "Settle"),
            ("panic taken back by retry", with(&panicked, &retry), Worker::Absent, "Attempt"),
            ("retry", with(&reported("Failed", "DuplicateKey"), &retry), ended(None), "Attempt"),
            (
                "retried before",
                with(
                    &with(&reported("Failed", "DuplicateKey"), &retry),
                    &json!({"status": {"retried": "again"}}),
                ),
                ended(None),
                "Settle",
            ),
            ("reported, and its pod still ends", reported("Left", "Left"), active(), "Follow"),
        ];
        for (name, changes, worker, expected) in rows {
            let decision = decide(&observed(&changes, worker));
            assert_eq!(kind(&decision), expected, "{name}: {decision:?}");
        }
    }

    #[test]
    fn an_abort_cleans_up_what_stopped_half_way() {
        let abort = json!({"spec": {"abort": true}});
        let panicked = json!({"status": {"panicked": {"by": "somebody"}}});
        let rows = [
            (
                "abort after a failure",
                with(&reported("Failed", "DuplicateKey"), &abort),
                ended(None),
                "Wait",
            ),
            (
                "abort after a panic",
                with(&with(&reported("Panicked", "Panicked"), &panicked), &abort),
                ended(None),
                "Wait",
            ),
            (
                "abort while panic is asked for",
                with(
                    &with(&reported("Panicked", "Panicked"), &abort),
                    &json!({"spec": {"panic": true}}),
                ),
                ended(None),
                "Settle",
            ),
            (
                "abort after the end",
                with(&reported("Completed", "Completed"), &abort),
                ended(None),
                "Settle",
            ),
        ];
        for (name, changes, worker, expected) in rows {
            assert_eq!(kind(&decide(&observed(&changes, worker))), expected, "{name}");
        }
    }

    #[test]
    fn a_deleted_migration_leaves_nothing_or_tells_what() {
        let since = |time: &str| json!({"metadata": {"deletionTimestamp": time}});
        let now = since(NOW);
        let begun = json!({"status": {"attempt": 1}});
        let free = json!({"metadata": {"finalizers": []}});
        let abandon = json!({"metadata": {"annotations": {"ghostship.dev/abandon": "true"}}});
        let cleaning = Worker::Active { clean_up: true, problem: None };
        let cleaned = Worker::Ended { clean_up: true, last_words: Some((4, String::new())) };
        let old = since("2026-01-01T11:40:00Z");
        let pending = Worker::Active { clean_up: false, problem: Some("no image".to_owned()) };
        let rows = [
            ("not held", with(&now, &free), Worker::Absent, "Ignore"),
            ("never begun", now.clone(), Worker::Absent, "Release"),
            ("abandoned", with(&with(&now, &begun), &abandon), active(), "Release"),
            ("working", with(&now, &begun), active(), "Follow"),
            ("working on", with(&since("2026-01-01T11:58:00Z"), &begun), active(), "Stop"),
            ("not started", with(&now, &begun), pending, "Stop"),
            ("stopped", with(&now, &begun), ended(Some((4, "left"))), "Attempt"),
            ("cleaning", with(&now, &begun), cleaning, "Follow"),
            ("not cleaned", with(&now, &begun), cleaned, "Attempt"),
            ("done", with(&now, &reported("Completed", "Completed")), ended(None), "Release"),
            ("cleaned", with(&now, &reported("Aborted", "Aborted")), ended(None), "Release"),
            ("panicked", with(&now, &reported("Panicked", "Panicked")), ended(None), "Attempt"),
            (
                "panicked, and still asked to",
                with(
                    &with(&now, &reported("Panicked", "Panicked")),
                    &json!({"spec": {"panic": true}}),
                ),
                ended(None),
                "Release",
            ),
            ("for too long", with(&old, &begun), ended(Some((4, ""))), "Release"),
        ];
        for (name, changes, worker, expected) in rows {
            let decision = decide(&observed(&changes, worker));
            assert_eq!(kind(&decision), expected, "{name}: {decision:?}");
            if let Decision::Attempt { clean_up, .. } = decision {
                assert!(clean_up, "{name}");
            }
        }
        let mut homeless = observed(&with(&now, &begun), ended(Some((4, "left"))));
        homeless.target = None;
        let decision = decide(&homeless);
        assert!(matches!(decision, Decision::Release { left } if left.contains("target is gone")));
        let decision = decide(&observed(&with(&old, &begun), ended(None)));
        assert!(matches!(decision, Decision::Release { left } if left.contains("may be left")));
    }

    #[test]
    fn violations_and_the_queue_hold_what_has_not_begun() {
        let violation = Violation::new(Reason::InvalidSpec, "it is wrong", "correct it");
        let mut one = observed(&json!({}), Worker::Absent);
        one.after = Some("the first".to_owned());
        one.in_front = Some("another".to_owned());
        assert_eq!(decide(&one), Decision::Depend { on: "the first".to_owned() });
        one.after = None;
        assert_eq!(decide(&one), Decision::Queue { behind: "another".to_owned() });
        one.violations = vec![violation.clone()];
        assert_eq!(decide(&one), Decision::Reject { violations: vec![violation] });
        one.worker = active();
        assert_eq!(kind(&decide(&one)), "Follow", "what works is not stopped by a later edit");
    }

    #[test]
    fn pauses_grow_and_are_counted() {
        let mut changes = reported("Failed", "Unreachable");
        let seconds = |failures: i64| back_off(failures).as_secs();
        assert_eq!([0, 1, 2, 3, 7, 60].map(seconds), [0, 5, 10, 20, 300, 300]);
        changes["status"]["worker"]["failures"] = json!(2);
        let Decision::Wait { failures, until, .. } = decide(&observed(&changes, ended(None)))
        else {
            panic!("no pause")
        };
        assert_eq!((failures, until), (3, "2026-01-01T12:00:18Z".parse().unwrap()));
        let mut told = changes.clone();
        merge(
            &mut told,
            &json!({"status": {"worker": {"failures": 3, "nextAttemptAt": "2026-01-01T12:00:18Z"}}}),
        );
        let Decision::Wait { failures, until, .. } = decide(&observed(&told, ended(None))) else {
            panic!("no pause")
        };
        let again = (failures, until);
        assert_eq!(again, (3, "2026-01-01T12:00:18Z".parse().unwrap()), "each look counts anew");
        changes["status"]["report"]["ending"]["at"] = json!("2026-01-01T11:00:00Z");
        let decision = decide(&observed(&changes, ended(None)));
        assert_eq!(decision, Decision::Attempt { number: 2, clean_up: false, failures: 3 });
    }
}
