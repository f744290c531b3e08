//! DECIMAL values between canonical text and the server's stored form, which compares as bytes.

use super::codec::{self, put_uint, take_uint};

const BYTES_OF_DIGITS: [u8; 10] = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4];

/// Bytes of a stored DECIMAL; `None` for an impossible precision.
pub fn stored_size(precision: u8, scale: u8) -> Option<usize> {
    Some(groups(precision, scale)?.map(|digits| usize::from(bytes_of(digits))).sum())
}

/// Appends the stored form of `text`; `None` when it is no number or does not fit.
pub(super) fn put(out: &mut Vec<u8>, text: &str, precision: u8, scale: u8) -> Option<()> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let digits = aligned_digits(unsigned, precision, scale)?;
    let negative = negative && digits.bytes().any(|digit| digit != b'0');
    let start = out.len();
    let mut rest = digits.as_str();
    for width in groups(precision, scale)? {
        let (group, tail) = rest.split_at_checked(usize::from(width))?;
        put_uint(out, group.parse().ok()?, bytes_of(width))?;
        rest = tail;
    }
    toggle_sign(out.get_mut(start..)?, negative);
    Some(())
}

/// Takes a stored DECIMAL off the front and prints it as the server does.
pub(super) fn take(input: &mut &[u8], precision: u8, scale: u8) -> Option<String> {
    let mut stored = codec::take(input, stored_size(precision, scale)?)?.to_vec();
    let negative = stored.first()? & 0x80 == 0;
    toggle_sign(&mut stored, negative);
    let mut digits = String::new();
    let mut rest = stored.as_slice();
    for width in groups(precision, scale)? {
        let value = take_uint(&mut rest, bytes_of(width))?;
        let before = digits.len();
        digits.push_str(&format!("{value:0width$}", width = usize::from(width)));
        (digits.len() - before == usize::from(width)).then_some(())?;
    }
    let (whole, fraction) = digits.split_at_checked(usize::from(precision.checked_sub(scale)?))?;
    let whole = whole.trim_start_matches('0');
    let sign = if negative && digits.bytes().any(|digit| digit != b'0') { "-" } else { "" };
    let whole = if whole.is_empty() { "0" } else { whole };
    let point = if scale > 0 { "." } else { "" };
    Some(format!("{sign}{whole}{point}{fraction}"))
}

/// The digits of each stored group: a short group on the outer ends, nine digits elsewhere.
fn groups(precision: u8, scale: u8) -> Option<impl Iterator<Item = u8>> {
    let whole = precision.checked_sub(scale).filter(|_| precision > 0 && precision <= 65)?;
    let nines = usize::from(whole / 9) + usize::from(scale / 9);
    let ends = |digits: u8| (!digits.is_multiple_of(9)).then_some(digits % 9).into_iter();
    Some(ends(whole).chain(std::iter::repeat_n(9, nines)).chain(ends(scale)))
}

fn bytes_of(digits: u8) -> u8 {
    BYTES_OF_DIGITS.get(usize::from(digits)).copied().unwrap_or(4)
}

/// Exactly `precision` digits, without the point.
fn aligned_digits(unsigned: &str, precision: u8, scale: u8) -> Option<String> {
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let whole = whole.trim_start_matches('0');
    let fraction = fraction.trim_end_matches('0');
    let whole_width = usize::from(precision.checked_sub(scale)?);
    let fits = whole.len() <= whole_width && fraction.len() <= usize::from(scale);
    let numeric = whole.bytes().chain(fraction.bytes()).all(|digit| digit.is_ascii_digit());
    let width = usize::from(scale);
    let has_digit = unsigned.bytes().any(|digit| digit.is_ascii_digit());
    (fits && numeric && has_digit).then(|| format!("{whole:0>whole_width$}{fraction:0<width$}"))
}

fn toggle_sign(stored: &mut [u8], negative: bool) {
    if negative {
        stored.iter_mut().for_each(|byte| *byte = !*byte);
    }
    if let Some(first) = stored.first_mut() {
        *first ^= 0x80;
    }
}
