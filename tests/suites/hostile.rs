//! Hostile workloads under migration: clients write without pause from before the copy until after the
//! swap; then the new table must equal its mirror, agree with what every client was told, and nothing
//! may have needed repair. A run under which the load was not held is void, which is a failure.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::json;

use crate::support::compare::Dump;
use crate::support::database::Database;
use crate::support::ghostship::{Ended, Ghostship};
use crate::support::history;
use crate::support::leftovers;
use crate::support::load::{self, History, Load};
use crate::support::manifest::Manifest;
use crate::support::random::seed;
use crate::support::server::{Flavour, Server};
use crate::support::settings::runs;
use crate::support::workload::{self, Workload};

/// Runs of each workload on each server, before the factor of the environment.
const RUNS: u64 = 3;
const ROWS: i64 = 8_000;
const CLIENTS: usize = 4;
const ROWS_PER_SECOND: u64 = 3_000;
/// Commits without which a run is void: during the copy, and in the second of the cut-over.
const LEAST: (usize, usize) = (100, 5);
const READY: Duration = Duration::from_secs(180);
const SWAPPED: Duration = Duration::from_secs(180);
/// How long all of one run may take, on a busy machine.
const LIMIT: Duration = Duration::from_secs(480);

/// One test per workload, server and run.
pub(crate) fn trials() -> Vec<Trial> {
    let mut trials =
        vec![super::trial("hostile::the_checker_sees".to_owned(), async || history::self_test())];
    for number in 1..=runs(RUNS) {
        for workload in &workload::ALL {
            for flavour in Flavour::ALL {
                let name = format!("{}_{}_{number}", workload.name, flavour.as_str());
                let label = format!("hostile_{name}");
                let seed = seed().wrapping_add(number);
                let body = move || async move { run(workload, flavour, (&label, seed)).await };
                trials.push(super::trial_within(LIMIT, format!("hostile::{name}"), body));
            }
        }
    }
    trials
}

async fn run(
    workload: &'static Workload,
    flavour: Flavour,
    (label, seed): (&str, u64),
) -> Result<()> {
    let server = Server::shared(flavour)?;
    let database = Database::create(server, label).await?;
    let before = load::lay_out(&database, workload, ROWS).await?;
    let directory = tempfile::tempdir()?;
    let table = ("t", workload.alter);
    let mut manifest = Manifest::write(directory.path(), server, &database, table)?;
    manifest.set(&[
        ("/strategy", json!("Copy")),
        ("/postponeCutOver", json!(true)),
        ("/copy", json!({"threads": 2, "chunkTime": "20ms", "maxRowsPerSecond": ROWS_PER_SECOND})),
        ("/cutOver", json!({"lockBudget": "3s"})),
    ])?;
    let what = format!("{label}, seed {seed}");
    let mut load = Load::start(&database, workload, (ROWS, CLIENTS), seed).await?;
    let swap = migrate(&database, &mut manifest, &mut load).await;
    // Also after a failure, so that no client leaves a prepared transaction behind.
    let history = load.stop().await;
    let swap = swap.context(what.clone())?;
    finish(&database, workload, (&history?, &swap), &before).await.context(what)?;
    leftovers::expect_no_session(&database).await?;
    database.remove().await
}

/// When and how the swap happened.
struct Swap {
    began: Instant,
    ended: Instant,
    old: (String, Dump),
    end: Ended,
}

async fn migrate(database: &Database, manifest: &mut Manifest, load: &mut Load) -> Result<Swap> {
    let tables = database.tables().await?;
    let committed = load.committed();
    let mut ghostship = Ghostship::run(manifest, None)?;
    ghostship.wait_for("RowCopy", READY).await?;
    ghostship.wait_for_any(&["CatchUp", "Verify", "AwaitCutOver"], READY).await?;
    let during_copy = load.committed() - committed;
    ensure!(during_copy >= LEAST.0, "void: {during_copy} commits during the copy");
    ghostship.wait_for("AwaitCutOver", READY).await?;
    manifest.set(&[("/postponeCutOver", json!(false))])?;
    ghostship.wait_for("CutOver", SWAPPED).await?;
    let began = Instant::now();
    let end = ghostship.wait(SWAPPED).await?;
    let ended = Instant::now();
    ensure!(end.code == Some(0), "ghostship failed\n{}", end.words());
    let old = leftovers::expect_old_table(database, &tables).await?;
    let mut client = database.connect().await?;
    let rows = Dump::read(&mut client, &old, &[]).await?;
    client.close().await?;
    load.wait_for_more(LEAST.0, READY).await.context("after the swap")?;
    Ok(Swap { began, ended, old: (old, rows), end })
}

async fn finish(
    database: &Database,
    workload: &Workload,
    (history, swap): (&History, &Swap),
    before: &str,
) -> Result<()> {
    load::judge(database, workload, history, before).await?;
    let (name, rows) = &swap.old;
    let mut client = database.connect().await?;
    let still = Dump::read(&mut client, name, &[]).await?;
    client.close().await?;
    still.expect_equal(rows, "the old table some time after the swap")?;
    expect_held(history, swap)
}

fn expect_held(history: &History, swap: &Swap) -> Result<()> {
    let around = history.committed_between(swap.began, swap.ended + Duration::from_millis(500));
    let report = swap.end.report();
    eprintln!(
        "clients were told {:?}, {around} commits around the swap, longest answer {:?}, lock {} s",
        history.counts(),
        history.longest(),
        report["lockSeconds"],
    );
    ensure!(around >= LEAST.1, "void: {around} commits around the swap");
    ensure!(report["rowsRepaired"] == 0, "rows were repaired: {report}");
    ensure!(!history.counts().contains_key("unknown"), "an answer is missing");
    Ok(())
}
