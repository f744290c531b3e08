//! Our own lag: how far the binlog stream is behind the server. Copying competes with it, so that it can
//! catch up when copying stops.

use std::time::Duration;

use super::Limits;
use super::probe::Gauge;
use super::signal::Signal;
use crate::engine::context::Context;

/// `throttle.maxStreamLag`.
#[derive(Default)]
pub(super) struct StreamLag;

impl Gauge for StreamLag {
    const SIGNAL: Signal = Signal::MaxStreamLag;

    fn read(&mut self, context: &Context, limits: &Limits) -> Option<String> {
        judged(context.meter.stream_behind(), limits.max_stream_lag?)
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
