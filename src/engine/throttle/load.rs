//! The load of the server: status variables against `throttle.maxLoad`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::judge::{Judge, Reading};
use crate::engine::Result;
use crate::engine::context::Context;
use crate::mysql::connect::Role;
use crate::mysql::server;
use crate::mysql::session::Session;

/// Time between two readings.
const INTERVAL: Duration = Duration::from_millis(500);

/// Names of status variables with the highest value that is no load.
pub type MaxLoad = BTreeMap<String, u64>;

/// Watches until the attempt ends. What cannot be read never ends the attempt.
///
/// # Errors
///
/// None.
pub async fn watch(context: Arc<Context>) -> Result<()> {
    let (mut session, mut judge, mut known) = (None, Judge::default(), MaxLoad::new());
    loop {
        let limits = context.tuning().throttle.max_load;
        if limits != known {
            (judge, known) = (Judge::default(), limits.clone());
        }
        let reason = match limits.is_empty() {
            true => None,
            false => judge.hear(read(&context, &mut session, &limits).await),
        };
        context.throttle.judge_load(limits, reason);
        if context.pause_for(INTERVAL).await.is_err() {
            context.stop.cancelled().await;
            return Ok(());
        }
    }
}

async fn read(context: &Context, session: &mut Option<Session>, limits: &MaxLoad) -> Reading {
    let known = match session.take() {
        Some(session) if session.is_usable() => Ok(session),
        _ => context.open(Role::Control).await,
    };
    let Ok(mut usable) = known else { return blind("it cannot be reached") };
    let names: Vec<&str> = limits.keys().map(String::as_str).collect();
    let values = server::read_status(&mut usable, &names).await;
    *session = Some(usable);
    match values {
        Ok(values) => compare(limits, &values),
        Err(error) => blind(&error.to_string()),
    }
}

fn blind(why: &str) -> Reading {
    Reading::Blind(format!("the load of the server cannot be read: {why}"))
}

fn compare(limits: &MaxLoad, values: &BTreeMap<String, String>) -> Reading {
    let mut beyond = Vec::new();
    for (name, limit) in limits {
        let value = values.get(&name.to_lowercase());
        match value.and_then(|value| value.parse::<u64>().ok()) {
            Some(value) if value > *limit => {
                beyond.push(format!("{name} is {value}, above its maxLoad of {limit}"));
            }
            Some(_) => {}
            None => beyond.push(format!(
                "throttle.maxLoad names {name}, which is no status variable with a number on this server"
            )),
        }
    }
    if beyond.is_empty() { Reading::Good } else { Reading::Bad(beyond.join("; ")) }
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
            match compare(&limits, &values) {
                Reading::Good => assert_eq!(expected, "", "{limits:?}"),
                Reading::Bad(words) => {
                    assert!(!expected.is_empty() && words.contains(expected), "{words}");
                }
                Reading::Blind(why) => panic!("blind: {why}"),
            }
        }
    }
}
