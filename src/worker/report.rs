//! Reports into the worker's own part of the status: figures every few seconds, changes of phase and
//! the end at once. A report that cannot be written is no reason to stop working.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::load::CALL;
use super::{Assignment, Ended};
use crate::api::effective::Setting;
use crate::api::migration::SchemaMigration;
use crate::api::names;
use crate::api::status::{
    BlockerStatus, EffectiveSetting, Ending, EndingKind, HoldStatus, PauseStatus, PlanStatus,
    ProgressStatus, SchemaMigrationStatus, ThrottleReason, WorkerReport, bounded,
};
use crate::api::{API_VERSION, duration};
use crate::engine::Failure;
use crate::engine::blocker::Blocker;
use crate::engine::outcome::{Outcome, Report};
use crate::engine::progress::Progress;
use crate::engine::reason::Reason;
use crate::engine::stage::StageHold;
use crate::engine::throttle::recovery::PauseReport;
use crate::hooks::Posted;

/// Figures are written so often at most.
const INTERVAL: Duration = Duration::from_secs(5);
/// Two reports of any kind are at least so far apart.
const LEAST: Duration = Duration::from_millis(250);
/// Pause after a report that could not be written.
const AGAIN: Duration = Duration::from_secs(1);

/// Writes the reports of one attempt.
pub(super) struct Reporter {
    api: Api<SchemaMigration>,
    name: String,
    uid: String,
    report: WorkerReport,
    effective: watch::Receiver<Vec<Setting>>,
    posted: watch::Receiver<Posted>,
}

impl Reporter {
    pub(super) fn new(
        api: Api<SchemaMigration>,
        assignment: &Assignment,
        (effective, posted): (watch::Receiver<Vec<Setting>>, watch::Receiver<Posted>),
    ) -> Self {
        let report = WorkerReport {
            attempt: signed(assignment.attempt),
            pod: assignment.pod.clone(),
            ..WorkerReport::default()
        };
        let Assignment { name, uid, .. } = assignment.clone();
        Self { api, name, uid, report, effective, posted }
    }

    /// Reports until it is dropped.
    pub(super) async fn follow(&mut self, mut progress: watch::Receiver<Progress>) -> ! {
        loop {
            let now = progress.borrow_and_update().clone();
            let pause = if self.write(&now).await { LEAST } else { AGAIN };
            sleep(pause).await;
            let due = Instant::now() + INTERVAL - LEAST;
            loop {
                tokio::select! {
                    () = sleep_until(due) => break,
                    Ok(()) = self.effective.changed() => break,
                    Ok(()) = self.posted.changed() => break,
                    changed = progress.changed() => match changed {
                        Ok(()) if is_transition(&now, &progress.borrow()) => break,
                        Ok(()) => {}
                        Err(_) => sleep_until(due).await,
                    },
                }
            }
        }
    }

    /// Reports the end, again and again until it is written or the time is over. Whether it was written.
    pub(super) async fn finish(&mut self, last: &Progress, ended: &Ended, limit: Duration) -> bool {
        self.report.ending = Some(Ending { at: Some(now()), ..ending(ended) });
        let deadline = Instant::now() + limit;
        while !self.write(last).await {
            if Instant::now() >= deadline {
                return false;
            }
            sleep(AGAIN).await;
        }
        true
    }

    async fn write(&mut self, progress: &Progress) -> bool {
        self.take(progress);
        let patch = Patch::Apply(json!({
            "apiVersion": API_VERSION,
            "kind": "SchemaMigration",
            "metadata": {"name": self.name, "uid": self.uid},
            "status": SchemaMigrationStatus {
                plan: plan(progress),
                effective: self.effective.borrow().iter().map(setting).collect(),
                progress: Some(self.figures(progress)),
                report: Some(self.report.clone()),
                ..SchemaMigrationStatus::default()
            },
        }));
        let parameters = PatchParams::apply(names::WORKER).force();
        match timeout(CALL, self.api.patch_status(&self.name, &parameters, &patch)).await {
            Ok(Ok(_)) => true,
            Ok(Err(kube::Error::Api(status))) => {
                tracing::warn!(answer = status.message, "the status could not be written");
                false
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "the status could not be written");
                false
            }
            Err(_) => {
                tracing::warn!("the status could not be written: the API server is silent");
                false
            }
        }
    }

    fn take(&mut self, progress: &Progress) {
        let waiting = (!progress.waiting_for.is_empty()).then(|| bounded(&progress.waiting_for));
        if waiting != self.report.waiting_for {
            self.report.waiting_since = waiting.as_ref().map(|_| now());
        }
        self.report.waiting_for = waiting;
        self.report.hold = progress.stage_hold.as_ref().map(hold);
        let Posted { count, open } = self.posted.borrow_and_update().clone();
        (self.report.asked, self.report.questions) = (count, open);
        self.report.blocker = progress.blocker.as_ref().map(blocker);
        progress.phase.as_str().clone_into(&mut self.report.phase);
        self.report.updated_at = Some(now());
    }

    fn figures(&self, progress: &Progress) -> ProgressStatus {
        let reasons = progress.throttled.iter().map(|reason| ThrottleReason {
            signal: reason.signal.as_str().to_owned(),
            reason: bounded(&reason.words),
            since: Timestamp::try_from(reason.since).ok().map(Time),
        });
        ProgressStatus {
            rows_copied: signed(progress.rows_copied),
            rows_estimated: signed(progress.rows_estimated),
            percent: whole(progress.percent),
            rows_per_second: whole(progress.rows_per_second),
            keys_applied: signed(progress.keys_applied),
            backlog: signed(progress.backlog),
            stream_lag: progress.stream_lag.map(duration::format),
            replica_lag: progress.replica_lag.map(duration::format),
            binlog_headroom: progress.binlog_headroom.map(whole_seconds),
            last_pause: progress.last_pause.as_ref().map(pause),
            eta: progress.eta.map(whole_seconds),
            verified_percent: whole(progress.verified_percent),
            rows_repaired: signed(progress.rows_repaired),
            throttled: reasons.collect(),
            cut_over_attempts: i64::from(progress.cut_over_attempts),
            last_cut_over_error: (!progress.last_cut_over_error.is_empty())
                .then(|| bounded(&progress.last_cut_over_error)),
        }
    }
}

fn pause(report: &PauseReport) -> PauseStatus {
    let seconds = |seconds| duration::format(Duration::from_secs(seconds));
    PauseStatus {
        reason: bounded(&report.reason),
        since: Timestamp::try_from(report.since).ok().map(Time),
        lasted: seconds(report.seconds),
        keys_applied: signed(report.keys_applied),
        backlog: signed(report.backlog),
        catch_up: seconds(report.catch_up_seconds),
    }
}

fn whole_seconds(time: Duration) -> String {
    duration::format(Duration::from_secs(time.as_secs()))
}

fn plan(progress: &Progress) -> Option<PlanStatus> {
    let plan = progress.plan.as_ref()?;
    Some(PlanStatus {
        strategy: plan.strategy.clone(),
        key: plan.key.clone(),
        shadow_table: plan.shadow_table.clone(),
        old_table: plan.old_table.clone(),
        control_table: plan.control_table.clone(),
        warnings: plan.warnings.iter().map(|text| bounded(text)).collect(),
    })
}

fn setting(setting: &Setting) -> EffectiveSetting {
    EffectiveSetting {
        field: setting.field.to_owned(),
        value: bounded(&setting.value),
        origin: setting.origin.to_string(),
    }
}

fn hold(found: &StageHold) -> HoldStatus {
    HoldStatus {
        stage: found.stage.as_str().to_owned(),
        reason: found.reason.as_str().to_owned(),
        message: bounded(&found.message),
        since: Timestamp::try_from(found.since).ok().map(Time),
    }
}

fn blocker(found: &Blocker) -> BlockerStatus {
    BlockerStatus {
        id: bounded(&found.id),
        user: bounded(&found.user),
        since: found.since.map(Time),
        holds: bounded(&found.holds),
        statement: bounded(&found.statement),
    }
}

/// Whether a change is told at once.
fn is_transition(one: &Progress, other: &Progress) -> bool {
    one.phase != other.phase
        || one.waiting_for.is_empty() != other.waiting_for.is_empty()
        || one.blocker.as_ref().map(|one| &one.id) != other.blocker.as_ref().map(|one| &one.id)
        || one.stage_hold != other.stage_hold
        || one.is_held() != other.is_held()
        || one.cut_over_attempts != other.cut_over_attempts
        || one.plan.is_some() != other.plan.is_some()
}

/// The end of an attempt as the status tells it.
pub fn ending(ended: &Ended) -> Ending {
    match ended {
        Ended::Outcome(outcome) => of_outcome(outcome),
        Ended::Failure(failure) => of_failure(failure),
        Ended::Interrupted => plain(
            EndingKind::Left,
            "ended at once by a second signal; the next attempt continues".to_owned(),
        ),
    }
}

fn of_outcome(outcome: &Outcome) -> Ending {
    match outcome {
        Outcome::Completed(report) => completed(report),
        Outcome::AlreadyApplied { finished_at } => plain(
            EndingKind::AlreadyApplied,
            format!("this migration was finished at {finished_at} UTC; nothing was done"),
        ),
        Outcome::Left => plain(
            EndingKind::Left,
            "left on request with nothing lost; the next attempt continues".to_owned(),
        ),
        Outcome::Aborted => plain(
            EndingKind::Aborted,
            "aborted on request; the table is untouched and what was created is dropped".to_owned(),
        ),
        Outcome::Panicked => {
            plain(EndingKind::Panicked, "stopped by panic; every table is kept".to_owned())
        }
    }
}

fn plain(outcome: EndingKind, message: String) -> Ending {
    let reason = format!("{outcome:?}");
    Ending { outcome, reason, message, ..Ending::default() }
}

fn completed(report: &Report) -> Ending {
    let message = match report.strategy.as_str() {
        "Instant" => "changed by INSTANT; no row was copied".to_owned(),
        _ => format!(
            "{} rows copied, {} keys applied, {} rows compared, {} repaired",
            report.rows_copied, report.keys_applied, report.rows_verified, report.rows_repaired
        ),
    };
    Ending {
        took: seconds(report.total_seconds),
        lock_time: seconds(report.lock_seconds),
        rows_verified: Some(signed(report.rows_verified)),
        old_table: report.old_table.clone(),
        old_table_expires: report.old_table_expires.clone(),
        ..plain(EndingKind::Completed, message)
    }
}

fn of_failure(failure: &Failure) -> Ending {
    let outcome = match failure.reason {
        Reason::Superseded => EndingKind::Superseded,
        _ if failure.refused => EndingKind::Refused,
        _ => EndingKind::Failed,
    };
    Ending {
        outcome,
        reason: failure.reason.as_str().to_owned(),
        message: bounded(&failure.message),
        remedy: bounded(&failure.remedy),
        kept: bounded(&failure.kept),
        ..Ending::default()
    }
}

fn seconds(seconds: f64) -> Option<String> {
    Duration::try_from_secs_f64(seconds).ok().map(duration::format)
}

fn now() -> Time {
    Time(Timestamp::now())
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[expect(clippy::cast_possible_truncation, reason = "a share or a rate, far below the limits")]
fn whole(value: f64) -> i64 {
    value.floor() as i64
}
