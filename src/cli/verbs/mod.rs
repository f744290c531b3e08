//! The user's verbs on a migration in a cluster, the same as `kubectl ghostship`: each is a small patch
//! under a field manager of its own, which no GitOps tool strips, or a look at the status.

mod command;
mod show;

use std::time::Duration;

use futures_util::StreamExt;
use kube::api::{ListParams, Patch, PatchParams};
use kube::config::KubeConfigOptions;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::watch_object;
use kube::{Api, Client, Config};
use tokio::time::timeout;

use self::command::{Answer, Verb};
use super::console::Console;
use super::exit::Exit;
use super::failure::chain;
use crate::api::migration::SchemaMigration;
use crate::api::names;
use crate::args::{Format, Place, VerbArguments, WatchArguments};

/// How long one request to the API server may take.
const CALL: Duration = Duration::from_secs(15);

/// Why a verb could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no usable kubeconfig.
    #[error("cannot read the kubeconfig")]
    ReadConfig {
        /// What is wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The API server refused.
    #[error("the API server refused to {doing} {name}")]
    Ask {
        /// What was asked.
        doing: &'static str,
        /// Of which resource.
        name: String,
        /// Its answer.
        source: kube::Error,
    },
    /// The API server is silent.
    #[error("the API server did not answer within {} s", CALL.as_secs())]
    TimeOut,
    /// There is no such migration.
    #[error("there is no SchemaMigration {name} in namespace {namespace}")]
    Missing {
        /// Its name.
        name: String,
        /// Where.
        namespace: String,
    },
}

/// Carries out a verb that changes something.
pub async fn change(arguments: VerbArguments, verb: Verb, console: &Console) -> Exit {
    match try_change(&arguments, verb, console).await {
        Ok(exit) => exit,
        Err(error) => fail(console, &error),
    }
}

async fn try_change(
    arguments: &VerbArguments,
    verb: Verb,
    console: &Console,
) -> Result<Exit, Error> {
    let api = api(&arguments.place).await?;
    let migration = get(&api, &arguments.place, &arguments.name).await?;
    let (patch, notes) = match command::answer(verb, &migration, jiff::Timestamp::now()) {
        Answer::Refuse { why } => {
            console.note(&format!("error: {why}"));
            return Ok(Exit::Refused);
        }
        Answer::Nothing { why } => {
            console.print(&why);
            return Ok(Exit::Done);
        }
        Answer::Patch { patch, notes } => (patch, notes),
    };
    let parameters =
        PatchParams { field_manager: Some(names::VERBS.to_owned()), ..PatchParams::default() };
    let patch = Patch::Merge(&patch);
    let patched = api.patch(&arguments.name, &parameters, &patch);
    within("change", &arguments.name, patched).await?;
    notes.iter().for_each(|note| console.note(&format!("note: {note}")));
    console.print(&format!("schemamigration.ghostship.dev/{} {}", arguments.name, verb.done()));
    Ok(Exit::Done)
}

/// Shows one migration on one screen, or all of a namespace in a table.
pub async fn status(arguments: WatchArguments, console: &Console) -> Exit {
    let shown = async {
        let api = api(&arguments.place).await?;
        let text = match &arguments.name {
            Some(name) => show::one(&get(&api, &arguments.place, name).await?, arguments.output),
            None => {
                let list = within("list", "migrations", api.list(&ListParams::default())).await?;
                show::all(&list.items, arguments.output)
            }
        };
        Ok(text)
    };
    match shown.await {
        Ok(text) => {
            console.print(text.trim_end());
            Exit::Done
        }
        Err(error) => fail(console, &error),
    }
}

/// Shows one migration whenever it changes, until it has ended.
pub async fn watch(place: Place, name: String, output: Format, console: &Console) -> Exit {
    let api = match api(&place).await {
        Ok(api) => api,
        Err(error) => return fail(console, &error),
    };
    let mut events = watch_object(api, &name).default_backoff().boxed();
    let mut shown = String::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(Some(migration)) => {
                let text = show::line(&migration, output);
                if text != shown {
                    console.print(&text);
                    shown = text;
                }
                if let Some(exit) = command::end_of(&migration) {
                    return exit;
                }
            }
            Ok(None) => {
                let namespace = place.namespace.clone().unwrap_or_default();
                return fail(console, &Error::Missing { name, namespace });
            }
            Err(error) => console.note(&format!("note: the watch broke off: {error}")),
        }
    }
    Exit::Failed
}

async fn api(place: &Place) -> Result<Api<SchemaMigration>, Error> {
    let options = KubeConfigOptions { context: place.context.clone(), ..KubeConfigOptions::default() };
    let config = match Config::from_kubeconfig(&options).await {
        Ok(config) => config,
        Err(error) => Config::incluster()
            .map_err(|_| Error::ReadConfig { source: Box::new(error) })?,
    };
    let namespace = place.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
    let client =
        Client::try_from(config).map_err(|error| Error::ReadConfig { source: Box::new(error) })?;
    Ok(match place.all_namespaces {
        true => Api::all(client),
        false => Api::namespaced(client, &namespace),
    })
}

async fn get(
    api: &Api<SchemaMigration>,
    place: &Place,
    name: &str,
) -> Result<SchemaMigration, Error> {
    let found = within("read", name, api.get_opt(name)).await?;
    found.ok_or_else(|| Error::Missing {
        name: name.to_owned(),
        namespace: place.namespace.clone().unwrap_or_else(|| "of the kubeconfig".to_owned()),
    })
}

async fn within<T>(
    doing: &'static str,
    name: &str,
    request: impl Future<Output = kube::Result<T>>,
) -> Result<T, Error> {
    match timeout(CALL, request).await {
        Ok(answer) => {
            answer.map_err(|source| Error::Ask { doing, name: name.to_owned(), source })
        }
        Err(_) => Err(Error::TimeOut),
    }
}

fn fail(console: &Console, error: &Error) -> Exit {
    console.note(&format!("error: {}", chain(error)));
    Exit::Failed
}
