//! The user's verbs on migrations in a cluster, for `ghostship` and the kubectl plugin: each is a small
//! patch under a field manager of its own, which no GitOps tool strips, or a look at the status.

mod change;
mod cluster;
pub mod complete;
mod show;
mod watch;

use std::time::Duration;

use jiff::Timestamp;

use self::cluster::{Error, Migrations, Scope};
use super::console::Console;
use super::exit::Exit;
use crate::api::duration;
use crate::api::legal::Command;
use crate::api::migration::SchemaMigration;
use crate::args::verbs::{ListArguments, NamedArguments, PanicArguments, Verb};

/// Carries out a verb.
pub async fn execute(verb: Verb, console: &Console) -> Exit {
    let changed = match verb {
        Verb::Status(arguments) => return ended(console, status(&arguments, console).await),
        Verb::History(arguments) => return ended(console, history(&arguments, console).await),
        Verb::Watch(arguments) => return Box::pin(watch::execute(arguments, console)).await,
        Verb::Pause(arguments) => (Command::Pause, arguments),
        Verb::Resume(arguments) => (Command::Resume, arguments),
        Verb::Postpone(arguments) => (Command::Postpone, arguments),
        Verb::CutOver(arguments) => (Command::CutOver, arguments),
        Verb::Abort(arguments) => (Command::Abort, arguments),
        Verb::Retry(arguments) => (Command::Retry, arguments),
        Verb::Approve(arguments) => (Command::Approve, arguments),
        Verb::Panic(PanicArguments { change, yes }) => {
            if !yes && !change::is_confirmed(&change.named.name, console) {
                return Exit::Refused;
            }
            (Command::Panic, change)
        }
    };
    let (command, arguments) = changed;
    Box::pin(change::execute(command, arguments, console)).await
}

/// Shows the plan that the worker of a migration reported.
pub async fn show_plan(arguments: NamedArguments, console: &Console) -> Exit {
    let NamedArguments { name, place, output } = arguments;
    let shown = async {
        let migration = Migrations::of(&place, Scope::Namespace).await?.read(&name).await?;
        console.print(show::plan(&migration, output).trim_end());
        Ok(show::exit_of_plan(&migration))
    };
    ended(console, shown.await)
}

async fn status(arguments: &ListArguments, console: &Console) -> Result<Exit, Error> {
    let look = show::Look { now: Timestamp::now(), colour: console.colour() };
    if let Some(name) = &arguments.name {
        let migrations = Migrations::of(&arguments.place, Scope::Namespace).await?;
        let migration = migrations.read(name).await?;
        console.print(show::one(&migration, arguments.output, look).trim_end());
        return Ok(Exit::of_migration(&migration));
    }
    let (migrations, all) = listed(arguments).await?;
    if all.is_empty() {
        console.note(&nothing(arguments, &migrations, "there is no SchemaMigration"));
    }
    print(console, &show::all(&all, arguments.output, look));
    Ok(Exit::Done)
}

async fn history(arguments: &ListArguments, console: &Console) -> Result<Exit, Error> {
    if let Some(name) = &arguments.name {
        let migrations = Migrations::of(&arguments.place, Scope::Namespace).await?;
        let migration = migrations.read(name).await?;
        console.print(show::way(&migration, arguments.output).trim_end());
        return Ok(Exit::of_migration(&migration));
    }
    let (migrations, all) = listed(arguments).await?;
    let finished = show::finished(&all);
    if finished.is_empty() {
        console.note(&nothing(arguments, &migrations, "no SchemaMigration has ended"));
    }
    print(console, &show::history(&finished, arguments.output));
    Ok(Exit::Done)
}

async fn listed(arguments: &ListArguments) -> Result<(Migrations, Vec<SchemaMigration>), Error> {
    let scope = if arguments.all_namespaces { Scope::All } else { Scope::Namespace };
    let migrations = Migrations::of(&arguments.place, scope).await?;
    let all = migrations.list().await?;
    Ok((migrations, all))
}

/// Prints a text that may be empty: then there is not even an empty line.
fn print(console: &Console, text: &str) {
    if !text.is_empty() {
        console.print(text.trim_end());
    }
}

fn nothing(arguments: &ListArguments, migrations: &Migrations, what: &str) -> String {
    match arguments.all_namespaces {
        true => format!("{what} in any namespace"),
        false => format!("{what} in namespace {}; -A looks into all", migrations.namespace()),
    }
}

fn ended(console: &Console, result: Result<Exit, Error>) -> Exit {
    result.unwrap_or_else(|error| fail(console, &error))
}

fn fail(console: &Console, error: &Error) -> Exit {
    console.note(&format!("error: {}\n  remedy: {}", told(error), error.remedy()));
    Exit::Unanswered
}

/// An error with its cause; the client's own texts hold all that lies deeper.
fn told(error: &Error) -> String {
    let source = std::error::Error::source(error).map(|source| format!(": {source}"));
    format!("{error}{}", source.unwrap_or_default())
}

/// A time limit as it was typed.
fn limit(console: &Console, text: &str) -> Result<Duration, Exit> {
    duration::parse(text).ok_or_else(|| {
        console.note(&format!("error: --timeout {text}: write a number with ms, s, m or h, as 5m"));
        Exit::Usage
    })
}
