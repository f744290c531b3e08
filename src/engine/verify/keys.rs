//! Comparing single keys: those of a range that differed, and those that were written after their range
//! was verified. A key that events still touch proves nothing; it is compared again.

use std::time::Duration;

use super::{Hashes, differing, hashes};
use crate::engine::applier::BATCH_LIMIT;
use crate::engine::context::Context;
use crate::engine::error::Doing;
use crate::engine::reason::{Reason, Refusal};
use crate::engine::request::VerifyMode;
use crate::engine::{Error, Result, markers};
use crate::failpoint::hit;
use crate::mysql::session::Session;
use crate::schema::key::Key;
use crate::sql::checksum::{self, Side};

/// Keys compared by one statement.
const KEYS_AT_A_TIME: usize = 500;

/// Compares keys until each is equal, or repaired and then equal.
///
/// # Errors
///
/// What ends the attempt; a refusal when more rows differ than may be repaired.
pub(super) async fn settle(
    context: &Context,
    session: &mut Session,
    suspects: Vec<Key>,
) -> Result<()> {
    for piece in suspects.chunks(KEYS_AT_A_TIME) {
        let mut suspects = piece.to_vec();
        while !suspects.is_empty() {
            let (moving, divergent) = judge(context, session, &suspects).await?;
            if !divergent.is_empty() {
                repair(context, &divergent).await?;
            }
            suspects = moving.into_iter().chain(divergent).collect();
            if context.is_stopping() {
                return Err(Error::Stopped);
            }
        }
    }
    Ok(())
}

/// Compares keys once more. Returns those that differ but that events touched meanwhile, and those
/// that differ although no event can explain it.
async fn judge(
    context: &Context,
    session: &mut Session,
    suspects: &[Key],
) -> Result<(Vec<Key>, Vec<Key>)> {
    // Everything logged so far is received before the wait, so a key without pending events is one
    // whose rows were made equal after its last change.
    markers::pass(context, session).await?;
    while !watch_when_still(context, suspects) {
        context.lane_progress(Duration::from_millis(50)).await;
        if context.is_stopping() {
            return Err(Error::Stopped);
        }
    }
    let different = compare(context, session, suspects).await?;
    // A change that the snapshot showed and the lanes had not applied has been logged by now, so it
    // is received before this marker and leaves its trace.
    markers::pass(context, session).await?;
    let touched = context.flow().backlog.unwatch(suspects);
    Ok(different.into_iter().partition(|key| touched.contains(key)))
}

/// Starts to watch the keys if none of them has an event pending.
fn watch_when_still(context: &Context, keys: &[Key]) -> bool {
    let mut flow = context.flow();
    let still = !keys.iter().any(|key| flow.backlog.is_pending(key));
    if still {
        flow.backlog.watch(keys);
    }
    still
}

/// Compares keys in one snapshot and returns those that differ.
async fn compare(context: &Context, session: &mut Session, keys: &[Key]) -> Result<Vec<Key>> {
    session.begin_snapshot(BATCH_LIMIT).await.doing("open a snapshot")?;
    let source = list(context, session, Side::Source, keys).await?;
    let shadow = list(context, session, Side::Shadow, keys).await?;
    session.roll_back(BATCH_LIMIT).await.doing("close a snapshot")?;
    Ok(differing(&source, &shadow))
}

async fn list(
    context: &Context,
    session: &mut Session,
    side: Side,
    keys: &[Key],
) -> Result<Hashes> {
    let plan = &context.plan;
    let statement = checksum::list_keys(&plan.pair, &plan.comparison, side, keys)?;
    hashes(context, session, side, &statement).await
}

/// Queues divergent keys in their lanes, counts them, and fails beyond the limit.
async fn repair(context: &Context, keys: &[Key]) -> Result<()> {
    hit("verify.repair");
    let repaired = context.meter.add_repaired(keys.len() as u64);
    let limit = context.tuning().repair_limit;
    if repaired > limit {
        return Err(Error::Blocked { refusal: mismatch(repaired, limit) });
    }
    tracing::warn!(rows = keys.len(), "rows differ without an event that explains it: repairing");
    context.save(|state| state.rows_repaired = repaired).await?;
    let mut flow = context.flow();
    for key in keys {
        flow.backlog.repair(key.clone());
    }
    drop(flow);
    context.lane_work.notify_waiters();
    Ok(())
}

fn mismatch(repaired: u64, limit: u64) -> Refusal {
    Refusal {
        reason: Reason::ChecksumMismatch,
        message: format!(
            "{repaired} rows of the shadow table differ from the source table although no event \
             changed them, which is more than verify.repairLimit ({limit})"
        ),
        remedy:
            "look for sessions that write with sql_log_bin=0 or into the shadow table; then raise \
                 verify.repairLimit to let the rows be repaired, or abort and start again"
                .to_owned(),
    }
}

/// Compares up to `limit` of the keys that were written since their range was verified.
///
/// # Errors
///
/// As [`settle`].
pub async fn compare_dirty(context: &Context, session: &mut Session, limit: usize) -> Result<()> {
    let mut left = limit;
    while left > 0 {
        let keys = context.flow().backlog.compare_dirty(KEYS_AT_A_TIME.min(left));
        if keys.is_empty() {
            return Ok(());
        }
        if context.plan.request.verify == VerifyMode::Full {
            let different = compare(context, session, &keys).await?;
            settle(context, session, different).await?;
        }
        let mut flow = context.flow();
        flow.backlog.clean(&keys);
        flow.advance();
        left -= keys.len();
    }
    Ok(())
}

/// Compares keys under the cut-over lock, where nothing moves any more. A key that differs stays dirty
/// and is settled outside the lock.
///
/// # Errors
///
/// When the comparison fails.
pub async fn equal_under_lock(
    context: &Context,
    session: &mut Session,
    keys: &[Key],
) -> Result<bool> {
    if context.plan.request.verify == VerifyMode::Off {
        return Ok(true);
    }
    for piece in keys.chunks(KEYS_AT_A_TIME) {
        let source = list(context, session, Side::Source, piece).await?;
        let shadow = list(context, session, Side::Shadow, piece).await?;
        if !differing(&source, &shadow).is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}
