//! Statements of the cut-over.

use crate::schema::table::TableName;
use crate::sql::ident::quote_table;

/// Settings of the session that holds the lock: explicit commits, short waits, and an idle limit so
/// that a worker which is cut off from the server cannot keep the lock.
pub const SET_UP: &str = "SET SESSION autocommit = 0, lock_wait_timeout = 2, \
                          innodb_lock_wait_timeout = 2, wait_timeout = 5";

/// Frees all table locks of the session.
pub const UNLOCK: &str = "UNLOCK TABLES";

/// Locks the source, the shadow and the control table against everybody else.
pub fn lock(source: &TableName, shadow: &TableName, control: &TableName) -> String {
    format!(
        "LOCK TABLES {} WRITE, {} WRITE, {} WRITE",
        quote_table(source),
        quote_table(shadow),
        quote_table(control)
    )
}

/// As [`lock`], with the aliases that the search for conflicting rows uses.
pub fn lock_with_aliases(source: &TableName, shadow: &TableName, control: &TableName) -> String {
    format!(
        "{}, {} AS s1 READ, {} AS s2 READ, {} AS t1 READ",
        lock(source, shadow, control),
        quote_table(source),
        quote_table(source),
        quote_table(shadow)
    )
}

/// The swap: one statement, both names change at once.
pub fn rename(source: &TableName, old: &TableName, shadow: &TableName) -> String {
    let source_name = quote_table(source);
    format!(
        "RENAME TABLE {source_name} TO {}, {} TO {source_name}",
        quote_table(old),
        quote_table(shadow)
    )
}

/// Sets the next AUTO_INCREMENT value.
pub fn set_auto_increment(table: &TableName, value: u64) -> String {
    format!("ALTER TABLE {} AUTO_INCREMENT = {value}", quote_table(table))
}
