//! What the user writes.

use std::fmt;

use diagnostics::{Code, Diagnostic, Diagnostics, Span, Spanned};
use document::{Decode, Node, OneOrMany, SectionInfo, Shape, section};
use limits::Rate;

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
    /// Limits how often somebody may ask. A list of such rules holds all at once.
    pub(crate) struct Rule {
        /// How many requests in how much time: `20/s`, `100/min`, `5000/h`, `1M/month`, `5/10s`. Several of them hold all
        /// at once: `[10/s, 1000/h]`.
        limit: OneOrMany<Spanned<WrittenRate>>,
        /// So many requests may come at once, and the others evenly at the rate. Without it at most `limit` requests pass
        /// within any such time, however they are spread.
        burst: Option<Spanned<u32>>,
        /// Who shares a limit: `consumer`, `client_ip`, `route`, `header:NAME`, `query:NAME`, `cookie:NAME`, `claim:NAME`,
        /// or `cel:EXPRESSION` with a string as its value. Several together: `[consumer, route]`.
        by: OneOrMany<Spanned<By>> = "consumer",
        /// What a request costs: a number, or `{ response_header: NAME }` for what the service says in its answer.
        cost: WrittenCost = "1",
        /// Whether requests over the limit are refused.
        mode: Mode = "enforce",
        /// Whether clients are told in `RateLimit` and `RateLimit-Policy`.
        headers: bool = "true",
        /// For how many of those who share a limit it is remembered what they have used. Beyond it whoever has used the
        /// least is forgotten.
        keys: u32 [1..=10000000] = "100000",
        /// How a limit is shared by gateways that have the same `state`: `leased` is the default, and `off` counts on each
        /// gateway by itself.
        shared: Option<Spanned<Sharing>>,
        /// What becomes of requests that the store of `state` cannot be asked about: `local` is the default.
        on_store_failure: Option<Spanned<OnStoreFailure>>,
    }
    short limit
    check check_rule
}

/// A rate as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WrittenRate(pub(crate) Rate);

impl fmt::Display for WrittenRate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl Decode for WrittenRate {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let text = String::decode(node, diagnostics)?;
        match text.parse() {
            Ok(rate) => Some(WrittenRate(rate)),
            Err(error) => {
                let message = format!("`{text}` is no rate: {error}");
                diagnostics.push(
                    Diagnostic::error(Code::InvalidValue, node.span, message)
                        .help("write how many requests in how much time: `100/min`"),
                );
                None
            }
        }
    }

    fn shape() -> Shape {
        Shape::Text { format: "rate", example: "100/min" }
    }
}

fn check_rule(rule: &Rule, diagnostics: &mut Diagnostics) {
    let Some(burst) = &rule.burst else { return };
    if burst.value == 0 {
        diagnostics.push(
            Diagnostic::error(Code::InvalidValue, burst.span, "no request would pass with a burst of 0")
                .help("write 1 for requests that come one by one"),
        );
    }
    if rule.limit.0.len() > 1 {
        diagnostics.push(
            Diagnostic::error(
                Code::ConflictingKeys,
                burst.span,
                "it is not clear of which limit this is the burst",
            )
            .help("write several rules: `rate_limit: [{ limit: 10/s, burst: 20 }, { limit: 1000/h }]`"),
        );
    }
}
