//! A run as the API shows it: the engine's progress, what is asked for and the settings become one view. Pure.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use tokio::sync::watch;

use super::live;
use crate::api::effective;
use crate::api::legal::Stage;
use crate::cli::manifest::Manifest;
use crate::engine::blocker;
use crate::engine::intent::{Command, Intent};
use crate::engine::phase::PhaseKind;
use crate::engine::progress::Progress;
use crate::serve::view::{Blocker, Figures, Laid, Migration, Pause, Setting, Throttled};

/// How the engine begins to say that an attempt failed and another one follows.
const RETRYING: &str = "the next attempt: ";

/// What a run is about.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Namespace of the migration.
    pub namespace: String,
    /// Its name.
    pub name: String,
    database: String,
    table: String,
    alter: String,
}

impl From<&Manifest> for Subject {
    fn from(manifest: &Manifest) -> Self {
        let migration = &manifest.migration;
        let identity = &migration.identity;
        Self {
            namespace: migration.namespace.clone(),
            name: migration.name.clone(),
            database: identity.database.clone(),
            table: identity.table.clone(),
            alter: identity.alter.clone(),
        }
    }
}

/// What is seen of a run.
#[derive(Clone, Debug)]
pub struct Watched {
    /// Its progress.
    pub progress: watch::Receiver<Progress>,
    /// What is asked for.
    pub intent: watch::Receiver<Intent>,
    /// Settings as they hold.
    pub settings: watch::Receiver<Vec<effective::Setting>>,
    /// What lies over the file.
    pub laid: watch::Receiver<Vec<Laid>>,
}

/// Where a run stands, as far as commands depend on it.
pub fn stage(progress: &Progress) -> Stage {
    match progress.phase {
        PhaseKind::CleanUp => Stage::Swapped,
        _ if progress.waiting_for.starts_with(RETRYING) => Stage::Retrying,
        _ => Stage::Working,
    }
}

/// The run as it stands.
pub fn migration(subject: &Subject, watched: &Watched) -> Migration {
    let progress = watched.progress.borrow().clone();
    let intent = watched.intent.borrow().clone();
    let settings = watched.settings.borrow().iter().map(setting).collect();
    let subject = subject.clone();
    let words = &progress.waiting_for;
    Migration {
        namespace: subject.namespace,
        name: subject.name,
        database: subject.database,
        table: subject.table,
        alter: subject.alter,
        phase: progress.phase.as_str().to_owned(),
        message: String::new(),
        ended: false,
        paused: intent.command == Command::Pause,
        paused_by: intent.paused_by.clone(),
        postponed: intent.postpone_cut_over,
        actions: live::possible(stage(&progress), &intent),
        figures: figures(&progress),
        throttled: progress.throttled.iter().map(throttled).collect(),
        waiting_for: (!words.is_empty()).then(|| words.clone()),
        blocker: progress.blocker.as_ref().map(blocker),
        last_pause: progress.last_pause.as_ref().map(pause),
        settings,
        laid_over: watched.laid.borrow().clone(),
        started_at: time(progress.started_at),
    }
}

fn figures(progress: &Progress) -> Figures {
    let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
    Figures {
        rows_copied: progress.rows_copied,
        rows_estimated: progress.rows_estimated,
        percent: progress.percent,
        verified_percent: progress.verified_percent,
        rows_repaired: progress.rows_repaired,
        rows_per_second: progress.rows_per_second,
        keys_applied: progress.keys_applied,
        backlog: progress.backlog,
        stream_lag_seconds: seconds(progress.stream_lag),
        replica_lag_seconds: seconds(progress.replica_lag),
        binlog_headroom_seconds: seconds(progress.binlog_headroom),
        eta_seconds: seconds(progress.eta),
        cut_over_attempts: progress.cut_over_attempts.into(),
        last_cut_over_error: progress.last_cut_over_error.clone(),
    }
}

fn throttled(reason: &crate::engine::throttle::Reason) -> Throttled {
    Throttled {
        signal: reason.signal.as_str().to_owned(),
        reason: reason.words.clone(),
        since: time(reason.since),
    }
}

fn blocker(found: &blocker::Blocker) -> Blocker {
    Blocker {
        id: found.id.clone(),
        user: found.user.clone(),
        since: found.since.map(|since| since.to_string()),
        holds: found.holds.clone(),
        statement: found.statement.clone(),
    }
}

fn pause(report: &crate::engine::throttle::recovery::PauseReport) -> Pause {
    let seconds = |seconds: u64| Duration::from_secs(seconds).as_secs_f64();
    Pause {
        reason: report.reason.clone(),
        seconds: seconds(report.seconds),
        keys_applied: report.keys_applied,
        backlog: report.backlog,
        catch_up_seconds: seconds(report.catch_up_seconds),
    }
}

fn setting(setting: &effective::Setting) -> Setting {
    Setting {
        field: setting.field.to_owned(),
        value: setting.value.clone(),
        origin: setting.origin.to_string(),
    }
}

fn time(time: SystemTime) -> Option<String> {
    Timestamp::try_from(time)
        .ok()
        .map(|time| time.round(jiff::Unit::Second).unwrap_or(time).to_string())
}
