//! Bytes of single key values: memcomparable, self-delimiting. The stored forms of DECIMAL and of the temporal types
//! already compare as bytes, so a row image's bytes and these are the same.

use super::{KeyKind, KeyPart, decimal, temporal};

/// Appends a value; `None` when it is not one of this kind.
pub(super) fn put_part(out: &mut Vec<u8>, kind: &KeyKind, part: &KeyPart) -> Option<()> {
    match (kind, part) {
        (KeyKind::Int { bytes }, KeyPart::Int(value)) => put_int(out, *value, *bytes),
        (KeyKind::Decimal { precision, scale }, KeyPart::Decimal(text)) => {
            decimal::put(out, text, *precision, *scale)
        }
        (_, KeyPart::UInt(value)) => {
            put_uint(out, stored_number(kind, *value)?, number_size(kind)?)
        }
        (KeyKind::Date, KeyPart::Temporal(text)) => temporal::put_date(out, text),
        (KeyKind::Time { fsp }, KeyPart::Temporal(text)) => temporal::put_time(out, text, *fsp),
        (KeyKind::DateTime { fsp }, KeyPart::Temporal(text)) => {
            temporal::put_datetime(out, text, *fsp)
        }
        (KeyKind::Timestamp { fsp }, KeyPart::Temporal(text)) => {
            temporal::put_timestamp(out, text, *fsp)
        }
        (KeyKind::Binary { length }, KeyPart::Bytes(bytes)) => put_padded(out, bytes, *length),
        (KeyKind::VarBinary | KeyKind::Text { .. }, KeyPart::Bytes(bytes)) => {
            put_escaped(out, bytes);
            Some(())
        }
        _ => None,
    }
}

/// Takes one value off the front; `None` when there is none of this kind.
pub(super) fn take_part(input: &mut &[u8], kind: &KeyKind) -> Option<KeyPart> {
    Some(match kind {
        KeyKind::Int { bytes } => KeyPart::Int(take_int(input, *bytes)?),
        KeyKind::UInt { .. }
        | KeyKind::Bit { .. }
        | KeyKind::Year
        | KeyKind::Enum { .. }
        | KeyKind::Set { .. } => {
            KeyPart::UInt(shown_number(kind, take_uint(input, number_size(kind)?)?)?)
        }
        KeyKind::Decimal { precision, scale } => {
            KeyPart::Decimal(decimal::take(input, *precision, *scale)?)
        }
        KeyKind::Date => KeyPart::Temporal(temporal::take_date(input)?),
        KeyKind::Time { fsp } => KeyPart::Temporal(temporal::take_time(input, *fsp)?),
        KeyKind::DateTime { fsp } => KeyPart::Temporal(temporal::take_datetime(input, *fsp)?),
        KeyKind::Timestamp { fsp } => KeyPart::Temporal(temporal::take_timestamp(input, *fsp)?),
        KeyKind::Binary { length } => {
            KeyPart::Bytes(take(input, usize::try_from(*length).ok()?)?.to_vec())
        }
        KeyKind::VarBinary | KeyKind::Text { .. } => KeyPart::Bytes(take_escaped(input)?),
    })
}

/// A value from the text protocol's bytes, made canonical.
pub(super) fn part_from_text(kind: &KeyKind, text: &[u8]) -> Option<KeyPart> {
    let plain = || std::str::from_utf8(text).ok();
    let part = match kind {
        KeyKind::Int { .. } => KeyPart::Int(plain()?.parse().ok()?),
        KeyKind::UInt { .. }
        | KeyKind::Bit { .. }
        | KeyKind::Year
        | KeyKind::Enum { .. }
        | KeyKind::Set { .. } => KeyPart::UInt(plain()?.parse().ok()?),
        KeyKind::Decimal { .. } => KeyPart::Decimal(plain()?.to_owned()),
        KeyKind::Date
        | KeyKind::Time { .. }
        | KeyKind::DateTime { .. }
        | KeyKind::Timestamp { .. } => KeyPart::Temporal(plain()?.to_owned()),
        KeyKind::Binary { .. } | KeyKind::VarBinary | KeyKind::Text { .. } => {
            KeyPart::Bytes(text.to_vec())
        }
    };
    let mut bytes = Vec::new();
    put_part(&mut bytes, kind, &part)?;
    take_part(&mut bytes.as_slice(), kind)
}

/// Appends bytes of any length so that order and end can be told: 00 becomes 00 FF, the end is 00 00.
pub fn put_escaped(out: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        out.push(*byte);
        if *byte == 0 {
            out.push(0xFF);
        }
    }
    out.extend_from_slice(&[0, 0]);
}

/// Takes `count` bytes off the front.
pub(super) fn take<'a>(input: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (head, tail) = input.split_at_checked(count)?;
    *input = tail;
    Some(head)
}

/// Appends the lowest `size` bytes, highest first; `None` when the value is wider.
pub(super) fn put_uint(out: &mut Vec<u8>, value: u64, size: u8) -> Option<()> {
    let skipped = 8_usize.checked_sub(usize::from(size))?;
    let bytes = value.to_be_bytes();
    let (unused, used) = bytes.split_at_checked(skipped)?;
    out.extend_from_slice(used);
    unused.iter().all(|byte| *byte == 0).then_some(())
}

/// Takes a number of `size` bytes, highest first.
pub(super) fn take_uint(input: &mut &[u8], size: u8) -> Option<u64> {
    let bytes = take(input, usize::from(size))?;
    Some(bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

fn put_int(out: &mut Vec<u8>, value: i64, size: u8) -> Option<()> {
    let offset = 1_i128 << (u32::from(size) * 8).checked_sub(1)?;
    put_uint(out, u64::try_from(i128::from(value) + offset).ok()?, size)
}

fn take_int(input: &mut &[u8], size: u8) -> Option<i64> {
    let offset = 1_i128 << (u32::from(size) * 8).checked_sub(1)?;
    i64::try_from(i128::from(take_uint(input, size)?) - offset).ok()
}

fn put_padded(out: &mut Vec<u8>, bytes: &[u8], length: u64) -> Option<()> {
    let missing = usize::try_from(length).ok()?.checked_sub(bytes.len())?;
    out.extend_from_slice(bytes);
    out.resize(out.len() + missing, 0);
    Some(())
}

fn take_escaped(input: &mut &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        match take(input, 1)? {
            [0] => match take(input, 1)? {
                [0] => return Some(bytes),
                [0xFF] => bytes.push(0),
                _ => return None,
            },
            other => bytes.extend_from_slice(other),
        }
    }
}

/// Bytes of the kinds that are numbers without a sign.
fn number_size(kind: &KeyKind) -> Option<u8> {
    match kind {
        KeyKind::UInt { bytes } => Some(*bytes),
        KeyKind::Bit { bits } => Some(bits.div_ceil(8)),
        KeyKind::Year => Some(1),
        KeyKind::Enum { .. } => Some(2),
        KeyKind::Set { .. } => Some(8),
        _ => None,
    }
}

fn stored_number(kind: &KeyKind, value: u64) -> Option<u64> {
    match kind {
        KeyKind::Year if value != 0 => value.checked_sub(1900).filter(|offset| *offset > 0),
        KeyKind::Bit { bits } if *bits < 64 => (value >> bits == 0).then_some(value),
        _ => Some(value),
    }
}

fn shown_number(kind: &KeyKind, stored: u64) -> Option<u64> {
    match kind {
        KeyKind::Year if stored != 0 => Some(stored + 1900),
        _ => Some(stored),
    }
}
