//! The migration key: the columns that identify a row, and keys as bytes.
//!
//! Values come in as parts (from the server's text) or as raw bytes (from a row image) and leave as a `Key` whose
//! byte order is the server's order, except for text. Knows nothing of SQL, of the binlog, or of connections.

mod choice;
mod codec;
mod decimal;
mod temporal;

use std::fmt;

use sha2::{Digest, Sha256};
use smallvec::SmallVec;
use thiserror::Error;

pub use self::{
    choice::{NoSharedKey, SharedKey},
    codec::put_escaped,
    decimal::stored_size as decimal_size,
    temporal::fraction_size,
};

/// The unique index whose columns identify a row during a migration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationKey {
    /// Name of the index.
    pub index: String,
    /// Its columns, in the order of the index.
    pub columns: Vec<KeyColumn>,
}

/// One column of the migration key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyColumn {
    /// Name as spelled in the definition.
    pub name: String,
    /// Zero-based position in a row image.
    pub position: usize,
    /// What its values are.
    pub kind: KeyKind,
}

/// What the values of a key column are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// A signed integer.
    Int {
        /// Size in bytes: 1, 2, 3, 4 or 8.
        bytes: u8,
    },
    /// An unsigned integer.
    UInt {
        /// Size in bytes: 1, 2, 3, 4 or 8.
        bytes: u8,
    },
    /// DECIMAL.
    Decimal {
        /// All digits.
        precision: u8,
        /// Digits behind the point.
        scale: u8,
    },
    /// BIT.
    Bit {
        /// Width, 1 to 64.
        bits: u8,
    },
    /// YEAR, as the number of the year.
    Year,
    /// DATE.
    Date,
    /// TIME.
    Time {
        /// Digits of the fraction.
        fsp: u8,
    },
    /// DATETIME.
    DateTime {
        /// Digits of the fraction.
        fsp: u8,
    },
    /// TIMESTAMP, in UTC.
    Timestamp {
        /// Digits of the fraction.
        fsp: u8,
    },
    /// BINARY, padded with zero bytes.
    Binary {
        /// Length in bytes.
        length: u64,
    },
    /// VARBINARY.
    VarBinary,
    /// CHAR and VARCHAR, as bytes in the column's character set. Only the server can order them.
    Text {
        /// Character set.
        charset: String,
        /// Collation.
        collation: String,
    },
    /// ENUM, as the number of the label; 0 is the error value.
    Enum {
        /// How many labels there are.
        labels: usize,
    },
    /// SET, as its bits.
    Set {
        /// How many labels there are.
        labels: usize,
    },
}

/// One value of a key.
#[derive(Clone, PartialEq, Eq)]
pub enum KeyPart {
    /// A signed integer.
    Int(i64),
    /// An unsigned integer; also BIT, YEAR, ENUM and SET.
    UInt(u64),
    /// A DECIMAL as canonical text: no superfluous zero in front, all digits of the scale.
    Decimal(String),
    /// DATE, TIME, DATETIME or TIMESTAMP (UTC) as the server prints it.
    Temporal(String),
    /// BINARY (padded), VARBINARY or text in the column's character set.
    Bytes(Vec<u8>),
}

/// An encoded key. Its `Debug` form never shows the value.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(SmallVec<[u8; 16]>);

/// Why a key cannot be encoded or decoded. Messages never contain values.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// The number of values is not the number of columns.
    #[error("a key of {expected} columns got {found} values")]
    WrongPartCount {
        /// Columns of the key.
        expected: usize,
        /// Values that came.
        found: usize,
    },
    /// There is no such column in the key.
    #[error("the key has no column number {0}")]
    NoSuchColumn(usize),
    /// A value is not of the column's type, or not in its range.
    #[error("a value does not fit key column {0}")]
    InvalidPart(String),
    /// The bytes are not a key of these columns.
    #[error("the bytes are not a key of these columns")]
    InvalidBytes,
    /// The text is not hexadecimal.
    #[error("an encoded key is not hexadecimal")]
    InvalidHex,
}

impl MigrationKey {
    /// Whether every part orders as its encoded bytes do, so that ranges can be compared here.
    pub fn is_ordered(&self) -> bool {
        self.columns.iter().all(|column| column.kind.is_ordered())
    }

    /// Encodes one value per column.
    pub fn encode(&self, parts: &[KeyPart]) -> Result<Key, KeyError> {
        if parts.len() != self.columns.len() {
            let (expected, found) = (self.columns.len(), parts.len());
            return Err(KeyError::WrongPartCount { expected, found });
        }
        let mut bytes = Vec::with_capacity(16);
        for (column, part) in self.columns.iter().zip(parts) {
            codec::put_part(&mut bytes, &column.kind, part)
                .ok_or_else(|| KeyError::InvalidPart(column.name.clone()))?;
        }
        Ok(Key::from_bytes(&bytes))
    }

    /// The values that `encode` was given.
    pub fn decode(&self, key: &Key) -> Result<Vec<KeyPart>, KeyError> {
        let mut input = key.as_bytes();
        let mut parts = Vec::with_capacity(self.columns.len());
        for column in &self.columns {
            let part = codec::take_part(&mut input, &column.kind);
            parts.push(part.ok_or(KeyError::InvalidBytes)?);
        }
        if input.is_empty() { Ok(parts) } else { Err(KeyError::InvalidBytes) }
    }

    /// A value from the text that `sql::key::select_expression` of this column returns.
    pub fn part_from_select(&self, column: usize, text: &[u8]) -> Result<KeyPart, KeyError> {
        let column = self.columns.get(column).ok_or(KeyError::NoSuchColumn(column))?;
        codec::part_from_text(&column.kind, text)
            .ok_or_else(|| KeyError::InvalidPart(column.name.clone()))
    }
}

impl KeyKind {
    /// Whether the encoded bytes order as the server orders the values.
    pub fn is_ordered(&self) -> bool {
        !matches!(self, Self::Text { .. })
    }
}

impl Key {
    /// Wraps bytes that `as_bytes` returned.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(SmallVec::from_slice(bytes))
    }

    /// The encoded form.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The encoded form as lower-case hexadecimal text.
    pub fn to_hex(&self) -> String {
        hex::encode(&self.0)
    }

    /// Reads what `to_hex` wrote.
    pub fn from_hex(text: &str) -> Result<Self, KeyError> {
        let bytes = hex::decode(text).map_err(|_| KeyError::InvalidHex)?;
        Ok(Self(SmallVec::from_vec(bytes)))
    }

    /// A short digest that tells keys apart in messages without showing them.
    pub fn digest(&self) -> String {
        let digest = Sha256::digest(&self.0);
        digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key(#{})", self.digest())
    }
}

impl fmt::Debug for KeyPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Int(_) => "Int(..)",
            Self::UInt(_) => "UInt(..)",
            Self::Decimal(_) => "Decimal(..)",
            Self::Temporal(_) => "Temporal(..)",
            Self::Bytes(_) => "Bytes(..)",
        })
    }
}

#[cfg(test)]
mod tests;
