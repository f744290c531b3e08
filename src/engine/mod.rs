//! The migration itself: preflight, row copy, following the binlog, verification, cut-over, clean-up.
//! Knows nothing of Kubernetes, manifests or terminals. Read `phase.rs` first, then this file, then
//! `backlog/mod.rs`, which holds the rules that make it exact.

pub mod backlog;
pub mod intent;
pub mod outcome;
pub mod phase;
pub mod progress;
pub mod reason;
pub mod record;
pub mod request;
pub mod stage;

mod abort;
mod applier;
mod attempt;
mod backup;
pub mod blocker;
mod catch_up;
mod changes;
mod checks;
mod chunk;
mod clean_up;
mod conflict;
mod context;
mod control;
mod convergence;
mod cut_over;
mod error;
mod failure;
mod gate;
mod gates;
mod heartbeat;
mod instant;
mod ledger;
mod markers;
mod meter;
mod misfit;
mod old_table;
mod pace;
mod plan;
mod preflight;
mod prepare;
mod preview;
mod resume;
mod retention;
mod row_copy;
mod rows;
pub mod throttle;
mod verify;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::control::{Standing, Worker};
pub use self::error::Error;
pub use self::failure::Failure;
use self::failure::{Disposition, disposition};
use self::gates::Gates;
use self::intent::Wishes;
use self::meter::Meter;
use self::outcome::Outcome;
use self::phase::PhaseKind;
pub use self::preview::plan;
use self::progress::Progress;
use self::request::Request;

type Result<T> = std::result::Result<T, Error>;

/// Pauses between attempts: the first, and the longest.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// Runs a migration to its end: attempt after attempt, each continuing where the last one stood in the
/// control table. A lost connection, a server restart and a kill are the same to it.
///
/// # Errors
///
/// A failure that another attempt cannot mend, with what is left behind.
pub async fn run(
    request: Request,
    wishes: Wishes,
    progress: watch::Sender<Progress>,
    stop: CancellationToken,
) -> std::result::Result<Outcome, Failure> {
    let meter = Meter::new(progress);
    let gates = Arc::new(Gates::new(&request));
    let ended = tokio::select! {
        ended = attempts(&request, (&wishes, &gates), &meter, &stop) => ended,
        never = gates.tell_along(&meter) => match never {},
    };
    gates.tell_end(&ended, (&meter, &stop)).await;
    ended
}

async fn attempts(
    request: &Request,
    (wishes, gates): (&Wishes, &Arc<Gates>),
    meter: &Meter,
    stop: &CancellationToken,
) -> std::result::Result<Outcome, Failure> {
    let mut worker = Worker::new(request.attempt);
    let mut pause = BACK_OFF.0;
    loop {
        let began = tokio::time::Instant::now();
        let attempt = attempt::run(request, (wishes, gates), meter, stop, &mut worker);
        let error = match Box::pin(attempt).await {
            Ok(outcome) => return Ok(outcome),
            Err(error) => error,
        };
        // Before the first stage there is nothing to continue: a wrong host is told at once.
        let may_continue =
            meter.phase() != PhaseKind::Preflight || worker.standing != Standing::Outside;
        match disposition(&error) {
            Disposition::Retry if may_continue => {}
            Disposition::Retry | Disposition::Fail => {
                return Err(Failure::of(error, request, meter.phase()));
            }
        }
        if began.elapsed() > BACK_OFF.1 * 2 {
            pause = BACK_OFF.0;
        }
        tracing::warn!(error = %failure::chain(&error), "the attempt ended, the next one continues");
        let waits_for = match backup::behind(&error, request).await {
            Some(backup) => backup.words,
            None => format!("the next attempt: {}", failure::chain(&error)),
        };
        meter.wait_for(&waits_for);
        let asked_to_end = attempt::wait_or_end(&wishes.intent, stop, pause).await;
        if let Some(outcome) = asked_to_end {
            return Ok(outcome);
        }
        pause = (pause * 2).min(BACK_OFF.1);
    }
}

/// The snapshot to start a progress channel with.
pub fn blank_progress() -> Progress {
    Meter::blank()
}
