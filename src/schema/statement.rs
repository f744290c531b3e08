//! What a statement in the binlog is, and which tables it names: text goes in, a `Statement` comes out.
//! Tolerant, because other programs wrote the text: what cannot be read names every table that it mentions.
//! Knows neither groups of events nor which tables are watched.

mod definition;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use crate::schema::alter::cursor::Cursor;
use crate::schema::alter::lexer::{Token, TokenKind, tolerant_tokens};
use crate::schema::table::{TableName, same_name};
use definition::{Definition, skip_past};

/// A statement by its effect on transactions, tables and rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// BEGIN or START TRANSACTION.
    Begin,
    /// COMMIT.
    Commit,
    /// ROLLBACK of the transaction.
    Rollback,
    /// SAVEPOINT.
    Savepoint,
    /// ROLLBACK TO a savepoint.
    RollbackTo,
    /// RELEASE SAVEPOINT.
    ReleaseSavepoint,
    /// An XA statement with its xid as `X'gtrid',X'bqual',format`, hex in lower case.
    Xa(XaVerb, String),
    /// A change of definitions that names tables.
    Ddl {
        /// Which one.
        kind: DdlKind,
        /// The tables that it changes, creates, drops or refers to by a foreign key.
        tables: Vec<TableName>,
    },
    /// A change of rows logged as text.
    Dml {
        /// Every identifier and keyword in it and its default database, lower case, in order.
        names: Vec<String>,
    },
    /// Anything else, temporary tables included.
    Other,
}

/// What an XA statement does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XaVerb {
    /// XA START or XA BEGIN.
    Start,
    /// XA END.
    End,
    /// XA PREPARE.
    Prepare,
    /// XA COMMIT of a prepared transaction.
    Commit,
    /// XA COMMIT ... ONE PHASE.
    CommitOnePhase,
    /// XA ROLLBACK.
    Rollback,
}

/// What a change of definitions does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DdlKind {
    /// ALTER TABLE.
    AlterTable,
    /// CREATE TABLE.
    CreateTable,
    /// CREATE TABLE ... START TRANSACTION: rows and a commit follow in the same group.
    CreateTableWithRows,
    /// DROP TABLE.
    DropTable,
    /// RENAME TABLE.
    RenameTable,
    /// TRUNCATE TABLE.
    TruncateTable,
    /// CREATE INDEX.
    CreateIndex,
    /// DROP INDEX.
    DropIndex,
    /// CREATE TRIGGER.
    CreateTrigger,
    /// DROP TRIGGER, which names no table.
    DropTrigger,
    /// DROP DATABASE with the name of the database.
    DropDatabase(String),
    /// A definition statement that is not understood; its tables are all names in it.
    Unreadable,
}

impl Statement {
    /// Whether it may change the table or its rows. Letter case is ignored, so that a doubt counts as yes.
    pub fn touches(&self, table: &TableName) -> bool {
        match self {
            Self::Ddl { kind: DdlKind::DropDatabase(database), .. } => {
                same_name(database, &table.database)
            }
            Self::Ddl { tables, .. } => tables.iter().any(|named| {
                same_name(&named.database, &table.database) && same_name(&named.table, &table.table)
            }),
            // A view, a trigger or a function may change a table that the text does not name.
            Self::Dml { names } => [&table.database, &table.table]
                .into_iter()
                .any(|name| names.binary_search(&name.to_lowercase()).is_ok()),
            Self::Begin
            | Self::Commit
            | Self::Rollback
            | Self::Savepoint
            | Self::RollbackTo
            | Self::ReleaseSavepoint
            | Self::Xa(..)
            | Self::Other => false,
        }
    }
}

/// Classifies a statement that ran with this default database.
pub fn classify(text: &str, default_database: &str) -> Statement {
    let tokens = tolerant_tokens(text);
    let mut cursor = Cursor::new(text, &tokens);
    if cursor.accept(&["SET", "STATEMENT"]) && !skip_past(&mut cursor, "FOR") {
        return Statement::Other;
    }
    if let Some(statement) = transaction(cursor) {
        return statement;
    }
    if cursor.accept(&["XA"]) {
        return xa(cursor).unwrap_or(Statement::Other);
    }
    let is_dml = ["INSERT", "UPDATE", "DELETE", "REPLACE", "LOAD", "WITH"];
    if is_dml.iter().any(|word| cursor.at(&[word])) {
        let mut names = names(&tokens);
        names.push(default_database.to_lowercase());
        names.sort();
        return Statement::Dml { names };
    }
    Definition::new(cursor, default_database).read()
}

fn transaction(mut cursor: Cursor<'_, '_>) -> Option<Statement> {
    if cursor.at(&["BEGIN"]) || cursor.at(&["START", "TRANSACTION"]) {
        Some(Statement::Begin)
    } else if cursor.at(&["COMMIT"]) {
        Some(Statement::Commit)
    } else if cursor.at(&["SAVEPOINT"]) {
        Some(Statement::Savepoint)
    } else if cursor.at(&["RELEASE", "SAVEPOINT"]) {
        Some(Statement::ReleaseSavepoint)
    } else if cursor.accept(&["ROLLBACK"]) {
        cursor.accept(&["WORK"]);
        Some(if cursor.at(&["TO"]) { Statement::RollbackTo } else { Statement::Rollback })
    } else {
        None
    }
}

fn xa(mut cursor: Cursor<'_, '_>) -> Option<Statement> {
    let word = cursor.advance()?.text.to_ascii_uppercase();
    let xid = xid(&mut cursor)?;
    let verb = match word.as_str() {
        "START" | "BEGIN" => XaVerb::Start,
        "END" => XaVerb::End,
        "PREPARE" => XaVerb::Prepare,
        "COMMIT" if cursor.at(&["ONE", "PHASE"]) => XaVerb::CommitOnePhase,
        "COMMIT" => XaVerb::Commit,
        "ROLLBACK" => XaVerb::Rollback,
        _ => return None,
    };
    Some(Statement::Xa(verb, xid))
}

/// `gtrid [, bqual [, format]]` in its one normal form.
fn xid(cursor: &mut Cursor<'_, '_>) -> Option<String> {
    let gtrid = xid_part(cursor)?;
    let bqual = if cursor.accept_symbol(',') { xid_part(cursor)? } else { String::new() };
    let format = if cursor.accept_symbol(',') { cursor.advance()?.text } else { "1" };
    Some(format!("X'{gtrid}',X'{bqual}',{format}"))
}

/// A string, `X'...'` or `0x...` as hex in lower case.
fn xid_part(cursor: &mut Cursor<'_, '_>) -> Option<String> {
    let token = cursor.advance()?;
    if token.is_word("X") {
        return Some(cursor.advance()?.string()?.to_ascii_lowercase());
    }
    if let Some(digits) = token.text.strip_prefix("0x") {
        return Some(digits.to_ascii_lowercase());
    }
    token.string().map(hex::encode)
}

/// Lower case words and quoted names, each once; plain numbers are left out.
fn names(tokens: &[Token<'_>]) -> Vec<String> {
    let number = |token: &Token<'_>| {
        token.kind == TokenKind::Word && token.text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let named = tokens.iter().filter(|token| !number(token)).filter_map(Token::name);
    named.map(|name| name.to_lowercase()).collect::<BTreeSet<_>>().into_iter().collect()
}
