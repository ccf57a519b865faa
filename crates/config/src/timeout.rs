//! The time something may take.

use std::fmt;
use std::time::Duration;

use diagnostics::{Code, Diagnostic, Diagnostics};
use document::{Decode, DurationValue, Node, Shape};

/// How long something may take, at least a millisecond: with none, everything would fail at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timeout(DurationValue);

impl Timeout {
    /// The length of time.
    pub fn get(self) -> Duration {
        self.0.get()
    }
}

impl fmt::Display for Timeout {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl Decode for Timeout {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let duration = DurationValue::decode(node, diagnostics)?;
        if duration.get().is_zero() {
            diagnostics.push(
                Diagnostic::error(
                    Code::InvalidValue,
                    node.span,
                    "a timeout of zero would end everything at once",
                )
                .help("write a longer one, or remove the key to have the default"),
            );
            return None;
        }
        Some(Self(duration))
    }

    fn shape() -> Shape {
        DurationValue::shape()
    }
}
