//! Statements that create, change and drop tables.

use crate::schema::alter::Alter;
use crate::schema::table::TableName;
use crate::sql::ident::{quote, quote_table};

/// An empty table with the definition of another.
pub fn create_like(table: &TableName, like: &TableName) -> String {
    format!("CREATE TABLE {} LIKE {}", quote_table(table), quote_table(like))
}

/// The user's ALTER, on a table of our choice.
pub fn alter(table: &TableName, alter: &Alter) -> String {
    format!("ALTER TABLE {} {}", quote_table(table), alter.to_sql())
}

/// The user's ALTER, only if the server can do it without touching rows.
pub fn alter_instantly(table: &TableName, alter: &Alter) -> String {
    format!("ALTER TABLE {} {}, ALGORITHM=INSTANT", quote_table(table), alter.to_sql())
}

/// Answers a row when the table has one.
pub fn any_row(table: &TableName) -> String {
    format!("SELECT 1 FROM {} LIMIT 1", quote_table(table))
}

/// Drops a table if it is there.
pub fn drop_table(table: &TableName) -> String {
    format!("DROP TABLE IF EXISTS {}", quote_table(table))
}

/// Refreshes the optimizer's statistics, on this server only.
pub fn analyze(table: &TableName) -> String {
    format!("ANALYZE NO_WRITE_TO_BINLOG TABLE {}", quote_table(table))
}

/// How long statements of this session wait for a metadata lock, in seconds.
pub fn set_lock_wait(seconds: u64) -> String {
    format!("SET SESSION lock_wait_timeout = {seconds}")
}

/// The server's `CREATE TABLE` text of one table under another table's name.
pub fn renamed(definition: &str, from: &str, to: &str) -> String {
    let start = |name: &str| format!("CREATE TABLE {}", quote(name));
    definition.replacen(&start(from), &start(to), 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definition_bears_the_final_name() {
        let text = "CREATE TABLE `a``b_ghp` (\n  `id` int\n)";
        assert_eq!(renamed(text, "a`b_ghp", "a`b"), "CREATE TABLE `a``b` (\n  `id` int\n)");
    }
}
