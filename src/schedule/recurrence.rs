//! The openings of a window that recurs, on the line of time. A cron expression speaks of clocks on the
//! wall; where those jump or go back, this says which instant is meant, so that later readings of the
//! clock never come earlier.
//!
//! | the clock on the wall | what happens |
//! |---|---|
//! | a reading is left out (spring) | it opens at the jump |
//! | a reading comes twice (autumn) | it opens at the first one only |
//! | the same, and the expression is for every hour of the day | it opens at both |
//!
//! A duration is time that passes: the clocks do not change how long a window is open.

use std::time::Duration;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp, Zoned};

use super::WindowError;

/// Where the search for a first opening begins: whatever ever comes, comes after it.
const BEGINNING: DateTime = DateTime::constant(2026, 1, 1, 0, 0, 0, 0);
/// Clock readings that are looked at in a repeated hour; a minute each.
const READINGS: u32 = 24 * 60;

/// Openings and how long each lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Recurrence {
    cron: Cron,
    duration: SignedDuration,
    zone: TimeZone,
    /// Whether the expression is for every hour of the day.
    hourly: bool,
}

impl Recurrence {
    pub(super) fn new(cron: &str, duration: Duration, zone: &str) -> Result<Self, WindowError> {
        let zone = TimeZone::get(zone).map_err(|_| WindowError::FindZone)?;
        let parser =
            CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let unread = |error: croner::errors::CronError| WindowError::ReadCron {
            why: error.to_string().trim_end_matches('.').to_owned(),
        };
        let cron = parser.parse(cron).map_err(unread)?;
        cron.find_next_occurrence(&BEGINNING, true).map_err(unread)?;
        let duration = SignedDuration::try_from(duration).map_err(|_| WindowError::Empty)?;
        if duration.is_zero() {
            return Err(WindowError::Empty);
        }
        let hourly = cron.pattern.hours.values().len() == 24;
        Ok(Self { cron, duration, zone, hourly })
    }

    /// When the last opening up to `at` closes, if that is later than `at`.
    pub(super) fn end(&self, at: Timestamp) -> Option<Timestamp> {
        let began = self.previous(at)?;
        began.checked_add(self.duration).ok().filter(|end| *end > at)
    }

    /// The next opening after `after`.
    pub(super) fn next(&self, after: Timestamp) -> Option<Zoned> {
        let after = whole(after).to_zoned(self.zone.clone());
        if self.hourly {
            return self.cron.find_next_occurrence(&after, false).ok();
        }
        let mut reading = after.datetime();
        for _ in 0..READINGS {
            reading = self.cron.find_next_occurrence(&reading, false).ok()?;
            let opening = self.instant(reading)?;
            if opening > after.timestamp() {
                return Some(opening.to_zoned(self.zone.clone()));
            }
        }
        None
    }

    /// The last opening up to `at`.
    fn previous(&self, at: Timestamp) -> Option<Timestamp> {
        let at = whole(at).to_zoned(self.zone.clone());
        if self.hourly {
            return Some(self.cron.find_previous_occurrence(&at, true).ok()?.timestamp());
        }
        let mut reading = self.cron.find_previous_occurrence(&self.latest(&at)?, true).ok()?;
        for _ in 0..READINGS {
            let opening = self.instant(reading)?;
            if opening <= at.timestamp() {
                return Some(opening);
            }
            reading = self.cron.find_previous_occurrence(&reading, false).ok()?;
        }
        None
    }

    /// A reading of the clock that is not earlier than any whose instant is up to `at`: in the second of
    /// two equal hours all readings of the first are over.
    fn latest(&self, at: &Zoned) -> Option<DateTime> {
        let reading = at.datetime();
        match self.zone.to_ambiguous_zoned(reading).offset() {
            AmbiguousOffset::Fold { before, after } if at.offset() == after => {
                reading.checked_add(after.until(before)).ok()
            }
            _ => Some(reading),
        }
    }

    /// The instant at which a reading of the clock opens.
    fn instant(&self, reading: DateTime) -> Option<Timestamp> {
        let ambiguous = self.zone.to_ambiguous_zoned(reading);
        let is_left_out = matches!(ambiguous.offset(), AmbiguousOffset::Gap { .. });
        let meant = ambiguous.compatible().ok()?.timestamp();
        if !is_left_out {
            return Some(meant);
        }
        let behind = meant.checked_add(SignedDuration::from_secs(1)).ok()?;
        self.zone.preceding(behind).next().map(|jump| jump.timestamp())
    }
}

/// The whole second that an instant lies in; openings are whole minutes.
fn whole(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second() - i64::from(at.subsec_nanosecond() < 0)).unwrap_or(at)
}
