//! `services.NAME.eject`: addresses that fail get no requests for a while.

use std::fmt;

use diagnostics::{Code, Diagnostic, Diagnostics};
use document::{Decode, Node, Percent, Shape, Switch, section};

use crate::timeout::Timeout;

section! {
    /// Addresses that fail, answer slowly or not at all while others of the service do well get no requests for a
    /// while. It is judged by what requests see, so no probes are needed; a service with one address never loses it.
    pub struct Eject {
        /// After so many failures without a good answer between them. A failure is a connection that cannot be opened
        /// or breaks, an answer that does not come in time, and a status of 500 or more besides 501 and 505.
        after: u32 [1..=10000] = "5",
        /// When so many of its requests fail within `window`, and at most half as large a share elsewhere; twice as many
        /// within a second are enough as well. `off` does not judge by that.
        failure_rate: Switch<Percent> = "20%",
        /// When half of its answers take so many times as long as those of the others, and longer than 100 ms. `off`
        /// does not judge by that.
        slower_than_others: Switch<Factor> = "10x",
        /// Shares and times are judged by this many requests at least.
        min_requests: u32 [1..=1000000] = "20",
        /// What is older than this is not counted.
        window: Timeout = "10s",
        /// How long the first time; each further time is twice as long, at most ten times.
        lasts as "for": Timeout = "30s",
        /// How many of the addresses may be out at a time, with those that probes have taken out.
        max: Percent = "50%",
    }
}

/// How many times as much: `10x`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Factor(pub u32);

impl fmt::Display for Factor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}x", self.0)
    }
}

impl Decode for Factor {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let text = node.text().unwrap_or_default();
        let number = text.strip_suffix('x').and_then(|number| number.parse().ok());
        let factor = number.filter(|factor| (2..=1000).contains(factor));
        if factor.is_none() {
            let shown = node.scalar().map_or_else(|| node.kind().to_owned(), document::Scalar::shown);
            diagnostics.push(
                Diagnostic::error(
                    Code::InvalidValue,
                    node.span,
                    format!("{shown} does not say how many times"),
                )
                .help("write a number from 2 to 1000 and `x`: `10x`"),
            );
        }
        factor.map(Factor)
    }

    fn shape() -> Shape {
        Shape::Text { format: "factor", example: "10x" }
    }
}
