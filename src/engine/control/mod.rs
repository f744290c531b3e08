//! The control table in use: the fence that lets one worker write, the sessions that a successor ends,
//! and the rows that tell a later attempt where the migration stands.

mod fence;
mod rows;
mod sessions;

use std::time::Duration;

use serde::Serialize;

pub use self::fence::{Standing, Worker, check_fence, fenced, found, put_fenced, take_over};
pub use self::rows::{
    HEARTBEAT_POSITION, load_claims, load_position, load_state, position_row, range_row, save_state,
};
pub use self::sessions::{end_sessions_of, open_session};

/// Small statements on the control table.
pub const SHORT: Duration = Duration::from_secs(30);

/// The stored form; our own types have no way to fail.
pub fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
