//! The load of the server: status variables against `throttle.maxLoad`, above which the migration waits,
//! and `throttle.criticalLoad`, above which it pauses.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::Limits;
use super::probe::Probe;
use super::signal::Signal;
use crate::engine::context::Context;
use crate::mysql::error::Error;
use crate::mysql::server;
use crate::mysql::session::Session;

/// Names of status variables, or of their growth (`Questions/s`), with the highest value that is within the
/// limit.
pub type LoadLimits = BTreeMap<String, u64>;

/// The end of a name that means how quickly a status variable grows.
const PER_SECOND: &str = "/s";
/// The time over which a growth is measured.
const SPAN: Duration = Duration::from_secs(2);

/// `throttle.maxLoad`.
#[derive(Default)]
pub(super) struct MaxLoad(Growth);

/// `throttle.criticalLoad`.
#[derive(Default)]
pub(super) struct CriticalLoad(Growth);

impl Probe for MaxLoad {
    const SIGNAL: Signal = Signal::MaxLoad;

    async fn look(
        &mut self,
        _: &Context,
        session: &mut Session,
        limits: &Limits,
    ) -> Result<Option<String>, Error> {
        read(session, Self::SIGNAL, (&limits.max_load, &mut self.0)).await
    }
}

impl Probe for CriticalLoad {
    const SIGNAL: Signal = Signal::CriticalLoad;

    async fn look(
        &mut self,
        _: &Context,
        session: &mut Session,
        limits: &Limits,
    ) -> Result<Option<String>, Error> {
        read(session, Self::SIGNAL, (&limits.critical_load, &mut self.0)).await
    }
}

async fn read(
    session: &mut Session,
    signal: Signal,
    (limits, growth): (&LoadLimits, &mut Growth),
) -> Result<Option<String>, Error> {
    let names: Vec<&str> = limits.keys().map(|name| variable(name)).collect();
    let values = server::read_status(session, &names).await?;
    let grown = growth.hear(Instant::now(), &values);
    Ok(compare(signal, limits, (&values, &grown)))
}

/// The status variable that a limit is about.
fn variable(name: &str) -> &str {
    name.strip_suffix(PER_SECOND).unwrap_or(name)
}

/// Values as they were read lately.
#[derive(Default)]
struct Growth(VecDeque<(Instant, Values)>);

type Values = BTreeMap<String, String>;

impl Growth {
    /// Hears values, and tells how much each number has grown in a second; nothing of what was not read
    /// before.
    fn hear(&mut self, now: Instant, values: &Values) -> BTreeMap<String, u64> {
        while self.0.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= SPAN) {
            self.0.pop_front();
        }
        let grown = self.0.front().map(|(at, before)| {
            let micros = now.duration_since(*at).as_micros().max(1);
            let numbers = values.iter().filter_map(|(name, value)| {
                let (before, now) = (before.get(name)?.parse().ok()?, value.parse::<u64>().ok()?);
                let second = u128::from(now.saturating_sub(before)) * 1_000_000 / micros;
                Some((name.clone(), u64::try_from(second).unwrap_or(u64::MAX)))
            });
            numbers.collect()
        });
        self.0.push_back((now, values.clone()));
        grown.unwrap_or_default()
    }
}

fn compare(
    signal: Signal,
    limits: &LoadLimits,
    (values, grown): (&Values, &BTreeMap<String, u64>),
) -> Option<String> {
    let (word, mut beyond) = (signal.as_str(), Vec::new());
    for (name, limit) in limits {
        let key = variable(name).to_lowercase();
        let number = values.get(&key).and_then(|value| value.parse::<u64>().ok());
        let value = match name.ends_with(PER_SECOND) {
            true => grown.get(&key).copied(),
            false => number,
        };
        match (value, number) {
            (Some(value), _) if value > *limit => {
                beyond.push(format!("{name} is {value}, above its {word} of {limit}"));
            }
            (Some(_), _) => {}
            (None, Some(_)) => beyond.push(format!("{name} is not known yet, for {word}")),
            (None, None) => beyond.push(format!(
                "throttle.{word} names {name}, which is no status variable with a number on this server"
            )),
        }
    }
    (!beyond.is_empty()).then(|| beyond.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values<const N: usize>(values: [(&str, &str); N]) -> Values {
        values.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    #[test]
    fn each_variable_has_its_limit() {
        let values = values([("threads_running", "31"), ("ssl_cipher", ""), ("questions", "9000")]);
        let grown = [("threads_running".to_owned(), 3)].into();
        let rows: [(&[(&str, u64)], &str); 8] = [
            (&[], ""),
            (&[("Threads_running", 31)], ""),
            (&[("Threads_running", 30)], "Threads_running is 31, above its maxLoad of 30"),
            (&[("Threads_runing", 30)], "no status variable"),
            (&[("Ssl_cipher", 30)], "no status variable"),
            (&[("Threads_running/s", 3)], ""),
            (&[("Threads_running/s", 2)], "Threads_running/s is 3, above its maxLoad of 2"),
            (&[("Questions/s", 9999)], "Questions/s is not known yet"),
        ];
        for (limits, expected) in rows {
            let limits = limits.iter().map(|(name, limit)| ((*name).to_owned(), *limit)).collect();
            let found = compare(Signal::MaxLoad, &limits, (&values, &grown));
            assert_eq!(found.is_some(), !expected.is_empty(), "{limits:?}: {found:?}");
            assert!(found.unwrap_or_default().contains(expected), "{limits:?}");
        }
    }

    #[test]
    fn growth_is_that_of_the_last_seconds() {
        let (mut growth, start) = (Growth::default(), Instant::now());
        let mut hear = |millis: u64, value: &str| {
            let now = start + Duration::from_millis(millis);
            growth.hear(now, &values([("questions", value)])).get("questions").copied()
        };
        assert_eq!(hear(0, "1000"), None, "one value does not grow");
        assert_eq!(hear(500, "1100"), Some(200));
        assert_eq!(hear(1000, "1100"), Some(100));
        assert_eq!(hear(2000, "1100"), Some(50));
        assert_eq!(hear(2500, "1600"), Some(250), "since the value of two seconds ago");
        assert_eq!(hear(9000, "1600"), Some(0), "what is long ago does not count");
        assert_eq!(hear(9500, "0"), Some(0), "it was set back");
        assert_eq!(hear(9600, "none"), None);
    }
}
