//! How long the server takes for a small write: our own heartbeat, from its begin to its commit. The
//! application's writes wait for the same disk and the same replicas.

use std::time::Duration;

use super::Limits;
use super::probe::Gauge;
use super::signal::Signal;
use crate::engine::context::Context;

/// `throttle.maxCommitLatency`.
#[derive(Default)]
pub(super) struct CommitLatency;

impl Gauge for CommitLatency {
    const SIGNAL: Signal = Signal::MaxCommitLatency;

    fn read(&mut self, context: &Context, limits: &Limits) -> Option<String> {
        judged(context.beats.commit_latency(), limits.max_commit_latency?)
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
