//! Looks through expressions (defaults, checks, generated columns, functional index parts) for what reads
//! other data or waits. Servers refuse most of it themselves; this does not rely on them.

use super::error::AlterError;
use super::lexer::{Token, TokenKind};

/// Words that begin a subquery or leave the expression; all are reserved.
const WORDS: [&str; 6] = ["INTO", "SELECT", "TABLE", "UNION", "VALUES", "WITH"];

/// Functions that read files or sequences, wait, or hold locks.
const FUNCTIONS: [&str; 19] = [
    "benchmark",
    "get_lock",
    "is_free_lock",
    "is_used_lock",
    "lastval",
    "load_file",
    "master_gtid_wait",
    "master_pos_wait",
    "nextval",
    "release_all_locks",
    "release_lock",
    "setval",
    "sleep",
    "source_pos_wait",
    "sys_eval",
    "sys_exec",
    "wait_for_executed_gtid_set",
    "wait_until_sql_thread_after_gtids",
    "xmltable",
];

/// Fails on a subquery, a stored function with its schema, or a function of the list.
pub(super) fn check(tokens: &[Token<'_>]) -> Result<(), AlterError> {
    if let Some(token) = tokens.iter().find(|t| WORDS.iter().any(|word| t.is_word(word))) {
        return Err(refuse(token));
    }
    for (index, pair) in tokens.windows(2).enumerate() {
        let [function, open] = pair else { continue };
        let qualified =
            index.checked_sub(1).and_then(|i| tokens.get(i)).is_some_and(|t| t.is_symbol('.'));
        if open.is_symbol('(') && (qualified && is_name(function) || is_forbidden(function)) {
            return Err(refuse(function));
        }
    }
    Ok(())
}

fn is_name(token: &Token<'_>) -> bool {
    matches!(token.kind, TokenKind::Word | TokenKind::Quoted)
}

/// Servers may fold letters beyond ASCII when they look a function up, so those are no function names here.
fn is_forbidden(token: &Token<'_>) -> bool {
    let name = token.name().map(|name| name.to_ascii_lowercase());
    name.is_some_and(|name| !name.is_ascii() || FUNCTIONS.contains(&name.as_str()))
}

fn refuse(token: &Token<'_>) -> AlterError {
    let name = token.name().unwrap_or_default();
    AlterError::CallFunction { function: name.chars().take(64).collect::<String>().to_uppercase() }
}
