//! Temporal values between the server's text and its stored forms, which compare as bytes (DATE with its bytes
//! turned round). No calendar rules are enforced: zero dates and the like are values too.

use super::codec::{put_uint, take_uint};

const TIME_OFFSET: i64 = 0x80_0000;
const DATETIME_OFFSET: u64 = 0x80_0000_0000;
const SECONDS_OF_DAY: i64 = 86_400;

/// Bytes of the fraction of TIME, DATETIME and TIMESTAMP with `fsp` digits.
pub fn fraction_size(fsp: u8) -> u8 {
    fsp.div_ceil(2)
}

pub(super) fn put_date(out: &mut Vec<u8>, text: &str) -> Option<()> {
    let [year, month, day] = numbers(text, '-')?;
    let day = in_field(day, 31)?;
    put_uint(out, in_field(year, 9999)? << 9 | in_field(month, 12)? << 5 | day, 3)
}

pub(super) fn take_date(input: &mut &[u8]) -> Option<String> {
    let packed = take_uint(input, 3)?;
    Some(format!("{:04}-{:02}-{:02}", packed >> 9, packed >> 5 & 15, packed & 31))
}

pub(super) fn put_datetime(out: &mut Vec<u8>, text: &str, fsp: u8) -> Option<()> {
    let moment = Moment::parse(text, fsp)?;
    let days = (moment.year * 13 + moment.month) << 5 | moment.day;
    let clock = moment.hour << 12 | moment.minute << 6 | moment.second;
    put_uint(out, DATETIME_OFFSET + (days << 17 | clock), 5)?;
    put_fraction(out, moment.micros, fsp)
}

pub(super) fn take_datetime(input: &mut &[u8], fsp: u8) -> Option<String> {
    let packed = take_uint(input, 5)?.checked_sub(DATETIME_OFFSET)?;
    let (days, clock) = (packed >> 17, packed & 0x1_FFFF);
    let moment = Moment {
        year: (days >> 5) / 13,
        month: (days >> 5) % 13,
        day: days & 31,
        hour: clock >> 12,
        minute: clock >> 6 & 63,
        second: clock & 63,
        micros: take_fraction(input, fsp)?,
    };
    Some(moment.print(fsp))
}

pub(super) fn put_timestamp(out: &mut Vec<u8>, text: &str, fsp: u8) -> Option<()> {
    let moment = Moment::parse(text, fsp)?;
    put_uint(out, moment.unix_seconds()?, 4)?;
    put_fraction(out, moment.micros, fsp)
}

pub(super) fn take_timestamp(input: &mut &[u8], fsp: u8) -> Option<String> {
    let seconds = take_uint(input, 4)?;
    let micros = take_fraction(input, fsp)?;
    Some(Moment::at(seconds, micros)?.print(fsp))
}

pub(super) fn put_time(out: &mut Vec<u8>, text: &str, fsp: u8) -> Option<()> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (clock, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let [hour, minute, second] = numbers(clock, ':')?;
    let whole = in_field(hour, 838)? << 12 | in_field(minute, 59)? << 6 | in_field(second, 59)?;
    let packed = i64::try_from(whole << 24 | parse_micros(fraction, fsp)?).ok()?;
    let packed = if negative { -packed } else { packed };
    // The whole part is rounded towards minus infinity; what is left, divided the same way, follows it.
    let fraction = packed & 0xFF_FFFF;
    let size = fraction_size(fsp);
    let stored = if fraction == 0 || !negative {
        fraction / micros_per_unit(size)
    } else {
        unit_range(size) - (0x100_0000 - fraction) / micros_per_unit(size)
    };
    put_uint(out, u64::try_from((packed >> 24) + TIME_OFFSET).ok()?, 3)?;
    put_uint(out, u64::try_from(stored).ok()?, size)
}

pub(super) fn take_time(input: &mut &[u8], fsp: u8) -> Option<String> {
    let whole = i64::try_from(take_uint(input, 3)?).ok()? - TIME_OFFSET;
    let size = fraction_size(fsp);
    let stored = i64::try_from(take_uint(input, size)?).ok()?;
    let packed = if whole < 0 && stored != 0 {
        ((whole + 1) << 24) - (unit_range(size) - stored) * micros_per_unit(size)
    } else {
        (whole << 24) + stored * micros_per_unit(size)
    };
    let magnitude = packed.unsigned_abs();
    let clock = magnitude >> 24;
    let sign = if packed < 0 { "-" } else { "" };
    let (hour, minute, second) = (clock >> 12, clock >> 6 & 63, clock & 63);
    let fraction = print_fraction(magnitude & 0xFF_FFFF, fsp);
    Some(format!("{sign}{hour:02}:{minute:02}:{second:02}{fraction}"))
}

/// A date and a time of day, as the server prints them.
struct Moment {
    year: u64,
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
    micros: u64,
}

impl Moment {
    fn parse(text: &str, fsp: u8) -> Option<Self> {
        let (date, time) = text.split_once([' ', 'T'])?;
        let (clock, fraction) = time.split_once('.').unwrap_or((time, ""));
        let [year, month, day] = numbers(date, '-')?;
        let [hour, minute, second] = numbers(clock, ':')?;
        Some(Self {
            year: in_field(year, 9999)?,
            month: in_field(month, 12)?,
            day: in_field(day, 31)?,
            hour: in_field(hour, 23)?,
            minute: in_field(minute, 59)?,
            second: in_field(second, 59)?,
            micros: parse_micros(fraction, fsp)?,
        })
    }

    /// The moment of a stored TIMESTAMP; zero seconds are the zero date.
    fn at(seconds: u64, micros: u64) -> Option<Self> {
        if seconds == 0 {
            let (year, month, day) = (0, 0, 0);
            return Some(Self { year, month, day, hour: 0, minute: 0, second: 0, micros });
        }
        let seconds = i64::try_from(seconds).ok()?;
        let (year, month, day) = civil_date(seconds / SECONDS_OF_DAY);
        let rest = u64::try_from(seconds % SECONDS_OF_DAY).ok()?;
        Some(Self {
            year: u64::try_from(year).ok()?,
            month: u64::try_from(month).ok()?,
            day: u64::try_from(day).ok()?,
            hour: rest / 3600,
            minute: rest / 60 % 60,
            second: rest % 60,
            micros,
        })
    }

    fn unix_seconds(&self) -> Option<u64> {
        if (self.year, self.month, self.day) == (0, 0, 0) {
            return Some(0);
        }
        let signed = |number: u64| i64::try_from(number).ok();
        let days = days_since_epoch(signed(self.year)?, signed(self.month)?, signed(self.day)?);
        let clock = signed(self.hour * 3600 + self.minute * 60 + self.second)?;
        u64::try_from(days * SECONDS_OF_DAY + clock).ok()
    }

    fn print(&self, fsp: u8) -> String {
        let Self { year, month, day, hour, minute, second, micros } = self;
        let fraction = print_fraction(*micros, fsp);
        format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}{fraction}")
    }
}

fn numbers(text: &str, separator: char) -> Option<[u64; 3]> {
    let mut fields = text.split(separator).map(|field| {
        field.bytes().all(|digit| digit.is_ascii_digit()).then(|| field.parse().ok()).flatten()
    });
    let all = [fields.next()??, fields.next()??, fields.next()??];
    fields.next().is_none().then_some(all)
}

fn in_field(number: u64, most: u64) -> Option<u64> {
    (number <= most).then_some(number)
}

fn parse_micros(fraction: &str, fsp: u8) -> Option<u64> {
    if fraction.is_empty() {
        return Some(0);
    }
    let digits = fraction.trim_end_matches('0');
    if digits.len() > usize::from(fsp.min(6)) || !digits.bytes().all(|digit| digit.is_ascii_digit())
    {
        return None;
    }
    format!("{digits:0<6}").parse().ok()
}

fn print_fraction(micros: u64, fsp: u8) -> String {
    let digits = format!("{micros:06}");
    match digits.get(..usize::from(fsp)) {
        Some(shown) if fsp > 0 => format!(".{shown}"),
        _ => String::new(),
    }
}

fn put_fraction(out: &mut Vec<u8>, micros: u64, fsp: u8) -> Option<()> {
    let size = fraction_size(fsp);
    put_uint(out, micros / u64::try_from(micros_per_unit(size)).ok()?, size)
}

fn take_fraction(input: &mut &[u8], fsp: u8) -> Option<u64> {
    let size = fraction_size(fsp);
    let micros = take_uint(input, size)? * u64::try_from(micros_per_unit(size)).ok()?;
    in_field(micros, 999_999)
}

/// Microseconds in one unit of a fraction of that many bytes.
fn micros_per_unit(size: u8) -> i64 {
    match size {
        0 => 0x100_0000,
        1 => 10_000,
        2 => 100,
        _ => 1,
    }
}

/// How many different fractions fit into that many bytes.
fn unit_range(size: u8) -> i64 {
    1_i64 << (u32::from(size) * 8)
}

/// Days from 1970-01-01, counting years from March so that the leap day is the last.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The inverse of `days_since_epoch`.
fn civil_date(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + carry, month, day)
}
