//! What the controller tells about a migration: its part of the status and an event per change of
//! phase. The status is computed by a pure function and written only when it differs.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::controls;
use super::decide::{self, Decision, Observed};
use super::hook_jobs::asked;
use super::standing::{Health, Standing, standing};
use crate::api::audit;
use crate::api::control::{self, CutOverWord};
use crate::api::hooks;
use crate::api::names;
use crate::api::ownership::{self, Place};
use crate::api::status::{
    ApprovalStatus, CutOverStatus, Latch, SchemaMigrationStatus, TRANSITIONS, Transition,
    WorkerReport, WorkerStatus, bounded,
};

/// The controller's part of the status after this decision; what belongs to the worker is left out.
pub fn status(observed: &Observed, decision: &Decision) -> SchemaMigrationStatus {
    let old = observed.migration.status.clone().unwrap_or_default();
    let standing = standing(observed, decision);
    let now = Time(observed.now);
    let mut new = SchemaMigrationStatus {
        observed_generation: observed.migration.metadata.generation,
        phase: Some(standing.phase.clone()),
        message: Some(bounded(&standing.message)),
        conditions: conditions(observed, &standing, &old.conditions),
        attempt: old.attempt,
        worker: old.worker.clone(),
        cut_over: Some(cut_over(observed, &standing, old.cut_over.as_ref())),
        approvals: approvals(observed, &old.approvals),
        hook_jobs: asked::entries(observed),
        controls: controls::controls(observed, &standing, old.controls.as_ref()),
        audit: Some(audit::after(&observed.migration, observed.now)),
        panicked: panicked(observed, old.panicked.as_ref()),
        retried: old.retried.clone(),
        started_at: old.started_at.clone(),
        completed_at: old.completed_at.clone(),
        ending: old.ending.clone(),
        transitions: transitions(&old.transitions, &standing, &now),
        plan: None,
        progress: None,
        report: None,
        effective: Vec::new(),
    };
    if let (Some(worker), Some(report)) = (new.worker.as_mut(), decide::report(observed)) {
        worker.pod = Some(report.pod.clone());
    }
    match decision {
        Decision::Attempt { number, failures, .. } => count(&mut new, observed, *number, *failures),
        Decision::Wait { until, failures, .. } => {
            if let Some(worker) = new.worker.as_mut() {
                worker.failures = *failures;
                worker.next_attempt_at = Some(Time(*until));
            }
        }
        // A retry of what still runs is answered once and does not wait for the next failure.
        Decision::Follow { .. } if decide::known_ending(&observed.migration).is_none() => {
            let token = control::annotation(&observed.migration, names::RETRY);
            new.retried = token.map(str::to_owned).or(new.retried);
        }
        Decision::Settle { ending } => {
            new.ending = Some(ending.clone());
            new.completed_at = old.completed_at.or(ending.at.clone()).or(Some(now));
        }
        _ => {}
    }
    new
}

/// Counts an attempt before its Job is made; a retry, or an abort after the end, takes panic's latch away.
fn count(status: &mut SchemaMigrationStatus, observed: &Observed, number: i64, failures: i64) {
    let now = Time(observed.now);
    status.attempt = Some(number);
    status.started_at.get_or_insert_with(|| now.clone());
    status.completed_at = None;
    status.ending = None;
    if decide::asks_for_retry(observed) {
        status.retried = control::annotation(&observed.migration, names::RETRY).map(str::to_owned);
        status.panicked = None;
    }
    if observed.migration.spec.abort == Some(true) && observed.migration.spec.panic != Some(true) {
        status.panicked = None;
    }
    let image = status.worker.take().map(|worker| worker.image).unwrap_or_default();
    status.worker = Some(WorkerStatus {
        job: super::build::job_name(&observed.migration, number),
        pod: None,
        image,
        started_at: Some(now),
        failures,
        next_attempt_at: None,
    });
}

fn cut_over(
    observed: &Observed,
    standing: &Standing,
    old: Option<&CutOverStatus>,
) -> CutOverStatus {
    let migration = &observed.migration;
    let permission = match control::cut_over_word(migration) {
        Some(CutOverWord::Postpone) => None,
        Some(CutOverWord::Allow) => Some(
            old.and_then(|old| old.permission.clone())
                .unwrap_or_else(|| latch(observed, Place::Annotation(names::CUT_OVER))),
        ),
        None => old.and_then(|old| old.permission.clone()),
    };
    let state = match standing.phase.as_str() {
        "Succeeded" => "Done",
        _ if control::is_postponed(migration) => "Postponed",
        _ => "Allowed",
    };
    let progress = migration.status.as_ref().and_then(|status| status.progress.as_ref());
    let report = decide::report(observed);
    let ending = report.and_then(|report| report.ending.as_ref());
    CutOverStatus {
        state: state.to_owned(),
        permission,
        attempts: progress.map_or(0, |progress| progress.cut_over_attempts),
        last_error: progress.and_then(|progress| progress.last_cut_over_error.clone()),
        blocker: report.and_then(WorkerReport::standing_blocker).cloned(),
        lock_time: ending.and_then(|ending| ending.lock_time.clone()),
    }
}

/// What was approved once, and what is approved now.
fn approvals(observed: &Observed, old: &[ApprovalStatus]) -> Vec<ApprovalStatus> {
    let mut all = old.to_vec();
    for stage in hooks::approved(&observed.migration) {
        if all.iter().all(|known| known.stage != stage.as_str()) {
            let Latch { at, by, through } = latch(observed, Place::Annotation(names::APPROVE));
            all.push(ApprovalStatus { stage: stage.as_str().to_owned(), by, at, through });
        }
    }
    all
}

fn panicked(observed: &Observed, old: Option<&Latch>) -> Option<Latch> {
    match old {
        Some(latch) => Some(latch.clone()),
        None if observed.migration.spec.panic == Some(true) => {
            Some(latch(observed, Place::Field("panic")))
        }
        None => None,
    }
}

/// By the field manager that owns the place, as far as the API server tells.
fn latch(observed: &Observed, place: Place) -> Latch {
    let by = ownership::managers(&observed.migration, place).last().unwrap_or_default().to_owned();
    Latch { at: Some(Time(observed.now)), by, through: place.to_string() }
}

fn transitions(old: &[Transition], standing: &Standing, now: &Time) -> Vec<Transition> {
    let mut all = old.to_vec();
    if old.last().map(|last| last.phase.as_str()) != Some(&standing.phase) {
        all.push(Transition {
            at: Some(now.clone()),
            phase: standing.phase.clone(),
            reason: standing.reason.clone(),
        });
    }
    let surplus = all.len().saturating_sub(TRANSITIONS);
    all.split_off(surplus)
}

/// The four that tools read, then the milestones of a migration.
fn conditions(observed: &Observed, standing: &Standing, old: &[Condition]) -> Vec<Condition> {
    let (ready, reconciling, stalled, succeeded) = match standing.health {
        Health::Progressing | Health::Retrying | Health::Suspended => {
            ("False", "True", "False", "Unknown")
        }
        Health::Done => ("True", "False", "False", "True"),
        Health::Failed => ("False", "False", "True", "False"),
    };
    let reason = standing.reason.as_str();
    let reconciling_reason = match standing.health {
        Health::Retrying => "ProgressingWithRetry",
        _ => reason,
    };
    let message = standing.message.as_str();
    let quiet = |state: &str| if state == "True" { message } else { "" }.to_owned();
    let wanted = [
        ("Ready", ready, reason, message.to_owned()),
        ("Reconciling", reconciling, reconciling_reason, quiet(reconciling)),
        ("Stalled", stalled, reason, quiet(stalled)),
        ("Succeeded", succeeded, reason, quiet(succeeded)),
    ];
    let milestones = standing
        .milestones
        .iter()
        .map(|one| (one.name, truth(one.holds), one.reason.as_str(), one.message.clone()));
    let all = wanted.into_iter().chain(milestones);
    all.map(|(type_, status, reason, message)| {
        let before = old.iter().find(|one| one.type_ == type_ && one.status == status);
        Condition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: bounded(&message),
            observed_generation: observed.migration.metadata.generation,
            // The time of the last change stays until it changes again.
            last_transition_time: before
                .map_or(Time(observed.now), |one| one.last_transition_time.clone()),
        }
    })
    .collect()
}

fn truth(holds: bool) -> &'static str {
    if holds { "True" } else { "False" }
}
