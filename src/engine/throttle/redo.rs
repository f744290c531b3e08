//! The redo log's filling: written and not yet checkpointed. When it is full, every write of the server
//! waits.

use super::Limits;
use super::probe::Probe;
use super::signal::Signal;
use crate::engine::context::Context;
use crate::mysql::error::Error;
use crate::mysql::health;
use crate::mysql::session::Session;

/// `throttle.maxRedoPercent`.
#[derive(Default)]
pub(super) struct RedoPercent;

impl Probe for RedoPercent {
    const SIGNAL: Signal = Signal::MaxRedoPercent;

    async fn look(
        &mut self,
        _: &Context,
        session: &mut Session,
        limits: &Limits,
    ) -> Result<Option<String>, Error> {
        let Some(limit) = limits.max_redo_percent else { return Ok(None) };
        let percent = health::read_redo_percent(session).await?;
        Ok((percent > limit)
            .then(|| format!("the redo log is {percent} % full, above maxRedoPercent of {limit}")))
    }
}
