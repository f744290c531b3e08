//! Old tables: the ledger remembers each with its InnoDB id and until when it is kept. It is dropped by
//! that id only: a table of the same name that is not ours stays.

use super::Result;
use super::control::SHORT;
use super::error::Doing;
use super::plan::Tables;
use crate::failpoint::hit;
use crate::mysql::inspect;
use crate::mysql::session::{Row, Session};
use crate::schema::table::TableName;
use crate::sql::control::ledger;
use crate::sql::ddl;

/// Dropping a big table may take a while.
const DROP_LIMIT: std::time::Duration = std::time::Duration::from_secs(600);

/// When this very migration was finished, if the ledger has it.
///
/// # Errors
///
/// When the ledger cannot be read.
pub async fn completed_at(
    session: &mut Session,
    source: &TableName,
    digest: &str,
    migration: &str,
) -> Result<Option<String>> {
    if !has_ledger(session, &source.database).await? {
        return Ok(None);
    }
    let select = ledger::select_completed(&source.database, &source.table, digest);
    let rows = session.query_rows(&select, SHORT).await.doing("read the ledger")?;
    let row = rows.iter().find(|row| row.string(1).as_deref() == Some(migration));
    Ok(row.and_then(|row| row.string(0)))
}

async fn has_ledger(session: &mut Session, database: &str) -> Result<bool> {
    let ledger = TableName::new(database, ledger::TABLE);
    inspect::table_exists(session, &ledger).await.doing("look for the ledger")
}

/// Names under which old tables of this table are still kept.
///
/// # Errors
///
/// When the ledger cannot be read.
pub async fn kept(session: &mut Session, source: &TableName) -> Result<Vec<String>> {
    let rows = recorded(session, source).await?;
    Ok(rows.iter().filter_map(|row| row.string(1)).collect())
}

async fn recorded(session: &mut Session, source: &TableName) -> Result<Vec<Row>> {
    if !has_ledger(session, &source.database).await? {
        return Ok(Vec::new());
    }
    let select = ledger::select_old_tables(&source.database, &source.table);
    session.query_rows(&select, SHORT).await.doing("read the ledger")
}

/// Until when the old table of these tables is kept (UTC); `None` when none is on record.
///
/// # Errors
///
/// When the ledger cannot be read.
pub async fn expiry(session: &mut Session, tables: &Tables) -> Result<Option<String>> {
    let rows = recorded(session, &tables.source).await?;
    let own = rows.iter().find(|row| row.string(1).as_deref() == Some(&tables.old.table));
    Ok(own.and_then(|row| row.string(4)))
}

/// Drops the old tables of this table whose time is over.
///
/// # Errors
///
/// When the server refuses.
pub async fn drop_expired(session: &mut Session, source: &TableName) -> Result<()> {
    for row in recorded(session, source).await? {
        if row.u64(3) == Some(1) {
            drop_recorded(session, source, &row).await?;
        }
    }
    Ok(())
}

/// Drops the old table of a migration that keeps none.
///
/// # Errors
///
/// When the server refuses.
pub async fn drop_now(session: &mut Session, tables: &Tables) -> Result<()> {
    for row in recorded(session, &tables.source).await? {
        if row.string(1).as_deref() == Some(&tables.old.table) {
            drop_recorded(session, &tables.source, &row).await?;
        }
    }
    Ok(())
}

async fn drop_recorded(session: &mut Session, source: &TableName, row: &Row) -> Result<()> {
    let (Some(entry), Some(name), Some(id)) = (row.u64(0), row.string(1), row.u64(2)) else {
        return Ok(());
    };
    let old = TableName::new(&source.database, name);
    let found = inspect::table_id(session, &old).await.doing("look up the old table")?;
    if found == Some(id) {
        hit("old.drop");
        session.execute(&ddl::drop_table(&old), DROP_LIMIT).await.doing("drop the old table")?;
    }
    hit("old.dropped");
    let forget = ledger::forget_old_table(&source.database, entry);
    session.execute(&forget, SHORT).await.doing("note that the old table is gone").map(drop)
}
