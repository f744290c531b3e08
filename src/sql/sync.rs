//! Statements that make rows of the shadow table equal to those of the source table: by range for the
//! row copy, by keys for binlog events. None of them takes a row lock on the source table when it
//! runs at READ COMMITTED; in particular there is no DELETE or UPDATE with a subquery on it.

use crate::schema::key::{Key, KeyError, MigrationKey};
use crate::schema::mapping::Mapping;
use crate::schema::table::TableName;
use crate::sql::conflict::Scope;
use crate::sql::ident::{quote, quote_table};
use crate::sql::key::{digest_expression, in_list, range, select_expression};

/// Marks the state of the shadow table to which a look returns after each step.
pub const SAVEPOINT: &str = "SAVEPOINT ghostship_look";
/// Returns to it.
pub const UNDO: &str = "ROLLBACK TO SAVEPOINT ghostship_look";

/// The two tables with what connects them.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The table being changed.
    pub source: TableName,
    /// The copy with the new definition.
    pub shadow: TableName,
    /// The migration key as the source table has it.
    pub source_key: MigrationKey,
    /// The same key under the names of the shadow table.
    pub shadow_key: MigrationKey,
    /// Which columns flow where.
    pub mapping: Mapping,
}

/// The key that lies `offset` rows behind the lower bound: the upper bound of the next chunk.
pub fn boundary(
    pair: &Pair,
    lower: Option<&Key>,
    upper: Option<&Key>,
    offset: u64,
) -> Result<String, KeyError> {
    Ok(format!(
        "SELECT {} FROM {} WHERE {} ORDER BY {} LIMIT 1 OFFSET {offset}",
        key_expressions(&pair.source_key),
        indexed(pair),
        range("", &pair.source_key, lower, upper)?,
        key_order(pair),
    ))
}

/// Copies the rows of a range. A row that is already there is an error (1062).
pub fn copy_range(
    pair: &Pair,
    lower: Option<&Key>,
    upper: Option<&Key>,
) -> Result<String, KeyError> {
    Ok(format!("{} WHERE {}", insert(pair), range("", &pair.source_key, lower, upper)?))
}

/// The same for a look that is rolled back: what does not fit is a warning, not an error.
pub fn copy_range_leniently(
    pair: &Pair,
    lower: Option<&Key>,
    upper: Option<&Key>,
) -> Result<String, KeyError> {
    Ok(leniently(&copy_range(pair, lower, upper)?))
}

/// The keys of a range in their order, at most `limit`.
pub fn select_range(
    pair: &Pair,
    lower: Option<&Key>,
    upper: Option<&Key>,
    limit: usize,
) -> Result<String, KeyError> {
    Ok(format!(
        "SELECT {} FROM {} WHERE {} ORDER BY {} LIMIT {limit}",
        key_expressions(&pair.source_key),
        indexed(pair),
        range("", &pair.source_key, lower, upper)?,
        key_order(pair),
    ))
}

/// How many source rows in scope have NULL for a column of the shadow table; `None` when the column has
/// no source.
pub fn count_nulls(
    pair: &Pair,
    scope: Scope<'_>,
    column: &str,
) -> Result<Option<String>, KeyError> {
    let columns = pair.mapping.pairs.iter().find(|columns| columns.shadow.name == column);
    let Some(columns) = columns else { return Ok(None) };
    Ok(Some(format!(
        "SELECT COUNT(*) FROM {} WHERE {} AND {} IS NULL",
        indexed(pair),
        scope.condition("", &pair.source_key)?,
        quote(&columns.source.name),
    )))
}

/// The digests of those of the keys that the source table still has.
pub fn select_digests(pair: &Pair, keys: &[Key]) -> Result<String, KeyError> {
    Ok(format!(
        "SELECT {} FROM {} WHERE {} ORDER BY {}",
        digest_expression(&pair.source_key, ""),
        indexed(pair),
        in_list("", &pair.source_key, keys)?,
        key_order(pair),
    ))
}

/// Empties a range of the shadow table.
pub fn delete_range(
    pair: &Pair,
    lower: Option<&Key>,
    upper: Option<&Key>,
) -> Result<String, KeyError> {
    Ok(format!(
        "DELETE FROM {} WHERE {}",
        quote_table(&pair.shadow),
        range("", &pair.shadow_key, lower, upper)?
    ))
}

/// Those of the keys that the source table still has.
pub fn select_present(pair: &Pair, keys: &[Key]) -> Result<String, KeyError> {
    Ok(format!(
        "SELECT {} FROM {} WHERE {}",
        key_expressions(&pair.source_key),
        indexed(pair),
        in_list("", &pair.source_key, keys)?
    ))
}

/// Removes keys from the shadow table.
pub fn delete_keys(pair: &Pair, keys: &[Key]) -> Result<String, KeyError> {
    Ok(format!(
        "DELETE FROM {} WHERE {}",
        quote_table(&pair.shadow),
        in_list("", &pair.shadow_key, keys)?
    ))
}

/// Inserts the rows that the source table has for these keys; a row that is there is an error (1062).
pub fn insert_keys(pair: &Pair, keys: &[Key]) -> Result<String, KeyError> {
    Ok(format!("{} WHERE {}", insert(pair), in_list("", &pair.source_key, keys)?))
}

/// The same for a look that is rolled back: what does not fit is a warning, not an error.
pub fn insert_keys_leniently(pair: &Pair, keys: &[Key]) -> Result<String, KeyError> {
    Ok(leniently(&insert_keys(pair, keys)?))
}

/// Inserts or updates the rows that the source table has for these keys. Only for a shadow table
/// whose one unique index is the migration key: with a second one it would update another row.
/// The key columns are set as well: another spelling may be the same key to the server.
pub fn upsert_keys(pair: &Pair, keys: &[Key]) -> Result<String, KeyError> {
    let update: Vec<String> = pair
        .mapping
        .pairs
        .iter()
        .map(|columns| quote(&columns.shadow.name))
        .map(|name| format!("{name} = VALUES({name})"))
        .collect();
    Ok(format!("{} ON DUPLICATE KEY UPDATE {}", insert_keys(pair, keys)?, update.join(", ")))
}

/// An INSERT that stores the nearest value that fits.
fn leniently(insert: &str) -> String {
    insert.replacen("INSERT", "INSERT IGNORE", 1)
}

fn key_order(pair: &Pair) -> String {
    let names: Vec<String> =
        pair.source_key.columns.iter().map(|column| quote(&column.name)).collect();
    names.join(", ")
}

fn insert(pair: &Pair) -> String {
    let columns = |shadow: bool| -> String {
        let name = |pair: &crate::schema::mapping::ColumnPair| match shadow {
            true => quote(&pair.shadow.name),
            false => quote(&pair.source.name),
        };
        pair.mapping.pairs.iter().map(name).collect::<Vec<_>>().join(", ")
    };
    format!(
        "INSERT INTO {} ({}) SELECT {} FROM {}",
        quote_table(&pair.shadow),
        columns(true),
        columns(false),
        indexed(pair)
    )
}

fn indexed(pair: &Pair) -> String {
    format!("{} FORCE INDEX ({})", quote_table(&pair.source), quote(&pair.source_key.index))
}

pub(super) fn key_expressions(key: &MigrationKey) -> String {
    key.columns.iter().map(|column| select_expression(column, "")).collect::<Vec<_>>().join(", ")
}
