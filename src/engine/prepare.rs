//! Preparation: the control table, the fence, the shadow table with the new definition, the first
//! position. Everything made here is empty, so that an interrupted preparation is simply dropped.

use std::time::Duration;

use super::backlog::KeyOrder;
use super::backlog::claims::Claims;
use super::context::{Context, Deadline};
use super::control::{self, SHORT, Standing, Worker};
use super::error::Doing;
use super::intent::Intent;
use super::phase::PhaseKind;
use super::plan::{FORMAT, Plan, StoredState, SyncShape, Tables};
use super::preflight::{self, Inspected};
use super::reason::{Reason, Refusal};
use super::request::{Request, Strategy};
use super::stage::Stage;
use super::{Error, Result, instant, old_table};
use crate::failpoint::hit;
use crate::mysql::connect::Role;
use crate::mysql::error::ErrorClass;
use crate::mysql::position::Position;
use crate::mysql::server::{self, Server};
use crate::mysql::session::Session;
use crate::mysql::{inspect, locks};
use crate::schema::alter::Alter;
use crate::schema::definition;
use crate::schema::table::{Table, TableName};
use crate::sql::checksum::Comparison;
use crate::sql::control::Kind;
use crate::sql::ddl;

/// DDL on empty tables, waiting for metadata locks included.
const DDL_LIMIT: Duration = Duration::from_secs(60);
/// How long prepared XA transactions may take to end before the copy is refused: those of an
/// application that works end at once, those that were forgotten never do.
const XA_PATIENCE: Duration = Duration::from_secs(10);
const XA_POLL: Duration = Duration::from_millis(50);
const LIST_XA: &str = "list prepared XA transactions";

/// An attempt that can begin to copy or go on.
pub struct Prepared {
    /// The immutable inputs.
    pub plan: Plan,
    /// The epoch that is ours.
    pub epoch: u64,
    /// Ranges already copied.
    pub claims: Claims,
    /// Where the stream starts.
    pub position: Position,
}

/// Which road was taken.
pub enum Road {
    /// The server did it at once.
    Instant(Box<instant::Done>),
    /// A copy is needed.
    Copy(Box<Prepared>),
    /// Another worker changed the table since preflight: there is nothing left to do, or something else.
    Overtaken,
    /// The server could do it at once, and this hour does not allow it. Nothing is left on the server.
    TooEarly,
}

/// Creates the helper tables, or changes the table at once where the server can.
///
/// # Errors
///
/// Refusals; then nothing that was created is left.
pub async fn run(
    session: &mut Session,
    request: &Request,
    (inspected, alter): (Inspected, Alter),
    wishes: &Intent,
    worker: &mut Worker,
) -> Result<Road> {
    let request = Request { table: inspected.source.name.clone(), ..request.clone() };
    let tables = inspected.tables();
    let state = first_state(session, &request, &inspected, &alter).await?;
    let create = crate::sql::control::create(&tables.control);
    hit("prepare.control.before");
    let created = session.execute(&create, DDL_LIMIT).await;
    if created.as_ref().is_err_and(|error| error.class() == ErrorClass::AlreadyExists) {
        worker.standing = Standing::Late;
    }
    created.doing("create the control table")?;
    hit("prepare.control.after");
    let epoch = control::found(session, &tables.control, worker, &state).await?;
    worker.standing = Standing::Held;
    if is_overtaken(session, &tables, &state).await? {
        drop_helpers(session, &tables).await?;
        worker.standing = Standing::Reaching;
        return Ok(Road::Overtaken);
    }
    let made = make(session, &request, (inspected, &alter, state), (&tables, epoch, wishes)).await;
    let is_too_early = matches!(made, Ok(Road::TooEarly));
    if is_too_early || matches!(made, Err(Error::Refused { .. } | Error::Blocked { .. })) {
        drop_helpers(session, &tables).await?;
    }
    if is_too_early {
        worker.standing = Standing::Reaching;
    }
    made
}

/// Whether the table is no longer what preflight saw. From the first fence on no other worker can change
/// it; before, one may have made this very migration from its beginning to its end.
async fn is_overtaken(session: &mut Session, tables: &Tables, state: &StoredState) -> Result<bool> {
    let name = &tables.source;
    let completed = old_table::completed_at(session, name, &state.digest, &state.migration).await?;
    let id = inspect::table_id(session, name).await.doing("look up a table's id")?;
    let source = inspect::read_table(session, name).await.doing("read a definition")?;
    let definition = source.map(|table| definition::fingerprint(&table));
    let old = inspect::table_exists(session, &tables.old).await.doing("look for an old table")?;
    Ok(completed.is_some()
        || id != Some(state.source_id)
        || definition.as_ref() != Some(&state.source_definition)
        || old)
}

async fn make(
    session: &mut Session,
    request: &Request,
    (inspected, alter, mut state): (Inspected, &Alter, StoredState),
    (tables, epoch, wishes): (&Tables, u64, &Intent),
) -> Result<Road> {
    let shadow = make_shadow(session, tables, alter).await?;
    state.shadow_definition = definition::fingerprint(&shadow);
    let parts = (tables.clone(), inspected.source, shadow);
    let plan = plan(request, inspected.server, parts, state)?;
    if wants_instant(request, wishes) {
        if instant::waits_for(wishes).is_some()
            && instant::is_possible(session, tables, alter).await?
        {
            return Ok(Road::TooEarly);
        }
        match instant::try_change(session, &plan, (alter, epoch), wishes.tuning.lock_budget).await?
        {
            Some(done) => return Ok(Road::Instant(Box::new(done))),
            None if request.strategy == Strategy::Instant => {
                return Err(Error::Refused { refusals: vec![instant::impossible()] });
            }
            None => {}
        }
    }
    start_copy(session, plan, epoch).await.map(|prepared| Road::Copy(Box::new(prepared)))
}

/// Whether the change is tried at once first. That leaves nothing to postpone and nothing to look at before a
/// person approves the swap, so it is not tried when that is wanted.
pub(super) fn wants_instant(request: &Request, wishes: &Intent) -> bool {
    match request.strategy {
        Strategy::Instant => true,
        Strategy::Auto => {
            let approval = &request.stages.approval;
            !wishes.postpone_cut_over && !approval.contains(&Stage::BeforeCutOver)
        }
        Strategy::Copy => false,
    }
}

async fn first_state(
    session: &mut Session,
    request: &Request,
    inspected: &Inspected,
    alter: &Alter,
) -> Result<StoredState> {
    let source = &inspected.source;
    let source_id = inspect::table_id(session, &source.name).await.doing("look up a table's id")?;
    Ok(StoredState {
        format: FORMAT,
        migration: request.migration_name.clone(),
        uid: request.migration_uid.clone(),
        digest: alter.digest(),
        phase: PhaseKind::Prepare,
        server_uuid: inspected.server.identity.clone(),
        source_id: source_id.ok_or(Error::BrokenInvariant { what: "the table has no id" })?,
        shadow_id: 0,
        old_table: inspected.names.old.clone(),
        source_definition: definition::fingerprint(source),
        shadow_definition: String::new(),
        rows_estimated: source.estimated_rows,
        keys_applied: 0,
        rows_verified: 0,
        rows_repaired: 0,
        verified_up_to: None,
        cut_over_attempts: 0,
        lock_seconds: 0.0,
        rows_copied: 0,
        instant_target: None,
        in_ledger: false,
        warnings: inspected.warnings.iter().map(Refusal::to_string).collect(),
        changes: Vec::new(),
    })
}

/// Creates the empty shadow table, lets the server apply the user's ALTER to it and reads it back.
pub(super) async fn make_shadow(
    session: &mut Session,
    tables: &Tables,
    alter: &Alter,
) -> Result<Table> {
    hit("prepare.shadow.before");
    let create = ddl::create_like(&tables.shadow, &tables.source);
    session.execute(&create, DDL_LIMIT).await.doing("create the shadow table")?;
    hit("prepare.shadow.after");
    let alter = alter_of_copy(session, tables, alter).await?;
    let change = ddl::alter(&tables.shadow, &alter);
    if let Err(error) = session.execute(&change, DDL_LIMIT).await {
        return Err(match preflight::alter_rejected(&error) {
            Some(refusal) => Error::Refused { refusals: vec![refusal] },
            None => {
                Error::Query { doing: "apply the ALTER to the empty shadow table", source: error }
            }
        });
    }
    hit("prepare.altered");
    let shadow =
        inspect::read_table(session, &tables.shadow).await.doing("read the shadow table")?;
    shadow.ok_or(Error::BrokenInvariant { what: "the shadow table is gone" })
}

/// The ALTER with the names that constraints have in the fresh copy.
pub(super) async fn alter_of_copy(
    session: &mut Session,
    tables: &Tables,
    alter: &Alter,
) -> Result<Alter> {
    let mut definitions = Vec::new();
    for table in [&tables.source, &tables.shadow] {
        let read = inspect::read_table(session, table).await.doing("read a definition")?;
        definitions.push(read.map(|table| table.definition).unwrap_or_default());
    }
    let copy = definitions.pop().unwrap_or_default();
    let original = definitions.pop().unwrap_or_default();
    Ok(alter.for_copy(&original, &copy))
}

/// Connects the two definitions.
///
/// # Errors
///
/// Refusals of the checks that need both definitions.
pub fn plan(
    request: &Request,
    server: Server,
    (tables, source, shadow): (Tables, Table, Table),
    stored: StoredState,
) -> Result<Plan> {
    let definitions = preflight::check_definitions(request, &source, &shadow)
        .map_err(|refusals| Error::Refused { refusals })?;
    for warning in &definitions.warnings {
        tracing::warn!(reason = %warning.reason, "{}; {}", warning.message, warning.remedy);
    }
    let order = match definitions.pair.source_key.is_ordered() {
        true => KeyOrder::Ours,
        false => KeyOrder::Server,
    };
    let shape = match definitions.other_uniques.is_empty() {
        true => SyncShape::Upsert,
        false => SyncShape::DeleteInsert(definitions.other_uniques),
    };
    Ok(Plan {
        request: request.clone(),
        server,
        tables,
        warnings: definitions.warnings.iter().map(Refusal::to_string).collect(),
        comparison: Comparison::of(&definitions.pair.mapping),
        pair: definitions.pair,
        order,
        shape,
        column_count: source.columns.len(),
        auto_increment: shadow.columns.iter().any(|column| column.auto_increment),
        stored,
    })
}

/// Takes the first position and enters the row copy.
async fn start_copy(session: &mut Session, mut plan: Plan, epoch: u64) -> Result<Prepared> {
    let shadow_id =
        inspect::table_id(session, &plan.tables.shadow).await.doing("look up a table's id")?;
    plan.stored.shadow_id =
        shadow_id.ok_or(Error::BrokenInvariant { what: "the shadow table has no id" })?;
    let position = first_position(session, &plan.server).await?;
    let stored = control::json(&position);
    let row = (Kind::Position, control::HEARTBEAT_POSITION, stored.as_str());
    control::put_fenced(session, &plan.tables.control, epoch, row, SHORT).await?;
    hit("prepare.positioned");
    plan.stored.phase = PhaseKind::RowCopy;
    control::save_state(session, &plan.tables.control, epoch, &plan.stored).await?;
    Ok(Prepared { plan, epoch, claims: Claims::new(), position })
}

/// The position is taken first and prepared transactions are looked for after it: one that is prepared
/// later shows its PREPARE in the stream. Those found may be older; once each of them has ended, the
/// copy, which begins only then, sees what became of them.
async fn first_position(session: &mut Session, server: &Server) -> Result<Position> {
    let position = server::read_position(session, server).await.doing("read the position")?;
    let deadline = Deadline::after(XA_PATIENCE);
    let mut older = locks::prepared_xa(session).await.doing(LIST_XA)?;
    while let Some(one) = older.first() {
        if deadline.is_over() {
            return Err(Error::Refused { refusals: vec![xa_pending(&one.xid)] });
        }
        tokio::time::sleep(XA_POLL).await;
        let prepared = locks::prepared_xa(session).await.doing(LIST_XA)?;
        older.retain(|one| prepared.contains(one));
    }
    Ok(position)
}

fn xa_pending(xid: &str) -> Refusal {
    Refusal {
        reason: Reason::XaPending,
        message: format!("the XA transaction {xid} is prepared and has not ended"),
        remedy: "commit or roll it back (XA RECOVER lists it) and run the same command again"
            .to_owned(),
    }
}

/// Refreshes the optimizer's statistics of the filled shadow table.
///
/// # Errors
///
/// When the server refuses.
pub async fn analyze(context: &Context) -> Result<()> {
    let mut session = context.open(Role::Control).await?;
    let analyze = ddl::analyze(&context.plan.tables.shadow);
    session.query_rows(&analyze, DDL_LIMIT * 10).await.doing("analyze the shadow table").map(drop)
}

/// Drops the helper tables of a preparation. The shadow table is empty and the control table ours.
///
/// # Errors
///
/// When the server refuses.
pub async fn drop_helpers(session: &mut Session, tables: &Tables) -> Result<()> {
    if inspect::table_exists(session, &tables.shadow).await.doing("look for the shadow table")? {
        let any = session.query_optional(&ddl::any_row(&tables.shadow), SHORT).await;
        if any.doing("look into the shadow table")?.is_some() {
            return Err(Error::Blocked { refusal: not_empty(&tables.shadow) });
        }
        hit("helpers.drop");
        drop_table(session, &tables.shadow).await?;
    }
    hit("helpers.dropped");
    drop_table(session, &tables.control).await?;
    hit("helpers.dropped");
    Ok(())
}

fn not_empty(shadow: &TableName) -> Refusal {
    Refusal::new(
        Reason::NameTaken,
        format!("{shadow} has rows although the copy has not begun: it is not ours"),
        format!("rename or drop {shadow} and run the same command again"),
    )
}

async fn drop_table(session: &mut Session, table: &TableName) -> Result<()> {
    session.execute(&ddl::drop_table(table), DDL_LIMIT).await.doing("drop a helper table").map(drop)
}
