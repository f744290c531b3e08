//! `watch`: a migration whenever it changes, until it ends. On a terminal one screen is drawn anew, also
//! when only time passes; elsewhere there is a line per change.

use std::future::pending;
use std::time::Duration;

use futures_util::StreamExt;
use indicatif::ProgressBar;
use jiff::Timestamp;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::cluster::{Error, Migrations, Scope};
use super::{ended, limit, show};
use crate::api::legal;
use crate::api::migration::SchemaMigration;
use crate::args::verbs::{Format, NamedArguments, WatchArguments};
use crate::cli::console::Console;
use crate::cli::exit::Exit;
use crate::shutdown::Signals;

/// How often the screen is drawn when nothing changes.
const REDRAW: Duration = Duration::from_secs(1);

/// Watches until the migration ends.
pub async fn execute(arguments: WatchArguments, console: &Console) -> Exit {
    let WatchArguments { named, timeout: text } = arguments;
    let limit = match text.map(|text| limit(console, &text)).transpose() {
        Ok(limit) => limit,
        Err(exit) => return exit,
    };
    let Ok(mut signals) = Signals::take() else {
        return Exit::Failed;
    };
    let stop = CancellationToken::new();
    let mut display = Display::new(console, named.output);
    let exit = tokio::select! {
        exit = follow_within(limit, &named, &mut display) => ended(console, exit),
        () = signals.watch(&stop) => Exit::Interrupted,
        () = stop.cancelled() => Exit::Interrupted,
    };
    display.finish();
    if exit == Exit::TimedOut {
        console.note(&format!("error: --timeout passed before {} ended", named.name));
    }
    exit
}

async fn follow_within(
    limit: Option<Duration>,
    named: &NamedArguments,
    display: &mut Display<'_>,
) -> Result<Exit, Error> {
    let work = follow(named, display);
    match limit {
        Some(limit) => timeout(limit, work).await.unwrap_or(Ok(Exit::TimedOut)),
        None => work.await,
    }
}

async fn follow(named: &NamedArguments, display: &mut Display<'_>) -> Result<Exit, Error> {
    let migrations = Migrations::of(&named.place, Scope::Namespace).await?;
    // The first look tells at once what a watch would only try again and again.
    migrations.read(&named.name).await?;
    let mut changes = migrations.follow(&named.name);
    let mut ticks = display.ticks();
    let mut last = None;
    loop {
        let change = tokio::select! {
            change = changes.next() => change,
            () = tick(ticks.as_mut()) => {
                last.iter().for_each(|migration| display.show(migration));
                continue;
            }
        };
        let migration = match change {
            Some(Ok(Some(migration))) => migration,
            Some(Ok(None)) => return Err(migrations.missing(&named.name).await),
            Some(Err(error)) => {
                display.warn(&error.to_string());
                continue;
            }
            None => return Ok(Exit::Unanswered),
        };
        display.show(&migration);
        if legal::is_over(&migration) {
            return Ok(Exit::of_migration(&migration));
        }
        last = Some(migration);
    }
}

async fn tick(ticks: Option<&mut Interval>) {
    match ticks {
        Some(ticks) => {
            ticks.tick().await;
        }
        None => pending().await,
    }
}

/// Where a migration is shown.
struct Display<'a> {
    console: &'a Console,
    output: Format,
    panel: Option<ProgressBar>,
    shown: String,
}

impl<'a> Display<'a> {
    fn new(console: &'a Console, output: Format) -> Self {
        let is_live =
            output == Format::Text && console.prints_on_terminal() && console.notes_on_terminal();
        Self { console, output, panel: is_live.then(|| console.panel()), shown: String::new() }
    }

    fn ticks(&self) -> Option<Interval> {
        self.panel.as_ref().map(|_| {
            let mut ticks = interval(REDRAW);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        })
    }

    fn show(&mut self, migration: &SchemaMigration) {
        let look = show::Look { now: Timestamp::now(), colour: self.console.colour() };
        let text = match &self.panel {
            Some(_) => show::one(migration, Format::Text, look),
            None => show::line(migration, self.output),
        };
        if text == self.shown {
            return;
        }
        match &self.panel {
            Some(panel) => panel.set_message(text.clone()),
            None => self.console.print(text.trim_end()),
        }
        self.shown = text;
    }

    fn warn(&self, why: &str) {
        self.console.note(&format!("warning: the watch broke off and is taken up again: {why}"));
    }

    /// Leaves the last screen where the user finds it.
    fn finish(&self) {
        if let Some(panel) = &self.panel {
            panel.finish_and_clear();
            if !self.shown.is_empty() {
                self.console.print(self.shown.trim_end());
            }
        }
    }
}
