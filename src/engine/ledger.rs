//! The ledger over the years: the column that those of former versions lack, and rows whose time is over. Neither
//! keeps a finished migration from its end.

use std::collections::BTreeMap;

use super::control::{SHORT, fenced};
use super::error::Doing;
use super::failure::chain;
use super::resume::Unfinished;
use super::{Error, Result};
use crate::failpoint::hit;
use crate::mysql::inspect;
use crate::mysql::session::{Row, Session};
use crate::schema::table::TableName;
use crate::sql::control::ledger;

/// Rows that are looked at in one go, the oldest ones.
const ROWS: u32 = 1000;

/// A row of the ledger, as far as its end depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    id: u64,
    table: String,
    completed: bool,
    /// Whether its old table has still to be dropped, which only this row remembers.
    has_old_table: bool,
    is_over: bool,
}

/// Whether the ledger has a column for changes. It is added when it is missing; a server that cannot do so
/// without touching rows, or not now, goes without.
///
/// # Errors
///
/// When the server cannot be asked.
pub async fn has_changes(session: &mut Session, database: &str) -> Result<bool> {
    if look(session, database).await? {
        return Ok(true);
    }
    hit("ledger.column");
    if let Err(error) = session.execute(&ledger::add_changes(database), SHORT).await {
        tracing::warn!(%error, "the ledger has no column for changes and gets none now");
    }
    hit("ledger.widened");
    // Somebody else may have added it at the same time.
    look(session, database).await
}

async fn look(session: &mut Session, database: &str) -> Result<bool> {
    let table = TableName::new(database, ledger::TABLE);
    let found = inspect::column_exists(session, &table, ledger::CHANGES).await;
    found.doing("look at the ledger's columns")
}

/// Removes rows whose time is over. What goes wrong is only logged: the next run that ends removes them.
///
/// # Errors
///
/// When another worker has taken over.
pub async fn prune(session: &mut Session, found: &Unfinished) -> Result<()> {
    match try_prune(session, found).await {
        Err(Error::Superseded) => Err(Error::Superseded),
        Err(error) => {
            tracing::warn!(error = chain(&error), "old rows of the ledger could not be removed");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

async fn try_prune(session: &mut Session, found: &Unfinished) -> Result<()> {
    let Some(age) = found.request.ledger_retain else { return Ok(()) };
    let database = &found.tables.source.database;
    let select = ledger::select_oldest(database, age.as_secs(), ROWS);
    let rows = session.query_rows(&select, SHORT).await.doing("read the ledger")?;
    let rows: Vec<Known> = rows.iter().filter_map(known).collect();
    let ids = expired(&rows);
    if ids.is_empty() {
        return Ok(());
    }
    hit("ledger.prune");
    let delete = ledger::delete(database, &ids);
    fenced(session, &found.tables.control, found.epoch, async |session| {
        session.execute(&delete, SHORT).await.doing("remove old rows of the ledger").map(drop)
    })
    .await?;
    hit("ledger.pruned");
    tracing::info!(rows = ids.len(), "removed rows of the ledger whose time is over");
    Ok(())
}

fn known(row: &Row) -> Option<Known> {
    let holds = |at| Some(row.u64(at)? == 1);
    Some(Known {
        id: row.u64(0)?,
        table: row.string(1)?,
        completed: holds(2)?,
        has_old_table: holds(3)?,
        is_over: holds(4)?,
    })
}

/// The rows that go, of rows by id. The newest completed one of each table stays: it makes applying that
/// migration again do nothing. Rows behind those that are looked at can only keep more.
fn expired(rows: &[Known]) -> Vec<u64> {
    let completed = rows.iter().filter(|row| row.completed);
    let newest: BTreeMap<&str, u64> = completed.map(|row| (row.table.as_str(), row.id)).collect();
    let stays = |row: &&Known| row.has_old_table || newest.get(row.table.as_str()) == Some(&row.id);
    rows.iter().filter(|row| row.is_over && !stays(row)).map(|row| row.id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `c` completed, `a` aborted; `o` has an old table; capitals are over.
    fn rows(text: &str) -> Vec<Known> {
        let row = |(at, word): (usize, &str)| {
            let (table, rest) = word.split_once(':').unwrap();
            let lower = rest.to_lowercase();
            Known {
                id: u64::try_from(at).unwrap(),
                table: table.to_owned(),
                completed: lower.contains('c'),
                has_old_table: lower.contains('o'),
                is_over: rest != lower,
            }
        };
        text.split_whitespace().enumerate().map(row).collect()
    }

    #[test]
    fn what_is_over_goes_but_for_what_is_still_needed() {
        let cases: [(&str, &[u64]); 8] = [
            ("", &[]),
            ("t:C", &[]),
            ("t:C t:C", &[0]),
            ("t:C t:c", &[0]),
            ("t:C u:C t:A", &[2]),
            ("t:A t:A", &[0, 1]),
            ("t:CO t:C t:c", &[1]),
            ("t:C u:C t:C u:c t:a", &[0, 1]),
        ];
        for (text, expected) in cases {
            assert_eq!(expired(&rows(text)), expected, "{text}");
        }
    }
}
