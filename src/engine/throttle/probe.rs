//! A look at one thing for one signal, repeated: the answer is judged, and the reason is stated. The same
//! for everything that is asked of the server.

use super::Limits;
use super::judge::{Judge, Reading};
use super::signal::Signal;
use crate::engine::context::Context;
use crate::mysql::error::Error;
use crate::mysql::session::Session;

/// Looks at one thing.
pub(super) trait Probe {
    /// Who speaks.
    const SIGNAL: Signal;

    /// What stands against the migration under these limits, in words; `None` when nothing does.
    ///
    /// # Errors
    ///
    /// When it cannot be seen.
    async fn look(
        &mut self,
        context: &Context,
        session: &mut Session,
        limits: &Limits,
    ) -> Result<Option<String>, Error>;
}

/// A probe with what was heard of it so far.
#[derive(Default)]
pub(super) struct Watched<P> {
    probe: P,
    judge: Judge,
    known: Limits,
}

impl<P: Probe> Watched<P> {
    /// Whether there is anything to look at.
    pub(super) fn is_limited(limits: &Limits) -> bool {
        P::SIGNAL.setting(limits).is_some()
    }

    /// Looks, and states what follows. Without a session nothing can be seen.
    pub(super) async fn look(
        &mut self,
        context: &Context,
        session: Option<&mut Session>,
        limits: &Limits,
    ) {
        if P::SIGNAL.setting(&self.known) != P::SIGNAL.setting(limits) {
            self.judge = Judge::default();
        }
        self.known.clone_from(limits);
        let reading = match session {
            _ if !Self::is_limited(limits) => {
                return context.throttle.judge(P::SIGNAL, limits, None);
            }
            None => blind(P::SIGNAL, "the server cannot be reached"),
            Some(session) => match self.probe.look(context, session, limits).await {
                Ok(None) => Reading::Good,
                Ok(Some(words)) => Reading::Bad(words),
                Err(error) => blind(P::SIGNAL, &error.to_string()),
            },
        };
        context.throttle.judge(P::SIGNAL, limits, self.judge.hear(reading));
    }
}

/// The reading of what cannot be seen.
pub(super) fn blind(signal: Signal, why: &str) -> Reading {
    Reading::Blind(format!("{} cannot be read: {why}", signal.subject()))
}

/// What is beyond a limit: `None` when it is within.
pub(super) fn beyond(signal: Signal, value: u64, limit: u64) -> Option<String> {
    let (subject, word) = (signal.subject(), signal.as_str());
    (value > limit).then(|| format!("{subject} is {value}, above {word} of {limit}"))
}
