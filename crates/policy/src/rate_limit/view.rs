//! How limits stand, for whoever runs the gateway.
//!
//! Entry points: [`Ready::views`], [`Ready::reset`].

use std::sync::Arc;
use std::time::Instant;

use limits::{Key, Limit};
use store::{LeaseKey, Leases, OwnAsk};

use super::run::{Counted, Ready, Rule};
use crate::sharing::{Identity, Shared};

/// A limit, and how it stands for somebody if that was asked.
#[derive(Clone, Debug)]
pub struct LimitView {
    /// How many requests in how much time.
    pub limit: String,
    /// How many at once, where the others come evenly.
    pub burst: Option<u32>,
    /// What tells those apart who have limits of their own.
    pub by: Vec<String>,
    /// Whether requests over it pass.
    pub dry_run: bool,
    /// How many have used something.
    pub keys: usize,
    /// What is left for the one who was asked for, and after how many seconds it is all of it. Of a shared limit it is
    /// what this gateway has counted by itself while the store could not be asked.
    pub left: Option<(u32, u64)>,
    /// How gateways share it, if they do.
    pub shared: Option<&'static str>,
    /// What the store is asked to find out what is left for the one who was asked for, of all gateways together.
    pub ask: Option<OwnAsk>,
}

impl Ready {
    /// Where it is written: `gateway`, `service orders`, `route order-by-id`, `plan gold`.
    pub fn place(&self) -> &str {
        if self.place.is_empty() { "gateway" } else { &self.place }
    }

    /// All limits. `values` are those of somebody in the order of `by`: a name, an address, the value of a header. What
    /// goes by another number of values says nothing about it.
    pub fn views(&self, values: &[&str], at: Instant) -> Vec<LimitView> {
        let now = self.nanoseconds(at);
        let view = |rule: &Rule, counted: &Counted| {
            let full = counted.limit.full();
            LimitView {
                limit: counted.rate.to_string(),
                burst: matches!(counted.limit, Limit::Bucket(_)).then_some(full),
                by: rule.whose.names(),
                dry_run: rule.dry_run,
                keys: match counted.leases() {
                    Some(leases) => leases.keys(),
                    None => counted.used.keys(),
                },
                shared: counted.shared.as_ref().map(Shared::mode),
                ask: rule.ask_of(counted, values, 0),
                left: rule.key_of(counted, values).map(|key| {
                    let level = counted.used.level(&counted.limit, key, now);
                    level.map_or((full, 0), |level| (level.left, level.full_after))
                }),
            }
        };
        self.rules
            .iter()
            .flat_map(|rule| rule.counted.iter().map(move |counted| view(rule, counted)))
            .collect()
    }

    /// Forgets what somebody has used here; in how many limits there was something.
    pub fn reset(&self, values: &[&str]) -> usize {
        let reset = |(rule, counted): (&Rule, &Counted)| {
            let leased = counted.leases().zip(rule.lease_of(counted, values));
            let held = leased.is_some_and(|(leases, key)| leases.forget(key));
            let used = rule.key_of(counted, values).is_some_and(|key| counted.used.reset(key));
            held || used
        };
        self.counted().filter(|one| reset(*one)).count()
    }

    /// What is given back to the store so that it forgets too.
    pub fn forget_at_store(&self, values: &[&str]) -> Vec<OwnAsk> {
        self.counted()
            .filter_map(|(rule, counted)| rule.ask_of(counted, values, OwnAsk::EVERYTHING))
            .collect()
    }

    fn counted(&self) -> impl Iterator<Item = (&Rule, &Counted)> {
        self.rules.iter().flat_map(|rule| rule.counted.iter().map(move |counted| (rule, counted)))
    }
}

impl Counted {
    fn leases(&self) -> Option<&Arc<Leases>> {
        self.shared.as_ref()?.leases.as_ref()
    }
}

impl Rule {
    /// The key of somebody with these values.
    fn key_of(&self, counted: &Counted, values: &[&str]) -> Option<Key> {
        (self.whose.fits(values)).then(|| counted.used.key(|out| self.whose.hash_values(values, out)))
    }

    fn lease_of(&self, counted: &Counted, values: &[&str]) -> Option<LeaseKey> {
        let leases = counted.leases().filter(|_| self.whose.fits(values))?;
        Some(leases.key(|out| self.whose.hash_values(values, out)))
    }

    fn ask_of(&self, counted: &Counted, values: &[&str], cost: u64) -> Option<OwnAsk> {
        let shared = counted.shared.as_ref().filter(|_| self.whose.fits(values))?;
        let identity = Identity::of(|out| self.whose.hash_values(values, out));
        Some(OwnAsk { cost, ..shared.ask(identity, 0) })
    }
}
