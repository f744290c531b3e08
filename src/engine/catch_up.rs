//! Waits until the backlog is small: all ranges are copied, and what was logged while they were copied
//! has been applied.

use std::time::Duration;

use super::Result;
use super::context::{Context, Deadline};
use super::convergence::Convergence;
use super::markers;
use crate::mysql::connect::Role;

/// A backlog of this size is applied within a fraction of a second.
const SMALL: usize = 1000;
/// A marker that comes back within this time shows that the stream keeps up.
const PROMPT: Duration = Duration::from_secs(1);

/// Returns once the stream keeps up with the server and the lanes with the stream.
///
/// # Errors
///
/// What ends the attempt.
pub async fn run(context: &Context) -> Result<()> {
    let mut session = context.open(Role::Control).await?;
    let mut convergence = Convergence::default();
    loop {
        let number = markers::send(context, &mut session).await?;
        let prompt = markers::wait(context, number, Deadline::after(PROMPT)).await?;
        let backlog = context.flow().backlog.queued();
        if prompt && backlog <= SMALL {
            return Ok(());
        }
        let what = format!("the backlog of {backlog} keys to be applied");
        context.meter.wait_for(&convergence.watch(context, what));
        context.lane_progress(Duration::from_millis(200)).await;
        if context.is_stopping() {
            return Err(super::Error::Stopped);
        }
    }
}
