//! What is watched, one scope for each named namespace or one for all, and which change makes which
//! migrations be looked at again: their own, their Job's, their target's, and the end of one they wait for.

use std::sync::Arc;

use futures_util::stream::poll_fn;
use futures_util::{Stream, StreamExt};
use k8s_openapi::api::batch::v1::Job;
use kube::runtime::controller::{Config, Controller};
use kube::runtime::reflector::{ObjectRef, Store, store};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch};
use kube::{Api, Client};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;

use super::{Context, Settings, after_error, queue, reconcile};
use crate::api::migration::SchemaMigration;
use crate::api::target::MigrationTarget;

/// Migrations looked at side by side.
const CONCURRENCY: u16 = 8;

/// One namespace, or all.
pub(super) struct Scope {
    controller: Controller<SchemaMigration>,
}

/// One scope for each namespace that the settings name, or one for all.
pub(super) fn all(client: &Client, settings: &Settings, stop: &CancellationToken) -> Vec<Scope> {
    let namespaces: Vec<Option<&String>> = match settings.namespaces.is_empty() {
        true => vec![None],
        false => settings.namespaces.iter().map(Some).collect(),
    };
    let (mut bell, mut ends) = (Bell { of_all: settings.max_active > 0, waiting: vec![] }, vec![]);
    for _ in &namespaces {
        let ((store, writer), (sender, receiver)) = (store(), unbounded_channel());
        bell.waiting.push((store.clone(), sender));
        ends.push((store, writer, receiver));
    }
    let bell = Arc::new(bell);
    let scopes = namespaces.into_iter().zip(ends).map(|(namespace, (store, writer, woken))| {
        let migrations: Api<SchemaMigration> = scoped(client, namespace);
        let own = watcher::Config::default().labels(&settings.selector);
        let bell = Arc::clone(&bell);
        let changes = watch(migrations, own)
            .reflect(writer)
            .inspect(move |change| change.iter().for_each(|event| bell.hear(event)))
            .applied_objects();
        let controller = Controller::for_stream(changes, store).reconcile_on(stream(woken));
        Scope::new(controller, client, namespace, stop.clone())
    });
    scopes.collect()
}

impl Scope {
    fn new(
        controller: Controller<SchemaMigration>,
        client: &Client,
        namespace: Option<&String>,
        stop: CancellationToken,
    ) -> Self {
        let jobs: Api<Job> = scoped(client, namespace);
        let targets: Api<MigrationTarget> = scoped(client, namespace);
        let of_ours = watcher::Config::default().labels("app.kubernetes.io/managed-by=ghostship");
        let store = controller.store();
        let controller = controller
            .with_config(Config::default().concurrency(CONCURRENCY))
            .owns(jobs, of_ours)
            .watches(targets, watcher::Config::default(), move |target| {
                let all = store.state().into_iter();
                all.filter(|migration| names(migration, &target))
                    .map(|migration| ObjectRef::from_obj(migration.as_ref()))
                    .collect::<Vec<_>>()
            })
            .graceful_shutdown_on(async move { stop.cancelled().await });
        Self { controller }
    }

    /// The migrations of this scope, as they are known by now.
    pub(super) fn store(&self) -> Store<SchemaMigration> {
        self.controller.store()
    }

    /// Looks at them until the end is asked for.
    pub(super) async fn work(self, context: Arc<Context>) {
        let mut results = self.controller.run(reconcile, after_error, context).boxed();
        while let Some(result) = results.next().await {
            if let Err(error) = result {
                tracing::debug!(%error, "a look failed");
            }
        }
    }
}

/// Wakes those that wait when the cache shows that a place is free.
struct Bell {
    /// Whether a place of one target is a place for all.
    of_all: bool,
    waiting: Vec<(Store<SchemaMigration>, UnboundedSender<ObjectRef<SchemaMigration>>)>,
}

impl Bell {
    fn hear(&self, event: &Event<SchemaMigration>) {
        match event {
            Event::Delete(gone) => self.ring(Some(gone)),
            Event::Apply(changed) if queue::is_over(changed) => self.ring(Some(changed)),
            // What happened since the last word of the watch is not known.
            Event::InitDone => self.ring(None),
            Event::Apply(_) | Event::Init | Event::InitApply(_) => {}
        }
    }

    fn ring(&self, freed: Option<&SchemaMigration>) {
        let freed = freed.filter(|_| !self.of_all);
        for (store, sender) in &self.waiting {
            for one in store.state().iter().filter(|one| queue::waits_for(one, freed)) {
                // Nobody listens any more when the process ends.
                let _ = sender.send(ObjectRef::from_obj(one.as_ref()));
            }
        }
    }
}

fn stream<T>(mut receiver: UnboundedReceiver<T>) -> impl Stream<Item = T> {
    poll_fn(move |context| receiver.poll_recv(context))
}

fn scoped<K>(client: &Client, namespace: Option<&String>) -> Api<K>
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
