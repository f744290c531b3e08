//! Which index can be the migration key, and which of a table's indexes is the best one.

use std::fmt;

use thiserror::Error;

use super::{KeyColumn, KeyKind, MigrationKey};
use crate::schema::table::{
    Column, ColumnType, Generation, Index, IndexPart, Table, TextKind, same_name,
};

/// The migration key as it is in both tables; the columns correspond one to one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedKey {
    /// The key in the source table.
    pub source: MigrationKey,
    /// The same key in the shadow table.
    pub shadow: MigrationKey,
}

/// No index identifies the rows of both tables; one sentence for each index that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no primary or unique key identifies the rows of both tables: {}", reasons.join("; "))]
pub struct NoSharedKey {
    /// Why each unique index of the source table cannot be the key.
    pub reasons: Vec<String>,
}

/// The server compares a SET with a number as floating point, which is exact up to here.
const SET_LABELS: usize = 53;

/// As people name it: `index (column, column)`.
impl fmt::Display for MigrationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<&str> = self.columns.iter().map(|column| column.name.as_str()).collect();
        write!(f, "{} ({})", self.index, columns.join(", "))
    }
}

impl MigrationKey {
    /// The key made of this index's columns, or one sentence that says why it cannot be one.
    pub fn from_index(table: &Table, index: &Index) -> Result<Self, String> {
        if !index.unique {
            return Err(format!("key {} is not unique", index.name));
        }
        if !index.visible && !index.is_primary() {
            return Err(format!("key {} is invisible", index.name));
        }
        let parts = index.parts.iter().map(|part| key_column(table, index, part));
        let columns = parts.collect::<Result<Vec<_>, String>>()?;
        if columns.is_empty() {
            return Err(format!("key {} has no columns", index.name));
        }
        Ok(Self { index: index.name.clone(), columns })
    }

    /// The best unique key that both tables have: ordered before text, primary before others, then the shortest.
    ///
    /// `renames` pairs a column's name in the source with its name in the shadow.
    pub fn choose(
        source: &Table,
        shadow: &Table,
        renames: &[(String, String)],
    ) -> Result<SharedKey, NoSharedKey> {
        let mut reasons = Vec::new();
        let mut best: Option<SharedKey> = None;
        for index in source.indexes.iter().filter(|index| index.unique) {
            match shared_key(source, shadow, index, renames) {
                Err(reason) => reasons.push(reason),
                Ok(found) if best.as_ref().is_none_or(|best| rank(&found) < rank(best)) => {
                    best = Some(found);
                }
                Ok(_) => {}
            }
        }
        if best.is_none() && reasons.is_empty() {
            reasons.push("the table has no primary or unique key".to_owned());
        }
        best.ok_or(NoSharedKey { reasons })
    }
}

/// Lower is better. With a SET in front no range uses the index, so that comes last.
fn rank(key: &SharedKey) -> (bool, bool, bool, u64) {
    let ordered = key.source.is_ordered() && key.shadow.is_ordered();
    let first = key.source.columns.first();
    let scans = first.is_some_and(|column| matches!(column.kind, KeyKind::Set { .. }));
    let width = key.source.columns.iter().map(|column| width(&column.kind)).sum();
    (scans, !ordered, key.source.index != "PRIMARY", width)
}

/// A measure of a value's length, to compare indexes by.
fn width(kind: &KeyKind) -> u64 {
    match kind {
        KeyKind::Int { bytes } | KeyKind::UInt { bytes } => u64::from(*bytes),
        KeyKind::Decimal { precision, .. } => u64::from(precision / 2 + 1),
        KeyKind::Year => 1,
        KeyKind::Enum { .. } => 2,
        KeyKind::Date => 3,
        KeyKind::Bit { .. } | KeyKind::Set { .. } => 8,
        KeyKind::Time { .. } | KeyKind::DateTime { .. } | KeyKind::Timestamp { .. } => 8,
        KeyKind::Binary { length } => *length,
        KeyKind::VarBinary | KeyKind::Text { .. } => 64,
    }
}

fn shared_key(
    source: &Table,
    shadow: &Table,
    index: &Index,
    renames: &[(String, String)],
) -> Result<SharedKey, String> {
    let key = MigrationKey::from_index(source, index)?;
    let wanted: Vec<&str> = key.columns.iter().map(|c| renamed(&c.name, renames)).collect();
    let twins = shadow.indexes.iter().filter(|other| other.unique);
    let mut found: Vec<MigrationKey> = twins
        .filter(|other| has_columns(other, &wanted))
        .filter_map(|other| MigrationKey::from_index(shadow, other).ok())
        .collect();
    found.sort_by_key(|twin| !in_order(twin, &wanted));
    let twin = found.into_iter().next().ok_or_else(|| {
        format!("key {} has no counterpart on the same columns after the change", index.name)
    })?;
    Ok(SharedKey { shadow: arranged(twin, &wanted), source: key })
}

fn renamed<'a>(name: &'a str, renames: &'a [(String, String)]) -> &'a str {
    let new = renames.iter().find(|(old, _)| same_name(old, name));
    new.map_or(name, |(_, new)| new)
}

fn has_columns(index: &Index, wanted: &[&str]) -> bool {
    let has = |name: &&str| {
        let mut names = index.parts.iter().filter_map(|part| part.column.as_deref());
        names.any(|column| same_name(column, name))
    };
    index.parts.len() == wanted.len() && wanted.iter().all(has)
}

fn in_order(key: &MigrationKey, wanted: &[&str]) -> bool {
    key.columns.iter().zip(wanted).all(|(column, name)| same_name(&column.name, name))
}

/// The key with its columns in the order of `wanted`.
fn arranged(mut key: MigrationKey, wanted: &[&str]) -> MigrationKey {
    key.columns.sort_by_key(|column| wanted.iter().position(|name| same_name(&column.name, name)));
    key
}

fn key_column(table: &Table, index: &Index, part: &IndexPart) -> Result<KeyColumn, String> {
    let key = &index.name;
    let Some(name) = part.column.as_deref() else {
        return Err(format!("key {key} has an expression"));
    };
    let missing = || format!("key {key} names column {name}, which the table does not have");
    let position = table.column_index(name).ok_or_else(missing)?;
    let column = table.columns.get(position).ok_or_else(missing)?;
    if part.prefix.is_some() {
        return Err(format!("key {key} covers only a prefix of column {name}"));
    }
    if column.nullable {
        return Err(format!("key {key} has nullable column {name}"));
    }
    if column.generation == Generation::Virtual {
        return Err(format!("key {key} has generated virtual column {name}"));
    }
    let kind = key_kind(column).ok_or_else(|| refusal(key, column))?;
    Ok(KeyColumn { name: column.name.clone(), position, kind })
}

fn refusal(key: &str, column: &Column) -> String {
    match column.column_type {
        ColumnType::Float | ColumnType::Double => {
            format!("key {key} uses FLOAT/DOUBLE in column {}", column.name)
        }
        _ => format!("key {key} has column {} of type {}", column.name, column.type_text),
    }
}

fn key_kind(column: &Column) -> Option<KeyKind> {
    Some(match &column.column_type {
        ColumnType::Integer { bytes, unsigned: false } => KeyKind::Int { bytes: *bytes },
        ColumnType::Integer { bytes, unsigned: true } => KeyKind::UInt { bytes: *bytes },
        ColumnType::Decimal { precision, scale, .. } => {
            KeyKind::Decimal { precision: *precision, scale: *scale }
        }
        ColumnType::Bit { bits } => KeyKind::Bit { bits: *bits },
        ColumnType::Year => KeyKind::Year,
        ColumnType::Date => KeyKind::Date,
        ColumnType::Time { fsp } => KeyKind::Time { fsp: *fsp },
        ColumnType::DateTime { fsp } => KeyKind::DateTime { fsp: *fsp },
        ColumnType::Timestamp { fsp } => KeyKind::Timestamp { fsp: *fsp },
        ColumnType::Binary { length } => KeyKind::Binary { length: *length },
        ColumnType::VarBinary { .. } => KeyKind::VarBinary,
        ColumnType::Text {
            kind: TextKind::Char | TextKind::VarChar, charset, collation, ..
        } => KeyKind::Text { charset: charset.clone(), collation: collation.clone() },
        ColumnType::Enum { labels, .. } => KeyKind::Enum { labels: labels.len() },
        ColumnType::Set { labels, .. } if labels.len() <= SET_LABELS => {
            KeyKind::Set { labels: labels.len() }
        }
        _ => return None,
    })
}
