//! Whether a backup of somebody else makes statements wait. In: a session or the error that a wait ended
//! with; out: the sentence for `waitingFor`, and whose it is.

use jiff::Timestamp;

use super::Error;
use super::blocker::{Blocker, Obstacle};
use super::reason::Reason;
use super::request::Request;
use crate::mysql::connect::Role;
use crate::mysql::error::ErrorClass;
use crate::mysql::locks;
use crate::mysql::session::Session;

/// What the run waits for when a session holds a backup's lock; `None` when none does, or when the
/// server does not tell.
pub async fn holder(session: &mut Session) -> Option<Obstacle> {
    let holder = locks::backup_holder(session).await.ok().flatten()?;
    let words = format!(
        "the backup to end ({}): {holder}, holds {}; let it finish, or end that session",
        Reason::BackupRunning,
        holder.state
    );
    let blocker = Blocker::session(&holder, holder.state.clone(), Timestamp::now());
    Some(Obstacle { words, blocker: Some(blocker) })
}

/// The same after a statement waited too long for a lock, asked on a session of its own.
pub async fn behind(error: &Error, request: &Request) -> Option<Obstacle> {
    let Error::Query { source, .. } = error else { return None };
    if source.class() != ErrorClass::Retryable {
        return None;
    }
    let mut session = request.connect.connect(Role::Inspect).await.ok()?;
    let found = holder(&mut session).await;
    session.close().await;
    found
}
