//! The control table in use: the fence, the stored state, finished ranges and positions.
//!
//! Every write transaction share-locks the fence row of its own epoch first. A successor bumps the
//! epoch under an exclusive lock, so a worker that was frozen writes nothing more when it wakes.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::backlog::claims::{Claims, FinishedRow, Range};
use super::context::Deadline;
use super::error::Doing;
use super::plan::{Plan, StoredState};
use super::{Error, Result};
use crate::engine::backlog::KeyOrder;
use crate::failpoint::hit;
use crate::mysql::connect::Role;
use crate::mysql::error::ErrorClass;
use crate::mysql::locks;
use crate::mysql::position::Position;
use crate::mysql::session::Session;
use crate::schema::key::Key;
use crate::schema::table::TableName;
use crate::sql::control::{self as text, Kind};

/// Small statements on the control table.
pub const SHORT: Duration = Duration::from_secs(30);
/// How long a successor tries to end its predecessor's sessions.
const TAKE_OVER_LIMIT: Duration = Duration::from_secs(60);
/// The id of the position row that the heartbeat writes; lanes use their own number.
pub const HEARTBEAT_POSITION: u64 = 1000;

/// The payload of the fence row.
#[derive(Debug, Serialize, Deserialize)]
struct Fence {
    attempt: u64,
    worker: String,
}

/// The process as the fence names it. A process that held the fence and finds another one named there
/// was taken over from: it ends instead of taking the fence back.
#[derive(Debug)]
pub struct Worker {
    name: String,
    /// Whether an attempt of this process reached for the fence of the migration that is under way.
    pub has_held: bool,
}

impl Worker {
    /// This process, told apart from every other by its id and the time.
    pub fn new() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let name = format!("{}-{}", std::process::id(), since.as_nanos());
        Self { name, has_held: false }
    }

    /// # Errors
    ///
    /// [`Error::Superseded`] when the fence names another process although this one held it.
    fn check(&self, fence: Option<&Fence>) -> Result<()> {
        match fence {
            Some(fence) if self.has_held && fence.worker != self.name => Err(Error::Superseded),
            Some(_) | None => Ok(()),
        }
    }
}

/// The payload of a finished range.
#[derive(Debug, Serialize, Deserialize)]
struct StoredRange {
    lower: Option<String>,
    upper: Option<String>,
    rows: u64,
}

/// Bumps the epoch: from the return on no older worker can write. Kills the sessions that older
/// epochs recorded. Returns the new epoch.
///
/// # Errors
///
/// When a predecessor's sessions cannot be ended in a minute; [`Error::Superseded`] when this very
/// process is the predecessor of another one.
pub async fn take_over(session: &mut Session, control: &TableName, worker: &Worker) -> Result<u64> {
    let deadline = Deadline::after(TAKE_OVER_LIMIT);
    loop {
        hit("fence.bump.before");
        match bump(session, control, worker).await {
            Ok(epoch) => {
                hit("fence.bump.after");
                end_older_sessions(session, control, epoch).await?;
                return Ok(epoch);
            }
            Err(Error::Query { source, .. })
                if source.class() == ErrorClass::Retryable && !deadline.is_over() =>
            {
                session.roll_back(SHORT).await.doing("roll back")?;
                kill_holders(session, control).await?;
            }
            Err(error) => return Err(error),
        }
    }
}

async fn bump(session: &mut Session, control: &TableName, worker: &Worker) -> Result<u64> {
    session.begin(SHORT).await.doing("open a transaction")?;
    let rows = session
        .query_rows(&text::select_fence_for_update(control), SHORT)
        .await
        .doing("lock the fence")?;
    let old = rows.last();
    let epoch = old.and_then(|row| row.u64(0)).unwrap_or(0) + 1;
    let held = old
        .and_then(|row| row.string(2))
        .and_then(|payload| serde_json::from_str::<Fence>(&payload).ok());
    worker.check(held.as_ref())?;
    let attempt = held.map_or(1, |fence| fence.attempt + 1);
    session
        .execute(&text::delete_kind(control, Kind::Fence), SHORT)
        .await
        .doing("move the fence")?;
    let fence = Fence { attempt, worker: worker.name.clone() };
    let fence = text::put(control, Kind::Fence, epoch, epoch, &json(&fence));
    session.execute(&fence, SHORT).await.doing("move the fence")?;
    let own = text::put(control, Kind::Session, session.connection_id(), epoch, "{}");
    session.execute(&own, SHORT).await.doing("record a session")?;
    session.commit(SHORT).await.doing("move the fence")?;
    Ok(epoch)
}

/// Ends whoever holds locks on the control table: the recorded sessions, and when the table itself is
/// locked, the sessions that hold it. Nobody but us has business there.
async fn kill_holders(session: &mut Session, control: &TableName) -> Result<()> {
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

async fn end_older_sessions(session: &mut Session, control: &TableName, epoch: u64) -> Result<()> {
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

/// Runs `work` in a transaction under the fence. Nothing of it stays when it fails.
///
/// # Errors
///
/// [`Error::Superseded`] when another worker holds the fence, else what failed. When the commit's
/// answer is lost, whether it happened is unknown.
pub async fn fenced<T>(
    session: &mut Session,
    control: &TableName,
    epoch: u64,
    work: impl AsyncFnOnce(&mut Session) -> Result<T>,
) -> Result<T> {
    session.begin(SHORT).await.doing("open a transaction")?;
    let result = async {
        check_fence(session, control, epoch).await?;
        let value = work(session).await?;
        Ok(value)
    }
    .await;
    match result {
        Ok(value) => {
            session.commit(SHORT * 20).await.doing("commit")?;
            Ok(value)
        }
        Err(error) => {
            if session.is_usable() {
                // The first error is the one that tells; a session that cannot roll back is useless
                // and shows that at its next statement.
                drop(session.roll_back(SHORT).await);
            }
            Err(error)
        }
    }
}

/// Share-locks the fence row of this epoch.
///
/// # Errors
///
/// [`Error::Superseded`] when it is gone.
pub async fn check_fence(session: &mut Session, control: &TableName, epoch: u64) -> Result<()> {
    let row = session
        .query_optional(&text::share_fence(control, epoch), SHORT)
        .await
        .doing("check the fence")
        .map_err(gone)?;
    row.map(drop).ok_or(Error::Superseded)
}

/// Only a successor that has finished drops the control table of a worker that is still there.
fn gone(error: Error) -> Error {
    match &error {
        Error::Query { source, .. } if source.class() == ErrorClass::Missing => Error::Superseded,
        _ => error,
    }
}

/// Writes one row under the fence.
///
/// # Errors
///
/// As [`fenced`].
pub async fn put_fenced(
    session: &mut Session,
    control: &TableName,
    epoch: u64,
    (kind, id, payload): (Kind, u64, &str),
    limit: Duration,
) -> Result<()> {
    session.begin(SHORT).await.doing("open a transaction")?;
    check_fence(session, control, epoch).await?;
    session
        .execute(&text::put(control, kind, id, epoch, payload), SHORT)
        .await
        .doing("write the control table")?;
    session.commit(limit).await.doing("commit to the control table")
}

/// Stores the state.
///
/// # Errors
///
/// As [`fenced`].
pub async fn save_state(
    session: &mut Session,
    control: &TableName,
    epoch: u64,
    state: &StoredState,
) -> Result<()> {
    hit(&format!("state.{}.before", state.phase));
    put_fenced(session, control, epoch, (Kind::State, 0, &json(state)), SHORT).await?;
    hit(&format!("state.{}.after", state.phase));
    Ok(())
}

/// Reads the state; `None` when an attempt ended before it was first stored.
///
/// # Errors
///
/// When it cannot be read or is of a newer format.
pub async fn load_state(session: &mut Session, control: &TableName) -> Result<Option<StoredState>> {
    let row = session
        .query_optional(&text::select(control, Kind::State), SHORT)
        .await
        .doing("read the control table")?;
    let Some(payload) = row.and_then(|row| row.string(2)) else { return Ok(None) };
    let state: StoredState = serde_json::from_str(&payload)
        .map_err(|_| Error::BrokenInvariant { what: "the control table's state is unreadable" })?;
    if state.format > super::plan::FORMAT {
        return Err(Error::BrokenInvariant { what: "the control table is of a newer version" });
    }
    Ok(Some(state))
}

/// The statement that records a finished range, for the transaction of its rows.
pub fn range_row(plan: &Plan, epoch: u64, id: u64, range: &Range, rows: u64) -> String {
    let stored = StoredRange {
        lower: range.lower.as_ref().map(Key::to_hex),
        upper: range.upper.as_ref().map(Key::to_hex),
        rows,
    };
    text::put(&plan.tables.control, Kind::Range, id, epoch, &json(&stored))
}

/// Reads the finished ranges. Of keys that only the server can order, the ranges behind the first
/// gap are forgotten: their order is unknown here, and a chunk of such keys clears its range anyway.
///
/// # Errors
///
/// When they cannot be read.
pub async fn load_claims(
    session: &mut Session,
    control: &TableName,
    order: KeyOrder,
) -> Result<Claims> {
    let rows = session
        .query_rows(&text::select(control, Kind::Range), SHORT)
        .await
        .doing("read the finished ranges")?;
    let mut finished = Vec::new();
    for row in &rows {
        let id = row.u64(0).unwrap_or_default();
        let payload = row.string(2).unwrap_or_default();
        let stored: StoredRange = serde_json::from_str(&payload)
            .map_err(|_| Error::BrokenInvariant { what: "a finished range is unreadable" })?;
        let key = |hex: Option<String>| hex.map(|hex| Key::from_hex(&hex)).transpose();
        let range = Range { lower: key(stored.lower)?, upper: key(stored.upper)? };
        finished.push((range, FinishedRow { id, rows: stored.rows }));
    }
    match order {
        KeyOrder::Ours => finished.sort_by(|one, two| one.0.lower.cmp(&two.0.lower)),
        KeyOrder::Server => {
            let (chain, rest) = split_chain(finished);
            for (_, row) in rest {
                let delete = text::delete(control, Kind::Range, row.id);
                session.execute(&delete, SHORT).await.doing("forget a range")?;
            }
            finished = chain;
        }
    }
    Ok(Claims::resume(finished))
}

type Finished = Vec<(Range, FinishedRow)>;

/// The ranges that follow one another from the start of the key space, and the others.
fn split_chain(mut finished: Finished) -> (Finished, Finished) {
    let mut chain = Vec::new();
    let mut end = None;
    while let Some(index) = finished.iter().position(|(range, _)| range.lower == end) {
        let next = finished.swap_remove(index);
        end.clone_from(&next.0.upper);
        chain.push(next);
        if end.is_none() {
            break;
        }
    }
    (chain, finished)
}

/// The newest durable position on record.
///
/// # Errors
///
/// When none can be read.
pub async fn load_position(session: &mut Session, control: &TableName) -> Result<Position> {
    let rows = session
        .query_rows(&text::select(control, Kind::Position), SHORT)
        .await
        .doing("read the stored position")?;
    rows.iter()
        .filter_map(|row| serde_json::from_str::<Position>(&row.string(2)?).ok())
        .max_by(|one, two| one.coordinates.cmp(&two.coordinates))
        .ok_or(Error::BrokenInvariant { what: "the control table holds no position" })
}

/// The statement that records a durable position.
pub fn position_row(plan: &Plan, epoch: u64, id: u64, position: &Position) -> String {
    text::put(&plan.tables.control, Kind::Position, id, epoch, &json(position))
}

/// The stored form; our own types have no way to fail.
pub fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chain_ends_at_the_first_gap() {
        let key = |byte: u8| Some(Key::from_bytes(&[byte]));
        let item = |lower, upper, id| (Range { lower, upper }, FinishedRow { id, rows: 1 });
        let (chain, rest) = split_chain(vec![
            item(key(5), key(6), 3),
            item(key(1), key(2), 2),
            item(None, key(1), 1),
        ]);
        assert_eq!(chain.iter().map(|(_, row)| row.id).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(rest.len(), 1);
    }
}
