//! The policies of a route, in the order in which they run.

use std::sync::Arc;

use diagnostics::Span;
use message::{Fault, Reply};

use crate::{Flow, Policy, RequestCx, ResponseCx};

/// One policy of a chain and where in the configuration it comes from.
#[derive(Debug, Clone)]
pub struct Link {
    /// The policy; shared by all routes that inherit it.
    pub policy: Arc<Policy>,
    /// The place that set it.
    pub source: Span,
}

/// The policies of a route, sorted by stage.
#[derive(Debug, Clone, Default)]
pub struct Chain {
    links: Box<[Link]>,
}

/// Proof that every policy of a chain has let a request pass. Only [`Chain::run_request`] makes it, and
/// forwarding takes it by value: a route that skips its policies does not compile.
#[derive(Debug)]
#[must_use]
pub struct Permitted(());

impl Permitted {
    /// For a copy of the request that was let pass: it has passed the same policies.
    pub fn of_copy(&self) -> Permitted {
        Permitted(())
    }
}

/// Why a chain stopped.
#[derive(Debug)]
pub enum Refusal {
    /// A policy answered.
    Reply(Reply),
    /// A policy found a fault.
    Fault(Fault),
}

impl Chain {
    /// Sorts policies into the order of their stages; within a stage by the order of the list of kinds,
    /// so that the order in the configuration never matters.
    pub fn new(mut links: Vec<Link>) -> Chain {
        links.sort_by_key(|link| (link.policy.stage(), link.policy.kind_index()));
        Chain { links: links.into() }
    }

    /// The policies in order.
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// Whether two chains protect a route in the same way: the same instances of all policies that can
    /// refuse a request.
    pub fn guards_like(&self, other: &Chain) -> bool {
        let guards = |chain: &Chain| -> Vec<*const Policy> {
            chain
                .links
                .iter()
                .filter(|link| link.policy.can_refuse())
                .map(|link| Arc::as_ptr(&link.policy))
                .collect()
        };
        guards(self) == guards(other)
    }

    /// Runs the policies over a request. `watch` sees each of them, what it said, and the request after it.
    #[inline]
    pub fn run_request(
        &self,
        cx: &mut RequestCx<'_>,
        mut watch: impl FnMut(&Flow, &RequestCx<'_>),
    ) -> Result<Permitted, Refusal> {
        for link in &self.links {
            let flow = link.policy.on_request(cx);
            watch(&flow, cx);
            match flow {
                Flow::Continue => {}
                Flow::Reply(reply) => return Err(Refusal::Reply(reply)),
                Flow::Fault(fault) => return Err(Refusal::Fault(fault)),
            }
        }
        Ok(Permitted(()))
    }

    /// Runs the policies over a response, in reverse.
    #[inline]
    pub fn run_response(&self, cx: &mut ResponseCx<'_>) {
        for link in self.links.iter().rev() {
            link.policy.on_response(cx);
        }
    }
}
