//! The head-room of the binlog's retention: how long the server still keeps what a restart of the migration
//! would have to read. When half of it is gone the copy makes way for applying.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::signal::Signal;
use crate::engine::backlog::pending::{Mark, Pending, Seq};
use crate::engine::context::Context;
use crate::engine::reason::{Reason, Refusal};

/// Looks that are remembered; beyond it only every other one is, so that an old position costs precision
/// and no memory.
const LOOKS: usize = 10_000;

/// How far the stream has come, by numbers of transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    done: Seq,
    newest: Seq,
}

impl Reach {
    /// As it is now.
    pub fn of<M: Mark>(pending: &Pending<M>) -> Self {
        Self { done: pending.done_up_to(), newest: pending.newest() }
    }
}

/// When which transactions had arrived, as long as some of them are not done.
#[derive(Debug, Default)]
pub struct Durable(VecDeque<(Seq, Instant)>);

impl Durable {
    /// Publishes the head-room, and states the reason against the copy when it gets short.
    pub fn watch(&mut self, context: &Context, reach: Reach) {
        let Some(retention) = context.plan.server.binlog_retention() else { return };
        let age = self.age(reach, Instant::now());
        let headroom = retention.saturating_sub(age + context.meter.stream_behind());
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

    /// How long ago the oldest transaction that is not done arrived, at the most. A position that moves is
    /// as old as what it waits for.
    fn age(&mut self, reach: Reach, now: Instant) -> Duration {
        self.0.push_back((reach.newest, now));
        while self.0.get(1).is_some_and(|(newest, _)| *newest <= reach.done) {
            self.0.pop_front();
        }
        if self.0.len() > LOOKS {
            let mut number = 0;
            self.0.retain(|_| {
                number += 1;
                number % 2 == 1
            });
        }
        self.0.front().map_or(Duration::ZERO, |(_, at)| now.saturating_duration_since(*at))
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
    fn a_position_is_as_old_as_the_oldest_transaction_that_is_not_done() {
        let (mut durable, start) = (Durable::default(), Instant::now());
        let rows = [
            ("all is done", 10, 10, 0),
            ("some are not", 10, 20, 1),
            ("they stand still", 10, 20, 2),
            ("more arrives", 10, 30, 3),
            ("some get done, and older ones are left", 15, 30, 4),
            ("those of the second look are done", 20, 40, 3),
            ("the last one is under way", 39, 40, 2),
            ("all is done again", 40, 40, 0),
        ];
        for (hours, (name, done, newest, age)) in (0..).zip(rows) {
            let found = durable.age(Reach { done, newest }, start + hours * HOUR);
            assert_eq!(found, age * HOUR, "{name}");
        }
    }

    #[test]
    fn an_old_position_needs_bounded_memory() {
        let (mut durable, start) = (Durable::default(), Instant::now());
        for look in 0..100_000 {
            let age = durable.age(Reach { done: 1, newest: look.into() }, start + look * HOUR);
            assert!(age + HOUR >= look * HOUR, "{look}: {age:?}");
        }
        assert!(durable.0.len() <= LOOKS);
    }
}
