//! A length of time: `10ms`, `5s`, `1m`, `1h`, `1d`.

use std::fmt;
use std::time::Duration;

use diagnostics::{Code, Diagnostics, Words};

use crate::decode::Decode;
use crate::node::Node;
use crate::number;
use crate::shape::Shape;
use crate::value::{refuse, scalar_of};

const UNITS: &[(&str, u64)] = &[("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// A hundred years of milliseconds: what is longer is a mistake, and could overflow a clock.
const LONGEST: u64 = 36_525 * 86_400_000;

/// A length of time, in whole milliseconds, at most a hundred years. `0s` is possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DurationValue(pub Duration);

impl DurationValue {
    /// The length of time.
    pub fn get(self) -> Duration {
        self.0
    }
}

impl fmt::Display for DurationValue {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match u64::try_from(self.0.as_millis()) {
            Ok(0) | Err(_) => out.write_str("0s"),
            Ok(millis) => out.write_str(&number::with_unit(millis, UNITS)),
        }
    }
}

impl Decode for DurationValue {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let scalar = scalar_of(node, "a duration such as `5s`", diagnostics)?;
        let millis =
            number::split(&scalar.text).and_then(|(number, unit)| number::scale(number, unit, UNITS));
        match millis {
            Some(millis) if millis <= LONGEST => Some(Self(Duration::from_millis(millis))),
            _ => refuse(
                Code::InvalidDuration,
                node,
                "a duration",
                Words::fixed(help(&scalar.text, scalar.secret)),
                diagnostics,
            ),
        }
    }

    fn shape() -> Shape {
        Shape::Text { format: "duration", example: "5s" }
    }
}

fn help(text: &str, secret: bool) -> String {
    match number::split(text) {
        Some((number, "")) if !secret => format!("add a unit: `{number}s` or `{number}ms`"),
        Some((_, unit)) if UNITS.iter().any(|(known, _)| *known == unit) => {
            "at most a hundred years".to_owned()
        }
        Some((_, unit)) if unit.starts_with('.') => {
            "write a whole number of a smaller unit: `1500ms`".to_owned()
        }
        _ => "write a whole number and a unit: `10ms`, `5s`, `1m`, `1h`, `1d`".to_owned(),
    }
}
