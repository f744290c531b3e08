//! InnoDB's history list: row versions that wait to be purged. It grows while transactions stay open, and
//! makes every read slower.

use super::Limits;
use super::probe::{Probe, beyond};
use super::signal::Signal;
use crate::engine::context::Context;
use crate::mysql::error::Error;
use crate::mysql::health;
use crate::mysql::session::Session;

/// `throttle.maxHistoryListLength`.
#[derive(Default)]
pub(super) struct HistoryListLength;

impl Probe for HistoryListLength {
    const SIGNAL: Signal = Signal::MaxHistoryListLength;

    async fn look(
        &mut self,
        _: &Context,
        session: &mut Session,
        limits: &Limits,
    ) -> Result<Option<String>, Error> {
        let Some(limit) = limits.max_history_list_length else { return Ok(None) };
        Ok(beyond(Self::SIGNAL, health::read_history_length(session).await?, limit))
    }
}
