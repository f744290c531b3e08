//! A table `t` with a mirror `m` and the manifest that changes it: what a test of one single danger
//! needs. Who writes to both in one transaction can compare them after the run.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::client::Client;
use super::compare::Dump;
use super::database::Database;
use super::ghostship::Ended;
use super::leftovers;
use super::manifest::Manifest;
use super::server::Server;

/// How long a phase may take to come, and a run to end.
pub(crate) const RUN: Duration = Duration::from_secs(60);

/// One table, its mirror and its migration, with postponed cut-over.
pub(crate) struct Stage {
    /// Where it is.
    pub(crate) database: Database,
    /// What runs read.
    pub(crate) manifest: Manifest,
    added: Vec<&'static str>,
    _directory: TempDir,
}

/// What a stage begins with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Columns and indexes of the table.
    pub(crate) columns: &'static str,
    /// The SELECT that fills it from `n (i)`, the numbers from 1.
    pub(crate) fill: &'static str,
    /// Rows.
    pub(crate) rows: u64,
    /// The change.
    pub(crate) alter: &'static str,
    /// The column that only the changed table has.
    pub(crate) added: &'static str,
}

impl Stage {
    /// Lays table, mirror and manifest out.
    pub(crate) async fn open(server: &Server, label: &str, shape: Shape) -> Result<Self> {
        let database = Database::create(server, label).await?;
        let mut client = database.connect().await?;
        client.exec("SET SESSION cte_max_recursion_depth = 100000000").await?;
        client.exec(&format!("CREATE TABLE t ({})", shape.columns)).await?;
        let numbers = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ";
        let fill = format!("INSERT INTO t {numbers}{}) {}", shape.rows, shape.fill);
        client.exec(&fill).await?;
        client.exec("CREATE TABLE m LIKE t").await?;
        client.exec("INSERT INTO m SELECT * FROM t").await?;
        client.close().await?;
        let directory = tempfile::tempdir()?;
        let mut manifest =
            Manifest::write(directory.path(), server, &database, ("t", shape.alter))?;
        manifest.set(&[("/strategy", json!("Copy")), ("/postponeCutOver", json!(true))])?;
        Ok(Self { database, manifest, added: vec![shape.added], _directory: directory })
    }

    /// Makes the copy so slow that a test can act while it runs.
    pub(crate) fn copy_slowly(&mut self, rows_per_second: u64) -> Result<()> {
        let copy = json!({"threads": 1, "chunkTime": "10ms", "maxRowsPerSecond": rows_per_second});
        self.manifest.set(&[("/copy", copy)])
    }

    /// Lets the cut-over happen.
    pub(crate) fn allow_cut_over(&mut self) -> Result<()> {
        self.manifest.set(&[("/postponeCutOver", json!(false))])
    }

    /// Runs statements with `{t}` on the table and on its mirror, inside one transaction.
    pub(crate) async fn on_both(
        &self,
        client: &mut Client,
        statements: &[impl AsRef<str>],
    ) -> Result<()> {
        client.exec("BEGIN").await?;
        self.inside(client, statements).await?;
        client.exec("COMMIT").await.map(drop)
    }

    /// The same inside a transaction that the caller begins and ends.
    pub(crate) async fn inside(
        &self,
        client: &mut Client,
        statements: &[impl AsRef<str>],
    ) -> Result<()> {
        for table in ["t", "m"] {
            for statement in statements {
                client.exec(&statement.as_ref().replace("{t}", table)).await?;
            }
        }
        Ok(())
    }

    /// Rows of `table` that differ from the mirror's, without the added column.
    pub(crate) async fn differences(&self, table: &str) -> Result<usize> {
        let mut client = self.database.connect().await?;
        let rows = Dump::read(&mut client, table, &self.added).await?;
        let mirror = Dump::read(&mut client, "m", &[]).await?;
        client.close().await?;
        Ok(rows.missing_in(&mirror).max(mirror.missing_in(&rows)))
    }

    /// Fails unless the run ended well and the changed table equals the mirror; answers the report.
    pub(crate) async fn expect_equal(&self, ended: &Ended) -> Result<Value> {
        ensure!(ended.code == Some(0), "ghostship failed\n{}", ended.words());
        let mut client = self.database.connect().await?;
        let rows = Dump::read(&mut client, "t", &self.added).await?;
        let added = client.texts(&format!("SELECT COUNT({}) FROM t", self.added[0])).await;
        ensure!(added.is_ok(), "the table was not changed");
        let mirror = Dump::read(&mut client, "m", &[]).await?;
        client.close().await?;
        rows.expect_equal(&mirror, "the changed table against its mirror")?;
        Ok(ended.report().clone())
    }

    /// Ends a test that went well; after a failure the database is left to be looked at.
    pub(crate) async fn close(self) -> Result<()> {
        leftovers::expect_no_session(&self.database).await?;
        self.database.remove().await
    }
}
