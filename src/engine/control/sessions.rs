//! Sessions on record: each is known to the control table before it writes, so that a successor can end
//! those of its predecessors. What is recorded is the session's name and not its number, which another
//! session bears after a restart of the server.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{SHORT, fence, json, put_fenced};
use crate::engine::error::Doing;
use crate::engine::plan::Plan;
use crate::engine::{Error, Result};
use crate::failpoint::hit;
use crate::mysql::connect::Role;
use crate::mysql::error::ErrorClass;
use crate::mysql::locks;
use crate::mysql::session::Session;
use crate::schema::table::TableName;
use crate::sql::control::{self as text, Kind};

/// How long a successor waits for the end of its predecessor's sessions.
const END_LIMIT: Duration = Duration::from_secs(60);
/// How long it waits when it has to try for the fence again.
const HOLDER_LIMIT: Duration = Duration::from_secs(5);
const END: &str = "end sessions of an earlier attempt";

/// The payload of a session's row.
#[derive(Debug, Serialize, Deserialize)]
struct Recorded {
    name: String,
}

/// What the row of a session holds.
pub(super) fn payload(session: &Session) -> String {
    json(&Recorded { name: session.name().to_owned() })
}

/// Opens a session and records it under the fence before it can write anything.
///
/// # Errors
///
/// When the server cannot be reached or the record cannot be written; [`Error::Superseded`] when another
/// worker holds the fence.
pub async fn open_session(plan: &Plan, epoch: u64, role: Role) -> Result<Session> {
    let mut session = plan.request.connect.connect(role).await.doing("open a session")?;
    let (id, payload) = (session.connection_id(), payload(&session));
    let control = &plan.tables.control;
    hit("session.before");
    put_fenced(&mut session, control, epoch, (Kind::Session, id, &payload), SHORT).await?;
    hit("session.after");
    Ok(session)
}

/// Ends the sessions that this epoch recorded, within `limit`.
///
/// # Errors
///
/// When the control table cannot be read or a session does not end.
pub async fn end_sessions_of(
    session: &mut Session,
    control: &TableName,
    epoch: u64,
    limit: Duration,
) -> Result<()> {
    let names = names(session, control, |of| of == epoch).await?;
    locks::end_named(session, &names, limit).await.doing("end sessions of this attempt")
}

/// Ends whoever holds locks on the control table: the recorded sessions, and those of our own that hold
/// the table without being on record. Nobody but us has business there.
pub(super) async fn end_holders(session: &mut Session, control: &TableName) -> Result<()> {
    // The table itself may be locked; then its holders are all there is to know.
    let names = names(session, control, |_| true).await.unwrap_or_default();
    locks::end_named(session, &names, HOLDER_LIMIT).await.doing(END)?;
    let holders = locks::own_holders(session, control).await;
    let holders = holders.doing("find who holds the control table")?;
    if holders.is_empty() {
        return Ok(());
    }
    locks::kill_own(session, &holders).await.doing(END)?;
    locks::wait_until_gone(session, &holders, HOLDER_LIMIT).await.doing(END)
}

/// Ends the sessions that epochs before this one recorded, and forgets them.
pub(super) async fn end_older_sessions(
    session: &mut Session,
    control: &TableName,
    epoch: u64,
) -> Result<()> {
    let names = names(session, control, |of| of < epoch).await?;
    locks::end_named(session, &names, END_LIMIT).await.doing(END)?;
    let forget = text::delete_older(control, Kind::Session, epoch);
    fence::execute_at_first(session, control, epoch, &forget).await?;
    hit("fence.sessions_forgotten");
    Ok(())
}

/// Names of the sessions that the wanted epochs recorded.
async fn names(
    session: &mut Session,
    control: &TableName,
    is_wanted: impl Fn(u64) -> bool,
) -> Result<Vec<String>> {
    let rows = session
        .query_rows(&text::select(control, Kind::Session), SHORT)
        .await
        .doing("read the sessions of earlier attempts")?;
    let wanted = rows.iter().filter(|row| row.u64(1).is_some_and(&is_wanted));
    let recorded = wanted.filter_map(|row| serde_json::from_str(&row.string(2)?).ok());
    Ok(recorded.map(|Recorded { name }| name).collect())
}

/// Only a successor that has finished drops the control table of a worker that is still there.
pub(super) fn gone(error: Error) -> Error {
    match &error {
        Error::Query { source, .. } if source.class() == ErrorClass::Missing => Error::Superseded,
        _ => error,
    }
}
