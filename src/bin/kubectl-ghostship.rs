//! The kubectl plugin: the verbs on migrations in a cluster and nothing else.

use std::process::ExitCode;

use clap::Parser;
use ghostship::args::completion;
use ghostship::args::verbs::Plugin;
use ghostship::cli::entry;

fn main() -> ExitCode {
    entry::start(Plugin::parse().into(), completion::<Plugin>)
}
