//! Allowances as they are written: `10000/day`.
//!
//! Entry points: [`Allowance`], by its `FromStr` and `Display`.

use std::fmt;
use std::str::FromStr;

use crate::Period;

/// Periods by the names they may have; the first one is how they are shown.
const PERIODS: &[(&[&str], Period)] =
    &[(&["day", "d"], Period::Day), (&["week", "w"], Period::Week), (&["month"], Period::Month)];

/// So much in a period of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Allowance {
    /// How much; at least one.
    pub limit: u64,
    /// In which periods.
    pub period: Period,
}

/// Why a text is no allowance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllowanceError {
    /// It does not have the form `10000/day`.
    Form,
    /// The number is 0, or larger than there can be.
    Number,
    /// There is no such period.
    Period,
}

impl fmt::Display for AllowanceError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            AllowanceError::Form => "it does not have the form `10000/day`",
            AllowanceError::Number => {
                "the number must be from 1 to 1,000,000,000,000, such as `10000`, `50k`, `10M` or `2G`"
            }
            AllowanceError::Period => "periods are `day`, `week` and `month`",
        })
    }
}

impl Allowance {
    /// The most that there can be in a period.
    pub const MOST: u64 = 1_000_000_000_000;
}

impl Period {
    /// How it is written.
    pub fn as_str(self) -> &'static str {
        let known = PERIODS.iter().find(|(_, period)| *period == self);
        known.and_then(|(names, _)| names.first()).copied().unwrap_or_default()
    }
}

impl FromStr for Allowance {
    type Err = AllowanceError;

    fn from_str(text: &str) -> Result<Allowance, AllowanceError> {
        let (number, period) = text.split_once('/').ok_or(AllowanceError::Form)?;
        let (number, period) = (number.trim(), period.trim());
        let digits = number.trim_end_matches(|letter: char| !letter.is_ascii_digit());
        let factor = match number.get(digits.len()..).unwrap_or_default() {
            "" => 1,
            "k" | "K" => 1_000,
            "M" => 1_000_000,
            "G" => 1_000_000_000,
            _ => return Err(AllowanceError::Number),
        };
        let limit = digits.parse::<u64>().ok().and_then(|limit| limit.checked_mul(factor));
        let limit = limit.filter(|limit| (1..=Allowance::MOST).contains(limit));
        let known = PERIODS.iter().find(|(names, _)| names.contains(&period));
        Ok(Allowance {
            limit: limit.ok_or(AllowanceError::Number)?,
            period: known.ok_or(AllowanceError::Period)?.1,
        })
    }
}

impl fmt::Display for Allowance {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.limit, self.period.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allowances_are_read_and_shown() {
        for (text, limit, period, shown) in [
            ("10000/day", 10_000, Period::Day, "10000/day"),
            (" 5k / w ", 5_000, Period::Week, "5000/week"),
            ("10M/month", 10_000_000, Period::Month, "10000000/month"),
            ("1000G/d", Allowance::MOST, Period::Day, "1000000000000/day"),
        ] {
            let allowance: Allowance = text.parse().unwrap();
            assert_eq!((allowance.limit, allowance.period), (limit, period), "{text}");
            assert_eq!(allowance.to_string(), shown);
            assert_eq!(shown.parse(), Ok(allowance));
        }
    }

    #[test]
    fn what_is_no_allowance_is_refused() {
        for (text, error) in [
            ("10000", AllowanceError::Form),
            ("0/day", AllowanceError::Number),
            ("-1/day", AllowanceError::Number),
            ("1.5/day", AllowanceError::Number),
            ("1001G/day", AllowanceError::Number),
            ("99999999999999999999/day", AllowanceError::Number),
            ("5T/day", AllowanceError::Number),
            ("5/", AllowanceError::Period),
            ("5/min", AllowanceError::Period),
            ("5/2day", AllowanceError::Period),
        ] {
            assert_eq!(text.parse::<Allowance>(), Err(error), "{text}");
        }
    }
}
