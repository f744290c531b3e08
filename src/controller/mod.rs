//! The controller: for each migration it observes, validates, decides, builds, applies and publishes.
//! It stores nothing that it cannot recompute, reads no Secret and opens no database connection. Read
//! `decide.rs` first.

mod apply;
pub mod build;
pub mod decide;
mod observe;
pub mod publish;
pub mod queue;
mod samples;
pub mod standing;
pub mod validate;

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use k8s_openapi::api::batch::v1::Job;
use kube::runtime::controller::{Action, Config, Controller};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher;
use kube::{Api, Client};
use tokio_util::sync::CancellationToken;

use self::decide::{Decision, decide};
use crate::api::migration::SchemaMigration;
use crate::api::target::MigrationTarget;
use crate::shutdown::Signals;

/// Migrations looked at side by side.
const CONCURRENCY: u16 = 8;
/// A resource is looked at anew so often even when nothing tells that it changed.
const SAFETY_NET: Duration = Duration::from_secs(120);
/// One that waits for another is looked at so often.
const QUEUED: Duration = Duration::from_secs(10);
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
    /// How workers log.
    pub log_format: String,
    /// How much workers log.
    pub log_level: String,
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
    /// The target vanished between two looks.
    #[error("the target is gone")]
    NoTarget,
}

struct Context {
    client: Client,
    settings: Settings,
    migrations: Store<SchemaMigration>,
}

/// Runs until a signal asks for the end.
///
/// # Errors
///
/// When the API server cannot be found.
pub async fn run(settings: Settings, mut signals: Signals) -> Result<(), Error> {
    let client = Client::try_default()
        .await
        .map_err(|source| Error::FindCluster { source: Box::new(source) })?;
    let stop = CancellationToken::new();
    let scopes = match settings.namespaces.is_empty() {
        true => vec![None],
        false => settings.namespaces.iter().cloned().map(Some).collect(),
    };
    let runs =
        scopes.into_iter().map(|scope| control(client.clone(), settings.clone(), scope, &stop));
    tokio::select! {
        _ = futures_util::future::join_all(runs) => {}
        () = signals.watch(&stop) => {}
    }
    Ok(())
}

/// Controls one namespace, or all.
async fn control(
    client: Client,
    settings: Settings,
    namespace: Option<String>,
    stop: &CancellationToken,
) {
    let migrations: Api<SchemaMigration> = scoped(&client, namespace.as_deref());
    let jobs: Api<Job> = scoped(&client, namespace.as_deref());
    let targets: Api<MigrationTarget> = scoped(&client, namespace.as_deref());
    let own = watcher::Config::default().labels(&settings.selector);
    let of_ours = watcher::Config::default().labels("app.kubernetes.io/managed-by=ghostship");
    let stop = stop.clone();
    let controller = Controller::new(migrations, own)
        .with_config(Config::default().concurrency(CONCURRENCY))
        .owns(jobs, of_ours)
        .graceful_shutdown_on(async move { stop.cancelled().await });
    let store = controller.store();
    let of_target = store.clone();
    let context = Arc::new(Context { client, settings, migrations: store });
    let controller = controller.watches(targets, watcher::Config::default(), move |target| {
        let naming = of_target.state();
        naming
            .into_iter()
            .filter(|migration| names(migration, &target))
            .map(|migration| ObjectRef::from_obj(migration.as_ref()))
            .collect::<Vec<_>>()
    });
    let mut results = controller.run(reconcile, after_error, context).boxed();
    while let Some(result) = results.next().await {
        if let Err(error) = result {
            tracing::debug!(%error, "a look failed");
        }
    }
}

fn scoped<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
    K::DynamicType: Default,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

fn names(migration: &SchemaMigration, target: &MigrationTarget) -> bool {
    migration.metadata.namespace == target.metadata.namespace
        && Some(&migration.spec.target) == target.metadata.name.as_ref()
}

async fn reconcile(
    migration: Arc<SchemaMigration>,
    context: Arc<Context>,
) -> Result<Action, Error> {
    let all: Vec<SchemaMigration> = context
        .migrations
        .state()
        .iter()
        .filter(|other| other.metadata.namespace == migration.metadata.namespace)
        .map(|other| other.as_ref().clone())
        .collect();
    let observed = observe::observe(&context.client, &migration, &all).await?;
    let decision = decide(&observed);
    tracing::debug!(
        namespace = migration.metadata.namespace,
        name = migration.metadata.name,
        ?decision,
        "decided"
    );
    apply::apply(&context.client, &context.settings, &observed, &decision).await?;
    Ok(next_look(&observed, &decision))
}

fn next_look(observed: &decide::Observed, decision: &Decision) -> Action {
    match decision {
        Decision::Wait { until, .. } => {
            let left = Duration::try_from(until.duration_since(observed.now));
            Action::requeue(left.unwrap_or_default() + Duration::from_millis(200))
        }
        Decision::Queue { .. } => Action::requeue(QUEUED),
        Decision::Ignore | Decision::Settle { .. } => Action::await_change(),
        _ => Action::requeue(SAFETY_NET),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the signature that the runtime asks for")]
fn after_error(migration: Arc<SchemaMigration>, error: &Error, _: Arc<Context>) -> Action {
    let is_conflict = matches!(error, Error::Ask { source: kube::Error::Api(status), .. } if status.is_conflict());
    if !is_conflict {
        let (namespace, name) = (&migration.metadata.namespace, &migration.metadata.name);
        tracing::warn!(namespace, name, error = chain(error), "a look failed; it is repeated");
    }
    Action::requeue(if is_conflict { Duration::from_millis(100) } else { AFTER_ERROR })
}

fn chain(error: &dyn std::error::Error) -> String {
    let source = error.source().map(|source| format!(": {}", chain(source)));
    format!("{error}{}", source.unwrap_or_default())
}
