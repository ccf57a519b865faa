//! Counts what is used up, and refuses what goes over a quota. How requests are charged to several is in `charge.rs`.

use std::sync::Arc;

use arc_swap::ArcSwap;
use quota::{Allowance, Bounds, Counter, Counters, QuotaId, Zone};

use super::charge::charge;
use super::key::Key;
use super::quotas::Quotas;
use crate::cost::Cost;
use crate::level::Level;
use crate::sharing::{Identity, OnStoreFailure, Shared};
use crate::subject::Whose;
use crate::trial::tried;
use crate::{Flow, RequestCx, ResponseCx, Stage};

const KIND: &str = "quota";
/// The most quotas of one policy: each is looked at for each request.
pub(crate) const MOST_RULES: usize = 8;

/// One quota.
#[derive(Debug)]
pub(crate) struct Counted {
    pub(crate) allowance: Allowance,
    pub(crate) id: QuotaId,
    /// The period that runs, as far as somebody has looked: to find it takes some microseconds.
    pub(crate) bounds: ArcSwap<Bounds>,
    /// Where gateways count it together.
    pub(crate) shared: Option<Shared>,
}

/// Quotas that hold for the same ones.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) counted: Box<[Counted]>,
    pub(crate) whose: Whose,
    pub(crate) zone: Zone,
    pub(crate) zone_name: Box<str>,
    pub(crate) cost: Cost,
    pub(crate) dry_run: bool,
    pub(crate) headers: bool,
    pub(crate) on_store_failure: OnStoreFailure,
}

/// Ready to run.
#[derive(Debug)]
pub struct Ready {
    pub(crate) rules: Box<[Rule]>,
    pub(crate) quotas: Arc<Quotas>,
    /// Where it is written; empty for the gateway.
    pub(crate) place: String,
}

impl Ready {
    /// When it is known who is calling and that it may.
    pub const STAGE: Stage = Stage::Limit;
    /// That is what it is for.
    pub const CAN_REFUSE: bool = true;

    /// Lets the request pass if there is room in all quotas.
    pub fn on_request(&self, cx: &mut RequestCx<'_>) -> Flow {
        if cx.state.is_explained() {
            let words = self.in_words(cx);
            cx.state.remark(KIND, || words);
            return Flow::Continue;
        }
        match charge(KIND, &[self], cx) {
            Ok(()) => Flow::Continue,
            Err(flow) => flow,
        }
    }

    /// Which quotas a request would be charged to, and whose they are.
    pub(crate) fn in_words(&self, cx: &RequestCx<'_>) -> String {
        let words = self.rules.iter().map(|rule| {
            let all: Vec<String> = rule.counted.iter().map(|one| one.allowance.to_string()).collect();
            let shared = rule.counted.iter().find_map(|counted| counted.shared.as_ref());
            let shared =
                shared.map_or(String::new(), |shared| format!(", shared by gateways ({})", shared.mode()));
            let (all, whose) = (all.join(" and "), rule.whose.in_words(cx));
            format!("{all} in {} of {whose}{}{shared}{}", rule.zone_name, rule.cost, tried(rule.dry_run))
        });
        words.collect::<Vec<_>>().join("; ")
    }

    /// The first quota, in words, that is less than what a request costs which counts as so many.
    pub(crate) fn never_bears(&self, factor: u32) -> Option<String> {
        let mut all =
            self.rules.iter().flat_map(|rule| rule.counted.iter().map(move |counted| (rule, counted)));
        let cost = |rule: &Rule| u64::from(rule.cost.before()).saturating_mul(factor.into());
        let found = all.find(|(rule, counted)| cost(rule) > counted.allowance.limit);
        found.map(|(_, counted)| counted.allowance.to_string())
    }

    /// Whether this gateway alone counts some of it, and no store that gateways share.
    pub(crate) fn is_kept_alone(&self) -> bool {
        self.rules.iter().flat_map(|rule| &rule.counted).any(|counted| counted.shared.is_none())
    }

    /// Whether some cost is said by the answers of services.
    pub fn is_told_costs(&self) -> bool {
        self.rules.iter().any(|rule| rule.cost.is_said())
    }

    /// Charges what the service says that the request has cost.
    pub(crate) fn settle(&self, cx: &mut ResponseCx<'_>) {
        for owed in &cx.state.owed_quotas {
            let Some(rule) = self.rules.get(usize::from(owed.rule)) else { continue };
            let Some(counted) = rule.counted.get(usize::from(owed.counted)) else { continue };
            let counters = self.quotas.counters();
            // One was charged already.
            let errand = match rule.cost.said(cx.headers) {
                Some(0) => owed.one.give_back(counted, 1, &counters),
                Some(cost) if cost > 1 => owed.one.charge_more(counted, cost - 1, &counters),
                _ => None,
            };
            cx.state.errands.extend(errand);
        }
    }

    /// Tells the client how its quota stands.
    pub fn on_response(&self, cx: &mut ResponseCx<'_>) {
        cx.state.tell_limit(cx.headers);
    }
}

impl Rule {
    /// What a request costs, as far as that is known before.
    #[inline]
    pub(super) fn cost(&self, cx: &RequestCx<'_>) -> u32 {
        self.cost.before().saturating_mul(cx.state.cost_factor())
    }

    /// By what the store knows who asks.
    pub(super) fn identity(&self, cx: &RequestCx<'_>) -> [u8; 16] {
        Identity::of(|out| self.whose.hash(cx, out))
    }
}

impl Counted {
    /// The counter of a key. Where there is no room for another one, those who are new share one: nobody is without a
    /// quota, and those who are known keep theirs.
    pub(super) fn counter(&self, counters: &Counters, key: &Key) -> Option<Arc<Counter>> {
        counters.counter(self.id, key.as_str()).ok().or_else(|| counters.counter_of_others(self.id))
    }

    /// The period that a time, in milliseconds since 1970, lies in.
    #[inline]
    pub(super) fn period(&self, zone: &Zone, now: i64) -> Bounds {
        let known = **self.bounds.load();
        if known.contain(now) {
            return known;
        }
        let found = self.allowance.period.bounds(zone, now);
        self.bounds.store(Arc::new(found));
        found
    }

    /// What is told of a quota to whoever asks.
    pub(super) fn level(&self, left: u64, cost: u32, period: Bounds, now: i64) -> Level {
        let seconds = |milliseconds: i64| u64::try_from(milliseconds.max(0)).unwrap_or(0).div_ceil(1000);
        Level {
            limit: self.allowance.limit,
            period: seconds(period.end.saturating_sub(period.start)),
            left,
            cost,
            full_after: seconds(period.end.saturating_sub(now)),
        }
    }
}

/// What the store and leases know a period by: its end, in seconds since 1970.
pub(super) fn name_of(period: Bounds) -> u32 {
    u32::try_from(period.end / 1000).unwrap_or(u32::MAX)
}

/// Of seconds since 1970.
pub(super) fn milliseconds(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1000)
}
