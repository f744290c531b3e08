//! Sessions on record: each is known to the control table before it writes, so that a successor can end
//! those of its predecessors.

use std::time::Duration;

use super::SHORT;
use super::fence::TAKE_OVER_LIMIT;
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

/// Opens a session and records its id before it can write anything under the fence.
///
/// # Errors
///
/// When the server cannot be reached or the record cannot be written.
pub async fn open_session(plan: &Plan, epoch: u64, role: Role) -> Result<Session> {
    let mut session = plan.request.connect.connect(role).await.doing("open a session")?;
    let id = session.connection_id();
    let record = text::put(&plan.tables.control, Kind::Session, id, epoch, "{}");
    hit("session.before");
    session.execute(&record, SHORT).await.doing("record a session").map_err(gone)?;
    hit("session.after");
    Ok(session)
}

/// Ends whoever holds locks on the control table: the recorded sessions, and when the table itself is
/// locked, the sessions that hold it. Nobody but us has business there.
pub(super) async fn kill_holders(session: &mut Session, control: &TableName) -> Result<()> {
    let recorded = session.query_rows(&text::select(control, Kind::Session), SHORT).await;
    let mut ids: Vec<u64> = match recorded {
        Ok(rows) => rows.iter().filter_map(|row| row.u64(0)).collect(),
        Err(_) => Vec::new(),
    };
    let holders =
        locks::blockers(session, control).await.doing("find who holds the control table")?;
    ids.extend(holders.iter().map(|holder| holder.connection_id));
    locks::kill_own(session, &ids).await.doing("end sessions of an earlier attempt")?;
    locks::wait_until_gone(session, &ids, Duration::from_secs(5))
        .await
        .doing("wait for sessions of an earlier attempt")
}

pub(super) async fn end_older_sessions(
    session: &mut Session,
    control: &TableName,
    epoch: u64,
) -> Result<()> {
    let rows = session
        .query_rows(&text::select(control, Kind::Session), SHORT)
        .await
        .doing("read the sessions of earlier attempts")?;
    let old: Vec<u64> =
        rows.iter().filter(|row| row.u64(1) < Some(epoch)).filter_map(|row| row.u64(0)).collect();
    if old.is_empty() {
        return Ok(());
    }
    locks::kill_own(session, &old).await.doing("end sessions of an earlier attempt")?;
    locks::wait_until_gone(session, &old, TAKE_OVER_LIMIT)
        .await
        .doing("wait for sessions of an earlier attempt")?;
    for id in old {
        let delete = text::delete(control, Kind::Session, id);
        session.execute(&delete, SHORT).await.doing("forget a session of an earlier attempt")?;
        hit("fence.session_forgotten");
    }
    Ok(())
}

/// Only a successor that has finished drops the control table of a worker that is still there.
pub(super) fn gone(error: Error) -> Error {
    match &error {
        Error::Query { source, .. } if source.class() == ErrorClass::Missing => Error::Superseded,
        _ => error,
    }
}
