//! The binary: reads the command line and hands over to the library.

use std::process::ExitCode;

use clap::Parser;
use ghostship::args::{Arguments, completion};
use ghostship::cli::entry;

fn main() -> ExitCode {
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
