//! The controller: for each migration it observes, validates, decides, builds, applies and publishes.
//! It stores nothing that it cannot recompute, reads no Secret and opens no database connection. Read
//! `decide.rs` first.

mod after;
mod apply;
pub mod build;
mod controls;
pub mod decide;
pub mod election;
mod events;
mod history;
pub mod hook_jobs;
mod live;
mod metrics;
mod notices;
mod observe;
pub mod publish;
pub mod queue;
mod samples;
mod scope;
pub mod standing;
mod turns;
pub mod validate;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use kube::Client;
use kube::runtime::controller::Action;
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::Store;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::decide::{Decision, decide};
use self::election::Candidacy;
use self::metrics::Metrics;
use self::scope::Scope;
use self::turns::Turns;
use crate::api::migration::SchemaMigration;
use crate::api::names;
use crate::notify::Notifier;
use crate::probes;
use crate::serve::tls;
use crate::shutdown::Signals;

/// A resource is looked at anew so often even when nothing tells that it changed.
const SAFETY_NET: Duration = Duration::from_secs(120);
/// One whose worker has not reported yet, or that asks Jobs, so that what hinders their pods is told.
const STARTING: Duration = Duration::from_secs(5);
/// One whose time is not over is looked at again after this at the latest.
const LONGEST: Duration = Duration::from_hours(6);
/// Pause after an error.
const AFTER_ERROR: Duration = Duration::from_secs(5);

/// What the controller was started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Namespaces that are watched; empty for all.
    pub namespaces: Vec<String>,
    /// Only resources with these labels; empty for all.
    pub selector: String,
    /// The image of new migrations' workers.
    pub worker_image: String,
    /// What holds for all workers.
    pub workers: build::Common,
    /// Migrations that work at a time, of all targets together; 0 for no limit.
    pub max_active: usize,
    /// Where health and metrics are served.
    pub listen: SocketAddr,
    /// Who leads.
    pub candidacy: Candidacy,
    /// File of those who are told what happens; nobody when absent.
    pub notify: Option<PathBuf>,
    /// The HTTP API; none when absent.
    pub front: Option<Front>,
}

/// The HTTP API of a controller.
#[derive(Clone, Debug)]
pub struct Front {
    /// Where it is served.
    pub listen: SocketAddr,
    /// Folder with the certificate and its key; without TLS when absent.
    pub tls: Option<PathBuf>,
    /// Audience that its callers' tokens must be made for.
    pub audience: String,
}

/// Why something could not be done; it is tried again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// This process is not in a cluster, or its account is not mounted.
    #[error("cannot find the API server")]
    FindCluster {
        /// What is missing.
        source: Box<kube::Error>,
    },
    /// The API server refused.
    #[error("the API server refused to {doing}")]
    Ask {
        /// What was asked.
        doing: &'static str,
        /// Its answer.
        source: kube::Error,
    },
    /// The API server was silent.
    #[error("the API server did not answer in time when asked to {doing}")]
    TimeOut {
        /// What was asked.
        doing: &'static str,
    },
    /// The Lease cannot be read or written.
    #[error("cannot take part in the election of a leader")]
    Elect {
        /// What is wrong.
        source: Box<kube_lease_manager::LeaseManagerError>,
    },
    /// Another process leads.
    #[error("another controller leads now")]
    LoseLease,
    /// The address for health and metrics, or that of the API, cannot be served.
    #[error("cannot serve on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The API cannot be served with TLS.
    #[error("cannot serve the API with TLS")]
    ReadCertificate {
        /// What is wrong.
        source: tls::Error,
    },
    /// The metrics cannot be made.
    #[error("cannot make the metrics")]
    Measure {
        /// What is wrong with them.
        source: prometheus::Error,
    },
    /// Another migration took the turn between a look and its effect.
    #[error("another migration begins now")]
    MissTurn,
    /// The target vanished between two looks.
    #[error("the target is gone")]
    NoTarget,
}

impl Error {
    /// Whether something has changed since it was read: it is only looked at again.
    fn is_conflict(&self) -> bool {
        match self {
            Self::MissTurn => true,
            Self::Ask { source: kube::Error::Api(status), .. } => status.is_conflict(),
            _ => false,
        }
    }
}

struct Context {
    client: Client,
    settings: Settings,
    recorder: Recorder,
    metrics: Metrics,
    stores: Vec<Store<SchemaMigration>>,
    turns: Turns,
    notifier: Option<Arc<Notifier>>,
}

impl Context {
    /// The migrations that are watched, as they are known by now.
    fn everything(&self) -> Vec<Arc<SchemaMigration>> {
        everything(&self.stores)
    }
}

/// Runs until a signal asks for the end. A process that does not lead waits and answers probes.
///
/// # Errors
///
/// When the API server cannot be found, the address cannot be served, or the Lease is lost.
pub async fn run(settings: Settings, mut signals: Signals) -> Result<(), Error> {
    let client = Client::try_default()
        .await
        .map_err(|source| Error::FindCluster { source: Box::new(source) })?;
    let metrics = Metrics::new().map_err(|source| Error::Measure { source })?;
    let stop = CancellationToken::new();
    let scopes = scope::all(&client, &settings, &stop);
    let stores: Vec<_> = scopes.iter().map(Scope::store).collect();
    let address = settings.listen;
    let notifier = settings.notify.as_deref().map(|path| Arc::new(Notifier::new(path)));
    let scrape = {
        let (metrics, stores) = (metrics.clone(), stores.clone());
        let notifier = notifier.clone();
        let told = move || notifier.iter().flat_map(|one| one.counts()).collect::<Vec<_>>();
        move || metrics.render(&everything(&stores), &told())
    };
    let reporter = Reporter {
        controller: names::CONTROLLER.to_owned(),
        instance: Some(settings.candidacy.identity.clone()),
    };
    let recorder = Recorder::new(client.clone(), reporter);
    let serving = live::serve(client.clone(), settings.clone(), recorder.clone());
    let turns = Turns::default();
    let context = Context { client, settings, recorder, metrics, stores, turns, notifier };
    tokio::select! {
        error = serve(address, scrape) => Err(error),
        error = Box::pin(serving) => Err(error),
        led = Box::pin(lead(Arc::new(context), scopes, &stop)) => led,
        () = signals.watch(&stop) => Ok(()),
    }
}

/// Serves health and metrics as long as the process lives.
async fn serve(
    address: SocketAddr,
    scrape: impl Fn() -> String + Clone + Send + Sync + 'static,
) -> Error {
    match probes::serve(address, scrape).await {
        Err(source) => Error::Listen { address, source },
        Ok(never) => match never {},
    }
}

/// Waits for the Lease, and works as long as it is held.
async fn lead(
    context: Arc<Context>,
    scopes: Vec<Scope>,
    stop: &CancellationToken,
) -> Result<(), Error> {
    let lease = tokio::select! {
        lease = election::win(&context.settings.candidacy) => lease?,
        () = stop.cancelled() => return Ok(()),
    };
    context.metrics.lead();
    let working = scopes.into_iter().map(|scope| scope.work(Arc::clone(&context)));
    tokio::select! {
        _ = join_all(working) => {}
        never = notices::tell(&context) => match never {},
        lost = election::hold(&lease) => match lost {
            Err(error) => return Err(error),
            Ok(never) => match never {},
        },
    }
    notices::finish(&context).await;
    election::release(&lease).await;
    Ok(())
}

fn everything(stores: &[Store<SchemaMigration>]) -> Vec<Arc<SchemaMigration>> {
    stores.iter().flat_map(Store::state).collect()
}

async fn reconcile(
    migration: Arc<SchemaMigration>,
    context: Arc<Context>,
) -> Result<Action, Error> {
    let began = Instant::now();
    let result = Box::pin(look(&migration, &context)).await;
    let name = match &result {
        Ok(_) => "done",
        Err(error) if error.is_conflict() => "conflict",
        Err(_) => "error",
    };
    context.metrics.count(name, began.elapsed());
    result
}

async fn look(migration: &SchemaMigration, context: &Context) -> Result<Action, Error> {
    let mut observed = observe::observe(context, migration).await?;
    Box::pin(hook_jobs::make(&context.client, &mut observed)).await?;
    let decision = decide(&observed);
    let (namespace, name) = (&migration.metadata.namespace, &migration.metadata.name);
    tracing::debug!(namespace, name, ?decision, "decided");
    apply::apply(context, &observed, &decision).await?;
    Ok(match history::tidy(context, &observed, &decision).await? {
        Some(due) if observed.asked.is_empty() => {
            Action::requeue(jittered(until(due, observed.now).min(LONGEST)))
        }
        _ => next_look(&observed, &decision),
    })
}

fn next_look(observed: &decide::Observed, decision: &Decision) -> Action {
    let pause = match decision {
        Decision::Wait { until: due, .. } => until(*due, observed.now),
        // A pod that does not start changes no Job.
        _ if !observed.asked.is_empty() => STARTING,
        Decision::Ignore | Decision::Settle { .. } => return Action::await_change(),
        Decision::Attempt { .. } | Decision::Launch { .. } => STARTING,
        Decision::Follow { .. } if decide::report(observed).is_none() => STARTING,
        Decision::Hold
        | Decision::Follow { .. }
        | Decision::Queue { .. }
        | Decision::Depend { .. }
        | Decision::Reject { .. }
        | Decision::Release { .. }
        | Decision::Stop => SAFETY_NET,
    };
    Action::requeue(jittered(pause))
}

/// A little more than the time until then.
fn until(due: Timestamp, now: Timestamp) -> Duration {
    let left = Duration::try_from(due.duration_since(now));
    left.unwrap_or_default() + Duration::from_millis(200)
}

/// Up to a tenth longer, so that what began together does not stay together.
fn jittered(pause: Duration) -> Duration {
    let share = f64::from(Timestamp::now().subsec_nanosecond().unsigned_abs()) / 1e10;
    pause.mul_f64(1.0 + share)
}

#[expect(clippy::needless_pass_by_value, reason = "the signature that the runtime asks for")]
fn after_error(migration: Arc<SchemaMigration>, error: &Error, _: Arc<Context>) -> Action {
    if !error.is_conflict() {
        let (namespace, name) = (&migration.metadata.namespace, &migration.metadata.name);
        tracing::warn!(namespace, name, error = chain(error), "a look failed; it is repeated");
    }
    let pause = if error.is_conflict() { Duration::from_millis(100) } else { AFTER_ERROR };
    Action::requeue(jittered(pause))
}

/// An error with its sources; of an answer of the API server its message alone.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    if let Some(kube::Error::Api(status)) = error.downcast_ref() {
        return status.message.clone();
    }
    let source = error.source().map(|source| format!(": {}", chain(source)));
    format!("{error}{}", source.unwrap_or_default())
}
