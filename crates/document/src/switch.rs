//! Something that has settings, or is switched `off`.

use diagnostics::Diagnostics;

use crate::decode::Decode;
use crate::node::Node;
use crate::shape::Shape;

/// Something that has settings, or is switched `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch<T> {
    /// `off`
    Off,
    /// With these settings.
    On(T),
}

impl<T> Switch<T> {
    /// The settings, unless it is off.
    pub const fn on(&self) -> Option<&T> {
        match self {
            Switch::Off => None,
            Switch::On(settings) => Some(settings),
        }
    }
}

impl<T: Decode> Decode for Switch<T> {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        if node.is_word("off") {
            return Some(Switch::Off);
        }
        if node.is_word("false") || node.is_word("no") {
            diagnostics.push(node.wrong_type("settings, or `off`").help("write `off`"));
            return None;
        }
        T::decode(node, diagnostics).map(Switch::On)
    }

    fn shape() -> Shape {
        Shape::OneOf(vec![Shape::Keyword(&["off"]), T::shape()])
    }
}
