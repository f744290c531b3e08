//! What a server does to a migration besides dying: it takes no writes for a while, has no connection to
//! give, ends sessions, and lets transactions meet in a deadlock; and an application that keeps a
//! transaction open from before the start. Nothing is lost, and it goes on by itself.

use std::time::Duration;

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::client::{Client, literal};
use crate::support::ghostship::Ghostship;
use crate::support::random::{Random, seed};
use crate::support::scene::{RUN, Scene, expect_code};
use crate::support::server::{Flavour, Server};
use crate::support::stage::{Shape, Stage};
use crate::support::strain::{number, wait_for_lock};
use crate::support::wait::let_time_pass;

const SHAPE: Shape = Shape {
    columns: "id INT PRIMARY KEY, u INT NOT NULL, n INT NOT NULL",
    fill: "SELECT i, i, 0 FROM n",
    rows: 4000,
    alter: "ADD COLUMN added INT NOT NULL DEFAULT 7",
    added: "added",
};
/// With a second unique index there is one lane, whose batch is the whole transaction.
const ONE_LANE: Shape =
    Shape { alter: "ADD UNIQUE (u), ADD COLUMN added INT NOT NULL DEFAULT 7", ..SHAPE };
/// Sessions that are ended one after the other.
const KILLS: u32 = 5;
/// Connections of a server that has few.
const FEW: usize = 40;

/// The tests.
pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = vec![
        super::trial("hardships::no_connection_is_left".to_owned(), no_connection),
        super::trial("hardships::sessions_are_ended".to_owned(), sessions_are_ended),
        super::trial("hardships::a_deadlock_costs_a_batch_no_row".to_owned(), deadlock),
        super::trial("hardships::statistics_are_those_of_the_rows".to_owned(), statistics),
    ];
    for (name, setting) in [("read_only", "super_read_only"), ("offline", "offline_mode")] {
        let name = format!("hardships::a_server_that_is_{name}_is_waited_for");
        trials.push(super::trial(name, move || takes_no_writes(setting)));
    }
    for (phase, flavour) in [("RowCopy", Flavour::Gtid), ("AwaitCutOver", Flavour::Plain)] {
        let on = flavour.as_str();
        let name = format!("hardships::a_transaction_from_before_ends_in_{phase}_{on}");
        trials.push(super::trial(name, move || older_transaction(phase, flavour)));
    }
    trials
}

/// A scene whose account has no more rights than one needs to be turned away.
async fn ordinary(server: &Server, label: &str) -> Result<Scene> {
    let shape = crate::support::scene::Shape::default();
    let mut scene = Scene::on(server, label, shape).await?;
    let mut root = scene.database.connect().await?;
    let account = &scene.database.account;
    root.exec(&format!("REVOKE SUPER, CONNECTION_ADMIN ON *.* FROM '{account}'@'%'")).await?;
    root.close().await?;
    let slow = json!({"threads": 1, "chunkTime": "200ms", "maxRowsPerSecond": 200});
    scene.manifest.set(&[("/copy", slow), ("/postponeCutOver", json!(true))])?;
    Ok(scene)
}

fn waits_for(line: &Value, words: &str) -> bool {
    line["waitingFor"].as_str().is_some_and(|text| text.contains(words))
}

/// Once while rows are copied, and once while the cut-over waits.
async fn takes_no_writes(setting: &str) -> Result<()> {
    let server = Server::private(&setting.replace('_', "-"), &[])?;
    let mut scene = ordinary(server.server(), &format!("hardships_{setting}")).await?;
    let mut root = scene.database.connect().await?;
    let mut run = scene.run(None)?;
    for phase in ["RowCopy", "AwaitCutOver"] {
        let meant = |line: &Value| line["phase"] == phase && number(line, "rowsCopied") > 0;
        run.wait_until("the phase is reached", RUN, meant).await?;
        let held = scene.registers.hold().await;
        root.exec(&format!("SET GLOBAL {setting} = ON")).await?;
        let told = |line: &Value| waits_for(line, "the server takes no writes");
        run.wait_until("it says that the server takes no writes", RUN, told).await?;
        root.exec(&format!("SET GLOBAL {setting} = OFF")).await?;
        // The stricter of the two has set the other as well.
        root.exec("SET GLOBAL read_only = OFF").await?;
        drop(held);
        scene.manifest.set(&[("/copy/maxRowsPerSecond", json!(0))])?;
        let over = |line: &Value| !told(line);
        run.wait_until("it goes on", RUN, over).await?;
    }
    root.close().await?;
    ensure!(!scene.is_swapped().await?, "it swapped while it was postponed");
    scene.manifest.set(&[("/postponeCutOver", json!(false))])?;
    expect_code(&run.wait(RUN).await?, 0)?;
    scene.expect_completed().await
}

/// Its sessions are ended, and others take their places before it can connect anew.
async fn no_connection() -> Result<()> {
    let server = Server::private("connections", &[&format!("--max-connections={FEW}")])?;
    let mut scene = ordinary(server.server(), "hardships_connections").await?;
    let mut root = scene.database.connect().await?;
    let mut run = scene.run(None)?;
    let copied = |line: &Value| number(line, "rowsCopied") > 0;
    let before = run.wait_until("rows are copied", RUN, copied).await?;
    let mut taken = Vec::new();
    fill(&scene, &mut taken).await?;
    kill_all(&mut root, &scene).await?;
    let told = |line: &Value| waits_for(line, "too many connections");
    tokio::select! {
        told = run.wait_until("it says that there is no connection", RUN, told) => drop(told?),
        failed = keep_full(&scene, &mut taken) => failed?,
    }
    ensure!(taken.len() > FEW / 4, "void: only {} connections were free", taken.len());
    for client in taken {
        client.close().await?;
    }
    let set = [("/copy/maxRowsPerSecond", json!(0)), ("/postponeCutOver", json!(false))];
    scene.manifest.set(&set)?;
    let more = |line: &Value| number(line, "rowsCopied") > number(&before, "rowsCopied");
    run.wait_until("it goes on copying", RUN, more).await?;
    expect_code(&run.wait(RUN).await?, 0)?;
    root.close().await?;
    scene.expect_completed().await
}

/// Takes connections until there has been none for some tries in a row.
async fn fill(scene: &Scene, taken: &mut Vec<Client>) -> Result<()> {
    let mut refused = 0;
    while refused < 10 {
        match scene.database.connect().await {
            Ok(client) => {
                taken.push(client);
                refused = 0;
            }
            Err(_) => refused += 1,
        }
        ensure!(taken.len() < FEW * 2, "the server has more connections than it was given");
    }
    Ok(())
}

/// Takes every connection that becomes free; ends only by failing.
async fn keep_full(scene: &Scene, taken: &mut Vec<Client>) -> Result<()> {
    loop {
        fill(scene, taken).await?;
        let_time_pass(Duration::from_millis(5)).await;
    }
}

async fn kill_all(root: &mut Client, scene: &Scene) -> Result<()> {
    for id in sessions(root, scene).await? {
        // A session may have ended by itself.
        drop(root.try_exec(&format!("KILL {id}")).await);
    }
    Ok(())
}

async fn sessions(root: &mut Client, scene: &Scene) -> Result<Vec<String>> {
    let account = literal(&scene.database.account);
    let query = format!("SELECT ID FROM performance_schema.processlist WHERE USER = {account}");
    root.texts(&query).await
}

/// Once a second one of its sessions is ended, whichever: while it copies, compares and waits.
async fn sessions_are_ended() -> Result<()> {
    let shape = crate::support::scene::Shape { rows: 8000, ..Default::default() };
    let mut scene = Scene::shared("hardships_sessions", Flavour::Gtid, shape).await?;
    let slow = json!({"threads": 2, "chunkTime": "200ms", "maxRowsPerSecond": 1000});
    scene.manifest.set(&[("/copy", slow), ("/postponeCutOver", json!(true))])?;
    let mut random = Random::new(seed());
    let mut root = scene.database.connect().await?;
    let mut run = scene.run(None)?;
    run.wait_for("RowCopy", RUN).await?;
    let (mut killed, end) = (0, Instant::now() + RUN);
    while killed < KILLS {
        ensure!(Instant::now() < end, "it has no sessions any more after {killed} were ended");
        // The time between two of them is what is tried.
        let_time_pass(Duration::from_secs(1)).await;
        let found = sessions(&mut root, &scene).await?;
        let Some(id) = found.get(random.below(found.len())) else { continue };
        killed += u32::from(root.try_exec(&format!("KILL {id}")).await.is_ok());
    }
    scene
        .manifest
        .set(&[("/copy/maxRowsPerSecond", json!(0)), ("/postponeCutOver", json!(false))])?;
    let ended = run.wait(RUN).await?;
    expect_code(&ended, 0)?;
    ensure!(ended.stderr.contains("the attempt ended"), "void: it has felt none of them");
    root.close().await?;
    scene.expect_completed().await
}

/// A transaction that has written much holds a row that a batch needs, and wants one that the batch has.
async fn deadlock() -> Result<()> {
    let server = Server::shared(Flavour::Gtid)?;
    let mut stage = Stage::open(server, "hardships_deadlock", ONE_LANE).await?;
    let mut run = Ghostship::run(&stage.manifest, None)?;
    run.wait_for("AwaitCutOver", RUN).await?;
    let (mut heavy, mut writer) =
        (stage.database.connect().await?, stage.database.connect().await?);
    heavy.exec("CREATE TABLE heavy (id INT PRIMARY KEY)").await?;
    heavy.exec("SET SESSION transaction_isolation = 'READ-COMMITTED'").await?;
    heavy.exec("BEGIN").await?;
    heavy.exec("INSERT INTO heavy SELECT id FROM m").await?;
    heavy.texts("SELECT id FROM t_gho WHERE id = 900 FOR UPDATE").await?;
    let before = deadlocks(&mut writer).await?;
    stage.on_both(&mut writer, &["UPDATE {t} SET n = n + 1 WHERE id IN (100, 900)"]).await?;
    wait_for_lock(&stage.database).await?;
    heavy.texts("SELECT id FROM t_gho WHERE id = 100 FOR UPDATE").await?;
    ensure!(deadlocks(&mut writer).await? > before, "void: there was no deadlock");
    heavy.exec("ROLLBACK").await?;
    heavy.close().await?;
    writer.close().await?;
    stage.allow_cut_over()?;
    let ended = run.wait(RUN).await?;
    ensure!(!ended.stderr.contains("the attempt ended"), "an attempt ended\n{}", ended.stderr);
    let report = stage.expect_equal(&ended).await?;
    ensure!(report["rowsRepaired"] == 0, "rows were repaired: {report}");
    stage.close().await
}

/// Deadlocks that the server has broken.
async fn deadlocks(client: &mut Client) -> Result<u64> {
    let query =
        "SELECT `COUNT` FROM information_schema.INNODB_METRICS WHERE NAME = 'lock_deadlocks'";
    Ok(client.texts(query).await?.concat().parse()?)
}

/// The transaction has written before the migration began, and commits later: its changes are in the
/// binlog behind the position from which the stream starts, and behind the chunks that have its rows.
async fn older_transaction(phase: &str, flavour: Flavour) -> Result<()> {
    let label = format!("hardships_older_{}", flavour.as_str());
    let mut stage = Stage::open(Server::shared(flavour)?, &label, SHAPE).await?;
    stage.copy_slowly(1500)?;
    stage.manifest.set(&[("/copy/chunkTime", json!("200ms"))])?;
    let mut older = stage.database.connect().await?;
    older.exec("BEGIN").await?;
    let changes = [
        "UPDATE {t} SET n = n + 1 WHERE id IN (1, 500, 3999)",
        "DELETE FROM {t} WHERE id IN (2, 501, 3998)",
        "UPDATE {t} SET id = id + 100000 WHERE id IN (3, 502, 3997)",
        "INSERT INTO {t} VALUES (-1, -1, 0), (200000, 200000, 0)",
    ];
    stage.inside(&mut older, &changes).await?;
    let mut run = Ghostship::run(&stage.manifest, None)?;
    let meant = |line: &Value| line["phase"] == phase && number(line, "rowsCopied") >= 1000;
    run.wait_until("rows are copied", RUN, meant).await?;
    older.exec("COMMIT").await?;
    older.close().await?;
    stage.allow_cut_over()?;
    let report = stage.expect_equal(&run.wait(RUN).await?).await?;
    ensure!(report["rowsRepaired"] == 0, "rows were repaired: {report}");
    stage.close().await
}

/// The optimizer knows the rows of the new table from its first statement on, also where nothing but
/// ANALYZE tells it.
async fn statistics() -> Result<()> {
    let server = Server::shared(Flavour::Gtid)?;
    let mut stage = Stage::open(server, "hardships_statistics", SHAPE).await?;
    let mut client = stage.database.connect().await?;
    client.exec("ALTER TABLE t STATS_PERSISTENT = 1, STATS_AUTO_RECALC = 0").await?;
    stage.allow_cut_over()?;
    let ended = Ghostship::run(&stage.manifest, None)?.wait(RUN).await?;
    stage.expect_equal(&ended).await?;
    let query = format!(
        "SELECT n_rows FROM mysql.innodb_table_stats WHERE database_name = {} AND table_name = 't'",
        literal(&stage.database.name)
    );
    let rows: u64 = client.texts(&query).await?.concat().parse()?;
    ensure!(rows.abs_diff(SHAPE.rows) < SHAPE.rows / 5, "the optimizer believes in {rows} rows");
    client.close().await?;
    stage.close().await
}
