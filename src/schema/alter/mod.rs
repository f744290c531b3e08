//! Reads the user's `alter` text: one ALTER TABLE of MySQL or MariaDB, or only its clauses.
//! An allow-list: what is not understood is refused, because the text runs with our rights on the shadow
//! table. Whether the clauses fit the table is for the server to say; this module knows no table.

mod clause;
mod column;
mod constraint;
pub(crate) mod cursor;
mod error;
mod expression;
mod index;
pub(crate) mod lexer;
mod option;
mod partition;
mod refusal;
#[cfg(test)]
mod tests;

use sha2::{Digest, Sha256};

pub use clause::{Clause, ClauseKind, IndexKind};
pub use error::AlterError;

use crate::schema::table::same_name;
use clause::Parsed;
use cursor::{Cursor, split_commas, syntax_error};
use lexer::{LexError, Token, TokenKind};

/// The longest text in characters.
const MAX_CHARACTERS: usize = 65_536;

/// Symbols that clauses may hold outside quotes.
const SYMBOLS: &str = "(),=.+-*/%<>!|&^~";

/// The clauses of one ALTER TABLE, all of them allowed on a shadow table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alter {
    clauses: Vec<Clause>,
    digest: String,
}

/// A column that gets another name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rename {
    /// The name in the source table.
    pub old: String,
    /// The name in the shadow table.
    pub new: String,
}

impl Alter {
    /// Reads clauses, or a full `ALTER TABLE` that must name `table`, or `database.table`, letter by letter.
    ///
    /// # Errors
    /// Says why the text is refused: empty, too long, not understood, or not allowed.
    pub fn parse(text: &str, database: &str, table: &str) -> Result<Self, AlterError> {
        if text.chars().count() > MAX_CHARACTERS {
            return Err(AlterError::ExceedLength);
        }
        let tokens = safe_tokens(text)?;
        let mut cursor = Cursor::new(text, without_semicolon(&tokens)?);
        if cursor.is_end() {
            return Err(AlterError::FindNothing);
        }
        statement_head(&mut cursor, database, table)?;
        check_balance(text, cursor.rest())?;
        read_clauses(cursor).map(Self::from_parsed)
    }

    /// The clauses in order; an added list and table options are taken apart.
    pub fn clauses(&self) -> &[Clause] {
        &self.clauses
    }

    /// What goes behind `ALTER TABLE x `, without comments; parsing it again gives an equal value.
    pub fn to_sql(&self) -> String {
        self.clauses.iter().map(|clause| clause.text.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// SHA-256 in hex, the same for every spelling of blanks, comments and the case of unquoted words.
    pub fn digest(&self) -> String {
        self.digest.clone()
    }

    /// Columns that CHANGE or RENAME COLUMN gives another name; letter case alone is not another name.
    pub fn column_renames(&self) -> Vec<Rename> {
        let rename = |clause: &Clause| match &clause.kind {
            ClauseKind::ChangeColumn { old, new } | ClauseKind::RenameColumn { old, new } => {
                let rename = Rename { old: old.clone(), new: new.clone() };
                (!same_name(old, new)).then_some(rename)
            }
            _ => None,
        };
        self.clauses.iter().filter_map(rename).collect()
    }

    /// Columns that are dropped.
    pub fn dropped_columns(&self) -> Vec<String> {
        let dropped = |clause: &Clause| match &clause.kind {
            ClauseKind::DropColumn { name } => Some(name.clone()),
            _ => None,
        };
        self.clauses.iter().filter_map(dropped).collect()
    }

    /// Columns that are added.
    pub fn added_columns(&self) -> Vec<String> {
        let added = |clause: &Clause| match &clause.kind {
            ClauseKind::AddColumn { name } => Some(name.clone()),
            _ => None,
        };
        self.clauses.iter().filter_map(added).collect()
    }

    /// Whether it changes how the table is partitioned; it then has this one clause only.
    pub fn is_partition_change(&self) -> bool {
        self.clauses.iter().any(|clause| {
            matches!(
                clause.kind,
                ClauseKind::PartitionBy
                    | ClauseKind::RemovePartitioning
                    | ClauseKind::PartitionOperation { .. }
            )
        })
    }

    fn from_parsed(parsed: Vec<Parsed<'_>>) -> Self {
        let mut hash = Sha256::new();
        for token in parsed.iter().flat_map(|(_, tokens)| tokens) {
            hash.update(token.folded().as_bytes());
            hash.update(b"\0");
        }
        let digest = hex::encode(hash.finalize());
        Self { clauses: parsed.into_iter().map(|(clause, _)| clause).collect(), digest }
    }
}

/// The tokens, when none is of a sort that no clause needs.
fn safe_tokens(text: &str) -> Result<Vec<Token<'_>>, AlterError> {
    if let Some(byte) = text.find('\0') {
        return Err(syntax_error(text, byte));
    }
    let tokens = lexer::tokens(text).map_err(|error| match error {
        LexError::Unterminated(byte) => syntax_error(text, byte),
        LexError::Executable(_) => AlterError::HideInComment,
    })?;
    match tokens.iter().find(|token| !is_safe(token)) {
        Some(token) => Err(syntax_error(text, token.start)),
        None => Ok(tokens),
    }
}

/// Newer servers take `$$` and `$tag$` as quotes, older ones as letters.
fn is_safe(token: &Token<'_>) -> bool {
    match token.kind {
        TokenKind::Symbol => token.text.chars().all(|c| SYMBOLS.contains(c) || c == ';'),
        TokenKind::Word => !token.text.starts_with('$'),
        TokenKind::Quoted | TokenKind::Text => true,
    }
}

/// One semicolon may end the text.
fn without_semicolon<'a, 't>(tokens: &'t [Token<'a>]) -> Result<&'t [Token<'a>], AlterError> {
    let body = match tokens.split_last() {
        Some((last, body)) if last.is_symbol(';') => body,
        _ => tokens,
    };
    if body.iter().any(|token| token.is_symbol(';')) {
        return Err(AlterError::RepeatStatement);
    }
    Ok(body)
}

/// Takes `ALTER TABLE [database.]table` when the text begins with it.
fn statement_head(
    cursor: &mut Cursor<'_, '_>,
    database: &str,
    table: &str,
) -> Result<(), AlterError> {
    for modifier in ["ONLINE", "OFFLINE", "IGNORE"] {
        if cursor.at(&["ALTER", modifier, "TABLE"]) || cursor.at(&["ALTER", modifier, "IGNORE"]) {
            return Err(AlterError::UseClause { clause: format!("ALTER {modifier}") });
        }
    }
    if !cursor.accept(&["ALTER", "TABLE"]) {
        return Ok(());
    }
    let first = cursor.name()?;
    let second = if cursor.accept_symbol('.') { Some(cursor.name()?) } else { None };
    let named = match second {
        Some(second) => (first, second),
        None => (database.to_owned(), first),
    };
    if (named.0.as_str(), named.1.as_str()) != (database, table) {
        let named = format!("{}.{}", named.0, named.1);
        return Err(AlterError::NameOtherTable { named, target: format!("{database}.{table}") });
    }
    if cursor.is_end() { Err(AlterError::FindNothing) } else { Ok(()) }
}

fn check_balance(text: &str, tokens: &[Token<'_>]) -> Result<(), AlterError> {
    let mut open = Vec::new();
    for token in tokens {
        if token.is_symbol('(') {
            open.push(token.start);
        } else if token.is_symbol(')') && open.pop().is_none() {
            return Err(syntax_error(text, token.start));
        }
    }
    open.first().map_or(Ok(()), |byte| Err(syntax_error(text, *byte)))
}

fn read_clauses<'a>(cursor: Cursor<'a, '_>) -> Result<Vec<Parsed<'a>>, AlterError> {
    if partition::begins(&cursor) {
        return clause::read_partitioning(cursor).map(|parsed| vec![parsed]);
    }
    let mut clauses = Vec::new();
    let mut end = cursor.rest().first().map_or(0, |token| token.start);
    for tokens in split_commas(cursor.rest()) {
        let Some(last) = tokens.last() else {
            return Err(cursor.error_at(end));
        };
        end = last.start + last.text.len();
        clauses.extend(clause::read(cursor.over(tokens))?);
    }
    Ok(clauses)
}
