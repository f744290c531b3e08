//! The control table: one small table beside the source table that holds everything a later attempt
//! has to know. Rows are told apart by (kind, id); the payload is JSON.
//!
//! | kind | id | what |
//! | --- | --- | --- |
//! | `fence` | epoch | the one worker that may write; share-locked by every write transaction |
//! | `state` | 0 | what the migration is and in which phase |
//! | `session` | connection id | a session of the current epoch with its name, by which a successor ends it |
//! | `range` | running number | a finished range, written in the transaction of its rows |
//! | `position` | lane | the durable position as that lane last wrote it |
//! | `heartbeat`, `marker`, `barrier` | varies | small writes that are awaited in the stream or at commit |

use crate::schema::table::TableName;
use crate::sql::ident::quote_table;

/// Kinds of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The worker that may write.
    Fence,
    /// What the migration is and where it stands.
    State,
    /// A session of the current epoch.
    Session,
    /// A finished range.
    Range,
    /// A durable position.
    Position,
    /// The periodic write that measures lag.
    Heartbeat,
    /// A write that is awaited in the stream.
    Marker,
    /// A write whose commit shows that everything before it is visible.
    Barrier,
}

impl Kind {
    /// The stored form.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fence => "fence",
            Self::State => "state",
            Self::Session => "session",
            Self::Range => "range",
            Self::Position => "position",
            Self::Heartbeat => "heartbeat",
            Self::Marker => "marker",
            Self::Barrier => "barrier",
        }
    }
}

/// The comment by which our own control tables are known.
pub const COMMENT: &str = "ghostship control table";

/// Creates the table; an error (1050) when the name is taken.
pub fn create(control: &TableName) -> String {
    format!(
        "CREATE TABLE {} (kind VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, \
         id BIGINT UNSIGNED NOT NULL, epoch BIGINT UNSIGNED NOT NULL, \
         payload LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, \
         PRIMARY KEY (kind, id)) ENGINE=InnoDB COMMENT='{COMMENT}'",
        quote_table(control)
    )
}

/// Inserts a row; an error (1062) when it is there already.
pub fn insert(control: &TableName, kind: Kind, id: u64, epoch: u64, payload: &str) -> String {
    format!(
        "INSERT INTO {} (kind, id, epoch, payload) VALUES ('{}', {id}, {epoch}, {})",
        quote_table(control),
        kind.as_str(),
        text_literal(payload)
    )
}

/// Locks the table against everybody else.
pub fn lock(control: &TableName) -> String {
    format!("LOCK TABLES {} WRITE", quote_table(control))
}

/// Inserts a row or replaces its payload.
pub fn put(control: &TableName, kind: Kind, id: u64, epoch: u64, payload: &str) -> String {
    format!(
        "{} ON DUPLICATE KEY UPDATE epoch = VALUES(epoch), payload = VALUES(payload)",
        insert(control, kind, id, epoch, payload)
    )
}

/// All rows of a kind, by id: id, epoch, payload.
pub fn select(control: &TableName, kind: Kind) -> String {
    format!(
        "SELECT id, epoch, payload FROM {} WHERE kind = '{}' ORDER BY id",
        quote_table(control),
        kind.as_str()
    )
}

/// The fence row of any epoch, locked against every writer.
pub fn select_fence_for_update(control: &TableName) -> String {
    format!("{} FOR UPDATE", select(control, Kind::Fence))
}

/// The fence row of this epoch, share-locked: no row means that a successor has taken over.
pub fn share_fence(control: &TableName, epoch: u64) -> String {
    format!(
        "SELECT id FROM {} WHERE kind = 'fence' AND id = {epoch} LOCK IN SHARE MODE",
        quote_table(control)
    )
}

/// Removes one row.
pub fn delete(control: &TableName, kind: Kind, id: u64) -> String {
    format!("DELETE FROM {} WHERE kind = '{}' AND id = {id}", quote_table(control), kind.as_str())
}

/// Removes the rows of a kind that epochs before this one wrote.
pub fn delete_older(control: &TableName, kind: Kind, epoch: u64) -> String {
    format!(
        "DELETE FROM {} WHERE kind = '{}' AND epoch < {epoch}",
        quote_table(control),
        kind.as_str()
    )
}

/// A character literal that holds any text whatever the SQL mode.
pub fn text_literal(text: &str) -> String {
    if text.is_empty() { "''".to_owned() } else { format!("_utf8mb4 x'{}'", hex::encode(text)) }
}

/// The ledger of finished migrations in each database.
pub mod ledger {
    use crate::schema::table::TableName;
    use crate::sql::control::text_literal;
    use crate::sql::ident::quote_table;

    /// Name of the ledger table.
    pub const TABLE: &str = "ghostship_history";
    /// The column that ledgers of former versions lack.
    pub const CHANGES: &str = "changes";
    /// The longest name of who asked, in characters.
    const REQUESTED_BY: usize = 255;

    /// One finished migration.
    #[derive(Clone, Debug)]
    pub struct Entry<'a> {
        /// The table that was changed.
        pub table: &'a str,
        /// Digest of the ALTER.
        pub digest: &'a str,
        /// Namespace and name of the migration.
        pub migration: &'a str,
        /// Its UID, empty when it has none.
        pub uid: &'a str,
        /// `Completed` or `Aborted`.
        pub outcome: &'a str,
        /// Who asked for it, as far as known.
        pub requested_by: &'a str,
        /// Figures as JSON.
        pub figures: &'a str,
        /// What was changed while it ran, as JSON; absent when the ledger has no column for it.
        pub changes: Option<&'a str>,
        /// Name of the old table, empty when there is none.
        pub old_table: &'a str,
        /// InnoDB id of the old table, 0 when there is none.
        pub old_table_id: u64,
        /// For how many seconds the old table is kept.
        pub retain_seconds: u64,
    }

    fn name(database: &str) -> String {
        quote_table(&TableName::new(database, TABLE))
    }

    /// Creates the ledger when it is not there.
    pub fn create(database: &str) -> String {
        format!(
            "CREATE TABLE IF NOT EXISTS {} (\
             id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, \
             finished_at DATETIME(6) NOT NULL, table_name VARCHAR(64) NOT NULL, \
             alter_digest CHAR(64) CHARACTER SET ascii NOT NULL, \
             migration VARCHAR(512) NOT NULL, migration_uid VARCHAR(64) NOT NULL, \
             outcome VARCHAR(32) NOT NULL, requested_by VARCHAR(255) NOT NULL, \
             figures LONGTEXT NOT NULL, old_table VARCHAR(64) NOT NULL, \
             old_table_id BIGINT UNSIGNED NOT NULL, old_table_expires DATETIME(6) NULL, \
             {CHANGES} LONGTEXT NULL, KEY by_table (table_name, alter_digest)) ENGINE=InnoDB \
             DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT='ghostship ledger'",
            name(database)
        )
    }

    /// Adds the column for changes, as long as that touches no row; an error (1060) when it is there already.
    pub fn add_changes(database: &str) -> String {
        format!(
            "ALTER TABLE {} ADD COLUMN {CHANGES} LONGTEXT NULL, ALGORITHM=INSTANT",
            name(database)
        )
    }

    /// Adds an entry.
    pub fn insert(database: &str, entry: &Entry<'_>) -> String {
        let (column, changes) = match entry.changes {
            Some(changes) => (format!(", {CHANGES}"), format!(", {}", text_literal(changes))),
            None => (String::new(), String::new()),
        };
        let requested_by: String = entry.requested_by.chars().take(REQUESTED_BY).collect();
        format!(
            "INSERT INTO {} (finished_at, table_name, alter_digest, migration, migration_uid, \
             outcome, requested_by, figures, old_table, old_table_id, old_table_expires{column}) VALUES \
             (UTC_TIMESTAMP(6), {}, {}, {}, {}, {}, {}, {}, {}, {}, {}{changes})",
            name(database),
            text_literal(entry.table),
            text_literal(entry.digest),
            text_literal(entry.migration),
            text_literal(entry.uid),
            text_literal(entry.outcome),
            text_literal(&requested_by),
            text_literal(entry.figures),
            text_literal(entry.old_table),
            entry.old_table_id,
            match entry.old_table {
                "" => "NULL".to_owned(),
                _ => format!("UTC_TIMESTAMP(6) + INTERVAL {} SECOND", entry.retain_seconds),
            }
        )
    }

    /// The completed entries of a table with this digest, newest first:
    /// finished_at, migration, figures.
    pub fn select_completed(database: &str, table: &str, digest: &str) -> String {
        format!(
            "SELECT finished_at, migration, figures FROM {} WHERE table_name = {} \
             AND alter_digest = {} AND outcome = 'Completed' ORDER BY id DESC",
            name(database),
            text_literal(table),
            text_literal(digest)
        )
    }

    /// Old tables of this table that are still on record:
    /// id, old_table, old_table_id, whether the time is over (0 or 1), expiry.
    pub fn select_old_tables(database: &str, table: &str) -> String {
        format!(
            "SELECT id, old_table, old_table_id, old_table_expires <= UTC_TIMESTAMP(6), \
             old_table_expires FROM {} WHERE table_name = {} AND old_table <> '' ORDER BY id",
            name(database),
            text_literal(table)
        )
    }

    /// The oldest entries, at most `limit`, by id: id, table, whether it was completed, whether its old
    /// table is on record, whether it finished more than `age` seconds ago (each 0 or 1).
    pub fn select_oldest(database: &str, age: u64, limit: u32) -> String {
        format!(
            "SELECT id, table_name, outcome = 'Completed', old_table <> '', \
             finished_at < UTC_TIMESTAMP(6) - INTERVAL {age} SECOND FROM {} ORDER BY id LIMIT {limit}",
            name(database)
        )
    }

    /// Removes entries.
    pub fn delete(database: &str, ids: &[u64]) -> String {
        let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
        format!("DELETE FROM {} WHERE id IN ({})", name(database), ids.join(", "))
    }

    /// Notes that the old table of an entry is gone.
    pub fn forget_old_table(database: &str, id: u64) -> String {
        format!(
            "UPDATE {} SET old_table = '', old_table_id = 0, old_table_expires = NULL \
             WHERE id = {id}",
            name(database)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_fits_the_ledger_that_is_there() {
        let name = "é".repeat(300);
        let entry = |changes| ledger::Entry {
            table: "t",
            digest: "",
            migration: "shop/one",
            uid: "",
            outcome: "Completed",
            requested_by: &name,
            figures: "{}",
            changes,
            old_table: "",
            old_table_id: 0,
            retain_seconds: 0,
        };
        let with = ledger::insert("shop", &entry(Some("[]")));
        let without = ledger::insert("shop", &entry(None));
        assert!(with.contains("old_table_expires, changes) VALUES"), "{with}");
        assert!(with.ends_with(&format!("NULL, {})", text_literal("[]"))), "{with}");
        assert!(!without.contains("changes") && without.ends_with("NULL)"), "{without}");
        let fitting = text_literal(&"é".repeat(255));
        assert!(without.contains(&format!("{fitting},")), "{without}");
    }

    #[test]
    fn entries_are_removed_by_their_ids() {
        let expected = "DELETE FROM `shop`.`ghostship_history` WHERE id IN (3, 5)";
        assert_eq!(ledger::delete("shop", &[3, 5]), expected);
    }
}
