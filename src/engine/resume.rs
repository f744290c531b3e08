//! What an attempt finds: nothing, a finished migration, one that is under way, or one that has swapped
//! and was not cleaned up. Decided by the control table, the ledger and table ids.

use std::time::Duration;

use super::context::Deadline;
use super::control::{self, Standing, Worker};
use super::cut_over::confirm::Watched;
use super::error::Doing;
use super::intent::Command;
use super::phase::PhaseKind;
use super::plan::{StoredState, Tables};
use super::preflight;
use super::prepare::{self, Prepared};
use super::reason::{Reason, Refusal};
use super::request::Request;
use super::{Error, Result, instant, old_table};
use crate::failpoint::hit;
use crate::mysql::connect::Role;
use crate::mysql::error::ErrorClass;
use crate::mysql::inspect;
use crate::mysql::server;
use crate::mysql::session::Session;
use crate::schema::alter::Alter;
use crate::schema::definition;
use crate::schema::naming::HelperNames;
use crate::schema::table::{Table, TableName};
use crate::sql::ddl;

/// Looks that are tried, and how long. One that meets a locked control table takes three seconds, so that
/// all of them take longer than any worker holds that lock, frozen or not.
const LOOKS: u32 = 10;
const LOOK_LIMIT: Duration = Duration::from_secs(30);

/// What is there.
pub enum Found {
    /// No trace of this migration.
    Nothing,
    /// It was under way in this process, and another one has aborted it.
    Gone,
    /// The ledger has it.
    Finished {
        /// When it finished (UTC).
        finished_at: String,
    },
    /// It is under way; the fence is ours now. An abort drops it as it is, [`rebuild`] continues it.
    Running(Unfinished),
    /// The tables are swapped, clean-up is left; the fence is ours now.
    Swapped(Unfinished),
}

/// A migration as far as clean-up or an abort needs it.
pub struct Unfinished {
    /// What was asked for.
    pub request: Request,
    /// The tables.
    pub tables: Tables,
    /// As stored.
    pub state: StoredState,
    /// The epoch that is ours.
    pub epoch: u64,
}

/// Looks, takes the fence over when something is under way, and prepares to continue. A look that another
/// worker comes in between of is repeated.
///
/// # Errors
///
/// A refusal when another migration of the table is under way, the tables are not the known ones, or the
/// server is another one and `command` is not to abort.
pub async fn look(
    session: &mut Session,
    request: &Request,
    command: Command,
    worker: &mut Worker,
) -> Result<Found> {
    let deadline = Deadline::after(LOOK_LIMIT);
    for _ in 1..LOOKS {
        match look_once(session, request, command, worker).await {
            Ok(Some(found)) => return Ok(found),
            Err(error) if deadline.is_over() || !is_passing(&error) => return Err(error),
            Ok(None) | Err(_) => {}
        }
    }
    look_once(session, request, command, worker).await?.ok_or(Error::Superseded)
}

/// A worker that cuts over, or was frozen while it did, holds the control table's lock; the server frees it
/// when that worker stays silent. A control table that is gone was dropped by whoever came between.
fn is_passing(error: &Error) -> bool {
    matches!(error, Error::Query { source, .. }
        if matches!(source.class(), ErrorClass::Retryable | ErrorClass::Missing))
}

/// `None` when another worker came in between.
async fn look_once(
    session: &mut Session,
    request: &Request,
    command: Command,
    worker: &mut Worker,
) -> Result<Option<Found>> {
    let digest = digest(request)?;
    let source = real_name(session, &request.table).await?;
    let names = HelperNames::of(&source.table, &[]);
    let control = TableName::new(&source.database, &names.control);
    if !is_ours(session, &control).await? {
        let found = finished(session, request, &source, &digest).await?;
        let is_gone = worker.has_held() && matches!(found, Found::Nothing);
        return Ok(Some(if is_gone { Found::Gone } else { found }));
    }
    let Some(state) = control::load_state(session, &control).await? else {
        if worker.has_held() {
            return Err(Error::Superseded);
        }
        worker.reach();
        forget_beginning(request, &control).await?;
        return Ok(None);
    };
    if state.digest != digest || state.migration != request.migration_name {
        return Err(Error::Refused { refusals: vec![under_way(&source, &state)] });
    }
    if command != Command::Abort && !state.is_at_home(session) {
        return Err(Error::Refused { refusals: vec![moved(session, &control, &state).await?] });
    }
    let request = Request { table: source, ..request.clone() };
    take(session, &request, (&control, state), worker).await.map(Some)
}

/// Takes the fence and sees what is to be continued.
async fn take(
    session: &mut Session,
    request: &Request,
    (control, state): (&TableName, StoredState),
    worker: &mut Worker,
) -> Result<Found> {
    worker.reach();
    let epoch = control::take_over(session, control, worker).await?;
    worker.standing = Standing::Held;
    let state = control::load_state(session, control).await?.unwrap_or(state);
    let found = continue_from(session, unfinished(request, state, epoch)).await?;
    if matches!(found, Found::Nothing) {
        // An interrupted preparation was dropped, and the fence with it.
        worker.standing = Standing::Reaching;
    }
    Ok(found)
}

/// Puts together what clean-up and abort need.
pub fn unfinished(request: &Request, state: StoredState, epoch: u64) -> Unfinished {
    let database = &request.table.database;
    let names = HelperNames::of(&request.table.table, &[]);
    request.record.restore(&state.changes);
    let tables = Tables {
        source: request.table.clone(),
        shadow: TableName::new(database, names.shadow),
        old: TableName::new(database, &state.old_table),
        control: TableName::new(database, names.control),
    };
    Unfinished { request: request.clone(), tables, state, epoch }
}

/// The digest under which the ledger knows the migration.
pub fn digest(request: &Request) -> Result<String> {
    let alter = Alter::parse(&request.alter, &request.table.database, &request.table.table)
        .map_err(|error| Error::Refused { refusals: vec![preflight::alter_refused(&error)] })?;
    Ok(alter.digest())
}

async fn real_name(session: &mut Session, table: &TableName) -> Result<TableName> {
    let found = inspect::real_name(session, table).await.doing("look for the table")?;
    Ok(found.unwrap_or_else(|| table.clone()))
}

async fn is_ours(session: &mut Session, control: &TableName) -> Result<bool> {
    let comment =
        inspect::table_comment(session, control).await.doing("look for a control table")?;
    Ok(comment.as_deref() == Some(crate::sql::control::COMMENT))
}

async fn finished(
    session: &mut Session,
    request: &Request,
    source: &TableName,
    digest: &str,
) -> Result<Found> {
    old_table::drop_expired(session, source).await?;
    let entry = old_table::completed_at(session, source, digest, &request.migration_name).await?;
    Ok(entry.map_or(Found::Nothing, |finished_at| Found::Finished { finished_at }))
}

/// A control table without a state: whoever made it ended before it stored anything, or has just made it.
/// Under its lock nobody can store anything, so that it is dropped only when it is still empty. Its
/// maker, if it lives, finds no table to begin in and ends. The lock is that of a session which the server
/// ends when it falls silent.
async fn forget_beginning(request: &Request, control: &TableName) -> Result<()> {
    let session = request.connect.connect(Role::CutOver).await;
    let mut session = session.doing("open a session that locks")?;
    let lock = crate::sql::control::lock(control);
    session.execute(&lock, control::SHORT).await.doing("lock an unused control table")?;
    let any = session.query_optional(&ddl::any_row(control), control::SHORT).await;
    if any.doing("look into an unused control table")?.is_none() {
        hit("beginning.drop");
        let drop = ddl::drop_table(control);
        session.execute(&drop, control::SHORT).await.doing("drop an unused control table")?;
        hit("beginning.dropped");
    }
    // The end of the session frees the lock.
    session.close().await;
    Ok(())
}

fn under_way(source: &TableName, state: &StoredState) -> Refusal {
    Refusal {
        reason: Reason::Blocked,
        message: format!(
            "another migration of {source} is under way: {} in phase {}",
            state.migration, state.phase
        ),
        remedy: "let it finish, or run its manifest with `abort: true`, and try again".to_owned(),
    }
}

/// The refusal on a server on which the migration did not begin: ids of tables and places in the binlog
/// are those of another server.
async fn moved(session: &mut Session, control: &TableName, state: &StoredState) -> Result<Refusal> {
    let position = control::load_position(session, control).await.ok();
    let sets = server::read_gtid_sets(session).await.doing("read the executed GTIDs")?;
    let holds_all = match (position.and_then(|position| position.gtids), sets) {
        (Some(stored), Some(sets)) => sets.executed.is_superset_of(&stored),
        (None, _) | (_, None) => false,
    };
    Ok(elsewhere(&state.server_uuid, session.server_identity(), holds_all))
}

fn elsewhere(known: &str, found: &str, holds_all: bool) -> Refusal {
    let how = match holds_all {
        true => "which has every transaction that was recorded, as after a failover or a restore",
        false => "of which is not known whether it has what was recorded",
    };
    Refusal::new(
        Reason::WrongServer,
        format!("the migration began on server {known} and this is server {found}, {how}"),
        "point the target at the first server; or, if this one has taken its place, run the manifest \
         with `abort: true` and then start again",
    )
}

async fn continue_from(session: &mut Session, found: Unfinished) -> Result<Found> {
    if found.state.phase == PhaseKind::Prepare {
        return begin_again(session, found).await;
    }
    let id =
        inspect::table_id(session, &found.tables.source).await.doing("look up a table's id")?;
    let is_swapped = found.state.is_at_home(session) && id == Some(found.state.shadow_id);
    if found.state.phase.swap_may_have_happened() && is_swapped {
        return Ok(Found::Swapped(found));
    }
    Ok(Found::Running(found))
}

/// Preparation was interrupted: drops what it made, unless an INSTANT change was sent and took effect.
async fn begin_again(session: &mut Session, found: Unfinished) -> Result<Found> {
    if let Some(target) = &found.state.instant_target
        && *target
            == definition::fingerprint(&read(session, Watched::Source, &found.tables.source).await?)
    {
        if !found.state.in_ledger {
            instant::record(session, &found).await?;
        }
        let digest = found.state.digest.clone();
        let source = found.tables.source.clone();
        prepare::drop_helpers(session, &found.tables).await?;
        return finished(session, &found.request, &source, &digest).await;
    }
    prepare::drop_helpers(session, &found.tables).await?;
    Ok(Found::Nothing)
}

/// Reads both definitions again and makes sure that they are the ones the copy began with.
///
/// # Errors
///
/// A refusal when somebody else changed a table.
pub async fn rebuild(session: &mut Session, found: Unfinished) -> Result<Prepared> {
    let Unfinished { request, tables, state, epoch } = found;
    let source_id =
        inspect::table_id(session, &tables.source).await.doing("look up a table's id")?;
    if source_id != Some(state.source_id) {
        return Err(Error::Blocked { refusal: Watched::Source.replaced(&tables.source) });
    }
    let server = server::read_server(session).await.doing("read the server's settings")?;
    let source = read(session, Watched::Source, &tables.source).await?;
    let shadow = read(session, Watched::Shadow, &tables.shadow).await?;
    let shadow_id =
        inspect::table_id(session, &tables.shadow).await.doing("look up a table's id")?;
    if shadow_id != Some(state.shadow_id) {
        return Err(Error::Blocked { refusal: Watched::Shadow.replaced(&tables.shadow) });
    }
    for (watched, table, known) in [
        (Watched::Source, &source, &state.source_definition),
        (Watched::Shadow, &shadow, &state.shadow_definition),
    ] {
        if definition::fingerprint(table) != *known {
            return Err(Error::Blocked { refusal: watched.altered(&table.name) });
        }
    }
    let plan = prepare::plan(&request, server, (tables, source, shadow), state)?;
    let claims = control::load_claims(session, &plan.tables.control, (epoch, plan.order)).await?;
    let position = control::load_position(session, &plan.tables.control).await?;
    Ok(Prepared { plan, epoch, claims, position })
}

async fn read(session: &mut Session, watched: Watched, name: &TableName) -> Result<Table> {
    let table = inspect::read_table(session, name).await.doing("read a table's definition")?;
    table.ok_or_else(|| Error::Blocked { refusal: watched.replaced(name) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusal_elsewhere_names_both_servers() {
        for (holds_all, words) in [(true, "failover"), (false, "not known")] {
            let refusal = elsewhere("uuid-1", "uuid-2", holds_all);
            assert_eq!(refusal.reason, Reason::WrongServer);
            for part in ["uuid-1", "uuid-2", words] {
                assert!(refusal.message.contains(part), "{}", refusal.message);
            }
            assert!(refusal.remedy.contains("abort: true"), "{}", refusal.remedy);
        }
    }
}
