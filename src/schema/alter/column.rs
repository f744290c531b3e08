//! The grammar of a column definition: type, attributes and place, each from an allow-list.
//! Whether the parts fit together is for the server to say.

use super::cursor::Cursor;
use super::error::AlterError;
use super::expression;
use super::lexer::{Token, TokenKind};

/// Type names of one word, of MySQL and MariaDB.
const TYPES: [&str; 65] = [
    "BIGINT",
    "BINARY",
    "BIT",
    "BLOB",
    "BOOL",
    "BOOLEAN",
    "CHAR",
    "CHARACTER",
    "DATE",
    "DATETIME",
    "DEC",
    "DECIMAL",
    "DOUBLE",
    "ENUM",
    "FIXED",
    "FLOAT",
    "FLOAT4",
    "FLOAT8",
    "GEOMCOLLECTION",
    "GEOMETRY",
    "GEOMETRYCOLLECTION",
    "INET4",
    "INET6",
    "INT",
    "INT1",
    "INT2",
    "INT3",
    "INT4",
    "INT8",
    "INTEGER",
    "JSON",
    "LINESTRING",
    "LONG",
    "LONGBLOB",
    "LONGTEXT",
    "MEDIUMBLOB",
    "MEDIUMINT",
    "MEDIUMTEXT",
    "MIDDLEINT",
    "MULTILINESTRING",
    "MULTIPOINT",
    "MULTIPOLYGON",
    "NCHAR",
    "NUMBER",
    "NUMERIC",
    "NVARCHAR",
    "POINT",
    "POLYGON",
    "REAL",
    "SERIAL",
    "SET",
    "SMALLINT",
    "TEXT",
    "TIME",
    "TIMESTAMP",
    "TINYBLOB",
    "TINYINT",
    "TINYTEXT",
    "UUID",
    "VARBINARY",
    "VARCHAR",
    "VARCHAR2",
    "VARCHARACTER",
    "VECTOR",
    "YEAR",
];

/// Second and third words of types such as `DOUBLE PRECISION` and `LONG VARCHAR`.
const TYPE_SUFFIXES: [&str; 6] =
    ["PRECISION", "VARYING", "VARCHAR", "VARBINARY", "CHAR", "CHARACTER"];

/// Attributes of one word.
const FLAGS: [&str; 18] = [
    "ASCII",
    "AUTO_INCREMENT",
    "BINARY",
    "BYTE",
    "ENFORCED",
    "INVISIBLE",
    "KEY",
    "NULL",
    "PERSISTENT",
    "PRIMARY",
    "SIGNED",
    "STORED",
    "UNICODE",
    "UNIQUE",
    "UNSIGNED",
    "VIRTUAL",
    "VISIBLE",
    "ZEROFILL",
];

/// What may stand as a default without parentheses and arguments.
const PLAIN_DEFAULTS: [&str; 11] = [
    "CURDATE",
    "CURRENT_DATE",
    "CURRENT_TIME",
    "CURRENT_TIMESTAMP",
    "CURTIME",
    "FALSE",
    "LOCALTIME",
    "LOCALTIMESTAMP",
    "NOW",
    "NULL",
    "TRUE",
];

/// Reads a definition to the end of the clause, FIRST and AFTER included.
pub(super) fn definition(cursor: &mut Cursor<'_, '_>) -> Result<(), AlterError> {
    data_type(cursor)?;
    while !cursor.is_end() {
        if cursor.accept(&["FIRST"]) {
            return cursor.end();
        }
        if cursor.accept(&["AFTER"]) {
            cursor.name()?;
            return cursor.end();
        }
        attribute(cursor)?;
    }
    Ok(())
}

/// Reads the value of DEFAULT.
pub(super) fn default_value(cursor: &mut Cursor<'_, '_>) -> Result<(), AlterError> {
    if cursor.at_group() {
        return expression::check(cursor.group()?.rest());
    }
    while accept_sign(cursor) {}
    if cursor.peek().is_some_and(|token| token.is_symbol('.')) {
        return fraction(cursor);
    }
    match cursor.peek() {
        Some(token) if token.kind == TokenKind::Text => texts(cursor),
        Some(token) if token.kind == TokenKind::Word => word_value(cursor, token),
        _ => Err(cursor.error()),
    }
}

fn data_type(cursor: &mut Cursor<'_, '_>) -> Result<(), AlterError> {
    cursor.accept(&["NATIONAL"]);
    if !cursor.accept_any(&TYPES) {
        return Err(cursor.error());
    }
    while !at_charset(cursor) && cursor.accept_any(&TYPE_SUFFIXES) {}
    if cursor.at_group() {
        let arguments = cursor.group()?;
        let plain = |token: &&Token<'_>| token.kind == TokenKind::Symbol && !token.is_symbol(',');
        if let Some(index) = arguments.rest().iter().position(|token| plain(&token)) {
            return Err(cursor.over(arguments.rest().get(index..).unwrap_or_default()).error());
        }
    }
    Ok(())
}

fn at_charset(cursor: &Cursor<'_, '_>) -> bool {
    cursor.at(&["CHARACTER", "SET"]) || cursor.at(&["CHAR", "SET"]) || cursor.at(&["CHARSET"])
}

fn attribute(cursor: &mut Cursor<'_, '_>) -> Result<(), AlterError> {
    if cursor.accept(&["NOT", "NULL"])
        || cursor.accept(&["NOT", "ENFORCED"])
        || cursor.accept(&["SERIAL", "DEFAULT", "VALUE"])
        || cursor.accept_any(&FLAGS)
    {
        return Ok(());
    }
    if at_charset(cursor) || cursor.at(&["COLLATE"]) {
        return charset(cursor);
    }
    if cursor.accept(&["DEFAULT"]) {
        return default_value(cursor);
    }
    if cursor.accept(&["ON", "UPDATE"]) {
        return on_update(cursor);
    }
    if cursor.accept(&["COMMENT"]) {
        return cursor.string();
    }
    if cursor.accept(&["COLUMN_FORMAT"]) {
        let known = cursor.accept_any(&["FIXED", "DYNAMIC", "DEFAULT"]);
        return if known { Ok(()) } else { Err(cursor.error()) };
    }
    if cursor.accept(&["SRID"]) {
        return cursor.number();
    }
    expression_attribute(cursor)
}

/// `[GENERATED ALWAYS] AS (...)` and `[CONSTRAINT [name]] CHECK (...)`.
fn expression_attribute(cursor: &mut Cursor<'_, '_>) -> Result<(), AlterError> {
    let generated = cursor.accept(&["GENERATED", "ALWAYS", "AS"]) || cursor.accept(&["AS"]);
    if !generated {
        if cursor.accept(&["CONSTRAINT"]) && !cursor.at(&["CHECK"]) {
            cursor.name()?;
        }
        cursor.expect(&["CHECK"])?;
    }
    expression::check(cursor.group()?.rest())
}

fn charset(cursor: &mut Cursor<'_, '_>) -> Result<(), AlterError> {
    let words: [&[&str]; 4] = [&["CHARACTER", "SET"], &["CHAR", "SET"], &["CHARSET"], &["COLLATE"]];
    words.iter().any(|words| cursor.accept(words));
    cursor.ident_or_text().map(|_| ())
}

fn on_update(cursor: &mut Cursor<'_, '_>) -> Result<(), AlterError> {
    if !cursor.accept_any(&["CURRENT_TIMESTAMP", "NOW", "LOCALTIME", "LOCALTIMESTAMP"]) {
        return Err(cursor.error());
    }
    if !cursor.at_group() {
        return Ok(());
    }
    let mut digits = cursor.group()?;
    if !digits.is_end() {
        digits.number()?;
    }
    digits.end()
}

/// A number, a keyword, a function call, or a word that introduces a string.
fn word_value<'a>(cursor: &mut Cursor<'a, '_>, word: &Token<'a>) -> Result<(), AlterError> {
    if word.text.starts_with(|c: char| c.is_ascii_digit()) {
        return number_value(cursor);
    }
    let whole = cursor.rest();
    let mut after = *cursor;
    after.advance();
    let Some(next) = after.peek() else {
        return plain_default(cursor);
    };
    if next.is_symbol('(') {
        after.group()?;
        let call = whole.get(..whole.len() - after.rest().len()).unwrap_or_default();
        *cursor = after;
        return expression::check(call);
    }
    let introduces =
        next.kind == TokenKind::Text && !PLAIN_DEFAULTS.iter().any(|d| word.is_word(d));
    if introduces {
        *cursor = after;
        return texts(cursor);
    }
    if word.text.starts_with('_') && next.kind == TokenKind::Word {
        *cursor = after;
        return word_value(cursor, next);
    }
    plain_default(cursor)
}

fn plain_default(cursor: &mut Cursor<'_, '_>) -> Result<(), AlterError> {
    if cursor.accept_any(&PLAIN_DEFAULTS) { Ok(()) } else { Err(cursor.error()) }
}

/// Digits with fraction and exponent; the lexer gives `1.5e-3` as `1`, `.`, `5e`, `-`, `3`.
fn number_value(cursor: &mut Cursor<'_, '_>) -> Result<(), AlterError> {
    let integer = cursor.advance();
    if cursor.peek().is_some_and(|token| token.is_symbol('.') && !token.spaced) {
        return fraction(cursor);
    }
    exponent(cursor, integer)
}

fn fraction(cursor: &mut Cursor<'_, '_>) -> Result<(), AlterError> {
    cursor.advance();
    let starts_with_digit = |t: &&Token<'_>| t.text.starts_with(|c: char| c.is_ascii_digit());
    match cursor.peek().filter(|token| !token.spaced).filter(starts_with_digit) {
        Some(digits) => {
            cursor.advance();
            exponent(cursor, Some(digits))
        }
        None => Ok(()),
    }
}

fn exponent(cursor: &mut Cursor<'_, '_>, digits: Option<&Token<'_>>) -> Result<(), AlterError> {
    let open = digits
        .is_some_and(|token| token.text.ends_with(['e', 'E']) && !token.text.starts_with("0x"));
    if open && accept_sign(cursor) { cursor.number() } else { Ok(()) }
}

fn accept_sign(cursor: &mut Cursor<'_, '_>) -> bool {
    cursor.accept_symbol('-') || cursor.accept_symbol('+')
}

/// One string, or several that the server joins.
fn texts(cursor: &mut Cursor<'_, '_>) -> Result<(), AlterError> {
    cursor.string()?;
    while cursor.peek().is_some_and(|token| token.kind == TokenKind::Text) {
        cursor.string()?;
    }
    Ok(())
}
