//! Binlog events as plain data, and reading them from an event's type and bytes. Pure; anything that is neither
//! understood nor known to be harmless is an error, never a guess.

use mysql_async::binlog::events::{Event, GtidEvent};

use super::{
    StreamError,
    bytes::{byte, fixed, number, take},
    row_image::{RowsKind, split_header},
};
use crate::{
    mysql::position::{Coordinates, Gtid},
    schema::table::TableName,
};

const IGNORABLE: u16 = 0x80;

/// One event of the binlog. `end` is the place behind it, or behind the compressed transaction that holds it.
#[derive(Debug)]
pub enum BinlogEvent {
    /// A group of events begins.
    Gtid {
        /// Its identity; `None` when the server works without GTIDs.
        gtid: Option<Gtid>,
    },
    /// A statement: DDL, transaction control, or a change logged as text.
    Query {
        /// The default database of the session.
        database: String,
        /// The text, as far as it is UTF-8.
        statement: String,
        /// The place behind it.
        end: Coordinates,
    },
    /// A transaction was committed.
    Xid {
        /// The place behind it.
        end: Coordinates,
    },
    /// An XA transaction was prepared, or committed in one phase.
    XaPrepare {
        /// Its identity as the server writes it: `X'..',X'..',1`.
        xid: String,
        /// Whether this is its commit.
        one_phase: bool,
        /// The place behind it.
        end: Coordinates,
    },
    /// The table of the rows events that follow.
    TableMap(TableMap),
    /// Rows of one table.
    Rows(Rows),
    /// The stream goes on in another file.
    Rotate {
        /// Where.
        to: Coordinates,
    },
    /// Nothing new.
    Heartbeat {
        /// Where the server stands.
        at: Coordinates,
    },
    /// The server may have lost changes.
    Incident,
    /// Of no interest.
    Other,
}

/// A table map event.
#[derive(Debug)]
pub struct TableMap {
    /// The number by which rows events name the table.
    pub table_id: u64,
    /// The table.
    pub table: TableName,
    columns: Bytes,
}

/// A rows event.
#[derive(Debug)]
pub struct Rows {
    /// The number that the table map gave.
    pub table_id: u64,
    /// What was done to the rows.
    pub kind: RowsKind,
    body: Bytes,
}

/// What is needed of an event besides its bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub kind: u8,
    pub flags: u16,
}

/// A tail of an event's data, without copying it.
struct Bytes {
    source: Source,
    start: usize,
}

enum Source {
    Event(Box<Event>),
    #[cfg(test)]
    Plain(Vec<u8>),
}

impl TableMap {
    /// Column types and metadata, for `Layout::parse`.
    pub fn columns(&self) -> &[u8] {
        self.columns.as_slice()
    }
}

impl Rows {
    /// The rows, for `KeyReader::keys`.
    pub fn body(&self) -> &[u8] {
        self.body.as_slice()
    }
}

#[cfg(test)]
impl BinlogEvent {
    /// A table map from its parts.
    pub(crate) fn table_map(table_id: u64, table: TableName, columns: &[u8]) -> Self {
        let columns = Bytes { source: Source::Plain(columns.to_vec()), start: 0 };
        Self::TableMap(TableMap { table_id, table, columns })
    }

    /// A rows event from its parts.
    pub(crate) fn rows(table_id: u64, kind: RowsKind, body: &[u8]) -> Self {
        let body = Bytes { source: Source::Plain(body.to_vec()), start: 0 };
        Self::Rows(Rows { table_id, kind, body })
    }
}

impl Bytes {
    /// The last `length` bytes of the event.
    fn tail(event: Event, length: usize) -> Self {
        let start = event.data().len().saturating_sub(length);
        Self { source: Source::Event(Box::new(event)), start }
    }

    fn as_slice(&self) -> &[u8] {
        let data = match &self.source {
            Source::Event(event) => event.data(),
            #[cfg(test)]
            Source::Plain(bytes) => bytes.as_slice(),
        };
        data.get(self.start..).unwrap_or_default()
    }
}

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.as_slice().len())
    }
}

/// Reads one event that is no table map, no rows event and no tagged GTID.
pub(super) fn parse_plain(
    header: Header,
    data: &[u8],
    end: &Coordinates,
) -> Result<BinlogEvent, StreamError> {
    let damaged = || StreamError::InvalidEvent { kind: header.kind };
    let end = || end.clone();
    Ok(match header.kind {
        2 => query(data, 0, end()).ok_or_else(damaged)?,
        18 => query(data, 13, end()).ok_or_else(damaged)?,
        4 => BinlogEvent::Rotate { to: rotate(data).ok_or_else(damaged)? },
        16 => BinlogEvent::Xid { end: end() },
        26 => BinlogEvent::Incident,
        27 => BinlogEvent::Heartbeat { at: end() },
        33 => BinlogEvent::Gtid { gtid: Some(gtid(data).ok_or_else(damaged)?) },
        34 => BinlogEvent::Gtid { gtid: None },
        38 => xa_prepare(data, end()).ok_or_else(damaged)?,
        // Stop, variables of statements, files of LOAD DATA, format, comments, sets of GTIDs, group replication,
        // and the shell of a compressed transaction.
        3 | 5 | 9 | 11 | 13 | 14 | 15 | 17 | 28 | 29 | 35 | 36 | 37 | 40 => BinlogEvent::Other,
        _ if header.flags & IGNORABLE != 0 => BinlogEvent::Other,
        kind => return Err(StreamError::UnknownEvent { kind }),
    })
}

/// Reads any event.
pub(super) fn parse(event: Event, end: &Coordinates) -> Result<BinlogEvent, StreamError> {
    let header = event.header();
    let header = Header { kind: header.event_type_raw(), flags: header.flags_raw() };
    let damaged = StreamError::InvalidEvent { kind: header.kind };
    match header.kind {
        19 => table_map(event).ok_or(damaged),
        23 | 30 => rows(event, RowsKind::Write, header).ok_or(damaged),
        24 | 31 => rows(event, RowsKind::Update, header).ok_or(damaged),
        25 | 32 => rows(event, RowsKind::Delete, header).ok_or(damaged),
        39 => rows(event, RowsKind::PartialUpdate, header).ok_or(damaged),
        42 => tagged_gtid(&event).ok_or(damaged),
        _ => parse_plain(header, event.data(), end),
    }
}

fn table_map(event: Event) -> Option<BinlogEvent> {
    let mut data = event.data();
    let table_id = fixed(&mut data, 6)?;
    take(&mut data, 2)?;
    let mut name = || {
        let length = byte(&mut data)?;
        let text = text(take(&mut data, usize::from(length))?);
        take(&mut data, 1).map(|_| text)
    };
    let table = TableName { database: name()?, table: name()? };
    let length = data.len();
    Some(BinlogEvent::TableMap(TableMap { table_id, table, columns: Bytes::tail(event, length) }))
}

fn rows(event: Event, kind: RowsKind, header: Header) -> Option<BinlogEvent> {
    let (table_id, _flags, body) = split_header(event.data(), header.kind >= 30)?;
    let length = body.len();
    Some(BinlogEvent::Rows(Rows { table_id, kind, body: Bytes::tail(event, length) }))
}

fn tagged_gtid(event: &Event) -> Option<BinlogEvent> {
    let parsed = event.read_event::<GtidEvent>().ok()?;
    let tag = parsed.tag().map(|tag| tag.as_str().to_owned()).unwrap_or_default();
    let gtid = Gtid { uuid: parsed.sid(), tag, number: parsed.gno() };
    Some(BinlogEvent::Gtid { gtid: Some(gtid) })
}

fn gtid(mut data: &[u8]) -> Option<Gtid> {
    take(&mut data, 1)?;
    let uuid = take(&mut data, 16)?.try_into().ok()?;
    Some(Gtid { uuid, tag: String::new(), number: fixed(&mut data, 8)? })
}

/// `extra` bytes of fixed fields follow the ordinary ones.
fn query(mut data: &[u8], extra: usize, end: Coordinates) -> Option<BinlogEvent> {
    take(&mut data, 8)?;
    let database = byte(&mut data)?;
    take(&mut data, 2)?;
    let variables = usize::try_from(fixed(&mut data, 2)?).ok()?;
    take(&mut data, extra)?;
    take(&mut data, variables)?;
    let database = text(take(&mut data, usize::from(database))?);
    take(&mut data, 1)?;
    Some(BinlogEvent::Query { database, statement: text(data), end })
}

fn rotate(mut data: &[u8]) -> Option<Coordinates> {
    let offset = fixed(&mut data, 8)?;
    Some(Coordinates { file: text(data), offset })
}

fn xa_prepare(mut data: &[u8], end: Coordinates) -> Option<BinlogEvent> {
    let one_phase = byte(&mut data)? != 0;
    let format = fixed(&mut data, 4)?;
    let global = usize::try_from(fixed(&mut data, 4)?).ok()?;
    let branch = usize::try_from(fixed(&mut data, 4)?).ok()?;
    let global = hex::encode(take(&mut data, global)?);
    let branch = hex::encode(take(&mut data, branch)?);
    Some(BinlogEvent::XaPrepare {
        xid: format!("X'{global}',X'{branch}',{format}"),
        one_phase,
        end,
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The size that the events in a compressed transaction have in all.
pub(super) fn payload_size(mut data: &[u8]) -> Option<u64> {
    let mut size = None;
    loop {
        let field = number(&mut data)?;
        if field == 0 {
            return size;
        }
        let length = number(&mut data)?;
        let mut value = take(&mut data, length)?;
        if field == 3 {
            size = u64::try_from(number(&mut value)?).ok();
        }
    }
}

/// Whether the event's checksum is right, or there is none to check.
pub(super) fn is_intact(event: &Event) -> bool {
    let footer = event.footer();
    let algorithm = footer.get_checksum_alg();
    let Ok(Some(algorithm)) = algorithm else {
        return algorithm.is_ok();
    };
    let is_format = event.header().event_type_raw() == 15;
    let is_used = footer.get_checksum_enabled() && (is_format || algorithm as u8 != 0);
    let found = event.checksum().map(u32::from_le_bytes);
    !is_used || found == Some(event.calc_checksum(algorithm))
}

/// The GTID set's text as the pieces that the driver understands: one server and tag each.
pub(super) fn set_pieces(text: &str) -> Vec<String> {
    let mut pieces = Vec::new();
    for source in text.split(',').map(str::trim).filter(|source| !source.is_empty()) {
        let mut parts = source.split(':');
        let uuid = parts.next().unwrap_or_default();
        let mut piece = uuid.to_owned();
        let mut has_interval = false;
        for part in parts {
            let is_interval = part.starts_with(|letter: char| letter.is_ascii_digit());
            if !is_interval && has_interval {
                pieces.push(std::mem::replace(&mut piece, uuid.to_owned()));
            }
            has_interval = is_interval;
            piece.push(':');
            piece.push_str(part);
        }
        pieces.push(piece);
    }
    pieces
}
