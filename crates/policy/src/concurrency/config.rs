//! What the user writes.

use diagnostics::{Diagnostics, Spanned};
use document::{Decode, Node, OneOrMany, SectionInfo, Shape, section};

use crate::subject::By;
use crate::trial::Mode;

/// Rules that hold at once.
#[derive(Clone, Debug)]
pub struct Raw {
    /// At least one.
    pub(crate) rules: Vec<Rule>,
}

impl Raw {
    /// The keys of a rule.
    pub fn info() -> SectionInfo {
        Rule::info()
    }
}

impl Decode for Raw {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let OneOrMany(rules) = OneOrMany::decode(node, diagnostics)?;
        Some(Raw { rules })
    }

    fn shape() -> Shape {
        OneOrMany::<Rule>::shape()
    }
}

section! {
    /// Limits how many requests somebody may have under way at once. A list of such rules holds all at once.
    pub(crate) struct Rule {
        /// How many.
        limit: u32 [1..=1000000],
        /// Who shares a limit: as in the policy `rate_limit`.
        by: OneOrMany<Spanned<By>> = "consumer",
        /// Whether requests over the limit are refused.
        mode: Mode = "enforce",
    }
    short limit
}
