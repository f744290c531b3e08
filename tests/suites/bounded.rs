//! Memory stays bounded: the highest resident size of the process is read while a large table is copied
//! under load, and after one transaction that changed every row of it.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::json;

use crate::support::database::Database;
use crate::support::ghostship::Ghostship;
use crate::support::load::{self, Load};
use crate::support::manifest::Manifest;
use crate::support::random::seed;
use crate::support::server::{Flavour, Server};
use crate::support::settings::runs;
use crate::support::workload;

/// Rows in an ordinary run, and those of the promise, which an intensive run has.
const ROWS: (i64, i64) = (300_000, 2_000_000);
/// Kilobytes that a copy may need, whatever the table.
const COPY_LIMIT: i64 = 64 * 1024;
/// Kilobytes with one transaction that changed as many rows as the promise has.
const TRANSACTION_LIMIT: i64 = 256 * 1024;
const LONG: Duration = Duration::from_secs(900);

/// One test per server.
pub(crate) fn trials() -> Vec<Trial> {
    let of = |flavour: Flavour| {
        let name = format!("bounded::resident_memory_{}", flavour.as_str());
        super::trial_within(LONG, name, move || run(flavour))
    };
    Flavour::ALL.map(of).into()
}

async fn run(flavour: Flavour) -> Result<()> {
    let rows = if runs(1) > 1 { ROWS.1 } else { ROWS.0 };
    let workload = workload::ALL.iter().find(|one| one.name == "registers");
    let workload = workload.context("there is no such workload")?;
    let server = Server::shared(flavour)?;
    let database = Database::create(server, &format!("bounded_{}", flavour.as_str())).await?;
    load::lay_out(&database, workload, rows).await?;
    let directory = tempfile::tempdir()?;
    let table = ("t", workload.alter);
    let mut manifest = Manifest::write(directory.path(), server, &database, table)?;
    manifest.set(&[("/strategy", json!("Copy")), ("/postponeCutOver", json!(true))])?;
    let load = Load::start(&database, workload, (rows, 2), seed()).await?;
    let mut ghostship = Ghostship::run(&manifest, None)?;
    let waiting = ghostship.wait_for("AwaitCutOver", LONG).await;
    let history = load.stop().await?;
    waiting?;
    let copied = highest(ghostship.pid())?;
    change_all(&database, rows, &mut ghostship).await?;
    let changed = highest(ghostship.pid())?;
    let limit = COPY_LIMIT + (TRANSACTION_LIMIT - COPY_LIMIT) * rows / ROWS.1;
    eprintln!(
        "{rows} rows, {:?}: {copied} kB after the copy, {changed} kB after one transaction of all rows",
        history.counts()
    );
    ensure!(copied < COPY_LIMIT, "the copy needed {copied} kB, more than {COPY_LIMIT}");
    ensure!(changed < limit, "one transaction needed {changed} kB, more than {limit}");
    manifest.set(&[("/postponeCutOver", json!(false))])?;
    let ended = ghostship.wait(LONG).await?;
    ensure!(ended.code == Some(0), "ghostship failed\n{}", ended.words());
    database.remove().await
}

/// Changes all rows in one transaction and waits until they are applied.
async fn change_all(database: &Database, rows: i64, ghostship: &mut Ghostship) -> Result<()> {
    let applied = |line: &serde_json::Value| line["keysApplied"].as_i64().unwrap_or(0);
    ghostship.wait_for_line("a progress line", LONG, |line| applied(line) >= 0).await?;
    let before = ghostship.last_line().map_or(0, applied);
    let mut client = database.connect().await?;
    client.exec("UPDATE t SET pad = 'all of them'").await?;
    client.close().await?;
    let all = |line: &serde_json::Value| {
        applied(line) - before >= rows && line["backlog"].as_u64() == Some(0)
    };
    ghostship.wait_for_line("all changes to be applied", LONG, all).await
}

/// The highest resident size that the process ever had, in kilobytes.
fn highest(pid: u32) -> Result<i64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let words = line.context("the process has no resident size")?;
    Ok(words.trim().trim_end_matches(" kB").parse()?)
}
