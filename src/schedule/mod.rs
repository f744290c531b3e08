//! When something is allowed: spans of time that recur by a cron expression in a time zone, or happen
//! once. Windows and an instant in, open or closed and until when out. Pure; the time zones are in the
//! program. It knows neither migrations nor manifests.

mod recurrence;
#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::{Timestamp, Zoned};

use self::recurrence::Recurrence;

/// Windows that are merged at the most to find the end of what is open.
const MERGES: u32 = 64;

/// A span of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Recurring(Box<Recurrence>),
    Once { from: Zoned, until: Timestamp },
}

/// Why a window cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// The cron expression is none, or names no day that ever comes.
    #[error("is no cron expression of five fields that ever comes true: {why}")]
    ReadCron {
        /// What is wrong with it.
        why: String,
    },
    /// Nobody knows the time zone.
    #[error("is no time zone of the IANA database")]
    FindZone,
    /// The window is never open.
    #[error("is over before it begins")]
    Empty,
    /// The text is no point in time.
    #[error("is no point in time with an offset")]
    ReadInstant,
}

/// How windows stand at an instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// One of them is open.
    Open {
        /// When all that overlap or adjoin are over; earlier than that only when they are very many, and
        /// then still open.
        until: Timestamp,
    },
    /// None is.
    Closed {
        /// When the next one opens, in its own time zone; absent when none ever does.
        opens: Option<Zoned>,
    },
}

impl Window {
    /// Opens whenever the clocks of `zone` show what the cron expression says, for `duration`.
    ///
    /// # Errors
    ///
    /// [`WindowError`].
    pub fn recurring(cron: &str, duration: Duration, zone: &str) -> Result<Self, WindowError> {
        let recurrence = Recurrence::new(cron, duration, zone)?;
        Ok(Self(Kind::Recurring(Box::new(recurrence))))
    }

    /// Is open once, between two points in time as RFC 3339 writes them.
    ///
    /// # Errors
    ///
    /// [`WindowError`].
    pub fn once(from: &str, until: &str) -> Result<Self, WindowError> {
        let (from, until) = (instant(from)?, instant(until)?);
        if from.timestamp() >= until.timestamp() {
            return Err(WindowError::Empty);
        }
        Ok(Self(Kind::Once { from, until: until.timestamp() }))
    }

    /// Whether it is open.
    pub fn is_open(&self, at: Timestamp) -> bool {
        self.end(at).is_some()
    }

    /// When it closes, if it is open; of several that overlap by themselves the last one.
    fn end(&self, at: Timestamp) -> Option<Timestamp> {
        match &self.0 {
            Kind::Recurring(recurrence) => recurrence.end(at),
            Kind::Once { from, until } => (from.timestamp() <= at && at < *until).then_some(*until),
        }
    }

    /// When it opens next.
    fn opens(&self, after: Timestamp) -> Option<Zoned> {
        match &self.0 {
            Kind::Recurring(recurrence) => recurrence.next(after),
            Kind::Once { from, .. } => (from.timestamp() > after).then(|| from.clone()),
        }
    }
}

/// How these windows stand, taken together. Without any it is closed for ever.
pub fn state(windows: &[Window], at: Timestamp) -> State {
    let end = |at: Timestamp| windows.iter().filter_map(|window| window.end(at)).max();
    let Some(mut until) = end(at) else {
        let opens = windows.iter().filter_map(|window| window.opens(at));
        return State::Closed { opens: opens.min_by_key(Zoned::timestamp) };
    };
    for _ in 0..MERGES {
        match end(until) {
            Some(later) => until = later,
            None => break,
        }
    }
    State::Open { until }
}

/// Reads a point in time; its offset is kept for showing it.
fn instant(text: &str) -> Result<Zoned, WindowError> {
    let instant: Timestamp = text.parse().map_err(|_| WindowError::ReadInstant)?;
    let zone = jiff::fmt::temporal::Pieces::parse(text).ok().and_then(|pieces| {
        let offset = pieces.to_numeric_offset().filter(|offset| !offset.is_zero());
        offset.map(jiff::tz::TimeZone::fixed)
    });
    Ok(instant.to_zoned(zone.unwrap_or(jiff::tz::TimeZone::UTC)))
}
