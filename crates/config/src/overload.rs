//! What keeps services and the gateway from more than they can bear.

use std::fmt;

use diagnostics::{Code, Diagnostic, Diagnostics, Words};
use document::{Decode, Node, Percent, Shape, Switch, keywords, section};

use crate::timeout::Timeout;

section! {
    /// How many requests a service gets at a time, over all its endpoints. What does not fit waits for its turn: the more
    /// important first, and of the same importance one client after the other.
    pub struct Concurrency {
        /// A number, for all workers together; or `adaptive`: as many as it takes without slowing down, which each worker
        /// finds out for itself and keeps finding out.
        limit: ConcurrencyLimit = "adaptive",
        /// How many requests may wait, in each worker.
        queue: u32 [0..=100000] = "100",
        /// How long one may wait; with `adaptive` no longer than about the time that answers take. What would wait
        /// longer is refused at once.
        max_wait: Timeout = "1s",
    }
}

/// How many requests a service gets at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConcurrencyLimit {
    /// As many as it takes without slowing down.
    Adaptive,
    /// This many.
    Number(u32),
}

impl ConcurrencyLimit {
    const MOST: u32 = 1_000_000;
}

impl fmt::Display for ConcurrencyLimit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConcurrencyLimit::Adaptive => out.write_str("adaptive"),
            ConcurrencyLimit::Number(number) => number.fmt(out),
        }
    }
}

impl Decode for ConcurrencyLimit {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        if node.text() == Some("adaptive") {
            return Some(Self::Adaptive);
        }
        let number = node.text().and_then(|text| text.parse().ok());
        let number = number.filter(|number| (1..=Self::MOST).contains(number));
        if number.is_none() {
            let message =
                Words::fixed(format!("expected `adaptive` or a number of requests, found {}", node.kind()));
            diagnostics.push(
                Diagnostic::error(Code::InvalidValue, node.span, message)
                    .help(Words::fixed(format!("write `adaptive`, or a number from 1 to {}", Self::MOST))),
            );
        }
        number.map(Self::Number)
    }

    fn shape() -> Shape {
        Shape::OneOf(vec![Shape::Keyword(&["adaptive"]), Shape::Integer { min: 1, max: Self::MOST.into() }])
    }
}

section! {
    /// Sends a service nothing for a while when too much of what it gets fails, so that it can recover and clients do not
    /// wait for nothing. Then a few requests try whether it works again.
    pub struct CircuitBreaker {
        /// It opens when so many requests have failed within `window`.
        failure_rate: Percent = "50%",
        /// Fewer requests than these prove nothing.
        min_requests: u32 [1..=1000000] = "20",
        /// What is older than this is not counted.
        window: Timeout = "10s",
        /// How long it is open the first time; each time that follows soon takes twice as long, up to ten times.
        open: Timeout = "5s",
        /// How many requests must be answered well before it closes.
        probes: u32 [1..=1000] = "3",
    }
}

section! {
    /// When the gateway itself has more to do than it can, it answers some requests with 503 at once, so that it can serve
    /// the others in time; the less important first. The admin listener is not concerned.
    pub struct Overload {
        /// A worker that comes back to its work so much later than it should, several times in a row, has too much of it;
        /// `off` does not look at that.
        lag: Switch<Timeout> = "100ms",
        /// So much of the memory that the process may have is too much; `off` does not look at that.
        memory: Switch<Percent> = "90%",
    }
}

keywords! {
    /// How much it matters that a request is served, when not all can be.
    pub enum Importance {
        /// Before all others.
        High = "high",
        /// As most are.
        Normal = "normal",
        /// What can be done later.
        Low = "low",
    }
}
