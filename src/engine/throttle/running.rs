//! Sessions that execute something, for each processor of the server.

use super::Limits;
use super::probe::Probe;
use super::signal::Signal;
use crate::engine::context::Context;
use crate::mysql::error::Error;
use crate::mysql::health;
use crate::mysql::session::Session;

/// `throttle.maxRunningPerCore`. The processors are counted once.
#[derive(Default)]
pub(super) struct RunningPerCore {
    cores: Option<u64>,
}

impl Probe for RunningPerCore {
    const SIGNAL: Signal = Signal::MaxRunningPerCore;

    async fn look(
        &mut self,
        _: &Context,
        session: &mut Session,
        limits: &Limits,
    ) -> Result<Option<String>, Error> {
        let Some(limit) = limits.max_running_per_core else { return Ok(None) };
        let cores = match self.cores {
            Some(cores) => cores,
            None => *self.cores.insert(health::read_cores(session).await?),
        };
        Ok(judged(health::read_running(session).await?, cores, limit))
    }
}

fn judged(running: u64, cores: u64, limit: u64) -> Option<String> {
    (running > cores.saturating_mul(limit)).then(|| {
        format!("{running} sessions run on {cores} processors, above maxRunningPerCore of {limit}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limit_grows_with_the_processors() {
        assert_eq!(judged(8, 2, 4), None);
        let words = "9 sessions run on 2 processors, above maxRunningPerCore of 4";
        assert_eq!(judged(9, 2, 4).as_deref(), Some(words));
        assert_eq!(judged(9, 4, 4), None);
    }
}
