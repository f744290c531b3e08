//! The worker is killed at every named point of the program, and the same command is given again. The
//! list below is compared with the points that the source has, so that none is without a test.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::json;

use super::audit::{FORMER_LEDGER, ledger_row};
use crate::support::registers::TABLE;
use crate::support::scene::{RUN, Scene, Shape, expect_code};
use crate::support::server::Flavour;
use crate::support::settings::runs;
use crate::support::wait::let_time_pass;

/// How the point is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// A copy under writers.
    Copy,
    /// The same with a second unique index.
    Unique,
    /// The same on a server without GTIDs.
    Plain,
    /// The same with an old table that is dropped at once.
    DropOld,
    /// A change that the server makes at once.
    Instant,
    /// An abort when everything is copied.
    Abort,
    /// A prepared XA transaction.
    Xa,
    /// A row of the shadow table that somebody else deleted.
    Repair,
    /// A verification that takes long.
    SlowVerify,
    /// A second run that takes over from one that was killed in its copy.
    Resume,
    /// A second run after one that was killed when its control table was still empty.
    Empty,
    /// A ledger of a former version, with a row whose time is over.
    FormerLedger,
}

/// Point, way, and the hits at which it kills: 0 is the first.
const POINTS: &[(&str, Way, &[u64])] = &[
    ("prepare.control.before", Way::Copy, &[0]),
    ("prepare.control.after", Way::Copy, &[0]),
    ("fence.found.before", Way::Copy, &[0]),
    ("fence.found.after", Way::Copy, &[0]),
    ("fence.bump.before", Way::Resume, &[0]),
    ("fence.bump.after", Way::Resume, &[0]),
    ("beginning.drop", Way::Empty, &[0]),
    ("beginning.dropped", Way::Empty, &[0]),
    ("fence.found.before", Way::Empty, &[0]),
    ("fence.sessions_forgotten", Way::Resume, &[0]),
    ("session.before", Way::Copy, &[0, 2]),
    ("session.after", Way::Copy, &[0, 3]),
    ("session.after", Way::Resume, &[1]),
    ("state.Prepare.before", Way::Instant, &[0]),
    ("state.Prepare.after", Way::Instant, &[0]),
    ("prepare.shadow.before", Way::Copy, &[0]),
    ("prepare.shadow.after", Way::Copy, &[0]),
    ("prepare.altered", Way::Copy, &[0]),
    ("prepare.positioned", Way::Copy, &[0]),
    ("state.RowCopy.before", Way::Copy, &[0]),
    ("state.RowCopy.after", Way::Copy, &[0]),
    ("chunk.bounded", Way::Copy, &[0, 2]),
    ("chunk.begin", Way::Copy, &[0, 2]),
    ("chunk.fenced", Way::Copy, &[0, 2]),
    ("chunk.inserted", Way::Copy, &[0, 2]),
    ("chunk.recorded", Way::Copy, &[0, 2]),
    ("chunk.recorded", Way::Unique, &[1]),
    ("chunk.recorded", Way::Plain, &[1]),
    ("chunk.committed", Way::Copy, &[0, 2]),
    ("chunk.committed", Way::Unique, &[1]),
    ("chunk.merging", Way::Copy, &[0]),
    ("chunk.merged", Way::Copy, &[0]),
    ("apply.begin", Way::Copy, &[0, 5]),
    ("apply.fenced", Way::Copy, &[0, 5]),
    ("apply.synced", Way::Copy, &[0, 5]),
    ("apply.synced", Way::Unique, &[4]),
    ("apply.positioned", Way::Copy, &[0, 5]),
    ("apply.positioned", Way::Plain, &[4]),
    ("apply.committed", Way::Copy, &[0, 5]),
    ("apply.committed", Way::Unique, &[4]),
    ("barrier.before", Way::Plain, &[0, 5]),
    ("barrier.after", Way::Plain, &[0, 5]),
    ("heartbeat.begin", Way::Copy, &[0, 1]),
    ("heartbeat.written", Way::Copy, &[0, 1]),
    ("marker.before", Way::Copy, &[0, 1]),
    ("marker.after", Way::Copy, &[0, 1]),
    ("stream.xa_prepared", Way::Xa, &[0]),
    ("state.CatchUp.before", Way::Copy, &[0]),
    ("state.CatchUp.after", Way::Copy, &[0]),
    ("state.Verify.before", Way::Copy, &[0]),
    ("state.Verify.after", Way::Copy, &[0]),
    ("verify.range", Way::Copy, &[0, 1]),
    ("verify.repair", Way::Repair, &[0]),
    ("verify.save", Way::SlowVerify, &[0]),
    ("state.AwaitCutOver.before", Way::Copy, &[0]),
    ("state.AwaitCutOver.after", Way::Copy, &[0]),
    ("state.CutOver.before", Way::Copy, &[0]),
    ("state.CutOver.after", Way::Copy, &[0]),
    ("cutover.lock.send", Way::Copy, &[0]),
    ("cutover.locked", Way::Copy, &[0]),
    ("cutover.marked", Way::Copy, &[0]),
    ("cutover.drained", Way::Copy, &[0]),
    ("cutover.drained", Way::Unique, &[0]),
    ("cutover.rename.send", Way::Copy, &[0]),
    ("cutover.renamed", Way::Copy, &[0]),
    ("cutover.renamed", Way::Plain, &[0]),
    ("cutover.recorded", Way::Copy, &[0]),
    ("cutover.unlocked", Way::Copy, &[0]),
    ("cleanup.begin", Way::Copy, &[0]),
    ("ledger.created", Way::Copy, &[0]),
    ("ledger.written", Way::Copy, &[0]),
    ("cleanup.ledger", Way::Copy, &[0]),
    ("cleanup.old", Way::Copy, &[0]),
    ("cleanup.control", Way::Copy, &[0]),
    ("cleanup.ledger", Way::DropOld, &[0]),
    ("old.drop", Way::DropOld, &[0]),
    ("old.dropped", Way::DropOld, &[0]),
    ("cleanup.old", Way::DropOld, &[0]),
    ("instant.emptied", Way::Instant, &[0, 1]),
    ("instant.send", Way::Instant, &[0]),
    ("instant.done", Way::Instant, &[0]),
    ("instant.recorded", Way::Instant, &[0]),
    ("helpers.drop", Way::Instant, &[0]),
    ("helpers.dropped", Way::Instant, &[0, 1]),
    ("abort.begin", Way::Abort, &[0]),
    ("abort.shadow", Way::Abort, &[0]),
    ("ledger.created", Way::Abort, &[0]),
    ("ledger.written", Way::Abort, &[0]),
    ("abort.ledger", Way::Abort, &[0]),
    ("abort.control", Way::Abort, &[0]),
    ("ledger.column", Way::FormerLedger, &[0]),
    ("ledger.widened", Way::FormerLedger, &[0]),
    ("ledger.prune", Way::FormerLedger, &[0]),
    ("ledger.pruned", Way::FormerLedger, &[0]),
];

/// Verification notes how far it is after so long.
const SAVE_EVERY: Duration = Duration::from_secs(5);

/// The names that have a test.
pub(crate) fn tested() -> impl Iterator<Item = &'static str> {
    POINTS.iter().map(|(name, _, _)| *name)
}

/// One test per point, way and hit.
pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (name, way, hits) in POINTS {
        for skip in hits_of(*way, hits) {
            let test = format!("crash::kill::{way:?}::{name}@{skip}");
            trials.push(super::trial(test, move || kill(name, *way, skip)));
        }
    }
    trials
}

/// In a long run points that come again kill at further hits.
fn hits_of(way: Way, hits: &[u64]) -> Vec<u64> {
    let last = hits.last().copied().unwrap_or(0);
    let again = last > 0 && matches!(way, Way::Copy | Way::Unique | Way::Plain);
    let further = if again { runs(1) - 1 } else { 0 };
    hits.iter().copied().chain(last + 1..=last + further).collect()
}

async fn kill(name: &'static str, way: Way, skip: u64) -> Result<()> {
    let label = format!("crash_{name}_{way:?}_{skip}");
    let flavour = if way == Way::Plain { Flavour::Plain } else { Flavour::Gtid };
    // Further hits of a long run need further chunks.
    let rows = 4000 + 1000 * (runs(1) - 1);
    let shape = Shape { rows, unique: way == Way::Unique, ..Shape::default() };
    let scene = Scene::shared(&label, flavour, shape).await?;
    let point = format!("{name}=kill@{skip}");
    match way {
        Way::Copy | Way::Unique | Way::Plain => {
            scene.killed_at(&point).await?;
            expect_side(&scene, name).await?;
            scene.completes().await?;
            scene.expect_completed().await
        }
        Way::Resume | Way::Empty => {
            let first = match way {
                Way::Empty => "prepare.control.after=kill",
                _ => "chunk.committed=kill@1",
            };
            scene.killed_at(first).await?;
            scene.killed_at(&point).await?;
            scene.completes().await?;
            scene.expect_completed().await
        }
        Way::DropOld => drop_old(scene, &point).await,
        Way::Instant => instant(scene, &point).await,
        Way::Abort => abort(scene, &point).await,
        Way::Xa => xa(scene, &point).await,
        Way::Repair => repair(scene, &point).await,
        Way::SlowVerify => slow_verify(scene, &point).await,
        Way::FormerLedger => former_ledger(scene, &point).await,
    }
}

/// Before the RENAME is sent the table is the first one, once it was answered it is the new one.
async fn expect_side(scene: &Scene, name: &str) -> Result<()> {
    let after = ["cutover.renamed", "cutover.recorded", "cutover.unlocked"].contains(&name)
        || ["cleanup.", "ledger."].iter().any(|start| name.starts_with(start));
    let swapped = scene.is_swapped().await?;
    ensure!(swapped == after, "killed at {name} the table is swapped: {swapped}");
    Ok(())
}

async fn drop_old(mut scene: Scene, point: &str) -> Result<()> {
    scene.manifest.set(&[("/oldTable", json!({"retain": "0s"}))])?;
    scene.killed_at(point).await?;
    scene.completes().await?;
    ensure!(scene.is_swapped().await?, "the table was not swapped");
    let helpers = scene.helpers().await?;
    ensure!(helpers.is_empty(), "tables are left over: {helpers:?}");
    let ledger = scene.ledger().await?;
    ensure!(ledger == ["Completed"], "the ledger has {ledger:?}");
    scene.end().await
}

async fn former_ledger(mut scene: Scene, point: &str) -> Result<()> {
    scene.manifest.set_target(&[("/history", json!({"ledger": "10h"}))])?;
    let mut client = scene.database.connect().await?;
    client.exec(FORMER_LEDGER).await?;
    client.exec(&ledger_row(("other", "Aborted"), ("", 20))).await?;
    scene.killed_at(point).await?;
    scene.completes().await?;
    let completed = "SELECT COUNT(changes) FROM ghostship_history WHERE outcome = 'Completed'";
    let completed = client.texts(completed).await?;
    ensure!(completed == ["1"], "rows with changes: {completed:?}");
    // What is left is of the other table: the check of a migration counts this one's alone.
    client.exec("DELETE FROM ghostship_history WHERE table_name = 'other'").await?;
    client.close().await?;
    scene.expect_completed().await
}

async fn instant(mut scene: Scene, point: &str) -> Result<()> {
    scene.manifest.rename("instant", "ADD COLUMN note INT NULL")?;
    scene.manifest.set(&[("/strategy", json!("Auto"))])?;
    scene.registers.wait_for_more(100).await?;
    scene.killed_at(point).await?;
    scene.completes().await?;
    let mut client = scene.database.connect().await?;
    let columns = client.texts(&format!("SHOW COLUMNS FROM {TABLE}")).await?;
    client.close().await?;
    ensure!(columns.contains(&"note".to_owned()), "the change is not there: {columns:?}");
    let ledger = scene.ledger().await?;
    ensure!(ledger == ["Completed"], "the ledger has {ledger:?}");
    scene.expect_untouched().await
}

async fn abort(mut scene: Scene, point: &str) -> Result<()> {
    scene.manifest.set(&[("/postponeCutOver", json!(true))])?;
    let mut run = scene.run(Some(point))?;
    run.wait_for("AwaitCutOver", RUN).await?;
    scene.manifest.set(&[("/abort", json!(true))])?;
    let ended = run.wait(RUN).await?;
    ensure!(ended.signal == Some(9), "{point} did not fire\n{}", ended.words());
    let ended = scene.run(None)?.wait(RUN).await?;
    expect_code(&ended, 5)?;
    let ledger = scene.ledger().await?;
    ensure!(ledger == ["Aborted"], "the ledger has {ledger:?}");
    scene.expect_untouched().await
}

async fn xa(scene: Scene, point: &str) -> Result<()> {
    let mut run = scene.run(Some(point))?;
    run.wait_for("RowCopy", RUN).await?;
    let (id, mut client) = (9_000_001, scene.database.connect().await?);
    for statement in [
        "XA START 'crash-xa'",
        &format!("INSERT INTO {TABLE} (id, u, version, tag) VALUES ({id}, {id}0, 0, 'xa')"),
        "XA END 'crash-xa'",
        "XA PREPARE 'crash-xa'",
    ] {
        client.exec(statement).await?;
    }
    let ended = run.wait(RUN).await?;
    ensure!(ended.signal == Some(9), "{point} did not fire\n{}", ended.words());
    let mut run = scene.run(None)?;
    let named = |line: &serde_json::Value| line.to_string().contains("XaPending");
    run.wait_until("a prepared transaction is named", RUN, named).await?;
    client.exec("XA COMMIT 'crash-xa'").await?;
    scene.registers.add(id, (Some(id * 10), 0, "xa".to_owned()));
    expect_code(&run.wait(RUN).await?, 0)?;
    client.close().await?;
    scene.expect_completed().await
}

async fn repair(mut scene: Scene, point: &str) -> Result<()> {
    scene.manifest.set(&[("/verify", json!({"repairLimit": 100}))])?;
    let run = scene.run(Some(&format!("state.Verify.before=stop;{point}")))?;
    run.wait_until_stopped(RUN).await?;
    let mut client = scene.database.connect().await?;
    client.exec("SET SESSION sql_log_bin = 0").await?;
    // The process may have been stopped in the middle of a batch, with some rows locked.
    client.exec("BEGIN").await?;
    let free = format!("SELECT id FROM {TABLE}_gho ORDER BY id LIMIT 5 FOR UPDATE SKIP LOCKED");
    let ids = client.texts(&free).await?.join(", ");
    let deleted = client.exec(&format!("DELETE FROM {TABLE}_gho WHERE id IN ({ids})")).await?;
    ensure!(deleted == 5, "the shadow table has only {deleted} free rows");
    client.exec("COMMIT").await?;
    client.close().await?;
    run.signal("CONT")?;
    let ended = run.wait(RUN).await?;
    ensure!(ended.signal == Some(9), "{point} did not fire\n{}", ended.words());
    scene.completes().await?;
    scene.expect_completed().await
}

async fn slow_verify(scene: Scene, point: &str) -> Result<()> {
    let run = scene.run(Some(&format!("verify.range=stop;{point}")))?;
    run.wait_until_stopped(RUN).await?;
    // The time between two notes has to pass while the process stands still.
    let_time_pass(SAVE_EVERY).await;
    run.signal("CONT")?;
    let ended = run.wait(RUN).await?;
    ensure!(ended.signal == Some(9), "{point} did not fire\n{}", ended.words());
    scene.completes().await.context("after a note in the verification")?;
    scene.expect_completed().await
}
