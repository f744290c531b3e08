//! The grammar of table options: an allow-list of names, each with the kind of value that it takes.

use super::cursor::Cursor;
use super::error::AlterError;

/// What an option takes.
#[derive(Clone, Copy)]
enum Value {
    Number,
    /// A number or DEFAULT.
    NumberOrDefault,
    /// A name, word or string.
    Name,
    Text,
    /// A number with an optional unit letter.
    Size,
    /// The name of the one supported engine.
    Engine,
}

const OPTIONS: [(&[&str], Value); 33] = [
    (&["AUTOEXTEND_SIZE"], Value::Size),
    (&["AUTO_INCREMENT"], Value::Number),
    (&["AVG_ROW_LENGTH"], Value::Number),
    (&["CHARACTER", "SET"], Value::Name),
    (&["CHARSET"], Value::Name),
    (&["CHAR", "SET"], Value::Name),
    (&["CHECKSUM"], Value::Number),
    (&["COLLATE"], Value::Name),
    (&["COMMENT"], Value::Text),
    (&["COMPRESSION"], Value::Text),
    (&["DEFAULT", "CHARACTER", "SET"], Value::Name),
    (&["DEFAULT", "CHARSET"], Value::Name),
    (&["DEFAULT", "CHAR", "SET"], Value::Name),
    (&["DEFAULT", "COLLATE"], Value::Name),
    (&["DELAY_KEY_WRITE"], Value::Number),
    (&["ENCRYPTED"], Value::Name),
    (&["ENCRYPTION"], Value::Text),
    (&["ENCRYPTION_KEY_ID"], Value::Number),
    (&["ENGINE"], Value::Engine),
    (&["KEY_BLOCK_SIZE"], Value::Number),
    (&["MAX_ROWS"], Value::Number),
    (&["MIN_ROWS"], Value::Number),
    (&["PACK_KEYS"], Value::NumberOrDefault),
    (&["PAGE_CHECKSUM"], Value::Number),
    (&["PAGE_COMPRESSED"], Value::Name),
    (&["PAGE_COMPRESSION_LEVEL"], Value::Number),
    (&["ROW_FORMAT"], Value::Name),
    (&["STATS_AUTO_RECALC"], Value::NumberOrDefault),
    (&["STATS_PERSISTENT"], Value::NumberOrDefault),
    (&["STATS_SAMPLE_PAGES"], Value::NumberOrDefault),
    (&["TABLE_CHECKSUM"], Value::Number),
    (&["TRANSACTIONAL"], Value::Number),
    (&["TYPE"], Value::Engine),
];

/// Whether a table option begins here.
pub(super) fn begins(cursor: &Cursor<'_, '_>) -> bool {
    OPTIONS.iter().any(|(words, _)| cursor.at(words))
}

/// Reads one option and answers its name.
pub(super) fn read(cursor: &mut Cursor<'_, '_>) -> Result<String, AlterError> {
    let (words, value) =
        OPTIONS.iter().find(|(words, _)| cursor.at(words)).ok_or_else(|| cursor.error())?;
    cursor.accept(words);
    cursor.accept_symbol('=');
    read_value(cursor, *value)?;
    Ok(words.join(" "))
}

fn read_value(cursor: &mut Cursor<'_, '_>, value: Value) -> Result<(), AlterError> {
    match value {
        Value::Number => cursor.number(),
        Value::NumberOrDefault if cursor.accept(&["DEFAULT"]) => Ok(()),
        Value::NumberOrDefault => cursor.number(),
        Value::Text => cursor.string(),
        Value::Name => cursor.ident_or_text().map(|_| ()),
        Value::Size => size(cursor),
        Value::Engine => engine(cursor),
    }
}

fn size(cursor: &mut Cursor<'_, '_>) -> Result<(), AlterError> {
    let size =
        cursor.peek().map(|token| token.text.trim_end_matches(['k', 'K', 'm', 'M', 'g', 'G']));
    if size.is_none_or(|size| size.is_empty() || !size.bytes().all(|b| b.is_ascii_digit())) {
        return Err(cursor.error());
    }
    cursor.advance();
    Ok(())
}

fn engine(cursor: &mut Cursor<'_, '_>) -> Result<(), AlterError> {
    let token = cursor.ident_or_text()?;
    let name = token.string().or_else(|| token.name()).unwrap_or_default();
    if name.eq_ignore_ascii_case("InnoDB") { Ok(()) } else { Err(AlterError::ChangeEngine) }
}
