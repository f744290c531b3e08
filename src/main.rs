//! The binary: reads the command line and hands over to the library.

use std::process::ExitCode;

use clap::Parser;
use ghostship::args::{Arguments, completion, to_complete};
use ghostship::cli::entry;

fn main() -> ExitCode {
    if let Some(typed) = to_complete() {
        return entry::complete(typed);
    }
    let arguments = Arguments::parse();
    #[cfg(feature = "failpoints")]
    arm_failpoints();
    entry::start(arguments, completion::<Arguments>)
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
