//! What the user writes: nothing but `off`.

use diagnostics::{Diagnostics, Span};
use document::{Decode, Node, SectionInfo, Shape, section};

/// Whatever was written, which is one thing too many.
#[derive(Clone, Debug)]
pub struct Raw {
    pub(crate) span: Span,
}

section! {
    /// Holds by itself wherever consumers have plans; it has no settings, and `plan: off` switches it off.
    struct Nothing {}
}

impl Raw {
    /// There are no keys.
    pub fn info() -> SectionInfo {
        Nothing::info()
    }
}

impl Decode for Raw {
    fn decode(node: &Node, _: &mut Diagnostics) -> Option<Self> {
        Some(Raw { span: node.span })
    }

    fn shape() -> Shape {
        Nothing::shape()
    }
}
