//! The lag of the control replicas: how old the oldest of our heartbeats is that one of them does not show
//! yet. Only our own clock is asked, so the clocks of the servers do not matter.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::time::timeout;

use super::judge::{Judge, Reading};
use crate::engine::Result;
use crate::engine::context::Context;
use crate::mysql::connect::{ConnectOptions, Role};
use crate::mysql::error::{Error, ErrorClass};
use crate::mysql::session::Session;
use crate::sql::control::{Kind, select};

/// Time between two looks at the replicas.
const INTERVAL: Duration = Duration::from_millis(250);
/// A replica that does not answer within this time cannot be seen.
const LIMIT: Duration = Duration::from_secs(2);
/// Heartbeats whose beginning is remembered, two a second; a greater lag is told as theirs.
const KEPT: usize = 20_000;

/// When each heartbeat was begun that the server has committed.
#[derive(Debug, Default)]
pub struct Beats(Mutex<VecDeque<(u64, Instant)>>);

impl Beats {
    /// Remembers a heartbeat.
    pub fn committed(&self, number: u64, begun: Instant) {
        let mut beats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        beats.push_back((number, begun));
        if beats.len() > KEPT {
            beats.pop_front();
        }
    }

    /// How far somebody is behind who shows this heartbeat, or none of ours.
    fn lag(&self, shown: Option<u64>, now: Instant) -> Duration {
        let beats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = beats.iter().find(|(number, _)| shown.is_none_or(|shown| *number > shown));
        missing.map_or(Duration::ZERO, |(_, begun)| now.saturating_duration_since(*begun))
    }
}

/// One control replica.
struct Replica {
    options: ConnectOptions,
    session: Option<Session>,
    judge: Judge,
    lag: Option<Duration>,
}

/// Watches until the attempt ends. What cannot be read never ends the attempt.
///
/// # Errors
///
/// None.
pub async fn watch(context: Arc<Context>) -> Result<()> {
    let options = context.plan.request.control_replicas.iter().cloned();
    let mut replicas: Vec<Replica> = options.map(Replica::of).collect();
    let (mut limit, mut known) = (None, None);
    loop {
        let wanted = context.tuning().throttle.max_lag;
        if wanted != limit {
            replicas.iter_mut().for_each(|replica| replica.judge = Judge::default());
            limit = wanted;
        }
        let looks = replicas.iter_mut().map(|replica| replica.look(&context, limit));
        let reasons: Vec<String> = join_all(looks).await.into_iter().flatten().collect();
        let lag = replicas.iter().filter_map(|replica| replica.lag).max();
        if lag != known {
            known = lag;
            context.meter.update(|progress| progress.replica_lag = lag);
        }
        let reason = match (limit, replicas.is_empty()) {
            (Some(_), true) => Some(NO_REPLICA.to_owned()),
            (Some(_), false) => (!reasons.is_empty()).then(|| reasons.join("; ")),
            (None, _) => None,
        };
        context.throttle.judge_lag(limit, reason);
        if context.pause_for(INTERVAL).await.is_err() {
            context.stop.cancelled().await;
            return Ok(());
        }
    }
}

const NO_REPLICA: &str =
    "throttle.maxLag is set, but the MigrationTarget names no controlReplicas to be watched";

impl Replica {
    fn of(options: ConnectOptions) -> Self {
        Self { options, session: None, judge: Judge::default(), lag: None }
    }

    /// Reads its lag; the reason that stands against the migration, if there is a limit.
    async fn look(&mut self, context: &Context, limit: Option<Duration>) -> Option<String> {
        // A look that is given up takes its session with it.
        let seen = timeout(LIMIT, shown(&self.options, self.session.take(), context)).await;
        let name = format!("{}:{}", self.options.host, self.options.port);
        let reading = match seen {
            Ok(Ok((session, shown))) => {
                self.session = Some(session);
                let lag = context.beats.lag(shown, Instant::now());
                self.lag = Some(lag);
                judged(&name, lag, limit?)
            }
            Ok(Err(error)) => self.is_blind(&name, &error.to_string()),
            Err(_) => self.is_blind(&name, "it did not answer in time"),
        };
        limit.and_then(|_| self.judge.hear(reading))
    }

    fn is_blind(&mut self, name: &str, why: &str) -> Reading {
        self.lag = None;
        Reading::Blind(format!("the lag of replica {name} cannot be read: {why}"))
    }
}

fn judged(name: &str, lag: Duration, limit: Duration) -> Reading {
    if lag <= limit {
        return Reading::Good;
    }
    let (lag, limit) = (lag.as_secs_f64(), limit.as_secs_f64());
    Reading::Bad(format!("replica {name} is {lag:.1} s behind, more than maxLag of {limit} s"))
}

/// The newest heartbeat of this attempt that a replica shows; none as long as the control table or this
/// attempt's rows have not arrived there.
async fn shown(
    options: &ConnectOptions,
    session: Option<Session>,
    context: &Context,
) -> std::result::Result<(Session, Option<u64>), Error> {
    let mut session = match session {
        Some(session) => session,
        None => options.connect(Role::Inspect).await?,
    };
    let query = select(&context.plan.tables.control, Kind::Heartbeat);
    let row = match session.query_optional(&query, LIMIT).await {
        Err(error) if error.class() == ErrorClass::Missing => None,
        row => row?,
    };
    let own = row.filter(|row| row.u64(1) == Some(context.epoch));
    let number = own.and_then(|row| row.string(2)?.rsplit(':').next()?.parse().ok());
    Ok((session, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_is_the_age_of_the_oldest_heartbeat_that_is_missing() {
        let (beats, start) = (Beats::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(beats.lag(None, at(9)), Duration::ZERO, "nothing was written yet");
        // One was not committed.
        for number in [1, 2, 4] {
            beats.committed(number, at(number));
        }
        let rows = [(None, 9), (Some(1), 8), (Some(2), 6), (Some(4), 0), (Some(7), 0)];
        for (shown, lag) in rows {
            assert_eq!(beats.lag(shown, at(10)), Duration::from_secs(lag), "{shown:?}");
        }
    }

    #[test]
    fn reason_names_replica_lag_and_limit() {
        let second = Duration::from_secs(1);
        assert_eq!(judged("db-1:3306", second, second), Reading::Good);
        let words = "replica db-1:3306 is 3.2 s behind, more than maxLag of 1.5 s";
        let (lag, limit) = (Duration::from_millis(3240), Duration::from_millis(1500));
        assert_eq!(judged("db-1:3306", lag, limit), Reading::Bad(words.to_owned()));
    }
}
