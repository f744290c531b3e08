//! The row copy: ranges are claimed in key order, each passes the gate after its claim and is copied by
//! one `INSERT ... SELECT` whose transaction also records the range. Several run at once.

use std::time::{Duration, Instant};

use futures_util::stream::{FuturesUnordered, StreamExt};

use super::applier::{BATCH_LIMIT, retry_delay};
use super::backlog::KeyOrder;
use super::backlog::claims::{ChunkId, Range};
use super::chunk::{ChunkSize, RateLimit};
use super::conflict::{self, Finding};
use super::context::Context;
use super::control::{self, fenced};
use super::error::Doing;
use super::intent::Tuning;
use super::meter::as_f64;
use super::throttle::Signal;
use super::{Error, Result, misfit, rows};
use crate::failpoint::hit;
use crate::mysql::connect::Role;
use crate::mysql::error::ErrorClass;
use crate::mysql::session::Session;
use crate::schema::key::Key;
use crate::sql::conflict::Scope;
use crate::sql::control::Kind;
use crate::sql::sync;

/// Finished rows that lie side by side before they are merged into one.
const MERGE_AT: usize = 32;

/// The most rows of a chunk: its transaction's undo log stays small.
const MOST_ROWS: u64 = 100_000;

/// How long the copy sleeps at most before it looks at the settings again.
const RATE_POLL: Duration = Duration::from_millis(500);

/// What became of a chunk.
enum ChunkEnd {
    Finished { rows: u64, took: Duration },
    GivenUp,
}

/// Copies everything that is not copied yet.
///
/// # Errors
///
/// What ends the attempt; [`Error::Stopped`] when it was asked to.
pub async fn run(context: &Context) -> Result<()> {
    let mut planner = context.open(Role::Copy).await?;
    let mut idle: Vec<Session> = Vec::new();
    let mut size = ChunkSize::up_to(MOST_ROWS);
    let mut rate = RateLimit::default();
    let mut running = FuturesUnordered::new();
    loop {
        let tuning = context.tuning();
        let stopping = context.is_stopping();
        let paused = context.command() == super::intent::Command::Pause;
        let (pace, mut claimed) = (context.throttle.pace(), false);
        let threads = pace.threads(tuning.copy_threads);
        let wait = due(context, &tuning, &mut rate);
        let may_claim = !stopping && !paused && wait.is_zero();
        if may_claim
            && running.len() < threads
            && let Some(chunk) = claim(context, &mut planner, size.rows()).await?
        {
            let session = match idle.pop() {
                Some(session) => session,
                None => context.open(Role::Copy).await?,
            };
            running.push(copy_chunk(context, session, chunk));
            claimed = true;
        }
        if claimed && running.len() < threads {
            continue;
        }
        match running.next().await {
            Some(done) => {
                let (session, end) = done?;
                idle.push(session);
                if let ChunkEnd::Finished { rows, took } = end {
                    size.observe(rows, took, pace.chunk_time(tuning.chunk_time));
                    rate.spend(rows);
                }
                merge(context, &mut planner, MERGE_AT).await?;
            }
            None if stopping => return Err(Error::Stopped),
            None if paused => context.wait_while_paused().await?,
            None if context.flow().backlog.claims().is_complete() => break,
            None => context.pause_for(wait.min(RATE_POLL)).await?,
        }
    }
    context.throttle.state(Signal::MaxRowsPerSecond, None);
    context.throttle.state(Signal::NiceRatio, None);
    merge(context, &mut planner, 2).await
}

/// How long no chunk may be begun, and why, for everybody to see.
fn due(context: &Context, tuning: &Tuning, rate: &mut RateLimit) -> Duration {
    let debt = rate.debt(tuning.max_rows_per_second);
    let limit = format!("maxRowsPerSecond is {}", tuning.max_rows_per_second);
    context.throttle.state(Signal::MaxRowsPerSecond, (!debt.is_zero()).then_some(limit));
    let nice = format!("niceRatio is {}", as_f64(tuning.nice_percent.into()) / 100.0);
    context.throttle.state(Signal::NiceRatio, (tuning.nice_percent > 0).then_some(nice));
    if context.hold().is_some() { debt.max(RATE_POLL) } else { debt }
}

/// Finds the next boundary on the server and claims the range in front of it.
async fn claim(context: &Context, session: &mut Session, rows: u64) -> Result<Option<ChunkId>> {
    let Some(range) = context.flow().backlog.claims().next_unclaimed() else { return Ok(None) };
    let pair = &context.plan.pair;
    let (lower, upper) = (range.lower.as_ref(), range.upper.as_ref());
    let boundary = sync::boundary(pair, lower, upper, rows.saturating_sub(1))?;
    let row = session.query_optional(&boundary, BATCH_LIMIT).await.doing("find a chunk's end")?;
    let end: Option<Key> = row.map(|row| rows::key_of(&pair.source_key, &row)).transpose()?;
    hit("chunk.bounded");
    // The range may have been extended by a chunk that was given up meanwhile: its start moved.
    let mut flow = context.flow();
    if flow.backlog.claims().next_unclaimed() != Some(range) {
        return Ok(None);
    }
    Ok(flow.backlog.claim(end))
}

/// Copies one claimed range until it is finished or given up.
async fn copy_chunk(
    context: &Context,
    mut session: Session,
    chunk: ChunkId,
) -> Result<(Session, ChunkEnd)> {
    let end = copy_range(context, &mut session, chunk).await?;
    if let ChunkEnd::Finished { took, .. } = end {
        context.rest_after(took).await;
    }
    Ok((session, end))
}

async fn copy_range(context: &Context, session: &mut Session, chunk: ChunkId) -> Result<ChunkEnd> {
    let range = context
        .flow()
        .backlog
        .claims()
        .chunk_range(chunk)
        .ok_or(Error::BrokenInvariant { what: "a chunk in flight has no range" })?;
    let row_id = context.range_row_id();
    let mut clear_first = false;
    let mut tries = 0;
    loop {
        context.gate.pass(context, session).await?;
        hit("chunk.begin");
        let began = Instant::now();
        let error = match try_range(context, session, &range, (row_id, clear_first)).await {
            Ok(rows) => {
                hit("chunk.committed");
                context.flow().backlog.finish_chunk(chunk, row_id, rows);
                context.given_up().end();
                context.lane_work.notify_waiters();
                return Ok(ChunkEnd::Finished { rows, took: began.elapsed() });
            }
            Err(error) => error,
        };
        tries += 1;
        match answer(context, &error) {
            Answer::Again => context.meter.add_retry(),
            Answer::ClearFirst => clear_first = true,
            Answer::GiveUp { index } => {
                let refused = Refused { by: index, tries };
                return give_up(context, session, (chunk, &range), refused).await;
            }
            Answer::Fail => return Err(refine(context, session, &range, error).await),
        }
        context.pause_for(retry_delay(tries)).await?;
    }
}

async fn try_range(
    context: &Context,
    session: &mut Session,
    range: &Range,
    (row_id, clear_first): (u64, bool),
) -> Result<u64> {
    let plan = &context.plan;
    let (lower, upper) = (range.lower.as_ref(), range.upper.as_ref());
    fenced(session, &plan.tables.control, context.epoch, async |session| {
        hit("chunk.fenced");
        if clear_first {
            let delete = sync::delete_range(&plan.pair, lower, upper)?;
            session.execute(&delete, BATCH_LIMIT).await.doing("clear a range")?;
        }
        let copy = sync::copy_range(&plan.pair, lower, upper)?;
        let copied = session.execute(&copy, BATCH_LIMIT).await.doing("copy a range")?;
        hit("chunk.inserted");
        let record = control::range_row(plan, context.epoch, row_id, range, copied.rows);
        session.execute(&record, control::SHORT).await.doing("record a range")?;
        hit("chunk.recorded");
        Ok(copied.rows)
    })
    .await
}

/// What to do about a chunk that failed.
enum Answer {
    Again,
    ClearFirst,
    GiveUp { index: Option<String> },
    Fail,
}

fn answer(context: &Context, error: &Error) -> Answer {
    let Error::Query { source, .. } = error else { return Answer::Fail };
    match source.class() {
        ErrorClass::Retryable => Answer::Again,
        ErrorClass::DuplicateKey { index } => {
            let own = index.as_deref() == Some(context.plan.pair.shadow_key.index.as_str());
            match (own, context.plan.order) {
                (true, KeyOrder::Server) => Answer::ClearFirst,
                // Nothing but this chunk writes into its range.
                (true, KeyOrder::Ours) => Answer::Fail,
                (false, _) => Answer::GiveUp { index },
            }
        }
        _ => Answer::Fail,
    }
}

/// Names what the user can do something about.
async fn refine(context: &Context, session: &mut Session, range: &Range, error: Error) -> Error {
    match &error {
        Error::Query { source, .. } => match source.class() {
            ErrorClass::DataDoesNotFit { column } => {
                let scope = Scope::Range(range.lower.as_ref(), range.upper.as_ref());
                let refusal = misfit::refusal(context, session, scope, column.as_deref()).await;
                Error::Blocked { refusal }
            }
            ErrorClass::DuplicateKey { .. } => {
                Error::BrokenInvariant { what: "a chunk met a row in its own range" }
            }
            _ => error,
        },
        _ => error,
    }
}

/// A chunk that another unique index refused.
struct Refused {
    by: Option<String>,
    tries: u32,
}

/// Another unique index is in the way: the claim is given up so that what it holds can clear the way.
async fn give_up(
    context: &Context,
    session: &mut Session,
    (chunk, range): (ChunkId, &Range),
    refused: Refused,
) -> Result<ChunkEnd> {
    context.flow().backlog.give_up_chunk(chunk);
    context.lane_work.notify_waiters();
    let scope = Scope::Range(range.lower.as_ref(), range.upper.as_ref());
    if let Finding::Duplicate(refusal) = conflict::look(context, session, scope).await? {
        return Err(Error::Blocked { refusal });
    }
    let unproven = conflict::unproven(context, &mut context.given_up(), refused.by.as_deref());
    if let Some(refusal) = unproven {
        return Err(Error::Blocked { refusal });
    }
    context.lane_progress(retry_delay(refused.tries) * 10).await;
    Ok(ChunkEnd::GivenUp)
}

/// Makes one row of many finished ranges that lie side by side.
async fn merge(context: &Context, session: &mut Session, least: usize) -> Result<()> {
    let candidate = context.flow().backlog.claims().merge_candidate(least);
    let Some(merge) = candidate else { return Ok(()) };
    let plan = &context.plan;
    fenced(session, &plan.tables.control, context.epoch, async |session| {
        let row = control::range_row(plan, context.epoch, merge.keep, &merge.range, merge.rows);
        session.execute(&row, control::SHORT).await.doing("merge finished ranges")?;
        for id in &merge.remove {
            let delete = crate::sql::control::delete(&plan.tables.control, Kind::Range, *id);
            session.execute(&delete, control::SHORT).await.doing("merge finished ranges")?;
        }
        hit("chunk.merging");
        Ok(())
    })
    .await?;
    hit("chunk.merged");
    context.flow().backlog.claims_mut().merged(&merge);
    Ok(())
}
