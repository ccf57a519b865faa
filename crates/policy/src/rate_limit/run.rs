//! Counts requests, and refuses those over a limit. How they are charged to several is in `charge.rs`.

use std::sync::Arc;
use std::time::Instant;

use limits::{Judged, Key, Limit, Limiter, MAX_COST, Rate};
use store::LeaseKey;

use super::charge::charge;
use crate::cost::Cost;
use crate::level::Level;
use crate::sharing::{Identity, OnStoreFailure, Shared};
use crate::subject::Whose;
use crate::trial::tried;
use crate::{Errand, Flow, RequestCx, ResponseCx, Stage};

const KIND: &str = "rate_limit";

/// One limit with what was used of it.
#[derive(Debug)]
pub(crate) struct Counted {
    pub(crate) rate: Rate,
    pub(crate) limit: Limit,
    /// By this gateway alone; also while the store of a shared one cannot be asked.
    pub(crate) used: Arc<Limiter>,
    /// Where gateways count it together.
    pub(crate) shared: Option<Shared>,
}

/// Limits that hold for the same ones.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) counted: Box<[Counted]>,
    pub(crate) whose: Whose,
    pub(crate) cost: Cost,
    pub(crate) dry_run: bool,
    pub(crate) headers: bool,
    pub(crate) on_store_failure: OnStoreFailure,
}

/// Ready to run.
#[derive(Debug)]
pub struct Ready {
    pub(crate) rules: Box<[Rule]>,
    /// From when on times are counted.
    pub(crate) epoch: Instant,
    /// Where it is written; empty for the gateway.
    pub(crate) place: String,
}

/// A request whose cost is said by the answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owed {
    pub(crate) rule: u16,
    pub(crate) counted: u16,
    pub(crate) to: ChargedTo,
}

/// Where a request was charged.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ChargedTo {
    /// By this gateway alone, at this time.
    Here(Key, u64),
    /// To units that it holds.
    Lease(LeaseKey, Instant),
    /// At the store.
    Store([u8; 16]),
}

impl Ready {
    /// When it is known who is calling and that it may.
    pub const STAGE: Stage = Stage::Limit;
    /// That is what it is for.
    pub const CAN_REFUSE: bool = true;

    /// Lets the request pass if there is room in all limits.
    pub fn on_request(&self, cx: &mut RequestCx<'_>) -> Flow {
        if cx.state.is_explained() {
            let words = self.in_words(cx);
            cx.state.remark(KIND, || words);
            return Flow::Continue;
        }
        match charge(KIND, &[self], cx) {
            Ok(_) => Flow::Continue,
            Err(flow) => flow,
        }
    }

    /// Which limits a request would be charged to, and whose they are. What was used of them is known where the gateway
    /// runs.
    pub(crate) fn in_words(&self, cx: &RequestCx<'_>) -> String {
        let words = self.rules.iter().map(|rule| {
            let rates = rule.counted.iter().map(|counted| match counted.limit {
                Limit::Bucket(_) => format!("{} with a burst of {}", counted.rate, counted.limit.full()),
                Limit::Window(_) => counted.rate.to_string(),
            });
            let shared = rule.counted.iter().find_map(|counted| counted.shared.as_ref());
            let shared =
                shared.map_or(String::new(), |shared| format!(", shared by gateways ({})", shared.mode()));
            let (rates, whose) = (rates.collect::<Vec<_>>().join(" and "), rule.whose.in_words(cx));
            format!("{rates} of {whose}{}{shared}{}", rule.cost, tried(rule.dry_run))
        });
        words.collect::<Vec<_>>().join("; ")
    }

    /// The first limit, in words, that is less than what a request costs which counts as so many; no more than
    /// [`MAX_COST`] can be charged at once.
    pub(crate) fn never_bears(&self, factor: u32) -> Option<String> {
        let mut all =
            self.rules.iter().flat_map(|rule| rule.counted.iter().map(move |counted| (rule, counted)));
        let cost = |rule: &Rule| u64::from(rule.cost.before()).saturating_mul(factor.into());
        let found = all.find(|(rule, counted)| cost(rule) > counted.limit.full().min(MAX_COST).into());
        found.map(|(_, counted)| match counted.limit.full() {
            full if full > MAX_COST => format!("{MAX_COST} at once of {}", counted.rate),
            _ => counted.rate.to_string(),
        })
    }

    /// Whether some cost is said by the answers of services.
    pub fn is_told_costs(&self) -> bool {
        self.rules.iter().any(|rule| rule.cost.is_said())
    }

    /// In nanoseconds.
    pub(super) fn nanoseconds(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.epoch).as_nanos()).unwrap_or(u64::MAX)
    }

    /// Charges what the service says that the request has cost.
    pub(crate) fn settle(&self, cx: &mut ResponseCx<'_>) {
        for owed in &cx.state.owed {
            let Some(rule) = self.rules.get(usize::from(owed.rule)) else { continue };
            let Some(counted) = rule.counted.get(usize::from(owed.counted)) else { continue };
            // One was charged already.
            match rule.cost.said(cx.headers) {
                Some(0) => cx.state.errands.extend(counted.give_back(owed.to, 1)),
                Some(cost) if cost > 1 => cx.state.errands.extend(counted.charge_more(owed.to, cost - 1)),
                _ => {}
            }
        }
    }

    /// Tells the client how its limit stands.
    pub fn on_response(&self, cx: &mut ResponseCx<'_>) {
        cx.state.tell_limit(cx.headers);
    }
}

impl Rule {
    /// What a request costs, as far as that is known before.
    #[inline]
    pub(crate) fn cost(&self, cx: &RequestCx<'_>) -> u32 {
        self.cost.before().saturating_mul(cx.state.cost_factor())
    }

    /// By what this gateway knows who asks.
    #[inline]
    pub(crate) fn key(&self, counted: &Counted, cx: &RequestCx<'_>) -> Key {
        counted.used.key(|out| self.whose.hash(cx, out))
    }

    /// By what the store knows who asks.
    pub(crate) fn identity(&self, cx: &RequestCx<'_>) -> [u8; 16] {
        Identity::of(|out| self.whose.hash(cx, out))
    }
}

impl Counted {
    /// What is told of a limit to whoever asks.
    pub(crate) fn level(&self, judged: Judged, cost: u32) -> Level {
        Level {
            cost,
            limit: self.rate.limit().into(),
            period: self.rate.seconds(),
            left: judged.level.left.into(),
            full_after: judged.level.full_after,
        }
    }

    /// Takes a charge back; what the store has to be told, it says.
    pub(crate) fn give_back(&self, charged: ChargedTo, cost: u32) -> Option<Errand> {
        match charged {
            ChargedTo::Here(key, now) => self.used.give_back(&self.limit, key, cost, now),
            ChargedTo::Lease(key, at) => self.shared.as_ref()?.leases.as_ref()?.undo(key, cost, at),
            ChargedTo::Store(identity) => {
                return Some(Errand::GiveBack(self.shared.as_ref()?.ask(identity, cost)));
            }
        }
        None
    }

    /// Charges more, whether it fits or not; what the store has to be told, it says.
    fn charge_more(&self, charged: ChargedTo, cost: u32) -> Option<Errand> {
        match charged {
            ChargedTo::Here(key, now) => {
                self.used.charge(&self.limit, key, cost, now);
                None
            }
            ChargedTo::Lease(key, at) => {
                self.shared.as_ref()?.leases.as_ref()?.spend(key, cost, at).map(Errand::Charge)
            }
            ChargedTo::Store(identity) => Some(Errand::Charge(self.shared.as_ref()?.ask(identity, cost))),
        }
    }
}
