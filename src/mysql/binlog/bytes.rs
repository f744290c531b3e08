//! Taking numbers and pieces off the front of untrusted bytes.

/// The next `count` bytes.
pub(super) fn take<'a>(input: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (head, tail) = input.split_at_checked(count)?;
    *input = tail;
    Some(head)
}

/// The next byte.
pub(super) fn byte(input: &mut &[u8]) -> Option<u8> {
    take(input, 1)?.first().copied()
}

/// A fixed-width little-endian number of at most eight bytes.
pub(super) fn fixed(input: &mut &[u8], count: usize) -> Option<u64> {
    take(input, count).map(little_endian)
}

/// A length-encoded integer.
pub(super) fn number(input: &mut &[u8]) -> Option<usize> {
    let value = match byte(input)? {
        0xFC => fixed(input, 2)?,
        0xFD => fixed(input, 3)?,
        0xFE => fixed(input, 8)?,
        0xFB | 0xFF => return None,
        small => u64::from(small),
    };
    usize::try_from(value).ok()
}

/// The value of little-endian bytes.
pub(super) fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}
