//! The kubectl plugin: the verbs on migrations in a cluster and nothing else. Called by another name it
//! completes them for kubectl.

use std::process::ExitCode;

use clap::Parser;
use ghostship::args::verbs::Plugin;
use ghostship::args::{completion, to_complete};
use ghostship::cli::entry;

fn main() -> ExitCode {
    if let Some(typed) = to_complete() {
        return entry::complete(typed);
    }
    entry::start(Plugin::parse().into(), completion::<Plugin>)
}
