//! Reads statements that change definitions: which object they act upon and which tables they name.

use super::{DdlKind, Statement};
use crate::schema::alter::cursor::Cursor;
use crate::schema::alter::lexer::TokenKind;
use crate::schema::table::TableName;

/// What CREATE, ALTER and DROP act upon.
enum Object {
    Table,
    Index,
    Trigger,
    Database,
    /// Something that holds no rows, or a temporary table.
    Foreign,
}

/// Objects that never change a base table.
const FOREIGN: [&str; 20] = [
    "TEMPORARY",
    "VIEW",
    "PROCEDURE",
    "FUNCTION",
    "EVENT",
    "USER",
    "ROLE",
    "SERVER",
    "TABLESPACE",
    "LOGFILE",
    "UNDO",
    "INSTANCE",
    "RESOURCE",
    "SEQUENCE",
    "PACKAGE",
    "REFERENCE",
    "LIBRARY",
    "PREPARE",
    "PROFILE",
    "DUALITY",
];

/// Reads one definition statement.
pub(super) struct Definition<'a, 't, 'd> {
    cursor: Cursor<'a, 't>,
    database: &'d str,
}

impl<'a, 't, 'd> Definition<'a, 't, 'd> {
    /// A definition statement that runs with this default database.
    pub(super) fn new(cursor: Cursor<'a, 't>, database: &'d str) -> Self {
        Self { cursor, database }
    }

    pub(super) fn read(mut self) -> Statement {
        let whole = self.cursor;
        if self.cursor.accept(&["RENAME"]) {
            return self.rename(whole);
        }
        if self.cursor.accept(&["TRUNCATE"]) {
            self.cursor.accept(&["TABLE"]);
            let tables = self.table().into_iter().collect();
            return Statement::Ddl { kind: DdlKind::TruncateTable, tables };
        }
        let Some(verb) = ["CREATE", "ALTER", "DROP"].into_iter().find(|v| self.cursor.accept(&[v]))
        else {
            return Statement::Other;
        };
        match self.object() {
            Some(object) => self.act(verb, &object),
            None => self.unreadable(whole),
        }
    }

    /// Skips modifiers up to the kind of object.
    fn object(&mut self) -> Option<Object> {
        loop {
            if self.cursor.accept(&["DEFINER"]) {
                self.definer();
            }
            let token = self.cursor.advance()?;
            if token.kind != TokenKind::Word && !token.is_symbol('=') {
                return None;
            }
            match token.text.to_ascii_uppercase().as_str() {
                "TABLE" | "TABLES" => return Some(Object::Table),
                "INDEX" => return Some(Object::Index),
                "TRIGGER" => return Some(Object::Trigger),
                "DATABASE" | "SCHEMA" => return Some(Object::Database),
                word if FOREIGN.contains(&word) => return Some(Object::Foreign),
                _ => {}
            }
        }
    }

    /// `= user@host`, of which the user may be spelled like a keyword.
    fn definer(&mut self) {
        if !self.cursor.accept_symbol('=') {
            return;
        }
        self.cursor.advance();
        if self.cursor.accept_symbol('@') {
            self.cursor.advance();
        } else if self.cursor.accept_symbol('(') {
            self.cursor.accept_symbol(')');
        }
    }

    fn act(mut self, verb: &str, object: &Object) -> Statement {
        let (kind, tables) = match (verb, object) {
            ("ALTER", Object::Table) => (DdlKind::AlterTable, self.altered()),
            ("CREATE", Object::Table) => self.created(),
            ("DROP", Object::Table) => (DdlKind::DropTable, self.list()),
            ("CREATE", Object::Index) => (DdlKind::CreateIndex, self.table_behind("ON")),
            ("DROP", Object::Index) => (DdlKind::DropIndex, self.table_behind("ON")),
            ("CREATE", Object::Trigger) => (DdlKind::CreateTrigger, self.table_behind("ON")),
            ("DROP", Object::Trigger) => (DdlKind::DropTrigger, Vec::new()),
            ("DROP", Object::Database) => {
                self.skip_condition();
                let database = self.cursor.name().unwrap_or_default();
                (DdlKind::DropDatabase(database), Vec::new())
            }
            _ => return Statement::Other,
        };
        Statement::Ddl { kind, tables }
    }

    fn rename(mut self, whole: Cursor<'a, 't>) -> Statement {
        if self.cursor.at(&["USER"]) {
            return Statement::Other;
        }
        if !self.cursor.accept_any(&["TABLE", "TABLES"]) {
            return self.unreadable(whole);
        }
        Statement::Ddl { kind: DdlKind::RenameTable, tables: self.list() }
    }

    /// All names, as if each were a table.
    fn unreadable(mut self, whole: Cursor<'a, 't>) -> Statement {
        let mut tables = Vec::new();
        self.cursor = whole;
        while !self.cursor.is_end() {
            match self.table() {
                Some(table) => tables.push(table),
                None => drop(self.cursor.advance()),
            }
        }
        Statement::Ddl { kind: DdlKind::Unreadable, tables }
    }

    /// The table, where its clauses move it or its rows, and the parents of its foreign keys.
    fn altered(&mut self) -> Vec<TableName> {
        const LEADS: [&[&str]; 5] = [
            &["RENAME"],
            &["WITH", "TABLE"],
            &["TO", "TABLE"],
            &["CONVERT", "TABLE"],
            &["REFERENCES"],
        ];
        self.skip_condition();
        let mut tables: Vec<_> = self.table().into_iter().collect();
        while !self.cursor.is_end() {
            if !LEADS.iter().any(|words| self.cursor.accept(words)) {
                self.cursor.advance();
            } else if !["COLUMN", "INDEX", "KEY"].iter().any(|word| self.cursor.at(&[word])) {
                let _joined =
                    self.cursor.accept_any(&["TO", "AS"]) || self.cursor.accept_symbol('=');
                tables.extend(self.table());
            }
        }
        tables
    }

    fn created(&mut self) -> (DdlKind, Vec<TableName>) {
        self.skip_condition();
        let mut tables: Vec<_> = self.table().into_iter().collect();
        let mut kind = DdlKind::CreateTable;
        while !self.cursor.is_end() {
            if self.cursor.accept(&["REFERENCES"]) {
                tables.extend(self.table());
            } else if self.cursor.accept(&["START", "TRANSACTION"]) {
                kind = DdlKind::CreateTableWithRows;
            } else {
                self.cursor.advance();
            }
        }
        (kind, tables)
    }

    /// Names between commas and TO.
    fn list(&mut self) -> Vec<TableName> {
        let mut tables = Vec::new();
        self.skip_condition();
        while let Some(table) = self.table() {
            tables.push(table);
            self.skip_wait();
            if !self.cursor.accept_symbol(',') && !self.cursor.accept(&["TO"]) {
                break;
            }
        }
        tables
    }

    fn table_behind(&mut self, word: &str) -> Vec<TableName> {
        if !skip_past(&mut self.cursor, word) {
            return Vec::new();
        }
        self.table().into_iter().collect()
    }

    fn table(&mut self) -> Option<TableName> {
        let first = self.cursor.name().ok()?;
        if !self.cursor.accept_symbol('.') {
            return Some(TableName::new(self.database, first));
        }
        Some(TableName::new(first, self.cursor.name().ok()?))
    }

    fn skip_condition(&mut self) {
        let _any =
            self.cursor.accept(&["IF", "EXISTS"]) || self.cursor.accept(&["IF", "NOT", "EXISTS"]);
        self.skip_wait();
    }

    /// `WAIT n` and `NOWAIT` of MariaDB, unless it is the name of a table.
    fn skip_wait(&mut self) {
        let mut ahead = self.cursor;
        let waits = ahead.accept(&["WAIT"]) && ahead.number().is_ok();
        if waits {
            self.cursor = ahead;
        } else {
            let mut ahead = self.cursor;
            if ahead.accept(&["NOWAIT"]) && !ahead.is_end() && !ahead.at(&["TO"]) {
                self.cursor = ahead;
            }
        }
    }
}

/// Moves behind the next such word; whether there is one.
pub(super) fn skip_past(cursor: &mut Cursor<'_, '_>, word: &str) -> bool {
    while let Some(token) = cursor.advance() {
        if token.is_word(word) {
            return true;
        }
    }
    false
}
