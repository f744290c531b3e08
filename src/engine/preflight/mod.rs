//! Preflight: everything that speaks against a migration, found before anything is changed. Reading is
//! one function; each check is pure, in a file of its own, and runs in the order of `check`.

mod allowed_database;
mod alter;
mod base_table;
mod binlog;
mod definitions;
mod durability;
mod names;
mod privileges;
mod relations;
mod size;
mod storage;
mod topology;
mod version;
mod xa;

#[cfg(test)]
pub(super) mod sample;

pub use self::alter::{alter_refused, alter_rejected, check as check_alter};
pub use self::definitions::{Definitions, check_definitions};
use super::error::Doing;
use super::plan::Tables;
use super::reason::{Reason, Refusal};
use super::request::Request;
use super::{Error, Result, old_table};
use crate::mysql::error::ErrorClass;
use crate::mysql::grants::{self, Grants};
use crate::mysql::inspect::{self, ForeignKey, TableKind};
use crate::mysql::locks;
use crate::mysql::server::{self, Server};
use crate::mysql::session::Session;
use crate::schema::alter::Alter;
use crate::schema::naming::HelperNames;
use crate::schema::table::{Table, TableName};

/// What the server tells about itself, the account and the table.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The server.
    pub server: Server,
    /// The account's privileges.
    pub grants: Grants,
    /// What stands behind the name.
    pub kind: Option<TableKind>,
    /// The table, when it is one.
    pub source: Option<Table>,
    /// Tables whose names differ from the wanted one at most by case.
    pub spellings: Vec<TableName>,
    /// Foreign keys from and to the table.
    pub foreign_keys: Vec<ForeignKey>,
    /// Names of its triggers.
    pub triggers: Vec<String>,
    /// Names that the helper tables get.
    pub names: HelperNames,
    /// Names of helper tables that are in use by somebody else.
    pub taken: Vec<String>,
    /// How many XA transactions are prepared.
    pub prepared_xa: usize,
    /// Whether a backup holds its lock.
    pub backup_running: bool,
}

/// What the checks found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// What stands in the way.
    pub refusals: Vec<Refusal>,
    /// What is worth knowing and stops nothing.
    pub warnings: Vec<Refusal>,
}

impl Verdict {
    fn refuse(&mut self, reason: Reason, message: impl Into<String>, remedy: impl Into<String>) {
        self.refusals.push(Refusal::new(reason, message, remedy));
    }

    fn warn(&mut self, reason: Reason, message: impl Into<String>, remedy: impl Into<String>) {
        self.warnings.push(Refusal::new(reason, message, remedy));
    }
}

/// A migration that may begin.
#[derive(Clone, Debug)]
pub struct Inspected {
    /// The server.
    pub server: Server,
    /// The table to be changed, as the server spells it.
    pub source: Table,
    /// Names of the helper tables.
    pub names: HelperNames,
    /// What is worth knowing.
    pub warnings: Vec<Refusal>,
}

impl Inspected {
    /// The tables of the migration.
    pub fn tables(&self) -> Tables {
        let helper = |name: &String| TableName::new(&self.source.name.database, name);
        Tables {
            source: self.source.name.clone(),
            shadow: helper(&self.names.shadow),
            old: helper(&self.names.old),
            control: helper(&self.names.control),
        }
    }
}

/// Reads what the checks need. Changes nothing.
///
/// # Errors
///
/// When the server cannot be asked; a privilege that is missing is left for the checks to name.
pub async fn inspect(session: &mut Session, request: &Request) -> Result<Facts> {
    let name = &request.table;
    let server = server::read_server(session).await.doing("read the server's settings")?;
    let grants = grants::read_grants(session).await.doing("read the account's grants")?;
    let kind = inspect::table_kind(session, name).await.doing("look for the table")?;
    let spellings = inspect::tables_like_case(session, name).await.doing("look for the table")?;
    let source = inspect::read_table(session, name).await.doing("read the table's definition")?;
    let spelled = source.as_ref().map_or(name, |table| &table.name).clone();
    let foreign_keys =
        inspect::foreign_keys(session, &spelled).await.doing("read the foreign keys")?;
    let triggers = inspect::triggers(session, &spelled).await.doing("read the triggers")?;
    let (names, taken) = helper_names(session, &spelled).await?;
    let prepared = locks::prepared_xa(session).await.map(|list| list.len());
    let backup = locks::backup_holder(session).await.map(|holder| holder.is_some());
    Ok(Facts {
        server,
        grants,
        kind,
        source,
        spellings,
        foreign_keys,
        triggers,
        names,
        taken,
        prepared_xa: permitted(prepared).doing("list prepared XA transactions")?,
        backup_running: permitted(backup).doing("look for a running backup")?,
    })
}

/// Names for the helper tables, and those of them that are in use by somebody else.
async fn helper_names(
    session: &mut Session,
    source: &TableName,
) -> Result<(HelperNames, Vec<String>)> {
    let kept = match old_table::kept(session, source).await {
        Err(Error::Query { source, .. }) if source.class() == ErrorClass::PermissionDenied => {
            Vec::new()
        }
        other => other?,
    };
    let names = HelperNames::of(&source.table, &kept);
    let mut found = Vec::new();
    // The control table comes into being first, so it is looked for last: helpers that another worker
    // creates at this moment are not taken for somebody else's.
    for helper in [&names.shadow, &names.old, &names.control] {
        let helper = TableName::new(&source.database, helper);
        let table = inspect::read_table(session, &helper).await.doing("look for helper tables")?;
        let exists = table.is_some()
            || inspect::table_exists(session, &helper).await.doing("look for helper tables")?;
        if exists {
            found.push((helper.table, table.map(|table| table.definition).unwrap_or_default()));
        }
    }
    let taken = names::foreign(&names, &found);
    Ok((names, taken))
}

/// What XA RECOVER answers to an account that may not ask.
const ER_XAER_RMERR: u16 = 1401;

/// A default where the account may not ask: the check of privileges names what is missing.
fn permitted<T: Default>(
    result: std::result::Result<T, crate::mysql::error::Error>,
) -> std::result::Result<T, crate::mysql::error::Error> {
    match result {
        Err(error)
            if error.class() == ErrorClass::PermissionDenied
                || error.code() == Some(ER_XAER_RMERR) =>
        {
            Ok(T::default())
        }
        other => other,
    }
}

/// Runs every check on what was read.
pub fn check(facts: &Facts, request: &Request) -> Verdict {
    let checks: [fn(&Facts, &Request, &mut Verdict); 12] = [
        allowed_database::check,
        version::check,
        base_table::check,
        storage::check,
        relations::check,
        topology::check,
        binlog::check,
        privileges::check,
        names::check,
        durability::check,
        size::check,
        xa::check,
    ];
    let mut verdict = Verdict::default();
    for check in checks {
        check(facts, request, &mut verdict);
    }
    verdict
}

/// Reads and checks everything that needs no shadow table.
///
/// # Errors
///
/// All refusals at once; nothing was changed.
pub async fn pass(session: &mut Session, request: &Request) -> Result<(Inspected, Alter)> {
    let facts = inspect(session, request).await?;
    let mut verdict = check(&facts, request);
    let spelled = facts.source.as_ref().map_or(&request.table, |table| &table.name);
    let alter = match Alter::parse(&request.alter, &spelled.database, &spelled.table) {
        Ok(alter) => {
            check_alter(&alter, request, &mut verdict);
            Some(alter)
        }
        Err(error) => {
            verdict.refusals.push(alter_refused(&error));
            None
        }
    };
    match (facts.source, alter) {
        (Some(source), Some(alter)) if verdict.refusals.is_empty() => {
            let (server, names, warnings) = (facts.server, facts.names, verdict.warnings);
            Ok((Inspected { server, source, names, warnings }, alter))
        }
        _ => Err(Error::Refused { refusals: verdict.refusals }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_table_on_a_sound_server_passes_without_a_word() {
        assert_eq!(check(&sample::facts(), &sample::request()), Verdict::default());
    }

    #[test]
    fn every_failing_check_is_reported_at_once() {
        let mut facts = sample::facts();
        facts.triggers = vec!["audit".to_owned()];
        facts.server.log_bin = false;
        let verdict = check(&facts, &sample::request());
        let reasons: Vec<_> = verdict.refusals.iter().map(|refusal| refusal.reason).collect();
        assert_eq!(reasons, [Reason::Triggers, Reason::BinlogOff]);
    }
}
