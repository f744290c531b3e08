//! A migration that shall be disturbed: database, table, manifest and writers of one test, and what must
//! hold at its end: every acknowledged write is there and no other, the tables were swapped exactly
//! once, the ledger has one entry, and no helper, session or lock is left.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::client::literal;
use super::database::Database;
use super::ghostship::{Ended, Ghostship};
use super::leftovers;
use super::manifest::Manifest;
use super::random::seed;
use super::registers::{self, Registers, TABLE};
use super::server::{Flavour, Server};

/// How long a run may take.
pub(crate) const RUN: Duration = Duration::from_secs(60);
/// The change that the tests make; it needs a copy.
const ALTER: &str = "MODIFY tag VARCHAR(60) NOT NULL, ADD COLUMN note INT NULL";

/// What a scene begins with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Rows of the table.
    pub(crate) rows: u64,
    /// Whether a second unique index makes batches delete and insert.
    pub(crate) unique: bool,
    /// Connections that write.
    pub(crate) writers: u64,
}

impl Default for Shape {
    fn default() -> Self {
        Self { rows: 4000, unique: false, writers: 2 }
    }
}

/// A table under load and the manifest that changes it.
pub(crate) struct Scene {
    /// Its database.
    pub(crate) database: Arc<Database>,
    /// What runs read.
    pub(crate) manifest: Manifest,
    /// Who writes.
    pub(crate) registers: Registers,
    tables: Vec<String>,
    /// The id of the table before the first migration.
    first_id: u64,
    _directory: TempDir,
}

impl Scene {
    /// Lays a scene out on a shared server.
    pub(crate) async fn shared(label: &str, flavour: Flavour, shape: Shape) -> Result<Self> {
        Self::on(Server::shared(flavour)?, label, shape).await
    }

    /// Lays a scene out on this server.
    pub(crate) async fn on(server: &Server, label: &str, shape: Shape) -> Result<Self> {
        Self::within(server, Database::create(server, label).await?, shape).await
    }

    /// Lays a scene out in this database.
    pub(crate) async fn within(server: &Server, database: Database, shape: Shape) -> Result<Self> {
        let seed = seed();
        eprintln!("{}: seed {seed}", database.name);
        let database = Arc::new(database);
        let rows = registers::lay_out(&database, shape.rows, shape.unique).await?;
        let directory = tempfile::tempdir()?;
        let mut manifest = Manifest::write(directory.path(), server, &database, (TABLE, ALTER))?;
        manifest.set(&[
            ("/strategy", json!("Copy")),
            ("/copy", json!({"threads": 2, "chunkTime": "10ms", "maxRowsPerSecond": 4000})),
        ])?;
        let registers = Registers::start(&database, rows, shape.writers, seed).await?;
        let tables = database.tables().await?;
        let first_id = table_id(&database, TABLE).await?.context("the table has no id")?;
        Ok(Self { database, manifest, registers, tables, first_id, _directory: directory })
    }

    /// Starts a run.
    pub(crate) fn run(&self, failpoints: Option<&str>) -> Result<Ghostship> {
        Ghostship::run(&self.manifest, failpoints)
    }

    /// Runs with this failpoint, which has to kill the process.
    pub(crate) async fn killed_at(&self, failpoints: &str) -> Result<Ended> {
        let ended = self.run(Some(failpoints))?.wait(RUN).await?;
        ensure!(ended.signal == Some(9), "{failpoints} did not fire\n{}", ended.words());
        Ok(ended)
    }

    /// Runs to the end, which has to be success.
    pub(crate) async fn completes(&self) -> Result<Ended> {
        let ended = self.run(None)?.wait(RUN).await?;
        expect_code(&ended, 0)?;
        Ok(ended)
    }

    /// Whether the table bears another id than before the first migration.
    pub(crate) async fn is_swapped(&self) -> Result<bool> {
        Ok(self.id().await? != self.first_id)
    }

    /// The id of the table that bears the name.
    pub(crate) async fn id(&self) -> Result<u64> {
        table_id(&self.database, TABLE).await?.context("nothing bears the table's name")
    }

    /// The id of a table of the database; absent when there is no such table.
    pub(crate) async fn table_id(&self, table: &str) -> Result<Option<u64>> {
        table_id(&self.database, table).await
    }

    /// The helper tables that are there.
    pub(crate) async fn helpers(&self) -> Result<Vec<String>> {
        let mut now = self.database.tables().await?;
        now.retain(|name| !self.tables.contains(name) && name != "ghostship_history");
        Ok(now)
    }

    /// Rows of the finished ranges, as the control table has them.
    pub(crate) async fn recorded(&self) -> Result<u64> {
        let mut client = self.database.connect().await?;
        let query = format!("SELECT payload FROM {TABLE}_ghc WHERE kind = 'range'");
        let mut rows = 0;
        for range in client.texts(&query).await? {
            let range: Value = serde_json::from_str(&range)?;
            rows += range["rows"].as_u64().context("a range without rows")?;
        }
        client.close().await?;
        Ok(rows)
    }

    /// What the ledger has, outcome by outcome.
    pub(crate) async fn ledger(&self) -> Result<Vec<String>> {
        if !self.database.tables().await?.iter().any(|name| name == "ghostship_history") {
            return Ok(Vec::new());
        }
        let mut client = self.database.connect().await?;
        let outcomes = client.texts("SELECT outcome FROM ghostship_history ORDER BY id").await?;
        client.close().await?;
        Ok(outcomes)
    }

    /// Checks what has to hold after one migration that was completed and keeps its old table.
    pub(crate) async fn expect_completed(mut self) -> Result<()> {
        self.expect_swapped_once().await?;
        self.end().await
    }

    /// The same in a database that cannot be removed while its server runs.
    pub(crate) async fn expect_completed_there(mut self) -> Result<()> {
        self.expect_swapped_once().await?;
        self.compare().await.map(drop)
    }

    async fn expect_swapped_once(&mut self) -> Result<()> {
        self.registers.wait_for_more(20).await.context("after the swap")?;
        ensure!(self.is_swapped().await?, "the table was not swapped");
        let ledger = self.ledger().await?;
        ensure!(ledger == ["Completed"], "the ledger has {ledger:?}");
        let old = leftovers::expect_old_table(&self.database, &self.tables).await?;
        let old_id = table_id(&self.database, &old).await?;
        ensure!(old_id == Some(self.first_id), "the old table has the id {old_id:?}");
        Ok(())
    }

    /// Checks what has to hold when no helper may be left, and the table is as before.
    pub(crate) async fn expect_untouched(mut self) -> Result<()> {
        self.registers.wait_for_more(100).await?;
        ensure!(!self.is_swapped().await?, "the table was swapped");
        leftovers::expect_no_table(&self.database, &self.tables).await?;
        self.end().await
    }

    /// Ends the load, compares the table, and looks for sessions and locks.
    pub(crate) async fn end(self) -> Result<()> {
        self.compare().await?.remove().await
    }

    async fn compare(self) -> Result<Arc<Database>> {
        let written = self.registers.stop(&self.database).await?;
        ensure!(written > 100, "the run does not count: only {written} operations were held");
        leftovers::expect_no_session(&self.database).await?;
        Ok(self.database)
    }
}

/// InnoDB's id of a table; absent when there is no such table.
pub(crate) async fn table_id(database: &Database, table: &str) -> Result<Option<u64>> {
    let mut client = database.connect().await?;
    let name = literal(&format!("{}/{table}", database.name));
    let query =
        format!("SELECT TABLE_ID FROM information_schema.INNODB_TABLES WHERE NAME = {name}");
    let ids = client.texts(&query).await?;
    client.close().await?;
    Ok(ids.first().map(|id| id.parse()).transpose()?)
}

/// Fails unless the run ended with this exit code.
pub(crate) fn expect_code(ended: &Ended, code: i32) -> Result<()> {
    if ended.code == Some(code) {
        return Ok(());
    }
    bail!("the exit code is not {code}\n{}", ended.words())
}

/// The last JSON line of a run, which tells how it ended.
pub(crate) fn last_line(ended: &Ended) -> Value {
    ended.lines.last().cloned().unwrap_or_default()
}
