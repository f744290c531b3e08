//! The fence: every write transaction share-locks the fence row of its own epoch first. A successor bumps
//! the epoch under an exclusive lock, so a worker that was frozen writes nothing more when it wakes.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::sessions::{end_older_sessions, gone, kill_holders};
use super::{SHORT, json};
use crate::engine::context::Deadline;
use crate::engine::error::Doing;
use crate::engine::{Error, Result};
use crate::failpoint::hit;
use crate::mysql::error::ErrorClass;
use crate::mysql::session::Session;
use crate::schema::table::TableName;
use crate::sql::control::{self as text, Kind};

/// How long a successor tries to end its predecessor's sessions.
pub(super) const TAKE_OVER_LIMIT: Duration = Duration::from_secs(60);

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
