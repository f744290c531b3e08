//! What the account may do, from `SHOW GRANTS`, and which privileges a migration still lacks.
//! Parsing and matching are pure; only `read_grants` asks the server.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::mysql::error::Error;
use crate::mysql::session::Session;
use crate::sql::ident::quote;

const LIMIT: Duration = Duration::from_secs(10);

/// Needed on the database. TRIGGER is only for seeing triggers: the server hides them otherwise.
const ON_DATABASE: [&str; 10] = [
    "SELECT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "CREATE",
    "DROP",
    "ALTER",
    "INDEX",
    "LOCK TABLES",
    "TRIGGER",
];
/// Needed on MySQL for everything.
const GLOBAL_MYSQL: [&str; 4] =
    ["REPLICATION SLAVE", "REPLICATION CLIENT", "PROCESS", "XA_RECOVER_ADMIN"];
/// Needed on MariaDB for everything.
const GLOBAL_MARIADB: [&str; 3] = ["REPLICATION SLAVE", "BINLOG MONITOR", "PROCESS"];
/// Where MySQL tells who holds a table lock.
const OBSERVED: &str = "performance_schema";
/// What ALL PRIVILEGES does not stand for in a single database.
const NEVER_IN_ALL: [&str; 1] = ["GRANT OPTION"];

/// The account's privileges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    account: String,
    mariadb: bool,
    entries: Vec<Entry>,
    revoked: Vec<Entry>,
}

/// One line: privileges on one scope.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    privileges: BTreeSet<String>,
    scope: Scope,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Scope {
    Global,
    /// A pattern with `_`, `%` and backslashes, as `LIKE` has them.
    Database(String),
}

/// Privileges that are missing on one scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Exact names.
    pub privileges: Vec<String>,
    /// The statement that grants them.
    pub remedy: String,
}

impl Grants {
    /// Reads the lines of `SHOW GRANTS`. Lines about single tables, columns, routines and roles are
    /// left out: helper tables need the privileges as well.
    pub fn parse<'a>(
        lines: impl IntoIterator<Item = &'a str>,
        account: &str,
        mariadb: bool,
    ) -> Self {
        let mut grants = Self { account: account.to_owned(), mariadb, ..Self::default() };
        for line in lines {
            if let Some(entry) = line.strip_prefix("GRANT ").and_then(parse_entry) {
                grants.entries.push(entry);
            } else if let Some(entry) = line.strip_prefix("REVOKE ").and_then(parse_entry) {
                grants.revoked.push(entry);
            }
        }
        grants
    }

    /// What a migration in this database lacks, one item per scope; empty when nothing is missing.
    pub fn missing(&self, database: &str) -> Vec<Missing> {
        let global: &[&str] = if self.mariadb { &GLOBAL_MARIADB } else { &GLOBAL_MYSQL };
        let global = global.iter().copied().filter(|name| !self.has_globally(name));
        let local = ON_DATABASE.into_iter().filter(|name| !self.has_on(database, name));
        let observe =
            ["SELECT"].into_iter().filter(|name| !self.mariadb && !self.has_on(OBSERVED, name));
        let scopes = [
            self.demand(global.collect(), "*.*".to_owned()),
            self.demand(local.collect(), format!("{}.*", quote(&escape(database)))),
            self.demand(observe.collect(), format!("{OBSERVED}.*")),
        ];
        scopes.into_iter().flatten().collect()
    }

    /// Whether the privilege holds everywhere.
    pub fn has_globally(&self, privilege: &str) -> bool {
        self.entries.iter().any(|entry| entry.scope == Scope::Global && entry.holds(privilege))
    }

    /// Whether the privilege holds for all tables of the database.
    pub fn has_on(&self, database: &str, privilege: &str) -> bool {
        let applies = |entry: &&Entry| entry.scope.covers(database) && entry.holds(privilege);
        let taken = self.revoked.iter().any(|entry| applies(&entry));
        let local = |entry: &Entry| entry.scope != Scope::Global;
        self.entries.iter().filter(applies).any(|entry| local(entry) || !taken)
    }

    fn demand(&self, privileges: Vec<&str>, scope: String) -> Option<Missing> {
        let remedy = format!("GRANT {} ON {scope} TO {}", privileges.join(", "), self.account);
        let privileges: Vec<String> = privileges.into_iter().map(str::to_owned).collect();
        (!privileges.is_empty()).then_some(Missing { privileges, remedy })
    }
}

impl Entry {
    fn holds(&self, privilege: &str) -> bool {
        let all = ["ALL PRIVILEGES", "ALL"].iter().any(|all| self.privileges.contains(*all));
        let other_name = match privilege {
            "BINLOG MONITOR" => "REPLICATION CLIENT",
            name => name,
        };
        (all && !NEVER_IN_ALL.contains(&privilege))
            || self.privileges.contains(privilege)
            || self.privileges.contains(other_name)
    }
}

impl Scope {
    fn covers(&self, database: &str) -> bool {
        match self {
            Self::Global => true,
            Self::Database(pattern) => matches_pattern(pattern, database),
        }
    }
}

/// Reads the account's privileges, with those of its active roles.
///
/// # Errors
/// When the session fails.
pub async fn read_grants(session: &mut Session) -> Result<Grants, Error> {
    let account = session.query_one("SELECT CURRENT_USER()", LIMIT).await?;
    let account = account_text(&account.expect_string(0, "the account")?);
    let rows = session.query_rows("SHOW GRANTS", LIMIT).await?;
    let lines: Vec<String> = rows.iter().filter_map(|row| row.string(0)).collect();
    Ok(Grants::parse(lines.iter().map(String::as_str), &account, session.is_mariadb()))
}

/// `user@host` as it is written in a GRANT.
fn account_text(account: &str) -> String {
    let (user, host) = account.rsplit_once('@').unwrap_or((account, "%"));
    format!("{}@{}", quote(user), quote(host))
}

/// `A, B ON scope TO ...`. Privileges on columns have parentheses and do not count.
fn parse_entry(line: &str) -> Option<Entry> {
    let (privileges, rest) = line.split_once(" ON ")?;
    if privileges.contains('(') {
        return None;
    }
    let scope = parse_scope(rest)?;
    let privileges = privileges.split(',').map(|name| name.trim().to_uppercase()).collect();
    Some(Entry { privileges, scope })
}

fn parse_scope(text: &str) -> Option<Scope> {
    if text.starts_with("*.* ") {
        return Some(Scope::Global);
    }
    let (database, rest) = quoted_name(text)?;
    rest.starts_with(".* ").then_some(Scope::Database(database))
}

/// A name between backticks, and what follows it.
fn quoted_name(text: &str) -> Option<(String, &str)> {
    let mut rest = text.strip_prefix('`')?;
    let mut name = String::new();
    loop {
        let (part, after) = rest.split_once('`')?;
        name.push_str(part);
        match after.strip_prefix('`') {
            Some(more) => rest = more,
            None => return Some((name, after)),
        }
        name.push('`');
    }
}

fn matches_pattern(pattern: &str, text: &str) -> bool {
    let mut letters = pattern.chars();
    let Some(letter) = letters.next() else {
        return text.is_empty();
    };
    let mut others = text.chars();
    match letter {
        '%' => {
            let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            ends.filter_map(|at| text.get(at..)).any(|tail| matches_pattern(letters.as_str(), tail))
        }
        '_' => others.next().is_some() && matches_pattern(letters.as_str(), others.as_str()),
        letter => {
            let escaped = if letter == '\\' { letters.next() } else { None };
            others.next() == Some(escaped.unwrap_or(letter))
                && matches_pattern(letters.as_str(), others.as_str())
        }
    }
}

/// The database as a pattern that matches it alone.
fn escape(database: &str) -> String {
    database.replace('\\', "\\\\").replace('_', "\\_").replace('%', "\\%")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDED: &str =
        "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, INDEX, ALTER, LOCK TABLES, TRIGGER";

    fn grants(lines: &[&str]) -> Grants {
        Grants::parse(lines.iter().copied(), "`u`@`%`", false)
    }

    #[test]
    fn matches_databases_as_the_server_does() {
        let cases = [
            ("app", "app", true),
            ("app", "app2", false),
            ("a_p", "axp", true),
            ("a\\_p", "axp", false),
            ("a\\_p", "a_p", true),
            ("app%", "app_live", true),
            ("%live", "app_live", true),
            ("", "a", false),
        ];
        for (pattern, database, expected) in cases {
            assert_eq!(matches_pattern(pattern, database), expected, "{pattern} {database}");
        }
        assert!(matches_pattern(&escape("a_%\\b"), "a_%\\b"));
    }

    #[test]
    fn accepts_the_minimal_grants() {
        let local = format!("GRANT {NEEDED} ON `a\\_b`.* TO `u`@`%`");
        let grants = grants(&[
            "GRANT PROCESS, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO `u`@`%`",
            "GRANT XA_RECOVER_ADMIN ON *.* TO `u`@`%`",
            "GRANT SELECT ON `performance_schema`.* TO `u`@`%`",
            &local,
        ]);
        assert_eq!(grants.missing("a_b"), []);
        let other = grants.missing("axb");
        assert_eq!(other.len(), 1);
        assert!(other[0].remedy.ends_with("TRIGGER ON `axb`.* TO `u`@`%`"), "{other:?}");
    }

    #[test]
    fn names_exactly_what_is_missing() {
        let lines =
            ["GRANT ALL PRIVILEGES ON `app`.* TO `u`@`%`", "GRANT PROCESS ON *.* TO `u`@`%`"];
        let missing = grants(&lines).missing("app");
        assert_eq!(
            missing[0].privileges,
            ["REPLICATION SLAVE", "REPLICATION CLIENT", "XA_RECOVER_ADMIN"]
        );
        assert_eq!(missing[1].remedy, "GRANT SELECT ON performance_schema.* TO `u`@`%`");
        assert_eq!(missing.len(), 2);
    }

    #[test]
    fn counts_neither_tables_nor_columns_nor_what_was_revoked() {
        let grants = grants(&[
            "GRANT SELECT ON `app`.`t` TO `u`@`%`",
            "GRANT SELECT (`a`), INSERT (`a`) ON `app`.* TO `u`@`%`",
            "GRANT `role`@`%` TO `u`@`%`",
            "GRANT DELETE ON *.* TO `u`@`%`",
            "REVOKE DELETE ON `app`.* FROM `u`@`%`",
        ]);
        for privilege in ["SELECT", "INSERT", "DELETE"] {
            assert!(!grants.has_on("app", privilege), "{privilege}");
        }
        assert!(grants.has_on("other", "DELETE"));
    }

    #[test]
    fn quotes_the_account() {
        assert_eq!(account_text("u@h@10.%"), "`u@h`@`10.%`");
    }
}
