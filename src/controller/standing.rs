//! Where a migration stands, for people and for tools: phase, reason, message, health and milestones.
//! Pure; the table of states is tested row by row.

use super::after::WAITS_FOR_OTHER;
use super::decide::{self, Decision, Observed};
use super::queue::QUEUED;
use crate::api::control;
use crate::api::duration;
use crate::api::effective::{Gate, Wishes, effective};
use crate::api::legal;
use crate::api::status::{Ending, EndingKind, SchemaMigrationStatus, WorkerReport};
use crate::api::validate::{self, Control, Violation};

/// How tools see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It works or will work by itself.
    Progressing,
    /// An attempt ended early; another one follows by itself.
    Retrying,
    /// It waits for a human, or for an hour that a human chose.
    Suspended,
    /// It has ended well.
    Done,
    /// It has ended badly or cannot begin.
    Failed,
}

/// Where a migration stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// One word for people.
    pub phase: String,
    /// The stable word of the reason.
    pub reason: String,
    /// What is going on, what is waited for and what to do.
    pub message: String,
    /// How tools see it.
    pub health: Health,
    /// The conditions of the migration itself.
    pub milestones: Vec<Milestone>,
}

/// A condition of the migration itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Milestone {
    /// Its type.
    pub name: &'static str,
    /// Whether it holds.
    pub holds: bool,
    /// The stable word of the reason.
    pub reason: String,
    /// What it means now; empty when the name says it.
    pub message: String,
}

/// Where it stands after this decision.
pub fn standing(observed: &Observed, decision: &Decision) -> Standing {
    let (phase, reason, message, health) = match decision {
        Decision::Ignore | Decision::Hold => simple("Pending", "Accepted", "it was accepted"),
        Decision::Release { left } if left.is_empty() => {
            simple("Terminating", "CleanedUp", "nothing is left on the server")
        }
        Decision::Release { left } => simple("Terminating", "CleanUpGivenUp", left),
        Decision::Stop => {
            simple("Terminating", "Deleted", "the worker leaves, then it is cleaned up")
        }
        Decision::Reject { violations } => rejected(violations),
        Decision::Queue { behind } => simple(QUEUED, QUEUED, &format!("it waits for {behind}")),
        Decision::Depend { on } => simple(QUEUED, WAITS_FOR_OTHER, &format!("it waits for {on}")),
        Decision::Attempt { clean_up: true, .. } | Decision::Launch { clean_up: true, .. } => {
            simple("Terminating", "CleaningUp", "the helper tables are dropped")
        }
        Decision::Attempt { number, .. } | Decision::Launch { number, .. } => {
            simple("Starting", "WorkerStarting", &format!("attempt {number} is started"))
        }
        Decision::Wait { until, why, .. } => waiting(observed, until, why),
        Decision::Settle { ending } => settled(ending),
        Decision::Follow { problem } => following(observed, problem.as_deref()),
    };
    Standing { phase, reason, message, health, milestones: milestones(observed, decision) }
}

type Told = (String, String, String, Health);

fn simple(phase: &str, reason: &str, message: &str) -> Told {
    (phase.to_owned(), reason.to_owned(), message.to_owned(), Health::Progressing)
}

fn rejected(violations: &[Violation]) -> Told {
    let first = violations.first();
    let reason = first.map_or("InvalidSpec", |violation| violation.reason.as_str());
    let message = first.map_or_else(String::new, |violation| {
        format!("{}; {}", violation.message, violation.remedy)
    });
    ("Failed".to_owned(), reason.to_owned(), message, Health::Failed)
}

fn waiting(observed: &Observed, until: &jiff::Timestamp, why: &Ending) -> Told {
    let left = std::time::Duration::try_from(until.duration_since(observed.now));
    let left = std::time::Duration::from_secs(left.unwrap_or_default().as_secs());
    let remedy = if why.remedy.is_empty() { String::new() } else { format!("; {}", why.remedy) };
    let message = format!(
        "{}{remedy}; the next attempt follows in {} and continues",
        why.message,
        duration::format(left)
    );
    ("Retrying".to_owned(), why.reason.clone(), message, Health::Retrying)
}

fn settled(ending: &Ending) -> Told {
    let Ending { outcome, reason, message, remedy, kept, .. } = ending;
    let (phase, health, advice) = match outcome {
        EndingKind::Completed | EndingKind::AlreadyApplied => ("Succeeded", Health::Done, ""),
        EndingKind::Aborted => ("Aborted", Health::Failed, ""),
        EndingKind::Panicked => (
            "Panicked",
            Health::Failed,
            "kubectl ghostship retry goes on from here, kubectl ghostship abort cleans up",
        ),
        EndingKind::Refused | EndingKind::Failed | EndingKind::Left | EndingKind::Superseded => (
            "Failed",
            Health::Failed,
            "then kubectl ghostship retry; kubectl ghostship abort cleans up",
        ),
    };
    let parts =
        [message.as_str(), remedy, advice, kept].into_iter().filter(|part| !part.is_empty());
    let message = parts.collect::<Vec<_>>().join("; ");
    (phase.to_owned(), reason.clone(), message, health)
}

fn following(observed: &Observed, problem: Option<&str>) -> Told {
    let report = decide::report(observed);
    if observed.migration.metadata.deletion_timestamp.is_some() {
        return simple(
            "Terminating",
            "CleaningUp",
            problem.unwrap_or("the helper tables are dropped"),
        );
    }
    let Some(report) = report else {
        let text = problem.unwrap_or("the worker's pod is being started");
        return simple("Starting", "WorkerPending", text);
    };
    if let Some(problem) = problem {
        return simple(&report.phase, "WorkerPending", problem);
    }
    running(observed, report)
}

fn running(observed: &Observed, report: &WorkerReport) -> Told {
    let migration = &observed.migration;
    let wishes = wishes(observed);
    let control = wishes.as_ref().map(|wishes| wishes.control);
    let window = wishes.as_ref().and_then(|wishes| wishes.pause_window.clone());
    let wait = report.waiting_for.clone().unwrap_or_default();
    let (reason, health, message) = match control {
        Some(Control::Pause) if window.is_some() => {
            ("Paused", Health::Suspended, window.unwrap_or_default())
        }
        Some(Control::Pause) => (
            "Paused",
            Health::Suspended,
            "paused by spec.paused; kubectl ghostship resume goes on".to_owned(),
        ),
        Some(Control::Panic) => {
            ("Panicked", Health::Progressing, "panic: the worker stops".to_owned())
        }
        Some(Control::Abort) => {
            ("Aborting", Health::Progressing, "the helper tables are dropped".to_owned())
        }
        _ if report.phase == "AwaitCutOver" && control::is_postponed(migration) => (
            POSTPONED,
            Health::Suspended,
            "copied, verified and kept current; kubectl ghostship cut-over lets the swap happen"
                .to_owned(),
        ),
        _ if report.hold.is_some() => held(report),
        _ if has_paused_itself(migration.status.as_ref()) => {
            ("AutoPaused", Health::Progressing, throttled(migration.status.as_ref()))
        }
        _ if !wait.is_empty()
            && CHANGES_THE_TABLE.contains(&report.phase.as_str())
            && closed(wishes.as_ref()).is_some() =>
        {
            let words = closed(wishes.as_ref()).unwrap_or_default();
            (
                OUTSIDE_WINDOW,
                Health::Suspended,
                format!("it waits for the cut-over window: {words}"),
            )
        }
        _ if is_throttled(migration.status.as_ref()) => {
            ("Throttled", Health::Progressing, throttled(migration.status.as_ref()))
        }
        _ if wait.is_empty() => ("Running", Health::Progressing, work(&report.phase).to_owned()),
        _ => ("Waiting", Health::Progressing, format!("it waits for {wait}")),
    };
    (report.phase.clone(), reason.to_owned(), message, health)
}

/// What holds now; `None` when the resources cannot be understood.
fn wishes(observed: &Observed) -> Option<Wishes> {
    let wanted = control::wanted(&observed.migration).ok()?;
    let target = serde_json::to_value(observed.target.as_ref()?).ok()?;
    let target = validate::target(&target).ok()?;
    Some(effective(&target.settings, &wanted.migration, observed.now).wishes)
}

/// Why the hour does not let a cut-over begin, in words.
fn closed(wishes: Option<&Wishes>) -> Option<String> {
    match &wishes?.cut_over {
        Gate::Closed { words } => Some(words.clone()),
        Gate::Open { .. } => None,
    }
}

/// Why it is paused when no person did it.
pub const PAUSE_WINDOW: &str = "PauseWindow";
/// Why it waits when the hour does not allow a cut-over.
pub const POSTPONED: &str = "CutOverPostponed";
/// The reason for waiting until a cut-over may begin at this hour.
pub const OUTSIDE_WINDOW: &str = "OutsideWindow";

/// Phases that end with a change of the table itself; Prepare by INSTANT.
const CHANGES_THE_TABLE: [&str; 3] = ["Prepare", "AwaitCutOver", "CutOver"];

/// What holds it at a stage.
fn held(report: &WorkerReport) -> (&str, Health, String) {
    let hold = report.hold.clone().unwrap_or_default();
    let reason = report.hold.as_ref().map_or("", |hold| hold.reason.as_str());
    if reason == control::AWAITING_APPROVAL {
        let advice = "kubectl ghostship approve lets it go on";
        return (reason, Health::Suspended, format!("it waits for {}; {advice}", hold.message));
    }
    (reason, Health::Progressing, format!("it is held at stage {}: {}", hold.stage, hold.message))
}

/// What goes on in a phase of the engine.
fn work(phase: &str) -> &'static str {
    match phase {
        "Preflight" => "the server, the table and the change are checked",
        "Prepare" => "the shadow table is made and the binlog is opened",
        "RowCopy" => "rows are copied to the shadow table and changes follow",
        "CatchUp" => "the rows are copied; the last changes are applied",
        "Verify" => "every row of both tables is compared",
        "AwaitCutOver" => "copied and verified; the cut-over is next",
        "CutOver" => "the tables are swapped at a quiet moment",
        "CleanUp" => "the tables are swapped; helper tables are dropped",
        _ => "it works",
    }
}

fn is_throttled(status: Option<&SchemaMigrationStatus>) -> bool {
    let progress = status.and_then(|status| status.progress.as_ref());
    progress.is_some_and(|progress| !progress.throttled.is_empty())
}

fn has_paused_itself(status: Option<&SchemaMigrationStatus>) -> bool {
    let progress = status.and_then(|status| status.progress.as_ref());
    let mut reasons = progress.into_iter().flat_map(|progress| &progress.throttled);
    reasons.any(|reason| reason.signal == "autoPause")
}

fn throttled(status: Option<&SchemaMigrationStatus>) -> String {
    let progress = status.and_then(|status| status.progress.as_ref());
    let reasons = progress.into_iter().flat_map(|progress| &progress.throttled);
    let texts: Vec<&str> = reasons.map(|reason| reason.reason.as_str()).collect();
    format!("it goes slower: {}", texts.join(", "))
}

fn milestones(observed: &Observed, decision: &Decision) -> Vec<Milestone> {
    let status = observed.migration.status.clone().unwrap_or_default();
    let phase = status.report.as_ref().map_or("", |report| report.phase.as_str());
    let done = matches!(decision, Decision::Settle { ending }
        if matches!(ending.outcome, EndingKind::Completed | EndingKind::AlreadyApplied));
    let behind = |phases: &[&str]| done || phases.contains(&phase);
    let throttled = is_throttled(Some(&status)) && !done;
    let ignored = legal::ignored(&observed.migration);
    vec![
        validated(decision),
        reached("RowCopyComplete", behind(&BEHIND_ROW_COPY)),
        reached("Verified", behind(&BEHIND_ROW_COPY[2..])),
        reached("CutOverReady", behind(&BEHIND_ROW_COPY[2..])),
        switch("CommandIgnored", ignored.is_some(), ignored.unwrap_or_default()),
        paused(observed, done),
        switch(
            "Throttled",
            throttled,
            if throttled { self::throttled(Some(&status)) } else { String::new() },
        ),
    ]
}

/// The engine's phases after the row copy, in order.
const BEHIND_ROW_COPY: [&str; 5] = ["CatchUp", "Verify", "AwaitCutOver", "CutOver", "CleanUp"];

fn validated(decision: &Decision) -> Milestone {
    let (_, reason, message, _) = match decision {
        Decision::Reject { violations } => rejected(violations),
        _ => simple("", "Valid", ""),
    };
    Milestone { name: "Validated", holds: reason == "Valid", reason, message }
}

fn reached(name: &'static str, holds: bool) -> Milestone {
    let reason = if holds { "Reached" } else { "NotYet" };
    Milestone { name, holds, reason: reason.to_owned(), message: String::new() }
}

/// By a person, or by the hour.
fn paused(observed: &Observed, done: bool) -> Milestone {
    let window = wishes(observed).and_then(|wishes| wishes.pause_window).filter(|_| !done);
    match window {
        Some(words) => {
            Milestone { reason: PAUSE_WINDOW.to_owned(), ..switch("Paused", true, words) }
        }
        None => {
            let by_hand = observed.migration.spec.paused == Some(true);
            switch("Paused", by_hand && !done, String::new())
        }
    }
}

fn switch(name: &'static str, holds: bool, message: String) -> Milestone {
    let reason = if holds { name.to_owned() } else { format!("Not{name}") };
    Milestone { name, holds, reason, message }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::controller::decide::{Worker, decide};
    use crate::controller::samples::{active, ended, merge, observed, reported};

    #[test]
    fn every_state_has_its_row() {
        let in_phase = |phase: &str| json!({"status": {"attempt": 1, "report": {"attempt": 1, "phase": phase}}});
        let with = |phase: &str, changes: serde_json::Value| {
            let mut all = in_phase(phase);
            merge(&mut all, &changes);
            all
        };
        let danger = json!({"status": {"progress": {"throttled": [
            {"signal": "autoPause", "reason": "paused itself"}, {"signal": "maxLag", "reason": "lag"}
        ]}}});
        let slow = json!({"status": {"progress": {"throttled": [{"reason": "lag"}]}}});
        let rows = [
            (json!({}), Worker::Absent, "Starting", "WorkerStarting", Health::Progressing),
            (
                json!({"status": {"attempt": 1}}),
                active(),
                "Starting",
                "WorkerPending",
                Health::Progressing,
            ),
            (in_phase("RowCopy"), active(), "RowCopy", "Running", Health::Progressing),
            (with("RowCopy", slow), active(), "RowCopy", "Throttled", Health::Progressing),
            (with("RowCopy", danger), active(), "RowCopy", "AutoPaused", Health::Progressing),
            (
                with("RowCopy", json!({"spec": {"paused": true}})),
                active(),
                "RowCopy",
                "Paused",
                Health::Suspended,
            ),
            (
                with("AwaitCutOver", json!({"spec": {"postponeCutOver": true}})),
                active(),
                "AwaitCutOver",
                "CutOverPostponed",
                Health::Suspended,
            ),
            (reported("Failed", "DiskFull"), ended(None), "Retrying", "DiskFull", Health::Retrying),
            (
                reported("Completed", "Completed"),
                ended(None),
                "Succeeded",
                "Completed",
                Health::Done,
            ),
            (
                reported("AlreadyApplied", "AlreadyApplied"),
                ended(None),
                "Succeeded",
                "AlreadyApplied",
                Health::Done,
            ),
            (reported("Refused", "Triggers"), ended(None), "Failed", "Triggers", Health::Failed),
            (reported("Panicked", "Panicked"), ended(None), "Panicked", "Panicked", Health::Failed),
            (reported("Aborted", "Aborted"), ended(None), "Aborted", "Aborted", Health::Failed),
        ];
        for (changes, worker, phase, reason, health) in rows {
            let observed = observed(&changes, worker);
            let found = standing(&observed, &decide(&observed));
            assert_eq!((found.phase.as_str(), found.reason.as_str()), (phase, reason), "{changes}");
            assert_eq!(found.health, health, "{changes}");
            assert!(!found.message.is_empty(), "{changes}");
        }
    }

    #[test]
    fn every_hour_has_its_row() {
        let hours = |phase: &str, what: &str, from: &str| {
            let until = "2026-01-02T00:00:00Z";
            json!({
                "spec": {"windows": {what: [{"from": format!("2026-01-01T{from}:00Z"), "until": until}]}},
                "status": {"attempt": 1,
                    "report": {"attempt": 1, "phase": phase, "waitingFor": "something"}}
            })
        };
        let rows = [
            (hours("AwaitCutOver", "cutOver", "23:00"), "OutsideWindow", Health::Suspended),
            (hours("CutOver", "cutOver", "23:00"), "OutsideWindow", Health::Suspended),
            (hours("Prepare", "cutOver", "23:00"), "OutsideWindow", Health::Suspended),
            (hours("CatchUp", "cutOver", "23:00"), "Waiting", Health::Progressing),
            (hours("AwaitCutOver", "cutOver", "12:00"), "Waiting", Health::Progressing),
            (hours("RowCopy", "pause", "12:00"), "Paused", Health::Suspended),
            (hours("RowCopy", "pause", "23:00"), "Waiting", Health::Progressing),
        ];
        for (changes, reason, health) in rows {
            let observed = observed(&changes, active());
            let found = standing(&observed, &decide(&observed));
            assert_eq!((found.reason.as_str(), found.health), (reason, health), "{changes}");
            let paused = found.milestones.iter().find(|one| one.name == "Paused").unwrap();
            assert_eq!(paused.holds, reason == "Paused", "{changes}");
        }
    }

    #[test]
    fn who_is_held_at_a_stage_says_so() {
        let rows = [
            ("BeforeCutOver", "AwaitingApproval", Health::Suspended, "kubectl ghostship approve"),
            ("BeforeCopy", "HookWaits", Health::Progressing, "stage BeforeCopy: words"),
        ];
        for (stage, reason, health, words) in rows {
            let hold = json!({"stage": stage, "reason": reason, "message": "words"});
            let report = json!({"attempt": 1, "phase": "Prepare", "hold": hold});
            let changes = json!({"status": {"attempt": 1, "report": report}});
            let observed = observed(&changes, active());
            let found = standing(&observed, &decide(&observed));
            assert_eq!((found.reason.as_str(), found.health), (reason, health), "{stage}");
            assert!(found.message.contains(words), "{}", found.message);
        }
    }
}
