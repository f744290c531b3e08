//! The columns of a table as a table map event describes them: what is needed to step over each value exactly.
//! Pure and safe on hostile bytes; knows nothing of keys.

use super::{
    bytes::{little_endian, number, take},
    row_image::RowImageError,
};

/// Type codes of the wire.
pub(super) mod code {
    pub const TINY: u8 = 1;
    pub const SHORT: u8 = 2;
    pub const LONG: u8 = 3;
    pub const LONGLONG: u8 = 8;
    pub const INT24: u8 = 9;
    pub const DATE: u8 = 10;
    pub const YEAR: u8 = 13;
    pub const NEWDATE: u8 = 14;
    pub const VARCHAR: u8 = 15;
    pub const BIT: u8 = 16;
    pub const TIMESTAMP2: u8 = 17;
    pub const DATETIME2: u8 = 18;
    pub const TIME2: u8 = 19;
    pub const VECTOR: u8 = 242;
    pub const JSON: u8 = 245;
    pub const NEWDECIMAL: u8 = 246;
    pub const ENUM: u8 = 247;
    pub const SET: u8 = 248;
    pub const TINY_BLOB: u8 = 249;
    pub const BLOB: u8 = 252;
    pub const VAR_STRING: u8 = 253;
    pub const STRING: u8 = 254;
    pub const GEOMETRY: u8 = 255;
}

/// The columns of one table map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Every column in order.
    pub(super) columns: Vec<WireColumn>,
    /// How many of them are JSON.
    pub(super) json_columns: usize,
}

/// One column on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WireColumn {
    /// The real type; ENUM, SET and STRING are told apart.
    pub kind: u8,
    /// Precision and scale, digits of the fraction, or the like.
    pub meta: u16,
    /// How long a value is.
    pub width: Width,
}

/// How long a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    /// Always so many bytes.
    Fixed(u16),
    /// A length of so many bytes, little endian, then the value.
    Prefixed(u8),
}

impl Layout {
    /// Reads column count, types and metadata: what follows the table's name in a table map.
    pub fn parse(mut input: &[u8]) -> Result<Self, RowImageError> {
        let count = number(&mut input).ok_or(RowImageError::InvalidTableMap)?;
        let types = take(&mut input, count).ok_or(RowImageError::InvalidTableMap)?;
        let length = number(&mut input).ok_or(RowImageError::InvalidTableMap)?;
        let mut metadata = take(&mut input, length).ok_or(RowImageError::InvalidTableMap)?;
        let columns = types.iter().map(|kind| column(*kind, &mut metadata));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let json_columns = columns.iter().filter(|column| column.kind == code::JSON).count();
        Ok(Self { columns, json_columns })
    }

    /// How many columns the table has, hidden ones included.
    pub fn column_count(&self) -> usize {
        self.columns.len()
    }
}

fn column(kind: u8, metadata: &mut &[u8]) -> Result<WireColumn, RowImageError> {
    let meta = metadata_of(kind, metadata).ok_or(RowImageError::InvalidTableMap)?;
    let (kind, meta) = if kind == code::STRING { real_string(meta) } else { (kind, meta) };
    let width = width(kind, meta).ok_or(RowImageError::UnknownColumnType(kind))?;
    Ok(WireColumn { kind, meta, width })
}

/// The metadata of one column; two bytes are joined with the first one high, except for lengths.
fn metadata_of(kind: u8, metadata: &mut &[u8]) -> Option<u16> {
    match kind {
        4 | 5 | code::VECTOR | code::JSON | code::GEOMETRY => Some(u16::from(*first(metadata, 1)?)),
        code::TIMESTAMP2..=code::TIME2 | code::TINY_BLOB..=code::BLOB => {
            Some(u16::from(*first(metadata, 1)?))
        }
        code::VARCHAR | code::VAR_STRING | code::BIT => {
            u16::try_from(little_endian(take(metadata, 2)?)).ok()
        }
        code::STRING | code::NEWDECIMAL | code::ENUM | code::SET => match take(metadata, 2)? {
            [high, low] => Some(u16::from_be_bytes([*high, *low])),
            _ => None,
        },
        _ => Some(0),
    }
}

fn first<'a>(metadata: &mut &'a [u8], count: usize) -> Option<&'a u8> {
    take(metadata, count)?.first()
}

/// The real type and length behind STRING: two bits of a length above 255 hide, inverted, in the type.
fn real_string(meta: u16) -> (u8, u16) {
    let [kind, length] = meta.to_be_bytes();
    if kind & 0x30 == 0x30 {
        return (kind, u16::from(length));
    }
    (kind | 0x30, u16::from(length) | (u16::from(kind & 0x30) ^ 0x30) << 4)
}

/// `None` for types that cannot be stepped over.
fn width(kind: u8, meta: u16) -> Option<Width> {
    let [high, low] = meta.to_be_bytes();
    Some(match kind {
        code::TINY | code::YEAR => Width::Fixed(1),
        code::SHORT => Width::Fixed(2),
        code::INT24 | code::DATE | code::NEWDATE | 11 => Width::Fixed(3),
        code::LONG | 4 | 7 => Width::Fixed(4),
        5 | code::LONGLONG | 12 => Width::Fixed(8),
        6 => Width::Fixed(0),
        code::VARCHAR | code::VAR_STRING | code::STRING => {
            Width::Prefixed(if meta > 255 { 2 } else { 1 })
        }
        code::BIT => Width::Fixed(u16::from(high) + u16::from(low > 0)),
        code::TIMESTAMP2 => Width::Fixed(4 + fraction(meta)?),
        code::DATETIME2 => Width::Fixed(5 + fraction(meta)?),
        code::TIME2 => Width::Fixed(3 + fraction(meta)?),
        code::NEWDECIMAL => {
            Width::Fixed(u16::try_from(crate::schema::key::decimal_size(high, low)?).ok()?)
        }
        code::ENUM | code::SET if (1..=8).contains(&low) => Width::Fixed(u16::from(low)),
        code::TINY_BLOB..=code::BLOB | code::JSON | code::GEOMETRY | code::VECTOR
            if (1..=4).contains(&meta) =>
        {
            Width::Prefixed(low)
        }
        _ => return None,
    })
}

fn fraction(meta: u16) -> Option<u16> {
    let fsp = u8::try_from(meta).ok().filter(|fsp| *fsp <= 6)?;
    Some(u16::from(crate::schema::key::fraction_size(fsp)))
}
