//! One clause of an ALTER: what kind it is and which columns or indexes it names.
//! Tokens go in; the kind comes out, or the reason why the clause is refused.

use super::cursor::Cursor;
use super::error::AlterError;
use super::lexer::{Token, render};
use super::{column, index, option, partition, refusal};

/// One clause as it is sent to the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clause {
    /// What it does.
    pub kind: ClauseKind,
    /// Its text without comments and superfluous blanks.
    pub text: String,
}

/// What a clause does. Names are without quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields repeat what the variant says")]
pub enum ClauseKind {
    /// ADD \[COLUMN\].
    AddColumn { name: String },
    /// DROP \[COLUMN\].
    DropColumn { name: String },
    /// CHANGE \[COLUMN\]; both names may be one.
    ChangeColumn { old: String, new: String },
    /// MODIFY \[COLUMN\].
    ModifyColumn { name: String },
    /// RENAME COLUMN.
    RenameColumn { old: String, new: String },
    /// ALTER \[COLUMN\] with SET or DROP.
    AlterColumn { name: String },
    /// ADD INDEX, KEY, UNIQUE, FULLTEXT, SPATIAL and VECTOR INDEX.
    AddIndex { name: Option<String>, kind: IndexKind },
    /// ADD PRIMARY KEY.
    AddPrimaryKey,
    /// DROP PRIMARY KEY.
    DropPrimaryKey,
    /// DROP INDEX and DROP KEY.
    DropIndex { name: String },
    /// RENAME INDEX and RENAME KEY.
    RenameIndex { old: String, new: String },
    /// ALTER INDEX.
    AlterIndex { name: String },
    /// DROP FOREIGN KEY.
    DropForeignKey { name: String },
    /// ADD CHECK.
    AddCheck { name: Option<String> },
    /// ALTER CHECK and ALTER CONSTRAINT.
    AlterCheck { name: String },
    /// DROP CHECK.
    DropCheck { name: String },
    /// DROP CONSTRAINT.
    DropConstraint { name: String },
    /// CONVERT TO CHARACTER SET.
    ConvertCharset,
    /// A table option, its name in upper case.
    TableOption { name: String },
    /// PARTITION BY.
    PartitionBy,
    /// REMOVE PARTITIONING.
    RemovePartitioning,
    /// ADD, COALESCE or REORGANIZE PARTITION.
    PartitionOperation { name: String },
    /// FORCE.
    Force,
}

/// The sort of an added index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexKind {
    /// Allows duplicates.
    Plain,
    /// Forbids duplicates.
    Unique,
    /// FULLTEXT.
    FullText,
    /// SPATIAL.
    Spatial,
    /// VECTOR, on MariaDB.
    Vector,
}

/// A clause and the tokens that it is made of.
pub(super) type Parsed<'a> = (Clause, Vec<Token<'a>>);

/// Reads what stands between two top-level commas: one clause, or several when a list or table options
/// separated by blanks stand there.
pub(super) fn read<'a>(cursor: Cursor<'a, '_>) -> Result<Vec<Parsed<'a>>, AlterError> {
    if partition::begins(&cursor) {
        return Err(AlterError::MixPartitioning);
    }
    if let Some(error) = refusal::refused_clause(&cursor) {
        return Err(error);
    }
    if option::begins(&cursor) {
        return table_options(cursor);
    }
    if let Some(elements) = added_list(cursor)? {
        return elements.iter().map(|tokens| read_one(cursor.over(tokens), simple)).collect();
    }
    Ok(vec![read_one(cursor, simple)?])
}

/// Reads a partition change, which is the whole text.
pub(super) fn read_partitioning<'a>(cursor: Cursor<'a, '_>) -> Result<Parsed<'a>, AlterError> {
    read_one(cursor, partition::read)
}

fn read_one<'a, 't>(
    cursor: Cursor<'a, 't>,
    grammar: fn(&mut Cursor<'a, 't>) -> Result<ClauseKind, AlterError>,
) -> Result<Parsed<'a>, AlterError> {
    let mut rest = cursor;
    let kind = grammar(&mut rest)?;
    rest.end()?;
    Ok((Clause { kind, text: render(cursor.rest()) }, cursor.rest().to_vec()))
}

/// Options may follow each other without commas; each becomes a clause of its own.
fn table_options<'a>(mut cursor: Cursor<'a, '_>) -> Result<Vec<Parsed<'a>>, AlterError> {
    let mut clauses = Vec::new();
    while !cursor.is_end() {
        let before = cursor.rest();
        let name = option::read(&mut cursor)?;
        let tokens = before.get(..before.len() - cursor.rest().len()).unwrap_or_default();
        let kind = ClauseKind::TableOption { name };
        clauses.push((Clause { kind, text: render(tokens) }, tokens.to_vec()));
    }
    Ok(clauses)
}

/// `ADD [COLUMN] (a int, b int, INDEX (a))` as one ADD for each element.
fn added_list<'a>(mut cursor: Cursor<'a, '_>) -> Result<Option<Vec<Vec<Token<'a>>>>, AlterError> {
    let head = cursor.peek().copied();
    let listed = cursor.accept(&["ADD"]) && {
        cursor.accept(&["COLUMN"]);
        cursor.at_group()
    };
    let (true, Some(add)) = (listed, head) else {
        return Ok(None);
    };
    let list = cursor.group()?;
    cursor.end()?;
    list.split()
        .into_iter()
        .map(|element| added_element(&list, element, add))
        .collect::<Result<_, _>>()
        .map(Some)
}

fn added_element<'a>(
    list: &Cursor<'a, '_>,
    element: &[Token<'a>],
    add: Token<'a>,
) -> Result<Vec<Token<'a>>, AlterError> {
    let (first, rest) = element.split_first().ok_or_else(|| list.error())?;
    if first.is_symbol('(') || first.is_word("COLUMN") || first.is_word("PARTITION") {
        return Err(list.error());
    }
    let mut tokens = vec![add, Token { spaced: true, ..*first }];
    tokens.extend_from_slice(rest);
    Ok(tokens)
}

fn simple(cursor: &mut Cursor<'_, '_>) -> Result<ClauseKind, AlterError> {
    if cursor.accept(&["ADD"]) {
        add(cursor)
    } else if cursor.accept(&["DROP"]) {
        drop(cursor)
    } else if cursor.accept(&["CHANGE"]) {
        cursor.accept(&["COLUMN"]);
        let (old, new) = (cursor.name()?, cursor.name()?);
        column::definition(cursor)?;
        Ok(ClauseKind::ChangeColumn { old, new })
    } else if cursor.accept(&["MODIFY"]) {
        cursor.accept(&["COLUMN"]);
        let name = cursor.name()?;
        column::definition(cursor)?;
        Ok(ClauseKind::ModifyColumn { name })
    } else if cursor.accept(&["RENAME"]) {
        rename(cursor)
    } else if cursor.accept(&["ALTER"]) {
        alter(cursor)
    } else if cursor.accept(&["CONVERT", "TO"]) {
        convert(cursor)
    } else {
        cursor.expect(&["FORCE"]).map(|()| ClauseKind::Force)
    }
}

fn add(cursor: &mut Cursor<'_, '_>) -> Result<ClauseKind, AlterError> {
    if !cursor.accept(&["COLUMN"])
        && let Some(kind) = index::definition(cursor)?
    {
        return Ok(kind);
    }
    let name = cursor.name()?;
    column::definition(cursor)?;
    Ok(ClauseKind::AddColumn { name })
}

fn drop(cursor: &mut Cursor<'_, '_>) -> Result<ClauseKind, AlterError> {
    if cursor.accept(&["PRIMARY", "KEY"]) {
        Ok(ClauseKind::DropPrimaryKey)
    } else if cursor.accept_any(&["INDEX", "KEY"]) {
        Ok(ClauseKind::DropIndex { name: cursor.name()? })
    } else if cursor.accept(&["FOREIGN", "KEY"]) {
        Ok(ClauseKind::DropForeignKey { name: cursor.name()? })
    } else if cursor.accept(&["CHECK"]) {
        Ok(ClauseKind::DropCheck { name: cursor.name()? })
    } else if cursor.accept(&["CONSTRAINT"]) {
        Ok(ClauseKind::DropConstraint { name: cursor.name()? })
    } else {
        cursor.accept(&["COLUMN"]);
        let name = cursor.name()?;
        cursor.accept_any(&["RESTRICT", "CASCADE"]);
        Ok(ClauseKind::DropColumn { name })
    }
}

fn rename(cursor: &mut Cursor<'_, '_>) -> Result<ClauseKind, AlterError> {
    let column = cursor.accept(&["COLUMN"]);
    if !column && !cursor.accept_any(&["INDEX", "KEY"]) {
        return Err(AlterError::RenameTable);
    }
    let old = cursor.name()?;
    cursor.expect(&["TO"])?;
    let new = cursor.name()?;
    Ok(if column {
        ClauseKind::RenameColumn { old, new }
    } else {
        ClauseKind::RenameIndex { old, new }
    })
}

fn alter(cursor: &mut Cursor<'_, '_>) -> Result<ClauseKind, AlterError> {
    if cursor.accept(&["INDEX"]) {
        let name = cursor.name()?;
        let known = cursor.accept_any(&["VISIBLE", "INVISIBLE", "IGNORED"])
            || cursor.accept(&["NOT", "IGNORED"]);
        return if known { Ok(ClauseKind::AlterIndex { name }) } else { Err(cursor.error()) };
    }
    if cursor.accept_any(&["CHECK", "CONSTRAINT"]) {
        let name = cursor.name()?;
        cursor.accept(&["NOT"]);
        cursor.expect(&["ENFORCED"])?;
        return Ok(ClauseKind::AlterCheck { name });
    }
    cursor.accept(&["COLUMN"]);
    let name = cursor.name()?;
    if cursor.accept(&["SET", "DEFAULT"]) {
        column::default_value(cursor)?;
    } else if !cursor.accept(&["SET", "VISIBLE"]) && !cursor.accept(&["SET", "INVISIBLE"]) {
        cursor.expect(&["DROP", "DEFAULT"])?;
    }
    Ok(ClauseKind::AlterColumn { name })
}

fn convert(cursor: &mut Cursor<'_, '_>) -> Result<ClauseKind, AlterError> {
    if !cursor.accept(&["CHARACTER", "SET"]) && !cursor.accept(&["CHAR", "SET"]) {
        cursor.expect(&["CHARSET"])?;
    }
    cursor.accept_symbol('=');
    cursor.ident_or_text()?;
    if cursor.accept(&["COLLATE"]) {
        cursor.accept_symbol('=');
        cursor.ident_or_text()?;
    }
    Ok(ClauseKind::ConvertCharset)
}
