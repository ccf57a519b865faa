//! `policies`: which policies hold somewhere.
//!
//! Only their names and places are known here: each policy decodes its own settings later.

use diagnostics::{Diagnostics, Spanned};
use document::{Decode, Map, Node, Shape};

/// The shape of the settings of a kind of policy; `None` for a kind that is not known.
pub type PolicyShapes = fn(&str) -> Option<Shape>;

/// What one section says about policies, by kind. No kind appears twice.
#[derive(Clone, Debug, Default)]
pub struct Policies(Map<PolicySetting>);

/// What is said about one kind of policy.
#[derive(Clone, Debug)]
pub enum PolicySetting {
    /// `off`: it does not hold here, whatever is said further out.
    Off,
    /// Its settings, as they were written.
    On(Node),
}

impl Policies {
    /// Kinds and what is said about them, in the order of the file.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &(Spanned<String>, PolicySetting)> {
        self.0.iter()
    }

    /// What is said about a kind.
    pub fn get(&self, kind: &str) -> Option<&PolicySetting> {
        self.0.get(kind)
    }
}

impl Decode for PolicySetting {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        // In quotes too: JSON has no other way to write it, and nothing else can be meant.
        if node.text() == Some("off") {
            return Some(Self::Off);
        }
        if node.is_word("false") || node.is_word("no") {
            diagnostics.push(node.wrong_type("the settings of the policy, or `off`").help("write `off`"));
            return None;
        }
        Some(Self::On(node.clone()))
    }

    fn shape() -> Shape {
        Shape::OneOf(vec![Shape::Keyword(&["off"]), Shape::Any])
    }
}

impl Decode for Policies {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        Map::decode(node, diagnostics).map(Self)
    }

    fn shape() -> Shape {
        Map::<PolicySetting>::shape()
    }
}
