//! The visibility gate: a transaction may be delivered in the stream before readers can see it. Before
//! anything reads the source table on behalf of what was received so far, it passes the gate.
//!
//! Two ways: wait until the server's executed set holds every GTID received, or wait until a small
//! write that started after the receipt has returned from its commit (engine commits happen in
//! binlog order when `binlog_order_commits=ON`, which preflight checks).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use super::context::Context;
use super::error::Doing;
use super::{Error, Result, control};
use crate::failpoint::{Guard, hit, is_removed};
use crate::mysql::connect::Role;
use crate::mysql::server;
use crate::mysql::session::Session;
use crate::sql::control::Kind;

/// How long one wait on the server lasts before the gate looks whether it has to stop.
const SLICE: Duration = Duration::from_secs(1);
/// A write on the way to its commit may be stalled by a semi-synchronous replica for long.
const BARRIER_LIMIT: Duration = Duration::from_secs(600);

/// One of the two ways.
#[derive(Clone)]
pub enum Gate {
    /// By the executed GTID set. Holds the number of transactions known to be visible.
    Gtid(Arc<AtomicU64>),
    /// By commit barrier.
    Barrier(Arc<Barrier>),
}

/// The shared barrier: waiters ask for a number, the barrier task answers for all at once.
pub struct Barrier {
    asked: watch::Sender<u64>,
    answered: watch::Sender<u64>,
}

impl Gate {
    /// The gate that fits the server.
    pub fn for_server(gtid: bool) -> Self {
        if gtid {
            Self::Gtid(Arc::default())
        } else {
            let barrier = Barrier { asked: watch::Sender::new(0), answered: watch::Sender::new(0) };
            Self::Barrier(Arc::new(barrier))
        }
    }

    /// Returns once everything received before the call is visible to readers.
    ///
    /// # Errors
    ///
    /// When the server cannot be asked, or the attempt has to stop.
    pub async fn pass(&self, context: &Context, session: &mut Session) -> Result<()> {
        if is_removed(Guard::Gate) {
            return Ok(());
        }
        match self {
            Self::Gtid(visible) => pass_by_gtid(visible, context, session).await,
            Self::Barrier(barrier) => barrier.pass(context).await,
        }
    }
}

async fn pass_by_gtid(visible: &AtomicU64, context: &Context, session: &mut Session) -> Result<()> {
    let (begun, received) = {
        let flow = context.flow();
        if flow.begun > 0 && visible.load(Ordering::Acquire) >= flow.begun {
            return Ok(());
        }
        (flow.begun, flow.received.clone())
    };
    loop {
        let visible_now = server::wait_for_executed(session, &received, SLICE);
        if visible_now.await.doing("wait for visibility")? {
            visible.fetch_max(begun, Ordering::AcqRel);
            return Ok(());
        }
        if context.stop.is_cancelled() {
            return Err(Error::Stopped);
        }
    }
}

impl Barrier {
    async fn pass(&self, context: &Context) -> Result<()> {
        let mut answered = self.answered.subscribe();
        let mut number = 0;
        self.asked.send_modify(|asked| {
            *asked += 1;
            number = *asked;
        });
        tokio::select! {
            seen = answered.wait_for(|answered| *answered >= number) => {
                seen.map(|_| ()).map_err(|_| Error::Stopped)
            }
            () = context.stop.cancelled() => Err(Error::Stopped),
        }
    }

    /// Answers waiters until the attempt ends. One write serves all who asked before it started.
    ///
    /// # Errors
    ///
    /// When the write fails.
    pub async fn serve(self: Arc<Self>, context: Arc<Context>) -> Result<()> {
        let mut session = context.open(Role::Control).await?;
        let mut asked = self.asked.subscribe();
        loop {
            let number = *asked.borrow_and_update();
            if number > *self.answered.borrow() {
                let payload = format!("{}:{number}", context.epoch);
                hit("barrier.before");
                control::put_fenced(
                    &mut session,
                    &context.plan.tables.control,
                    context.epoch,
                    (Kind::Barrier, 0, &payload),
                    BARRIER_LIMIT,
                )
                .await?;
                hit("barrier.after");
                self.answered.send_replace(number);
                continue;
            }
            tokio::select! {
                changed = asked.changed() => changed.map_err(|_| Error::Stopped)?,
                () = context.stop.cancelled() => return Ok(()),
            }
        }
    }
}
