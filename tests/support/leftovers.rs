//! What may be left after a run: the retained old table and the ledger, and nothing else; no session
//! of the tool's account, and with the sessions no lock of any kind.

use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::client::{Client, literal};
use super::database::Database;
use super::wait::wait_for;

const LEDGER: &str = "ghostship_history";
const DEADLINE: Duration = Duration::from_secs(10);

/// The one table that is new besides the ledger; fails when there is none or more than one.
pub(crate) async fn expect_old_table(database: &Database, before: &[String]) -> Result<String> {
    let mut new = new_tables(database, before).await?;
    match (new.pop(), new.is_empty()) {
        (Some(old), true) => Ok(old),
        (None, _) => bail!("the old table is not kept"),
        (Some(last), false) => bail!("besides the old table there are left: {new:?} and {last}"),
    }
}

/// Fails when any table is new besides the ledger.
pub(crate) async fn expect_no_table(database: &Database, before: &[String]) -> Result<()> {
    let new = new_tables(database, before).await?;
    if new.is_empty() { Ok(()) } else { bail!("tables are left over: {new:?}") }
}

/// Fails when, after some seconds, the tool's account still has sessions or a lock is still held in the
/// database. The server notices the end of a binlog reader late, hence the wait.
pub(crate) async fn expect_no_session(database: &Database) -> Result<()> {
    let mut client = database.connect().await?;
    let account = literal(&database.account);
    let sessions = format!(
        "SELECT CONCAT(ID, ' ', COMMAND, ' ', COALESCE(STATE, '')) FROM performance_schema.processlist \
         WHERE USER = {account}"
    );
    wait_for_none(&mut client, "the tool's sessions to end", &sessions).await?;
    let locks = format!(
        "SELECT CONCAT(OBJECT_TYPE, ' ', OBJECT_NAME, ' ', LOCK_TYPE, ' ', LOCK_STATUS) \
         FROM performance_schema.metadata_locks WHERE OWNER_THREAD_ID <> PS_CURRENT_THREAD_ID() \
         AND (OBJECT_SCHEMA = {} OR OBJECT_TYPE = 'USER LEVEL LOCK' AND OBJECT_NAME LIKE {})",
        literal(&database.name),
        literal(&format!("%{}%", database.name)),
    );
    wait_for_none(&mut client, "all locks to be released", &locks).await?;
    client.close().await
}

/// The sessions of the tool's account that do anything but send the binlog: the server notices the end of
/// those late.
pub(crate) async fn sessions(database: &Database) -> Result<Vec<String>> {
    let mut client = database.connect().await?;
    let query = format!(
        "SELECT CONCAT(ID, ' ', COMMAND, ' ', COALESCE(STATE, '')) FROM performance_schema.processlist \
         WHERE USER = {} AND COMMAND NOT LIKE 'Binlog Dump%'",
        literal(&database.account)
    );
    let found = client.texts(&query).await?;
    client.close().await?;
    Ok(found)
}

async fn wait_for_none(client: &mut Client, what: &str, query: &str) -> Result<()> {
    let probe = async || {
        let found = client.texts(query).await?;
        Ok(if found.is_empty() { Ok(()) } else { Err(found) })
    };
    wait_for(what, DEADLINE, probe).await
}

async fn new_tables(database: &Database, before: &[String]) -> Result<Vec<String>> {
    let now = database.tables().await.context("looking for leftovers")?;
    Ok(now.into_iter().filter(|name| !before.contains(name) && name != LEDGER).collect())
}
