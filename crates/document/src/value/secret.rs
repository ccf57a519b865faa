//! Text that is never shown.

use std::fmt;

use diagnostics::Diagnostics;

use crate::decode::Decode;
use crate::node::Node;
use crate::shape::Shape;

/// Text that `Debug` and `Display` print as `[hidden]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the place that uses it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("[hidden]")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("[hidden]")
    }
}

impl Decode for Secret {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        String::decode(node, diagnostics).map(Self)
    }

    fn shape() -> Shape {
        Shape::Text { format: Shape::SECRET, example: "${env:NAME}" }
    }
}
