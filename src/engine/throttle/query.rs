//! The target's query: the administrator decides by SQL whether migrations may go on. Its first value has to
//! be 0. It runs in a read-only transaction of a session of its own, with a time limit.

use std::sync::Arc;

use super::asked::{self, Asked, LIMIT};
use super::judge::Reading;
use super::signal::Signal;
use crate::engine::Result;
use crate::engine::context::Context;
use crate::mysql::connect::Role;
use crate::mysql::error::Error;
use crate::mysql::health;
use crate::mysql::session::Session;

/// The query, and the session of the last look that ended well.
struct Query {
    text: String,
    session: Option<Session>,
}

impl Asked for Query {
    const SIGNAL: Signal = Signal::Query;

    async fn ask(&mut self, context: &Context) -> std::result::Result<Reading, String> {
        // A look that is given up takes its session with it.
        let session = self.session.take().filter(Session::is_usable);
        let answer = answer(context, session, &self.text).await;
        let (session, value) = answer.map_err(|error| error.to_string())?;
        self.session = Some(session);
        judged(value)
    }
}

/// Watches until the attempt ends.
///
/// # Errors
///
/// None.
pub async fn watch(context: Arc<Context>) -> Result<()> {
    let text = context.plan.request.probes.query.clone();
    let query = text.map(|text| Query { text, session: None });
    asked::watch(context, query).await
}

async fn answer(
    context: &Context,
    session: Option<Session>,
    query: &str,
) -> std::result::Result<(Session, Option<f64>), Error> {
    let mut session = match session {
        Some(session) => session,
        None => context.plan.request.connect.connect(Role::Inspect).await?,
    };
    let value = health::ask(&mut session, query, LIMIT).await?;
    Ok((session, value))
}

fn judged(value: Option<f64>) -> std::result::Result<Reading, String> {
    match value {
        Some(0.0) => Ok(Reading::Good),
        Some(value) => Ok(Reading::Bad(format!("the target's query answers {value}, and not 0"))),
        None => Err("its first value is no number".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nought_is_go() {
        assert_eq!(judged(Some(0.0)), Ok(Reading::Good));
        let words = "the target's query answers 1.5, and not 0";
        assert_eq!(judged(Some(1.5)), Ok(Reading::Bad(words.to_owned())));
        assert!(judged(None).is_err());
    }
}
