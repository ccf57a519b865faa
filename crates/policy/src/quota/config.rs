//! What the user writes.

use std::fmt;

use diagnostics::{Code, Diagnostic, Diagnostics, Span, Spanned};
use document::{Decode, Node, OneOrMany, SectionInfo, Shape, section};
use quota::{Allowance, Zone};

use crate::cost::WrittenCost;
use crate::sharing::{OnStoreFailure, Sharing};
use crate::subject::By;
use crate::trial::Mode;

/// Rules that hold at once.
#[derive(Clone, Debug)]
pub struct Raw {
    /// At least one.
    pub(crate) rules: Vec<Rule>,
    pub(crate) span: Span,
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
        Some(Raw { rules, span: node.span })
    }

    fn shape() -> Shape {
        OneOrMany::<Rule>::shape()
    }
}

section! {
    /// Limits how much somebody may use in a day, a week or a month of the calendar. A list of such rules holds all at
    /// once.
    pub(crate) struct Rule {
        /// How much in which period: `10000/day`, `50k/week`, `10M/month`. Several of them hold all at once.
        limit: OneOrMany<Spanned<WrittenAllowance>>,
        /// Who shares a quota: as in the policy `rate_limit`.
        by: OneOrMany<Spanned<By>> = "consumer",
        /// Where periods begin at midnight, weeks on Monday: a time zone such as `Europe/Berlin`, or an offset such as
        /// `+02:00`.
        time_zone: WrittenZone = "UTC",
        /// What a request costs: a number, or `{ response_header: NAME }` for what the service says in its answer.
        cost: WrittenCost = "1",
        /// Whether requests over the quota are refused.
        mode: Mode = "enforce",
        /// Whether clients are told in `RateLimit` and `RateLimit-Policy`.
        headers: bool = "true",
        /// How a quota is shared by gateways that have the same `state`: `leased` is the default, and `off` counts on each
        /// gateway by itself.
        shared: Option<Spanned<Sharing>>,
        /// What becomes of requests that the store of `state` cannot be asked about: `local` is the default.
        on_store_failure: Option<Spanned<OnStoreFailure>>,
    }
    short limit
}

/// An allowance as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WrittenAllowance(pub(crate) Allowance);

impl fmt::Display for WrittenAllowance {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl Decode for WrittenAllowance {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let text = String::decode(node, diagnostics)?;
        match text.parse() {
            Ok(allowance) => Some(WrittenAllowance(allowance)),
            Err(error) => {
                let message = format!("`{text}` is no quota: {error}");
                let help = if text.parse::<limits::Rate>().is_ok() {
                    "for shorter times, write it as `rate_limit`"
                } else {
                    "write how much in which period: `10000/day`"
                };
                diagnostics.push(Diagnostic::error(Code::InvalidValue, node.span, message).help(help));
                None
            }
        }
    }

    fn shape() -> Shape {
        Shape::Text { format: "quota", example: "10000/day" }
    }
}

/// A time zone as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WrittenZone {
    pub(crate) name: String,
    pub(crate) zone: Zone,
}

impl Decode for WrittenZone {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let name = String::decode(node, diagnostics)?;
        match Zone::parse(&name) {
            Ok(zone) => Some(WrittenZone { name, zone }),
            Err(error) => {
                let message = format!("`{name}` is {error}");
                diagnostics.push(
                    Diagnostic::error(Code::InvalidValue, node.span, message)
                        .help("write a time zone: `Europe/Berlin`, `UTC`, `+02:00`"),
                );
                None
            }
        }
    }

    fn shape() -> Shape {
        Shape::Text { format: "time zone", example: "Europe/Berlin" }
    }
}
