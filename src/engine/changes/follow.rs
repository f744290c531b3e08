//! The task that follows the binlog from the first position to the swap: it feeds keys into the
//! backlog, counts transactions, and hears the echoes of our own writes.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::transaction::{Change, ChangeError, Transactions, Watched};
use crate::engine::backlog::pending::Seq;
use crate::engine::context::Context;
use crate::engine::error::Error;
use crate::failpoint::hit;
use crate::mysql::binlog::BinlogStream;
use crate::schema::key::Key;

/// Keys that may wait before the stream stops reading.
const BACKLOG_LIMIT: usize = 4_000_000;

/// The transaction that is arriving.
struct Arriving {
    seq: Seq,
    /// Keys of an XA transaction, kept aside until it is known what becomes of it.
    aside: Option<Vec<Key>>,
}

/// Follows the stream until the attempt ends.
///
/// # Errors
///
/// When the stream breaks or shows something that must not be skipped.
pub async fn follow(context: Arc<Context>, mut stream: BinlogStream) -> Result<(), Error> {
    let tables = &context.plan.tables;
    let mut transactions = Transactions::new(Watched {
        source: tables.source.clone(),
        shadow: tables.shadow.clone(),
        control: tables.control.clone(),
        key: context.plan.pair.source_key.clone(),
        column_count: context.plan.column_count,
    });
    let mut arriving: Option<Arriving> = None;
    loop {
        let event = tokio::select! {
            event = stream.next() => event.map_err(ChangeError::from)?,
            () = context.stop.cancelled() => return Ok(()),
        };
        for change in transactions.accept(event)? {
            receive(&context, &mut arriving, change).await?;
        }
        hold_back(&context).await;
    }
}

/// Takes one change in.
async fn receive(
    context: &Context,
    arriving: &mut Option<Arriving>,
    change: Change,
) -> Result<(), Error> {
    let broken = || Error::BrokenInvariant { what: "a change outside a transaction" };
    match change {
        Change::Begin { gtid } => {
            let mut flow = context.flow();
            if let Some(gtid) = &gtid {
                flow.received.insert(gtid);
            }
            flow.begun += 1;
            *arriving = Some(Arriving { seq: flow.backlog.begin(), aside: None });
        }
        Change::XaStarted => {
            arriving.as_mut().ok_or_else(broken)?.aside = Some(Vec::new());
        }
        Change::Keys(keys) => {
            let arriving = arriving.as_mut().ok_or_else(broken)?;
            match &mut arriving.aside {
                Some(aside) => aside.extend(keys),
                None => receive_keys(context, keys, arriving.seq),
            }
        }
        Change::End { at } => {
            let ended = arriving.take().ok_or_else(broken)?;
            // XA COMMIT ONE PHASE ends like any other transaction.
            receive_keys(context, ended.aside.unwrap_or_default(), ended.seq);
            context.flow().backlog.end(ended.seq, at);
        }
        Change::XaPrepared { xid, at } => {
            let ended = arriving.take().ok_or_else(broken)?;
            let keys = ended.aside.unwrap_or_default();
            context.flow().backlog.prepare_xa(xid, keys, ended.seq, at);
            hit("stream.xa_prepared");
        }
        Change::XaCommitted { xid, at } => {
            let ended = arriving.take().ok_or_else(broken)?;
            context.flow().backlog.commit_xa(&xid, ended.seq, at);
            context.lane_work.notify_waiters();
        }
        Change::XaRolledBack { xid, at } => {
            let ended = arriving.take().ok_or_else(broken)?;
            context.flow().backlog.roll_back_xa(&xid, ended.seq, at);
        }
        Change::Control { kind, payload, .. } => hear(context, &kind, &payload).await,
        Change::Heartbeat => {}
    }
    Ok(())
}

fn receive_keys(context: &Context, keys: Vec<Key>, seq: Seq) {
    if keys.is_empty() {
        return;
    }
    let mut flow = context.flow();
    for key in keys {
        flow.backlog.receive(key, seq);
    }
    drop(flow);
    context.lane_work.notify_waiters();
}

/// Hears an own write: `epoch:number` in its payload. Those of earlier epochs mean nothing now.
async fn hear(context: &Context, kind: &str, payload: &[u8]) {
    let Some(number) = own_number(context.epoch, payload) else { return };
    match kind {
        "heartbeat" => {
            let lag =
                Instant::now().saturating_duration_since(context.meter.heartbeat_sent(number));
            context.meter.update(|progress| progress.stream_lag = Some(lag));
        }
        "marker" => {
            // Markers of several sessions need not be committed in the order of their numbers.
            context.marker_seen.send_modify(|seen| *seen = number.max(*seen));
            hold_behind_marker(context, number).await;
        }
        _ => {}
    }
}

fn own_number(epoch: u64, payload: &[u8]) -> Option<u64> {
    let (of_epoch, number) = std::str::from_utf8(payload).ok()?.split_once(':')?;
    (of_epoch.parse() == Ok(epoch)).then(|| number.parse().ok())?
}

/// Behind the marker of a cut-over the stream stops, so that the swap itself is not read as a change
/// by somebody else; it goes on when the attempt is given up.
async fn hold_behind_marker(context: &Context, number: u64) {
    let mut released = context.stream_released.subscribe();
    if context.echoes.hold_at.load(Ordering::Acquire) != number {
        return;
    }
    tokio::select! {
        _ = released.wait_for(|released| *released >= number) => {}
        () = context.stop.cancelled() => {}
    }
}

/// Stops reading while too many keys wait.
async fn hold_back(context: &Context) {
    while context.flow().backlog.queued() > BACKLOG_LIMIT && !context.stop.is_cancelled() {
        context.lane_progress(Duration::from_secs(1)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_numbers_of_this_epoch_are_heard() {
        assert_eq!(own_number(3, b"3:7"), Some(7));
        assert_eq!(own_number(3, b"2:7"), None);
        assert_eq!(own_number(3, b"3:x"), None);
        assert_eq!(own_number(3, b"\xff"), None);
    }
}
