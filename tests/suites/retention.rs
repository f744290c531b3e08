//! A server that keeps its binlog for some seconds only, and a change that cannot be applied for as long:
//! the migration says so while it can still be continued, copies nothing until its changes are applied,
//! and when the binlog is gone all the same it ends without having touched the table.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::client::Client;
use crate::support::ghostship::Ghostship;
use crate::support::registers::TABLE;
use crate::support::scene::{RUN, Scene, Shape, expect_code};
use crate::support::server::{PrivateServer, Server};
use crate::support::strain::{applied_beyond, expect_standstill, number, tells, wait_for_lock};
use crate::support::wait::wait_for;

/// How long the server keeps its binlog.
const KEPT: Duration = Duration::from_secs(12);
/// The same when it shall be gone soon.
const KEPT_SHORTLY: Duration = Duration::from_secs(5);
/// A row that no writer touches, before all others.
const OWN: u64 = 0;

/// The tests.
pub(crate) fn trials() -> Vec<Trial> {
    vec![
        super::trial("retention::a_short_binlog_pauses_and_goes_on".to_owned(), pauses),
        super::trial("retention::what_is_told_in_time_is_continued".to_owned(), continued),
        super::trial("retention::a_position_that_moves_may_be_old".to_owned(), old),
        super::trial("retention::what_has_run_out_leaves_the_table_alone".to_owned(), run_out),
    ]
}

/// A copy of which one change cannot be applied, because somebody holds its row of the shadow table.
struct Stuck {
    server: PrivateServer,
    scene: Scene,
    run: Ghostship,
    holder: Client,
    /// The binlog file of before the change: a restart begins there or earlier.
    needed: String,
}

/// A server that begins a new binlog file several times a second.
fn private(label: &str, kept: Duration) -> Result<PrivateServer> {
    let expire = format!("--binlog-expire-logs-seconds={}", kept.as_secs());
    let options = [expire.as_str(), "--max-binlog-size=16384", "--sync-binlog=0"];
    Server::private(&label.replace('_', "-"), &options)
}

async fn stuck(label: &str, kept: Duration) -> Result<Stuck> {
    let server = private(label, kept)?;
    let shape = Shape { rows: 8000, ..Shape::default() };
    let mut scene = Scene::on(server.server(), label, shape).await?;
    let mut holder = scene.database.connect().await?;
    holder.exec("SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO'").await?;
    let own = format!("INSERT INTO {TABLE} (id, u, version, tag) VALUES ({OWN}, NULL, 0, 'own')");
    holder.exec(&own).await?;
    scene.registers.add(OWN, (None, 1, "own".to_owned()));
    scene.manifest.set(&[
        ("/copy", json!({"threads": 1, "chunkTime": "200ms", "maxRowsPerSecond": 200})),
        ("/throttle", json!({"autoResume": {"healthyFor": "1s"}})),
    ])?;
    let mut run = scene.run(None)?;
    let begun = |line: &Value| number(line, "rowsCopied") > 0;
    let line = run.wait_until("rows are copied", RUN, begun).await?;
    let headroom = headroom(&line).context("no head-room is told")?;
    ensure!(headroom > kept / 2, "the head-room is {headroom:?} already: {line}");
    holder.exec("BEGIN").await?;
    let hold = format!("SELECT id FROM {TABLE}_gho WHERE id = {OWN} FOR UPDATE");
    ensure!(holder.texts(&hold).await?.len() == 1, "void: the row is not copied yet");
    let mut client = scene.database.connect().await?;
    let needed = client.texts("SHOW BINARY LOG STATUS").await?.concat();
    client.close().await?;
    change_own(&scene, OWN).await?;
    Ok(Stuck { server, scene, run, holder, needed })
}

fn headroom(line: &Value) -> Option<Duration> {
    Duration::try_from_secs_f64(line["binlogHeadroom"].as_f64()?).ok()
}

/// It is told, and paused for it.
fn is_short(line: &Value) -> bool {
    tells(line, "retention", "may purge in") && tells(line, "autoPause", "paused itself")
}

impl Stuck {
    /// Waits until it is told that the binlog gets short, while everything needed is still there.
    async fn told(&mut self, kept: Duration) -> Result<()> {
        let line = self.run.wait_until("it is told", RUN, is_short).await?;
        let left = headroom(&line).context("no head-room is told")?;
        ensure!(left < kept / 2, "{left:?} of {kept:?} are left: {line}");
        ensure!(self.is_kept().await?, "it is told when {} is purged already", self.needed);
        Ok(())
    }

    async fn is_kept(&self) -> Result<bool> {
        let mut client = self.scene.database.connect().await?;
        let files = client.texts("SHOW BINARY LOGS").await?;
        client.close().await?;
        Ok(files.contains(&self.needed))
    }

    async fn let_go(&mut self) -> Result<()> {
        self.holder.exec("ROLLBACK").await.map(drop)
    }
}

/// The first policy: what can be applied is applied, and nothing is copied; then it goes on by itself.
async fn pauses() -> Result<()> {
    let mut stuck = stuck("retention_pauses", KEPT).await?;
    stuck.told(KEPT).await?;
    let later = expect_standstill(&mut stuck.scene, &mut stuck.run).await?;
    ensure!(is_short(&later) && later["phase"] == "RowCopy", "void: it is at {later}");
    stuck.let_go().await?;
    let over = |line: &Value| !tells(line, "retention", "") && line["lastPause"].is_object();
    let line = stuck.run.wait_until("it goes on", RUN, over).await?;
    let why = line["lastPause"]["reason"].as_str().unwrap_or_default();
    ensure!(why.contains("may purge in"), "it paused for something else: {line}");
    let left = headroom(&line).context("no head-room is told")?;
    ensure!(left > KEPT / 2, "only {left:?} are left: {line}");
    let Stuck { server, scene, run, holder, .. } = stuck;
    holder.close().await?;
    expect_code(&run.wait(RUN).await?, 0)?;
    scene.expect_completed().await?;
    drop(server);
    Ok(())
}

/// Told means in time: a worker that is started anew right then continues.
async fn continued() -> Result<()> {
    let mut stuck = stuck("retention_continued", KEPT).await?;
    stuck.told(KEPT).await?;
    stuck.run.signal("KILL")?;
    stuck.let_go().await?;
    let Stuck { server, mut scene, run, holder, .. } = stuck;
    holder.close().await?;
    ensure!(run.wait(RUN).await?.signal == Some(9), "the worker was not killed");
    scene.manifest.set(&[("/copy/maxRowsPerSecond", json!(0))])?;
    scene.completes().await?;
    scene.expect_completed().await?;
    drop(server);
    Ok(())
}

/// A change waits for as long as another one did that is applied at last: the position moves, and a restart
/// has to read what is just as old.
async fn old() -> Result<()> {
    let server = private("retention_old", KEPT)?;
    let shape = Shape { rows: 1000, ..Shape::default() };
    let mut scene = Scene::on(server.server(), "retention_old", shape).await?;
    let soon = json!({"autoResume": {"healthyFor": "1s"}});
    scene.manifest.set(&[("/postponeCutOver", json!(true)), ("/throttle", soon)])?;
    let mut run = scene.run(None)?;
    run.wait_for("AwaitCutOver", RUN).await?;
    let (one, two) =
        (hold_own(&mut scene, 9_000_001).await?, hold_own(&mut scene, 9_000_002).await?);
    change_own(&scene, 9_000_001).await?;
    wait_for_lock(&scene.database).await?;
    change_own(&scene, 9_000_002).await?;
    let changed = Instant::now();
    let waits = |line: &Value| headroom(line).is_some_and(|left| left < KEPT * 3 / 4);
    run.wait_until("both have waited for some time", RUN, waits).await?;
    one.close().await?;
    wait_until_applied(&scene, 9_000_001).await?;
    let next = run.next_line(RUN).await?;
    let line = applied_beyond(&mut run, &next, 1).await?;
    let left = headroom(&line).context("no head-room is told")?;
    ensure!(left < KEPT * 3 / 4, "{left:?} are told for a change of {:?} ago", changed.elapsed());
    two.close().await?;
    let over = |line: &Value| headroom(line).is_some_and(|left| left > KEPT * 3 / 4);
    run.wait_until("there is head-room again", RUN, over).await?;
    scene.manifest.set(&[("/postponeCutOver", json!(false))])?;
    expect_code(&run.wait(RUN).await?, 0)?;
    scene.expect_completed().await
}

/// A session that holds the shadow row of a row which no writer touches; the lock ends with it.
async fn hold_own(scene: &mut Scene, id: u64) -> Result<Client> {
    let mut client = scene.database.connect().await?;
    client.exec("SET SESSION transaction_isolation = 'READ-COMMITTED'").await?;
    let own = format!("INSERT INTO {TABLE} (id, u, version, tag) VALUES ({id}, NULL, 0, 'own')");
    client.exec(&own).await?;
    scene.registers.add(id, (None, 1, "own".to_owned()));
    let hold = format!("SELECT id FROM {TABLE}_gho WHERE id = {id} FOR UPDATE");
    let probe = async || {
        client.exec("ROLLBACK").await?;
        client.exec("BEGIN").await?;
        let found = client.texts(&hold).await?;
        Ok(if found.is_empty() { Err(found) } else { Ok(()) })
    };
    wait_for("the row to be applied", RUN, probe).await?;
    Ok(client)
}

async fn change_own(scene: &Scene, id: u64) -> Result<()> {
    let mut client = scene.database.connect().await?;
    client.exec(&format!("UPDATE {TABLE} SET version = 1 WHERE id = {id}")).await?;
    client.close().await
}

async fn wait_until_applied(scene: &Scene, id: u64) -> Result<()> {
    let mut client = scene.database.connect().await?;
    let query = format!("SELECT version FROM {TABLE}_gho WHERE id = {id}");
    let probe = async || {
        let found = client.texts(&query).await?.concat();
        Ok(if found == "1" { Ok(()) } else { Err(found) })
    };
    wait_for("the change to be applied", RUN, probe).await?;
    client.close().await
}

/// Nobody has acted: the next worker refuses to go on, and an abort leaves nothing behind.
async fn run_out() -> Result<()> {
    let mut stuck = stuck("retention_run_out", KEPT_SHORTLY).await?;
    stuck.told(KEPT_SHORTLY).await?;
    let none = |line: &Value| headroom(line) == Some(Duration::ZERO) && is_short(line);
    stuck.run.wait_until("no head-room is left", RUN, none).await?;
    let purged = async || {
        let kept = stuck.is_kept().await?;
        Ok(if kept { Err(kept) } else { Ok(()) })
    };
    wait_for("the server to purge what is needed", RUN, purged).await?;
    stuck.run.signal("KILL")?;
    stuck.let_go().await?;
    let Stuck { server, mut scene, run, holder, .. } = stuck;
    holder.close().await?;
    ensure!(run.wait(RUN).await?.signal == Some(9), "the worker was not killed");
    let refused = scene.run(None)?.wait(RUN).await?;
    expect_code(&refused, 3)?;
    for part in ["PositionPurged", "cannot continue", "abort: true"] {
        ensure!(refused.words().contains(part), "{part} is not named\n{}", refused.words());
    }
    ensure!(!scene.is_swapped().await?, "the table was swapped");
    scene.manifest.set(&[("/abort", json!(true))])?;
    expect_code(&scene.run(None)?.wait(RUN).await?, 5)?;
    scene.expect_untouched().await?;
    drop(server);
    Ok(())
}
