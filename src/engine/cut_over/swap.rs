//! One attempt to swap, in one session: lock, check the fence, drain what is left, rename, record. Until
//! the RENAME is sent everything can be given up and nothing has changed. MySQL 8.0.13 and newer can
//! rename inside LOCK TABLES.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::confirm::{self, Bearer, Spaces};
use crate::engine::applier::sync_keys;
use crate::engine::blocker::{Blocker, Obstacle};
use crate::engine::context::{Context, Deadline};
use crate::engine::control::{self, SHORT};
use crate::engine::error::Doing;
use crate::engine::phase::PhaseKind;
use crate::engine::plan::SyncShape;
use crate::engine::{Error, Result, conflict, markers, verify};
use crate::failpoint::hit;
use crate::mysql::connect::Role;
use crate::mysql::error::ErrorClass;
use crate::mysql::locks;
use crate::mysql::session::Session;
use crate::sql::conflict::Scope;
use crate::sql::cut_over as text;

/// Time that the RENAME itself is expected to need: an attempt that has less left gives up.
const RENAME_RESERVE: Duration = Duration::from_millis(50);
/// Keys made equal by one round under the lock: between two rounds the budget is looked at.
const KEYS_AT_A_TIME: usize = 500;

/// Why an attempt did not swap.
pub(super) enum Failed {
    /// The tables are as before; a later attempt may succeed.
    NotYet(Box<Obstacle>),
    /// The run ends.
    Ends(Error),
}

impl Failed {
    fn not_yet(why: impl Into<Obstacle>) -> Self {
        Self::NotYet(Box::new(why.into()))
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Ends(error)
    }
}

type Attempt<T> = std::result::Result<T, Failed>;

/// Tries to swap within the lock budget. Returns how long the lock was held, in seconds.
pub(super) async fn try_swap(context: &Context) -> Attempt<f64> {
    let mut session = context.open(Role::CutOver).await?;
    let mut side = context.open(Role::Control).await?;
    let mut watcher = context.open(Role::Inspect).await?;
    raise_before_lock(context, &mut side).await?;
    let spaces = confirm::spaces(&context.plan, &mut side).await?;
    told_apart(confirm::expect_unchanged(&context.plan, &mut watcher).await)?;
    session.execute(text::SET_UP, SHORT).await.doing("prepare the cut-over session")?;
    if !locks::take_cut_over_turn(&mut session).await.doing("take the turn to cut over")? {
        return Err(Failed::not_yet("another cut-over on this server began in the same moment"));
    }
    let marker = markers::next(context);
    context.echoes.hold_at.store(marker, Ordering::Release);
    let began = Instant::now();
    let deadline = Deadline::after(context.tuning().lock_budget);
    let result =
        lock_and_swap(context, (&mut session, &mut side, &mut watcher), (marker, spaces), deadline)
            .await;
    if let Err(Failed::NotYet(_)) = &result {
        // Closing the session frees the locks when the statement cannot.
        drop(session.execute(text::UNLOCK, SHORT).await);
    }
    let lock_holder = session.connection_id();
    session.close().await;
    context.echoes.hold_at.store(0, Ordering::Release);
    let outcome = settle(context, (&mut side, lock_holder), result, began).await;
    if outcome.is_err() {
        context.stream_released.send_replace(marker);
    }
    outcome
}

/// Turns the reply into what really happened: once the RENAME was sent only the tables can tell. A
/// RENAME whose client is gone may still be waiting on the server, so its session is ended first.
async fn settle(
    context: &Context,
    (side, lock_holder): (&mut Session, u64),
    result: Attempt<Duration>,
    began: Instant,
) -> Attempt<f64> {
    let held = match result {
        Ok(held) => held,
        Err(Failed::NotYet(why)) => return Err(Failed::NotYet(why)),
        Err(Failed::Ends(error @ (Error::Stopped | Error::Superseded))) => return Err(error.into()),
        Err(Failed::Ends(_)) => began.elapsed(),
    };
    locks::kill_own(side, &[lock_holder]).await.doing("end the cut-over session")?;
    locks::wait_until_gone(side, &[lock_holder], SHORT).await.doing("end the cut-over session")?;
    if !context.swap_sent.load(Ordering::Acquire) && ran_out_of_time(&result) {
        return Err(Failed::not_yet("the lock budget was spent before the swap"));
    }
    match confirm::look(&context.plan, side).await? {
        Bearer::Shadow => Ok(held.as_secs_f64()),
        Bearer::Source => match result_error(result) {
            Some(error) => Err(Failed::Ends(error)),
            None => Err(Failed::Ends(Error::BrokenInvariant { what: "a swap that left no trace" })),
        },
    }
}

/// Whether a statement under the lock was given up when the budget was spent.
fn ran_out_of_time(result: &Attempt<Duration>) -> bool {
    matches!(result, Err(Failed::Ends(Error::Query { source, .. }))
        if source.class() == ErrorClass::TimedOut)
}

fn result_error(result: Attempt<Duration>) -> Option<Error> {
    match result {
        Err(Failed::Ends(error)) => Some(error),
        Ok(_) | Err(Failed::NotYet(_)) => None,
    }
}

async fn lock_and_swap(
    context: &Context,
    (session, side, watcher): (&mut Session, &mut Session, &mut Session),
    (marker, spaces): (u64, Option<Spaces>),
    deadline: Deadline,
) -> Attempt<Duration> {
    let began = Instant::now();
    lock(context, session, (side, watcher), deadline).await?;
    hit("cutover.locked");
    check_fence(context, session).await?;
    markers::send_locked(context, session, marker, deadline.left()).await?;
    hit("cutover.marked");
    if !markers::wait(context, marker, deadline).await? {
        return Err(Failed::not_yet("the stream did not deliver the marker in time"));
    }
    drain(context, session, deadline).await?;
    raise_under_lock(context, (session, side), deadline).await?;
    hit("cutover.drained");
    confirm_under_lock(context, (side, watcher), spaces, deadline).await?;
    if deadline.left() < RENAME_RESERVE {
        return Err(Failed::not_yet("the lock budget was spent before the swap"));
    }
    if context.is_stopping() {
        return Err(Failed::Ends(Error::Stopped));
    }
    rename(context, (session, side), deadline).await?;
    record(context, session, began.elapsed()).await?;
    session.execute(text::UNLOCK, SHORT).await.doing("unlock the tables")?;
    hit("cutover.unlocked");
    Ok(began.elapsed())
}

/// Locks the tables within the budget: a side session ends the wait when it is over.
async fn lock(
    context: &Context,
    session: &mut Session,
    (side, watcher): (&mut Session, &mut Session),
    deadline: Deadline,
) -> Attempt<()> {
    let id = session.connection_id();
    let other_uniques = matches!(context.plan.shape, SyncShape::DeleteInsert(_));
    let tables = &context.plan.tables;
    let statement = match other_uniques {
        true => text::lock_with_aliases(&tables.source, &tables.shadow, &tables.control),
        false => text::lock(&tables.source, &tables.shadow, &tables.control),
    };
    hit("cutover.lock.send");
    let wait = deadline.left() / 2;
    let mut who = None;
    let locked = {
        let mut locking = std::pin::pin!(execute_within(session, side, &statement, wait));
        // Asked while the lock is waited for: afterwards those who waited for us have the tables.
        let mut looking = std::pin::pin!(async {
            tokio::time::sleep(wait / 2).await;
            holder(context, watcher, id).await
        });
        loop {
            tokio::select! {
                locked = &mut locking => break locked,
                found = &mut looking, if who.is_none() => who = Some(found),
            }
        }
    };
    match locked {
        Ok(()) => Ok(()),
        Err(error) if is_given_up(&error) => {
            let who = who.unwrap_or_else(|| Ok("a session that was not found".into()))?;
            let said =
                |who: &str| format!("the table could not be locked in time because of {who}");
            Err(Failed::not_yet(who.said(said)))
        }
        Err(source) => Err(Error::Query { doing: "lock the tables", source }.into()),
    }
}

/// Makes sure under the lock that both tables are the ones we know: by their table spaces as read before
/// the lock, or else by their ids, which may wait for other sessions' DDL, but not beyond the budget.
async fn confirm_under_lock(
    context: &Context,
    (side, watcher): (&mut Session, &mut Session),
    spaces: Option<Spaces>,
    deadline: Deadline,
) -> Attempt<()> {
    let plan = &context.plan;
    if spaces.is_some() && spaces == confirm::spaces(plan, side).await? {
        return Ok(confirm::expect_free_name(plan, side).await?);
    }
    let id = watcher.connection_id();
    let limit = deadline.left().saturating_sub(RENAME_RESERVE);
    told_apart(end_after(limit, (side, id), confirm::expect_unchanged(plan, watcher)).await)
}

/// The server waited for other sessions' DDL when it was asked for the tables: there is a later attempt.
fn told_apart(confirmed: Result<()>) -> Attempt<()> {
    match confirmed {
        Err(Error::Query { source, .. }) if is_given_up(&source) => Err(Failed::not_yet(
            "DDL waits for its turn on another table of the server, and the server cannot tell which \
             tables are ours before that ends",
        )),
        confirmed => Ok(confirmed?),
    }
}

/// Runs a statement that may wait for locks, for `limit` at the longest.
async fn execute_within(
    session: &mut Session,
    side: &mut Session,
    statement: &str,
    limit: Duration,
) -> std::result::Result<(), crate::mysql::error::Error> {
    let id = session.connection_id();
    end_after(limit, (side, id), session.execute(statement, SHORT)).await.map(drop)
}

/// When session `id` works for longer than `limit` the side session ends its statement. What is returned
/// is always the statement's own reply, which tells whether it was done: where it cannot be ended, the
/// session's own lock wait or the time limit brings one.
async fn end_after<T>(
    limit: Duration,
    (side, id): (&mut Session, u64),
    working: impl Future<Output = T>,
) -> T {
    let mut working = std::pin::pin!(working);
    if let Ok(done) = tokio::time::timeout(limit, &mut working).await {
        return done;
    }
    if let Err(error) = locks::kill_query(side, id).await {
        tracing::warn!(%error, "a statement that waits for locks could not be ended");
    }
    working.await
}

/// Whether the server gave a statement up, for a lock or on our request, and did nothing of it.
fn is_given_up(error: &crate::mysql::error::Error) -> bool {
    matches!(error.class(), ErrorClass::Retryable | ErrorClass::Interrupted)
}

/// Who has one of the tables: a reader of the shadow table blocks as one of the source does.
async fn holder(context: &Context, side: &mut Session, own: u64) -> Result<Obstacle> {
    let tables = &context.plan.tables;
    for table in [&tables.source, &tables.shadow, &tables.control] {
        let found = locks::blockers(side, table).await.doing("find who uses the table")?;
        let holds =
            |blocker: &&locks::Blocker| blocker.connection_id != own && blocker.state == "GRANTED";
        if let Some(blocker) = found.iter().find(holds) {
            let words = format!("{blocker} on {table}");
            let blocker = Blocker::session(blocker, table.to_string(), Timestamp::now());
            return Ok(Obstacle { words, blocker: Some(blocker) });
        }
    }
    Ok("a session that is gone by now".into())
}

async fn check_fence(context: &Context, session: &mut Session) -> Attempt<()> {
    let control = &context.plan.tables.control;
    Ok(control::check_fence(session, control, context.epoch).await?)
}

/// Makes the rest equal in this session, and compares what was not compared yet.
async fn drain(context: &Context, session: &mut Session, deadline: Deadline) -> Attempt<()> {
    for lane in 0..context.plan.lanes() {
        while !deadline.is_over() {
            let batch = context.flow().backlog.take_batch(lane, KEYS_AT_A_TIME);
            if batch.is_empty() {
                break;
            }
            let synced = sync_locked(context, session, (lane, deadline), batch).await;
            let mut flow = context.flow();
            match &synced {
                Ok(keys) => {
                    flow.backlog.commit_batch(lane);
                    context.meter.add_keys(*keys);
                }
                Err(_) => flow.backlog.return_batch(lane),
            }
            drop(flow);
            synced?;
        }
    }
    let (left, dirty) = {
        let flow = context.flow();
        (flow.backlog.queued() + flow.backlog.held(), flow.backlog.dirty_keys())
    };
    if left > 0 {
        return Err(Failed::not_yet(format!(
            "{left} keys were left when the lock budget was spent"
        )));
    }
    if !verify::equal_under_lock(context, session, &dirty, deadline).await? {
        return Err(Failed::not_yet("rows differed under the lock and are compared again"));
    }
    Ok(())
}

/// Makes one batch equal under the lock; returns the number of keys.
async fn sync_locked(
    context: &Context,
    session: &mut Session,
    (lane, deadline): (usize, Deadline),
    mut batch: Vec<crate::schema::key::Key>,
) -> Attempt<u64> {
    for _ in 0..20 {
        let error = match sync_keys(context, session, &batch, deadline.left()).await {
            Ok(()) => {
                session.commit(deadline.left()).await.doing("commit under the lock")?;
                return Ok(batch.len() as u64);
            }
            Err(error) => error,
        };
        if !is_duplicate(&error) {
            return Err(error.into());
        }
        session.roll_back(deadline.left()).await.doing("roll back under the lock")?;
        match conflict::look(context, session, Scope::Keys(&batch)).await? {
            conflict::Finding::InTheWay(keys) => {
                context.flow().backlog.extend_batch(lane, &keys);
                batch.extend(keys);
                batch.sort();
            }
            conflict::Finding::Duplicate(refusal) => return Err(Error::Blocked { refusal }.into()),
            conflict::Finding::Nothing => break,
        }
    }
    Err(Failed::not_yet("a unique index could not be satisfied under the lock"))
}

fn is_duplicate(error: &Error) -> bool {
    matches!(error, Error::Query { source, .. }
        if matches!(source.class(), ErrorClass::DuplicateKey { .. }))
}

/// The swap itself. From the moment it is sent, panic and stop come too late. It waits for nobody who
/// uses the tables, but for a backup's lock it may: the budget ends that wait.
async fn rename(
    context: &Context,
    (session, side): (&mut Session, &mut Session),
    deadline: Deadline,
) -> Attempt<()> {
    let tables = &context.plan.tables;
    let statement = text::rename(&tables.source, &tables.old, &tables.shadow);
    context.swap_sent.store(true, Ordering::Release);
    hit("cutover.rename.send");
    let renamed = execute_within(session, side, &statement, deadline.left()).await;
    hit("cutover.renamed");
    if let Err(error) = &renamed
        && is_given_up(error)
    {
        context.swap_sent.store(false, Ordering::Release);
        return Err(Failed::not_yet("the RENAME had to wait, perhaps for a running backup"));
    }
    renamed.doing("swap the tables")?;
    Ok(())
}

/// Records the swap while the control table is still locked.
async fn record(context: &Context, session: &mut Session, held: Duration) -> Result<()> {
    let mut state = context.state().await;
    state.phase = PhaseKind::CleanUp;
    state.lock_seconds = held.as_secs_f64();
    let control = &context.plan.tables.control;
    let row = crate::sql::control::put(
        control,
        crate::sql::control::Kind::State,
        0,
        context.epoch,
        &control::json(&state),
    );
    session.execute(&row, SHORT).await.doing("record the swap")?;
    session.commit(SHORT).await.doing("record the swap")?;
    hit("cutover.recorded");
    Ok(())
}

/// Raises the counter while nobody waits for us; a reader of the shadow table may be in the way.
async fn raise_before_lock(context: &Context, side: &mut Session) -> Attempt<()> {
    let Some(raise) = missing_auto_increment(context, side).await? else { return Ok(()) };
    match side.execute(&raise, SHORT).await {
        Err(error) if error.class() == ErrorClass::Retryable => {
            let who = holder(context, side, side.connection_id()).await?;
            let shadow = &context.plan.tables.shadow;
            Err(Failed::not_yet(
                who.said(|who| format!("AUTO_INCREMENT of {shadow} waits for {who}")),
            ))
        }
        raised => Ok(raised.map(drop).doing("raise AUTO_INCREMENT")?),
    }
}

/// Raises the counter under the lock, where it is nearly always done already.
async fn raise_under_lock(
    context: &Context,
    (session, side): (&mut Session, &mut Session),
    deadline: Deadline,
) -> Attempt<()> {
    let Some(raise) = missing_auto_increment(context, session).await? else { return Ok(()) };
    match execute_within(session, side, &raise, deadline.left()).await {
        Err(error) if is_given_up(&error) => Err(Failed::not_yet(
            "AUTO_INCREMENT could not be raised in time, perhaps for a running backup",
        )),
        raised => Ok(raised.doing("raise AUTO_INCREMENT")?),
    }
}

/// The statement that gives the shadow table at least the counter of the source table, which is higher
/// after rows at the end were deleted: ids are never used again.
async fn missing_auto_increment(
    context: &Context,
    session: &mut Session,
) -> Result<Option<String>> {
    if !context.plan.auto_increment {
        return Ok(None);
    }
    let tables = &context.plan.tables;
    let source = confirm::auto_increment(session, &tables.source).await?;
    let shadow = confirm::auto_increment(session, &tables.shadow).await?;
    Ok(source
        .filter(|source| shadow.is_some_and(|shadow| shadow < *source))
        .map(|source| text::set_auto_increment(&tables.shadow, source)))
}
