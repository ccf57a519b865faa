//! The circuit breakers of services: fed with what workers have counted, and telling them what may be sent.
//!
//! A breaker stays over reloads for as long as its settings do. Entry point: [`Breakers::look`].

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use balance::breaker::{Settings, State, Transition};
use balance::{Breaker, Tally};
use dataplane::Fuse;
use snapshot::{Endpoint, Service};

/// All circuit breakers.
#[derive(Default)]
pub(super) struct Breakers(RefCell<BTreeMap<Arc<str>, Guarded>>);

/// A service with a circuit breaker.
struct Guarded {
    settings: Settings,
    endpoints: Vec<Endpoint>,
    breaker: Breaker,
    fuse: Arc<Fuse>,
    /// Good answers and failures that were counted at the last look.
    seen: Option<(u64, u64)>,
}

impl Breakers {
    /// Keeps the breakers of these services and no others.
    pub(super) fn adopt(&self, services: &[Service], fuse: impl Fn(&str) -> Arc<Fuse>) {
        let mut old = self.0.take();
        let guarded = services.iter().filter_map(|service| {
            let settings = service.breaker?;
            let name = Arc::<str>::from(&*service.name);
            let endpoints = service.endpoints.clone();
            let same = old.remove(&name).filter(|before| before.settings == settings);
            let guarded = match same {
                Some(before) => Guarded { endpoints, ..before },
                None => {
                    let (breaker, fuse) = (Breaker::new(settings), fuse(&name));
                    fuse.set(breaker.state());
                    Guarded { settings, endpoints, breaker, fuse, seen: None }
                }
            };
            Some((name, guarded))
        });
        let now: BTreeMap<_, _> = guarded.collect();
        // Nobody is left who would close these.
        old.into_values().for_each(|gone| gone.fuse.set(State::Closed));
        *self.0.borrow_mut() = now;
    }

    /// Looks at what was counted, and returns which breakers have moved.
    pub(super) fn look(
        &self,
        addresses: impl Fn(&[Endpoint]) -> Vec<SocketAddr>,
        tallies: impl Fn(&str, &[SocketAddr]) -> Vec<(SocketAddr, Tally)>,
        now: u64,
    ) -> Vec<(Arc<str>, Transition)> {
        let mut moved = Vec::new();
        for (name, guarded) in self.0.borrow_mut().iter_mut() {
            let tallies = tallies(name, &addresses(&guarded.endpoints));
            let sum = tallies.iter().fold((0, 0), |sum, (_, one)| (sum.0 + one.good, sum.1 + one.failed));
            let transition = guarded.observe(sum, now);
            if let Some(transition) = transition {
                guarded.fuse.set(guarded.breaker.state());
                moved.push((Arc::clone(name), transition));
            }
        }
        moved
    }

    /// What the breaker of a service lets pass; `None` if it has none.
    pub(super) fn state_of(&self, service: &str) -> Option<State> {
        self.0.borrow().get(service).map(|guarded| guarded.breaker.state())
    }
}

impl Guarded {
    fn observe(&mut self, sum: (u64, u64), now: u64) -> Option<Transition> {
        // Addresses that went have taken what they had counted with them.
        let before = self.seen.replace(sum).unwrap_or(sum);
        let (good, failed) = (sum.0.saturating_sub(before.0), sum.1.saturating_sub(before.1));
        let probes = self.fuse.take_probes();
        if !matches!(self.breaker.state(), State::HalfOpen { .. }) {
            return self.breaker.observe(good, failed, now);
        }
        self.breaker.probes_sent(probes.sent, now);
        self.breaker.probes_abandoned(probes.abandoned);
        self.fuse.give_back(probes.abandoned);
        self.breaker.observe(probes.passed, probes.failed, now)
    }
}
