//! Verification: every row of both tables is compared, without a lock. A range is summed up in one
//! short snapshot of both tables; a range that differs is narrowed to keys; keys that the stream still
//! has in flight are waited for and compared again; what remains is real divergence, which is
//! repaired through the owning lane, counted and limited.
//!
//! From the start of verification every key that a lane writes is remembered until it has been
//! compared, and counts as not yet durable: a restart reads those changes again.

mod keys;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::stream::{FuturesUnordered, StreamExt};

pub use self::keys::{compare_dirty, equal_under_lock};
use super::applier::BATCH_LIMIT;
use super::chunk::ChunkSize;
use super::context::Context;
use super::error::Doing;
use super::request::VerifyMode;
use super::{Error, Result, rows};
use crate::failpoint::hit;
use crate::mysql::connect::Role;
use crate::mysql::session::Session;
use crate::schema::key::Key;
use crate::sql::checksum::{self, Side};
use crate::sql::sync;

/// Ranges compared at a time.
const THREADS: usize = 2;
/// How long one range should take.
const RANGE_TIME: Duration = Duration::from_millis(500);
/// The most rows of a range: the keys and hashes of one that differs are held here, both sides of it.
const MOST_ROWS: u64 = 20_000;
/// How often written keys are compared during a pause.
const PAUSE_POLL: Duration = Duration::from_secs(1);
/// Time between two records of how far verification came.
const SAVE_EVERY: Duration = Duration::from_secs(5);

type Bounds = (Option<Key>, Option<Key>);

/// Compares every row that is not compared yet.
///
/// # Errors
///
/// What ends the attempt; a refusal when more rows differ than may be repaired.
pub async fn run(context: &Context) -> Result<()> {
    context.flow().backlog.track_dirty();
    if context.plan.request.verify == VerifyMode::Off {
        return Ok(());
    }
    let mut walk = Walk::begin(context).await?;
    let mut running = FuturesUnordered::new();
    let mut idle: Vec<Session> = Vec::new();
    loop {
        pause_point(context, &mut walk.session).await?;
        while running.len() < THREADS {
            let Some(bounds) = walk.next(context).await? else { break };
            let session = match idle.pop() {
                Some(session) => session,
                None => context.open(Role::Verify).await?,
            };
            running.push(compare_range(context, session, bounds));
        }
        let Some(done) = running.next().await else { break };
        let (session, bounds, outcome) = done?;
        idle.push(session);
        walk.size.observe(outcome.rows, outcome.took, RANGE_TIME);
        context.meter.add_verified(outcome.rows);
        if !outcome.differing.is_empty() {
            keys::settle(context, &mut walk.session, outcome.differing).await?;
        }
        walk.finish(context, bounds).await?;
        compare_dirty(context, &mut walk.session).await?;
    }
    compare_dirty(context, &mut walk.session).await?;
    context.meter.update(|progress| progress.verified_percent = 100.0);
    Ok(())
}

/// Waits while the user pauses or a signal holds. Written keys are compared all the same: they are few,
/// and what awaits comparison must not grow for as long as a pause lasts.
///
/// # Errors
///
/// [`Error::Stopped`] when the attempt must stop, else what comparing found.
pub async fn pause_point(context: &Context, session: &mut Session) -> Result<()> {
    let mut waited = String::new();
    while let Some(why) = held_by(context) {
        context.meter.wait_for(&why);
        waited = why;
        compare_dirty(context, session).await?;
        context.pause_for(PAUSE_POLL).await?;
    }
    if !waited.is_empty() {
        context.meter.no_longer_wait_for(&waited);
    }
    context.wait_while_paused().await
}

/// What keeps the run from comparing and swapping, in words.
fn held_by(context: &Context) -> Option<String> {
    context.paused().or_else(|| context.hold())
}

/// Walks the key space in ranges and remembers up to where all of them are verified.
struct Walk {
    session: Session,
    size: ChunkSize,
    /// Where the next range begins; `None` inside when at the start, outside when all is walked.
    cursor: Option<Option<Key>>,
    /// Ranges in walking order that are compared or being compared.
    open: Vec<(Bounds, bool)>,
    saved: Instant,
}

impl Walk {
    async fn begin(context: &Context) -> Result<Self> {
        let session = context.open(Role::Verify).await?;
        let from = context.plan.stored.verified_up_to.as_deref().map(Key::from_hex).transpose()?;
        Ok(Self {
            session,
            size: ChunkSize::up_to(MOST_ROWS),
            cursor: Some(from),
            open: Vec::new(),
            saved: Instant::now(),
        })
    }

    async fn next(&mut self, context: &Context) -> Result<Option<Bounds>> {
        let Some(lower) = self.cursor.take() else { return Ok(None) };
        let pair = &context.plan.pair;
        let boundary = sync::boundary(pair, lower.as_ref(), None, self.size.rows())?;
        let row = self
            .session
            .query_optional(&boundary, BATCH_LIMIT)
            .await
            .doing("find a range's end")?;
        let upper = row.map(|row| rows::key_of(&pair.source_key, &row)).transpose()?;
        self.cursor = upper.clone().map(Some);
        let bounds = (lower, upper);
        self.open.push((bounds.clone(), false));
        Ok(Some(bounds))
    }

    /// Notes a finished range, and now and then records how far everything is verified.
    async fn finish(&mut self, context: &Context, bounds: Bounds) -> Result<()> {
        for (range, done) in &mut self.open {
            *done |= *range == bounds;
        }
        let ready = self.open.iter().take_while(|(_, done)| *done).count();
        let Some((last, _)) = self.open.drain(..ready).next_back() else { return Ok(()) };
        publish_share(context);
        if self.saved.elapsed() < SAVE_EVERY {
            return Ok(());
        }
        self.saved = Instant::now();
        hit("verify.save");
        let up_to = last.1.map(|key| key.to_hex());
        context.save(|state| state.verified_up_to = up_to).await
    }
}

fn publish_share(context: &Context) {
    let verified = context.meter.rows_verified();
    context.meter.update(|progress| {
        let all = progress.rows_copied.max(1);
        let share = super::meter::as_f64(verified) / super::meter::as_f64(all) * 100.0;
        progress.verified_percent = share.min(99.9);
    });
}

/// What comparing a range found.
struct Compared {
    rows: u64,
    took: Duration,
    differing: Vec<Key>,
}

async fn compare_range(
    context: &Context,
    mut session: Session,
    bounds: Bounds,
) -> Result<(Session, Bounds, Compared)> {
    let began = Instant::now();
    session.begin_snapshot(BATCH_LIMIT).await.doing("open a snapshot")?;
    hit("verify.range");
    let source = sum(context, &mut session, Side::Source, &bounds).await?;
    let shadow = sum(context, &mut session, Side::Shadow, &bounds).await?;
    let differing = if source == shadow {
        Vec::new()
    } else {
        let source = list(context, &mut session, Side::Source, &bounds).await?;
        let shadow = list(context, &mut session, Side::Shadow, &bounds).await?;
        differing(&source, &shadow)
    };
    session.roll_back(BATCH_LIMIT).await.doing("close a snapshot")?;
    let took = began.elapsed();
    context.rest_after(took).await;
    let compared = Compared { rows: source.rows, took, differing };
    Ok((session, bounds, compared))
}

/// The sums of a range; equal for equal rows.
#[derive(Debug, PartialEq)]
struct Sums {
    rows: u64,
    xor: Option<String>,
}

async fn sum(
    context: &Context,
    session: &mut Session,
    side: Side,
    bounds: &Bounds,
) -> Result<Sums> {
    let plan = &context.plan;
    let statement = checksum::sum_range(
        &plan.pair,
        &plan.comparison,
        side,
        (bounds.0.as_ref(), bounds.1.as_ref()),
    )?;
    let row = session.query_one(&statement, BATCH_LIMIT).await.doing("sum up a range")?;
    Ok(Sums { rows: row.u64(0).unwrap_or_default(), xor: row.string(1) })
}

type Hashes = BTreeMap<Key, String>;

async fn list(
    context: &Context,
    session: &mut Session,
    side: Side,
    bounds: &Bounds,
) -> Result<Hashes> {
    let plan = &context.plan;
    let bounds = (bounds.0.as_ref(), bounds.1.as_ref());
    let statement = checksum::list_range(&plan.pair, &plan.comparison, side, bounds)?;
    hashes(context, session, (side, BATCH_LIMIT), &statement).await
}

/// Runs a statement that lists keys and hashes.
async fn hashes(
    context: &Context,
    session: &mut Session,
    (side, limit): (Side, Duration),
    statement: &str,
) -> Result<Hashes> {
    let pair = &context.plan.pair;
    let key = match side {
        Side::Source => &pair.source_key,
        Side::Shadow => &pair.shadow_key,
    };
    let rows = session.query_rows(statement, limit).await.doing("list row hashes")?;
    let hash = Error::BrokenInvariant { what: "a row has no hash" };
    rows.iter()
        .map(|row| Some((rows::key_of(key, row), row.string(key.columns.len())?)))
        .map(|item| item.map(|(key, hash)| key.map(|key| (key, hash))))
        .collect::<Option<Result<Hashes>>>()
        .unwrap_or(Err(hash))
}

/// Keys that only one side has, or whose hashes differ.
fn differing(source: &Hashes, shadow: &Hashes) -> Vec<Key> {
    let mut keys: Vec<Key> = source
        .iter()
        .filter(|(key, hash)| shadow.get(*key) != Some(*hash))
        .map(|(key, _)| key.clone())
        .collect();
    keys.extend(shadow.keys().filter(|key| !source.contains_key(*key)).cloned());
    keys.sort();
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_extra_and_changed_rows_differ() {
        let rows = |items: &[(u8, u8)]| -> Hashes {
            items.iter().map(|(key, hash)| (Key::from_bytes(&[*key]), hash.to_string())).collect()
        };
        let found = differing(&rows(&[(1, 1), (2, 2), (3, 3)]), &rows(&[(2, 2), (3, 9), (4, 4)]));
        let found: Vec<u8> = found.iter().map(|key| key.as_bytes()[0]).collect();
        assert_eq!(found, [1, 3, 4]);
    }
}
