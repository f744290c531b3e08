//! The lanes: each takes batches of keys from its part of the backlog and makes the shadow table's rows
//! for them equal to the source table's rows. A batch and the position that it makes durable are one
//! transaction; a batch of which nobody knows whether it committed is simply done again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::conflict::{self, Finding, Streak};
use super::context::{Context, LaneMode};
use super::control::{self, fenced};
use super::error::Doing;
use super::plan::SyncShape;
use super::{Error, Result, misfit};
use crate::failpoint::hit;
use crate::mysql::connect::Role;
use crate::mysql::error::ErrorClass;
use crate::mysql::session::Session;
use crate::schema::key::Key;
use crate::sql::conflict::Scope;
use crate::sql::sync;

/// Keys of a batch; smaller when a batch takes longer than [`BATCH_TIME`].
const BATCH_KEYS: usize = 2000;
/// How long a batch should take: a successor repeats at most one.
const BATCH_TIME: Duration = Duration::from_millis(250);
/// Statements of a batch.
pub(super) const BATCH_LIMIT: Duration = Duration::from_secs(600);
/// So many keys may wait while a lane rests: no more than a few seconds of work.
const GATHERED: usize = 50_000;
/// How often a lane that rests looks whether it still may.
const GATHER_POLL: Duration = Duration::from_millis(20);
/// Bytes of key text in one statement.
const BATCH_BYTES: usize = 1 << 20;

/// Runs a lane until the attempt ends.
///
/// # Errors
///
/// What ends the attempt.
pub async fn run_lane(context: Arc<Context>, lane: usize) -> Result<()> {
    let mut session = context.open(Role::Lane).await?;
    let mut keys_at_a_time = BATCH_KEYS;
    loop {
        if context.stop.is_cancelled() {
            return Ok(());
        }
        let work = context.lane_work.notified();
        let batch = next_batch(&context, lane, keys_at_a_time);
        if batch.is_empty() {
            context.lane_done.notify_waiters();
            tokio::select! {
                () = work => {}
                () = context.stop.cancelled() => return Ok(()),
            }
            continue;
        }
        let (began, keys) = (Instant::now(), batch.len());
        match sync_batch(&context, &mut session, lane, batch).await {
            // Whoever asked for the end cancels the group; the lane must not end it with an error.
            Err(Error::Stopped) => {
                context.stop.cancelled().await;
                return Ok(());
            }
            done => done?,
        }
        let worked = began.elapsed();
        context.pace.applied(keys, worked);
        keys_at_a_time = adapted(keys_at_a_time, worked);
        gather(&context, worked).await;
    }
}

/// Rests for the application's sake as the row copy does, while few keys wait: a key that is written again
/// meanwhile is applied once.
async fn gather(context: &Context, worked: Duration) {
    let began = Instant::now();
    let is_enough = || {
        began.elapsed() >= context.throttle.pace().rest(worked)
            || context.flow().backlog.queued() >= GATHERED
    };
    while !is_enough() && !context.is_stopping() {
        tokio::time::sleep(GATHER_POLL).await;
    }
}

fn next_batch(context: &Context, lane: usize, limit: usize) -> Vec<Key> {
    match *context.lane_mode.borrow() {
        LaneMode::Hold => Vec::new(),
        LaneMode::Run => context.flow().backlog.take_batch(lane, limit),
    }
}

/// Halves a batch that took too long, lets one that was quick grow.
fn adapted(keys: usize, took: Duration) -> usize {
    if took > BATCH_TIME * 2 {
        (keys / 2).max(50)
    } else if took < BATCH_TIME {
        (keys * 2).min(BATCH_KEYS)
    } else {
        keys
    }
}

/// Makes the keys of the lane's running batch equal, in its own transaction, until it succeeds.
async fn sync_batch(
    context: &Context,
    session: &mut Session,
    lane: usize,
    mut batch: Vec<Key>,
) -> Result<()> {
    let mut tries = 0;
    let mut streak = Streak::default();
    loop {
        context.gate.pass(context, session).await?;
        hit("apply.begin");
        match try_batch(context, session, lane, &batch).await {
            Ok(()) => {
                hit("apply.committed");
                finish(context, lane, batch.len());
                return Ok(());
            }
            Err(error) => {
                tries += 1;
                let history = (lane, tries, &mut streak);
                batch = after_failure(context, session, history, batch, error).await?;
            }
        }
    }
}

fn finish(context: &Context, lane: usize, keys: usize) {
    let mut flow = context.flow();
    flow.backlog.commit_batch(lane);
    flow.advance();
    drop(flow);
    context.meter.add_keys(keys as u64);
    context.lane_done.notify_waiters();
}

async fn try_batch(
    context: &Context,
    session: &mut Session,
    lane: usize,
    batch: &[Key],
) -> Result<()> {
    let plan = &context.plan;
    fenced(session, &plan.tables.control, context.epoch, async |session| {
        hit("apply.fenced");
        sync_keys(context, session, batch, BATCH_LIMIT).await?;
        hit("apply.synced");
        let position = context.flow().durable_with(lane);
        if let Some(position) = position {
            let row = control::position_row(plan, context.epoch, lane as u64, &position);
            session.execute(&row, control::SHORT).await.doing("write the position")?;
        }
        hit("apply.positioned");
        Ok(())
    })
    .await
}

/// The statements of `sync(keys)` inside an open transaction, in pieces of bounded text.
pub(super) async fn sync_keys(
    context: &Context,
    session: &mut Session,
    keys: &[Key],
    limit: Duration,
) -> Result<()> {
    match &context.plan.shape {
        SyncShape::Upsert => {
            for piece in pieces(keys) {
                upsert(context, session, piece, limit).await?;
            }
        }
        SyncShape::DeleteInsert(_) => {
            let pair = &context.plan.pair;
            for piece in pieces(keys) {
                let delete = sync::delete_keys(pair, piece)?;
                session.execute(&delete, limit).await.doing("delete keys")?;
            }
            for piece in pieces(keys) {
                let insert = sync::insert_keys(pair, piece)?;
                session.execute(&insert, limit).await.doing("insert keys")?;
            }
        }
    }
    Ok(())
}

async fn upsert(
    context: &Context,
    session: &mut Session,
    keys: &[Key],
    limit: Duration,
) -> Result<()> {
    let pair = &context.plan.pair;
    let present = session
        .query_rows(&sync::select_present(pair, keys)?, limit)
        .await
        .doing("look which keys the source table has")?;
    let mut gone: std::collections::BTreeSet<&Key> = keys.iter().collect();
    for row in &present {
        gone.remove(&super::rows::key_of(&pair.source_key, row)?);
    }
    // Two spellings may be one key to the server: a key that came back under another spelling is
    // deleted first and written anew by the upsert, which covers the whole batch.
    let gone: Vec<Key> = gone.into_iter().cloned().collect();
    if !gone.is_empty() {
        let delete = sync::delete_keys(pair, &gone)?;
        session.execute(&delete, limit).await.doing("delete keys")?;
    }
    if !present.is_empty() {
        let upsert = sync::upsert_keys(pair, keys)?;
        session.execute(&upsert, limit).await.doing("write keys")?;
    }
    Ok(())
}

/// Cuts keys into pieces whose text stays bounded.
pub(super) fn pieces(keys: &[Key]) -> impl Iterator<Item = &[Key]> {
    let longest = keys.iter().map(|key| key.as_bytes().len()).max().unwrap_or(1);
    keys.chunks((BATCH_BYTES / (longest * 4 + 16)).max(1))
}

/// Decides what to do about a batch that failed: the batch to try again, or the error.
async fn after_failure(
    context: &Context,
    session: &mut Session,
    (lane, tries, streak): (usize, u32, &mut Streak),
    mut batch: Vec<Key>,
    error: Error,
) -> Result<Vec<Key>> {
    let Error::Query { source, .. } = &error else { return Err(error) };
    match source.class() {
        ErrorClass::Retryable => context.meter.add_retry(),
        ErrorClass::DuplicateKey { index } => {
            match conflict::look(context, session, Scope::Keys(&batch)).await? {
                Finding::InTheWay(keys) => {
                    context.flow().backlog.extend_batch(lane, &keys);
                    batch.extend(keys);
                    batch.sort();
                    // The way is known now; waiting would only let the source move on.
                    return Ok(batch);
                }
                Finding::Duplicate(refusal) => return Err(Error::Blocked { refusal }),
                Finding::Nothing => {
                    if let Some(refusal) = conflict::unproven(context, streak, index.as_deref()) {
                        return Err(Error::Blocked { refusal });
                    }
                    // What is in the way may be among the keys that wait behind this batch.
                    let mut flow = context.flow();
                    let waiting = flow.backlog.queued_keys(lane, BATCH_KEYS);
                    flow.backlog.extend_batch(lane, &waiting);
                    batch.extend(waiting);
                    batch.sort();
                }
            }
        }
        ErrorClass::DataDoesNotFit { column } => {
            let scope = Scope::Keys(&batch);
            let refusal = misfit::refusal(context, session, scope, column.as_deref()).await;
            return Err(Error::Blocked { refusal });
        }
        _ => return Err(error),
    }
    context.pause_for(retry_delay(tries)).await?;
    Ok(batch)
}

/// A growing pause with a spread, so that two victims of one deadlock do not meet again.
pub(super) fn retry_delay(tries: u32) -> Duration {
    let base = 5u64 << tries.min(6);
    let spread = u64::from(std::process::id()) % 7 + u64::from(tries) % 3;
    Duration::from_millis(base + spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_shrink_when_slow_and_grow_back() {
        assert_eq!(adapted(2000, Duration::from_secs(1)), 1000);
        assert_eq!(adapted(60, Duration::from_secs(1)), 50);
        assert_eq!(adapted(50, Duration::from_millis(10)), 100);
        assert_eq!(adapted(1000, Duration::from_millis(300)), 1000);
    }

    #[test]
    fn long_keys_make_small_pieces() {
        let keys: Vec<Key> = (0..100u8).map(|byte| Key::from_bytes(&[byte; 20_000])).collect();
        let sizes: Vec<usize> = pieces(&keys).map(<[Key]>::len).collect();
        assert_eq!(sizes.iter().sum::<usize>(), 100);
        assert!(sizes.iter().all(|size| *size <= 13));
    }
}
