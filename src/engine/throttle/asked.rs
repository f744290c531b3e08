//! What the target's administrator has asked each second, whatever the settings say: the answer is judged, and
//! the reason is stated. The same for the query and for the URL.

use std::sync::Arc;
use std::time::Duration;

use super::judge::{Judge, Reading};
use super::probe::blind;
use super::signal::Signal;
use crate::engine::Result;
use crate::engine::context::Context;

/// Time between two looks.
const INTERVAL: Duration = Duration::from_secs(1);
/// An answer that takes longer is none.
pub(super) const LIMIT: Duration = Duration::from_secs(2);

/// Somebody who is asked.
pub(super) trait Asked {
    /// Who speaks.
    const SIGNAL: Signal;

    /// What the answer says.
    ///
    /// # Errors
    ///
    /// Why there is none, in words.
    async fn ask(&mut self, context: &Context) -> std::result::Result<Reading, String>;
}

/// Holds the migration until everybody who is asked has answered once.
pub fn hold_until_known(context: &Context) {
    let probes = &context.plan.request.probes;
    for (signal, is_asked) in
        [(Signal::Query, probes.query.is_some()), (Signal::Http, probes.url.is_some())]
    {
        let words = format!("{} is not known yet", signal.subject());
        context.throttle.state(signal, is_asked.then_some(words));
    }
}

/// Asks until the attempt ends; nobody is asked when there is nobody. What cannot be read never ends the
/// attempt.
pub(super) async fn watch<A: Asked>(context: Arc<Context>, asked: Option<A>) -> Result<()> {
    let Some(mut asked) = asked else {
        context.stop.cancelled().await;
        return Ok(());
    };
    let mut judge = Judge::default();
    loop {
        let reading = match tokio::time::timeout(LIMIT, asked.ask(&context)).await {
            Ok(Ok(reading)) => reading,
            Ok(Err(why)) => blind(A::SIGNAL, &why),
            Err(_) => blind(A::SIGNAL, "it took longer than two seconds"),
        };
        context.throttle.state(A::SIGNAL, judge.hear(reading));
        if context.pause_for(INTERVAL).await.is_err() {
            context.stop.cancelled().await;
            return Ok(());
        }
    }
}
