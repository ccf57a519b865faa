//! What the user writes: nothing but `off`.

use diagnostics::{Diagnostics, Span};
use document::{Decode, Node, SectionInfo, Shape};

/// Whatever was written, which is one thing too many.
#[derive(Clone, Debug)]
pub struct Raw {
    pub(crate) span: Span,
}

mod nothing {
    use document::section;

    section! {
        /// Holds by itself wherever consumers have plans; it has no settings, and `plan: off` switches it off.
        pub(super) struct Raw {}
    }
}

impl Raw {
    /// There are no keys.
    pub fn info() -> SectionInfo {
        nothing::Raw::info()
    }
}

impl Decode for Raw {
    fn decode(node: &Node, _: &mut Diagnostics) -> Option<Self> {
        Some(Raw { span: node.span })
    }

    fn shape() -> Shape {
        nothing::Raw::shape()
    }
}
