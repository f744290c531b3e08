//! The fence: every write transaction share-locks the fence row of its own epoch first. A successor bumps
//! the epoch under an exclusive lock, so a worker that was frozen writes nothing more when it wakes.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::sessions::{self, gone};
use super::{SHORT, json};
use crate::engine::context::Deadline;
use crate::engine::error::Doing;
use crate::engine::plan::StoredState;
use crate::engine::{Error, Result};
use crate::failpoint::hit;
use crate::mysql::error::ErrorClass;
use crate::mysql::inspect;
use crate::mysql::session::{Row, Session};
use crate::schema::table::TableName;
use crate::sql::control::{self as text, Kind};

/// How long a successor tries for the fence.
const TAKE_OVER_LIMIT: Duration = Duration::from_secs(60);

/// Epochs that one control table can have. A control table of the same name that is made later has
/// greater ones, so that no worker of the former can take them for its own.
const EPOCHS: u64 = 1 << 20;
/// Pause before another look at a fence that somebody else moves at this moment.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The payload of the fence row.
#[derive(Debug, Serialize, Deserialize)]
struct Fence {
    /// The highest attempt that held it; 0 when nobody counts attempts.
    attempt: u64,
    worker: String,
}

/// The process as the fence names it. A process that held the fence and finds another one named there
/// was taken over from: it ends instead of taking the fence back.
#[derive(Debug)]
pub struct Worker {
    name: String,
    /// Its attempt's number, when somebody counts them: it gives way to a higher one.
    attempt: Option<u64>,
    /// How it stands to the fence of the migration that is under way.
    pub standing: Standing,
}

/// How a process stands to the fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has seen nothing of the migration yet.
    Outside,
    /// It found the migration and reached for the fence: from then on there is something to continue.
    Reaching,
    /// It was about to begin the migration and another process was quicker.
    Late,
    /// It held the fence.
    Held,
}

impl Worker {
    /// This process, told apart from every other by its id and the time.
    pub fn new(attempt: Option<u64>) -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let name = format!("{}-{}", std::process::id(), since.as_nanos());
        Self { name, attempt, standing: Standing::Outside }
    }

    /// # Errors
    ///
    /// [`Error::Superseded`] when the fence names another process although this one held it, or was slower,
    /// and when it knows a higher attempt.
    fn check(&self, fence: Option<&Fence>) -> Result<()> {
        let is_another = fence.is_some_and(|fence| fence.worker != self.name);
        if self.attempt.is_some_and(|own| fence.is_some_and(|fence| fence.attempt > own)) {
            return Err(Error::Superseded);
        }
        match self.standing {
            Standing::Held | Standing::Late if is_another => Err(Error::Superseded),
            Standing::Held | Standing::Late | Standing::Outside | Standing::Reaching => Ok(()),
        }
    }

    /// Notes that it found the migration and reaches for the fence.
    pub fn reach(&mut self) {
        if self.standing == Standing::Outside {
            self.standing = Standing::Reaching;
        }
    }

    /// Whether it held the fence.
    pub fn has_held(&self) -> bool {
        self.standing == Standing::Held
    }
}

/// Puts the first fence and the first state into a control table that was just created, and records this
/// session. Returns the first epoch.
///
/// # Errors
///
/// [`Error::Superseded`] when another worker was quicker.
pub async fn found(
    session: &mut Session,
    control: &TableName,
    worker: &Worker,
    state: &StoredState,
) -> Result<u64> {
    let id = inspect::table_id(session, control).await.doing("look up the control table's id")?;
    let epoch = id.ok_or(Error::Superseded)? * EPOCHS + 1;
    let fence = Fence { attempt: worker.attempt.unwrap_or(0), worker: worker.name.clone() };
    // Each plain insert fails where there is one already; the state has the same key for everybody.
    let rows = [
        text::insert(control, Kind::State, 0, epoch, &json(state)),
        text::insert(control, Kind::Fence, epoch, epoch, &json(&fence)),
        own_row(session, control, epoch),
    ];
    hit("fence.found.before");
    in_transaction(session, SHORT, async |session| {
        for row in &rows {
            session.execute(row, SHORT).await.doing("set the first fence").map_err(taken)?;
        }
        Ok(())
    })
    .await?;
    hit("fence.found.after");
    Ok(epoch)
}

/// The row is there already, or the table is gone: somebody else has set the fence or begun anew.
fn taken(error: Error) -> Error {
    match &error {
        Error::Query { source, .. }
            if matches!(source.class(), ErrorClass::DuplicateKey { .. } | ErrorClass::Missing) =>
        {
            Error::Superseded
        }
        _ => error,
    }
}

/// Bumps the epoch: from the return on no older worker can write. Ends the sessions that older epochs
/// recorded. Returns the new epoch.
///
/// # Errors
///
/// When the fence cannot be had or a predecessor's sessions cannot be ended in a minute;
/// [`Error::Superseded`] when this very process is the predecessor of another one.
pub async fn take_over(session: &mut Session, control: &TableName, worker: &Worker) -> Result<u64> {
    let deadline = Deadline::after(TAKE_OVER_LIMIT);
    loop {
        hit("fence.bump.before");
        match bump(session, control, worker).await {
            Ok(Some(epoch)) => {
                hit("fence.bump.after");
                sessions::end_older_sessions(session, control, epoch).await?;
                return Ok(epoch);
            }
            Ok(None) if deadline.is_over() => return Err(Error::Superseded),
            Ok(None) => tokio::time::sleep(LOOK_AGAIN).await,
            Err(Error::Query { source, .. })
                if source.class() == ErrorClass::Retryable && !deadline.is_over() =>
            {
                sessions::end_holders(session, control).await?;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Moves the fence to the next epoch; `None` when somebody else moves it at this moment.
async fn bump(session: &mut Session, control: &TableName, worker: &Worker) -> Result<Option<u64>> {
    let moved = in_transaction(session, SHORT, async |session| {
        let select = text::select_fence_for_update(control);
        let rows = session.query_rows(&select, SHORT).await.doing("lock the fence")?;
        let Some((old, held)) = rows.last().and_then(fence_of) else { return Ok(None) };
        worker.check(held.as_ref())?;
        let attempt = worker.attempt.or(held.map(|fence| fence.attempt)).unwrap_or(0);
        let fence = Fence { attempt, worker: worker.name.clone() };
        let epoch = old + 1;
        for statement in [
            text::delete(control, Kind::Fence, old),
            text::insert(control, Kind::Fence, epoch, epoch, &json(&fence)),
            own_row(session, control, epoch),
        ] {
            session.execute(&statement, SHORT).await.doing("move the fence")?;
        }
        Ok(Some(epoch))
    });
    match moved.await {
        Err(Error::Query { source, .. })
            if matches!(source.class(), ErrorClass::DuplicateKey { .. }) =>
        {
            Ok(None)
        }
        moved => moved,
    }
}

/// The epoch of a fence row, and what it holds where that can be read.
fn fence_of(row: &Row) -> Option<(u64, Option<Fence>)> {
    let held = row.string(2).and_then(|payload| serde_json::from_str(&payload).ok());
    Some((row.u64(0)?, held))
}

fn own_row(session: &Session, control: &TableName, epoch: u64) -> String {
    let (id, payload) = (session.connection_id(), sessions::payload(session));
    text::put(control, Kind::Session, id, epoch, &payload)
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
    in_transaction(session, SHORT * 20, async |session| {
        check_fence(session, control, epoch).await?;
        work(session).await
    })
    .await
}

/// Writes one row under the fence; the commit may take as long as `limit`.
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
    let row = text::put(control, kind, id, epoch, payload);
    in_transaction(session, limit, async |session| {
        check_fence(session, control, epoch).await?;
        session.execute(&row, SHORT).await.doing("write the control table").map(drop)
    })
    .await
}

async fn in_transaction<T>(
    session: &mut Session,
    commit_limit: Duration,
    work: impl AsyncFnOnce(&mut Session) -> Result<T>,
) -> Result<T> {
    session.begin(SHORT).await.doing("open a transaction")?;
    match work(session).await {
        Ok(value) => {
            session.commit(commit_limit).await.doing("commit")?;
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
    share(session, control, epoch).await.map_err(gone)
}

async fn share(session: &mut Session, control: &TableName, epoch: u64) -> Result<()> {
    let select = text::share_fence(control, epoch);
    let row = session.query_optional(&select, SHORT).await.doing("check the fence")?;
    row.map(drop).ok_or(Error::Superseded)
}

/// Runs a statement under the fence right after it was taken. A predecessor may have dropped the control
/// table while it was being ended: that is told as it is, because there is nobody who took over.
pub(super) async fn execute_at_first(
    session: &mut Session,
    control: &TableName,
    epoch: u64,
    statement: &str,
) -> Result<()> {
    in_transaction(session, SHORT, async |session| {
        share(session, control, epoch).await?;
        session.execute(statement, SHORT).await.doing("use the new fence").map(drop)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_that_lost_the_fence_does_not_take_it_back() {
        let fence = |worker: &str| Fence { attempt: 1, worker: worker.to_owned() };
        let cases = [
            (Standing::Outside, "other", true),
            (Standing::Reaching, "other", true),
            (Standing::Late, "other", false),
            (Standing::Held, "other", false),
            (Standing::Held, "own", true),
        ];
        for (standing, named, may_take) in cases {
            let worker = Worker { name: "own".to_owned(), attempt: None, standing };
            let checked = worker.check(Some(&fence(named)));
            assert_eq!(checked.is_ok(), may_take, "{standing:?} {named}");
        }
    }

    #[test]
    fn lower_attempt_gives_way_to_a_higher_one() {
        let fence = Fence { attempt: 3, worker: "other".to_owned() };
        for (attempt, may_take) in
            [(Some(2), false), (Some(3), true), (Some(4), true), (None, true)]
        {
            let worker = Worker { name: "own".to_owned(), attempt, standing: Standing::Outside };
            assert_eq!(worker.check(Some(&fence)).is_ok(), may_take, "{attempt:?}");
        }
    }
}
