//! The HTTP API of the controller: for all migrations that it watches, served by each controller whether it leads
//! or not. Who calls and what they may says the API server; what is asked for becomes a patch of the resource,
//! with the caller's name in an annotation, an event and the log.

mod access;
mod view;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::runtime::events::{Event, EventType, Recorder};
use kube::runtime::reflector::{Store, store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::{interval, timeout};

use self::access::{Access, ApiServer, Right};
use super::observe::{CALL, within};
use super::{Error, Front, Settings, chain, everything};
use crate::api::command::{self, Answer};
use crate::api::legal::{self, Command, Stage};
use crate::api::migration::SchemaMigration;
use crate::api::{control, names};
use crate::serve::samples::{Rings, Series};
use crate::serve::tls::{self, TlsListener};
use crate::serve::view::Migration;
use crate::serve::{self, Action, Backend, Caller, Done, Hosts, Problem, Selection, tuning};

/// Samples are taken so often, and so many are kept of each: half an hour.
const SAMPLE: Duration = Duration::from_secs(2);
const SAMPLES: usize = 900;
/// How long a request waits until the migrations are known after a start.
const READY: Duration = Duration::from_secs(5);
/// Namespaces that are asked about one by one at the most.
const NAMESPACES: usize = 100;
/// The longest name of a caller that is written into a resource, in characters.
const NAME: usize = 253;

struct Live {
    access: Access<ApiServer>,
    client: Client,
    recorder: Recorder,
    stores: Vec<Store<SchemaMigration>>,
    rings: Mutex<Rings>,
}

/// Serves the API as long as the process lives; nothing when the settings have none.
pub(super) async fn serve(client: Client, settings: Settings, recorder: Recorder) -> Error {
    let Some(Front { listen: address, tls, audience }) = settings.front.clone() else {
        return pending().await;
    };
    let listener = match TcpListener::bind(address).await {
        Ok(listener) => listener,
        Err(source) => return Error::Listen { address, source },
    };
    let (stores, watching) = watch(&client, &settings);
    let access = Access::new(ApiServer(client.clone()), audience);
    let rings = Mutex::new(Rings::new(SAMPLES));
    let live = Arc::new(Live { access, client, recorder, stores, rings });
    tokio::select! {
        error = listen((listener, tls), Arc::clone(&live)) => match error {
            Ok(source) => Error::Listen { address, source },
            Err(source) => Error::ReadCertificate { source },
        },
        never = live.sample() => match never {},
        never = watching => match never {},
    }
}

/// Why it is no longer served; the other error when it cannot begin.
async fn listen(
    (listener, tls): (TcpListener, Option<PathBuf>),
    live: Arc<Live>,
) -> Result<io::Error, tls::Error> {
    let served = match tls {
        Some(folder) => serve::serve(TlsListener::new(listener, folder)?, Hosts::Any, live).await,
        None => serve::serve(listener, Hosts::Any, live).await,
    };
    let Err(error) = served;
    Ok(error)
}

/// What is watched beside the controller's own watch, which only the one that leads has.
fn watch(
    client: &Client,
    settings: &Settings,
) -> (Vec<Store<SchemaMigration>>, impl Future<Output = Infallible> + use<>) {
    let apis: Vec<Api<SchemaMigration>> = match settings.namespaces.as_slice() {
        [] => vec![Api::all(client.clone())],
        names => names.iter().map(|name| Api::namespaced(client.clone(), name)).collect(),
    };
    let own = watcher::Config::default().labels(&settings.selector);
    let (stores, watches): (Vec<_>, Vec<_>) = apis
        .into_iter()
        .map(|api| {
            let (store, writer) = store();
            let changes = watcher(api, own.clone()).default_backoff().reflect(writer);
            (store, changes.for_each(async |_| ()))
        })
        .unzip();
    let watching = async move {
        join_all(watches).await;
        pending().await
    };
    (stores, watching)
}

impl Live {
    async fn sample(&self) -> Infallible {
        let mut ticks = interval(SAMPLE);
        loop {
            ticks.tick().await;
            let all: Vec<Migration> =
                everything(&self.stores).iter().map(|one| view::migration(one, now())).collect();
            self.rings.lock().unwrap_or_else(PoisonError::into_inner).take(&all, now());
        }
    }

    /// The migrations that are meant and that the caller may see.
    async fn visible(
        &self,
        caller: &Caller,
        selection: &Selection,
    ) -> Result<Vec<Arc<SchemaMigration>>, Problem> {
        let ready = join_all(self.stores.iter().map(Store::wait_until_ready));
        let unknown = || Problem::unavailable("the migrations are not known yet");
        timeout(READY, ready).await.map_err(|_| unknown())?;
        let all = everything(&self.stores).into_iter().filter(|one| {
            let (namespace, name) = place(one);
            selection.fits(namespace, name)
        });
        let all: Vec<Arc<SchemaMigration>> = all.collect();
        let seen = match (&selection.namespace, &selection.name) {
            (Some(namespace), Some(name)) => {
                let right = Right::to_see(Some(namespace), Some(name));
                self.access.demand(caller, &[right]).await?;
                all
            }
            (Some(namespace), None) => {
                let right = Right::to_see(Some(namespace), None);
                self.access.demand(caller, &[right]).await?;
                all
            }
            (None, _) => self.of_namespaces(caller, all).await?,
        };
        if let (true, Some(name)) = (seen.is_empty(), &selection.name) {
            let cause = format!("there is no SchemaMigration {name} that is watched here");
            return Err(Problem::missing(cause, "/api/migrate-tables lists those that are"));
        }
        Ok(seen)
    }

    /// All, for who may list everywhere; else those of the namespaces in which the caller may.
    async fn of_namespaces(
        &self,
        caller: &Caller,
        mut all: Vec<Arc<SchemaMigration>>,
    ) -> Result<Vec<Arc<SchemaMigration>>, Problem> {
        let everywhere = Right::to_see(None, None);
        if self.access.may(caller, &everywhere).await? {
            return Ok(sorted(all));
        }
        let names: BTreeSet<String> = all.iter().map(|one| place(one).0.to_owned()).collect();
        let mut allowed = BTreeSet::new();
        for namespace in names.into_iter().take(NAMESPACES) {
            if self.access.may(caller, &Right::to_see(Some(&namespace), None)).await? {
                allowed.insert(namespace);
            }
        }
        if allowed.is_empty() {
            return Err(access::refused(caller, &everywhere));
        }
        all.retain(|one| allowed.contains(place(one).0));
        Ok(sorted(all))
    }

    /// Reads one as it is now.
    async fn read(&self, namespace: &str, name: &str) -> Result<SchemaMigration, Problem> {
        let api: Api<SchemaMigration> = Api::namespaced(self.client.clone(), namespace);
        let found = within("read a migration", api.get_opt(name)).await;
        let missing = || {
            let cause = format!("there is no SchemaMigration {name} in namespace {namespace}");
            Problem::missing(cause, "/api/migrate-tables lists those that are")
        };
        let watched = everything(&self.stores).iter().any(|one| place(one) == (namespace, name));
        found.map_err(|error| of_error(&error))?.filter(|_| watched).ok_or_else(missing)
    }

    /// Writes a patch with the name of who asked for it.
    async fn write(
        &self,
        migration: &SchemaMigration,
        mut patch: Value,
        (caller, word): (&Caller, &str),
    ) -> Result<(), Problem> {
        let (namespace, name) = place(migration);
        let by: String = caller.name.chars().take(NAME).collect();
        let record = json!({"what": word, "by": by, "at": now().to_string()});
        patch["metadata"]["annotations"][names::LAST_API_ACTION] = json!(record.to_string());
        // One of the same name that was made anew is another one.
        patch["metadata"]["uid"] = json!(migration.metadata.uid);
        let field_manager = Some(names::API.to_owned());
        let parameters = PatchParams { field_manager, ..PatchParams::default() };
        let api: Api<SchemaMigration> = Api::namespaced(self.client.clone(), namespace);
        let patch = Patch::Merge(patch);
        let written = within("change a migration", api.patch(name, &parameters, &patch)).await;
        written.map_err(|error| of_error(&error))?;
        tracing::info!(namespace, name, by, what = word, "done through the API");
        self.record(migration, &format!("{word} through the API by {by}")).await;
        Ok(())
    }

    async fn record(&self, migration: &SchemaMigration, note: &str) {
        let event = Event {
            type_: EventType::Normal,
            reason: "ApiAction".to_owned(),
            note: Some(note.to_owned()),
            action: note.chars().take(120).collect(),
            secondary: None,
        };
        let reference = migration.object_ref(&());
        let published = timeout(CALL, self.recorder.publish(&event, &reference)).await;
        if !matches!(published, Ok(Ok(()))) {
            tracing::warn!(note, "an event could not be written");
        }
    }
}

impl Backend for Live {
    async fn identify(&self, token: &str) -> Result<Caller, Problem> {
        self.access.identify(token).await
    }

    async fn show(
        &self,
        caller: &Caller,
        selection: &Selection,
    ) -> Result<Vec<Migration>, Problem> {
        let seen = self.visible(caller, selection).await?;
        Ok(seen.iter().map(|one| view::migration(one, now())).collect())
    }

    async fn samples(
        &self,
        caller: &Caller,
        selection: &Selection,
    ) -> Result<Vec<Series>, Problem> {
        let seen = self.visible(caller, selection).await?;
        let mut all = {
            let rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
            rings.series(selection)
        };
        all.retain(|one| seen.iter().any(|it| place(it) == (&*one.namespace, &*one.name)));
        Ok(all)
    }

    async fn act(
        &self,
        caller: &Caller,
        selection: &Selection,
        action: Action,
    ) -> Result<Done, Problem> {
        let (Some(namespace), Some(name)) = (&selection.namespace, &selection.name) else {
            let cause = "it is not said with which migration";
            return Err(Problem::malformed(cause, "add ?namespace=NAMESPACE&name=NAME"));
        };
        let rights = Right::to_do(&action, namespace, name);
        self.access.demand(caller, &rights).await?;
        let migration = self.read(namespace, name).await?;
        let word = action.as_str();
        match effect(action, &migration)? {
            Effect::Nothing(message) => Ok(Done { changed: false, message, notes: Vec::new() }),
            Effect::Patch { patch, message, notes } => {
                self.write(&migration, patch, (caller, word)).await?;
                Ok(Done { changed: true, message, notes })
            }
        }
    }
}

/// What an action does to a migration.
enum Effect {
    /// It is so already.
    Nothing(String),
    /// A patch, what it does in words, and what is worth knowing.
    Patch { patch: Value, message: String, notes: Vec<String> },
}

fn effect(action: Action, migration: &SchemaMigration) -> Result<Effect, Problem> {
    match action {
        Action::Command(command) => match command::answer(command, migration, now()) {
            Answer::Refuse(why) => Err(Problem::no_effect(why)),
            Answer::Nothing(why) => Ok(Effect::Nothing(why)),
            Answer::Patch { patch, notes } => {
                Ok(Effect::Patch { patch, message: command::done(command).to_owned(), notes })
            }
        },
        Action::Tune(patch) => {
            let stage = Stage::of(migration);
            legal::check(Command::Pause, stage).map_err(Problem::no_effect)?;
            tuning::merged(&control::document(migration), &patch)
                .map_err(|violations| Problem::invalid(&violations))?;
            let message = "tuned".to_owned();
            Ok(Effect::Patch { patch: json!({"spec": patch}), message, notes: Vec::new() })
        }
    }
}

/// The API server's own words: a policy's refusal says what is missing.
fn of_error(error: &Error) -> Problem {
    match error {
        Error::Ask { source: kube::Error::Api(status), .. }
            if [403, 404, 409, 422].contains(&status.code) =>
        {
            let cause = format!("the API server refuses: {}", status.message);
            Problem::new(status.code, cause, "a policy or another change is in the way; look again")
        }
        other => {
            tracing::warn!(error = chain(other), "an action could not be carried out");
            Problem::unavailable("the API server does not carry it out")
        }
    }
}

fn place(migration: &SchemaMigration) -> (&str, &str) {
    let metadata = &migration.metadata;
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    (namespace, metadata.name.as_deref().unwrap_or_default())
}

fn sorted(mut all: Vec<Arc<SchemaMigration>>) -> Vec<Arc<SchemaMigration>> {
    all.sort_by(|one, other| place(one).cmp(&place(other)));
    all
}

fn now() -> Timestamp {
    Timestamp::now()
}
