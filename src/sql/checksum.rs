//! Comparing rows of both tables: which expression makes the two sides of a column comparable, the
//! row hash, and the statements that sum it up over a range or list it by key.
//!
//! The hash is 128 bits of SHA-256 over the texts of all compared columns, and a range is summed up by
//! XOR. The key is part of the text, so no two rows of a table have one text and nothing cancels.
//! Texts are told apart by length or separator and NULL has a mark of its own, so no two different
//! rows give one text. Long columns enter as their own SHA-256, because CONCAT answers NULL beyond
//! `max_allowed_packet`.

use crate::schema::key::{Key, KeyError, MigrationKey};
use crate::schema::mapping::{ColumnPair, Mapping};
use crate::schema::table::{ColumnType, TableName, TextKind};
use crate::sql::ident::{quote, quote_table};
use crate::sql::key::{in_list, range};
use crate::sql::sync::{Pair, key_expressions};

/// Values longer than this enter the row text as a hash of their own.
const LONG: u64 = 1024;

/// The comparable texts of both sides.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comparison {
    source: Vec<String>,
    shadow: Vec<String>,
    /// Columns that have no common type and stay uncompared.
    pub unverified: Vec<String>,
}

/// How one column's value becomes text.
struct Text {
    /// The value; NULL stays NULL.
    value: String,
    /// Whether its text never holds the separator, as with numbers and times.
    plain: bool,
}

impl Comparison {
    /// Finds for each column pair the type in which both sides compare exactly.
    pub fn of(mapping: &Mapping) -> Self {
        let mut comparison = Self::default();
        for pair in &mapping.pairs {
            match texts(pair) {
                Some((source, shadow)) => {
                    comparison.source.push(framed(&source, pair.source.nullable));
                    comparison.shadow.push(framed(&shadow, pair.shadow.nullable));
                }
                None => comparison.unverified.push(pair.shadow.name.clone()),
            }
        }
        comparison
    }
}

/// One text of a row, told apart from its neighbours.
fn framed(text: &Text, nullable: bool) -> String {
    let value = &text.value;
    let framed =
        if text.plain { value.clone() } else { format!("CONCAT(LENGTH({value}), ':', {value})") };
    if nullable { format!("IFNULL({framed}, 'N')") } else { framed }
}

/// Both sides of a column as texts that are equal exactly when the values are.
fn texts(pair: &ColumnPair) -> Option<(Text, Text)> {
    use ColumnType as T;
    let source = quote(&pair.source.name);
    let shadow = quote(&pair.shadow.name);
    let both = |make: &dyn Fn(&str) -> String, plain: bool| {
        Some((Text { value: make(&source), plain }, Text { value: make(&shadow), plain }))
    };
    match (&pair.source.column_type, &pair.shadow.column_type) {
        (T::Integer { .. }, T::Integer { .. }) | (T::Date, T::Date) | (T::Year, T::Year) => {
            both(&str::to_owned, true)
        }
        (T::Bit { .. }, T::Bit { .. }) => both(&|c| format!("({c}+0)"), true),
        (T::Decimal { .. } | T::Integer { .. }, T::Decimal { .. })
        | (T::Decimal { .. }, T::Integer { .. }) => {
            let scale = scale(pair);
            both(&|c| format!("CAST({c} AS DECIMAL(65,{scale}))"), true)
        }
        (T::Float | T::Double, T::Float | T::Double) => floats(pair, &source, &shadow),
        (T::Time { fsp: a }, T::Time { fsp: b }) => temporal(("TIME", *a, *b), &source, &shadow),
        (
            T::DateTime { fsp: a } | T::Timestamp { fsp: a },
            T::DateTime { fsp: b } | T::Timestamp { fsp: b },
        ) => temporal(("DATETIME", *a, *b), &source, &shadow),
        (T::Date, T::DateTime { .. } | T::Timestamp { .. })
        | (T::DateTime { .. } | T::Timestamp { .. }, T::Date) => {
            both(&|c| format!("CAST({c} AS DATE)"), true)
        }
        (T::Json, T::Json) => both(&|c| format!("SHA2(CAST({c} AS CHAR), 256)"), true),
        (one, other) if one == other && is_bytes(one) => both(&|c| bytes(c, one), is_long(one)),
        (one, other) if is_bytes(one) && is_bytes(other) => {
            let long = is_long(one) || is_long(other);
            both(&|c| if long { format!("SHA2({c}, 256)") } else { c.to_owned() }, long)
        }
        (T::Json, other) if is_text(other) => both(&|c| as_utf8(c, true), true),
        (one, T::Json) if is_text(one) => Some((
            Text {
                value: format!(
                    "SHA2(CAST(CAST({} AS JSON) AS CHAR), 256)",
                    as_utf8(&source, false)
                ),
                plain: true,
            },
            Text { value: format!("SHA2(CAST({shadow} AS CHAR), 256)"), plain: true },
        )),
        (one, other) if is_text(one) && is_text(other) => {
            let long = is_long(one) || is_long(other);
            let trimmed = loses_trailing_spaces(one, other);
            both(&|c| if trimmed { trimmed_utf8(c, long) } else { as_utf8(c, long) }, long)
        }
        (T::Integer { .. }, other) if is_text(other) => both(&|c| as_utf8(c, false), false),
        (T::Double | T::Float, T::Integer { .. } | T::Decimal { .. }) => None,
        _ => None,
    }
}

/// The digits behind the point that both sides have.
fn scale(pair: &ColumnPair) -> u8 {
    let of = |column: &ColumnType| match column {
        ColumnType::Decimal { scale, .. } => *scale,
        _ => 0,
    };
    of(&pair.source.column_type).min(of(&pair.shadow.column_type))
}

/// Whether the conversion may cut trailing spaces, which has to be accepted beforehand.
fn loses_trailing_spaces(source: &ColumnType, shadow: &ColumnType) -> bool {
    match (source, shadow) {
        (
            ColumnType::Text { kind: from, length: old, .. },
            ColumnType::Text { kind: to, length: new, .. },
        ) => (*to == TextKind::Char && *from != TextKind::Char) || new < old,
        _ => false,
    }
}

/// Floats compare as the wider of the two types; `-0` and `0` are one value to SQL and to us.
fn floats(pair: &ColumnPair, source: &str, shadow: &str) -> Option<(Text, Text)> {
    let narrowed = pair.shadow.column_type == ColumnType::Float
        && pair.source.column_type == ColumnType::Double;
    let kind = if narrowed { "FLOAT" } else { "DOUBLE" };
    let text = |column: &str| Text { value: format!("CAST({column} AS {kind})"), plain: true };
    Some((text(source), text(shadow)))
}

/// Times compare with the fraction that both sides can hold.
fn temporal(kind: (&str, u8, u8), source: &str, shadow: &str) -> Option<(Text, Text)> {
    let (name, a, b) = kind;
    let text = |column: &str| match a == b {
        true => Text { value: column.to_owned(), plain: true },
        false => Text { value: format!("CAST({column} AS {name}({}))", a.min(b)), plain: true },
    };
    Some((text(source), text(shadow)))
}

fn is_bytes(column: &ColumnType) -> bool {
    matches!(
        column,
        ColumnType::Binary { .. }
            | ColumnType::VarBinary { .. }
            | ColumnType::Blob { .. }
            | ColumnType::Geometry
            | ColumnType::Vector
    )
}

fn is_text(column: &ColumnType) -> bool {
    matches!(
        column,
        ColumnType::Text { .. }
            | ColumnType::Enum { .. }
            | ColumnType::Set { .. }
            | ColumnType::Json
    )
}

fn is_long(column: &ColumnType) -> bool {
    match column {
        ColumnType::Text { kind: TextKind::Text, .. }
        | ColumnType::Blob { .. }
        | ColumnType::Json
        | ColumnType::Geometry
        | ColumnType::Vector => true,
        ColumnType::Text { length, .. }
        | ColumnType::Binary { length }
        | ColumnType::VarBinary { length } => *length > LONG,
        _ => false,
    }
}

fn bytes(column: &str, kind: &ColumnType) -> String {
    if is_long(kind) { format!("SHA2({column}, 256)") } else { column.to_owned() }
}

fn as_utf8(column: &str, long: bool) -> String {
    let text = format!("CONVERT({column} USING utf8mb4)");
    if long { format!("SHA2({text}, 256)") } else { text }
}

fn trimmed_utf8(column: &str, long: bool) -> String {
    let text = format!("TRIM(TRAILING ' ' FROM {})", as_utf8(column, false));
    if long { format!("SHA2({text}, 256)") } else { text }
}

/// Which of the two tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The source table.
    Source,
    /// The shadow table.
    Shadow,
}

impl Side {
    fn table(self, pair: &Pair) -> &TableName {
        match self {
            Self::Source => &pair.source,
            Self::Shadow => &pair.shadow,
        }
    }

    fn key(self, pair: &Pair) -> &MigrationKey {
        match self {
            Self::Source => &pair.source_key,
            Self::Shadow => &pair.shadow_key,
        }
    }

    fn row_hash(self, comparison: &Comparison) -> String {
        let texts = match self {
            Self::Source => &comparison.source,
            Self::Shadow => &comparison.shadow,
        };
        format!("LEFT(SHA2(CONCAT({}), 256), 32)", texts.join(", '#', "))
    }
}

/// Count and XOR of the row hashes of a range. A row without a hash, which cannot be, would count as a
/// random one and so as a difference.
pub fn sum_range(
    pair: &Pair,
    comparison: &Comparison,
    side: Side,
    bounds: (Option<&Key>, Option<&Key>),
) -> Result<String, KeyError> {
    Ok(format!(
        "SELECT COUNT(*), HEX(BIT_XOR(CAST(IFNULL(UNHEX({}), RANDOM_BYTES(16)) AS BINARY(16)))) \
         FROM {} FORCE INDEX ({}) WHERE {}",
        side.row_hash(comparison),
        quote_table(side.table(pair)),
        quote(&side.key(pair).index),
        range("", side.key(pair), bounds.0, bounds.1)?
    ))
}

/// Key and hash of every row of a range.
pub fn list_range(
    pair: &Pair,
    comparison: &Comparison,
    side: Side,
    bounds: (Option<&Key>, Option<&Key>),
) -> Result<String, KeyError> {
    let condition = range("", side.key(pair), bounds.0, bounds.1)?;
    Ok(list(pair, comparison, side, &condition))
}

/// Key and hash of the rows that a table has for these keys.
pub fn list_keys(
    pair: &Pair,
    comparison: &Comparison,
    side: Side,
    keys: &[Key],
) -> Result<String, KeyError> {
    let condition = in_list("", side.key(pair), keys)?;
    Ok(list(pair, comparison, side, &condition))
}

fn list(pair: &Pair, comparison: &Comparison, side: Side, condition: &str) -> String {
    format!(
        "SELECT {}, {} FROM {} FORCE INDEX ({}) WHERE {condition}",
        key_expressions(side.key(pair)),
        side.row_hash(comparison),
        quote_table(side.table(pair)),
        quote(&side.key(pair).index),
    )
}
