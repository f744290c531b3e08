//! What an attempt finds: nothing, a finished migration, one that is under way, or one that has swapped
//! and was not cleaned up. Decided by the control table, the ledger and table ids.

use std::time::Duration;

use super::context::Deadline;
use super::control::{self, Worker};
use super::cut_over::confirm::Watched;
use super::error::Doing;
use super::phase::PhaseKind;
use super::plan::{StoredState, Tables};
use super::preflight;
use super::prepare::{self, Prepared};
use super::reason::{Reason, Refusal};
use super::request::Request;
use super::{Error, Result, instant, old_table};
use crate::mysql::error::ErrorClass;
use crate::mysql::inspect;
use crate::mysql::server;
use crate::mysql::session::Session;
use crate::schema::alter::Alter;
use crate::schema::definition;
use crate::schema::naming::HelperNames;
use crate::schema::table::{Table, TableName};

/// Longer than any worker holds the control table's lock, frozen or not.
const CUT_OVER_LIMIT: Duration = Duration::from_secs(30);

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

/// Looks, takes the fence over when something is under way, and prepares to continue.
///
/// # Errors
///
/// A refusal when another migration of the table is under way or the tables are not the known ones.
pub async fn look(session: &mut Session, request: &Request, worker: &mut Worker) -> Result<Found> {
    let digest = digest(request)?;
    let source = real_name(session, &request.table).await?;
    let names = HelperNames::of(&source.table, &[]);
    let control = TableName::new(&source.database, &names.control);
    if !is_ours(session, &control).await? {
        let found = finished(session, request, &source, &digest).await?;
        let is_gone = worker.has_held && matches!(found, Found::Nothing);
        return Ok(if is_gone { Found::Gone } else { found });
    }
    let Some(state) = stored_state(session, &control).await? else {
        return match worker.has_held {
            true => Err(Error::Superseded),
            false => forget_beginning(session, &control).await,
        };
    };
    if state.digest != digest || state.migration != request.migration_name {
        return Err(Error::Refused { refusals: vec![under_way(&source, &state)] });
    }
    let epoch = control::take_over(session, &control, worker).await?;
    worker.has_held = true;
    let state = control::load_state(session, &control).await?.unwrap_or(state);
    let request = Request { table: source, ..request.clone() };
    let found = continue_from(session, unfinished(&request, state, epoch)).await?;
    // An interrupted preparation was dropped, and the fence with it.
    worker.has_held = !matches!(found, Found::Nothing);
    Ok(found)
}

/// Puts together what clean-up and abort need.
pub fn unfinished(request: &Request, state: StoredState, epoch: u64) -> Unfinished {
    let database = &request.table.database;
    let names = HelperNames::of(&request.table.table, &[]);
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

/// An attempt ended before it stored anything: nothing but the control table can exist.
async fn forget_beginning(session: &mut Session, control: &TableName) -> Result<Found> {
    let drop = crate::sql::ddl::drop_table(control);
    session.execute(&drop, control::SHORT).await.doing("drop an unused control table")?;
    Ok(Found::Nothing)
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

/// Reads the stored state. A worker that cuts over, or was frozen while it did, holds the control
/// table's lock; the server frees it when that worker stays silent.
async fn stored_state(session: &mut Session, control: &TableName) -> Result<Option<StoredState>> {
    let deadline = Deadline::after(CUT_OVER_LIMIT);
    loop {
        match control::load_state(session, control).await {
            Err(Error::Query { source, .. })
                if source.class() == ErrorClass::Retryable && !deadline.is_over() => {}
            result => return result,
        }
    }
}

async fn continue_from(session: &mut Session, found: Unfinished) -> Result<Found> {
    if found.state.phase == PhaseKind::Prepare {
        return begin_again(session, found).await;
    }
    let id =
        inspect::table_id(session, &found.tables.source).await.doing("look up a table's id")?;
    if found.state.phase.swap_may_have_happened() && id == Some(found.state.shadow_id) {
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
    let claims = control::load_claims(session, &plan.tables.control, plan.order).await?;
    let position = control::load_position(session, &plan.tables.control).await?;
    Ok(Prepared { plan, epoch, claims, position })
}

async fn read(session: &mut Session, watched: Watched, name: &TableName) -> Result<Table> {
    let table = inspect::read_table(session, name).await.doing("read a table's definition")?;
    table.ok_or_else(|| Error::Blocked { refusal: watched.replaced(name) })
}
