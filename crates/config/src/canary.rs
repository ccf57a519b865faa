//! `routes[].canary`: a new version that gets more requests step by step, and none when it is worse.

use std::fmt;

use balance::rollout::{self, Condition, Measure};
use diagnostics::{Code, Diagnostic, Diagnostics, Spanned};
use document::{Decode, Node, Percent, Shape, section};

use crate::timeout::Timeout;

section! {
    /// A new version of the `service` of the route. It gets a larger share of the requests step by step as long as it does
    /// well, and none any more when one of `abort_if` has come true beyond doubt. A route with it has a `name`.
    pub struct Canary {
        /// The service that is the new version.
        service: Spanned<String>,
        /// The shares that it gets, one after the other, each larger than the one before.
        steps: Spanned<Vec<Spanned<Percent>>> = "[1%, 5%, 25%, 100%]",
        /// How long a step lasts at least.
        every: Timeout = "5m",
        /// How many requests it must have had in a step before the next one.
        min_requests: u32 [1..=1000000000] = "50",
        /// What ends it; without it, when more than 2 % of its requests fail, and more than 1.5 times as many as those of
        /// the stable version.
        abort_if: AbortIf = "{ error_rate: '> 2%' }",
    }
}

section! {
    /// What the new version must not be: `> 2%` of the requests, `> 300ms`, or `> 1.5x` of what the stable version is at
    /// the same time.
    pub struct AbortIf {
        /// The share of requests that fail: answered with a status of 500 or more, or not at all.
        error_rate: Option<Spanned<Above>>,
        /// How long the faster half of the answers take.
        p50: Option<Spanned<Above>>,
        /// How long all but the slowest twentieth take.
        p95: Option<Spanned<Above>>,
        /// How long all but the slowest hundredth take.
        p99: Option<Spanned<Above>>,
    }
    check check
}

impl AbortIf {
    /// Everything that is written, in the order of the keys.
    pub fn conditions(&self) -> impl Iterator<Item = (Measure, &Spanned<Above>)> {
        let all = [
            (Measure::ErrorRate, &self.error_rate),
            (Measure::P50, &self.p50),
            (Measure::P95, &self.p95),
            (Measure::P99, &self.p99),
        ];
        all.into_iter().filter_map(|(measure, above)| Some((measure, above.as_ref()?)))
    }
}

fn check(abort_if: &AbortIf, diagnostics: &mut Diagnostics) {
    if abort_if.conditions().next().is_none() && !diagnostics.has_error_in(abort_if.span) {
        diagnostics.push(
            Diagnostic::error(Code::MissingKey, abort_if.span, "nothing would ever end this")
                .help("name something: `error_rate: \"> 2%\"`, or `p99: \"> 1.5x\"`"),
        );
    }
    for (measure, above) in abort_if.conditions() {
        if let Err(error) = Condition::new(measure, above.value.0) {
            diagnostics.push(Diagnostic::error(Code::InvalidValue, above.span, error.to_string()));
        }
    }
}

/// From where on something is too much: `> 2%`, `> 300ms`, `> 1.5x`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Above(pub rollout::Threshold);

impl fmt::Display for Above {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl Decode for Above {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let Some(text) = node.text() else {
            diagnostics.push(node.wrong_type("a limit such as `> 2%`, `> 300ms` or `> 1.5x`"));
            return None;
        };
        rollout::Threshold::parse(text)
            .map_err(|error| {
                diagnostics.push(Diagnostic::error(Code::InvalidValue, node.span, error.to_string()));
            })
            .ok()
            .map(Above)
    }

    fn shape() -> Shape {
        Shape::Text { format: "limit", example: "> 2%" }
    }
}
