//! The fingerprint of a definition: equal for tables with the same columns and indexes, whatever their
//! name, statistics and counters.

use sha2::{Digest, Sha256};

use super::table::Table;

/// Hex SHA-256 of columns and indexes.
pub fn fingerprint(table: &Table) -> String {
    let text = format!("{:?}|{:?}|{}", table.columns, table.indexes, table.engine);
    hex::encode(Sha256::digest(text.as_bytes()))
}
