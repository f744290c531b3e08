//! The case files themselves, without ghostship: every statement of an accepted case is valid, before
//! and after the server's own ALTER, and the twin that the oracle builds equals the table so altered.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;

use crate::support::case::{Case, Expect, directories};
use crate::support::database::Database;
use crate::support::random::seed;
use crate::support::server::{Flavour, Server};
use crate::support::twin::Twin;
use crate::support::writer::run_each_once;

/// One test per case.
pub(crate) fn trials() -> Vec<Trial> {
    let paths = directories().expect("the cases are there");
    paths
        .into_iter()
        .map(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            super::trial(format!("files::{name}"), move || check(path))
        })
        .collect()
}

async fn check(path: impl AsRef<Path>) -> Result<()> {
    let case = Case::read(path.as_ref())?;
    ensure!(!case.servers.is_empty(), "the case runs on no server");
    let server = Server::shared(Flavour::Gtid)?;
    let database = Database::create(server, &format!("files_{}", case.name)).await?;
    let mut client = database.connect().await?;
    case.lay_out(&mut client).await?;
    client.close().await?;
    run_each_once(&database, &case, seed()).await.context("the workload before the change")?;
    if case.expect == Expect::Completed {
        alter_natively(&database, &case).await?;
    }
    database.remove().await
}

async fn alter_natively(database: &Database, case: &Case) -> Result<()> {
    let twin = Twin::build(database, case).await?;
    let mut client = database.connect().await?;
    case.prepare(&mut client).await?;
    client.exec(&case.statement()).await?;
    client.close().await?;
    twin.expect_migrated(database, case)
        .await
        .context("the twin against the server's own ALTER")?;
    run_each_once(database, case, seed()).await.context("the workload after the change")
}
