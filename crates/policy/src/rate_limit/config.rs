//! What the user writes.

use std::fmt;

use diagnostics::{Code, Diagnostic, Diagnostics, Span, Spanned};
use document::{Decode, Node, OneOrMany, SectionInfo, Shape, keywords, section};
use limits::{MAX_COST, Rate};

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
        cost: Cost = "1",
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

keywords! {
    /// What becomes of requests over a limit.
    pub(crate) enum Mode {
        /// They are answered with 429.
        Enforce = "enforce",
        /// They pass, and are counted and logged.
        DryRun = "dry_run",
    }
}

keywords! {
    /// How a limit is shared by gateways.
    pub(crate) enum Sharing {
        /// Slices of it are charged at the store ahead of need, so that hardly any request waits for the store.
        Leased = "leased",
        /// The store is asked about each request.
        Exact = "exact",
        /// Each gateway counts by itself.
        Off = "off",
    }
}

keywords! {
    /// What becomes of requests that the store cannot be asked about.
    pub(crate) enum OnStoreFailure {
        /// This gateway counts them by itself, by the same limit.
        Local = "local",
        /// They pass, and nobody counts them.
        Open = "open",
        /// They are answered with 503.
        Closed = "closed",
    }
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

/// What tells those apart who have limits of their own.
#[derive(Clone, Debug)]
pub(crate) enum By {
    /// The consumer, or else the address.
    Consumer,
    /// The address of the client.
    ClientIp,
    /// The route.
    Route,
    /// A header.
    Header(String),
    /// A parameter of the query.
    Query(String),
    /// A cookie.
    Cookie(String),
    /// A claim of a token.
    Claim(String),
    /// The value of an expression: where it stands, and how much stands in front of it.
    Expression(Node, usize),
}

const WANTED: &str = "`consumer`, `client_ip`, `route`, `header:NAME`, `query:NAME`, `cookie:NAME`, `claim:NAME` and `cel:EXPRESSION`";

impl Decode for By {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let text = String::decode(node, diagnostics)?;
        let found = match (text.as_str(), text.split_once(':')) {
            ("consumer", _) => Some(By::Consumer),
            ("client_ip", _) => Some(By::ClientIp),
            ("route", _) => Some(By::Route),
            (_, Some((kind, name))) if !name.trim().is_empty() => match kind {
                "header" => Some(By::Header(name.trim().to_ascii_lowercase())),
                "query" => Some(By::Query(name.trim().to_owned())),
                "cookie" => Some(By::Cookie(name.trim().to_owned())),
                "claim" => Some(By::Claim(name.trim().to_owned())),
                "cel" => Some(By::Expression(node.clone(), "cel:".len())),
                _ => None,
            },
            _ => None,
        };
        if found.is_none() {
            diagnostics.push(
                Diagnostic::error(Code::InvalidValue, node.span, format!("`{text}` tells nobody apart"))
                    .help(format!("possible are {WANTED}"))
                    .did_you_mean(&text, ["consumer", "client_ip", "route"]),
            );
        }
        found
    }

    fn shape() -> Shape {
        Shape::Text { format: "key", example: "header:x-tenant" }
    }
}

/// What a request costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cost {
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

impl Decode for Cost {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        if node.map().is_some() {
            let told = Told::decode(node, diagnostics)?;
            let name = told.response_header;
            return Some(Cost::ResponseHeader(Spanned::new(name.value.to_ascii_lowercase(), name.span)));
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
        cost.map(Cost::Fixed)
    }

    fn shape() -> Shape {
        Shape::OneOf(vec![Shape::Integer { min: 1, max: MAX_COST.into() }, Shape::Section(Told::info)])
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
