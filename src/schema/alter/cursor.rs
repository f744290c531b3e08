//! A reading position over tokens, with the few questions that a clause grammar asks.
//! Failures name the place in the text, or the refused clause that stands there.

use super::error::AlterError;
use super::lexer::{Token, TokenKind};
use super::refusal;

/// Reads tokens from front to back. Copying it is a cheap look-ahead.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a, 't> {
    rest: &'t [Token<'a>],
    text: &'a str,
}

impl<'a, 't> Cursor<'a, 't> {
    /// A cursor at the first of `tokens`, which stand in `text`.
    pub(crate) fn new(text: &'a str, tokens: &'t [Token<'a>]) -> Self {
        Self { rest: tokens, text }
    }

    /// The same text, other tokens.
    pub(super) fn over(&self, tokens: &'t [Token<'a>]) -> Self {
        Self { rest: tokens, text: self.text }
    }

    pub(crate) fn rest(&self) -> &'t [Token<'a>] {
        self.rest
    }

    pub(crate) fn peek(&self) -> Option<&'t Token<'a>> {
        self.rest.first()
    }

    pub(crate) fn is_end(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn advance(&mut self) -> Option<&'t Token<'a>> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    /// Whether the next tokens are these keywords.
    pub(crate) fn at(&self, words: &[&str]) -> bool {
        self.rest.len() >= words.len()
            && self.rest.iter().zip(words).all(|(token, word)| token.is_word(word))
    }

    /// Takes these keywords when they come next.
    pub(crate) fn accept(&mut self, words: &[&str]) -> bool {
        let found = self.at(words);
        if found {
            self.rest = self.rest.get(words.len()..).unwrap_or_default();
        }
        found
    }

    /// Takes one of these keywords when it comes next.
    pub(crate) fn accept_any(&mut self, words: &[&str]) -> bool {
        words.iter().any(|word| self.accept(&[word]))
    }

    pub(super) fn expect(&mut self, words: &[&str]) -> Result<(), AlterError> {
        if self.accept(words) { Ok(()) } else { Err(self.error()) }
    }

    pub(crate) fn accept_symbol(&mut self, symbol: char) -> bool {
        let found = self.peek().is_some_and(|token| token.is_symbol(symbol));
        if found {
            self.advance();
        }
        found
    }

    /// Takes a name, quoted or not. Keywords that open clauses are no names without quotes.
    pub(crate) fn name(&mut self) -> Result<String, AlterError> {
        let reserved = self.peek().is_some_and(|t| RESERVED.iter().any(|word| t.is_word(word)));
        let name = self.peek().filter(|_| !reserved).and_then(Token::name);
        let name = name.filter(|name| !name.is_empty()).ok_or_else(|| self.error())?;
        self.advance();
        Ok(name)
    }

    pub(super) fn string(&mut self) -> Result<(), AlterError> {
        self.kind(TokenKind::Text)
    }

    /// Takes a whole number without sign.
    pub(crate) fn number(&mut self) -> Result<(), AlterError> {
        let digits = |token: &Token<'_>| token.text.bytes().all(|b| b.is_ascii_digit());
        if self.peek().is_some_and(|token| token.kind == TokenKind::Word && digits(token)) {
            self.advance();
            return Ok(());
        }
        Err(self.error())
    }

    /// Takes a word, a quoted name or a string: what the server takes as the name of a charset or engine.
    pub(super) fn ident_or_text(&mut self) -> Result<&'t Token<'a>, AlterError> {
        let token = self.peek().filter(|token| token.kind != TokenKind::Symbol);
        let token = token.ok_or_else(|| self.error())?;
        self.advance();
        Ok(token)
    }

    /// Takes a group in parentheses and answers a cursor over its inside.
    pub(super) fn group(&mut self) -> Result<Self, AlterError> {
        let length = self.peek().filter(|t| t.is_symbol('(')).and_then(|_| group_length(self.rest));
        let (group, rest) =
            length.and_then(|n| self.rest.split_at_checked(n)).ok_or_else(|| self.error())?;
        self.rest = rest;
        let inside = group.get(1..group.len().saturating_sub(1)).unwrap_or_default();
        Ok(self.over(inside))
    }

    pub(super) fn at_group(&self) -> bool {
        self.peek().is_some_and(|token| token.is_symbol('('))
    }

    /// Fails unless everything was read.
    pub(super) fn end(&self) -> Result<(), AlterError> {
        if self.is_end() { Ok(()) } else { Err(self.error()) }
    }

    /// The tokens between commas that stand outside parentheses.
    pub(super) fn split(&self) -> Vec<&'t [Token<'a>]> {
        split_commas(self.rest)
    }

    /// What is wrong at this place: a clause that is known and refused, or else a syntax error.
    pub(super) fn error(&self) -> AlterError {
        refusal::refused_tail(self).unwrap_or_else(|| match self.peek() {
            Some(token) => syntax_error(self.text, token.start),
            None => syntax_error(self.text, self.text.len()),
        })
    }

    /// A syntax error at a byte of the text.
    pub(super) fn error_at(&self, byte: usize) -> AlterError {
        syntax_error(self.text, byte)
    }

    fn kind(&mut self, kind: TokenKind) -> Result<(), AlterError> {
        if self.peek().is_some_and(|token| token.kind == kind) {
            self.advance();
            return Ok(());
        }
        Err(self.error())
    }
}

/// Reserved words that begin clauses or parts of them; the server refuses them as names, too.
const RESERVED: [&str; 37] = [
    "ADD",
    "ALTER",
    "AS",
    "BY",
    "CHANGE",
    "CHECK",
    "COLLATE",
    "COLUMN",
    "CONSTRAINT",
    "CONVERT",
    "CREATE",
    "DEFAULT",
    "DELETE",
    "DROP",
    "FOREIGN",
    "FULLTEXT",
    "IF",
    "INDEX",
    "INSERT",
    "INTO",
    "KEY",
    "NOT",
    "NULL",
    "ON",
    "ORDER",
    "PARTITION",
    "PRIMARY",
    "REFERENCES",
    "RENAME",
    "SELECT",
    "SET",
    "SPATIAL",
    "TABLE",
    "TO",
    "UNIQUE",
    "UPDATE",
    "USING",
];

/// A syntax error at a byte of the text.
pub(super) fn syntax_error(text: &str, byte: usize) -> AlterError {
    let (before, after) = text.split_at_checked(byte).unwrap_or((text, ""));
    AlterError::Parse { position: before.chars().count() + 1, near: near(after) }
}

/// The first word of what follows; a string is not shown.
fn near(after: &str) -> String {
    if after.starts_with(['\'', '"']) {
        return "'…'".to_owned();
    }
    let word =
        after.split(|c: char| c.is_whitespace() || c.is_control()).next().unwrap_or_default();
    let shown: String = word.chars().take_while(|c| !matches!(c, '\'' | '"')).take(32).collect();
    if shown.is_empty() && after.is_empty() { "end of text".to_owned() } else { shown }
}

/// The number of tokens of the group that opens at the first token.
fn group_length(tokens: &[Token<'_>]) -> Option<usize> {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate() {
        if token.is_symbol('(') {
            depth += 1;
        } else if token.is_symbol(')') {
            depth = depth.checked_sub(1)?;
        }
        if depth == 0 {
            return Some(index + 1);
        }
    }
    None
}

/// Splits at the commas outside parentheses; the tokens must be balanced.
pub(super) fn split_commas<'a, 't>(tokens: &'t [Token<'a>]) -> Vec<&'t [Token<'a>]> {
    let mut depth = 0_usize;
    tokens
        .split(|token| {
            if token.is_symbol('(') {
                depth += 1;
            } else if token.is_symbol(')') {
                depth = depth.saturating_sub(1);
            }
            depth == 0 && token.is_symbol(',')
        })
        .collect()
}
