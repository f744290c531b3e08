//! What the migration knows by itself, and everything that is asked of the server about its own health, in
//! turn and in one session. The session is recorded nowhere, so that a locked control table does not blind it.

use std::sync::Arc;
use std::time::Duration;

use super::Limits;
use super::commit::CommitLatency;
use super::disk::FreeDisk;
use super::history::HistoryListLength;
use super::load::{CriticalLoad, MaxLoad};
use super::probe::{Probe, Watched};
use super::redo::RedoPercent;
use super::retries::Retries;
use super::running::RunningPerCore;
use super::signal::Signal;
use super::stream::StreamLag;
use crate::engine::Result;
use crate::engine::context::Context;
use crate::mysql::connect::Role;
use crate::mysql::session::Session;

/// Time between two looks.
const INTERVAL: Duration = Duration::from_millis(500);

/// What the migration knows by itself.
#[derive(Default)]
struct Gauges {
    commit: Watched<CommitLatency>,
    stream: Watched<StreamLag>,
    retries: Watched<Retries>,
}

/// What the server is asked for.
#[derive(Default)]
struct Health {
    critical: Watched<CriticalLoad>,
    load: Watched<MaxLoad>,
    running: Watched<RunningPerCore>,
    history: Watched<HistoryListLength>,
    redo: Watched<RedoPercent>,
    disk: Watched<FreeDisk>,
}

/// The signals of [`Health`]: without a limit for any of them no session is opened.
const ASKED: [Signal; 6] = [
    CriticalLoad::SIGNAL,
    MaxLoad::SIGNAL,
    RunningPerCore::SIGNAL,
    HistoryListLength::SIGNAL,
    RedoPercent::SIGNAL,
    FreeDisk::SIGNAL,
];

/// Watches until the attempt ends. What cannot be read never ends the attempt.
///
/// # Errors
///
/// None.
pub async fn watch(context: Arc<Context>) -> Result<()> {
    let (mut session, mut gauges, mut health) = (None, Gauges::default(), Health::default());
    loop {
        let limits = context.tuning().throttle;
        gauges.read(&context, &limits);
        if ASKED.iter().any(|signal| signal.setting(&limits).is_some()) {
            session = usable(&context, session.take()).await;
        }
        health.look(&context, session.as_mut(), &limits).await;
        if context.pause_for(INTERVAL).await.is_err() {
            context.stop.cancelled().await;
            return Ok(());
        }
    }
}

async fn usable(context: &Context, session: Option<Session>) -> Option<Session> {
    match session {
        Some(session) if session.is_usable() => Some(session),
        _ => context.plan.request.connect.connect(Role::Inspect).await.ok(),
    }
}

impl Gauges {
    fn read(&mut self, context: &Context, limits: &Limits) {
        self.commit.read(context, limits);
        self.stream.read(context, limits);
        self.retries.read(context, limits);
    }
}

impl Health {
    async fn look(&mut self, context: &Context, session: Option<&mut Session>, limits: &Limits) {
        let mut session = session;
        self.critical.look(context, session.as_deref_mut(), limits).await;
        self.load.look(context, session.as_deref_mut(), limits).await;
        self.running.look(context, session.as_deref_mut(), limits).await;
        self.history.look(context, session.as_deref_mut(), limits).await;
        self.redo.look(context, session.as_deref_mut(), limits).await;
        // The last one: the query is somebody's, and its end may be that of the session.
        self.disk.look(context, session, limits).await;
    }
}
