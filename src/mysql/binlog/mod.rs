//! The binlog as a stream of plain events. Takes a connection and a place to start from, asks for heartbeats, checks
//! every checksum, and turns whatever is not understood into an error. Knows nothing of which tables matter.

mod bytes;
mod event;
mod layout;
mod row_image;

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    time::Duration,
};

use futures_util::Stream;
use mysql_async::{Conn, Sid, binlog::events::Event, prelude::Queryable};
use thiserror::Error;
use tokio::time::{Instant, timeout, timeout_at};

pub use self::{
    event::{BinlogEvent, Rows, TableMap},
    layout::Layout,
    row_image::{KeyReader, RowImageError, RowReader, RowsKind, Slot, Slots},
};
use crate::mysql::{
    error::Error as MysqlError,
    position::{Coordinates, GtidSet},
};

/// The longest silence while somebody listens; the server is asked for a sign of life every second.
const SILENCE_LIMIT: Duration = Duration::from_secs(10);
const OPEN_LIMIT: Duration = Duration::from_secs(30);
const CLOSE_LIMIT: Duration = Duration::from_secs(2);
/// File positions are 32 bits wide in the request and in event headers.
const WIDTH_OF_OFFSETS: u64 = 1 << 32;
const TRANSACTION_PAYLOAD: u8 = 40;

const PREPARE: &str = "SET @master_heartbeat_period = 1000000000, \
    @source_heartbeat_period = 1000000000, @mariadb_slave_capability = 4";

/// Where a stream starts.
#[derive(Clone, Debug, PartialEq)]
pub enum StreamStart {
    /// With the first transaction that is not in the set.
    Gtid(GtidSet),
    /// At this place.
    Coordinates(Coordinates),
}

/// Why the stream ended. No variant may be skipped: the stream cannot be used any more.
#[derive(Debug, Error)]
pub enum StreamError {
    /// The server refused the stream, or the connection broke.
    #[error("the binlog stream broke")]
    Receive {
        /// What was seen.
        source: MysqlError,
    },
    /// The stream did not start in time.
    #[error("the server did not start the binlog stream in time")]
    OpenTimedOut,
    /// Not even a heartbeat came.
    #[error("the binlog stream was silent for {} s", SILENCE_LIMIT.as_secs())]
    StreamSilent,
    /// The server ended the stream.
    #[error("the server ended the binlog stream")]
    StreamEnded,
    /// The driver cannot read what the server sent.
    #[error("the binlog stream cannot be decoded")]
    DecoderPanicked,
    /// An event of a type that is neither understood nor ignorable.
    #[error("the binlog holds an event of the unknown type {kind}")]
    UnknownEvent {
        /// Its type code.
        kind: u8,
    },
    /// An event whose bytes make no sense.
    #[error("a binlog event of type {kind} is damaged")]
    InvalidEvent {
        /// Its type code.
        kind: u8,
    },
    /// The checksum of an event is wrong.
    #[error("the checksum of a binlog event of type {kind} is wrong")]
    ChecksumMismatch {
        /// Its type code.
        kind: u8,
    },
    /// A compressed transaction did not yield all its events.
    #[error("a compressed transaction could not be read as a whole")]
    PayloadLost,
    /// A start beyond 4 GiB cannot be asked for by coordinates.
    #[error("a binlog file cannot be read from an offset of 4 GiB or more without GTIDs")]
    OffsetTooLarge,
    /// The set of GTIDs cannot be sent.
    #[error("the set of GTIDs to start from cannot be sent")]
    InvalidGtidSet,
}

/// A running binlog stream.
pub struct BinlogStream {
    stream: mysql_async::BinlogStream,
    connection_id: u32,
    at: Coordinates,
    /// Bytes of a compressed transaction that are still to come as events.
    payload_left: u64,
    silence: Silence,
    ended: bool,
}

/// How long nothing came although somebody listened. The time between an event and the next call does
/// not count: whoever holds the stream back may take as long as it likes.
#[derive(Debug, Default)]
struct Silence {
    deadline: Option<Instant>,
}

impl Silence {
    /// Until when the next event has to come. Calls that are dropped and repeated do not move it.
    fn listen(&mut self, now: Instant) -> Instant {
        *self.deadline.get_or_insert(now + SILENCE_LIMIT)
    }

    fn end(&mut self) {
        self.deadline = None;
    }
}

impl BinlogStream {
    /// Asks the server for its binlog. `server_id` must be used by nobody else. The connection must accept packets
    /// of 1 GiB.
    pub async fn open(
        mut conn: Conn,
        start: &StreamStart,
        server_id: u32,
    ) -> Result<Self, StreamError> {
        let connection_id = conn.id();
        let at = match start {
            StreamStart::Coordinates(at) => at.clone(),
            StreamStart::Gtid(_) => Coordinates { file: String::new(), offset: 0 },
        };
        let opened = async {
            conn.query_drop(PREPARE).await.map_err(receive_error)?;
            let request = request(start, server_id)?;
            conn.get_binlog_stream(request).await.map_err(receive_error)
        };
        let stream = timeout(OPEN_LIMIT, opened).await.map_err(|_| StreamError::OpenTimedOut)??;
        let silence = Silence::default();
        Ok(Self { stream, connection_id, at, payload_left: 0, silence, ended: false })
    }

    /// The server's id of this connection, to kill it by.
    pub fn connection_id(&self) -> u32 {
        self.connection_id
    }

    /// The next event. A call that is dropped loses nothing. After an error every further call fails.
    pub async fn next(&mut self) -> Result<BinlogEvent, StreamError> {
        if self.ended {
            return Err(StreamError::StreamEnded);
        }
        let deadline = self.silence.listen(Instant::now());
        let received = timeout_at(deadline, receive(&mut self.stream)).await;
        let result = match received {
            Ok(received) => received.and_then(|event| self.take(event)),
            Err(_) => Err(StreamError::StreamSilent),
        };
        self.silence.end();
        self.ended = result.is_err();
        result
    }

    /// Ends the stream. The server notices at its next write at the latest.
    pub async fn close(self) {
        let closed = timeout(CLOSE_LIMIT, self.stream.close()).await;
        tracing::debug!(in_time = closed.is_ok(), "binlog stream closed");
    }

    fn take(&mut self, event: Event) -> Result<BinlogEvent, StreamError> {
        let header = event.header();
        let kind = header.event_type_raw();
        if !event::is_intact(&event) {
            return Err(StreamError::ChecksumMismatch { kind });
        }
        if self.payload_left > 0 {
            self.account(&event)?;
        } else {
            self.at.offset = end_offset(self.at.offset, header.log_pos(), kind);
        }
        if kind == TRANSACTION_PAYLOAD {
            let size = event::payload_size(event.data());
            self.payload_left = size.ok_or(StreamError::PayloadLost)?;
        }
        let parsed = event::parse(event, &self.at)?;
        if let BinlogEvent::Rotate { to } = &parsed {
            self.at = to.clone();
        }
        Ok(parsed)
    }

    /// Counts an event against the compressed transaction it must belong to. One that carries a checksum does not
    /// belong to it: the driver gave the transaction up without a word.
    fn account(&mut self, event: &Event) -> Result<(), StreamError> {
        let size = u64::from(event.header().event_size());
        let is_outer = matches!(event.header().event_type_raw(), 4 | 15 | 27 | 33 | 34 | 42);
        if is_outer || event.footer().get_checksum_enabled() {
            return Err(StreamError::PayloadLost);
        }
        self.payload_left = self.payload_left.checked_sub(size).ok_or(StreamError::PayloadLost)?;
        Ok(())
    }
}

/// Polls the driver, which panics on some damaged input.
async fn receive(stream: &mut mysql_async::BinlogStream) -> Result<Event, StreamError> {
    let next = poll_fn(|context| {
        let poll = catch_unwind(AssertUnwindSafe(|| Pin::new(&mut *stream).poll_next(context)));
        match poll {
            Ok(poll) => poll.map(Ok),
            Err(_) => std::task::Poll::Ready(Err(StreamError::DecoderPanicked)),
        }
    });
    match next.await? {
        Some(Ok(event)) => Ok(event),
        Some(Err(error)) => Err(receive_error(error)),
        None => Err(StreamError::StreamEnded),
    }
}

fn receive_error(error: mysql_async::Error) -> StreamError {
    StreamError::Receive { source: MysqlError::from_statement(error) }
}

fn request(
    start: &StreamStart,
    server_id: u32,
) -> Result<mysql_async::BinlogStreamRequest<'_>, StreamError> {
    let request = mysql_async::BinlogStreamRequest::new(server_id);
    match start {
        StreamStart::Coordinates(at) if at.offset >= WIDTH_OF_OFFSETS => {
            Err(StreamError::OffsetTooLarge)
        }
        StreamStart::Coordinates(at) => {
            Ok(request.with_filename(at.file.as_bytes()).with_pos(at.offset))
        }
        StreamStart::Gtid(set) => {
            let pieces = event::set_pieces(&set.to_string());
            let sids = pieces.iter().map(|piece| piece.parse::<Sid<'static>>());
            let sids = sids.collect::<Result<Vec<_>, _>>();
            let sids = sids.map_err(|_| StreamError::InvalidGtidSet)?;
            Ok(request.with_gtid().with_gtid_set(sids))
        }
    }
}

/// The full offset behind an event whose header holds the lower 32 bits. Artificial events hold 0 and heartbeats
/// repeat a place; neither moves the offset.
fn end_offset(current: u64, low: u32, kind: u8) -> u64 {
    if low == 0 || matches!(kind, 4 | 27) {
        return current;
    }
    let same_lap = current - current % WIDTH_OF_OFFSETS + u64::from(low);
    if same_lap >= current {
        same_lap
    } else if current - same_lap > WIDTH_OF_OFFSETS / 2 {
        same_lap + WIDTH_OF_OFFSETS
    } else {
        current
    }
}

#[cfg(test)]
mod tests;
