//! The target's query: the administrator decides by SQL whether migrations may go on. Its first value has to
//! be 0. It runs in a read-only transaction of a session of its own, with a time limit.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::judge::{Judge, Reading};
use super::probe::blind;
use super::signal::Signal;
use crate::engine::Result;
use crate::engine::context::Context;
use crate::mysql::connect::Role;
use crate::mysql::error::Error;
use crate::mysql::health;
use crate::mysql::session::Session;

/// Time between two looks.
const INTERVAL: Duration = Duration::from_secs(1);
/// An answer that takes longer is none.
const LIMIT: Duration = Duration::from_secs(2);

/// Holds the migration until the query was answered once.
pub fn hold_until_known(context: &Context) {
    let words = format!("{} is not known yet", Signal::Query.subject());
    context.throttle.state(Signal::Query, context.plan.request.query.is_some().then_some(words));
}

/// Watches until the attempt ends. What cannot be read never ends the attempt.
///
/// # Errors
///
/// None.
pub async fn watch(context: Arc<Context>) -> Result<()> {
    let Some(query) = context.plan.request.query.clone() else {
        context.stop.cancelled().await;
        return Ok(());
    };
    let (mut session, mut judge) = (None, Judge::default());
    loop {
        let reason = judge.hear(look(&context, &mut session, &query).await);
        context.throttle.state(Signal::Query, reason);
        if context.pause_for(INTERVAL).await.is_err() {
            context.stop.cancelled().await;
            return Ok(());
        }
    }
}

async fn look(context: &Context, session: &mut Option<Session>, query: &str) -> Reading {
    // A look that is given up takes its session with it.
    match timeout(LIMIT, answer(context, session.take(), query)).await {
        Ok(Ok((usable, value))) => {
            *session = Some(usable);
            judged(value)
        }
        Ok(Err(error)) => blind(Signal::Query, &error.to_string()),
        Err(_) => blind(Signal::Query, "it took longer than two seconds"),
    }
}

fn judged(value: Option<f64>) -> Reading {
    match value {
        Some(0.0) => Reading::Good,
        Some(value) => Reading::Bad(format!("the target's query answers {value}, and not 0")),
        None => blind(Signal::Query, "its first value is no number"),
    }
}

async fn answer(
    context: &Context,
    session: Option<Session>,
    query: &str,
) -> std::result::Result<(Session, Option<f64>), Error> {
    let mut session = match session.filter(Session::is_usable) {
        Some(session) => session,
        None => context.plan.request.connect.connect(Role::Inspect).await?,
    };
    let value = health::ask(&mut session, query, LIMIT).await?;
    Ok((session, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nought_is_go() {
        assert_eq!(judged(Some(0.0)), Reading::Good);
        let words = "the target's query answers 1.5, and not 0";
        assert_eq!(judged(Some(1.5)), Reading::Bad(words.to_owned()));
        assert!(matches!(judged(None), Reading::Blind(_)));
    }
}
