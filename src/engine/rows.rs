//! Keys out of result rows.

use super::{Error, Result};
use crate::mysql::session::Row;
use crate::schema::key::{Key, MigrationKey};

/// The key in the first columns of a row that was selected with the key's select expressions.
///
/// # Errors
///
/// When a part is missing or unreadable.
pub fn key_of(key: &MigrationKey, row: &Row) -> Result<Key> {
    let missing = || Error::BrokenInvariant { what: "a key column came back as NULL" };
    let parts: Result<Vec<_>> = (0..key.columns.len())
        .map(|column| {
            let text = row.text(column).ok_or_else(missing)?;
            Ok(key.part_from_select(column, text)?)
        })
        .collect();
    Ok(key.encode(&parts?)?)
}
