//! A case: one directory with `create.sql`, `seed.sql`, `alter.sql` and, when needed, `workload.sql`,
//! `session.sql` (for each writer) and `case.toml`. In: the directory; out: plain data.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::client::{Client, ident};
use super::server::Flavour;
use super::settings::Settings;
use super::statements;

const KNOWN: [&str; 15] = [
    "refused",
    "message",
    "servers",
    "sql_mode",
    "table",
    "database",
    "accept_lossy",
    "renames",
    "strategy",
    "ignore",
    "rows_per_second",
    "allowed_databases",
    "after_start",
    "pace_ms",
    "private",
];

/// One case as its directory describes it.
#[derive(Debug)]
pub(crate) struct Case {
    /// The directory's name.
    pub(crate) name: String,
    /// The table to be changed.
    pub(crate) table: String,
    /// Statements that create it and what else is needed.
    pub(crate) create: Vec<String>,
    /// Statements that fill it.
    pub(crate) seed: Vec<String>,
    /// The text for `spec.alter`.
    pub(crate) alter: String,
    /// What the writers run, in entries.
    pub(crate) workload: Vec<Vec<String>>,
    /// What each writer's session starts with.
    pub(crate) session: Vec<String>,
    /// How the run has to end.
    pub(crate) expect: Expect,
    /// The servers it runs on.
    pub(crate) servers: Vec<Flavour>,
    settings: Settings,
}

/// How a run has to end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    /// The table is changed.
    Completed,
    /// Nothing is changed; the run ends with this reason, and its words contain the message.
    Refused {
        /// The stable word of the refusal.
        reason: String,
        /// A part of what is said.
        message: String,
    },
}

impl Case {
    /// Reads a case's directory.
    pub(crate) fn read(directory: &Path) -> Result<Self> {
        let name = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let optional = |file: &str| fs::read_to_string(directory.join(file)).unwrap_or_default();
        let required = |file: &str| {
            let path = directory.join(file);
            fs::read_to_string(&path).with_context(|| format!("{} is missing", path.display()))
        };
        let settings = Settings::parse(&optional("case.toml"), &KNOWN)?;
        Ok(Self {
            table: settings.one("table").unwrap_or("t").to_owned(),
            create: statements::split(&required("create.sql")?),
            seed: statements::split(&optional("seed.sql")),
            alter: required("alter.sql")?.trim_end().to_owned(),
            workload: statements::entries(&optional("workload.sql")),
            session: statements::split(&optional("session.sql")),
            expect: expect(&settings),
            servers: servers(&settings)?,
            name,
            settings,
        })
    }

    /// A setting of `case.toml`, when it is there.
    pub(crate) fn setting(&self, name: &str) -> Option<&str> {
        self.settings.one(name)
    }

    /// All values of a setting of `case.toml`.
    pub(crate) fn setting_values(&self, name: &str) -> Vec<&str> {
        self.settings.all(name)
    }

    /// The change as the statement that the server itself would run.
    pub(crate) fn statement(&self) -> String {
        if self.alter.trim_start().to_lowercase().starts_with("alter table") {
            return self.alter.clone();
        }
        format!("ALTER TABLE {} {}", ident(&self.table), self.alter)
    }

    /// Gives a session the settings in which the case's own statements run.
    pub(crate) async fn prepare(&self, client: &mut Client) -> Result<()> {
        client.exec("SET SESSION cte_max_recursion_depth = 1000000, time_zone = '+00:00'").await?;
        if let Some(mode) = self.setting("sql_mode") {
            client.exec(&format!("SET SESSION sql_mode = '{mode}'")).await?;
        }
        Ok(())
    }

    /// Creates and fills the case's table in the session's database.
    pub(crate) async fn lay_out(&self, client: &mut Client) -> Result<()> {
        self.prepare(client).await?;
        for statement in self.create.iter().chain(&self.seed) {
            client.exec(statement).await?;
        }
        Ok(())
    }
}

/// The directories of all cases, in order of their names.
pub(crate) fn directories() -> Result<Vec<PathBuf>> {
    let root: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "cases"].iter().collect();
    let entries = fs::read_dir(&root).with_context(|| format!("{} is missing", root.display()))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.is_dir());
    paths.sort();
    Ok(paths)
}

fn expect(settings: &Settings) -> Expect {
    let message = settings.one("message").unwrap_or_default().to_owned();
    match settings.one("refused") {
        Some(reason) => Expect::Refused { reason: reason.to_owned(), message },
        None => Expect::Completed,
    }
}

fn servers(settings: &Settings) -> Result<Vec<Flavour>> {
    let named = settings.all("servers");
    if named.is_empty() {
        return Ok(vec![Flavour::Gtid]);
    }
    let flavour = |name: &&str| match Flavour::ALL.into_iter().find(|one| one.as_str() == *name) {
        Some(flavour) => Ok(flavour),
        None => bail!("there is no server {name}"),
    };
    named.iter().map(flavour).collect()
}
