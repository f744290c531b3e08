//! Splits MySQL text into tokens: words, quoted names, strings and symbols; comments and blanks vanish.
//! Assumes `utf8mb4`, ANSI_QUOTES off and NO_BACKSLASH_ESCAPES off, which our sessions guarantee.
//! Knows nothing of statements; the ALTER parser and the binlog statement classifier share it.

use std::borrow::Cow;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// A keyword, an unquoted name or the digits of a number.
    Word,
    /// A name in backticks.
    Quoted,
    /// A string in single or double quotes.
    Text,
    /// Any other single character.
    Symbol,
}

/// One token and how it stands in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) kind: TokenKind,
    /// As written, quotes included.
    pub(crate) text: &'a str,
    /// Byte offset in the text.
    pub(crate) start: usize,
    /// Whether blanks or a comment stand before it.
    pub(crate) spaced: bool,
}

/// What to do with the inside of `/*! ... */` and `/*M! ... */`, which servers may execute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Executable {
    /// Fail on it, and on optimizer hints.
    Refuse,
    /// Read the inside like any other text.
    Read,
}

/// Why the text has no further token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LexError {
    /// A string, quoted name or comment that begins at this byte has no end.
    Unterminated(usize),
    /// A comment at this byte that a server may execute or obey.
    Executable(usize),
}

/// An iterator over the tokens of a text; it ends at the first error.
pub(crate) struct Lexer<'a> {
    rest: &'a str,
    at: usize,
    executable: Executable,
    failed: bool,
}

impl<'a> Token<'a> {
    /// Whether it is this keyword, in any case and without quotes.
    pub(crate) fn is_word(&self, word: &str) -> bool {
        self.kind == TokenKind::Word && self.text.eq_ignore_ascii_case(word)
    }

    /// Whether it is this symbol.
    pub(crate) fn is_symbol(&self, symbol: char) -> bool {
        self.kind == TokenKind::Symbol && self.text.starts_with(symbol)
    }

    /// The name that it stands for, when it can be one.
    pub(crate) fn name(&self) -> Option<String> {
        match self.kind {
            TokenKind::Word => Some(self.text.to_owned()),
            TokenKind::Quoted => Some(inside(self.text).replace("``", "`")),
            TokenKind::Text | TokenKind::Symbol => None,
        }
    }

    /// The bytes of a string with its escapes resolved; other tokens have none.
    pub(crate) fn string(&self) -> Option<String> {
        (self.kind == TokenKind::Text).then(|| unescape(self.text))
    }

    /// The word in lower case, anything else as written: spelling without the freedom of case.
    pub(crate) fn folded(&self) -> Cow<'a, str> {
        match self.kind {
            TokenKind::Word => Cow::Owned(self.text.to_ascii_lowercase()),
            TokenKind::Quoted | TokenKind::Text | TokenKind::Symbol => Cow::Borrowed(self.text),
        }
    }
}

/// All tokens of a text, or the first error.
pub(crate) fn tokens(text: &str) -> Result<Vec<Token<'_>>, LexError> {
    Lexer::new(text, Executable::Refuse).collect()
}

/// All tokens up to the first error, executable comments read as text.
pub(crate) fn tolerant_tokens(text: &str) -> Vec<Token<'_>> {
    Lexer::new(text, Executable::Read).map_while(Result::ok).collect()
}

/// Writes tokens back with single blanks where blanks or comments stood.
pub(crate) fn render(tokens: &[Token<'_>]) -> String {
    let mut sql = String::new();
    for token in tokens {
        // Two minus signs that a comment kept apart must not become a comment themselves.
        let dashes = token.is_symbol('-') && sql.ends_with('-');
        if !sql.is_empty() && (token.spaced || dashes) {
            sql.push(' ');
        }
        sql.push_str(token.text);
    }
    sql
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(text: &'a str, executable: Executable) -> Self {
        Self { rest: text, at: 0, executable, failed: false }
    }

    fn take(&mut self, length: usize) -> &'a str {
        let (head, tail) = self.rest.split_at_checked(length).unwrap_or((self.rest, ""));
        self.rest = tail;
        self.at += head.len();
        head
    }

    /// Skips blanks and comments; whether there were any.
    fn skip_blanks(&mut self) -> Result<bool, LexError> {
        let start = self.at;
        loop {
            let blanks = self.rest.len() - self.rest.trim_start_matches(is_blank).len();
            self.take(blanks);
            if !self.skip_comment()? {
                return Ok(self.at > start);
            }
        }
    }

    fn skip_comment(&mut self) -> Result<bool, LexError> {
        if self.rest.starts_with('#') || starts_dash_comment(self.rest) {
            let length = self.rest.find('\n').unwrap_or(self.rest.len());
            self.take(length);
            return Ok(true);
        }
        let reading = self.executable == Executable::Read;
        if let Some(opener) = executable_opener(self.rest) {
            if !reading {
                return Err(LexError::Executable(self.at));
            }
            self.take(opener);
            return Ok(true);
        }
        if reading && self.rest.starts_with("*/") {
            self.take(2);
            return Ok(true);
        }
        self.skip_block_comment()
    }

    fn skip_block_comment(&mut self) -> Result<bool, LexError> {
        let Some(body) = self.rest.strip_prefix("/*") else {
            return Ok(false);
        };
        if body.starts_with('+') && self.executable == Executable::Refuse {
            return Err(LexError::Executable(self.at));
        }
        let end = body.find("*/").ok_or(LexError::Unterminated(self.at))?;
        self.take(end + 4);
        Ok(true)
    }

    fn next_token(&mut self) -> Result<Option<Token<'a>>, LexError> {
        let spaced = self.skip_blanks()?;
        let start = self.at;
        let Some(first) = self.rest.chars().next() else {
            return Ok(None);
        };
        let (kind, length) = match first {
            '\'' | '"' => (TokenKind::Text, quoted_length(self.rest, first)),
            '`' => (TokenKind::Quoted, quoted_length(self.rest, first)),
            _ if is_word(first) => (TokenKind::Word, self.rest.find(|c| !is_word(c))),
            _ => (TokenKind::Symbol, Some(first.len_utf8())),
        };
        let length = match (kind, length) {
            (_, Some(length)) => length,
            (TokenKind::Word, None) => self.rest.len(),
            (_, None) => return Err(LexError::Unterminated(start)),
        };
        Ok(Some(Token { kind, text: self.take(length), start, spaced }))
    }
}

impl<'a> Iterator for Lexer<'a> {
    type Item = Result<Token<'a>, LexError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.next_token().transpose();
        self.failed = matches!(next, Some(Err(_)));
        next
    }
}

/// The blanks of the server: ASCII only, form feed and vertical tab included.
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}')
}

/// The server takes every character beyond ASCII as a letter, also what Unicode calls a blank.
fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '$' || !c.is_ascii()
}

/// `--` opens a comment only before a blank, a control character or the end.
fn starts_dash_comment(rest: &str) -> bool {
    rest.strip_prefix("--")
        .is_some_and(|after| after.chars().next().is_none_or(|c| c == ' ' || c.is_ascii_control()))
}

/// The length of `/*!`, `/*!80000`, `/*M!` or `/*M!100100` at the start of the text.
fn executable_opener(rest: &str) -> Option<usize> {
    let after = rest.strip_prefix("/*!").or_else(|| rest.strip_prefix("/*M!"))?;
    let digits = after.bytes().take(6).take_while(u8::is_ascii_digit).count();
    Some(rest.len() - after.len() + digits)
}

/// The length of the quoted token at the start of the text, when it has an end.
fn quoted_length(rest: &str, quote: char) -> Option<usize> {
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == '\\' && quote != '`' {
            chars.next();
        } else if c == quote && chars.next_if(|(_, next)| *next == quote).is_none() {
            return Some(at + 1);
        }
    }
    None
}

fn inside(quoted: &str) -> &str {
    let mut chars = quoted.chars();
    chars.next();
    chars.next_back();
    chars.as_str()
}

fn unescape(quoted: &str) -> String {
    let quote = quoted.chars().next();
    let mut chars = inside(quoted).chars();
    let mut text = String::new();
    while let Some(c) = chars.next() {
        if c == '\\' {
            text.extend(chars.next().map(escaped));
        } else {
            text.push(c);
            if Some(c) == quote {
                chars.next();
            }
        }
    }
    text
}

fn escaped(c: char) -> char {
    match c {
        '0' => '\0',
        'b' => '\u{8}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'Z' => '\u{1a}',
        other => other,
    }
}
