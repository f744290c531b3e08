//! Markers: own writes that are awaited in the stream. Once one is seen, everything that was logged
//! before it has been received.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::context::{Context, Deadline};
use super::control::{SHORT, put_fenced};
use super::error::Doing;
use super::{Error, Result};
use crate::failpoint::hit;
use crate::mysql::session::Session;
use crate::sql::control::{Kind, put};

/// Writes a marker under the fence and returns its number.
///
/// # Errors
///
/// When it cannot be written.
pub async fn send(context: &Context, session: &mut Session) -> Result<u64> {
    let number = next(context);
    let payload = format!("{}:{number}", context.epoch);
    let control = &context.plan.tables.control;
    hit("marker.before");
    put_fenced(session, control, context.epoch, (Kind::Marker, 0, &payload), SHORT * 20).await?;
    hit("marker.after");
    Ok(number)
}

/// The number for the next marker.
pub fn next(context: &Context) -> u64 {
    context.echoes.marker_sent.fetch_add(1, Ordering::AcqRel) + 1
}

/// Writes a marker from a session that holds the control table's lock, and commits it.
///
/// # Errors
///
/// When it cannot be written.
pub async fn send_locked(
    context: &Context,
    session: &mut Session,
    number: u64,
    limit: Duration,
) -> Result<()> {
    let payload = format!("{}:{number}", context.epoch);
    let marker = put(&context.plan.tables.control, Kind::Marker, 0, context.epoch, &payload);
    session.execute(&marker, limit).await.doing("write a marker")?;
    session.commit(limit).await.doing("commit a marker")
}

/// Waits until the marker has been seen.
///
/// # Errors
///
/// [`Error::Stopped`] when the attempt ends first, or the time is over.
pub async fn wait(context: &Context, number: u64, deadline: Deadline) -> Result<bool> {
    let mut seen = context.marker_seen.subscribe();
    tokio::select! {
        seen = seen.wait_for(|seen| *seen >= number) => seen.map(|_| true).map_err(|_| Error::Stopped),
        () = tokio::time::sleep(deadline.left()) => Ok(false),
        () = context.stop.cancelled() => Err(Error::Stopped),
    }
}

/// Writes a marker and waits for it as long as it takes.
///
/// # Errors
///
/// As [`send`] and [`wait`].
pub async fn pass(context: &Context, session: &mut Session) -> Result<()> {
    let number = send(context, session).await?;
    while !wait(context, number, Deadline::after(Duration::from_secs(1))).await? {
        if context.is_stopping() {
            return Err(Error::Stopped);
        }
    }
    Ok(())
}
