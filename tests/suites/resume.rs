//! What a killed worker costs: its successor repeats the one chunk that was in flight and no other, as
//! the server's own count of inserted rows tells.

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::support::client::{literal, text};
use crate::support::database::Database;
use crate::support::registers::TABLE;
use crate::support::scene::{RUN, Scene, Shape, expect_code};
use crate::support::server::Flavour;

/// The test.
pub(crate) fn trials() -> Vec<Trial> {
    let name = "resume::only_the_chunk_in_flight_is_repeated".to_owned();
    vec![super::trial(name, only_the_chunk_in_flight_is_repeated)]
}

async fn only_the_chunk_in_flight_is_repeated() -> Result<()> {
    let mut scene = Scene::shared("resume_chunk", Flavour::Gtid, Shape::default()).await?;
    scene.manifest.set(&[("/copy/threads", json!(1)), ("/postponeCutOver", json!(true))])?;
    // Nobody writes, so that only the copy inserts into the shadow table.
    let held = scene.registers.hold().await;
    let rows = count(&scene.database).await?;
    let run = scene.run(Some("chunk.recorded=stop@2"))?;
    run.wait_until_stopped(RUN).await?;
    let in_flight = inserted(&scene.database).await? - recorded(&scene.database).await?;
    ensure!(in_flight > 0, "no chunk is in flight");
    run.signal("KILL")?;
    ensure!(run.wait(RUN).await?.signal == Some(9), "the worker was not killed");
    let mut run = scene.run(None)?;
    run.wait_for("AwaitCutOver", RUN).await?;
    let repeated = inserted(&scene.database).await? - rows;
    ensure!(repeated == in_flight, "{repeated} rows were copied twice, not {in_flight}");
    ensure!(recorded(&scene.database).await? == rows, "the finished ranges have other rows");
    drop(held);
    scene.registers.wait_for_more(100).await?;
    scene.manifest.set(&[("/postponeCutOver", json!(false))])?;
    expect_code(&run.wait(RUN).await?, 0)?;
    scene.expect_completed().await
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

/// Rows of the finished ranges, as the control table has them.
async fn recorded(database: &Database) -> Result<u64> {
    let mut client = database.connect().await?;
    let query = format!("SELECT payload FROM {TABLE}_ghc WHERE kind = 'range'");
    let mut rows = 0;
    for row in client.rows(&query).await? {
        let range: Value = serde_json::from_str(&text(&row, 0))?;
        rows += range["rows"].as_u64().context("a range without rows")?;
    }
    client.close().await?;
    Ok(rows)
}

async fn number(database: &Database, query: &str) -> Result<u64> {
    let mut client = database.connect().await?;
    let found = client.texts(query).await?;
    client.close().await?;
    found.first().with_context(|| format!("no row: {query}"))?.parse().context("no number")
}
