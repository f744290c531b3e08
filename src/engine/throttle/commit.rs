//! How long the server takes for a small write: our own heartbeat, from its begin to its commit. The
//! application's writes wait for the same disk and the same replicas.

use std::time::Duration;

use super::Limits;
use super::probe::Probe;
use super::signal::Signal;
use crate::engine::context::Context;
use crate::mysql::error::Error;
use crate::mysql::session::Session;

/// `throttle.maxCommitLatency`.
#[derive(Default)]
pub(super) struct CommitLatency;

impl Probe for CommitLatency {
    const SIGNAL: Signal = Signal::MaxCommitLatency;

    async fn look(
        &mut self,
        context: &Context,
        _: &mut Session,
        limits: &Limits,
    ) -> Result<Option<String>, Error> {
        let Some(limit) = limits.max_commit_latency else { return Ok(None) };
        Ok(judged(context.beats.commit_latency(), limit))
    }
}

fn judged(took: Option<Duration>, limit: Duration) -> Option<String> {
    took.filter(|took| *took > limit)
        .map(|took| format!("a small commit takes {took:.1?}, above maxCommitLatency of {limit:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_commits_are_told_with_their_limit() {
        let ms = Duration::from_millis;
        assert_eq!(judged(None, ms(50)), None);
        assert_eq!(judged(Some(ms(50)), ms(50)), None);
        let words = "a small commit takes 80.0ms, above maxCommitLatency of 50ms";
        assert_eq!(judged(Some(ms(80)), ms(50)).as_deref(), Some(words));
    }
}
