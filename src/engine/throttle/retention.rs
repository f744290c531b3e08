//! The head-room of the binlog's retention: how long the server still keeps what a restart of the migration
//! would have to read. When half of it is gone the copy makes way for applying.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::signal::Signal;
use crate::engine::context::Context;
use crate::engine::reason::{Reason, Refusal};
use crate::mysql::position::Position;

/// Since when the durable position is where it is.
#[derive(Debug, Default)]
pub struct Durable(Option<(Position, Instant)>);

impl Durable {
    /// Publishes the head-room, and states the reason against the copy when it gets short.
    pub fn watch(&mut self, context: &Context, position: &Position) {
        let Some(retention) = context.plan.server.binlog_retention() else { return };
        let standing = self.stands(position, Instant::now());
        let headroom = retention.saturating_sub(standing + context.meter.stream_behind());
        context.meter.update(|progress| progress.binlog_headroom = Some(headroom));
        context.throttle.state(Signal::Retention, danger(headroom, retention));
        let gives_up = context.tuning().recovery.gives_up;
        if gives_up
            && is_last_moment(headroom, retention)
            && !context.swap_sent.load(Ordering::Acquire)
        {
            context.retention_over.cancel();
        }
    }

    /// How long the position has not moved.
    fn stands(&mut self, position: &Position, now: Instant) -> Duration {
        match &self.0 {
            Some((known, since)) if known == position => now.saturating_duration_since(*since),
            _ => {
                self.0 = Some((position.clone(), now));
                Duration::ZERO
            }
        }
    }
}

/// Whether so little is left that giving up is better than being cut off.
fn is_last_moment(headroom: Duration, retention: Duration) -> bool {
    headroom < retention / 10
}

/// What the user reads when the migration has given up.
pub fn given_up() -> Refusal {
    Refusal::new(
        Reason::RetentionShort,
        "changes could not be applied for so long that the server was about to purge what the migration had \
         yet to read",
        "raise binlog_expire_logs_seconds, or end what kept changes from being applied, and start again",
    )
}

fn danger(headroom: Duration, retention: Duration) -> Option<String> {
    (headroom < retention / 2).then(|| {
        format!(
            "the server keeps its binlog for {} and may purge in {} what a restart would need: \
             nothing is copied until changes are applied; raise binlog_expire_logs_seconds, or \
             end what keeps them from being applied",
            told(retention),
            told(headroom)
        )
    })
}

/// Hours and minutes are enough here, and change seldom.
fn told(time: Duration) -> String {
    let minutes = time.as_secs() / 60;
    format!("{}h{:02}m", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mysql::position::Coordinates;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn half_of_the_retention_is_the_limit() {
        assert_eq!(danger(12 * HOUR, 24 * HOUR), None);
        let words = danger(11 * HOUR, 24 * HOUR).unwrap_or_default();
        assert!(words.contains("for 24h00m and may purge in 11h00m"), "{words}");
    }

    #[test]
    fn a_tenth_of_the_retention_is_the_last_moment() {
        assert!(!is_last_moment(HOUR, 10 * HOUR));
        assert!(is_last_moment(HOUR - Duration::from_secs(1), 10 * HOUR));
    }

    #[test]
    fn only_a_position_that_stands_still_grows_old() {
        let (mut durable, start) = (Durable::default(), Instant::now());
        let coordinates = Coordinates { file: "binlog.1".to_owned(), offset: 4 };
        let at =
            |gtids: &str| Position { coordinates: coordinates.clone(), gtids: gtids.parse().ok() };
        let uuid = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
        let (one, two) = (at(&format!("{uuid}:1-5")), at(&format!("{uuid}:1-6")));
        assert_eq!(durable.stands(&one, start), Duration::ZERO);
        assert_eq!(durable.stands(&one, start + HOUR), HOUR);
        assert_eq!(durable.stands(&two, start + 2 * HOUR), Duration::ZERO);
        assert_eq!(durable.stands(&two, start + 3 * HOUR), HOUR);
    }
}
