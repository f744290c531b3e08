//! The grammar of partition changes, each of which must stand alone.
//! Operations that drop rows or only maintain them are refused elsewhere: on a shadow table they would
//! not do what they do on the source table.

use super::clause::ClauseKind;
use super::cursor::Cursor;
use super::error::AlterError;
use super::expression;

/// Whether a supported partition change begins here.
pub(super) fn begins(cursor: &Cursor<'_, '_>) -> bool {
    cursor.at(&["PARTITION", "BY"])
        || cursor.at(&["REMOVE", "PARTITIONING"])
        || ["ADD", "COALESCE", "REORGANIZE"].iter().any(|word| cursor.at(&[word, "PARTITION"]))
}

/// Reads a partition change to the end of the text.
pub(super) fn read(cursor: &mut Cursor<'_, '_>) -> Result<ClauseKind, AlterError> {
    let kind = change(cursor)?;
    if cursor.peek().is_some_and(|token| token.is_symbol(',')) {
        return Err(AlterError::MixPartitioning);
    }
    cursor.end()?;
    Ok(kind)
}

fn change(cursor: &mut Cursor<'_, '_>) -> Result<ClauseKind, AlterError> {
    if cursor.accept(&["REMOVE", "PARTITIONING"]) {
        return Ok(ClauseKind::RemovePartitioning);
    }
    if cursor.accept(&["PARTITION", "BY"]) {
        partition_by(cursor)?;
        return Ok(ClauseKind::PartitionBy);
    }
    let name = if cursor.accept(&["ADD", "PARTITION"]) {
        if cursor.accept(&["PARTITIONS"]) {
            cursor.number()?;
        } else {
            partitions(cursor)?;
        }
        "ADD PARTITION"
    } else if cursor.accept(&["COALESCE", "PARTITION"]) {
        cursor.number()?;
        "COALESCE PARTITION"
    } else {
        cursor.expect(&["REORGANIZE", "PARTITION"])?;
        names(cursor)?;
        cursor.expect(&["INTO"])?;
        partitions(cursor)?;
        "REORGANIZE PARTITION"
    };
    Ok(ClauseKind::PartitionOperation { name: name.to_owned() })
}

fn partition_by(cursor: &mut Cursor<'_, '_>) -> Result<(), AlterError> {
    method(cursor)?;
    if cursor.accept(&["PARTITIONS"]) {
        cursor.number()?;
    }
    if cursor.accept(&["SUBPARTITION", "BY"]) {
        method(cursor)?;
        if cursor.accept(&["SUBPARTITIONS"]) {
            cursor.number()?;
        }
    }
    if cursor.at_group() { partitions(cursor) } else { Ok(()) }
}

fn method(cursor: &mut Cursor<'_, '_>) -> Result<(), AlterError> {
    cursor.accept(&["LINEAR"]);
    if cursor.accept(&["KEY"]) {
        if cursor.accept(&["ALGORITHM"]) {
            cursor.accept_symbol('=');
            cursor.number()?;
        }
    } else if cursor.accept_any(&["RANGE", "LIST"]) {
        cursor.accept(&["COLUMNS"]);
    } else {
        cursor.expect(&["HASH"])?;
    }
    expression::check(cursor.group()?.rest())
}

fn names(cursor: &mut Cursor<'_, '_>) -> Result<(), AlterError> {
    cursor.name()?;
    while cursor.accept_symbol(',') {
        cursor.name()?;
    }
    Ok(())
}

fn partitions(cursor: &mut Cursor<'_, '_>) -> Result<(), AlterError> {
    let list = cursor.group()?;
    for item in list.split() {
        let mut item = list.over(item);
        item.expect(&["PARTITION"])?;
        item.name()?;
        values(&mut item)?;
        options(&mut item)?;
        if item.at_group() {
            subpartitions(item.group()?)?;
        }
        item.end()?;
    }
    Ok(())
}

fn subpartitions(list: Cursor<'_, '_>) -> Result<(), AlterError> {
    for item in list.split() {
        let mut item = list.over(item);
        item.expect(&["SUBPARTITION"])?;
        item.name()?;
        options(&mut item)?;
        item.end()?;
    }
    Ok(())
}

fn values(item: &mut Cursor<'_, '_>) -> Result<(), AlterError> {
    if item.accept(&["VALUES", "LESS", "THAN", "MAXVALUE"]) || item.accept(&["DEFAULT"]) {
        return Ok(());
    }
    if item.accept(&["VALUES", "LESS", "THAN"]) || item.accept(&["VALUES", "IN"]) {
        return expression::check(item.group()?.rest());
    }
    Ok(())
}

fn options(item: &mut Cursor<'_, '_>) -> Result<(), AlterError> {
    while !item.is_end() && !item.at_group() {
        if item.accept(&["STORAGE", "ENGINE"]) || item.accept(&["ENGINE"]) {
            item.accept_symbol('=');
            let token = item.ident_or_text()?;
            let name = token.string().or_else(|| token.name()).unwrap_or_default();
            if !name.eq_ignore_ascii_case("InnoDB") {
                return Err(AlterError::ChangeEngine);
            }
        } else if item.accept(&["COMMENT"]) {
            item.accept_symbol('=');
            item.string()?;
        } else if item.accept_any(&["MAX_ROWS", "MIN_ROWS"]) {
            item.accept_symbol('=');
            item.number()?;
        } else {
            return Err(item.error());
        }
    }
    Ok(())
}
