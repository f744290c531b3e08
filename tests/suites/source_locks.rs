//! The source table is never row-locked by ghostship: the server's list of locks is sampled as fast as
//! it answers while rows are copied, changes applied and ranges verified under load. The same samples
//! must show our locks on the shadow table, or the suite would prove nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::json;

use crate::support::client::{Client, literal};
use crate::support::database::Database;
use crate::support::ghostship::Ghostship;
use crate::support::load::{self, Load};
use crate::support::manifest::Manifest;
use crate::support::random::seed;
use crate::support::server::{Flavour, Server};
use crate::support::stage::RUN;
use crate::support::workload::{self, Workload};

const ROWS: i64 = 8_000;
const ROWS_PER_SECOND: u64 = 3_000;
/// Samples without which a run is void: all, and those that show our locks on the shadow table.
const LEAST: (u64, u64) = (200, 10);

/// What the samples showed.
#[derive(Debug, Default)]
struct Seen {
    samples: u64,
    on_shadow: u64,
    on_source: Vec<String>,
}

/// One test per shape of the shadow's indexes and server.
pub(crate) fn trials() -> Vec<Trial> {
    let shapes = workload::ALL.iter().filter(|one| ["registers", "swap"].contains(&one.name));
    let of_shape = |workload: &'static Workload| {
        Flavour::ALL.map(|flavour| {
            let name = format!("source_locks::{}_{}", workload.name, flavour.as_str());
            super::trial(name, move || run(workload, flavour))
        })
    };
    shapes.flat_map(of_shape).collect()
}

async fn run(workload: &'static Workload, flavour: Flavour) -> Result<()> {
    let server = Server::shared(flavour)?;
    let label = format!("locks_{}_{}", workload.name, flavour.as_str());
    let database = Database::create(server, &label).await?;
    load::lay_out(&database, workload, ROWS).await?;
    let directory = tempfile::tempdir()?;
    let table = ("t", workload.alter);
    let mut manifest = Manifest::write(directory.path(), server, &database, table)?;
    let copy = json!({"threads": 2, "chunkTime": "20ms", "maxRowsPerSecond": ROWS_PER_SECOND});
    manifest.set(&[("/strategy", json!("Copy")), ("/copy", copy)])?;
    manifest.set(&[("/postponeCutOver", json!(true))])?;
    expect_seen(server, &database).await?;
    let seed = seed();
    let load = Load::start(&database, workload, (ROWS, 3), seed).await?;
    let seen = observe(&database, &manifest).await;
    load.stop().await?;
    let seen = seen.with_context(|| format!("{label}, seed {seed}"))?;
    eprintln!("{label}: {seen:?}");
    ensure!(seen.on_source.is_empty(), "rows of the source were locked: {seen:?}");
    ensure!(seen.samples >= LEAST.0 && seen.on_shadow >= LEAST.1, "void: {seen:?}");
    database.remove().await
}

/// Fails unless a row lock that a session of the account holds on the source table is seen.
async fn expect_seen(server: &Server, database: &Database) -> Result<()> {
    let (host, port) = server.address()?;
    let url = format!("mysql://{}:{}@{host}:{port}", database.account, database.password);
    let mut holder = Client::connect(&url, Some(&database.name)).await?;
    holder.exec("BEGIN").await?;
    holder.rows("SELECT id FROM t WHERE id = 7 FOR SHARE").await?;
    let mut client = database.connect().await?;
    let locks = client.texts(&query(database)).await?;
    ensure!(locks.iter().any(|lock| lock.starts_with("t ")), "the sample is blind: {locks:?}");
    holder.close().await?;
    client.close().await
}

/// Samples from the first copied row until the cut-over waits, then aborts the migration.
async fn observe(database: &Database, manifest: &Manifest) -> Result<Seen> {
    let mut ghostship = Ghostship::run(manifest, None)?;
    ghostship.wait_for("RowCopy", RUN).await?;
    let enough = Arc::new(AtomicBool::new(false));
    let query = query(database);
    let sampler = tokio::spawn(sample(database.connect().await?, query, Arc::clone(&enough)));
    let waiting = ghostship.wait_for("AwaitCutOver", RUN).await;
    enough.store(true, Ordering::SeqCst);
    let seen = sampler.await??;
    waiting?;
    ghostship.signal("TERM")?;
    let ended = ghostship.wait(RUN).await?;
    ensure!(ended.code == Some(4), "ghostship did not leave\n{}", ended.words());
    Ok(seen)
}

/// Tables and kinds of all row locks that sessions of the tool's account hold or wait for.
fn query(database: &Database) -> String {
    format!(
        "SELECT DISTINCT CONCAT(l.OBJECT_NAME, ' ', l.LOCK_TYPE, ' ', l.LOCK_MODE) \
         FROM performance_schema.data_locks AS l \
         JOIN performance_schema.threads AS h ON h.THREAD_ID = l.THREAD_ID \
         WHERE h.PROCESSLIST_USER = {} AND l.OBJECT_SCHEMA = {} AND l.LOCK_TYPE = 'RECORD'",
        literal(&database.account),
        literal(&database.name)
    )
}

async fn sample(mut client: Client, query: String, enough: Arc<AtomicBool>) -> Result<Seen> {
    let mut seen = Seen::default();
    while !enough.load(Ordering::SeqCst) {
        let locks = client.texts(&query).await?;
        seen.samples += 1;
        seen.on_shadow += u64::from(locks.iter().any(|lock| lock.starts_with("t_gho ")));
        seen.on_source.extend(locks.into_iter().filter(|lock| lock.starts_with("t ")));
    }
    client.close().await?;
    Ok(seen)
}
