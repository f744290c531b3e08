//! stub
pub mod intent;
pub mod outcome;
pub mod phase;
pub mod progress;
pub mod request;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Why a run ended without an outcome.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// Stable word.
    pub reason: &'static str,
    /// Cause.
    pub message: String,
    /// What to do.
    pub remedy: String,
    /// What is left behind.
    pub kept: String,
    /// Cause below.
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Runs.
pub async fn run(
    _request: request::Request,
    _intent: watch::Receiver<intent::Intent>,
    _progress: watch::Sender<progress::Progress>,
    stop: CancellationToken,
) -> Result<outcome::Outcome, Failure> {
    stop.cancelled().await;
    Ok(outcome::Outcome::Left)
}

/// Plans.
pub async fn plan(
    _request: request::Request,
    stop: CancellationToken,
) -> Result<outcome::PlanReport, Failure> {
    stop.cancelled().await;
    Err(Failure {
        reason: "Stopped",
        message: String::new(),
        remedy: String::new(),
        kept: String::new(),
        source: None,
    })
}
