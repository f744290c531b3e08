//! What is worth a notice of what holds: each alert is told when it begins, when it is over, and now and
//! then between; each turn of a migration's life once. Pure; what was told is a small memory that
//! survives the process, as text.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::notice::{Kind, Moment, Notice, shown};
use super::rules::{Holding, Rules, Watch};
use super::snapshot::{Snapshot, Stage};

/// A turn that is older when a migration is seen for the first time is not told any more.
const STALE: Duration = Duration::from_secs(600);

/// What was told of a migration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// The last turn of its life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last: Option<Kind>,
    /// The alerts that began and are not over.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    alerts: BTreeMap<Kind, Told>,
}

/// What was told of an alert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Told {
    /// Since when it holds, in seconds since 1970.
    since: i64,
    /// When it was told last, in the same.
    told: i64,
    /// Since when it has not held; it may come back.
    #[serde(skip)]
    gone: Option<Timestamp>,
}

impl Memory {
    /// Of a migration that nobody has told of: what happened long ago is no news.
    pub fn first(snapshot: &Snapshot, now: Timestamp) -> Self {
        let last = turn(snapshot.stage).filter(|_| has_passed(snapshot.since, STALE, now));
        Self { last, ..Self::default() }
    }

    /// Of the text in which it was kept; `None` when it is not such a text.
    pub fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// As text, below 700 bytes.
    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What the rules have to know of what was told.
    pub fn watch(&self) -> Watch {
        let since = |kind: Kind| {
            let told = self.alerts.get(&kind)?;
            Timestamp::from_second(told.since).ok()
        };
        Watch::after(since(Kind::Stuck), since(Kind::NotConverging))
    }
}

/// The notices of this moment; they count as told from then on.
pub fn tell(
    memory: &mut Memory,
    snapshot: &Snapshot,
    holding: &[Holding],
    now: Timestamp,
    rules: &Rules,
) -> Vec<Notice> {
    let mut notices: Vec<Notice> = turn_of_life(memory, snapshot, now).into_iter().collect();
    let is_over = matches!(
        snapshot.stage,
        Stage::Succeeded | Stage::Failed | Stage::Panicked | Stage::Aborted | Stage::Leaving
    );
    if is_over {
        // The end says it all: nobody has to hear that a failed migration is no longer behind.
        memory.alerts.clear();
        return notices;
    }
    for one in holding {
        notices.extend(of_holding(memory, snapshot, one, now, rules));
    }
    notices.extend(of_gone(memory, snapshot, holding, now, rules));
    notices
}

/// The kind that tells a stage.
fn turn(stage: Stage) -> Option<Kind> {
    match stage {
        Stage::Pending | Stage::Retrying | Stage::Leaving => None,
        Stage::Working => Some(Kind::Started),
        Stage::Postponed => Some(Kind::Postponed),
        Stage::Succeeded => Some(Kind::Succeeded),
        Stage::Failed => Some(Kind::Failed),
        Stage::Panicked => Some(Kind::Panicked),
        Stage::Aborted => Some(Kind::Aborted),
    }
}

fn turn_of_life(memory: &mut Memory, snapshot: &Snapshot, now: Timestamp) -> Option<Notice> {
    let kind = turn(snapshot.stage)?;
    let goes_on = kind == Kind::Started && memory.last == Some(Kind::Postponed);
    if memory.last == Some(kind) || goes_on {
        return None;
    }
    memory.last = Some(kind);
    let message = match kind {
        Kind::Started => format!("the migration of {} has begun", snapshot.table),
        _ => snapshot.message.clone(),
    };
    Some(notice(snapshot, kind, (Moment::Happened, message, snapshot.since), now))
}

fn of_holding(
    memory: &mut Memory,
    snapshot: &Snapshot,
    one: &Holding,
    now: Timestamp,
    rules: &Rules,
) -> Option<Notice> {
    let told = |moment| notice(snapshot, one.kind, (moment, one.message.clone(), one.since), now);
    match memory.alerts.get_mut(&one.kind) {
        None => {
            let (since, at) = (one.since.as_second(), now.as_second());
            memory.alerts.insert(one.kind, Told { since, told: at, gone: None });
            Some(told(Moment::Begins))
        }
        Some(known) => {
            known.gone = None;
            let last = Timestamp::from_second(known.told).unwrap_or(now);
            let again = !rules.repeat_after.is_zero() && has_passed(last, rules.repeat_after, now);
            if !again {
                return None;
            }
            known.told = now.as_second();
            Some(told(Moment::Continues))
        }
    }
}

/// The alerts that have not held for long enough to be over.
fn of_gone(
    memory: &mut Memory,
    snapshot: &Snapshot,
    holding: &[Holding],
    now: Timestamp,
    rules: &Rules,
) -> Vec<Notice> {
    let mut notices = Vec::new();
    memory.alerts.retain(|kind, told| {
        if holding.iter().any(|one| one.kind == *kind) {
            return true;
        }
        let gone = *told.gone.get_or_insert(now);
        if !has_passed(gone, rules.settle, now) {
            return true;
        }
        let since = Timestamp::from_second(told.since).unwrap_or(now);
        let message = format!("over since {}; it began {}", shown(gone), shown(since));
        notices.push(notice(snapshot, *kind, (Moment::Ends, message, since), now));
        false
    });
    notices
}

fn has_passed(since: Timestamp, time: Duration, now: Timestamp) -> bool {
    SignedDuration::try_from(time).is_ok_and(|time| now.duration_since(since) >= time)
}

fn notice(
    snapshot: &Snapshot,
    kind: Kind,
    (moment, message, since): (Moment, String, Timestamp),
    at: Timestamp,
) -> Notice {
    Notice {
        kind,
        moment,
        migration: snapshot.migration.clone(),
        table: snapshot.table.clone(),
        phase: snapshot.phase.clone(),
        reason: snapshot.reason.clone(),
        message,
        since,
        at,
    }
}

#[cfg(test)]
#[path = "desk_tests.rs"]
mod tests;
