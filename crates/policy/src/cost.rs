//! What a request costs: a number, or what the service says afterwards.
//!
//! It must not know what is charged. Entry points: [`WrittenCost`] is what the user writes, [`WrittenCost::prepare`]
//! checks it.

use std::fmt;

use diagnostics::{Code, Diagnostic, Diagnostics, Spanned};
use document::{Decode, Node, Shape, section};
use limits::MAX_COST;
use message::Headers;

/// What a request costs, as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WrittenCost {
    /// Always so much.
    Fixed(u32),
    /// What the answer says in this header, in lower case. Until then it is 1.
    ResponseHeader(Spanned<String>),
}

section! {
    /// Where the cost of a request is said.
    pub(crate) struct Told {
        /// A header of the answer of the service, with a number.
        response_header: Spanned<String>,
    }
}

impl Decode for WrittenCost {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        if node.map().is_some() {
            let told = Told::decode(node, diagnostics)?;
            let name = told.response_header;
            return Some(WrittenCost::ResponseHeader(Spanned::new(
                name.value.to_ascii_lowercase(),
                name.span,
            )));
        }
        let cost =
            node.text().and_then(|text| text.parse().ok()).filter(|cost| (1..=MAX_COST).contains(cost));
        if cost.is_none() {
            let message = format!("expected a number, found {}", node.kind());
            diagnostics
                .push(Diagnostic::error(Code::InvalidValue, node.span, message).help(format!(
                    "write a number from 1 to {MAX_COST}, or `{{ response_header: x-cost }}`"
                )));
        }
        cost.map(WrittenCost::Fixed)
    }

    fn shape() -> Shape {
        Shape::OneOf(vec![Shape::Integer { min: 1, max: MAX_COST.into() }, Shape::Section(Told::info)])
    }
}

impl WrittenCost {
    /// Checks it.
    pub(crate) fn prepare(&self, diagnostics: &mut Diagnostics) -> Cost {
        match self {
            WrittenCost::Fixed(cost) => Cost::Fixed(*cost),
            WrittenCost::ResponseHeader(name) => {
                crate::places::check_header(name, diagnostics);
                Cost::Said(name.as_bytes().into())
            }
        }
    }
}

/// What a request costs.
#[derive(Debug)]
pub(crate) enum Cost {
    /// Always so much.
    Fixed(u32),
    /// What the answer says in this header.
    Said(Box<[u8]>),
}

impl Cost {
    /// What is charged before there is an answer.
    #[inline]
    pub(crate) fn before(&self) -> u32 {
        match self {
            Cost::Fixed(cost) => *cost,
            Cost::Said(_) => 1,
        }
    }

    /// Whether the answer says it.
    #[inline]
    pub(crate) fn is_said(&self) -> bool {
        matches!(self, Cost::Said(_))
    }

    /// What an answer says; `None` where it says nothing, and need not. A part of a unit is a unit, and what is too much
    /// to be counted is the most that is.
    pub(crate) fn said(&self, answer: &Headers) -> Option<u32> {
        let Cost::Said(name) = self else { return None };
        let said = std::str::from_utf8(answer.values(name).next()?).ok()?.trim();
        let (whole, part) = said.split_once('.').unwrap_or((said, "0"));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(whole) || !is_number(part) {
            return None;
        }
        let more = u32::from(part.bytes().any(|digit| digit != b'0'));
        // Digits that do not fit.
        Some(whole.parse().unwrap_or(u32::MAX).saturating_add(more))
    }
}

/// As it stands behind a limit in words; nothing where each request counts as one.
impl fmt::Display for Cost {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cost::Fixed(1) => Ok(()),
            Cost::Fixed(cost) => write!(out, ", at a cost of {cost}"),
            Cost::Said(name) => write!(out, ", at the cost that {} says", String::from_utf8_lossy(name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use message::Headers;

    use super::Cost;

    #[test]
    fn what_a_service_says_is_read_and_never_less_than_it_says() {
        let cost = Cost::Said((*b"x-cost").into());
        for (said, read) in [
            ("7", Some(7)),
            (" 7 ", Some(7)),
            ("0", Some(0)),
            ("0.0", Some(0)),
            ("7.0", Some(7)),
            ("7.01", Some(8)),
            ("4294967295", Some(u32::MAX)),
            ("4294967296", Some(u32::MAX)),
            ("99999999999999999999999", Some(u32::MAX)),
            ("", None),
            ("-5", None),
            ("+5", None),
            ("7,7", None),
            ("7.", None),
            (".5", None),
            ("1e3", None),
            ("abc", None),
        ] {
            let mut answer = Headers::default();
            answer.push(b"x-cost", said.as_bytes());
            assert_eq!(cost.said(&answer), read, "{said}");
        }
        assert_eq!(cost.said(&Headers::default()), None);
    }
}
