//! What people write as limits and shares of a rollout: `> 2%`, `> 1.5x`, `> 300ms`, and steps such as `5%`.
//!
//! It must not know what the limits are applied to. Entry points: [`Threshold::parse`], [`Share::parse`].

use std::fmt;

/// A share of the requests, in hundredths of a percent: 0 to 10000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share(u16);

impl Share {
    /// No request.
    pub const NONE: Share = Share(0);
    /// All requests.
    pub const ALL: Share = Share(10_000);

    /// So many hundredths of a percent. `None` if that is more than all.
    #[must_use]
    pub const fn new(hundredths: u16) -> Option<Share> {
        if hundredths <= Share::ALL.0 { Some(Share(hundredths)) } else { None }
    }

    /// In hundredths of a percent, 0 to 10000.
    #[must_use]
    pub const fn hundredths(self) -> u16 {
        self.0
    }

    /// From 0 to 1.
    #[must_use]
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / 10_000.0
    }

    /// Reads a share such as `5%` or `0.5%`.
    ///
    /// # Errors
    ///
    /// What is wrong with the text, and what to write instead.
    pub fn parse(text: &str) -> Result<Share, ThresholdError> {
        match quantity(text.trim())? {
            (hundredths, "%") => share(hundredths),
            (_, "") => Err(ThresholdError::NoUnit(text.trim().to_owned(), "`%`")),
            (_, unit) => Err(ThresholdError::Unit(unit.to_owned(), "`%`")),
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}%", f64::from(self.0) / 100.0)
    }
}

/// More than this is too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Threshold {
    /// `> 2%`: this share of the requests.
    Share(Share),
    /// `> 1.5x`: so many hundredths of what the stable version has, at least 100.
    Times(u32),
    /// `> 300ms`: so many microseconds, more than 0 and at most [`Threshold::LONGEST`].
    Micros(u32),
}

impl Threshold {
    /// The longest time that can be written, in microseconds: what takes longer is not told apart.
    pub const LONGEST: u32 = 30_000_000;
    /// The largest factor that can be written.
    const MOST_TIMES: u32 = 1_000;

    /// Reads `> 2%`, `> 1.5x`, `> 300ms` or `> 1.5s`. Numbers have at most two digits after the point; spaces do not
    /// matter.
    ///
    /// # Errors
    ///
    /// What is wrong with the text, and what to write instead.
    pub fn parse(text: &str) -> Result<Threshold, ThresholdError> {
        let text = text.trim();
        let limit = text.strip_prefix('>').filter(|rest| !rest.starts_with('=')).ok_or_else(|| {
            if text.starts_with(['<', '=', '>', '!']) {
                ThresholdError::Comparison(text.chars().take_while(|c| "<>=!".contains(*c)).collect())
            } else {
                ThresholdError::NoComparison(text.to_owned())
            }
        })?;
        let limit = limit.trim();
        match quantity(limit)? {
            (hundredths, "%") => share(hundredths).map(Threshold::Share),
            (hundredths, "x") if hundredths < 100 => Err(ThresholdError::FactorBelowOne(limit.to_owned())),
            (hundredths, "x") if hundredths <= Threshold::MOST_TIMES * 100 => {
                Ok(Threshold::Times(hundredths))
            }
            (_, "x") => Err(ThresholdError::TooMuch(limit.to_owned(), "`1000x`")),
            (hundredths, "ms") => micros(hundredths, 10, limit),
            (hundredths, "s") => micros(hundredths, 10_000, limit),
            (_, "") => Err(ThresholdError::NoUnit(limit.to_owned(), UNITS)),
            (_, unit) => Err(ThresholdError::Unit(unit.to_owned(), UNITS)),
        }
    }
}

/// As it is written.
impl fmt::Display for Threshold {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Threshold::Share(share) => write!(out, "> {share}"),
            Threshold::Times(hundredths) => write!(out, "> {}x", f64::from(*hundredths) / 100.0),
            Threshold::Micros(micros) => write!(out, "> {}ms", f64::from(*micros) / 1000.0),
        }
    }
}

const UNITS: &str = "`%`, `x` (times the stable version's), `ms` or `s`";

fn share(hundredths: u32) -> Result<Share, ThresholdError> {
    let share = u16::try_from(hundredths).ok().and_then(Share::new);
    share.ok_or_else(|| ThresholdError::TooMuch(format!("{}%", f64::from(hundredths) / 100.0), "`100%`"))
}

fn micros(hundredths: u32, each: u32, text: &str) -> Result<Threshold, ThresholdError> {
    match hundredths.checked_mul(each) {
        Some(0) => Err(ThresholdError::NoTime),
        Some(micros) if micros <= Threshold::LONGEST => Ok(Threshold::Micros(micros)),
        _ => Err(ThresholdError::TooMuch(text.to_owned(), "`30s`")),
    }
}

/// A number in hundredths, and the unit behind it.
fn quantity(text: &str) -> Result<(u32, &str), ThresholdError> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end).unwrap_or((text, ""));
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if !is_number(whole) || !is_number(part) {
        return Err(ThresholdError::Number(text.to_owned()));
    }
    let part = match part.len() {
        1 => part.parse().map(|tenths: u32| tenths * 10),
        2 => part.parse(),
        _ => return Err(ThresholdError::TooFine(number.to_owned())),
    };
    let whole: Option<u32> = whole.parse().ok();
    let hundredths = whole.zip(part.ok()).and_then(|(whole, part)| whole.checked_mul(100)?.checked_add(part));
    // No unit goes so far.
    Ok((hundredths.unwrap_or(u32::MAX), unit.trim_start()))
}

/// What is wrong with a threshold or a share. Its text says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ThresholdError {
    /// There is no `>`.
    NoComparison(String),
    /// Another comparison than `>`.
    Comparison(String),
    /// There is no number where one must be.
    Number(String),
    /// More than two digits after the point.
    TooFine(String),
    /// There is no unit behind the number; these are possible.
    NoUnit(String, &'static str),
    /// There is no such unit; these are possible.
    Unit(String, &'static str),
    /// More than the most that can be written.
    TooMuch(String, &'static str),
    /// A factor below one.
    FactorBelowOne(String),
    /// A time of zero.
    NoTime,
}

impl fmt::Display for ThresholdError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoComparison(text) if text.is_empty() => {
                out.write_str("say what is too much: `> 2%`, `> 1.5x` or `> 300ms`")
            }
            Self::NoComparison(text) => {
                write!(out, "say from where on it is too much: write `> {text}`")
            }
            Self::Comparison(found) => write!(
                out,
                "`{found}` is not possible here: a canary is aborted when something is above a limit, so write `>`"
            ),
            Self::Number(text) if text.is_empty() => {
                out.write_str("a number is missing: `> 2%`, `> 1.5x` or `> 300ms`")
            }
            Self::Number(text) => write!(out, "`{text}` does not begin with a number such as `2` or `1.5`"),
            Self::TooFine(number) => write!(out, "`{number}` has more than two digits after the point"),
            Self::NoUnit(text, units) => write!(out, "`{text}` needs a unit: {units}"),
            Self::Unit(unit, units) => write!(out, "there is no unit `{unit}` here: write {units}"),
            Self::TooMuch(text, most) => write!(out, "`{text}` is too much: at most {most}"),
            Self::FactorBelowOne(text) => write!(
                out,
                "`{text}` would abort a canary that is as good as the stable version: write at least `1x`"
            ),
            Self::NoTime => {
                out.write_str("every request takes longer than no time: write for example `300ms`")
            }
        }
    }
}

impl std::error::Error for ThresholdError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_shown_again() {
        for (text, expected, shown) in [
            ("> 2%", Threshold::Share(Share(200)), "> 2%"),
            (">2%", Threshold::Share(Share(200)), "> 2%"),
            ("  >  0.05 % ", Threshold::Share(Share(5)), "> 0.05%"),
            ("> 0%", Threshold::Share(Share::NONE), "> 0%"),
            ("> 100%", Threshold::Share(Share::ALL), "> 100%"),
            ("> 1.5x", Threshold::Times(150), "> 1.5x"),
            ("> 1x", Threshold::Times(100), "> 1x"),
            ("> 1000 x", Threshold::Times(100_000), "> 1000x"),
            ("> 300ms", Threshold::Micros(300_000), "> 300ms"),
            ("> 0.25ms", Threshold::Micros(250), "> 0.25ms"),
            ("> 1.5s", Threshold::Micros(1_500_000), "> 1500ms"),
            ("> 30s", Threshold::Micros(Threshold::LONGEST), "> 30000ms"),
        ] {
            let read = Threshold::parse(text);
            assert_eq!(read, Ok(expected), "{text}");
            assert_eq!(expected.to_string(), shown);
            assert_eq!(Threshold::parse(shown), read);
        }
    }

    #[test]
    fn mistakes_are_named_with_what_to_write() {
        for (text, message) in [
            ("", "say what is too much: `> 2%`, `> 1.5x` or `> 300ms`"),
            ("2%", "say from where on it is too much: write `> 2%`"),
            (
                "< 2%",
                "`<` is not possible here: a canary is aborted when something is above a limit, so write `>`",
            ),
            (
                ">= 2%",
                "`>=` is not possible here: a canary is aborted when something is above a limit, so write `>`",
            ),
            (">", "a number is missing: `> 2%`, `> 1.5x` or `> 300ms`"),
            ("> high", "`high` does not begin with a number such as `2` or `1.5`"),
            ("> -1%", "`-1%` does not begin with a number such as `2` or `1.5`"),
            ("> .5%", "`.5%` does not begin with a number such as `2` or `1.5`"),
            ("> 1.2.3%", "`1.2.3%` does not begin with a number such as `2` or `1.5`"),
            (
                "> 1,5x",
                "there is no unit `,5x` here: write `%`, `x` (times the stable version's), `ms` or `s`",
            ),
            ("> 0.005%", "`0.005` has more than two digits after the point"),
            ("> 2", "`2` needs a unit: `%`, `x` (times the stable version's), `ms` or `s`"),
            ("> 5m", "there is no unit `m` here: write `%`, `x` (times the stable version's), `ms` or `s`"),
            ("> 101%", "`101%` is too much: at most `100%`"),
            ("> 1001x", "`1001x` is too much: at most `1000x`"),
            ("> 31s", "`31s` is too much: at most `30s`"),
            ("> 99999999999999s", "`99999999999999s` is too much: at most `30s`"),
            (
                "> 0.9x",
                "`0.9x` would abort a canary that is as good as the stable version: write at least `1x`",
            ),
            ("> 0ms", "every request takes longer than no time: write for example `300ms`"),
            ("> 2％", "there is no unit `％` here: write `%`, `x` (times the stable version's), `ms` or `s`"),
        ] {
            assert_eq!(Threshold::parse(text).map_err(|error| error.to_string()), Err(message.to_owned()));
        }
    }

    #[test]
    fn shares() {
        for (text, hundredths) in [("1%", 100), ("0.5%", 50), ("100 %", 10_000), ("0%", 0), ("33.33%", 3333)]
        {
            assert_eq!(Share::parse(text).map(Share::hundredths), Ok(hundredths), "{text}");
        }
        for (text, message) in [
            ("5", "`5` needs a unit: `%`"),
            ("5x", "there is no unit `x` here: write `%`"),
            ("100.01%", "`100.01%` is too much: at most `100%`"),
            ("half", "`half` does not begin with a number such as `2` or `1.5`"),
        ] {
            assert_eq!(Share::parse(text).map_err(|error| error.to_string()), Err(message.to_owned()));
        }
        assert_eq!((Share::new(10_000), Share::new(10_001)), (Some(Share::ALL), None));
    }
}
