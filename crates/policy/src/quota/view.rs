//! How quotas stand, for whoever runs the gateway.
//!
//! Entry points: [`Ready::views`], [`Ready::running`], [`Ready::reset`].

use quota::{Allowance, Bounds, QuotaId, Usage};
use store::OwnAsk;

use super::key::Key;
use super::run::{Counted, Ready, Rule, milliseconds, name_of};
use crate::sharing::{Identity, Shared};

/// A quota, and how it stands for somebody if that was asked.
#[derive(Clone, Debug)]
pub struct QuotaView {
    /// How much in which period.
    pub limit: String,
    /// In which time zone.
    pub time_zone: String,
    /// What tells those apart who have quotas of their own.
    pub by: Vec<String>,
    /// Whether what goes over it passes.
    pub dry_run: bool,
    /// The period that runs.
    pub period: Bounds,
    /// How gateways share it, if they do.
    pub shared: Option<&'static str>,
    /// What the store is asked to find out what is left for the one who was asked for, of all gateways together.
    pub ask: Option<OwnAsk>,
    /// What is used up, and what is left, for the one who was asked for. Of a shared quota it is what this gateway has let
    /// pass.
    pub used: Option<(u64, u64)>,
}

/// A quota, and the period of it that runs.
#[derive(Clone, Copy, Debug)]
pub struct Running {
    /// What its counters are found by.
    pub id: QuotaId,
    /// How much in which period.
    pub allowance: Allowance,
    /// The period.
    pub period: Bounds,
}

impl Ready {
    /// Where it is written: `gateway`, `service orders`, `route order-by-id`, `plan gold`.
    pub fn place(&self) -> &str {
        if self.place.is_empty() { "gateway" } else { &self.place }
    }

    /// All quotas at a time, in seconds since 1970. `values` are those of somebody in the order of `by`.
    pub fn views(&self, values: &[&str], now: u64) -> Vec<QuotaView> {
        let counters = self.quotas.counters();
        let view = |(rule, counted): (&Rule, &Counted)| {
            let period = counted.period(&rule.zone, milliseconds(now));
            let key = Key::of_values(&rule.whose, values);
            let used = |usage: Option<Usage>| usage.filter(|usage| usage.period.start >= period.start);
            QuotaView {
                limit: counted.allowance.to_string(),
                time_zone: rule.zone_name.to_string(),
                by: rule.whose.names(),
                dry_run: rule.dry_run,
                period,
                shared: counted.shared.as_ref().map(Shared::mode),
                ask: rule.ask_of(counted, values, period),
                used: key.map(|key| {
                    let used = used(counters.usage(counted.id, key.as_str())).map_or(0, |usage| usage.used);
                    (used, counted.allowance.limit.saturating_sub(used))
                }),
            }
        };
        self.all().map(view).collect()
    }

    /// All quotas with the periods that run at a time, in seconds since 1970.
    pub fn running(&self, now: u64) -> Vec<Running> {
        let running = |(rule, counted): (&Rule, &Counted)| Running {
            id: counted.id,
            allowance: counted.allowance,
            period: counted.period(&rule.zone, milliseconds(now)),
        };
        self.all().map(running).collect()
    }

    /// Forgets what somebody has used up here; in how many quotas there was something.
    pub fn reset(&self, values: &[&str], now: u64) -> usize {
        let counters = self.quotas.counters();
        self.all()
            .filter(|(rule, counted)| {
                let period = counted.period(&rule.zone, milliseconds(now));
                let held = rule.forget_lease(counted, values, period);
                let key = Key::of_values(&rule.whose, values);
                let usage = key.and_then(|key| counters.reset(counted.id, key.as_str()));
                held || usage.is_some_and(|usage| usage.used > 0)
            })
            .count()
    }

    /// What is given back to the store so that it forgets too.
    pub fn forget_at_store(&self, values: &[&str], now: u64) -> Vec<OwnAsk> {
        let ask = |(rule, counted): (&Rule, &Counted)| {
            let period = counted.period(&rule.zone, milliseconds(now));
            let ask = rule.ask_of(counted, values, period)?;
            Some(OwnAsk { cost: OwnAsk::EVERYTHING, ..ask })
        };
        self.all().filter_map(ask).collect()
    }

    fn all(&self) -> impl Iterator<Item = (&Rule, &Counted)> {
        self.rules.iter().flat_map(|rule| rule.counted.iter().map(move |counted| (rule, counted)))
    }
}

impl Rule {
    fn ask_of(&self, counted: &Counted, values: &[&str], period: Bounds) -> Option<OwnAsk> {
        let shared = counted.shared.as_ref().filter(|_| self.whose.fits(values))?;
        let identity = Identity::of(|out| self.whose.hash_values(values, out));
        Some(counted.ask(shared, identity, name_of(period), 0))
    }

    /// Forgets the units that are held for somebody; whether there was something to forget.
    fn forget_lease(&self, counted: &Counted, values: &[&str], period: Bounds) -> bool {
        let leases = counted.shared.as_ref().and_then(|shared| shared.leases.as_ref());
        leases.filter(|_| self.whose.fits(values)).is_some_and(|leases| {
            leases.forget(leases.key_in(name_of(period), |out| self.whose.hash_values(values, out)))
        })
    }
}
