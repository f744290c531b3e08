//! All tests that are no unit tests, as one binary: each directory below `tests/cases` is a test, each
//! suite adds its own, and `repository` checks the tree itself. Servers are started on first use and
//! removed at the end, also after a panic.
//! Names: `cases::SERVER::CASE` migrates, `files::CASE` checks a case's files without ghostship.

#![expect(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests spawn clients, read their settings and fail by panicking"
)]

mod repository;
mod suites;
mod support;

use std::process::ExitCode;

use libtest_mimic::Arguments;

use crate::support::operator::Leftovers;
use crate::support::server::SharedServers;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // More at a time than this makes the one shared server, not the tests, the limit.
    arguments.test_threads.get_or_insert(3);
    let servers = SharedServers::guard();
    let leftovers = Leftovers::guard();
    let conclusion = libtest_mimic::run(&arguments, suites::trials());
    drop(leftovers);
    drop(servers);
    conclusion.exit_code()
}
