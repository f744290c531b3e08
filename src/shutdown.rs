//! Signals: the first SIGTERM or SIGINT asks for an orderly end through a token, the second ends the
//! wait for it.

use std::future::pending;
use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The signals that ask a process to end.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes the signals over from the system's default.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn take() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Cancels `stop` at the first signal and returns at the second.
    pub async fn watch(&mut self, stop: &CancellationToken) {
        self.next().await;
        tracing::info!("leaving on request; a second signal ends the process at once");
        stop.cancel();
        self.next().await;
    }

    async fn next(&mut self) {
        let arrived = tokio::select! {
            arrived = self.terminate.recv() => arrived,
            arrived = self.interrupt.recv() => arrived,
        };
        if arrived.is_none() {
            pending::<()>().await;
        }
    }
}
