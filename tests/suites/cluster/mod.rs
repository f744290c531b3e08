//! Migrations in a real cluster: controller and workers in pods, people with kubectl, an application that
//! writes all the while. A failure tells status, events and logs. The essential tests always run; the
//! long ones when the environment asks for them.

mod api;
mod audit;
mod blocked;
mod control;
mod faults;
mod gitops;
mod held;
mod hooks;
mod leaders;
mod life;
mod node;
mod notices;
mod phases;
mod rights;
mod secrets;
mod silence;
mod surroundings;
mod upgrade;
mod worker;

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use libtest_mimic::{Failed, Trial};

use crate::support::cluster::kubectl;
use crate::support::machine;
use crate::support::operator::Operator;
use crate::support::runtime;
use crate::support::scene::Shape;
use crate::support::settings::is_long;
use crate::support::shop::{PodServer, Shop, Site};

/// Longest time one test may take, besides what is started once for all.
const DEADLINE: Duration = Duration::from_secs(600);
/// How long one step of a migration may take on a busy machine.
const STEP: Duration = Duration::from_secs(120);
/// How long until a field that a person changed has its effect.
const EFFECT: Duration = Duration::from_secs(2);
/// Lines of a failure that tell its cause; logs follow.
const CAUSE: usize = 2;
/// Rows of a shop's table.
const ROWS: u64 = 24_000;
/// Rows a second at which the row copy lasts until a test has done its work, and moves on all the while.
const SLOW: u64 = 2000;
/// What the table of a shop is like.
const SHAPE: Shape = Shape { rows: ROWS, unique: false, writers: 2 };

/// Held for reading by tests that stand side by side on the node, for writing by one that disturbs it.
static NODE: RwLock<()> = RwLock::new(());

/// What has to hold at a test's end.
enum End {
    /// One migration was completed and keeps its old table.
    Completed,
    /// No migration has left a trace.
    Untouched,
    /// The namespace is gone already; the writes are there, and no session or lock is left.
    Gone,
    /// The test has looked itself; the writes are there, and no session or lock is left.
    Written,
}

/// The tests.
pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = control::trials();
    trials.extend(api::trials());
    trials.extend(audit::trials());
    trials.extend(blocked::trials());
    trials.extend(faults::trials());
    trials.extend(leaders::trials());
    trials.extend(notices::trials());
    trials.extend(gitops::trials());
    trials.extend(hooks::trials());
    trials.extend(rights::trials());
    trials.extend(life::trials());
    trials.extend(worker::trials());
    trials.extend(secrets::trials());
    if is_long() {
        trials.extend(life::long_trials());
        trials.extend(leaders::long_trials());
        trials.extend(upgrade::long_trials());
        trials.extend(phases::long_trials());
        trials.extend(held::long_trials());
        trials.extend(surroundings::long_trials());
        trials.extend(node::long_trials());
        trials.extend(silence::long_trials());
    }
    trials
}

/// A test in a shop of its own, which the shared controller minds.
fn trial(
    name: impl Into<String>,
    body: impl AsyncFnOnce(&mut Shop) -> Result<End> + Send + 'static,
) -> Trial {
    trial_of(name, Operator::shared, body)
}

/// A test in a shop of its own, minded by this controller.
fn trial_of(
    name: impl Into<String>,
    operator: impl FnOnce() -> Result<Operator> + Send + 'static,
    body: impl AsyncFnOnce(&mut Shop) -> Result<End> + Send + 'static,
) -> Trial {
    let label = name.into();
    Trial::test(format!("cluster::{label}"), move || {
        let _beside_others = NODE.read().unwrap_or_else(PoisonError::into_inner);
        run(&label, operator, body)
    })
}

/// A test that disturbs the node and therefore runs alone.
fn trial_alone(
    name: impl Into<String>,
    body: impl AsyncFnOnce(&mut Shop) -> Result<End> + Send + 'static,
) -> Trial {
    let label = name.into();
    Trial::test(format!("cluster::{label}"), move || {
        let _alone = NODE.write().unwrap_or_else(PoisonError::into_inner);
        run(&label, Operator::shared, body)
    })
}

/// A test in a shop whose server is its own, to be killed.
fn trial_with_server(
    name: impl Into<String>,
    body: impl AsyncFnOnce(&mut Shop, &PodServer) -> Result<End> + Send + 'static,
) -> Trial {
    let label = name.into();
    Trial::test(format!("cluster::{label}"), move || {
        let _beside_others = NODE.read().unwrap_or_else(PoisonError::into_inner);
        let run = || {
            let operator = Operator::shared()?;
            let server =
                PodServer::start(&format!("own-{:08x}", crc32fast::hash(label.as_bytes())))?;
            let site = Site { label: &label, operator, server: &server, shape: SHAPE };
            runtime::block_on(in_shop(site, async |shop| body(shop, &server).await))
        };
        conclude(&label, run())
    })
}

fn run(
    label: &str,
    operator: impl FnOnce() -> Result<Operator>,
    body: impl AsyncFnOnce(&mut Shop) -> Result<End>,
) -> Result<(), Failed> {
    // What all tests share is started before the time of this one begins.
    let run = || {
        let (operator, server) = (operator()?, PodServer::shared()?);
        let site = Site { label, operator, server, shape: SHAPE };
        runtime::block_on(in_shop(site, body))
    };
    conclude(label, run())
}

/// The failure of a test, told at once with what the machine was doing: later nobody knows. Its cause is
/// told again behind the logs, where a reader of the run's end finds it.
fn conclude(label: &str, ended: Result<()>) -> Result<(), Failed> {
    ended.map_err(|error| {
        let story = format!("{error:#}");
        let cause = story.lines().take(CAUSE).collect::<Vec<_>>().join("\n");
        let machine = machine::describe();
        eprintln!("cluster::{label} failed: {cause}\n{machine}");
        Failed::from(format!("{story}\n=== cluster::{label} failed\n{machine}\n{cause}"))
    })
}

async fn in_shop(site: Site<'_>, body: impl AsyncFnOnce(&mut Shop) -> Result<End>) -> Result<()> {
    let mut shop = Box::pin(Shop::open(site)).await?;
    let ended = tokio::time::timeout(DEADLINE, Box::pin(body(&mut shop))).await;
    let ended = ended
        .with_context(|| format!("the test did not end within {DEADLINE:?}"))
        .and_then(|result| result);
    let end = ended.map_err(|error| anyhow!("{error:#}\n{}", shop.give_up()))?;
    let namespace = shop.namespace.clone();
    match end {
        End::Completed => shop.expect_completed().await?,
        End::Untouched => shop.expect_untouched().await?,
        End::Gone => return shop.scene.end().await,
        End::Written => shop.expect_written().await?,
    }
    kubectl(&["delete", "namespace", &namespace, "--wait=false"]).map(drop)
}
