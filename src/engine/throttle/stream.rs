//! Our own lag: how far the binlog stream is behind the server. Copying competes with it, so that it can
//! catch up when copying stops.

use std::time::Duration;

use super::Limits;
use super::probe::Probe;
use super::signal::Signal;
use crate::engine::context::Context;
use crate::mysql::error::Error;
use crate::mysql::session::Session;

/// `throttle.maxStreamLag`.
#[derive(Default)]
pub(super) struct StreamLag;

impl Probe for StreamLag {
    const SIGNAL: Signal = Signal::MaxStreamLag;

    async fn look(
        &mut self,
        context: &Context,
        _: &mut Session,
        limits: &Limits,
    ) -> Result<Option<String>, Error> {
        let Some(limit) = limits.max_stream_lag else { return Ok(None) };
        Ok(judged(context.meter.stream_behind(), limit))
    }
}

fn judged(lag: Duration, limit: Duration) -> Option<String> {
    let (lag, limit) = (lag.as_secs_f64(), limit.as_secs_f64());
    (lag > limit).then(|| {
        format!("the stream is {lag:.1} s behind the server, more than maxStreamLag of {limit} s")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_is_told_with_its_limit() {
        let second = Duration::from_secs(1);
        assert_eq!(judged(second, second), None);
        let words = "the stream is 3.0 s behind the server, more than maxStreamLag of 1 s";
        assert_eq!(judged(3 * second, second).as_deref(), Some(words));
    }
}
