//! What one receiver gets of the notices, and when: only what it asked for, nothing in its quiet hours
//! but what is grave, and no more at a time than it can bear; what was held back comes as one digest.
//! Pure: the time is given.

use std::collections::{BTreeSet, VecDeque};

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::notice::{Kind, Notice, Severity};

/// Notices that are held back at most; of more the oldest of the least grave ones are only counted.
const HELD: usize = 200;
/// The time in which [`Policy::per_minute`] counts.
const MINUTE: SignedDuration = SignedDuration::from_secs(60);

/// What a receiver wants.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Nothing below this.
    pub min_severity: Severity,
    /// These kinds; all when absent.
    pub on: Option<BTreeSet<Kind>>,
    /// When it wants to be left alone.
    pub quiet: Option<QuietHours>,
    /// Messages in a minute.
    pub per_minute: usize,
}

/// When a receiver wants to be left alone, by the wall clock of a place.
#[derive(Clone, Debug, PartialEq)]
pub struct QuietHours {
    /// From this time on.
    pub from: Time,
    /// Until this time; earlier than `from` when midnight lies between.
    pub until: Time,
    /// The place.
    pub zone: TimeZone,
    /// What is told all the same.
    pub except: Option<Severity>,
}

/// What one delivery holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// The notices, oldest first.
    pub notices: Vec<Notice>,
    /// How many more there were.
    pub more: usize,
}

impl Message {
    /// The gravest of its notices.
    pub fn severity(&self) -> Severity {
        self.notices.iter().map(Notice::severity).max().unwrap_or(Severity::Info)
    }
}

/// What waits for one receiver.
#[derive(Debug, Default)]
pub struct Inbox {
    /// When the last messages were released.
    released: VecDeque<Timestamp>,
    held: Vec<Notice>,
    /// Whether some of them were there at the last release and had to stay.
    have_waited: bool,
    /// Notices that there was no room for.
    lost: usize,
}

impl QuietHours {
    /// Whether a notice of this severity has to wait.
    fn hold(&self, severity: Severity, now: Timestamp) -> bool {
        if self.except.is_some_and(|except| severity >= except) {
            return false;
        }
        let time = self.zone.to_datetime(now).time();
        if self.from <= self.until {
            (self.from..self.until).contains(&time)
        } else {
            time >= self.from || time < self.until
        }
    }
}

impl Policy {
    fn wants(&self, notice: &Notice) -> bool {
        let asked = self.on.as_ref().is_none_or(|kinds| kinds.contains(&notice.kind));
        asked && notice.severity() >= self.min_severity
    }

    fn holds(&self, notice: &Notice, now: Timestamp) -> bool {
        self.quiet.as_ref().is_some_and(|quiet| quiet.hold(notice.severity(), now))
    }
}

impl Inbox {
    /// Takes a notice in.
    pub fn put(&mut self, notice: Notice, policy: &Policy) {
        if !policy.wants(&notice) {
            return;
        }
        self.held.push(notice);
        if self.held.len() > HELD {
            let least = self.held.iter().map(Notice::severity).min();
            let oldest = self.held.iter().position(|one| Some(one.severity()) == least);
            self.held.remove(oldest.unwrap_or(0));
            self.lost += 1;
        }
    }

    /// The messages that are due: one per notice as long as the receiver can bear it, and of what had to
    /// wait for that a digest.
    pub fn release(&mut self, policy: &Policy, now: Timestamp) -> Vec<Message> {
        self.released.retain(|at| now.duration_since(*at) < MINUTE);
        let (waiting, mut due): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.held).into_iter().partition(|one| policy.holds(one, now));
        self.held = waiting;
        let room = policy.per_minute.saturating_sub(self.released.len());
        if due.is_empty() || room == 0 {
            self.held.splice(0..0, due);
            self.have_waited = !self.held.is_empty();
            return Vec::new();
        }
        let is_digest = self.lost > 0 || self.have_waited;
        let mut messages = Vec::new();
        if is_digest {
            let more = std::mem::take(&mut self.lost);
            messages.push(Message { notices: due, more });
        } else {
            let later = due.split_off(due.len().min(room));
            messages.extend(due.into_iter().map(|one| Message { notices: vec![one], more: 0 }));
            self.held.splice(0..0, later);
        }
        self.have_waited = !self.held.is_empty();
        self.released.extend(messages.iter().map(|_| now));
        messages
    }

    /// Everything that is held back, whatever the hour: for the end of the process.
    pub fn empty(&mut self) -> Option<Message> {
        let (notices, more) = (std::mem::take(&mut self.held), std::mem::take(&mut self.lost));
        (!notices.is_empty()).then_some(Message { notices, more })
    }
}

#[cfg(test)]
#[path = "inbox_tests.rs"]
mod tests;
