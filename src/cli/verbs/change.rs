//! The verbs that change something: read, decide, patch, and wait for the effect on demand.

use std::time::Duration;

use futures_util::StreamExt;
use jiff::Timestamp;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::cluster::{Error, Migrations, Scope};
use super::{ended, fail, limit, show};
use crate::api::command::{self, Answer, Effect};
use crate::api::legal::Command;
use crate::api::migration::SchemaMigration;
use crate::args::verbs::{ChangeArguments, Format, NamedArguments};
use crate::cli::console::Console;
use crate::cli::exit::Exit;
use crate::shutdown::Signals;

/// Carries out a command.
pub async fn execute(command: Command, arguments: ChangeArguments, console: &Console) -> Exit {
    let limit = match limit(console, &arguments.timeout) {
        Ok(limit) => limit,
        Err(exit) => return exit,
    };
    let NamedArguments { name, place, output } = &arguments.named;
    let migrations = match Migrations::of(place, Scope::Namespace).await {
        Ok(migrations) => migrations,
        Err(error) => return fail(console, &error),
    };
    let asked = Asked { command, name, migrations, output: *output };
    let given = match asked.give(console).await {
        Ok(given) => given,
        Err(error) => return fail(console, &error),
    };
    match given {
        Given::Refused => Exit::Refused,
        Given::Asked if arguments.wait => ended(console, asked.wait(limit, console).await),
        Given::Asked => Exit::Done,
    }
}

/// Whether the user means it; nobody is asked where nobody sits.
pub fn is_confirmed(name: &str, console: &Console) -> bool {
    let question = format!(
        "Panic stops {name} within a second and keeps every table; the binlog is no longer followed.\n\
         Type {name} to go on:"
    );
    let confirmed = console.confirm(&question, name).unwrap_or(true);
    if !confirmed {
        console.note("error: not confirmed; nothing was changed");
    }
    confirmed
}

/// A command on its way.
struct Asked<'a> {
    command: Command,
    name: &'a str,
    migrations: Migrations,
    output: Format,
}

/// What became of a command.
enum Given {
    /// It is written, or was so already.
    Asked,
    /// It makes no sense.
    Refused,
}

impl Asked<'_> {
    async fn give(&self, console: &Console) -> Result<Given, Error> {
        let migration = self.migrations.read(self.name).await?;
        match command::answer(self.command, &migration, Timestamp::now()) {
            Answer::Refuse(why) => {
                let phase = show::phase(&migration);
                let verb = self.command.as_str();
                console.note(&format!(
                    "error: {verb} makes no sense for {} ({phase}): {why}",
                    self.name
                ));
                Ok(Given::Refused)
            }
            Answer::Nothing(why) => {
                self.tell(&migration, &format!("unchanged: {why}"), console);
                Ok(Given::Asked)
            }
            Answer::Patch { patch, notes } => {
                let patched = self.migrations.patch(self.name, &patch).await?;
                for note in notes {
                    console.note(&format!("warning: {note}"));
                }
                self.tell(&patched, command::done(self.command), console);
                Ok(Given::Asked)
            }
        }
    }

    fn tell(&self, migration: &SchemaMigration, text: &str, console: &Console) {
        match self.output {
            Format::Text => {
                console.print(&format!("schemamigration.ghostship.dev/{} {text}", self.name));
            }
            Format::Json | Format::Yaml => {
                console.print(show::document(migration, self.output).trim_end());
            }
        }
    }

    /// Waits until the status shows the effect.
    async fn wait(&self, limit: Duration, console: &Console) -> Result<Exit, Error> {
        let Ok(mut signals) = Signals::take() else {
            return Ok(Exit::Failed);
        };
        let stop = CancellationToken::new();
        let waited = tokio::select! {
            waited = timeout(limit, self.see(console)) => waited,
            () = signals.watch(&stop) => return Ok(Exit::Interrupted),
            () = stop.cancelled() => return Ok(Exit::Interrupted),
        };
        waited.unwrap_or_else(|_| {
            let verb = self.command.as_str();
            console.note(&format!(
                "error: {verb} is asked for, but --timeout passed before the status of {} showed it",
                self.name
            ));
            Ok(Exit::TimedOut)
        })
    }

    async fn see(&self, console: &Console) -> Result<Exit, Error> {
        let mut changes = self.migrations.follow(self.name);
        while let Some(change) = changes.next().await {
            let migration = match change {
                Ok(Some(migration)) => migration,
                Ok(None) => return Err(self.migrations.missing(self.name).await),
                Err(error) => {
                    tracing::info!(%error, "the watch broke off and is taken up again");
                    continue;
                }
            };
            match command::effect(self.command, &migration) {
                Effect::Pending => {}
                Effect::Shown => return Ok(Exit::Done),
                Effect::Missed(why) => {
                    console.note(&format!("error: {} came too late: {why}", self.command.as_str()));
                    return Ok(missed(&migration));
                }
            }
        }
        Ok(Exit::Unanswered)
    }
}

/// A command that had no effect is no success, however well the migration ended.
fn missed(migration: &SchemaMigration) -> Exit {
    match Exit::of_migration(migration) {
        Exit::Done => Exit::Refused,
        exit => exit,
    }
}
