//! What a killed worker costs, and what its successor must not do: it repeats the one chunk that was in
//! flight and no other, as the server's own count of inserted rows tells; it leaves the sessions of other
//! migrations alone; and it does not go on where ids and places mean nothing any more.

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::json;

use crate::support::client::literal;
use crate::support::database::Database;
use crate::support::registers::TABLE;
use crate::support::scene::{RUN, Scene, Shape, expect_code};
use crate::support::server::{Flavour, Server};

/// Where the first run is killed.
const COPYING: &str = "chunk.committed=kill@1";

/// The tests.
pub(crate) fn trials() -> Vec<Trial> {
    let name = |name: &str| format!("resume::{name}");
    let mut trials = vec![
        super::trial(name("only_the_chunk_in_flight_is_repeated"), chunk_in_flight),
        super::trial(name("sessions_of_another_migration_live_on"), other_migration),
        super::trial(name("another_server_is_refused"), another_server),
        super::trial(name("reset_binlog_is_named"), async || {
            lost_binlog(Flavour::Gtid, RESET).await
        }),
    ];
    for flavour in Flavour::ALL {
        let name = name(&format!("purged_binlog_is_named::{}", flavour.as_str()));
        trials.push(super::trial(name, async move || lost_binlog(flavour, PURGE).await));
    }
    trials
}

/// Statements that lose the binlog behind a stored position, when writers write between them.
const PURGE: [&str; 2] = ["FLUSH BINARY LOGS", "PURGE BINARY LOGS BEFORE NOW() + INTERVAL 1 DAY"];
const RESET: [&str; 2] = ["FLUSH BINARY LOGS", "RESET BINARY LOGS AND GTIDS"];

async fn chunk_in_flight() -> Result<()> {
    let mut scene = Scene::shared("resume_chunk", Flavour::Gtid, Shape::default()).await?;
    scene.manifest.set(&[("/copy/threads", json!(1)), ("/postponeCutOver", json!(true))])?;
    // Nobody writes, so that only the copy inserts into the shadow table.
    let held = scene.registers.hold().await;
    let rows = count(&scene.database).await?;
    let run = scene.run(Some("chunk.recorded=stop@2"))?;
    run.wait_until_stopped(RUN).await?;
    let in_flight = inserted(&scene.database).await? - scene.recorded().await?;
    ensure!(in_flight > 0, "no chunk is in flight");
    run.signal("KILL")?;
    ensure!(run.wait(RUN).await?.signal == Some(9), "the worker was not killed");
    let mut run = scene.run(None)?;
    run.wait_for("AwaitCutOver", RUN).await?;
    let repeated = inserted(&scene.database).await? - rows;
    ensure!(repeated == in_flight, "{repeated} rows were copied twice, not {in_flight}");
    ensure!(scene.recorded().await? == rows, "the finished ranges have other rows");
    drop(held);
    scene.registers.wait_for_more(100).await?;
    scene.manifest.set(&[("/postponeCutOver", json!(false))])?;
    expect_code(&run.wait(RUN).await?, 0)?;
    scene.expect_completed().await
}

/// After a restart of the server the numbers that one migration recorded belong to sessions of another one.
async fn other_migration() -> Result<()> {
    let private = Server::private("sessions", &[])?;
    let mut one = Scene::on(private.server(), "resume_one", Shape::default()).await?;
    let mut two = Scene::on(private.server(), "resume_two", Shape::default()).await?;
    two.manifest.set_account(&one.database.account, &one.database.password)?;
    for scene in [&one, &two] {
        scene.killed_at(COPYING).await?;
    }
    private.restart()?;
    one.manifest.set(&[("/postponeCutOver", json!(true))])?;
    let mut first = one.run(None)?;
    first.wait_for("AwaitCutOver", RUN).await?;
    let shared = give_numbers(&one.database, &two.database).await?;
    ensure!(shared > 3, "the first migration has only {shared} sessions");
    expect_code(&two.run(None)?.wait(RUN).await?, 0)?;
    one.manifest.set(&[("/postponeCutOver", json!(false))])?;
    let first = first.wait(RUN).await?;
    expect_code(&first, 0)?;
    ensure!(!first.stderr.contains("the attempt ended"), "it was disturbed\n{}", first.words());
    two.expect_completed().await?;
    one.expect_completed().await
}

/// Lets the sessions that `to` has on record bear the numbers of those of `from`; answers how many.
async fn give_numbers(from: &Database, to: &Database) -> Result<usize> {
    let select = format!("SELECT id FROM {TABLE}_ghc WHERE kind = 'session'");
    let mut client = from.connect().await?;
    let numbers = client.texts(&select).await?;
    client.close().await?;
    let mut client = to.connect().await?;
    for number in &numbers {
        let give = format!(
            "INSERT IGNORE INTO {TABLE}_ghc (kind, id, epoch, payload) SELECT kind, {number}, epoch, \
             payload FROM {TABLE}_ghc WHERE kind = 'session' LIMIT 1"
        );
        client.exec(&give).await?;
    }
    client.close().await?;
    Ok(numbers.len())
}

/// The server comes back with another identity, as one that was restored from a backup.
async fn another_server() -> Result<()> {
    let private = Server::private("identity", &[])?;
    let mut scene = Scene::on(private.server(), "resume_server", Shape::default()).await?;
    scene.killed_at(COPYING).await?;
    let known = variable(&scene.database, "server_uuid").await?;
    let directory = variable(&scene.database, "datadir").await?;
    private.kill()?;
    std::fs::remove_file(std::path::Path::new(&directory).join("auto.cnf"))?;
    private.restart()?;
    let found = variable(&scene.database, "server_uuid").await?;
    ensure!(known != found, "the server kept its identity");
    let refused = scene.run(None)?.wait(RUN).await?;
    expect_code(&refused, 3)?;
    for part in ["WrongServer", &known, &found, "failover", "abort: true"] {
        ensure!(refused.words().contains(part), "{part} is not named\n{}", refused.words());
    }
    abort_and_begin_anew(&mut scene).await?;
    scene.end().await
}

/// The binlog behind the stored position is gone.
async fn lost_binlog(flavour: Flavour, statements: [&str; 2]) -> Result<()> {
    let label = format!("lost{}{}", flavour.as_str(), statements[1].len());
    let private = Server::private(&label, flavour.options())?;
    let mut scene = Scene::on(private.server(), &label, Shape::default()).await?;
    scene.killed_at(COPYING).await?;
    let mut client = scene.database.connect().await?;
    for statement in statements {
        scene.registers.wait_for_more(20).await?;
        client.exec(statement).await?;
    }
    client.close().await?;
    let failed = scene.run(None)?.wait(RUN).await?;
    expect_code(&failed, 3)?;
    for part in ["PositionPurged", "cannot continue", "abort: true"] {
        ensure!(failed.words().contains(part), "{part} is not named\n{}", failed.words());
    }
    abort_and_begin_anew(&mut scene).await?;
    scene.end().await
}

async fn abort_and_begin_anew(scene: &mut Scene) -> Result<()> {
    scene.manifest.set(&[("/abort", json!(true))])?;
    expect_code(&scene.run(None)?.wait(RUN).await?, 5)?;
    let helpers = scene.helpers().await?;
    ensure!(helpers.is_empty(), "the abort left {helpers:?}");
    scene.manifest.set(&[("/abort", json!(false)), ("/oldTable", json!({"retain": "0s"}))])?;
    scene.completes().await?;
    let helpers = scene.helpers().await?;
    ensure!(helpers.is_empty(), "the second migration left {helpers:?}");
    let ledger = scene.ledger().await?;
    ensure!(ledger == ["Aborted", "Completed"], "the ledger has {ledger:?}");
    Ok(())
}

async fn variable(database: &Database, name: &str) -> Result<String> {
    let mut client = database.connect().await?;
    let found = client.texts(&format!("SELECT @@GLOBAL.{name}")).await?;
    client.close().await?;
    found.into_iter().next().with_context(|| format!("no variable {name}"))
}

async fn count(database: &Database) -> Result<u64> {
    number(database, &format!("SELECT COUNT(*) FROM {TABLE}")).await
}

/// Rows that were inserted into the shadow table, those that were rolled back as well.
async fn inserted(database: &Database) -> Result<u64> {
    let query = format!(
        "SELECT COUNT_INSERT FROM performance_schema.table_io_waits_summary_by_table \
         WHERE OBJECT_SCHEMA = {} AND OBJECT_NAME = '{TABLE}_gho'",
        literal(&database.name)
    );
    number(database, &query).await
}

async fn number(database: &Database, query: &str) -> Result<u64> {
    let mut client = database.connect().await?;
    let found = client.texts(query).await?;
    client.close().await?;
    found.first().with_context(|| format!("no row: {query}"))?.parse().context("no number")
}
