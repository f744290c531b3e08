//! The grammar of index and constraint definitions behind ADD.

use super::clause::{ClauseKind, IndexKind};
use super::cursor::Cursor;
use super::error::AlterError;
use super::expression;

/// Reads an index or constraint, when one begins here.
pub(super) fn definition(cursor: &mut Cursor<'_, '_>) -> Result<Option<ClauseKind>, AlterError> {
    if cursor.accept(&["CONSTRAINT"]) {
        return constraint(cursor).map(Some);
    }
    if cursor.at(&["CHECK"])
        || cursor.at(&["PRIMARY"])
        || cursor.at(&["UNIQUE"])
        || cursor.at(&["FOREIGN"])
    {
        return constraint_body(cursor, None).map(Some);
    }
    let kind = if cursor.accept(&["FULLTEXT"]) {
        IndexKind::FullText
    } else if cursor.accept(&["SPATIAL"]) {
        IndexKind::Spatial
    } else if cursor.at(&["VECTOR", "INDEX"]) || cursor.at(&["VECTOR", "KEY"]) {
        cursor.advance();
        IndexKind::Vector
    } else if cursor.at(&["INDEX"]) || cursor.at(&["KEY"]) {
        IndexKind::Plain
    } else {
        return Ok(None);
    };
    cursor.accept_any(&["INDEX", "KEY"]);
    index(cursor, kind, None).map(Some)
}

fn constraint(cursor: &mut Cursor<'_, '_>) -> Result<ClauseKind, AlterError> {
    let bodies = ["CHECK", "PRIMARY", "UNIQUE", "FOREIGN"];
    let symbol =
        if bodies.iter().any(|word| cursor.at(&[word])) { None } else { Some(cursor.name()?) };
    constraint_body(cursor, symbol)
}

fn constraint_body(
    cursor: &mut Cursor<'_, '_>,
    symbol: Option<String>,
) -> Result<ClauseKind, AlterError> {
    if cursor.accept(&["CHECK"]) {
        expression::check(cursor.group()?.rest())?;
        let _state_follows = cursor.accept(&["NOT", "ENFORCED"]) || cursor.accept(&["ENFORCED"]);
        cursor.end()?;
        return Ok(ClauseKind::AddCheck { name: symbol });
    }
    if cursor.accept(&["PRIMARY", "KEY"]) {
        index(cursor, IndexKind::Unique, None)?;
        return Ok(ClauseKind::AddPrimaryKey);
    }
    cursor.expect(&["UNIQUE"])?;
    cursor.accept_any(&["INDEX", "KEY"]);
    index(cursor, IndexKind::Unique, symbol)
}

/// `[name] [USING type] (parts) [options]`
fn index(
    cursor: &mut Cursor<'_, '_>,
    kind: IndexKind,
    symbol: Option<String>,
) -> Result<ClauseKind, AlterError> {
    let unnamed = cursor.at_group() || cursor.at(&["USING"]);
    let name = if unnamed { symbol } else { Some(cursor.name()?) };
    if cursor.accept_any(&["USING", "TYPE"]) {
        index_type(cursor)?;
    }
    let parts = cursor.group()?;
    for part in parts.split() {
        index_part(parts.over(part))?;
    }
    while !cursor.is_end() {
        option(cursor)?;
    }
    Ok(ClauseKind::AddIndex { name, kind })
}

fn index_type(cursor: &mut Cursor<'_, '_>) -> Result<(), AlterError> {
    if cursor.accept_any(&["BTREE", "HASH", "RTREE"]) { Ok(()) } else { Err(cursor.error()) }
}

/// `name [(length)] [ASC | DESC]` or `(expression) [ASC | DESC]`
fn index_part(mut part: Cursor<'_, '_>) -> Result<(), AlterError> {
    if part.at_group() {
        expression::check(part.group()?.rest())?;
    } else {
        part.name()?;
        if part.at_group() {
            let mut length = part.group()?;
            length.number()?;
            length.end()?;
        }
    }
    part.accept_any(&["ASC", "DESC"]);
    part.end()
}

fn option(cursor: &mut Cursor<'_, '_>) -> Result<(), AlterError> {
    if cursor.accept_any(&["VISIBLE", "INVISIBLE", "IGNORED"]) || cursor.accept(&["NOT", "IGNORED"])
    {
        return Ok(());
    }
    if cursor.accept_any(&["USING", "TYPE"]) {
        return index_type(cursor);
    }
    if cursor.accept(&["COMMENT"]) {
        return cursor.string();
    }
    if cursor.accept(&["WITH", "PARSER"]) {
        return cursor.name().map(|_| ());
    }
    if cursor.accept_any(&["KEY_BLOCK_SIZE", "M"]) {
        cursor.accept_symbol('=');
        return cursor.number();
    }
    cursor.expect(&["DISTANCE"])?;
    cursor.accept_symbol('=');
    cursor.name().map(|_| ())
}
