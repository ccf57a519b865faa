//! The policies of a route, in the order in which they run.

use std::sync::Arc;

use diagnostics::Span;
use message::{Fault, Reply};

use crate::authenticate::{Found, Gate};
use crate::{Consumers, Flow, Policy, Question, RequestCx, ResponseCx, Stage, Verdict};

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
    gate: Gate,
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

/// Why a request is not served as it was meant.
#[derive(Debug)]
pub enum Refusal {
    /// A policy answered.
    Reply(Reply),
    /// A policy found a fault.
    Fault(Fault),
}

/// Why a chain stopped.
#[derive(Debug)]
pub enum Halt {
    /// For good.
    Refused(Refusal),
    /// Until this is answered, which a policy of this kind has asked. The chain is run again with the answer, and goes on
    /// where it stopped.
    Ask(&'static str, Box<Question>),
}

/// What a policy said, for who watches.
#[derive(Debug, Clone, Copy)]
pub enum Saw<'a> {
    /// A policy that decides or changes something.
    Flow(&'a Flow),
    /// A policy that knows callers.
    Verdict(&'a Verdict),
    /// It is settled who is calling, by all of those before together.
    Settled,
}

/// How far a chain has come with a request.
#[derive(Debug, Default, Clone)]
pub(crate) struct Progress {
    /// The policy that asked.
    pub(crate) link: usize,
    /// What those before it have found out about the caller.
    pub(crate) found: Found,
    /// The consumer that is calling, as far as somebody wants to know what would be then.
    pub(crate) supposed: Option<u32>,
}

impl Chain {
    /// Sorts policies into the order of their stages; within a stage by the order of the list of kinds,
    /// so that the order in the configuration never matters.
    pub fn new(mut links: Vec<Link>) -> Chain {
        links.sort_by_key(|link| (link.policy.stage(), link.policy.kind_index()));
        let gate = Chain::gate(&links);
        Chain { links: links.into(), gate }
    }

    /// Where it is settled who is calling.
    fn gate(links: &[Link]) -> Gate {
        let from = links.partition_point(|link| {
            link.policy.stage() < Stage::Authenticate
                || (link.policy.stage() == Stage::Authenticate && !link.policy.knows_callers())
        });
        let to = links.partition_point(|link| link.policy.stage() <= Stage::Authenticate);
        let rules = links.iter().find_map(|link| match &*link.policy {
            Policy::Auth(auth) => Some(auth),
            _ => None,
        });
        Gate {
            from,
            to,
            all: rules.is_some_and(|rules| !rules.demanded.is_empty()),
            anonymous: rules.is_some_and(|rules| rules.anonymous),
        }
    }

    /// The policies in order.
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// The policies that know callers; empty where nobody has to say who is calling.
    pub fn authenticators(&self) -> &[Link] {
        self.links.get(self.gate.from..self.gate.to).unwrap_or_default()
    }

    /// Whether a request that says nothing of its caller gets no further than the policies that know callers.
    pub fn demands_identity(&self) -> bool {
        !self.gate.is_open() && !self.gate.anonymous
    }

    /// Whether all policies that know callers have to recognise one, and not any.
    pub fn demands_all(&self) -> bool {
        self.gate.all
    }

    /// Whether a consumer has what this chain asks of callers: a credential for one of the policies that know callers, or
    /// for each of them.
    pub fn could_know(&self, consumer: u32, consumers: &Consumers) -> bool {
        let has = |link: &Link| link.policy.lacks(consumer, consumers, None).is_none();
        if self.gate.all {
            self.authenticators().iter().all(has)
        } else {
            self.authenticators().iter().any(has)
        }
    }

    /// Whether two chains are of the same policies.
    pub fn is_like(&self, other: &Chain) -> bool {
        let policies = |chain: &Chain| -> Vec<*const Policy> {
            chain.links.iter().map(|link| Arc::as_ptr(&link.policy)).collect()
        };
        policies(self) == policies(other)
    }

    /// Whether two chains protect a route in the same way: the same instances of all policies that can
    /// refuse a request.
    pub fn guards_like(&self, other: &Chain) -> bool {
        let guards = |chain: &Chain| -> Vec<*const Policy> {
            chain
                .links
                .iter()
                // A cost decides of how many requests a plan refuses the next one.
                .filter(|link| link.policy.can_refuse() || matches!(*link.policy, Policy::PlanCost(_)))
                .map(|link| Arc::as_ptr(&link.policy))
                .collect()
        };
        guards(self) == guards(other)
    }

    /// Runs the policies over a request, from the one on that has asked something. `watch` sees each of them by its
    /// position, what it said, and the request after it.
    #[inline]
    pub fn run_request(
        &self,
        cx: &mut RequestCx<'_>,
        mut watch: impl FnMut(usize, Saw<'_>, &RequestCx<'_>),
    ) -> Result<Permitted, Halt> {
        let mut at = std::mem::take(&mut cx.state.progress.link);
        while let Some(link) = self.links.get(at) {
            if (self.gate.from..self.gate.to).contains(&at) {
                self.gate.pass(&self.links, at, cx, &mut watch)?;
                at = self.gate.to;
                continue;
            }
            let flow = link.policy.on_request(cx);
            // What it did not need is nobody else's.
            cx.answer = None;
            watch(at, Saw::Flow(&flow), cx);
            match flow {
                Flow::Continue => at += 1,
                Flow::Reply(reply) => {
                    cx.state.stopped_by.get_or_insert((link.policy.kind().name, ""));
                    return Err(Halt::Refused(Refusal::Reply(reply)));
                }
                Flow::Unauthenticated => {
                    let reply = self.gate.demand(&self.links, None, cx);
                    return Err(Halt::Refused(Refusal::Reply(reply)));
                }
                Flow::Fault(fault) => {
                    let unavailable = fault == Fault::AuthorityUnavailable;
                    let reason = if unavailable { "unavailable" } else { fault.code() };
                    cx.state.stopped_by.get_or_insert((link.policy.kind().name, reason));
                    return Err(Halt::Refused(Refusal::Fault(fault)));
                }
                Flow::Ask(question) => {
                    cx.state.progress.link = at;
                    return Err(Halt::Ask(link.policy.kind().name, question));
                }
            }
        }
        Ok(Permitted(()))
    }

    /// Charges what the answer of the service says that the request has cost. It comes once for each request, before
    /// anything is done to the answer, whether the client gets it or not.
    #[inline]
    pub fn settle(&self, cx: &mut ResponseCx<'_>) {
        if cx.state.owes() {
            self.links.iter().for_each(|link| link.policy.settle(cx));
        }
    }

    /// Runs the policies over a response, in reverse.
    #[inline]
    pub fn run_response(&self, cx: &mut ResponseCx<'_>) {
        for link in self.links.iter().rev() {
            link.policy.on_response(cx);
        }
    }
}
