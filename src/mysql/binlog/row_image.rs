//! Row images: stepping over every column exactly and keeping only the wanted ones, as keys or as raw bytes.
//! Pure, bounded by its input and free of panics on hostile bytes. Signedness comes from the migration key.

use std::borrow::Cow;

use smallvec::{SmallVec, smallvec};
use thiserror::Error;

use super::{
    bytes::{byte, fixed, little_endian, number, take},
    layout::{Layout, Width, WireColumn, code},
};
use crate::schema::key::{Key, KeyKind, MigrationKey, decimal_size, fraction_size, put_escaped};

const NOT_WANTED: u16 = u16::MAX;
const PARTIAL_JSON: usize = 1;

/// What rows of an event are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowsKind {
    /// Inserted rows: after images.
    Write,
    /// Updated rows: before and after images.
    Update,
    /// Deleted rows: before images.
    Delete,
    /// Updated rows whose JSON columns may hold differences.
    PartialUpdate,
}

/// Why rows cannot be read. Messages hold no values.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RowImageError {
    /// The table map event is damaged.
    #[error("a table map event is damaged")]
    InvalidTableMap,
    /// The rows event is damaged, or not of the table map's columns.
    #[error("a rows event is damaged")]
    InvalidRows,
    /// The type of a column cannot be stepped over.
    #[error("column type {0} is not supported in row images")]
    UnknownColumnType(u8),
    /// A column that is needed is not in the image.
    #[error("the row image lacks key column {0}")]
    KeyNotInRowImage(String),
    /// A key column is not of the type that the key was made for.
    #[error("column {0} of the row image is not of the expected type")]
    UnexpectedType(String),
}

/// A wanted column in one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot<'a> {
    /// Not in the image.
    Absent,
    /// NULL.
    Null,
    /// Its stored bytes, without a length in front.
    Value(&'a [u8]),
}

/// The wanted columns of one image.
pub type Slots<'a> = SmallVec<[Slot<'a>; 4]>;

/// Reads the rows events of one table map.
#[derive(Clone, Debug)]
pub struct RowReader {
    layout: Layout,
    wanted: Vec<usize>,
    all: Vec<Step>,
}

/// Reads the rows events of one table map as keys.
#[derive(Clone, Debug)]
pub struct KeyReader {
    rows: RowReader,
    columns: Vec<(String, Transfer)>,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    width: Width,
    slot: u16,
}

type Steps<'a> = Cow<'a, [Step]>;

/// How a stored value becomes key bytes.
#[derive(Clone, Copy, Debug)]
enum Transfer {
    /// Little endian; turned round, with the sign bit inverted.
    Signed,
    /// Little endian; turned round and widened.
    Unsigned(u8),
    /// Orders as it is stored.
    Same,
    /// Padded with zero bytes.
    Padded(usize),
    /// Escaped and terminated.
    Escaped,
}

/// A rows event taken apart.
struct RowsEvent<'a> {
    columns: usize,
    first: &'a [u8],
    second: Option<&'a [u8]>,
    rows: &'a [u8],
}

impl RowReader {
    /// A reader that keeps the columns at these positions, in this order.
    pub fn new(layout: Layout, wanted: Vec<usize>) -> Self {
        let mut reader = Self { layout, wanted, all: Vec::new() };
        reader.all = reader.steps(None).into_owned();
        reader
    }

    /// Calls `visit` with the before and after image of each row. An after image that lacks a column has the
    /// before image's value.
    pub fn read<'a>(
        &self,
        kind: RowsKind,
        body: &'a [u8],
        mut visit: impl FnMut(Option<&Slots<'a>>, Option<&Slots<'a>>) -> Result<(), RowImageError>,
    ) -> Result<(), RowImageError> {
        let event = RowsEvent::parse(kind, body).ok_or(RowImageError::InvalidRows)?;
        if event.columns != self.layout.columns.len() {
            return Err(RowImageError::InvalidRows);
        }
        let (before, after) = self.plans(kind, &event);
        let (before, after) = (before.as_deref(), after.as_deref());
        let mut rows = event.rows;
        while !rows.is_empty() {
            let length = rows.len();
            let first = before.map(|steps| self.image(steps, &mut rows, None)).transpose()?;
            if kind == RowsKind::PartialUpdate {
                self.skip_partial_bits(&mut rows).ok_or(RowImageError::InvalidRows)?;
            }
            let second =
                after.map(|steps| self.image(steps, &mut rows, first.as_ref())).transpose()?;
            visit(first.as_ref(), second.as_ref())?;
            if rows.len() == length {
                return Err(RowImageError::InvalidRows);
            }
        }
        Ok(())
    }

    /// The steps of the before and the after image.
    fn plans(
        &self,
        kind: RowsKind,
        event: &RowsEvent<'_>,
    ) -> (Option<Steps<'_>>, Option<Steps<'_>>) {
        let first = self.steps(Some(event.first));
        let second = event.second.map(|present| self.steps(Some(present)));
        match kind {
            RowsKind::Write => (None, Some(first)),
            RowsKind::Delete => (Some(first), None),
            RowsKind::Update | RowsKind::PartialUpdate => (Some(first), second),
        }
    }

    /// The steps over the columns whose bit is set; over all columns without bits.
    fn steps(&self, present: Option<&[u8]>) -> Steps<'_> {
        let count = self.layout.columns.len();
        if let Some(bits) = present
            && self.all.len() == count
            && (0..count).all(|column| is_set(bits, column))
        {
            return Cow::Borrowed(&self.all);
        }
        let mut steps = Vec::with_capacity(count);
        for (number, column) in self.layout.columns.iter().enumerate() {
            if present.is_none_or(|bits| is_set(bits, number)) {
                let slot = self.wanted.iter().position(|wanted| *wanted == number);
                let slot = slot.and_then(|slot| u16::try_from(slot).ok()).unwrap_or(NOT_WANTED);
                steps.push(Step { width: column.width, slot });
            }
        }
        Cow::Owned(steps)
    }

    fn image<'a>(
        &self,
        steps: &[Step],
        rows: &mut &'a [u8],
        earlier: Option<&Slots<'a>>,
    ) -> Result<Slots<'a>, RowImageError> {
        let mut slots = match earlier {
            Some(slots) => slots.clone(),
            None => smallvec![Slot::Absent; self.wanted.len()],
        };
        read_image(steps, rows, &mut slots).ok_or(RowImageError::InvalidRows)?;
        Ok(slots)
    }

    /// Steps over the options and the bits that tell which JSON columns hold differences; a difference is stored
    /// behind the same length as a whole document.
    fn skip_partial_bits(&self, rows: &mut &[u8]) -> Option<()> {
        if number(rows)? & PARTIAL_JSON != 0 {
            take(rows, self.layout.json_columns.div_ceil(8))?;
        }
        Some(())
    }
}

impl KeyReader {
    /// A reader for the key's columns. Fails when a column is not of the key's type.
    pub fn new(layout: Layout, key: &MigrationKey) -> Result<Self, RowImageError> {
        let mut columns = Vec::with_capacity(key.columns.len());
        for column in &key.columns {
            let wire = layout.columns.get(column.position);
            let transfer = wire.and_then(|wire| transfer(&column.kind, wire));
            let unexpected = || RowImageError::UnexpectedType(column.name.clone());
            columns.push((column.name.clone(), transfer.ok_or_else(unexpected)?));
        }
        let wanted = key.columns.iter().map(|column| column.position).collect();
        Ok(Self { rows: RowReader::new(layout, wanted), columns })
    }

    /// The keys of the before and after images; an update that keeps its key gives it once.
    pub fn keys(&self, kind: RowsKind, body: &[u8]) -> Result<Vec<Key>, RowImageError> {
        let mut keys = Vec::new();
        let (mut old, mut new) = (Vec::with_capacity(64), Vec::with_capacity(64));
        self.rows.read(kind, body, |before, after| {
            if let Some(slots) = before {
                self.write_key(slots, &mut old)?;
                keys.push(Key::from_bytes(&old));
            }
            if let Some(slots) = after {
                self.write_key(slots, &mut new)?;
                if before.is_none() || old != new {
                    keys.push(Key::from_bytes(&new));
                }
            }
            Ok(())
        })?;
        Ok(keys)
    }

    fn write_key(&self, slots: &Slots<'_>, out: &mut Vec<u8>) -> Result<(), RowImageError> {
        out.clear();
        for ((name, transfer), slot) in self.columns.iter().zip(slots) {
            match slot {
                Slot::Value(value) => {
                    transfer.write(value, out).ok_or(RowImageError::InvalidRows)?;
                }
                Slot::Absent => return Err(RowImageError::KeyNotInRowImage(name.clone())),
                Slot::Null => return Err(RowImageError::UnexpectedType(name.clone())),
            }
        }
        Ok(())
    }
}

impl Transfer {
    fn write(self, value: &[u8], out: &mut Vec<u8>) -> Option<()> {
        match self {
            Self::Signed => {
                let start = out.len();
                out.extend(value.iter().rev());
                *out.get_mut(start)? ^= 0x80;
            }
            Self::Unsigned(size) => {
                let missing = usize::from(size).checked_sub(value.len())?;
                out.resize(out.len() + missing, 0);
                out.extend(value.iter().rev());
            }
            Self::Same => out.extend_from_slice(value),
            Self::Padded(length) => {
                let missing = length.checked_sub(value.len())?;
                out.extend_from_slice(value);
                out.resize(out.len() + missing, 0);
            }
            Self::Escaped => put_escaped(out, value),
        }
        Some(())
    }
}

impl<'a> RowsEvent<'a> {
    /// Takes a version 2 body apart: table id, flags, extra data, columns, bits, rows.
    fn parse(kind: RowsKind, mut body: &'a [u8]) -> Option<Self> {
        let columns = number(&mut body)?;
        let bitmap = columns.div_ceil(8);
        let first = take(&mut body, bitmap)?;
        let second = match kind {
            RowsKind::Write | RowsKind::Delete => None,
            RowsKind::Update | RowsKind::PartialUpdate => Some(take(&mut body, bitmap)?),
        };
        Some(Self { columns, first, second, rows: body })
    }
}

/// Table id, flags and the rest of a rows event; `extended` for version 2, which has extra data.
pub(super) fn split_header(mut data: &[u8], extended: bool) -> Option<(u64, u16, &[u8])> {
    let table_id = fixed(&mut data, 6)?;
    let flags = u16::try_from(fixed(&mut data, 2)?).ok()?;
    if extended {
        let length = usize::try_from(fixed(&mut data, 2)?).ok()?;
        take(&mut data, length.checked_sub(2)?)?;
    }
    Some((table_id, flags, data))
}

fn is_set(bits: &[u8], number: usize) -> bool {
    bits.get(number / 8).is_some_and(|byte| byte >> (number % 8) & 1 == 1)
}

fn read_image<'a>(steps: &[Step], rows: &mut &'a [u8], slots: &mut Slots<'a>) -> Option<()> {
    let nulls = take(rows, steps.len().div_ceil(8))?;
    for (group, null_bits) in steps.chunks(8).zip(nulls) {
        for (bit, step) in group.iter().enumerate() {
            let slot = if null_bits >> bit & 1 == 1 {
                Slot::Null
            } else {
                Slot::Value(take_value(step.width, rows)?)
            };
            if step.slot != NOT_WANTED {
                *slots.get_mut(usize::from(step.slot))? = slot;
            }
        }
    }
    Some(())
}

fn take_value<'a>(width: Width, rows: &mut &'a [u8]) -> Option<&'a [u8]> {
    match width {
        Width::Fixed(size) => take(rows, usize::from(size)),
        Width::Prefixed(1) => {
            let length = byte(rows)?;
            take(rows, usize::from(length))
        }
        Width::Prefixed(size) => {
            let length = little_endian(take(rows, usize::from(size))?);
            take(rows, usize::try_from(length).ok()?)
        }
    }
}

/// How this wire column becomes a key of this kind; `None` when they do not belong together.
fn transfer(kind: &KeyKind, wire: &WireColumn) -> Option<Transfer> {
    let [high, low] = wire.meta.to_be_bytes();
    let fraction = |fsp: u8| wire.meta == u16::from(fsp) && fraction_size(fsp) <= 3;
    let fits = match (kind, wire.kind) {
        (KeyKind::Int { bytes } | KeyKind::UInt { bytes }, code) => code == integer_code(*bytes)?,
        (KeyKind::Decimal { precision, scale }, code::NEWDECIMAL) => {
            (*precision, *scale) == (high, low) && decimal_size(high, low).is_some()
        }
        (KeyKind::Bit { bits }, code::BIT) => wire.width == Width::Fixed(bits.div_ceil(8).into()),
        (KeyKind::Time { fsp }, code::TIME2)
        | (KeyKind::DateTime { fsp }, code::DATETIME2)
        | (KeyKind::Timestamp { fsp }, code::TIMESTAMP2) => fraction(*fsp),
        (KeyKind::Enum { .. }, code::ENUM) => low <= 2,
        (KeyKind::Year, code::YEAR)
        | (KeyKind::Date, code::DATE | code::NEWDATE)
        | (KeyKind::Set { .. }, code::SET)
        | (KeyKind::Binary { .. }, code::STRING) => true,
        (KeyKind::VarBinary | KeyKind::Text { .. }, other) => {
            matches!(other, code::VARCHAR | code::VAR_STRING | code::STRING)
        }
        _ => false,
    };
    fits.then(|| rule(kind)).flatten()
}

fn rule(kind: &KeyKind) -> Option<Transfer> {
    Some(match kind {
        KeyKind::Int { .. } => Transfer::Signed,
        KeyKind::UInt { bytes } => Transfer::Unsigned(*bytes),
        KeyKind::Date => Transfer::Unsigned(3),
        KeyKind::Enum { .. } => Transfer::Unsigned(2),
        KeyKind::Set { .. } => Transfer::Unsigned(8),
        KeyKind::Binary { length } => Transfer::Padded(usize::try_from(*length).ok()?),
        KeyKind::VarBinary | KeyKind::Text { .. } => Transfer::Escaped,
        _ => Transfer::Same,
    })
}

fn integer_code(bytes: u8) -> Option<u8> {
    match bytes {
        1 => Some(code::TINY),
        2 => Some(code::SHORT),
        3 => Some(code::INT24),
        4 => Some(code::LONG),
        8 => Some(code::LONGLONG),
        _ => None,
    }
}
