//! The clauses that servers know and that may not run on a shadow table, so that each gets its own message.
//! Refusing does not depend on this list: what no grammar here accepts is a syntax error.

use super::cursor::Cursor;
use super::error::AlterError;

/// Clauses that reach other tables or files, lose rows natively, or mean nothing on an empty table.
const CLAUSES: [&[&str]; 53] = [
    &["ADD", "PERIOD", "FOR"],
    &["ADD", "SYSTEM", "VERSIONING"],
    &["ANALYZE", "PARTITION"],
    &["CHECK", "PARTITION"],
    &["CLUSTERING"],
    &["COMPRESSED"],
    &["CONNECTION"],
    &["CONVERT", "PARTITION"],
    &["CONVERT", "TABLE"],
    &["DATA", "DIRECTORY"],
    &["DISABLE", "KEYS"],
    &["DISCARD"],
    &["DROP", "PARTITION"],
    &["DROP", "PERIOD", "FOR"],
    &["DROP", "SYSTEM", "VERSIONING"],
    &["ENABLE", "KEYS"],
    &["ENGINE_ATTRIBUTE"],
    &["EXCHANGE"],
    &["IF", "EXISTS"],
    &["IF", "NOT", "EXISTS"],
    &["IGNORE"],
    &["IMPORT"],
    &["INDEX", "DIRECTORY"],
    &["INSERT_METHOD"],
    &["LOCAL"],
    &["NODEGROUP"],
    &["NOT", "SECONDARY"],
    &["NOWAIT"],
    &["NO_WRITE_TO_BINLOG"],
    &["OFFLINE"],
    &["ONLINE"],
    &["OPTIMIZE", "PARTITION"],
    &["ORDER", "BY"],
    &["PASSWORD"],
    &["REBUILD", "PARTITION"],
    &["REPAIR", "PARTITION"],
    &["SECONDARY_ENGINE"],
    &["SECONDARY_ENGINE_ATTRIBUTE"],
    &["SECONDARY_LOAD"],
    &["SECONDARY_UNLOAD"],
    &["SEQUENCE"],
    &["START", "TRANSACTION"],
    &["STORAGE"],
    &["SYSTEM_TIME"],
    &["TABLESPACE"],
    &["TRUNCATE", "PARTITION"],
    &["UNION"],
    &["UPGRADE", "PARTITIONING"],
    &["WAIT"],
    &["WITH", "SYSTEM", "VERSIONING"],
    &["WITH", "VALIDATION"],
    &["WITHOUT", "SYSTEM", "VERSIONING"],
    &["WITHOUT", "VALIDATION"],
];

/// The message for a refused clause that begins here.
pub(super) fn refused_clause(cursor: &Cursor<'_, '_>) -> Option<AlterError> {
    if cursor.at(&["FOREIGN", "KEY"]) || cursor.at(&["REFERENCES"]) {
        return Some(AlterError::AddForeignKey);
    }
    for word in ["ALGORITHM", "LOCK"] {
        if cursor.at(&[word]) {
            return Some(AlterError::ChooseAlgorithm { clause: word.to_owned() });
        }
    }
    let words = CLAUSES.iter().find(|words| cursor.at(words))?;
    Some(AlterError::UseClause { clause: words.join(" ") })
}

/// The message for what stands behind a complete clause or in place of a part of it.
pub(super) fn refused_tail(cursor: &Cursor<'_, '_>) -> Option<AlterError> {
    if cursor.at(&["PARTITION"]) || cursor.at(&["REMOVE", "PARTITIONING"]) {
        return Some(AlterError::MixPartitioning);
    }
    if cursor.at(&["RENAME"]) {
        return Some(AlterError::RenameTable);
    }
    refused_clause(cursor)
}
