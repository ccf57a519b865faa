//! Instants and lengths of time: RFC 3339, durations such as `1h30m`, and the calendar.
//!
//! It must not know what time it is. Entry points: [`Nanos`], [`parse_timestamp`], [`parse_duration`], [`civil`].

use std::fmt::Write as _;

const NANOS: i128 = 1_000_000_000;
/// 0001-01-01T00:00:00Z, the first instant of CEL.
const FIRST: i64 = -62_135_596_800;
/// 9999-12-31T23:59:59Z, the last second of CEL.
const LAST: i64 = 253_402_300_799;
/// The longest duration of `google.protobuf.Duration`, some ten thousand years.
const LONGEST: i64 = 315_576_000_000;

/// Seconds and nanoseconds, the latter always forwards in time. An instant counts from the beginning of 1970 in UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Nanos {
    seconds: i64,
    nanos: u32,
}

impl Nanos {
    /// So many milliseconds.
    #[must_use]
    pub fn from_ms(milliseconds: u64) -> Self {
        let seconds = i64::try_from(milliseconds / 1000).unwrap_or(i64::MAX);
        Self { seconds, nanos: (milliseconds % 1000) as u32 * 1_000_000 }
    }

    /// The whole seconds, rounded down.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.seconds
    }

    /// The nanoseconds after the whole seconds, less than a thousand million.
    #[must_use]
    pub fn nanos(self) -> u32 {
        self.nanos
    }

    pub(crate) fn total(self) -> i128 {
        i128::from(self.seconds) * NANOS + i128::from(self.nanos)
    }

    /// The instant of so many seconds, if CEL has it.
    pub(crate) fn timestamp(seconds: i64, nanos: u32) -> Option<Self> {
        (FIRST..=LAST).contains(&seconds).then_some(Self { seconds, nanos })
    }

    pub(crate) fn timestamp_from(total: i128) -> Option<Self> {
        let made = Self::made(total)?;
        Self::timestamp(made.seconds, made.nanos)
    }

    /// The length of time of so many nanoseconds, if CEL has it.
    pub(crate) fn duration_from(total: i128) -> Option<Self> {
        (total.abs() <= i128::from(LONGEST) * NANOS).then(|| Self::made(total)).flatten()
    }

    fn made(total: i128) -> Option<Self> {
        let seconds = i64::try_from(total.div_euclid(NANOS)).ok()?;
        Some(Self { seconds, nanos: u32::try_from(total.rem_euclid(NANOS)).ok()? })
    }
}

/// A date and the time of a day, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Civil {
    pub(crate) year: i64,
    /// From 1.
    pub(crate) month: i64,
    /// From 1.
    pub(crate) day: i64,
    /// From 0, which is Sunday.
    pub(crate) weekday: i64,
    /// From 0.
    pub(crate) day_of_year: i64,
    pub(crate) hours: i64,
    pub(crate) minutes: i64,
    pub(crate) seconds: i64,
}

/// The date of an instant, by the proleptic Gregorian calendar (Howard Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms").
pub(crate) fn civil(at: Nanos) -> Civil {
    let (days, second) = (at.seconds.div_euclid(86_400), at.seconds.rem_euclid(86_400));
    let shifted = days.saturating_add(719_468);
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let from_march = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * from_march + 2) / 153;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    Civil {
        year,
        month,
        day: from_march - (153 * shifted_month + 2) / 5 + 1,
        weekday: days.saturating_add(4).rem_euclid(7),
        day_of_year: days - days_to(year, 1, 1),
        hours: second / 3600,
        minutes: second / 60 % 60,
        seconds: second % 60,
    }
}

/// The days from 1970 to a date; the inverse of [`civil`].
fn days_to(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let from_march = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + from_march - 719_468
}

fn days_in(year: i64, month: i64) -> i64 {
    let (next_year, next) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    days_to(next_year, next, 1) - days_to(year, month, 1)
}

/// An instant in the form of RFC 3339, with any offset. A leap second is none of CEL.
pub(crate) fn parse_timestamp(text: &str) -> Option<Nanos> {
    let mut rest = text;
    let year = take(&mut rest, 4, 0, 9999)?;
    symbol(&mut rest, "-")?;
    let month = take(&mut rest, 2, 1, 12)?;
    symbol(&mut rest, "-")?;
    let day = take(&mut rest, 2, 1, days_in(year, month))?;
    symbol(&mut rest, "T").or_else(|| symbol(&mut rest, "t"))?;
    let hours = take(&mut rest, 2, 0, 23)?;
    symbol(&mut rest, ":")?;
    let minutes = take(&mut rest, 2, 0, 59)?;
    symbol(&mut rest, ":")?;
    let seconds = take(&mut rest, 2, 0, 59)?;
    let nanos = if symbol(&mut rest, ".").is_some() { fraction(&mut rest)? } else { 0 };
    let offset = if symbol(&mut rest, "Z").or_else(|| symbol(&mut rest, "z")).is_some() {
        0
    } else {
        let sign = if symbol(&mut rest, "+").is_some() { 1 } else { symbol(&mut rest, "-").map(|()| -1)? };
        let hours = take(&mut rest, 2, 0, 23)?;
        symbol(&mut rest, ":")?;
        sign * (hours * 3600 + take(&mut rest, 2, 0, 59)? * 60)
    };
    let second = days_to(year, month, day) * 86_400 + hours * 3600 + minutes * 60 + seconds - offset;
    rest.is_empty().then(|| Nanos::timestamp(second, nanos)).flatten()
}

fn symbol(rest: &mut &str, symbol: &str) -> Option<()> {
    *rest = rest.strip_prefix(symbol)?;
    Some(())
}

/// So many digits, whose number lies between two others.
fn take(rest: &mut &str, digits: usize, least: i64, most: i64) -> Option<i64> {
    let (taken, after) = rest.split_at_checked(digits)?;
    let number = taken.bytes().all(|byte| byte.is_ascii_digit()).then(|| taken.parse().ok()).flatten()?;
    *rest = after;
    (least..=most).contains(&number).then_some(number)
}

/// The nanoseconds of one to nine digits after a point.
fn fraction(rest: &mut &str) -> Option<u32> {
    let length = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (taken, after) = rest.split_at_checked(length)?;
    *rest = after;
    let nanos = if (1..=9).contains(&length) { taken.parse::<u32>().ok()? } else { return None };
    nanos.checked_mul(10_u32.checked_pow(9 - u32::try_from(length).ok()?)?)
}

/// Longer names first: `ms` is not minutes.
const UNITS: &[(&str, i128)] = &[
    ("ns", 1),
    ("us", 1000),
    ("µs", 1000),
    ("ms", 1_000_000),
    ("h", 3600 * NANOS),
    ("m", 60 * NANOS),
    ("s", NANOS),
];

/// A length of time such as `-1h30m`, `1.5s` or `0`.
pub(crate) fn parse_duration(text: &str) -> Option<Nanos> {
    let (sign, mut rest) =
        text.strip_prefix('-').map_or((1, text.strip_prefix('+').unwrap_or(text)), |rest| (-1, rest));
    if rest == "0" {
        return Some(Nanos::default());
    }
    let mut total = 0_i128;
    while !rest.is_empty() || total == 0 {
        let length = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (whole, after) = rest.split_at_checked(length)?;
        let whole: i128 = if whole.len() <= 18 { whole.parse().ok()? } else { return None };
        rest = after;
        let nanos = if symbol(&mut rest, ".").is_some() { fraction(&mut rest)? } else { 0 };
        let (name, unit) = UNITS.iter().find(|(name, _)| rest.starts_with(name))?;
        rest = rest.get(name.len()..)?;
        total = total.checked_add(whole * unit + i128::from(nanos) * unit / NANOS)?;
        if rest.is_empty() {
            break;
        }
    }
    Nanos::duration_from(sign * total)
}

/// An instant in the form of RFC 3339, in UTC.
pub(crate) fn format_timestamp(at: Nanos) -> String {
    let Civil { year, month, day, hours, minutes, seconds, .. } = civil(at);
    let mut text = format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}");
    push_fraction(&mut text, at.nanos);
    text.push('Z');
    text
}

/// A length of time in seconds, such as `5400s` or `-1.5s`.
pub(crate) fn format_duration(length: Nanos) -> String {
    let total = length.total();
    let sign = if total < 0 { "-" } else { "" };
    let mut text = format!("{sign}{}", total.abs() / NANOS);
    push_fraction(&mut text, u32::try_from(total.abs() % NANOS).unwrap_or(0));
    text.push('s');
    text
}

fn push_fraction(text: &mut String, nanos: u32) {
    if nanos > 0 {
        // Writing to a string cannot fail.
        let _ = write!(text, ".{nanos:09}");
        text.truncate(text.trim_end_matches('0').len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_read_and_written() {
        for (text, seconds, nanos, written) in [
            ("1970-01-01T00:00:00Z", 0, 0, "1970-01-01T00:00:00Z"),
            ("2024-02-29T23:59:59.5Z", 1_709_251_199, 500_000_000, "2024-02-29T23:59:59.5Z"),
            ("2009-02-13T23:31:30+01:30", 1_234_562_490, 0, "2009-02-13T22:01:30Z"),
            ("0001-01-01T00:00:00Z", FIRST, 0, "0001-01-01T00:00:00Z"),
            ("9999-12-31T23:59:59.999999999Z", LAST, 999_999_999, "9999-12-31T23:59:59.999999999Z"),
            ("1969-12-31T23:59:59.25-00:00", -1, 250_000_000, "1969-12-31T23:59:59.25Z"),
        ] {
            let at = parse_timestamp(text).unwrap();
            assert_eq!((at.seconds(), at.nanos()), (seconds, nanos), "{text}");
            assert_eq!(format_timestamp(at), written);
        }
        for wrong in [
            "",
            "2023-02-29T00:00:00Z",
            "2023-13-01T00:00:00Z",
            "2023-01-01T24:00:00Z",
            "2023-01-01T00:00:00",
            "2023-01-01 00:00:00Z",
            "2023-01-01T00:00:00.Z",
            "2023-01-01T00:00:00.0000000001Z",
            "2023-01-01T00:00:00Zx",
            "0000-12-31T23:59:59Z",
            "9999-12-31T23:59:59-01:00",
            "20é3-01-01T00:00:00Z",
        ] {
            assert_eq!(parse_timestamp(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn every_day_has_its_date() {
        let mut before = civil(Nanos { seconds: FIRST - 86_400, nanos: 0 });
        for day in FIRST / 86_400..=LAST / 86_400 {
            let date = civil(Nanos { seconds: day * 86_400, nanos: 0 });
            assert_eq!(days_to(date.year, date.month, date.day), day);
            assert_eq!(date.weekday, (before.weekday + 1) % 7);
            let next = if date.year == before.year { before.day_of_year + 1 } else { 0 };
            assert_eq!(date.day_of_year, next);
            before = date;
        }
    }

    #[test]
    fn lengths_are_read_and_written() {
        for (text, written) in [
            ("1h30m", "5400s"),
            ("1.5s", "1.5s"),
            ("-1m", "-60s"),
            ("250ms", "0.25s"),
            ("1.5us", "0.0000015s"),
            ("3µs2ns", "0.000003002s"),
            ("0", "0s"),
            ("0s", "0s"),
            ("-0.25h", "-900s"),
        ] {
            assert_eq!(parse_duration(text).map(format_duration).as_deref(), Some(written), "{text}");
        }
        for wrong in ["", "-", "1", "h", "1x", "1h-1m", ".5s", "1.s", "99999999999999h", "1e9s", "0s0", " 1s"]
        {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
    }
}
