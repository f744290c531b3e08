//! Which alerts hold for a migration now. Pure: what was seen before, a snapshot, the time and the rules
//! in; the alerts that hold out. Who is told of them, and how often, is the desk's business.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::notice::{Kind, shown};
use super::snapshot::{Advance, Snapshot, Stage};

/// A backlog below this is none, in keys.
const SMALL_BACKLOG: u64 = 1000;

/// When something is worth an alert. A duration of zero, or no attempts, turns a rule off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How far the worker or a replica may be behind.
    pub lag: Duration,
    /// How long the application's load may hold the migration.
    pub load: Duration,
    /// How long nothing may move.
    pub stuck: Duration,
    /// How long a pause may last.
    pub long_pause: Duration,
    /// Cut-over attempts that may fail.
    pub cut_over_attempts: u64,
    /// How long the backlog may stay above where it was after the row copy.
    pub not_converging: Duration,
    /// For how long at least the server has to keep what is needed.
    pub retention: Duration,
    /// After this time an alert that still holds is told again.
    pub repeat_after: Duration,
    /// An alert is over when it did not hold for so long: what comes and goes is one alert.
    pub settle: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        let minutes = |count: u64| Duration::from_secs(60 * count);
        Self {
            lag: minutes(1),
            load: minutes(10),
            stuck: minutes(15),
            long_pause: minutes(60),
            cut_over_attempts: 5,
            not_converging: minutes(10),
            retention: minutes(60),
            repeat_after: minutes(240),
            settle: minutes(1),
        }
    }
}

/// What was seen of a migration before.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Watch {
    /// How far it had come, and since when it has been there.
    advance: Option<(Advance, Timestamp)>,
    /// The smallest backlog since the row copy, and when it was seen.
    mark: Option<(u64, Timestamp)>,
    /// Since when it had been stuck, and its backlog had grown, when that was told by a process before.
    told: (Option<Timestamp>, Option<Timestamp>),
}

/// An alert that holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Holding {
    /// Which one.
    pub kind: Kind,
    /// What is the matter.
    pub message: String,
    /// Since when.
    pub since: Timestamp,
}

impl Watch {
    /// What is known when another process told these alerts: they hold until the opposite is seen.
    pub fn after(stuck: Option<Timestamp>, not_converging: Option<Timestamp>) -> Self {
        Self { told: (stuck, not_converging), ..Self::default() }
    }

    /// Since when nothing has moved.
    fn still_since(&mut self, snapshot: &Snapshot, now: Timestamp) -> Timestamp {
        match &self.advance {
            Some((known, since)) if *known == snapshot.advance => *since,
            before => {
                let told = self.told.0.filter(|_| before.is_none());
                let since = told.unwrap_or(now);
                self.advance = Some((snapshot.advance.clone(), since));
                since
            }
        }
    }

    /// Since when the backlog has been above what it was then, and what it was.
    fn above_since(&mut self, backlog: u64, now: Timestamp) -> (u64, Timestamp) {
        match self.mark {
            Some((low, since)) if backlog > low.max(SMALL_BACKLOG) => (low, since),
            before => {
                let told = self.told.1.filter(|_| before.is_none() && backlog > SMALL_BACKLOG);
                *self.mark.insert((backlog, told.unwrap_or(now)))
            }
        }
    }
}

/// The alerts that hold.
pub fn judge(
    watch: &mut Watch,
    snapshot: &Snapshot,
    now: Timestamp,
    rules: &Rules,
) -> Vec<Holding> {
    let error = (snapshot.stage == Stage::Retrying).then(|| Holding {
        kind: Kind::Error,
        message: snapshot.message.clone(),
        since: snapshot.since,
    });
    if !snapshot.stage.is_under_way() {
        // A new attempt begins to be watched anew; what a process before told is not forgotten.
        (watch.advance, watch.mark) = (None, None);
        return error.into_iter().collect();
    }
    let stuck = stuck(watch, snapshot, now, rules);
    let not_converging = not_converging(watch, snapshot, now, rules);
    watch.told = (None, None);
    let paused = long_pause(snapshot, now, rules);
    let others = [
        lag(snapshot, now, rules),
        load(snapshot, now, rules),
        cut_over(snapshot, now, rules),
        retention(snapshot, now, rules),
    ];
    [stuck, not_converging, paused].into_iter().chain(others).flatten().collect()
}

/// Whether a time is over; one of zero never is.
fn is_over(since: Timestamp, limit: Duration, now: Timestamp) -> bool {
    !limit.is_zero()
        && SignedDuration::try_from(limit).is_ok_and(|limit| now.duration_since(since) >= limit)
}

fn holding(kind: Kind, since: Timestamp, message: String) -> Option<Holding> {
    Some(Holding { kind, message, since })
}

fn long_pause(snapshot: &Snapshot, now: Timestamp, rules: &Rules) -> Option<Holding> {
    let since = snapshot.paused_since.filter(|since| is_over(*since, rules.long_pause, now))?;
    let message = format!("paused since {}; the server keeps binlogs meanwhile", shown(since));
    holding(Kind::LongPause, since, message)
}

fn lag(snapshot: &Snapshot, now: Timestamp, rules: &Rules) -> Option<Holding> {
    let lag = snapshot.lag.filter(|lag| !rules.lag.is_zero() && *lag >= rules.lag)?;
    let message = format!("{} s behind; the limit is {} s", lag.as_secs(), rules.lag.as_secs());
    holding(Kind::Lag, now, message)
}

fn load(snapshot: &Snapshot, now: Timestamp, rules: &Rules) -> Option<Holding> {
    if snapshot.paused_since.is_some() {
        return None;
    }
    let since = snapshot.held.iter().map(|held| held.since).min()?;
    let words: Vec<&str> = snapshot.held.iter().map(|held| held.words.as_str()).collect();
    let message = format!("held back since {}: {}", shown(since), words.join(", "));
    is_over(since, rules.load, now).then_some(())?;
    holding(Kind::Load, since, message)
}

/// What is paused, held, postponed or outside its hours stands still for a known reason.
fn stuck(watch: &mut Watch, snapshot: &Snapshot, now: Timestamp, rules: &Rules) -> Option<Holding> {
    let excused = snapshot.stage == Stage::Postponed
        || snapshot.paused_since.is_some()
        || snapshot.rests
        || !snapshot.held.is_empty();
    if excused {
        watch.advance = None;
        return None;
    }
    let since = watch.still_since(snapshot, now);
    is_over(since, rules.stuck, now).then_some(())?;
    let why = match snapshot.waits_for.as_str() {
        "" => String::new(),
        waits_for => format!("; it waits for {waits_for}"),
    };
    let message = format!("no progress in {} since {}{why}", snapshot.phase, shown(since));
    holding(Kind::Stuck, since, message)
}

fn cut_over(snapshot: &Snapshot, now: Timestamp, rules: &Rules) -> Option<Holding> {
    let limit = rules.cut_over_attempts;
    (limit > 0 && snapshot.cut_over_attempts >= limit && !snapshot.cut_over_error.is_empty())
        .then_some(())?;
    let attempts = snapshot.cut_over_attempts;
    let message = format!("{attempts} cut-over attempts did not swap: {}", snapshot.cut_over_error);
    holding(Kind::CutOver, now, message)
}

/// Counts after the row copy: before, a backlog may wait for its rows.
fn not_converging(
    watch: &mut Watch,
    snapshot: &Snapshot,
    now: Timestamp,
    rules: &Rules,
) -> Option<Holding> {
    if !["CatchUp", "Verify", "AwaitCutOver"].contains(&snapshot.phase.as_str()) {
        watch.mark = None;
        return None;
    }
    let (low, since) = watch.above_since(snapshot.backlog, now);
    is_over(since, rules.not_converging, now).then_some(())?;
    (snapshot.backlog > SMALL_BACKLOG).then_some(())?;
    let backlog = snapshot.backlog;
    let message = format!(
        "{backlog} keys wait to be applied, after {low} at {}: writes arrive faster than that",
        shown(since)
    );
    holding(Kind::NotConverging, since, message)
}

fn retention(snapshot: &Snapshot, now: Timestamp, rules: &Rules) -> Option<Holding> {
    let left = snapshot.retention.filter(|left| *left < rules.retention)?;
    let message = format!("the server may purge a needed binlog in {} s", left.as_secs());
    holding(Kind::Retention, now, message)
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
