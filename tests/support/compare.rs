//! Tables as exact bytes: every column, invisible and generated ones too, in a text that keeps each bit.
//! Two tables are equal when their dumps are, as collections of rows.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

use super::client::{Cells, Client, ident, literal, text};

const SHOWN: usize = 5;

/// All rows of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dump {
    /// Names of the columns, in order.
    pub(crate) columns: Vec<String>,
    /// The rows, sorted by their bytes.
    pub(crate) rows: Vec<Cells>,
}

impl Dump {
    /// Reads a table of the session's database; the columns in `ignored` are left out.
    pub(crate) async fn read(client: &mut Client, table: &str, ignored: &[&str]) -> Result<Self> {
        client.exec("SET SESSION time_zone = '+00:00'").await?;
        let mut columns = columns(client, table).await?;
        columns.retain(|(name, _)| !ignored.contains(&name.as_str()));
        let list: Vec<String> = columns.iter().map(|(name, kind)| exact(name, kind)).collect();
        let query = format!("SELECT {} FROM {}", list.join(", "), ident(table));
        let mut rows = client.rows(&query).await?;
        rows.sort();
        Ok(Self { columns: columns.into_iter().map(|(name, _)| name).collect(), rows })
    }

    /// How many of these rows the other side does not have.
    pub(crate) fn missing_in(&self, other: &Self) -> usize {
        only_in(self, other).len()
    }

    /// Fails with the first rows that only one side has.
    pub(crate) fn expect_equal(&self, other: &Self, what: &str) -> Result<()> {
        if self == other {
            return Ok(());
        }
        if self.columns != other.columns {
            bail!("{what}: columns {:?} are not {:?}", self.columns, other.columns);
        }
        let (mine, theirs) = (only_in(self, other), only_in(other, self));
        bail!(
            "{what}: {} rows against {}; {} only on the left, {} only on the right\ncolumns {:?}\nleft:\n{}\nright:\n{}",
            self.rows.len(),
            other.rows.len(),
            mine.len(),
            theirs.len(),
            self.columns,
            shown(&mine),
            shown(&theirs),
        )
    }
}

/// Names and data types of the columns of a table of the session's database, in order.
pub(crate) async fn columns(client: &mut Client, table: &str) -> Result<Vec<(String, String)>> {
    let query = format!(
        "SELECT COLUMN_NAME, DATA_TYPE FROM information_schema.COLUMNS \
         WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = {} ORDER BY ORDINAL_POSITION",
        literal(table)
    );
    let rows = client.rows(&query).await?;
    if rows.is_empty() {
        bail!("there is no table {table}");
    }
    Ok(rows.iter().map(|row| (text(row, 0), text(row, 1).to_lowercase())).collect())
}

/// The definition as the server prints it, without what may differ: the next AUTO_INCREMENT value and
/// the names of CHECK constraints, which are unique in a database and so cannot be kept by a copy. The
/// server prints a column's character set or not by how it was once written; the dictionary's word
/// follows instead.
pub(crate) async fn definition(client: &mut Client, table: &str) -> Result<String> {
    let printed = full_definition(client, table).await?;
    let mut lines: Vec<String> = printed.lines().map(comparable).collect();
    let query = format!(
        "SELECT CONCAT_WS(' ', COLUMN_NAME, CHARACTER_SET_NAME, COLLATION_NAME) \
         FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = {} \
         AND COLLATION_NAME IS NOT NULL ORDER BY ORDINAL_POSITION",
        literal(table)
    );
    lines.extend(client.texts(&query).await?);
    Ok(lines.join("\n"))
}

/// The definition as the server prints it.
pub(crate) async fn full_definition(client: &mut Client, table: &str) -> Result<String> {
    let rows = client.rows(&format!("SHOW CREATE TABLE {}", ident(table))).await?;
    Ok(rows.first().map(|row| text(row, 1)).unwrap_or_default())
}

/// The next AUTO_INCREMENT value; absent without such a column.
pub(crate) async fn auto_increment(client: &mut Client, table: &str) -> Result<Option<u64>> {
    client.exec("SET SESSION information_schema_stats_expiry = 0").await?;
    let query = format!(
        "SELECT AUTO_INCREMENT FROM information_schema.TABLES \
         WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = {}",
        literal(table)
    );
    let values = client.texts(&query).await?;
    Ok(values.first().and_then(|value| value.parse().ok()))
}

fn exact(name: &str, kind: &str) -> String {
    let column = ident(name);
    match kind {
        // Adding zero would lose the sign of -0.0, and a FLOAT alone prints six digits.
        "float" | "double" => format!("{column} * 1e0"),
        "enum" | "set" => format!("HEX(CONCAT({column} + 0, ':', {column}))"),
        "json" => format!("HEX(CAST({column} AS CHAR))"),
        "char" | "varchar" | "binary" | "varbinary" | "bit" | "vector" => format!("HEX({column})"),
        kind if kind.ends_with("text") || kind.ends_with("blob") => {
            format!(
                "IF(LENGTH({column}) > 2000, CONCAT(LENGTH({column}), ':', SHA2({column}, 256)), HEX({column}))"
            )
        }
        "geometry" | "point" | "linestring" | "polygon" | "multipoint" | "multilinestring"
        | "multipolygon" | "geomcollection" | "geometrycollection" => {
            format!("CONCAT(ST_SRID({column}), ':', HEX(ST_AsBinary({column})))")
        }
        _ => column,
    }
}

fn only_in<'rows>(one: &'rows Dump, other: &Dump) -> Vec<&'rows Cells> {
    let mut counts: BTreeMap<&Cells, usize> = BTreeMap::new();
    for row in &other.rows {
        *counts.entry(row).or_default() += 1;
    }
    let mut only = Vec::new();
    for row in &one.rows {
        match counts.get_mut(row) {
            Some(count) if *count > 0 => *count -= 1,
            _ => only.push(row),
        }
    }
    only
}

fn shown(rows: &[&Cells]) -> String {
    let line = |row: &&Cells| {
        let cells: Vec<String> = (0..row.len())
            .map(|column| match row.get(column) {
                Some(None) => "NULL".to_owned(),
                _ => text(row, column).chars().take(60).collect(),
            })
            .collect();
        format!("  {}", cells.join(" | "))
    };
    rows.iter().take(SHOWN).map(line).collect::<Vec<_>>().join("\n")
}

fn comparable(line: &str) -> String {
    let line = without_auto_increment(&without_constraint_name(line));
    if !line.starts_with("  `") {
        return line;
    }
    without_word_after(&without_word_after(&line, " CHARACTER SET "), " COLLATE ")
}

fn without_word_after(line: &str, keyword: &str) -> String {
    let Some((before, after)) = line.split_once(keyword) else {
        return line.to_owned();
    };
    let end = after.find([' ', ',']).unwrap_or(after.len());
    format!("{before}{}", &after[end..])
}

fn without_constraint_name(line: &str) -> String {
    let trimmed = line.trim_start();
    match (trimmed.strip_prefix("CONSTRAINT `"), trimmed.find("` CHECK ")) {
        (Some(_), Some(end)) => format!("  CONSTRAINT{}", &trimmed[end + 1..]),
        _ => line.to_owned(),
    }
}

fn without_auto_increment(line: &str) -> String {
    let Some((before, after)) = line.split_once(" AUTO_INCREMENT=") else {
        return line.to_owned();
    };
    format!("{before}{}", after.trim_start_matches(|c: char| c.is_ascii_digit()))
}
