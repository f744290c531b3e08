//! Who is told of a run, by `--notify`, and `ghostship notify test`. Makes snapshots of the engine's
//! progress; what is told of them, to whom and when is decided in `notify`.

use std::convert::Infallible;
use std::future::pending;
use std::path::Path;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::sleep;

use super::console::Console;
use super::exit::Exit;
use super::failure::chain;
use crate::engine::Failure;
use crate::engine::intent::{Command, Intent};
use crate::engine::outcome::Outcome;
use crate::engine::phase::PhaseKind;
use crate::engine::progress::Progress;
use crate::engine::request::Request;
use crate::engine::throttle::Signal;
use crate::notify::Notifier;
use crate::notify::file::FileError;
use crate::notify::snapshot::{Advance, Held, Snapshot, Stage};

/// The run is looked at so often.
const LOOK: Duration = Duration::from_millis(500);
/// At the end so much time is left for what is still to be sent.
const LAST_WORDS: Duration = Duration::from_secs(15);
/// How the engine begins to say that an attempt failed and another one follows.
const RETRYING: &str = "the next attempt: ";

/// Sends a test notice to everybody in the file.
pub(super) async fn test(path: &Path, console: &Console) -> Exit {
    let notifier = Notifier::new(path);
    if let Err(error) = notifier.load() {
        console.note(&format!("error: {}", chain(&error)));
        return Exit::Usage;
    }
    let mut exit = Exit::Done;
    for (receiver, sent) in notifier.test().await {
        match sent {
            Ok(()) => console.print(&format!("{receiver}: told")),
            Err(failure) => {
                console.print(&format!("{receiver}: not told: {failure}"));
                exit = Exit::Failed;
            }
        }
    }
    exit
}

/// Tells people of one run.
pub(super) struct Teller {
    notifier: Option<Notifier>,
    migration: String,
    table: String,
}

/// What was seen of the run before.
#[derive(Default)]
struct Seen {
    stage: Option<(Stage, Timestamp)>,
    paused_since: Option<Timestamp>,
}

impl Teller {
    /// Reads the file; without one nobody is told.
    pub(super) fn open(path: Option<&Path>, request: &Request) -> Result<Self, FileError> {
        let notifier = path.map(Notifier::new);
        if let Some(notifier) = &notifier {
            notifier.load()?;
        }
        let (migration, table) = (request.migration_name.clone(), request.table.to_string());
        Ok(Self { notifier, migration, table })
    }

    /// Tells what happens, as long as the run goes on.
    pub(super) async fn follow(
        &self,
        progress: watch::Receiver<Progress>,
        intent: watch::Receiver<Intent>,
    ) -> Infallible {
        let Some(notifier) = &self.notifier else { return pending().await };
        let look = async {
            let mut seen = Seen::default();
            loop {
                let snapshot = self.snapshot(&mut seen, &progress.borrow(), &intent.borrow());
                notifier.hear(&snapshot, None, Timestamp::now());
                sleep(LOOK).await;
            }
        };
        tokio::select! {
            never = notifier.run() => never,
            never = look => never,
        }
    }

    /// Tells how it ended and sends what is still to be sent.
    pub(super) async fn finish(&self, ended: &Result<Outcome, Failure>, last: &Progress) {
        let Some(notifier) = &self.notifier else { return };
        let (stage, reason, message) = end(ended);
        let now = Timestamp::now();
        let snapshot = Snapshot { reason, message, ..self.plain(stage, now, last) };
        notifier.hear(&snapshot, None, now);
        tokio::select! {
            never = notifier.run() => match never {},
            () = notifier.finish(LAST_WORDS) => {}
        }
    }

    fn snapshot(&self, seen: &mut Seen, progress: &Progress, intent: &Intent) -> Snapshot {
        let now = Timestamp::now();
        let stage = stage(progress, intent);
        let since = seen.stage.filter(|(known, _)| *known == stage).map_or(now, |(_, at)| at);
        seen.stage = Some((stage, since));
        let is_paused = intent.command == Command::Pause;
        seen.paused_since = is_paused.then(|| seen.paused_since.unwrap_or(now));
        let message = match stage {
            Stage::Postponed if intent.postpone_cut_over => {
                "copied, verified and kept current; spec.postponeCutOver waits to be removed"
            }
            _ => progress.waiting_for.as_str(),
        };
        let message = message.to_owned();
        Snapshot { paused_since: seen.paused_since, message, ..self.plain(stage, since, progress) }
    }

    fn plain(&self, stage: Stage, since: Timestamp, progress: &Progress) -> Snapshot {
        Snapshot {
            id: self.migration.clone(),
            migration: self.migration.clone(),
            table: self.table.clone(),
            stage,
            since,
            phase: progress.phase.as_str().to_owned(),
            reason: String::new(),
            message: String::new(),
            advance: advance(progress),
            lag: progress.stream_lag.max(progress.replica_lag),
            held: held(progress),
            rests: progress.throttled.iter().any(|reason| reason.signal == Signal::Window),
            paused_since: None,
            waits_for: progress.waiting_for.clone(),
            cut_over_attempts: progress.cut_over_attempts.into(),
            cut_over_error: progress.last_cut_over_error.clone(),
            backlog: progress.backlog,
            retention: progress.binlog_headroom,
        }
    }
}

fn stage(progress: &Progress, intent: &Intent) -> Stage {
    if progress.waiting_for.starts_with(RETRYING) {
        return Stage::Retrying;
    }
    match progress.phase {
        PhaseKind::Preflight => Stage::Pending,
        PhaseKind::AwaitCutOver | PhaseKind::CutOver
            if intent.cut_over_hold(SystemTime::now()).is_some() =>
        {
            Stage::Postponed
        }
        _ => Stage::Working,
    }
}

fn advance(progress: &Progress) -> Advance {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 10,000")]
    let verified = (progress.verified_percent * 100.0) as u64;
    Advance {
        phase: progress.phase.as_str().to_owned(),
        rows: progress.rows_copied,
        // Elsewhere the application's writes would look like an advance.
        keys: if progress.phase == PhaseKind::CatchUp { progress.keys_applied } else { 0 },
        verified,
        attempts: progress.cut_over_attempts.into(),
    }
}

/// What only makes the copy slower holds nothing.
fn held(progress: &Progress) -> Vec<Held> {
    let reasons = progress.throttled.iter().filter(|reason| reason.signal.holds());
    reasons.map(|reason| Held { words: reason.words.clone(), since: time(reason.since) }).collect()
}

fn time(time: SystemTime) -> Timestamp {
    Timestamp::try_from(time).unwrap_or_else(|_| Timestamp::now())
}

/// Stage, reason and words of an end.
fn end(ended: &Result<Outcome, Failure>) -> (Stage, String, String) {
    let (stage, reason, message) = match ended {
        Ok(Outcome::Completed(report)) => {
            let message = format!(
                "the table has its new definition; {} rows copied, {} compared, writers waited {:.3} s",
                report.rows_copied, report.rows_verified, report.lock_seconds
            );
            (Stage::Succeeded, "Completed", message)
        }
        Ok(Outcome::AlreadyApplied { finished_at }) => {
            let message = format!("this migration was finished at {finished_at} UTC");
            (Stage::Succeeded, "AlreadyApplied", message)
        }
        Ok(Outcome::Left) => (Stage::Leaving, "Left", "left on request".to_owned()),
        Ok(Outcome::Aborted) => {
            let message = "aborted on request; the table is untouched".to_owned();
            (Stage::Aborted, "Aborted", message)
        }
        Ok(Outcome::Panicked) => {
            (Stage::Panicked, "Panicked", "stopped by panic; every table is kept".to_owned())
        }
        Err(failure) => {
            let parts = [&failure.message, &failure.remedy, &failure.kept];
            let parts: Vec<&str> =
                parts.into_iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
            (Stage::Failed, failure.reason.as_str(), parts.join("; "))
        }
    };
    (stage, reason.to_owned(), message)
}
