//! When calendar periods begin and end, in a time zone.
//!
//! It must not know what is counted in them, and asks no clock. The rules of zones are those of the IANA time zone
//! database that is built in, so they do not depend on the machine. Entry points: [`Zone::parse`], [`Period::bounds`].

#[cfg(test)]
mod tests;

use std::fmt;

use jiff::civil::Date;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp, ToSpan};

/// Times are held to the years 0 to 9000, where no calculation leaves what the calendar can express.
const CALENDAR_MS: (i64, i64) = (-62_167_219_200_000, 221_845_392_000_000);

/// A time zone: one of the IANA database, or a fixed offset from UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(TimeZone);

/// Text that names no time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownZone;

impl fmt::Display for UnknownZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "neither a time zone of the IANA database, like `Europe/Berlin`, nor an offset, like `+02:00`",
        )
    }
}

impl std::error::Error for UnknownZone {}

impl Zone {
    /// Coordinated universal time.
    pub const UTC: Zone = Zone(TimeZone::UTC);

    /// Reads the name of a zone in the IANA database, in upper or lower case, or an offset `±HH:MM` of less than 15
    /// hours: no place on earth is further from UTC.
    ///
    /// # Errors
    /// It is neither.
    pub fn parse(text: &str) -> Result<Zone, UnknownZone> {
        if let Some(offset) = parse_offset(text) {
            return Ok(Zone(TimeZone::fixed(offset)));
        }
        // The database has an entry for what is not known, which keeps UTC and would hide a mistake.
        if text.eq_ignore_ascii_case("Etc/Unknown") {
            return Err(UnknownZone);
        }
        TimeZoneDatabase::bundled().get(text).map(Zone).map_err(|_| UnknownZone)
    }

    /// The first moment at which the calendar shows the date, or a later one if the zone has skipped it, in milliseconds.
    fn start_of(&self, date: Date) -> Option<i64> {
        let midnight = date.at(0, 0, 0, 0);
        let start = match self.0.to_ambiguous_timestamp(midnight).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(midnight).ok()?,
            // There are two midnights, and the day has begun at the first.
            AmbiguousOffset::Fold { before, .. } => before.to_timestamp(midnight).ok()?,
            // Clocks skip it. The day begins when they do, whatever they show then.
            AmbiguousOffset::Gap { before, .. } => {
                let late =
                    before.to_timestamp(midnight).ok()?.checked_add(SignedDuration::from_secs(1)).ok()?;
                self.0.preceding(late).next()?.timestamp()
            }
        };
        Some(start.as_millisecond())
    }
}

fn parse_offset(text: &str) -> Option<Offset> {
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let &[a, b, b':', c, d] = rest.as_bytes() else { return None };
    let two = |tens: u8, ones: u8| {
        let digit = |byte: u8| byte.is_ascii_digit().then(|| i32::from(byte - b'0'));
        Some(digit(tens)? * 10 + digit(ones)?)
    };
    let (hours, minutes) = (two(a, b)?, two(c, d)?);
    if hours > 14 || minutes > 59 {
        return None;
    }
    Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()
}

/// For how long a quota lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Period {
    /// From midnight to midnight.
    Day,
    /// From Monday to Sunday, as in ISO 8601.
    Week,
    /// From the first to the last day of a month.
    Month,
}

/// One period: from `start` on, until just before `end`, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Bounds {
    /// When it begins.
    pub start: i64,
    /// When it has ended, and the next begins.
    pub end: i64,
}

impl Bounds {
    /// Whether a time lies within. If it does not, ask [`Period::bounds`] again.
    #[inline]
    #[must_use]
    pub fn contain(self, now_ms: i64) -> bool {
        self.start <= now_ms && now_ms < self.end
    }
}

impl Period {
    /// The period that a time, in milliseconds since 1970, lies in. It costs some microseconds, so keep what it says for
    /// as long as it contains the time.
    ///
    /// Periods lie next to each other without a gap, whatever clocks do: a day has 23 hours, or 25, or is skipped. Where a
    /// clock is set back over midnight, so that it shows a part of the day before again, the new day has begun all the
    /// same. Times outside of the years 0 to 9000 are taken for the nearest within.
    #[must_use]
    pub fn bounds(self, zone: &Zone, now_ms: i64) -> Bounds {
        let now = now_ms.clamp(CALENDAR_MS.0, CALENDAR_MS.1);
        // Within these years no step fails.
        self.find(zone, now).unwrap_or(Bounds { start: i64::MIN, end: i64::MAX })
    }

    fn find(self, zone: &Zone, now: i64) -> Option<Bounds> {
        let today = zone.0.to_datetime(Timestamp::from_millisecond(now).ok()?).date();
        let first = match self {
            Period::Day => today,
            Period::Week => {
                today.checked_sub(i64::from(today.weekday().to_monday_zero_offset()).days()).ok()?
            }
            Period::Month => today.first_of_month(),
        };
        let next = self.after(first)?;
        let bounds = Bounds { start: zone.start_of(first)?, end: zone.start_of(next)? };
        if now < bounds.end {
            return Some(bounds);
        }
        Some(Bounds { start: bounds.end, end: zone.start_of(self.after(next)?)? })
    }

    /// The first day of the next period.
    fn after(self, first: Date) -> Option<Date> {
        let span = match self {
            Period::Day => 1.days(),
            Period::Week => 7.days(),
            Period::Month => 1.months(),
        };
        first.checked_add(span).ok()
    }
}
