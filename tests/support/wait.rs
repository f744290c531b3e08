//! Waiting for a fact with a deadline; a wait that fails says what was last seen.

use std::fmt::Debug;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::Instant;

const PAUSE: Duration = Duration::from_millis(20);

/// Looks again and again until `probe` answers `Ok(value)`; its `Err` is the last state, in words.
pub(crate) async fn wait_for<T, S: Debug>(
    what: &str,
    deadline: Duration,
    mut probe: impl AsyncFnMut() -> Result<std::result::Result<T, S>>,
) -> Result<T> {
    let end = Instant::now() + deadline;
    loop {
        match probe().await? {
            Ok(value) => return Ok(value),
            Err(state) if Instant::now() >= end => {
                bail!("waited {deadline:?} for {what}; last seen: {state:?}")
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// For what depends on the clock alone, and between two looks of a loop with a deadline of its own.
pub(crate) async fn let_time_pass(duration: Duration) {
    tokio::time::sleep(duration).await;
}
