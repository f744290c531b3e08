//! Everything that is asked of the server about its own health, in turn and in one session. The session is
//! recorded nowhere, so that a locked control table does not blind it.

use std::sync::Arc;
use std::time::Duration;

use super::Limits;
use super::commit::CommitLatency;
use super::disk::FreeDisk;
use super::history::HistoryListLength;
use super::load::{CriticalLoad, MaxLoad};
use super::probe::Watched;
use super::redo::RedoPercent;
use super::retries::Retries;
use super::running::RunningPerCore;
use super::stream::StreamLag;
use crate::engine::Result;
use crate::engine::context::Context;
use crate::mysql::connect::Role;
use crate::mysql::session::Session;

/// Time between two looks.
const INTERVAL: Duration = Duration::from_millis(500);

/// All that is looked at.
#[derive(Default)]
struct Health {
    critical: Watched<CriticalLoad>,
    load: Watched<MaxLoad>,
    running: Watched<RunningPerCore>,
    commit: Watched<CommitLatency>,
    history: Watched<HistoryListLength>,
    redo: Watched<RedoPercent>,
    stream: Watched<StreamLag>,
    retries: Watched<Retries>,
    disk: Watched<FreeDisk>,
}

/// Watches until the attempt ends. What cannot be read never ends the attempt.
///
/// # Errors
///
/// None.
pub async fn watch(context: Arc<Context>) -> Result<()> {
    let (mut session, mut health) = (None, Health::default());
    loop {
        let limits = context.tuning().throttle;
        if Health::is_limited(&limits) {
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

impl Health {
    fn is_limited(limits: &Limits) -> bool {
        [
            Watched::<CriticalLoad>::is_limited(limits),
            Watched::<MaxLoad>::is_limited(limits),
            Watched::<RunningPerCore>::is_limited(limits),
            Watched::<HistoryListLength>::is_limited(limits),
            Watched::<RedoPercent>::is_limited(limits),
            Watched::<CommitLatency>::is_limited(limits),
            Watched::<StreamLag>::is_limited(limits),
            Watched::<Retries>::is_limited(limits),
            Watched::<FreeDisk>::is_limited(limits),
        ]
        .contains(&true)
    }

    async fn look(&mut self, context: &Context, session: Option<&mut Session>, limits: &Limits) {
        let mut session = session;
        self.critical.look(context, session.as_deref_mut(), limits).await;
        self.load.look(context, session.as_deref_mut(), limits).await;
        self.running.look(context, session.as_deref_mut(), limits).await;
        self.commit.look(context, session.as_deref_mut(), limits).await;
        self.history.look(context, session.as_deref_mut(), limits).await;
        self.redo.look(context, session.as_deref_mut(), limits).await;
        self.stream.look(context, session.as_deref_mut(), limits).await;
        self.retries.look(context, session.as_deref_mut(), limits).await;
        // The last one: the query is somebody's, and its end may be that of the session.
        self.disk.look(context, session, limits).await;
    }
}
