//! What may change in a column of the migration key: nothing that could make two keys one, or that
//! could change their order, because ranges of keys are compared on both tables.

use crate::schema::table::{Column, ColumnType, TextKind};

/// What a change means for a column of the migration key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyChange {
    /// Keys stay distinct and in order; a value that does not fit raises an error.
    Safe,
    /// Two keys may become one, or their order may change.
    Unsafe {
        /// What would happen, as the end of a sentence about the column.
        why: &'static str,
    },
}

/// What the change from `source` to `shadow` means when the column is part of the migration key.
pub fn key_change(source: &Column, shadow: &Column) -> KeyChange {
    use ColumnType as T;
    let safe = |yes, why| {
        if yes { KeyChange::Safe } else { KeyChange::Unsafe { why } }
    };
    match (&source.column_type, &shadow.column_type) {
        (old, new) if old == new => KeyChange::Safe,
        (T::Integer { .. }, T::Integer { .. }) | (T::VarBinary { .. }, T::VarBinary { .. }) => {
            KeyChange::Safe
        }
        (T::Decimal { scale: old, .. }, T::Decimal { scale: new, .. }) => {
            safe(old == new, "keys would be rounded or printed in another way")
        }
        (T::Text { .. }, T::Text { .. }) => text_change(&source.column_type, &shadow.column_type),
        (
            T::Enum { labels: old, charset, collation },
            T::Enum { labels: new, charset: new_charset, collation: new_collation },
        )
        | (
            T::Set { labels: old, charset, collation },
            T::Set { labels: new, charset: new_charset, collation: new_collation },
        ) => safe(
            new.starts_with(old) && (charset, collation) == (new_charset, new_collation),
            "labels would get other numbers, by which keys are ordered",
        ),
        (T::Time { .. }, T::Time { .. })
        | (T::DateTime { .. }, T::DateTime { .. })
        | (T::Timestamp { .. }, T::Timestamp { .. }) => {
            safe(false, "the digits of its seconds would change")
        }
        (T::Binary { .. }, T::Binary { .. }) => safe(false, "its padding would change"),
        _ => safe(false, "its keys would be converted to another type"),
    }
}

fn text_change(old: &ColumnType, new: &ColumnType) -> KeyChange {
    let (
        ColumnType::Text { kind, collation, .. },
        ColumnType::Text { kind: new_kind, collation: new_collation, .. },
    ) = (old, new)
    else {
        return KeyChange::Unsafe { why: "its keys would be converted to another type" };
    };
    if *kind != *new_kind && *new_kind != TextKind::VarChar {
        return KeyChange::Unsafe { why: "trailing spaces that tell keys apart would be cut off" };
    }
    if same_order(collation, new_collation) {
        KeyChange::Safe
    } else {
        KeyChange::Unsafe { why: "another collation may take two keys for one and order them anew" }
    }
}

/// Whether the second collation tells apart and orders all texts of the first in the same way.
fn same_order(old: &str, new: &str) -> bool {
    let wider = ["_bin", "_general_ci", "_unicode_ci"].into_iter().any(|rule| {
        let was = old.strip_suffix(rule);
        matches!(was, Some("utf8" | "utf8mb3")) && new.strip_suffix(rule) == Some("utf8mb4")
    });
    let plain = old == "ascii_bin" && matches!(new, "utf8_bin" | "utf8mb3_bin" | "utf8mb4_bin");
    old == new || wider || plain
}
