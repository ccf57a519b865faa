//! Counts requests, and refuses those over a limit. How they are charged to several is in `charge.rs`.

use std::sync::Arc;
use std::time::Instant;

use limits::{Judged, Key, Limit, Limiter, Rate};
use store::LeaseKey;

use super::charge::charge;
use super::config::OnStoreFailure;
use super::shared::{Identity, Shared};
use super::subject::{Hashed, Subject, Worded};
use super::told::Level;
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
    pub(crate) by: Box<[Subject]>,
    /// What a request costs, or the header of the answer that says so.
    pub(crate) cost: Result<u32, Box<[u8]>>,
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
            let mut whose = Worded::default();
            rule.by.iter().for_each(|subject| subject.write(cx, &mut whose));
            let rates = rule.counted.iter().map(|counted| match counted.limit {
                Limit::Bucket(_) => format!("{} with a burst of {}", counted.rate, counted.limit.full()),
                Limit::Window(_) => counted.rate.to_string(),
            });
            let cost = match &rule.cost {
                Ok(1) => String::new(),
                Ok(cost) => format!(", at a cost of {cost}"),
                Err(name) => format!(", at the cost that {} says", String::from_utf8_lossy(name)),
            };
            let shared = rule.counted.iter().filter_map(|counted| counted.shared.as_ref()).next();
            let shared = match shared.map(|shared| shared.leases.is_some()) {
                None => "",
                Some(true) => ", shared by gateways (leased)",
                Some(false) => ", shared by gateways (exact)",
            };
            format!("{} of {}{cost}{shared}", rates.collect::<Vec<_>>().join(" and "), whose.0)
        });
        words.collect::<Vec<_>>().join("; ")
    }

    /// Whether some cost is said by the answers of services.
    pub fn is_told_costs(&self) -> bool {
        self.rules.iter().any(|rule| rule.cost.is_err())
    }

    /// In nanoseconds.
    pub(super) fn nanoseconds(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.epoch).as_nanos()).unwrap_or(u64::MAX)
    }

    /// Charges what the service says that the request has cost, and tells the client how its limit stands.
    pub fn on_response(&self, cx: &mut ResponseCx<'_>) {
        for owed in &cx.state.owed {
            let Some(rule) = self.rules.get(usize::from(owed.rule)) else { continue };
            let (Some(counted), Err(name)) = (rule.counted.get(usize::from(owed.counted)), &rule.cost) else {
                continue;
            };
            let said = cx.headers.values(name).next().and_then(|value| std::str::from_utf8(value).ok());
            // One was charged already.
            match said.and_then(|said| said.trim().parse::<u32>().ok()) {
                Some(0) => cx.state.errands.extend(counted.give_back(owed.to, 1)),
                Some(cost) if cost > 1 => cx.state.errands.extend(counted.charge_more(owed.to, cost - 1)),
                _ => {}
            }
        }
        if let Some(level) = &cx.state.limit {
            level.tell(cx.headers);
        }
    }
}

/// The reason of a request that has passed because its limit is only tried.
pub(crate) const DRY_RUN: &str = "dry_run";

impl Rule {
    /// What a request costs, as far as that is known before.
    pub(crate) fn cost(&self) -> u32 {
        *self.cost.as_ref().unwrap_or(&1)
    }

    /// By what this gateway knows who asks.
    #[inline]
    pub(crate) fn key(&self, counted: &Counted, cx: &RequestCx<'_>) -> Key {
        counted.used.key(|out| {
            let mut parts = Hashed(out);
            self.by.iter().for_each(|subject| subject.write(cx, &mut parts));
        })
    }

    /// By what the store knows who asks.
    pub(crate) fn identity(&self, cx: &RequestCx<'_>) -> [u8; 16] {
        Identity::of(|out| {
            let mut parts = Hashed(out);
            self.by.iter().for_each(|subject| subject.write(cx, &mut parts));
        })
    }
}

impl Counted {
    /// What is told of a limit to whoever asks.
    pub(crate) fn level(&self, judged: Judged) -> Level {
        Level {
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
