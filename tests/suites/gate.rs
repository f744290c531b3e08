//! The visibility gate: commits are stalled between their delivery in the stream and their visibility.
//! With the gate taken away changes must be lost, which shows that the stall is real and the gate is
//! what prevents it; with the gate none may be. Verification would repair the loss and is off.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use libtest_mimic::Trial;
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::client::Client;
use crate::support::ghostship::Ghostship;
use crate::support::server::{Flavour, PrivateServer, Server};
use crate::support::settings::runs;
use crate::support::stage::{RUN, Shape, Stage};

const SHAPE: Shape = Shape {
    columns: "id INT PRIMARY KEY, n INT NOT NULL",
    fill: "SELECT i, 0 FROM n",
    rows: 3000,
    alter: "ADD COLUMN added INT NOT NULL DEFAULT 7",
    added: "added",
};
/// Runs in which a loss must be seen without the gate, and runs without one with it.
const TRIES: u64 = 4;
const CLIENTS: i64 = 4;
/// Changes of one run, each of another row: no later event of a row can hide a loss.
const CHANGES: i64 = 40;
const REMOVED: &str = "guard.Gate=remove";

/// How a commit is stalled.
#[derive(Clone, Copy, Debug)]
enum Stall {
    /// The group commit waits before its sync, after the stream was told.
    SyncDelay,
    /// A semi-synchronous source waits for a replica that does not exist.
    SemiSync,
}

/// One test per gate and way to stall.
pub(crate) fn trials() -> Vec<Trial> {
    let stalls = [("sync_delay", Stall::SyncDelay), ("semi_sync", Stall::SemiSync)];
    let mut trials = Vec::new();
    for flavour in Flavour::ALL {
        let (gate, options) = (flavour.as_str(), flavour.options());
        for (stall_name, stall) in stalls {
            let label = format!("gate-{gate}-{}", stall_name.replace('_', "-"));
            let body = move || async move { prove(&label, options, stall).await };
            trials.push(super::trial(format!("gate::{gate}_{stall_name}"), body));
        }
    }
    trials
}

async fn prove(label: &str, options: &[&str], stall: Stall) -> Result<()> {
    let mut all = options.to_vec();
    if matches!(stall, Stall::SyncDelay) {
        // The stream is told before the sync only when not every group is synced.
        all.push("--sync-binlog=0");
    }
    let private = Server::private(label, &all)?;
    let with = try_runs(&private, stall, None, runs(TRIES)).await.context("with the gate")?;
    let without = try_runs(&private, stall, Some(REMOVED), runs(TRIES)).await;
    let without = without.context("without the gate")?;
    eprintln!("{label}: lost per run with the gate {with:?}, without it {without:?}");
    ensure!(with.iter().all(|lost| *lost == 0), "rows were lost with the gate: {with:?}");
    ensure!(without.iter().any(|lost| *lost > 0), "void: nothing was lost without the gate");
    Ok(())
}

async fn try_runs(
    private: &PrivateServer,
    stall: Stall,
    failpoints: Option<&str>,
    tries: u64,
) -> Result<Vec<usize>> {
    let mut lost = Vec::new();
    for _ in 0..tries {
        lost.push(one_run(private, stall, failpoints).await?);
        if failpoints.is_some() && lost.last() > Some(&0) {
            break;
        }
    }
    Ok(lost)
}

/// One migration with changes under stalled commits; answers how many rows differ at the end.
async fn one_run(private: &PrivateServer, stall: Stall, failpoints: Option<&str>) -> Result<usize> {
    let mut stage = Stage::open(private.server(), "gate", SHAPE).await?;
    stage.manifest.set(&[("/verify", json!({"mode": "Off"}))])?;
    let mut ghostship = Ghostship::run(&stage.manifest, failpoints)?;
    ghostship.wait_for("AwaitCutOver", RUN).await?;
    match stall {
        Stall::SyncDelay => delayed_changes(&stage).await?,
        Stall::SemiSync => unconfirmed_changes(&stage).await?,
    }
    stage.allow_cut_over()?;
    let ended = ghostship.wait(RUN).await?;
    ensure!(ended.code == Some(0), "ghostship failed\n{}", ended.words());
    let lost = stage.differences("t").await?;
    stage.close().await?;
    Ok(lost)
}

async fn delayed_changes(stage: &Stage) -> Result<()> {
    let mut root = stage.database.connect().await?;
    root.exec("SET GLOBAL binlog_group_commit_sync_delay = 50000").await?;
    let changed = change_all(stage).await;
    root.exec("SET GLOBAL binlog_group_commit_sync_delay = 0").await?;
    root.close().await?;
    changed
}

async fn change_all(stage: &Stage) -> Result<()> {
    let mut clients = JoinSet::new();
    for first in 1..=CLIENTS {
        let mut client = stage.database.connect().await?;
        clients.spawn(async move {
            for round in 0..CHANGES / CLIENTS {
                change(&mut client, first + round * CLIENTS).await?;
            }
            client.close().await
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended??;
    }
    Ok(())
}

async fn change(client: &mut Client, id: i64) -> Result<()> {
    for statement in ["BEGIN", "UPDATE t SET n = n + 1", "UPDATE m SET n = n + 1", "COMMIT"] {
        match statement.starts_with("UPDATE") {
            true => client.exec(&format!("{statement} WHERE id = {id}")).await?,
            false => client.exec(statement).await?,
        };
    }
    Ok(())
}

/// After each wait for a replica the server gives the waiting up, so it is armed anew for each change.
async fn unconfirmed_changes(stage: &Stage) -> Result<()> {
    let mut root = stage.database.connect().await?;
    arm_semi_sync(&mut root).await?;
    for id in 1..=4 {
        root.exec("SET GLOBAL rpl_semi_sync_source_enabled = OFF").await?;
        root.exec("SET GLOBAL rpl_semi_sync_source_enabled = ON").await?;
        let began = std::time::Instant::now();
        change(&mut root, id).await?;
        if began.elapsed() < Duration::from_millis(500) {
            bail!("void: the commit did not wait for a replica");
        }
    }
    root.exec("SET GLOBAL rpl_semi_sync_source_enabled = OFF").await?;
    root.close().await
}

async fn arm_semi_sync(root: &mut Client) -> Result<()> {
    let plugin = "SELECT PLUGIN_NAME FROM information_schema.PLUGINS \
         WHERE PLUGIN_NAME = 'rpl_semi_sync_source'";
    if root.texts(plugin).await?.is_empty() {
        root.exec("INSTALL PLUGIN rpl_semi_sync_source SONAME 'semisync_source.so'").await?;
    }
    for setting in ["wait_point = AFTER_SYNC", "wait_no_replica = ON", "timeout = 1000"] {
        root.exec(&format!("SET GLOBAL rpl_semi_sync_source_{setting}")).await?;
    }
    Ok(())
}
