//! A look at one thing for one signal, repeated: the answer is judged, and the reason is stated. The same
//! for everything that is asked of the server, and for what the migration knows by itself.

use super::Limits;
use super::judge::{Judge, Reading};
use super::signal::Signal;
use crate::engine::context::Context;
use crate::mysql::error::Error;
use crate::mysql::session::Session;

/// Knows one thing without asking anybody.
pub(super) trait Gauge {
    /// Who speaks.
    const SIGNAL: Signal;

    /// What stands against the migration under these limits, in words; `None` when nothing does.
    fn read(&mut self, context: &Context, limits: &Limits) -> Option<String>;
}

/// Asks the server for one thing.
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

/// A gauge or a probe with what was heard of it so far.
#[derive(Default)]
pub(super) struct Watched<T> {
    inner: T,
    judge: Judge,
    known: Limits,
}

impl<G: Gauge> Watched<G> {
    /// Reads, and states what follows.
    pub(super) fn read(&mut self, context: &Context, limits: &Limits) {
        let reading = self
            .begin(G::SIGNAL, limits)
            .then(|| self.inner.read(context, limits).map_or(Reading::Good, Reading::Bad));
        self.state(context, G::SIGNAL, reading);
    }
}

impl<P: Probe> Watched<P> {
    /// Looks, and states what follows. Without a session nothing can be seen.
    pub(super) async fn look(
        &mut self,
        context: &Context,
        session: Option<&mut Session>,
        limits: &Limits,
    ) {
        let reading = match session {
            _ if !self.begin(P::SIGNAL, limits) => None,
            None => Some(blind(P::SIGNAL, "the server cannot be reached")),
            Some(session) => Some(match self.inner.look(context, session, limits).await {
                Ok(None) => Reading::Good,
                Ok(Some(words)) => Reading::Bad(words),
                Err(error) => blind(P::SIGNAL, &error.to_string()),
            }),
        };
        self.state(context, P::SIGNAL, reading);
    }
}

impl<T> Watched<T> {
    /// Whether there is anything to look at; under another limit nothing was heard yet.
    fn begin(&mut self, signal: Signal, limits: &Limits) -> bool {
        if signal.setting(&self.known) != signal.setting(limits) {
            self.judge = Judge::default();
        }
        self.known.clone_from(limits);
        signal.setting(limits).is_some()
    }

    fn state(&mut self, context: &Context, signal: Signal, reading: Option<Reading>) {
        let words = reading.and_then(|reading| self.judge.hear(reading));
        context.throttle.judge(signal, &self.known, words);
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
