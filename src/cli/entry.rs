//! Where both binaries begin: starts logging and the runtime, hands over to a command and turns its end
//! into an exit code.

use std::ffi::OsString;
use std::process::ExitCode;

use super::console::Console;
use super::exit::Exit;
use super::{controller, crds, notices, plan, run, verbs, worker};
use crate::args::complete::Completion;
use crate::args::verbs::{Format, NamedArguments};
use crate::args::{Arguments, Command, NotifyAction, Output, PlanArguments, Shell, Source};
use crate::telemetry;

/// Carries out a command line; `completion` writes the completion script of the program.
pub fn start(arguments: Arguments, completion: fn(Shell) -> String) -> ExitCode {
    let console = Console::new();
    let writer = console.clone();
    if let Err(error) = telemetry::start(&arguments.logging, move || writer.log_writer()) {
        console.note(&format!("error: {error}"));
        return Exit::Usage.into();
    }
    execute(arguments, &console, completion).into()
}

/// Prints what may follow the words that were typed after `kubectl ghostship`. Never fails: whoever presses
/// the tabulator gets what is known.
pub fn complete(typed: Vec<OsString>) -> ExitCode {
    let console = Console::new();
    let completion = Completion::of(typed);
    wait_for(&console, async {
        let names = match &completion.names {
            Some((place, beginning)) => verbs::complete::names(place, beginning).await,
            None => Vec::new(),
        };
        console.print(&completion.lines(&names));
        Exit::Done
    })
    .into()
}

fn execute(arguments: Arguments, console: &Console, completion: fn(Shell) -> String) -> Exit {
    let Arguments { command, logging } = arguments;
    match command {
        Command::Run(arguments) => wait_for(console, run::execute(arguments, console)),
        Command::Plan(arguments) => show_plan(arguments, console),
        Command::Verb(verb) => wait_for(console, verbs::execute(verb, console)),
        Command::Notify { action: NotifyAction::Test { file } } => {
            wait_for(console, notices::test(&file, console))
        }
        Command::Controller(arguments) => {
            wait_for(console, controller::execute(arguments, logging, console))
        }
        Command::Worker(arguments) => wait_for(console, worker::execute(arguments, console)),
        Command::Crds => crds::print(console),
        Command::Completion { shell } => {
            console.print(&completion(shell));
            Exit::Done
        }
    }
}

fn show_plan(arguments: PlanArguments, console: &Console) -> Exit {
    let PlanArguments { name, file, account, place, output } = arguments;
    let output_of_file = match output {
        Format::Text => Some(Output::Text),
        Format::Json => Some(Output::Json),
        Format::Yaml => None,
    };
    match (name, file, output_of_file) {
        (Some(name), _, _) => {
            let named = NamedArguments { name, place, output };
            wait_for(console, verbs::show_plan(named, console))
        }
        (None, Some(file), Some(output)) => {
            wait_for(console, plan::execute(Source { file, account }, output, console))
        }
        (None, _, _) => {
            console
                .note("error: a file's plan is shown as text or as JSON; use -o text or -o json");
            Exit::Usage
        }
    }
}

fn wait_for(console: &Console, work: impl Future<Output = Exit>) -> Exit {
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let exit = runtime.block_on(work);
            // A name look-up that hangs must not keep the process.
            runtime.shutdown_background();
            exit
        }
        Err(error) => {
            console.note(&format!("error: cannot start the runtime: {error}"));
            Exit::Failed
        }
    }
}
