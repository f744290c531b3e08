//! The process in a Job's pod: reads its own `SchemaMigration`, runs the engine on it, obeys what the
//! resource asks for and reports into its own part of the status. It knows no other resource but the
//! target, opens no Secret through the API (the account is mounted as files), and needs no controller.

mod load;
mod metrics;
mod report;
mod watch;

use std::convert::Infallible;
use std::future::pending;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use kube::{Api, Client};
use tokio::sync::watch as channel;
use tokio_util::sync::CancellationToken;

use crate::api::migration::SchemaMigration;
use crate::engine::intent;
use crate::engine::outcome::Outcome;
use crate::engine::progress::Progress;
use crate::engine::{self, Failure};
use crate::probes;
use crate::resolve::Settings;
use crate::shutdown::Signals;

pub use self::load::LoadError;
use self::load::Loaded;
use self::metrics::Throttled;
use self::report::Reporter;
pub use self::report::ending;

/// How long the last report is tried, and how long when the worker was asked to leave.
const LAST_REPORT: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(5));

/// Which migration a worker runs.
#[derive(Clone, Debug, Default)]
pub struct Assignment {
    /// Namespace of the resource.
    pub namespace: String,
    /// Name of the resource.
    pub name: String,
    /// Its UID: a resource of the same name that was created anew is another one.
    pub uid: String,
    /// Number of this attempt.
    pub attempt: u64,
    /// Directory with the account's files.
    pub credentials: PathBuf,
    /// Name of this pod.
    pub pod: String,
    /// Where health and metrics are served.
    pub listen: Option<SocketAddr>,
    /// Whether the migration is only cleaned up: its helper tables are dropped, unless the tables are
    /// swapped; then the rest of the work is done.
    pub clean_up: bool,
}

/// How a worker ended.
#[derive(Debug)]
pub enum Ended {
    /// The run came to an end of its own or on request.
    Outcome(Outcome),
    /// It failed.
    Failure(Failure),
    /// A second signal ended it at once.
    Interrupted,
}

/// Runs one attempt to its end.
///
/// # Errors
///
/// When the resources cannot be read or do not allow a run; nothing was touched then.
pub async fn run(assignment: Assignment, mut signals: Signals) -> Result<Ended, LoadError> {
    let client = Client::try_default().await.map_err(LoadError::find_cluster)?;
    let stop = CancellationToken::new();
    let loaded = tokio::select! {
        loaded = load::load(&client, &assignment) => loaded?,
        () = signals.watch(&stop) => return Ok(Ended::Interrupted),
        () = stop.cancelled() => return Ok(Ended::Outcome(Outcome::Left)),
    };
    Ok(Box::pin(drive(assignment, client, loaded, (signals, stop))).await)
}

async fn drive(
    assignment: Assignment,
    client: Client,
    loaded: Loaded,
    (mut signals, stop): (Signals, CancellationToken),
) -> Ended {
    let watch = watch::Watch::new(&client, &assignment, &loaded);
    let (intent, first) = watch.holds(Timestamp::now());
    let (publisher, wishes) = intent::channel(intent);
    let (settings, effective) = Settings::channel(first.unwrap_or_default());
    let Loaded { request, hooks: (hooks, questions), board, .. } = loaded;
    let (sender, progress) = channel::channel(engine::blank_progress());
    let api: Api<SchemaMigration> = Api::namespaced(client, &assignment.namespace);
    let mut reporter = Reporter::new(api, &assignment, (effective, board.posted()));
    let throttled = Throttled::default();
    let ended = tokio::select! {
        ended = engine::run(request, wishes, sender, stop.clone()) => match ended {
            Ok(outcome) => Ended::Outcome(outcome),
            Err(failure) => Ended::Failure(failure),
        },
        () = signals.watch(&stop) => Ended::Interrupted,
        _ = watch.follow(publisher, settings, Timestamp::now) => Ended::Interrupted,
        _ = hooks.serve(questions) => Ended::Interrupted,
        _ = reporter.follow(progress.clone()) => Ended::Interrupted,
        _ = throttled.clone().follow(progress.clone()) => Ended::Interrupted,
        _ = serve(&assignment, progress.clone(), throttled) => Ended::Interrupted,
    };
    let last = progress.borrow().clone();
    let limit = if stop.is_cancelled() { LAST_REPORT.1 } else { LAST_REPORT.0 };
    let told = tokio::select! {
        told = reporter.finish(&last, &ended, limit) => told,
        () = signals.watch(&stop) => false,
    };
    if !told {
        tracing::warn!(
            "the end could not be reported; the controller learns it from the exit code"
        );
    }
    ended
}

/// Serves health and metrics; a worker that cannot works all the same.
async fn serve(
    assignment: &Assignment,
    progress: channel::Receiver<Progress>,
    throttled: Throttled,
) -> Infallible {
    let Some(address) = assignment.listen else { return pending().await };
    let assignment = assignment.clone();
    let scrape = move || metrics::render(&assignment, &progress.borrow(), &throttled);
    let Err(error) = probes::serve(address, scrape).await;
    tracing::warn!(%error, %address, "health and metrics are not served");
    pending().await
}
