//! The load of the server: status variables against `throttle.maxLoad`, above which the migration waits,
//! and `throttle.criticalLoad`, above which it pauses.

use std::collections::BTreeMap;

use super::Limits;
use super::probe::Probe;
use super::signal::Signal;
use crate::engine::context::Context;
use crate::mysql::error::Error;
use crate::mysql::server;
use crate::mysql::session::Session;

/// Names of status variables with the highest value that is within the limit.
pub type LoadLimits = BTreeMap<String, u64>;

/// `throttle.maxLoad`.
#[derive(Default)]
pub(super) struct MaxLoad;

/// `throttle.criticalLoad`.
#[derive(Default)]
pub(super) struct CriticalLoad;

impl Probe for MaxLoad {
    const SIGNAL: Signal = Signal::MaxLoad;

    async fn look(
        &mut self,
        _: &Context,
        session: &mut Session,
        limits: &Limits,
    ) -> Result<Option<String>, Error> {
        read(session, Self::SIGNAL, &limits.max_load).await
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
        read(session, Self::SIGNAL, &limits.critical_load).await
    }
}

async fn read(
    session: &mut Session,
    signal: Signal,
    limits: &LoadLimits,
) -> Result<Option<String>, Error> {
    let names: Vec<&str> = limits.keys().map(String::as_str).collect();
    Ok(compare(signal, limits, &server::read_status(session, &names).await?))
}

fn compare(
    signal: Signal,
    limits: &LoadLimits,
    values: &BTreeMap<String, String>,
) -> Option<String> {
    let (word, mut beyond) = (signal.as_str(), Vec::new());
    for (name, limit) in limits {
        let value = values.get(&name.to_lowercase());
        match value.and_then(|value| value.parse::<u64>().ok()) {
            Some(value) if value > *limit => {
                beyond.push(format!("{name} is {value}, above its {word} of {limit}"));
            }
            Some(_) => {}
            None => beyond.push(format!(
                "throttle.{word} names {name}, which is no status variable with a number on this server"
            )),
        }
    }
    (!beyond.is_empty()).then(|| beyond.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_variable_has_its_limit() {
        let values = [("threads_running", "31"), ("ssl_cipher", "")];
        let values = values.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let rows: [(&[(&str, u64)], &str); 5] = [
            (&[], ""),
            (&[("Threads_running", 31)], ""),
            (&[("Threads_running", 30)], "Threads_running is 31, above its maxLoad of 30"),
            (&[("Threads_runing", 30)], "no status variable"),
            (&[("Ssl_cipher", 30)], "no status variable"),
        ];
        for (limits, expected) in rows {
            let limits = limits.iter().map(|(name, limit)| ((*name).to_owned(), *limit)).collect();
            let found = compare(Signal::MaxLoad, &limits, &values);
            assert_eq!(found.is_some(), !expected.is_empty(), "{limits:?}: {found:?}");
            assert!(found.unwrap_or_default().contains(expected), "{limits:?}");
        }
    }
}
