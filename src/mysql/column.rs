//! A row of `information_schema.COLUMNS` as a column of the schema model. Pure.

use crate::mysql::error::Error;
use crate::mysql::session::Row;
use crate::schema::table::{Column, ColumnType, Generation, TextKind};

const GEOMETRIES: [&str; 9] = [
    "geometry",
    "point",
    "linestring",
    "polygon",
    "multipoint",
    "multilinestring",
    "multipolygon",
    "geometrycollection",
    "geomcollection",
];

/// Reads name, data type, column type, nullability, default, extra, character length, numeric
/// precision, numeric scale, digits of seconds, character set and collation, in this order.
pub(super) fn read_column(row: &Row) -> Result<Column, Error> {
    let extra = row.string(5).unwrap_or_default().to_uppercase();
    let nullable = row.text(3) == Some(b"YES");
    let auto_increment = extra.contains("AUTO_INCREMENT");
    let implied = ["DEFAULT_GENERATED", "ON UPDATE"].iter().any(|word| extra.contains(word));
    Ok(Column {
        name: row.expect_string(0, "a column's name")?,
        column_type: column_type(row)?,
        type_text: row.expect_string(2, "a column's type")?,
        nullable,
        has_default: nullable || auto_increment || implied || row.text(4).is_some(),
        generation: generation(&extra),
        auto_increment,
        invisible: extra.contains("INVISIBLE"),
    })
}

/// `DEFAULT_GENERATED` is a default by expression, not a generated column.
fn generation(extra: &str) -> Generation {
    if extra.contains("VIRTUAL GENERATED") {
        Generation::Virtual
    } else if extra.contains("STORED GENERATED") || extra.contains("PERSISTENT") {
        Generation::Stored
    } else {
        Generation::None
    }
}

fn column_type(row: &Row) -> Result<ColumnType, Error> {
    let name = row.expect_string(1, "a column's data type")?.to_lowercase();
    let known = integer(&name, row).or_else(|| number(&name, row)).or_else(|| time(&name, row));
    let known = known.or_else(|| text(&name, row)).or_else(|| bytes(&name, row));
    Ok(known.unwrap_or_else(|| match name.as_str() {
        "json" => ColumnType::Json,
        "vector" => ColumnType::Vector,
        name if GEOMETRIES.contains(&name) => ColumnType::Geometry,
        _ => ColumnType::Other(name),
    }))
}

fn integer(name: &str, row: &Row) -> Option<ColumnType> {
    let bytes = match name {
        "tinyint" => 1,
        "smallint" => 2,
        "mediumint" => 3,
        "int" => 4,
        "bigint" => 8,
        _ => return None,
    };
    Some(ColumnType::Integer { bytes, unsigned: is_unsigned(row) })
}

fn number(name: &str, row: &Row) -> Option<ColumnType> {
    match name {
        "decimal" => {
            let (precision, scale) = (small(row, 7), small(row, 8));
            Some(ColumnType::Decimal { precision, scale, unsigned: is_unsigned(row) })
        }
        "float" => Some(ColumnType::Float),
        "double" => Some(ColumnType::Double),
        "bit" => Some(ColumnType::Bit { bits: small(row, 7) }),
        _ => None,
    }
}

fn time(name: &str, row: &Row) -> Option<ColumnType> {
    let fsp = small(row, 9);
    match name {
        "year" => Some(ColumnType::Year),
        "date" => Some(ColumnType::Date),
        "time" => Some(ColumnType::Time { fsp }),
        "datetime" => Some(ColumnType::DateTime { fsp }),
        "timestamp" => Some(ColumnType::Timestamp { fsp }),
        _ => None,
    }
}

fn text(name: &str, row: &Row) -> Option<ColumnType> {
    let length = row.u64(6).unwrap_or(0);
    let charset = row.string(10).unwrap_or_default();
    let collation = row.string(11).unwrap_or_default();
    let labels = || labels(&row.string(2).unwrap_or_default());
    let kind = match name {
        "enum" => {
            return Some(ColumnType::Enum { labels: labels(), charset, collation });
        }
        "set" => {
            return Some(ColumnType::Set { labels: labels(), charset, collation });
        }
        "char" => TextKind::Char,
        "varchar" => TextKind::VarChar,
        "tinytext" | "text" | "mediumtext" | "longtext" => TextKind::Text,
        _ => return None,
    };
    Some(ColumnType::Text { kind, length, charset, collation })
}

fn bytes(name: &str, row: &Row) -> Option<ColumnType> {
    let length = row.u64(6).unwrap_or(0);
    match name {
        "binary" => Some(ColumnType::Binary { length }),
        "varbinary" => Some(ColumnType::VarBinary { length }),
        "tinyblob" | "blob" | "mediumblob" | "longblob" => Some(ColumnType::Blob { length }),
        _ => None,
    }
}

fn is_unsigned(row: &Row) -> bool {
    row.string(2).unwrap_or_default().to_lowercase().contains("unsigned")
}

fn small(row: &Row, column: usize) -> u8 {
    row.u64(column).and_then(|value| u8::try_from(value).ok()).unwrap_or(0)
}

/// The labels of `enum('a','it''s')`: quotes are doubled, some characters stand behind a backslash.
fn labels(type_text: &str) -> Vec<String> {
    let mut letters = type_text.chars().skip_while(|letter| *letter != '\'').peekable();
    let mut labels = Vec::new();
    while letters.next_if_eq(&'\'').is_some() {
        let mut label = String::new();
        while let Some(letter) = letters.next() {
            match letter {
                '\'' if letters.next_if_eq(&'\'').is_none() => break,
                '\\' => label.extend(letters.next().map(unescape)),
                letter => label.push(letter),
            }
        }
        labels.push(label);
        letters.next_if_eq(&',');
    }
    labels
}

fn unescape(letter: char) -> char {
    match letter {
        'n' => '\n',
        'r' => '\r',
        '0' => '\0',
        letter => letter,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_labels() {
        let cases: [(&str, &[&str]); 5] = [
            ("enum('a','b')", &["a", "b"]),
            ("set('it''s','','x,y')", &["it's", "", "x,y"]),
            ("enum('''','')", &["'", ""]),
            ("enum('a\\\\b','c\\nd')", &["a\\b", "c\nd"]),
            ("enum()", &[]),
        ];
        for (text, expected) in cases {
            assert_eq!(labels(text), expected, "{text}");
        }
    }

    #[test]
    fn tells_generated_columns_from_generated_defaults() {
        assert_eq!(generation("DEFAULT_GENERATED ON UPDATE CURRENT_TIMESTAMP"), Generation::None);
        assert_eq!(generation("VIRTUAL GENERATED INVISIBLE"), Generation::Virtual);
        assert_eq!(generation("STORED GENERATED"), Generation::Stored);
    }
}
