//! Which tests there are. In: nothing; out: one trial per test, none of them ever skipped.

mod audit;
mod bounded;
mod cases;
mod checksum;
mod cluster;
mod crash;
mod cut_over;
mod disk;
mod files;
mod frame;
mod gate;
mod gitops;
mod guard;
mod hardships;
mod hooks;
mod hostile;
mod hours;
mod monitoring;
mod named_losses;
mod notify;
mod obstacles;
mod packaging;
mod page;
mod points;
mod refusals;
mod replicas;
mod resume;
mod retention;
mod secrets;
mod server_crash;
mod source_locks;
mod take_over;
mod throttle;
mod verbs;
mod wishes;

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, Result};
use libtest_mimic::{Failed, Trial};

use crate::repository;
use crate::support::runtime;

/// Longest time one test may take.
const DEADLINE: Duration = Duration::from_secs(120);

/// All tests.
pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = repository::trials();
    trials.extend(gitops::trials());
    trials.extend(monitoring::trials());
    trials.extend(files::trials());
    trials.extend(cases::trials());
    trials.extend(frame::trials());
    trials.extend(crash::trials());
    trials.extend(points::trials());
    trials.extend(resume::trials());
    trials.extend(server_crash::trials());
    trials.extend(take_over::trials());
    trials.extend(cut_over::trials());
    trials.extend(obstacles::trials());
    trials.extend(wishes::trials());
    trials.extend(audit::trials());
    trials.extend(guard::trials());
    trials.extend(disk::trials());
    trials.extend(hours::trials());
    trials.extend(throttle::trials());
    trials.extend(replicas::trials());
    trials.extend(retention::trials());
    trials.extend(hardships::trials());
    trials.extend(refusals::trials());
    trials.extend(hostile::trials());
    trials.extend(named_losses::trials());
    trials.extend(gate::trials());
    trials.extend(checksum::trials());
    trials.extend(source_locks::trials());
    trials.extend(secrets::trials());
    trials.extend(hooks::trials());
    trials.extend(notify::trials());
    trials.extend(page::trials());
    trials.extend(bounded::trials());
    trials.extend(cluster::trials());
    trials.extend(verbs::trials());
    trials.extend(packaging::trials());
    trials
}

/// A test that needs no server and waits for nothing.
fn plain(name: &str, body: impl FnOnce() -> Result<()> + Send + 'static) -> Trial {
    Trial::test(name, move || body().map_err(|error| Failed::from(format!("{error:#}"))))
}

/// A test from an async body; an error is the failure's text.
pub(crate) fn trial<F>(name: String, body: impl FnOnce() -> F + Send + 'static) -> Trial
where
    F: Future<Output = Result<()>>,
{
    trial_within(DEADLINE, name, body)
}

/// The same with a deadline of its own.
fn trial_within<F>(
    deadline: Duration,
    name: String,
    body: impl FnOnce() -> F + Send + 'static,
) -> Trial
where
    F: Future<Output = Result<()>>,
{
    Trial::test(name, move || {
        let ended = runtime::block_on(async { tokio::time::timeout(deadline, body()).await });
        ended
            .with_context(|| format!("the test did not end within {deadline:?}"))
            .and_then(|result| result)
            .map_err(|error| Failed::from(format!("{error:#}")))
    })
}
