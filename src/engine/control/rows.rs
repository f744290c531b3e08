//! The rows of the control table that a later attempt reads: the state, finished ranges, positions.

use serde::{Deserialize, Serialize};

use super::{SHORT, fenced, json, put_fenced};
use crate::engine::backlog::KeyOrder;
use crate::engine::backlog::claims::{Claims, FinishedRow, Range};
use crate::engine::error::Doing;
use crate::engine::plan::{self, Plan, StoredState};
use crate::engine::{Error, Result};
use crate::failpoint::hit;
use crate::mysql::position::Position;
use crate::mysql::session::Session;
use crate::schema::key::Key;
use crate::schema::table::TableName;
use crate::sql::control::{self as text, Kind};

/// The id of the position row that the heartbeat writes; lanes use their own number.
pub const HEARTBEAT_POSITION: u64 = 1000;

/// The payload of a finished range.
#[derive(Debug, Serialize, Deserialize)]
struct StoredRange {
    lower: Option<String>,
    upper: Option<String>,
    rows: u64,
}

/// Stores the state.
///
/// # Errors
///
/// As [`fenced`].
pub async fn save_state(
    session: &mut Session,
    control: &TableName,
    epoch: u64,
    state: &StoredState,
) -> Result<()> {
    hit(&format!("state.{}.before", state.phase));
    put_fenced(session, control, epoch, (Kind::State, 0, &json(state)), SHORT).await?;
    hit(&format!("state.{}.after", state.phase));
    Ok(())
}

/// Reads the state; `None` when an attempt ended before it was first stored.
///
/// # Errors
///
/// When it cannot be read or is of a newer format.
pub async fn load_state(session: &mut Session, control: &TableName) -> Result<Option<StoredState>> {
    let row = session
        .query_optional(&text::select(control, Kind::State), SHORT)
        .await
        .doing("read the control table")?;
    let Some(payload) = row.and_then(|row| row.string(2)) else { return Ok(None) };
    let state: StoredState = serde_json::from_str(&payload)
        .map_err(|_| Error::BrokenInvariant { what: "the control table's state is unreadable" })?;
    if state.format > plan::FORMAT {
        return Err(Error::BrokenInvariant { what: "the control table is of a newer version" });
    }
    Ok(Some(state))
}

/// The statement that records a finished range, for the transaction of its rows.
pub fn range_row(plan: &Plan, epoch: u64, id: u64, range: &Range, rows: u64) -> String {
    let stored = StoredRange {
        lower: range.lower.as_ref().map(Key::to_hex),
        upper: range.upper.as_ref().map(Key::to_hex),
        rows,
    };
    text::put(&plan.tables.control, Kind::Range, id, epoch, &json(&stored))
}

/// Reads the finished ranges. Of keys that only the server can order, the ranges behind the first
/// gap are forgotten: their order is unknown here, and a chunk of such keys clears its range anyway.
///
/// # Errors
///
/// When they cannot be read, and as [`fenced`].
pub async fn load_claims(
    session: &mut Session,
    control: &TableName,
    (epoch, order): (u64, KeyOrder),
) -> Result<Claims> {
    let rows = session
        .query_rows(&text::select(control, Kind::Range), SHORT)
        .await
        .doing("read the finished ranges")?;
    let mut finished = Vec::new();
    for row in &rows {
        let id = row.u64(0).unwrap_or_default();
        let payload = row.string(2).unwrap_or_default();
        let stored: StoredRange = serde_json::from_str(&payload)
            .map_err(|_| Error::BrokenInvariant { what: "a finished range is unreadable" })?;
        let key = |hex: Option<String>| hex.map(|hex| Key::from_hex(&hex)).transpose();
        let range = Range { lower: key(stored.lower)?, upper: key(stored.upper)? };
        finished.push((range, FinishedRow { id, rows: stored.rows }));
    }
    match order {
        KeyOrder::Ours => finished.sort_by(|one, two| one.0.lower.cmp(&two.0.lower)),
        KeyOrder::Server => {
            let (chain, rest) = split_chain(finished);
            forget(session, control, epoch, &rest).await?;
            finished = chain;
        }
    }
    Ok(Claims::resume(finished))
}

async fn forget(
    session: &mut Session,
    control: &TableName,
    epoch: u64,
    ranges: &[(Range, FinishedRow)],
) -> Result<()> {
    if ranges.is_empty() {
        return Ok(());
    }
    fenced(session, control, epoch, async |session| {
        for (_, row) in ranges {
            let delete = text::delete(control, Kind::Range, row.id);
            session.execute(&delete, SHORT).await.doing("forget a range")?;
        }
        Ok(())
    })
    .await
}

type Finished = Vec<(Range, FinishedRow)>;

/// The ranges that follow one another from the start of the key space, and the others.
fn split_chain(mut finished: Finished) -> (Finished, Finished) {
    let mut chain = Vec::new();
    let mut end = None;
    while let Some(index) = finished.iter().position(|(range, _)| range.lower == end) {
        let next = finished.swap_remove(index);
        end.clone_from(&next.0.upper);
        chain.push(next);
        if end.is_none() {
            break;
        }
    }
    (chain, finished)
}

/// The newest durable position on record.
///
/// # Errors
///
/// When none can be read.
pub async fn load_position(session: &mut Session, control: &TableName) -> Result<Position> {
    let rows = session
        .query_rows(&text::select(control, Kind::Position), SHORT)
        .await
        .doing("read the stored position")?;
    rows.iter()
        .filter_map(|row| serde_json::from_str::<Position>(&row.string(2)?).ok())
        .max_by(|one, two| one.coordinates.cmp(&two.coordinates))
        .ok_or(Error::BrokenInvariant { what: "the control table holds no position" })
}

/// The statement that records a durable position.
pub fn position_row(plan: &Plan, epoch: u64, id: u64, position: &Position) -> String {
    text::put(&plan.tables.control, Kind::Position, id, epoch, &json(position))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chain_ends_at_the_first_gap() {
        let key = |byte: u8| Some(Key::from_bytes(&[byte]));
        let item = |lower, upper, id| (Range { lower, upper }, FinishedRow { id, rows: 1 });
        let (chain, rest) = split_chain(vec![
            item(key(5), key(6), 3),
            item(key(1), key(2), 2),
            item(None, key(1), 1),
        ]);
        assert_eq!(chain.iter().map(|(_, row)| row.id).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(rest.len(), 1);
    }
}
