//! SQL text about the migration key: how to read it, its values as literals, and conditions that use its index.
//! Every value leaves as a typed literal, so nothing depends on the connection's character set.

use std::fmt::Write;

use crate::{
    schema::key::{Key, KeyColumn, KeyError, KeyKind, KeyPart, MigrationKey},
    sql::ident::quote,
};

/// What to SELECT so that the text protocol returns this column exactly. `qualifier` is a table or alias name, or
/// empty.
pub fn select_expression(column: &KeyColumn, qualifier: &str) -> String {
    let name = qualified(column, qualifier);
    match column.kind {
        KeyKind::Text { .. } => format!("CAST({name} AS BINARY)"),
        KeyKind::Bit { .. } | KeyKind::Enum { .. } | KeyKind::Set { .. } | KeyKind::Year => {
            format!("CAST({name} AS UNSIGNED)")
        }
        _ => name,
    }
}

/// The digest by which messages name a row without showing its key. Everybody who may read the table
/// can compute it: TIMESTAMP needs the session's time zone to be UTC, nothing else matters.
pub fn digest_expression(key: &MigrationKey, qualifier: &str) -> String {
    let bytes = |column| format!("CAST({} AS BINARY)", qualified(column, qualifier));
    let parts: Vec<String> = key.columns.iter().map(bytes).collect();
    format!("LEFT(SHA2(CONCAT_WS(',', {}), 256), 12)", parts.join(", "))
}

/// A value as a literal that compares with the column exactly and lets its index be used.
pub fn literal(column: &KeyColumn, part: &KeyPart) -> String {
    match (part, &column.kind) {
        (KeyPart::Int(value), _) => value.to_string(),
        (KeyPart::UInt(value), _) => value.to_string(),
        (KeyPart::Decimal(text) | KeyPart::Temporal(text), kind) => typed_text(kind, text),
        (KeyPart::Bytes(bytes), KeyKind::Text { charset, .. }) => {
            format!("_{} x'{}'", safe_word(charset), hex::encode(bytes))
        }
        (KeyPart::Bytes(bytes), _) => format!("x'{}'", hex::encode(bytes)),
    }
}

/// The values of one key: a literal for one column, a row constructor for several.
pub fn tuple(key: &MigrationKey, parts: &[KeyPart]) -> String {
    let literals: Vec<String> =
        key.columns.iter().zip(parts).map(|(column, part)| literal(column, part)).collect();
    match literals.as_slice() {
        [single] => single.clone(),
        several => format!("({})", several.join(",")),
    }
}

/// The condition that a row has one of these keys; `FALSE` when there are none.
pub fn in_list(qualifier: &str, key: &MigrationKey, keys: &[Key]) -> Result<String, KeyError> {
    if keys.is_empty() {
        return Ok("FALSE".to_owned());
    }
    if key.columns.len() > 1 && key.columns.iter().any(is_labelled) {
        return any_of(qualifier, key, keys);
    }
    let names: Vec<String> =
        key.columns.iter().map(|column| qualified(column, qualifier)).collect();
    let left = match names.as_slice() {
        [single] => single.clone(),
        several => format!("({})", several.join(",")),
    };
    let mut text = format!("{left} IN (");
    for (number, one) in keys.iter().enumerate() {
        if number > 0 {
            text.push(',');
        }
        text.push_str(&tuple(key, &key.decode(one)?));
    }
    text.push(')');
    Ok(text)
}

/// `(a = 1 AND b = 2) OR (..)`: inside a row constructor ENUM and SET never equal a number.
fn any_of(qualifier: &str, key: &MigrationKey, keys: &[Key]) -> Result<String, KeyError> {
    let mut alternatives = Vec::with_capacity(keys.len());
    for one in keys {
        let parts = key.decode(one)?;
        let pairs = key.columns.iter().zip(&parts);
        let equals: Vec<String> = pairs
            .map(|(c, part)| format!("{} = {}", qualified(c, qualifier), literal(c, part)))
            .collect();
        alternatives.push(format!("({})", equals.join(" AND ")));
    }
    Ok(format!("({})", alternatives.join(" OR ")))
}

fn is_labelled(column: &KeyColumn) -> bool {
    matches!(column.kind, KeyKind::Enum { .. } | KeyKind::Set { .. })
}

/// The condition that a row's key lies above `lower_exclusive` and not above `upper_inclusive`; `TRUE` when both
/// ends are open. Written out per column, because the optimizer does not use an index for compared rows.
pub fn range(
    qualifier: &str,
    key: &MigrationKey,
    lower_exclusive: Option<&Key>,
    upper_inclusive: Option<&Key>,
) -> Result<String, KeyError> {
    let mut bounds = Vec::new();
    if let Some(lower) = lower_exclusive {
        bounds.push(bound(qualifier, key, &key.decode(lower)?, (">", ">")));
    }
    if let Some(upper) = upper_inclusive {
        bounds.push(bound(qualifier, key, &key.decode(upper)?, ("<", "<=")));
    }
    if bounds.is_empty() {
        return Ok("TRUE".to_owned());
    }
    Ok(bounds.join(" AND "))
}

/// `(a < 1 OR (a = 1 AND b <= 2))`; the second operator belongs to the last column.
fn bound(
    qualifier: &str,
    key: &MigrationKey,
    parts: &[KeyPart],
    operators: (&str, &str),
) -> String {
    let last = key.columns.len().saturating_sub(1);
    let mut text = String::new();
    for (number, (column, part)) in key.columns.iter().zip(parts).enumerate() {
        let operator = if number == last { operators.1 } else { operators.0 };
        let name = qualified(column, qualifier);
        text.push_str(if number == 0 { "(" } else { " OR (" });
        write_equals(&mut text, qualifier, key, parts, number);
        text.push_str(&compared(column, part, &name, operator));
        if number > 0 {
            text.push(')');
        }
    }
    text.push(')');
    text
}

/// One column against one value. ENUM is written as the list of its numbers: compared with `<` or `>` its index is
/// not used, in a list it is. (SET has no such form: with a SET in front every range reads the whole table.)
fn compared(column: &KeyColumn, part: &KeyPart, name: &str, operator: &str) -> String {
    let (KeyKind::Enum { labels }, KeyPart::UInt(value)) = (&column.kind, part) else {
        return format!("{name} {operator} {}", literal(column, part));
    };
    let numbers = (0..=*labels).filter_map(|number| u64::try_from(number).ok());
    let wanted = numbers.filter(|number| match operator {
        ">" => number > value,
        "<" => number < value,
        _ => number <= value,
    });
    let list: Vec<String> = wanted.map(|number| number.to_string()).collect();
    if list.is_empty() { "FALSE".to_owned() } else { format!("{name} IN ({})", list.join(",")) }
}

/// `a = 1 AND b = 2 AND ` for the columns before `count`.
fn write_equals(
    text: &mut String,
    qualifier: &str,
    key: &MigrationKey,
    parts: &[KeyPart],
    count: usize,
) {
    for (column, part) in key.columns.iter().zip(parts).take(count) {
        let written =
            write!(text, "{} = {} AND ", qualified(column, qualifier), literal(column, part));
        debug_assert!(written.is_ok(), "writing to a string succeeds");
    }
}

fn qualified(column: &KeyColumn, qualifier: &str) -> String {
    if qualifier.is_empty() {
        return quote(&column.name);
    }
    format!("{}.{}", quote(qualifier), quote(&column.name))
}

/// Text of digits and separators; anything else is left out, so that no value can end the literal.
fn typed_text(kind: &KeyKind, text: &str) -> String {
    let plain: String =
        text.chars().filter(|letter| letter.is_ascii_digit() || "-:. ".contains(*letter)).collect();
    match kind {
        KeyKind::Decimal { .. } => plain,
        _ => format!("'{plain}'"),
    }
}

/// A character set's name; only word characters can be part of one.
fn safe_word(name: &str) -> String {
    name.chars().filter(|letter| letter.is_ascii_alphanumeric() || *letter == '_').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kinds: &[(&str, KeyKind)]) -> MigrationKey {
        let columns = kinds.iter().enumerate().map(|(position, (name, kind))| KeyColumn {
            name: (*name).to_owned(),
            position,
            kind: kind.clone(),
        });
        MigrationKey { index: "PRIMARY".to_owned(), columns: columns.collect() }
    }

    fn int_pair() -> (MigrationKey, Key, Key) {
        let key = key(&[("a", KeyKind::Int { bytes: 4 }), ("b", KeyKind::UInt { bytes: 8 })]);
        let low = key.encode(&[KeyPart::Int(-1), KeyPart::UInt(2)]).unwrap();
        let high = key.encode(&[KeyPart::Int(3), KeyPart::UInt(u64::MAX)]).unwrap();
        (key, low, high)
    }

    #[test]
    fn ranges_are_written_out_per_column() {
        let (key, low, high) = int_pair();
        assert_eq!(
            range("s", &key, Some(&low), Some(&high)).unwrap(),
            "(`s`.`a` > -1 OR (`s`.`a` = -1 AND `s`.`b` > 2)) AND \
             (`s`.`a` < 3 OR (`s`.`a` = 3 AND `s`.`b` <= 18446744073709551615))"
        );
        assert_eq!(range("", &key, None, None).unwrap(), "TRUE");
        let single = tests::key(&[("a", KeyKind::Int { bytes: 4 })]);
        let one = single.encode(&[KeyPart::Int(7)]).unwrap();
        assert_eq!(range("", &single, Some(&one), Some(&one)).unwrap(), "(`a` > 7) AND (`a` <= 7)");
    }

    #[test]
    fn enums_are_compared_by_lists_of_numbers() {
        let key = key(&[("e", KeyKind::Enum { labels: 3 }), ("b", KeyKind::UInt { bytes: 1 })]);
        let at = |number| key.encode(&[KeyPart::UInt(number), KeyPart::UInt(9)]).unwrap();
        assert_eq!(
            range("", &key, Some(&at(1)), Some(&at(3))).unwrap(),
            "(`e` IN (2,3) OR (`e` = 1 AND `b` > 9)) AND \
             (`e` IN (0,1,2) OR (`e` = 3 AND `b` <= 9))"
        );
        assert_eq!(
            in_list("", &key, &[at(1), at(2)]).unwrap(),
            "((`e` = 1 AND `b` = 9) OR (`e` = 2 AND `b` = 9))"
        );
        assert_eq!(
            range("", &key, Some(&at(3)), None).unwrap(),
            "(FALSE OR (`e` = 3 AND `b` > 9))"
        );
    }

    #[test]
    fn digests_take_the_bytes_of_every_column() {
        let (key, ..) = int_pair();
        assert_eq!(
            digest_expression(&key, "s"),
            "LEFT(SHA2(CONCAT_WS(',', CAST(`s`.`a` AS BINARY), CAST(`s`.`b` AS BINARY)), 256), 12)"
        );
    }

    #[test]
    fn lists_name_each_key_once() {
        let (key, low, high) = int_pair();
        assert_eq!(
            in_list("t", &key, &[low, high]).unwrap(),
            "(`t`.`a`,`t`.`b`) IN ((-1,2),(3,18446744073709551615))"
        );
        assert_eq!(in_list("t", &key, &[]).unwrap(), "FALSE");
        let single = tests::key(&[("a`", KeyKind::VarBinary)]);
        let one = single.encode(&[KeyPart::Bytes(b"x'".to_vec())]).unwrap();
        assert_eq!(in_list("", &single, &[one]).unwrap(), "`a``` IN (x'7827')");
    }

    #[test]
    fn every_kind_has_its_expression_and_literal() {
        let text = KeyKind::Text { charset: "latin1".into(), collation: "latin1_bin".into() };
        let cases = [
            (KeyKind::Int { bytes: 1 }, KeyPart::Int(-5), "`c`", "-5"),
            (KeyKind::Year, KeyPart::UInt(2024), "CAST(`c` AS UNSIGNED)", "2024"),
            (KeyKind::Bit { bits: 9 }, KeyPart::UInt(256), "CAST(`c` AS UNSIGNED)", "256"),
            (KeyKind::Date, KeyPart::Temporal("2024-01-02".into()), "`c`", "'2024-01-02'"),
            (
                KeyKind::Decimal { precision: 4, scale: 2 },
                KeyPart::Decimal("-1.50".into()),
                "`c`",
                "-1.50",
            ),
            (text, KeyPart::Bytes(vec![0xE4]), "CAST(`c` AS BINARY)", "_latin1 x'e4'"),
            (KeyKind::Binary { length: 2 }, KeyPart::Bytes(vec![1, 0]), "`c`", "x'0100'"),
        ];
        for (kind, part, expression, text) in cases {
            let key = key(&[("c", kind)]);
            assert_eq!(select_expression(&key.columns[0], ""), expression);
            assert_eq!(literal(&key.columns[0], &part), text);
        }
    }
}
