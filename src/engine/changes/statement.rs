//! What a statement in the binlog means for the group that holds it and for the watched tables. Reads words only;
//! a statement whose effect is unclear counts as one that touches every table it mentions.

use crate::schema::table::TableName;

/// What a statement is to the group of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Statement {
    /// BEGIN or START TRANSACTION.
    Begin,
    /// COMMIT.
    Commit,
    /// ROLLBACK, not to a savepoint.
    Rollback,
    /// Something inside a group that has no effect on it: savepoints, XA END, XA PREPARE.
    Inside,
    /// XA START.
    XaStart,
    /// XA COMMIT of the identity.
    XaCommit(String),
    /// XA ROLLBACK of the identity.
    XaRollback(String),
    /// Ours, by its leading comment.
    Own,
    /// A definition change, with its first word.
    Definition(String),
    /// A change of rows logged as text.
    Rows(String),
    /// Anything else.
    Unknown,
}

const OWN: &str = "/* ghostship";

/// Classifies a statement.
pub(super) fn classify(text: &str) -> Statement {
    if text.trim_start().starts_with(OWN) {
        return Statement::Own;
    }
    let tokens = tokens(text);
    let word = |number: usize| match tokens.get(number) {
        Some(Token::Word(word)) => word.to_uppercase(),
        _ => String::new(),
    };
    match (word(0).as_str(), word(1).as_str()) {
        ("BEGIN", _) | ("START", "TRANSACTION") => Statement::Begin,
        ("COMMIT", _) => Statement::Commit,
        ("ROLLBACK", "TO") | ("SAVEPOINT" | "RELEASE", _) => Statement::Inside,
        ("ROLLBACK", "WORK") if word(2) == "TO" => Statement::Inside,
        ("ROLLBACK", _) => Statement::Rollback,
        ("XA", "START" | "BEGIN") => Statement::XaStart,
        ("XA", "COMMIT") => Statement::XaCommit(identity(text)),
        ("XA", "ROLLBACK") => Statement::XaRollback(identity(text)),
        ("XA", _) => Statement::Inside,
        ("CREATE" | "ALTER" | "DROP" | "RENAME" | "TRUNCATE" | "IMPORT", _) => {
            Statement::Definition(word(0))
        }
        ("INSERT" | "UPDATE" | "DELETE" | "REPLACE" | "LOAD" | "WITH" | "CALL" | "DO", _) => {
            Statement::Rows(word(0))
        }
        _ => Statement::Unknown,
    }
}

/// Whether the text names the table, or its whole database (`CREATE`, `DROP` or `ALTER DATABASE`).
pub(super) fn mentions(text: &str, default_database: &str, table: &TableName) -> bool {
    let tokens = tokens(text);
    let same = |one: &str, other: &str| one.to_lowercase() == other.to_lowercase();
    let dropped = |word: &str| same(word, "DATABASE") || same(word, "SCHEMA");
    let names_database = matches!(tokens.as_slice(), [Token::Word(drop), Token::Word(kind), ..]
            if same(drop, "DROP") && dropped(kind));
    tokens.iter().enumerate().any(|(at, token)| {
        let Some(name) = token.name() else { return false };
        if names_database {
            return same(name, &table.database);
        }
        if !same(name, &table.table) {
            return false;
        }
        match (at.checked_sub(2).and_then(|at| tokens.get(at)), at.checked_sub(1)) {
            (Some(before), Some(dot)) if tokens.get(dot) == Some(&Token::Sign('.')) => {
                before.name().is_some_and(|database| same(database, &table.database))
            }
            _ => same(default_database, &table.database),
        }
    })
}

/// A piece of a statement; texts in quotes and comments are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Quoted(String),
    Sign(char),
}

impl Token {
    fn name(&self) -> Option<&str> {
        match self {
            Self::Word(name) | Self::Quoted(name) => Some(name),
            Self::Sign(_) => None,
        }
    }
}

/// The identity as the server writes it, `X'..',X'..',1`, without ONE PHASE.
fn identity(text: &str) -> String {
    let after = text.trim().splitn(3, char::is_whitespace).nth(2).unwrap_or_default();
    let mut kept: String = after.chars().filter(|letter| !letter.is_whitespace()).collect();
    let one_phase = kept.to_uppercase().find("ONEPHASE").unwrap_or(kept.len());
    kept.truncate(one_phase);
    kept.to_lowercase().replace("x'", "X'")
}

fn tokens(text: &str) -> Vec<Token> {
    let mut rest = text;
    let mut tokens = Vec::new();
    while let Some(letter) = rest.chars().next() {
        rest = match letter {
            '`' | '"' | '\'' => {
                let (inner, tail) = quoted(rest, letter);
                if letter != '\'' {
                    tokens.push(Token::Quoted(inner));
                }
                tail
            }
            '#' => after(rest, "\n"),
            '-' if rest.starts_with("-- ") => after(rest, "\n"),
            '/' if rest.starts_with("/*!") => strip_version(rest),
            '/' if rest.starts_with("/*") => after(rest, "*/"),
            _ if is_word(letter) => {
                let end = rest.find(|other| !is_word(other)).unwrap_or(rest.len());
                let (word, tail) = rest.split_at(end);
                tokens.push(Token::Word(word.to_owned()));
                tail
            }
            _ => {
                if !letter.is_whitespace() {
                    tokens.push(Token::Sign(letter));
                }
                rest.get(letter.len_utf8()..).unwrap_or_default()
            }
        };
    }
    tokens
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || matches!(letter, '_' | '$') || !letter.is_ascii()
}

/// What follows the first `mark`.
fn after<'a>(text: &'a str, mark: &str) -> &'a str {
    text.split_once(mark).map_or("", |(_, tail)| tail)
}

/// What a version comment holds is executed, so only its opening is left out.
fn strip_version(text: &str) -> &str {
    text.get(3..).unwrap_or_default().trim_start_matches(|letter: char| letter.is_ascii_digit())
}

/// The inner text of a quoted piece and what follows it; doubled quotes stand for one.
fn quoted(text: &str, quote: char) -> (String, &str) {
    let mut inner = String::new();
    let mut letters = text.char_indices().skip(1).peekable();
    while let Some((at, letter)) = letters.next() {
        if letter == '\\' && quote != '`' {
            letters.next();
        } else if letter != quote {
            inner.push(letter);
        } else if letters.next_if(|(_, next)| *next == quote).is_some() {
            inner.push(quote);
        } else {
            return (inner, text.get(at + quote.len_utf8()..).unwrap_or_default());
        }
    }
    (inner, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_told_apart() {
        let cases = [
            ("BEGIN", Statement::Begin),
            ("COMMIT", Statement::Commit),
            ("ROLLBACK", Statement::Rollback),
            ("ROLLBACK TO `s`", Statement::Inside),
            ("SAVEPOINT `s`", Statement::Inside),
            ("XA START X'61',X'',1", Statement::XaStart),
            ("XA END X'61',X'',1", Statement::Inside),
            ("XA COMMIT X'6A',X'',1", Statement::XaCommit("X'6a',X'',1".into())),
            ("XA COMMIT X'61',X'',1 ONE PHASE", Statement::XaCommit("X'61',X'',1".into())),
            ("XA ROLLBACK X'61',X'62',1", Statement::XaRollback("X'61',X'62',1".into())),
            ("/* ghostship */ ALTER TABLE t AUTO_INCREMENT = 5", Statement::Own),
            ("/* app */ ALTER TABLE t FORCE", Statement::Definition("ALTER".into())),
            ("/*!50700 DROP TABLE t */", Statement::Definition("DROP".into())),
            ("insert into t values (1)", Statement::Rows("INSERT".into())),
            ("GRANT ALL ON *.* TO a", Statement::Unknown),
        ];
        for (text, expected) in cases {
            assert_eq!(classify(text), expected, "{text}");
        }
    }

    #[test]
    fn mentions_respect_the_database() {
        let table = TableName::new("shop", "Orders");
        let cases = [
            ("ALTER TABLE orders ADD a INT", "shop", true),
            ("ALTER TABLE orders ADD a INT", "other", false),
            ("ALTER TABLE `shop`.`orders` ADD a INT", "other", true),
            ("ALTER TABLE `other`.`orders` ADD a INT", "shop", false),
            ("ALTER TABLE items COMMENT 'orders'", "shop", false),
            ("ALTER TABLE items /* orders */ ADD b INT", "shop", false),
            ("DROP DATABASE shop", "", true),
            ("DROP DATABASE shopping", "shop", false),
            ("RENAME TABLE a TO b, shop . orders TO c", "x", true),
        ];
        for (text, database, expected) in cases {
            assert_eq!(mentions(text, database, &table), expected, "{text}");
        }
    }
}
