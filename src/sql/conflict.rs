//! Finding the rows that are in the way when the shadow table has unique indexes besides the migration
//! key, and proving that two rows of the source table claim one value.
//!
//! The statements use the aliases `s1`, `s2` and `t1`; a session that holds LOCK TABLES locks them too.

use crate::schema::key::{Key, KeyError, MigrationKey};
use crate::schema::mapping::ColumnPair;
use crate::schema::table::ColumnType;
use crate::sql::ident::{quote, quote_table};
use crate::sql::key::{digest_expression, in_list, range, select_expression};
use crate::sql::sync::Pair;

/// A unique index of the shadow table other than the migration key, as far as its columns are copied.
#[derive(Clone, Debug, PartialEq)]
pub struct OtherUnique {
    /// Name of the index.
    pub index: String,
    /// Its columns with the source columns that fill them. Empty when some part is an expression or a
    /// new column: then what is in the way cannot be computed from the source table.
    pub columns: Vec<UniqueColumn>,
}

/// One column of such an index.
#[derive(Clone, Debug, PartialEq)]
pub struct UniqueColumn {
    /// The column in both tables.
    pub pair: ColumnPair,
    /// How many characters or bytes of it are indexed, when not all.
    pub prefix: Option<u64>,
}

/// Which rows of the source table are about to be written.
#[derive(Clone, Copy, Debug)]
pub enum Scope<'a> {
    /// These keys.
    Keys(&'a [Key]),
    /// This range.
    Range(Option<&'a Key>, Option<&'a Key>),
}

impl Scope<'_> {
    pub(super) fn condition(self, alias: &str, key: &MigrationKey) -> Result<String, KeyError> {
        match self {
            Self::Keys(keys) => in_list(alias, key, keys),
            Self::Range(lower, upper) => range(alias, key, lower, upper),
        }
    }
}

/// The keys of shadow rows that bear a value which the source rows in scope are about to claim.
pub fn rows_in_the_way(
    pair: &Pair,
    unique: &OtherUnique,
    scope: Scope<'_>,
    limit: usize,
) -> Result<String, KeyError> {
    Ok(format!(
        "SELECT {} FROM {} s1 JOIN {} t1 ON {} WHERE {} LIMIT {limit}",
        keys_of(&pair.shadow_key, "t1"),
        quote_table(&pair.source),
        quote_table(&pair.shadow),
        equal(unique, |c| as_shadow("s1", c), |c| in_shadow("t1", c)),
        scope.condition("s1", &pair.source_key)?
    ))
}

/// Values that two source rows claim in one snapshot: a row in scope, and the one that the shadow
/// table already shows with that value. Returns for each value the digest of a row in scope.
pub fn duplicates_across(
    pair: &Pair,
    unique: &OtherUnique,
    scope: Scope<'_>,
    limit: usize,
) -> Result<String, KeyError> {
    let same_row = |left: &str, key: &MigrationKey, right: &str, other: &MigrationKey| {
        let parts = key.columns.iter().zip(&other.columns);
        parts
            .map(|(one, two)| format!("{} = {}", column(left, &one.name), column(right, &two.name)))
            .collect::<Vec<_>>()
            .join(" AND ")
    };
    Ok(format!(
        "SELECT MIN({}) FROM {} s1 JOIN {} t1 ON {} JOIN {} s2 ON {} WHERE {} AND {} AND NOT ({}) \
         GROUP BY {} LIMIT {limit}",
        digest_expression(&pair.source_key, "s1"),
        quote_table(&pair.source),
        quote_table(&pair.shadow),
        equal(unique, |c| as_shadow("s1", c), |c| in_shadow("t1", c)),
        quote_table(&pair.source),
        same_row("s2", &pair.source_key, "t1", &pair.shadow_key),
        scope.condition("s1", &pair.source_key)?,
        equal(unique, |c| as_shadow("s1", c), |c| as_shadow("s2", c)),
        same_row("s1", &pair.source_key, "s2", &pair.source_key),
        values_of(unique, "s1").join(", "),
    ))
}

/// Values that two source rows in scope claim. Returns for each the digest of one of the rows.
pub fn duplicates_within(
    pair: &Pair,
    unique: &OtherUnique,
    scope: Scope<'_>,
    limit: usize,
) -> Result<String, KeyError> {
    let values = values_of(unique, "s1");
    Ok(format!(
        "SELECT MIN({}) FROM {} s1 WHERE {} AND {} GROUP BY {} HAVING COUNT(*) > 1 LIMIT {limit}",
        digest_expression(&pair.source_key, "s1"),
        quote_table(&pair.source),
        scope.condition("s1", &pair.source_key)?,
        all_present(&values),
        values.join(", "),
    ))
}

/// The query by which people find all values that more than one source row claims.
pub fn list_duplicates(pair: &Pair, unique: &OtherUnique) -> String {
    let values = values_of(unique, "");
    format!(
        "SELECT {values}, COUNT(*) FROM {} WHERE {} GROUP BY {values} HAVING COUNT(*) > 1",
        quote_table(&pair.source),
        all_present(&values),
        values = values.join(", "),
    )
}

fn values_of(unique: &OtherUnique, alias: &str) -> Vec<String> {
    unique.columns.iter().map(|column| as_shadow(alias, column)).collect()
}

/// NULL is no duplicate of NULL.
fn all_present(values: &[String]) -> String {
    let present: Vec<String> = values.iter().map(|value| format!("{value} IS NOT NULL")).collect();
    present.join(" AND ")
}

fn keys_of(key: &MigrationKey, alias: &str) -> String {
    let expressions: Vec<String> =
        key.columns.iter().map(|column| select_expression(column, alias)).collect();
    expressions.join(", ")
}

fn column(alias: &str, name: &str) -> String {
    if alias.is_empty() { quote(name) } else { format!("{alias}.{}", quote(name)) }
}

fn equal(
    unique: &OtherUnique,
    left: impl Fn(&UniqueColumn) -> String,
    right: impl Fn(&UniqueColumn) -> String,
) -> String {
    let parts: Vec<String> =
        unique.columns.iter().map(|c| format!("{} = {}", left(c), right(c))).collect();
    parts.join(" AND ")
}

fn cut(value: String, prefix: Option<u64>) -> String {
    prefix.map_or(value.clone(), |length| format!("LEFT({value}, {length})"))
}

fn in_shadow(alias: &str, unique: &UniqueColumn) -> String {
    cut(column(alias, &unique.pair.shadow.name), unique.prefix)
}

/// The source value as the shadow's index would compare it.
fn as_shadow(alias: &str, unique: &UniqueColumn) -> String {
    let UniqueColumn { pair, prefix } = unique;
    let value = column(alias, &pair.source.name);
    let value = match (&pair.source.column_type, &pair.shadow.column_type) {
        (
            ColumnType::Text { charset: from, collation: old, .. },
            ColumnType::Text { charset: to, collation: new, .. },
        ) if from != to || old != new => {
            format!("CONVERT({value} USING {to}) COLLATE {new}")
        }
        _ => value,
    };
    cut(value, *prefix)
}
