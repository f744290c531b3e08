//! What happens to a value when the server moves it from a source column to a shadow column in strict
//! mode with `INSERT ... SELECT`. Found by experiment on MySQL 9.7; what was not tried counts as silent.
//! Pure: definitions in, a verdict out.

mod key;
mod text;

pub use self::key::{KeyChange, key_change};
use super::table::{Column, ColumnType};

/// What a change of a column's definition does to its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conversion {
    /// The definition is the same as far as values are concerned.
    Unchanged,
    /// Every value fits and keeps its meaning.
    Widening,
    /// A value that does not fit is an error of the server.
    Checked,
    /// Values may lose information although the server raises no error.
    Silent {
        /// What is lost, as the end of a sentence about the column.
        why: &'static str,
    },
    /// The meaning of the values depends on a time zone.
    NeedsTimeZone,
    /// Hardly any value can be converted: the server raises an error for them.
    Impossible,
}

/// What the change from `source` to `shadow` does to values.
pub fn conversion(source: &Column, shadow: &Column) -> Conversion {
    let by_type = by_type(source, shadow);
    let loses_null = source.nullable && !shadow.nullable;
    match by_type {
        Conversion::Unchanged | Conversion::Widening | Conversion::Checked
            if loses_null && shadow.auto_increment =>
        {
            silent("NULL becomes a new AUTO_INCREMENT value")
        }
        Conversion::Unchanged | Conversion::Widening if loses_null => Conversion::Checked,
        other => other,
    }
}

fn silent(why: &'static str) -> Conversion {
    Conversion::Silent { why }
}

/// `Widening` when every value fits for sure.
fn fits(every: bool) -> Conversion {
    if every { Conversion::Widening } else { Conversion::Checked }
}

fn by_type(source: &Column, shadow: &Column) -> Conversion {
    use ColumnType as T;
    let to = &shadow.column_type;
    if source.column_type == *to && source.type_text == shadow.type_text {
        return Conversion::Unchanged;
    }
    match &source.column_type {
        T::Integer { bytes, unsigned } => from_integer(*bytes, *unsigned, shadow),
        T::Decimal { precision, scale, unsigned } => {
            from_decimal(Digits { precision: *precision, scale: *scale }, *unsigned, shadow)
        }
        T::Float | T::Double => from_approximate(source, shadow),
        T::Bit { bits } => from_bit(*bits, to),
        T::Year => from_year(to),
        T::Date => from_date(to),
        T::Time { fsp } => from_time(*fsp, to),
        T::DateTime { fsp } => from_date_time(*fsp, to),
        T::Timestamp { fsp } => match to {
            T::Timestamp { fsp: new } => fraction(*fsp, *new),
            T::Json | T::Geometry | T::Vector => Conversion::Impossible,
            _ => Conversion::NeedsTimeZone,
        },
        T::Text { .. } | T::Binary { .. } | T::VarBinary { .. } | T::Blob { .. } => {
            text::from_string(&source.column_type, to)
        }
        T::Enum { .. } | T::Set { .. } => text::from_labels(&source.column_type, to),
        T::Json => text::from_json(to),
        T::Geometry => match to {
            T::Geometry | T::Blob { .. } | T::VarBinary { .. } => Conversion::Checked,
            _ => Conversion::Impossible,
        },
        T::Vector if *to == T::Vector => Conversion::Checked,
        T::Other(name) if matches!(to, T::Other(new) if new == name) => Conversion::Checked,
        T::Vector | T::Other(_) => silent("this conversion is not known to be exact"),
    }
}

/// Digits of a decimal number.
#[derive(Clone, Copy)]
struct Digits {
    precision: u8,
    scale: u8,
}

fn from_integer(bytes: u8, unsigned: bool, shadow: &Column) -> Conversion {
    use ColumnType as T;
    let bits = u32::from(bytes) * 8;
    match &shadow.column_type {
        T::Integer { bytes: new, unsigned: new_unsigned } => fits(match (unsigned, new_unsigned) {
            (false, false) | (true, true) => *new >= bytes,
            (true, false) => *new > bytes,
            (false, true) => false,
        }),
        T::Decimal { precision, scale, unsigned: new_unsigned } => fits(
            precision.saturating_sub(*scale) >= decimal_digits(bytes)
                && (unsigned || !new_unsigned),
        ),
        T::Float if bits <= 16 => approximate_target(shadow),
        T::Double if bits <= 32 => approximate_target(shadow),
        T::Float | T::Double => silent("large numbers are rounded"),
        T::Bit { bits: new } if unsigned => fits(u32::from(*new) >= bits),
        T::Bit { .. } => silent("negative numbers become large positive ones"),
        T::Text { length, .. } => fits(*length > u64::from(decimal_digits(bytes))),
        T::VarBinary { .. } | T::Blob { .. } => Conversion::Checked,
        other => from_number(other),
    }
}

/// Numbers to types that are not numbers.
fn from_number(to: &ColumnType) -> Conversion {
    use ColumnType as T;
    match to {
        T::Json | T::Geometry | T::Vector => Conversion::Impossible,
        T::Timestamp { .. } => Conversion::NeedsTimeZone,
        T::Year => silent("small numbers are read as years of this century"),
        T::Date | T::Time { .. } | T::DateTime { .. } => {
            silent("numbers are read as dates or times")
        }
        T::Enum { .. } | T::Set { .. } => silent("numbers are read as positions of labels"),
        T::Binary { .. } => silent("values are padded with zero bytes"),
        _ => silent("this conversion is not known to be exact"),
    }
}

/// A target of FLOAT or DOUBLE that could hold the numbers if it had no further limits.
fn approximate_target(shadow: &Column) -> Conversion {
    match (shadow.type_text.contains('('), shadow.type_text.contains("unsigned")) {
        (true, _) => silent("numbers are rounded to the declared digits"),
        (false, true) => Conversion::Checked,
        (false, false) => Conversion::Widening,
    }
}

/// The most digits that an integer of this size has.
fn decimal_digits(bytes: u8) -> u8 {
    match bytes {
        1 => 3,
        2 => 5,
        3 => 8,
        4 => 10,
        _ => 20,
    }
}

fn from_decimal(old: Digits, unsigned: bool, shadow: &Column) -> Conversion {
    use ColumnType as T;
    match &shadow.column_type {
        T::Decimal { scale, .. } if *scale < old.scale => {
            silent("digits behind the point are rounded")
        }
        T::Decimal { precision, scale, unsigned: new_unsigned } => {
            fits(precision - scale >= old.precision - old.scale && (unsigned || !new_unsigned))
        }
        T::Integer { .. } if old.scale == 0 => Conversion::Checked,
        T::Integer { .. } => silent("digits behind the point are rounded"),
        T::Float if old.precision <= 6 => approximate_target(shadow),
        T::Double if old.precision <= 15 => approximate_target(shadow),
        T::Float | T::Double => silent("digits beyond the precision are rounded"),
        T::Text { .. } | T::VarBinary { .. } | T::Blob { .. } => Conversion::Checked,
        other => from_number(other),
    }
}

fn from_approximate(source: &Column, shadow: &Column) -> Conversion {
    use ColumnType as T;
    match (&source.column_type, &shadow.column_type) {
        (T::Float, T::Float | T::Double) | (T::Double, T::Double) => approximate_target(shadow),
        (_, T::Float) => silent("digits beyond the precision are rounded"),
        (_, T::Integer { .. } | T::Decimal { .. } | T::Bit { .. } | T::Year) => {
            silent("the fraction is rounded")
        }
        (_, T::Text { .. } | T::VarBinary { .. } | T::Blob { .. }) => Conversion::Checked,
        (_, other) => from_number(other),
    }
}

fn from_bit(bits: u8, to: &ColumnType) -> Conversion {
    use ColumnType as T;
    match to {
        T::Bit { bits: new } => fits(*new >= bits),
        T::Integer { bytes, unsigned } => {
            fits(u16::from(*bytes) * 8 >= u16::from(bits) + u16::from(!unsigned))
        }
        T::Double if bits <= 53 => Conversion::Widening,
        T::Decimal { .. } | T::Text { .. } | T::VarBinary { .. } | T::Blob { .. } => {
            Conversion::Checked
        }
        other => from_number(other),
    }
}

fn from_year(to: &ColumnType) -> Conversion {
    use ColumnType as T;
    match to {
        T::Integer { bytes, .. } => fits(*bytes >= 2),
        T::Text { length, .. } => fits(*length >= 4),
        T::Decimal { .. } => Conversion::Checked,
        T::Date | T::DateTime { .. } | T::Timestamp { .. } => Conversion::Impossible,
        other => from_number(other),
    }
}

/// A change of the digits of a second's fraction.
fn fraction(old: u8, new: u8) -> Conversion {
    if new >= old { Conversion::Widening } else { silent("fractions of seconds are rounded") }
}

fn from_date(to: &ColumnType) -> Conversion {
    use ColumnType as T;
    match to {
        T::DateTime { .. } => Conversion::Widening,
        T::Timestamp { .. } => Conversion::NeedsTimeZone,
        T::Integer { bytes, .. } => fits(*bytes >= 4),
        T::Text { length, .. } => fits(*length >= 10),
        T::Time { .. } | T::Year => silent("the date is cut down"),
        T::Json | T::Geometry | T::Vector => Conversion::Impossible,
        _ => silent("this conversion is not known to be exact"),
    }
}

fn from_time(fsp: u8, to: &ColumnType) -> Conversion {
    use ColumnType as T;
    match to {
        T::Time { fsp: new } => fraction(fsp, *new),
        T::Integer { .. } if fsp == 0 => Conversion::Checked,
        T::Integer { .. } => silent("fractions of seconds are rounded"),
        T::Text { length, .. } => fits(*length >= 10 + printed_fraction(fsp)),
        T::Date | T::DateTime { .. } | T::Timestamp { .. } => {
            silent("the day of the copy is added to the time")
        }
        T::Json | T::Geometry | T::Vector => Conversion::Impossible,
        _ => silent("this conversion is not known to be exact"),
    }
}

fn from_date_time(fsp: u8, to: &ColumnType) -> Conversion {
    use ColumnType as T;
    match to {
        T::DateTime { fsp: new } => fraction(fsp, *new),
        T::Timestamp { .. } => Conversion::NeedsTimeZone,
        T::Integer { bytes: 8, .. } if fsp == 0 => Conversion::Widening,
        T::Integer { .. } if fsp == 0 => Conversion::Checked,
        T::Integer { .. } => silent("fractions of seconds are rounded"),
        T::Text { length, .. } => fits(*length >= 19 + printed_fraction(fsp)),
        T::Date => silent("the time of day is cut off"),
        T::Time { .. } => silent("the date is cut off"),
        T::Json | T::Geometry | T::Vector | T::Year => Conversion::Impossible,
        _ => silent("this conversion is not known to be exact"),
    }
}

/// Characters of a printed fraction with its point.
fn printed_fraction(fsp: u8) -> u64 {
    if fsp == 0 { 0 } else { u64::from(fsp) + 1 }
}

#[cfg(test)]
mod tests;
