//! Comparing single keys: those of a range that differed, and those that were written after their range
//! was verified. A key that events still touch proves nothing; it is compared again.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::{Hashes, differing, hashes};
use crate::engine::applier::BATCH_LIMIT;
use crate::engine::context::{Context, Deadline};
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

/// Judges keys that differed: those that no event explains are repaired. A key that an event still has
/// to change, or changed meanwhile, proves nothing now; it becomes dirty when its lane has written it
/// and is compared again then. So is a repaired key.
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
        if context.is_stopping() {
            return Err(Error::Stopped);
        }
        let divergent = judge(context, session, piece).await?;
        if !divergent.is_empty() {
            repair(context, &divergent).await?;
        }
    }
    Ok(())
}

/// Compares keys once more and returns those that differ although no event can explain it.
async fn judge(context: &Context, session: &mut Session, suspects: &[Key]) -> Result<Vec<Key>> {
    // What was logged so far is received now, so a key without a pending event was made equal after
    // its last change.
    markers::pass(context, session).await?;
    let still = watch_still_keys(context, suspects);
    let different = compare(context, session, &still).await?;
    // A change that the snapshot showed and the lanes had not applied has been logged by now, so it
    // is received before this marker and leaves its trace.
    markers::pass(context, session).await?;
    let untouched = context.flow().backlog.unwatch();
    Ok(unexplained(different, &untouched))
}

/// Keys that differ and were watched all the while without an event. The server finds a row by any
/// spelling of its key, so a row may come back under one that was not asked for and that an event still
/// has to change; it is judged by its own name.
fn unexplained(different: Vec<Key>, untouched: &BTreeSet<Key>) -> Vec<Key> {
    different.into_iter().filter(|key| untouched.contains(key)).collect()
}

/// Starts to watch those of the keys that have no event pending.
fn watch_still_keys(context: &Context, keys: &[Key]) -> Vec<Key> {
    let mut flow = context.flow();
    let still: Vec<Key> =
        keys.iter().filter(|key| !flow.backlog.is_pending(key)).cloned().collect();
    flow.backlog.watch(&still);
    still
}

/// Compares keys in one snapshot and returns those that differ.
async fn compare(context: &Context, session: &mut Session, keys: &[Key]) -> Result<Vec<Key>> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    session.begin_snapshot(BATCH_LIMIT).await.doing("open a snapshot")?;
    let source = list(context, session, (Side::Source, BATCH_LIMIT), keys).await?;
    let shadow = list(context, session, (Side::Shadow, BATCH_LIMIT), keys).await?;
    session.roll_back(BATCH_LIMIT).await.doing("close a snapshot")?;
    Ok(differing(&source, &shadow))
}

async fn list(
    context: &Context,
    session: &mut Session,
    (side, limit): (Side, Duration),
    keys: &[Key],
) -> Result<Hashes> {
    let plan = &context.plan;
    let statement = checksum::list_keys(&plan.pair, &plan.comparison, side, keys)?;
    hashes(context, session, (side, limit), &statement).await
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
    queue_repair(context, keys);
    context.lane_work.notify_waiters();
    // No event stands for a repaired key, so a restart would not bring it back: nothing may be recorded
    // as verified before its lane has written it.
    while keys.iter().any(|key| context.flow().backlog.is_pending(key)) {
        context.lane_progress(Duration::from_millis(50)).await;
        if context.is_stopping() {
            return Err(Error::Stopped);
        }
    }
    Ok(())
}

fn queue_repair(context: &Context, keys: &[Key]) {
    let mut flow = context.flow();
    for key in keys {
        flow.backlog.repair(key.clone());
    }
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

/// Compares once the keys that were written since their range was verified, as many as there are at the
/// start: keys that are written again meanwhile wait for the next time.
///
/// # Errors
///
/// As [`settle`].
pub async fn compare_dirty(context: &Context, session: &mut Session) -> Result<()> {
    let mut left = context.flow().backlog.dirty();
    while left > 0 {
        let began = Instant::now();
        let keys = context.flow().backlog.compare_dirty(KEYS_AT_A_TIME.min(left));
        if keys.is_empty() {
            return Ok(());
        }
        if context.plan.request.verify == VerifyMode::Full {
            let different = compare(context, session, &keys).await?;
            context.pace.compared(keys.len(), began.elapsed());
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
    deadline: Deadline,
) -> Result<bool> {
    if context.plan.request.verify == VerifyMode::Off {
        return Ok(true);
    }
    for piece in keys.chunks(KEYS_AT_A_TIME) {
        let source = list(context, session, (Side::Source, deadline.left()), piece).await?;
        let shadow = list(context, session, (Side::Shadow, deadline.left()), piece).await?;
        if !differing(&source, &shadow).is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_came_back_under_another_spelling_prove_nothing() {
        let key = |text: &str| Key::from_bytes(text.as_bytes());
        let untouched = BTreeSet::from([key("A"), key("c")]);
        let different = vec![key("a"), key("b"), key("c")];
        assert_eq!(unexplained(different, &untouched), [key("c")]);
    }
}
