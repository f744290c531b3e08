//! Durations as manifests spell them: `500ms`, `1s`, `1h30m`. Text in, `Duration` out, and back.

use std::time::Duration;

/// What the schema demands of the text; [`parse`] accepts exactly this.
pub const PATTERN: &str = r"^([0-9]{1,9}(\.[0-9]{1,9})?(ms|s|m|h))+$";

/// Reads a duration: one or more numbers, each with one of the units `ms`, `s`, `m`, `h`.
/// `None` when the text is anything else.
pub fn parse(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() || text.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at_checked(number_end)?;
        let unit_end = tail.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(unit_end)?;
        total = total.checked_add(part(number, unit)?)?;
        rest = tail;
    }
    Some(total)
}

/// The shortest common spelling of a duration, to a millisecond.
pub fn format(duration: Duration) -> String {
    let millis = duration.as_millis();
    let (hours, minutes) = (millis / 3_600_000, millis / 60_000 % 60);
    let (seconds, millis) = (millis / 1000 % 60, millis % 1000);
    let parts = [(hours, "h"), (minutes, "m"), (seconds, "s"), (millis, "ms")];
    let text: String =
        parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}")).collect();
    if text.is_empty() { "0s".to_owned() } else { text }
}

fn part(number: &str, unit: &str) -> Option<Duration> {
    let nanos_per_unit: u64 = match unit {
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let places = u32::try_from(fraction.len()).ok()?;
    let whole = Duration::from_nanos(nanos_per_unit).checked_mul(whole.parse().ok()?)?;
    let scaled = u128::from(nanos_per_unit) * fraction.parse::<u128>().ok()?;
    let fraction = u64::try_from(scaled / 10_u128.checked_pow(places)?).ok()?;
    whole.checked_add(Duration::from_nanos(fraction))
}

fn is_digits(text: &str) -> bool {
    (1..=9).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_the_schema_demands() {
        let cases = [
            ("500ms", Some(500)),
            ("1s", Some(1000)),
            ("0s", Some(0)),
            ("1.5s", Some(1500)),
            ("0.25h", Some(900_000)),
            ("1h30m", Some(5_400_000)),
            ("48h", Some(172_800_000)),
            ("", None),
            ("0", None),
            ("s", None),
            ("5", None),
            ("5d", None),
            ("-5s", None),
            ("5 s", None),
            ("1..5s", None),
            (".5s", None),
            ("1.s", None),
            ("5S", None),
            ("5s ", None),
            ("1s30", None),
            ("99999999999999999999s", None),
        ];
        for (text, millis) in cases {
            assert_eq!(parse(text), millis.map(Duration::from_millis), "{text:?}");
        }
    }

    #[test]
    fn durations_are_printed_as_they_are_read() {
        for text in ["0s", "500ms", "1s", "1h30m", "48h", "1m2s3ms"] {
            assert_eq!(format(parse(text).unwrap()), text);
        }
    }
}
