//! Rates as they are written: `100/min`.
//!
//! Entry points: [`Rate`], by its `FromStr` and `Display`.

use std::fmt;
use std::str::FromStr;

const SECOND: u64 = 1_000_000_000;

/// Units by the names they may have; the first one is how they are shown.
const UNITS: &[(&[&str], u64)] = &[
    (&["s", "sec", "second"], SECOND),
    (&["min", "m", "minute"], 60 * SECOND),
    (&["h", "hour"], 3_600 * SECOND),
    (&["day", "d"], 86_400 * SECOND),
    (&["week", "w"], 7 * 86_400 * SECOND),
    (&["month"], 30 * 86_400 * SECOND),
];

/// So many requests in so much time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    /// How many; at least one.
    limit: u32,
    /// In how many nanoseconds.
    period: u64,
}

/// Why a text is no rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateError {
    /// It does not have the form `100/min`.
    Form,
    /// The number is 0, or larger than there can be.
    Number,
    /// There is no such unit.
    Unit,
    /// The period is 0, or longer than a year.
    Period,
}

impl fmt::Display for RateError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            RateError::Form => "it does not have the form `100/min`",
            RateError::Number => "the number must be from 1 to 1,000,000,000, such as `100`, `50k` or `10M`",
            RateError::Unit => "units are `s`, `min`, `h`, `day`, `week` and `month` (30 days)",
            RateError::Period => "a period is from one second to a year",
        })
    }
}

impl Rate {
    /// The most requests that a rate can have.
    pub const MOST: u32 = 1_000_000_000;
    const LONGEST: u64 = 366 * 86_400 * SECOND;

    /// How many requests; at least one.
    pub fn limit(self) -> u32 {
        self.limit
    }

    /// In how many nanoseconds.
    pub fn period(self) -> u64 {
        self.period
    }

    /// In how many whole seconds.
    pub fn seconds(self) -> u64 {
        self.period / SECOND
    }
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Rate, RateError> {
        let (number, period) = text.split_once('/').ok_or(RateError::Form)?;
        let (number, period) = (number.trim(), period.trim());
        let digits = number.trim_end_matches(|letter: char| !letter.is_ascii_digit());
        let factor = match number.get(digits.len()..).unwrap_or_default() {
            "" => 1,
            "k" | "K" => 1_000,
            "M" => 1_000_000,
            _ => return Err(RateError::Number),
        };
        let limit = digits.parse::<u64>().ok().and_then(|limit| limit.checked_mul(factor));
        let limit = limit.filter(|limit| (1..=u64::from(Rate::MOST)).contains(limit));
        let limit = limit.and_then(|limit| u32::try_from(limit).ok()).ok_or(RateError::Number)?;
        let unit = period.trim_start_matches(|letter: char| letter.is_ascii_digit());
        let count = period.strip_suffix(unit).unwrap_or_default();
        let count = if count.is_empty() { 1 } else { count.parse().map_err(|_| RateError::Period)? };
        let unit = unit.trim();
        let known = UNITS.iter().find(|(names, _)| names.contains(&unit)).ok_or(RateError::Unit)?;
        let period = known.1.checked_mul(count).filter(|period| (SECOND..=Rate::LONGEST).contains(period));
        Ok(Rate { limit, period: period.ok_or(RateError::Period)? })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The longest unit that it has a whole number of.
        let unit = UNITS.iter().rev().find(|(_, length)| self.period.is_multiple_of(*length));
        let (names, length) = unit.copied().unwrap_or((&["ns"], 1));
        let name = names.first().copied().unwrap_or_default();
        match self.period / length {
            1 => write!(out, "{}/{name}", self.limit),
            count => write!(out, "{}/{count}{name}", self.limit),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_and_shown() {
        for (text, limit, seconds, shown) in [
            ("100/min", 100, 60, "100/min"),
            ("20/s", 20, 1, "20/s"),
            (" 5 / 10s ", 5, 10, "5/10s"),
            ("50k/day", 50_000, 86_400, "50000/day"),
            ("10M/month", 10_000_000, 2_592_000, "10000000/month"),
            ("1/60s", 1, 60, "1/min"),
            ("1/90s", 1, 90, "1/90s"),
            ("1000000000/hour", 1_000_000_000, 3_600, "1000000000/h"),
        ] {
            let rate: Rate = text.parse().unwrap();
            assert_eq!((rate.limit(), rate.seconds(), rate.to_string()), (limit, seconds, shown.to_owned()));
            assert_eq!(shown.parse(), Ok(rate));
        }
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for (text, error) in [
            ("100", RateError::Form),
            ("", RateError::Form),
            ("0/s", RateError::Number),
            ("-1/s", RateError::Number),
            ("1.5/s", RateError::Number),
            ("5kk/s", RateError::Number),
            ("2G/s", RateError::Number),
            ("1001M/s", RateError::Number),
            ("99999999999999999999/s", RateError::Number),
            ("1/fortnight", RateError::Unit),
            ("1/", RateError::Unit),
            ("1/5", RateError::Unit),
            ("1/0s", RateError::Period),
            ("1/2000day", RateError::Period),
            ("1/99999999999999999999s", RateError::Period),
        ] {
            assert_eq!(text.parse::<Rate>(), Err(error), "{text}");
        }
    }
}
