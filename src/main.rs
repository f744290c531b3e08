//! The binary: reads the command line, starts logging and the runtime, hands over to a command and
//! turns its end into an exit code.

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use ghostship::args::{Arguments, Command};
use ghostship::cli::console::Console;
use ghostship::cli::exit::Exit;
use ghostship::cli::{controller, crds, plan, run, worker};
use ghostship::telemetry;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let console = Console::new();
    #[cfg(feature = "failpoints")]
    arm_failpoints();
    let writer = console.clone();
    if let Err(error) = telemetry::start(&arguments.logging, move || writer.log_writer()) {
        console.note(&format!("error: {error}"));
        return Exit::Usage.into();
    }
    execute(arguments, &console).into()
}

/// A misspelled failpoint must not let a test pass.
#[cfg(feature = "failpoints")]
fn arm_failpoints() {
    #[expect(clippy::disallowed_methods, reason = "the edge of the process")]
    let points = std::env::var("GHOSTSHIP_FAILPOINTS").unwrap_or_default();
    if ghostship::failpoint::arm(&points).is_err() {
        std::process::abort();
    }
}

fn execute(arguments: Arguments, console: &Console) -> Exit {
    let Arguments { command, logging } = arguments;
    match command {
        Command::Run(arguments) => wait_for(console, run::execute(arguments, console)),
        Command::Plan(arguments) => wait_for(console, plan::execute(arguments, console)),
        Command::Controller(arguments) => {
            wait_for(console, controller::execute(arguments, logging, console))
        }
        Command::Worker(arguments) => wait_for(console, worker::execute(arguments, console)),
        Command::Crds => crds::print(console),
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "ghostship", &mut script);
            console.print(String::from_utf8_lossy(&script).trim_end());
            Exit::Done
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
