//! The control replicas: how old the oldest of our heartbeats is that one of them does not show yet, and how
//! many transactions it has yet to apply. Only our own clock is asked for a lag, so the clocks of the
//! servers do not matter; a replica that does not get our heartbeats is believed what it says itself.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::timeout;

use super::Limits;
use super::judge::{Judge, Reading};
use super::probe::blind;
use super::signal::Signal;
use crate::engine::Result;
use crate::engine::context::Context;
use crate::engine::request::{ControlReplica, LagBy};
use crate::mysql::connect::Role;
use crate::mysql::error::{Error, ErrorClass};
use crate::mysql::health;
use crate::mysql::session::Session;
use crate::sql::control::{Kind, select};

/// Time between two looks at the replicas.
const INTERVAL: Duration = Duration::from_millis(250);
/// A replica that does not answer within this time cannot be seen.
const LIMIT: Duration = Duration::from_secs(2);
/// Heartbeats whose beginning is remembered, two a second; a greater lag is told as theirs.
const KEPT: usize = 20_000;

/// Signals about replicas.
const SIGNALS: [Signal; 3] = [Signal::CriticalLag, Signal::MaxLag, Signal::MaxApplyBacklog];
/// Commits that are looked at for their time: the one in the middle counts.
const COMMITS: usize = 5;

/// When each heartbeat was begun that the server has committed.
#[derive(Debug, Default)]
pub struct Beats(Mutex<Sent>);

#[derive(Debug, Default)]
struct Sent {
    begun: VecDeque<(u64, Instant)>,
    took: VecDeque<Duration>,
}

impl Beats {
    /// Remembers a heartbeat whose commit has returned now.
    pub fn committed(&self, number: u64, begun: Instant) {
        let mut sent = self.lock();
        sent.begun.push_back((number, begun));
        sent.took.push_back(begun.elapsed());
        if sent.begun.len() > KEPT {
            sent.begun.pop_front();
        }
        if sent.took.len() > COMMITS {
            sent.took.pop_front();
        }
    }

    /// How long the latest commits took, the one in the middle; `None` before there were enough.
    pub fn commit_latency(&self) -> Option<Duration> {
        let mut took: Vec<Duration> = self.lock().took.iter().copied().collect();
        took.sort_unstable();
        (took.len() == COMMITS).then(|| took.get(COMMITS / 2).copied()).flatten()
    }

    /// How far somebody is behind who shows this heartbeat, or none of ours.
    fn lag(&self, shown: Option<u64>, now: Instant) -> Duration {
        let sent = self.lock();
        let mut missing =
            sent.begun.iter().filter(|(number, _)| shown.is_none_or(|shown| *number > shown));
        missing.next().map_or(Duration::ZERO, |(_, begun)| now.saturating_duration_since(*begun))
    }

    fn lock(&self) -> MutexGuard<'_, Sent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was seen of a replica.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    lag: Duration,
    backlog: Option<u64>,
}

/// One control replica.
struct Replica {
    number: usize,
    place: ControlReplica,
    session: Option<Session>,
    judges: BTreeMap<Signal, Judge>,
    told: Told,
}

/// What a look at a replica brought, under the limits of that moment.
#[derive(Clone, Debug, Default)]
struct Told {
    limits: Limits,
    reasons: Vec<(Signal, String)>,
    lag: Option<Duration>,
}

/// Watches until the attempt ends, each replica at its own pace: one that does not answer keeps nobody
/// from hearing the others. What cannot be read never ends the attempt.
///
/// # Errors
///
/// None.
pub async fn watch(context: Arc<Context>) -> Result<()> {
    let places = context.plan.request.control_replicas.iter().cloned().enumerate();
    let mut looks: FuturesUnordered<_> = places
        .map(|(number, place)| look(&context, Replica::at(number, place), Duration::ZERO))
        .collect();
    let mut told: Vec<Option<Told>> = vec![None; looks.len()];
    let mut known = None;
    loop {
        let lag = told.iter().flatten().filter_map(|one| one.lag).max();
        if lag != known {
            known = lag;
            context.meter.update(|progress| progress.replica_lag = lag);
        }
        state(&context, &told);
        let goes_on = match looks.next().await {
            Some(Some(replica)) => {
                if let Some(place) = told.get_mut(replica.number) {
                    *place = Some(replica.told.clone());
                }
                looks.push(look(&context, replica, INTERVAL));
                true
            }
            Some(None) => false,
            None => context.pause_for(INTERVAL).await.is_ok(),
        };
        if !goes_on {
            context.stop.cancelled().await;
            return Ok(());
        }
    }
}

/// Looks at a replica after a pause; `None` when the attempt winds down.
async fn look(context: &Context, mut replica: Replica, pause: Duration) -> Option<Replica> {
    if !pause.is_zero() {
        context.pause_for(pause).await.ok()?;
    }
    replica.look(context, context.tuning().throttle).await;
    Some(replica)
}

/// States what follows from what is known; nothing is taken back before all were looked at under the
/// limits of now.
fn state(context: &Context, told: &[Option<Told>]) {
    let limits = context.tuning().throttle;
    for signal in SIGNALS {
        let is_of_now = |one: &&Told| signal.setting(&one.limits) == signal.setting(&limits);
        let of_now: Vec<&Told> = told.iter().flatten().filter(is_of_now).collect();
        let found: Vec<&[(Signal, String)]> =
            of_now.iter().map(|one| one.reasons.as_slice()).collect();
        let words = stated(signal, &limits, &found);
        match (of_now.len() == told.len(), found.is_empty()) {
            (true, _) => context.throttle.judge(signal, &limits, words),
            (false, false) if words.is_some() => context.throttle.state(signal, words),
            (false, _) => {}
        }
    }
}

/// The reason of a signal, from those of all replicas.
fn stated(signal: Signal, limits: &Limits, found: &[&[(Signal, String)]]) -> Option<String> {
    signal.setting(limits)?;
    if found.is_empty() {
        let word = signal.as_str();
        return Some(format!(
            "throttle.{word} is set, but the MigrationTarget names no controlReplicas to be watched"
        ));
    }
    let own = found.iter().copied().flatten().filter(|(speaker, _)| *speaker == signal);
    let words: Vec<&str> = own.map(|(_, words)| words.as_str()).collect();
    (!words.is_empty()).then(|| words.join("; "))
}

impl Replica {
    fn at(number: usize, place: ControlReplica) -> Self {
        Self { number, place, session: None, judges: BTreeMap::new(), told: Told::default() }
    }

    /// Looks at it, and remembers what stands against the migration under these limits.
    async fn look(&mut self, context: &Context, limits: Limits) {
        for signal in SIGNALS {
            if signal.setting(&limits) != signal.setting(&self.told.limits) {
                self.judges.remove(&signal);
            }
        }
        // A look that is given up takes its session with it.
        let session = self.session.take();
        let wants_backlog = limits.max_apply_backlog.is_some();
        let seen = timeout(LIMIT, see(&self.place, session, context, wants_backlog)).await;
        let seen = match seen {
            Ok(Ok((session, seen))) => {
                self.session = Some(session);
                Ok(seen)
            }
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("it did not answer in time".to_owned()),
        };
        let lag = seen.as_ref().ok().map(|seen| seen.lag);
        let name = format!("{}:{}", self.place.connect.host, self.place.connect.port);
        let mut reasons = Vec::new();
        for signal in SIGNALS {
            if signal.setting(&limits).is_none() {
                continue;
            }
            let reading = match &seen {
                Ok(seen) => judged(signal, &limits, &name, *seen),
                Err(why) => blind(signal, &format!("{name}: {why}")),
            };
            let reason = self.judges.entry(signal).or_default().hear(reading);
            reasons.extend(reason.map(|reason| (signal, reason)));
        }
        self.told = Told { limits, reasons, lag };
    }
}

fn judged(signal: Signal, limits: &Limits, name: &str, seen: Seen) -> Reading {
    let word = signal.as_str();
    let limit = match signal {
        Signal::CriticalLag => limits.critical_lag,
        _ => limits.max_lag,
    };
    let bad = match (signal, seen.backlog, limits.max_apply_backlog, limit) {
        (Signal::MaxApplyBacklog, None, ..) => {
            return blind(signal, &format!("{name} replicates without GTIDs"));
        }
        (Signal::MaxApplyBacklog, Some(backlog), Some(limit), _) => (backlog > limit).then(|| {
            format!("replica {name} has {backlog} transactions to apply, above {word} of {limit}")
        }),
        (Signal::MaxApplyBacklog, _, None, _) | (.., None) => None,
        (.., Some(limit)) => (seen.lag > limit).then(|| {
            let (lag, limit) = (seen.lag.as_secs_f64(), limit.as_secs_f64());
            format!("replica {name} is {lag:.1} s behind, more than {word} of {limit} s")
        }),
    };
    bad.map_or(Reading::Good, Reading::Bad)
}

async fn see(
    place: &ControlReplica,
    session: Option<Session>,
    context: &Context,
    wants_backlog: bool,
) -> std::result::Result<(Session, Seen), Error> {
    let mut session = match session {
        Some(session) => session,
        None => place.connect.connect(Role::Inspect).await?,
    };
    let asks = wants_backlog || place.lag_by == LagBy::Status;
    let told = match asks {
        true => health::read_replication(&mut session).await?,
        false => health::Replication::default(),
    };
    let lag = match place.lag_by {
        LagBy::Status => told.behind.ok_or(Error::ReadAnswer("its lag"))?,
        LagBy::Heartbeat => {
            let shown = shown(&mut session, context).await?;
            context.beats.lag(shown, Instant::now())
        }
    };
    Ok((session, Seen { lag, backlog: told.backlog }))
}

/// The newest heartbeat of this attempt that a replica shows; none as long as the control table or this
/// attempt's rows have not arrived there.
async fn shown(
    session: &mut Session,
    context: &Context,
) -> std::result::Result<Option<u64>, Error> {
    let query = select(&context.plan.tables.control, Kind::Heartbeat);
    let row = match session.query_optional(&query, LIMIT).await {
        Err(error) if error.class() == ErrorClass::Missing => None,
        row => row?,
    };
    let own = row.filter(|row| row.u64(1) == Some(context.epoch));
    Ok(own.and_then(|row| row.string(2)?.rsplit(':').next()?.parse().ok()))
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
    fn reasons_name_replica_value_and_limit() {
        let ms = Duration::from_millis;
        let limits = Limits {
            max_lag: Some(ms(1500)),
            critical_lag: Some(ms(60_000)),
            max_apply_backlog: Some(100),
            ..Limits::default()
        };
        let seen = |lag, backlog| Seen { lag: ms(lag), backlog };
        let rows = [
            (Signal::MaxLag, seen(1500, None), None),
            (
                Signal::MaxLag,
                seen(3240, None),
                Some("replica db-1:3306 is 3.2 s behind, more than maxLag of 1.5 s"),
            ),
            (Signal::CriticalLag, seen(3240, None), None),
            (
                Signal::CriticalLag,
                seen(61_000, None),
                Some("replica db-1:3306 is 61.0 s behind, more than criticalLag of 60 s"),
            ),
            (Signal::MaxApplyBacklog, seen(9000, Some(100)), None),
            (
                Signal::MaxApplyBacklog,
                seen(0, Some(101)),
                Some(
                    "replica db-1:3306 has 101 transactions to apply, above maxApplyBacklog of 100",
                ),
            ),
        ];
        for (signal, seen, words) in rows {
            let expected = words.map_or(Reading::Good, |words| Reading::Bad(words.to_owned()));
            assert_eq!(judged(signal, &limits, "db-1:3306", seen), expected);
        }
        let without = judged(Signal::MaxApplyBacklog, &limits, "db-1:3306", seen(0, None));
        assert!(matches!(without, Reading::Blind(_)), "{without:?}");
    }

    #[test]
    fn limits_without_replicas_are_told() {
        let limits = Limits { max_lag: Some(Duration::from_secs(1)), ..Limits::default() };
        assert!(stated(Signal::MaxLag, &limits, &[]).is_some_and(|it| it.contains("names no")));
        assert_eq!(stated(Signal::CriticalLag, &limits, &[]), None);
        assert_eq!(stated(Signal::MaxLag, &limits, &[&[]]), None);
        let one = |signal, words: &str| [(signal, words.to_owned())];
        let (a, b, c) =
            (one(Signal::MaxLag, "a"), one(Signal::CriticalLag, "b"), one(Signal::MaxLag, "c"));
        let found = stated(Signal::MaxLag, &limits, &[&a, &b, &c]);
        assert_eq!(found.as_deref(), Some("a; c"));
    }
}
