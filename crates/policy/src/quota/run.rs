//! Counts what is used up, and refuses what goes over a quota.

use std::sync::Arc;

use arc_swap::ArcSwap;
use message::Reply;
use quota::{Allowance, Bounds, Counter, Counters, MAX_COUNT, QuotaId, Taken, Zone};

use super::key::Key;
use super::quotas::Quotas;
use crate::rate_limit::{DRY_RUN, Level, Subject, Worded};
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
}

/// Quotas that hold for the same ones.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) counted: Box<[Counted]>,
    pub(crate) by: Box<[Subject]>,
    pub(crate) zone: Zone,
    pub(crate) zone_name: Box<str>,
    /// What a request costs, or the header of the answer that says so.
    pub(crate) cost: Result<u32, Box<[u8]>>,
    pub(crate) dry_run: bool,
    pub(crate) headers: bool,
}

/// Ready to run.
#[derive(Debug)]
pub struct Ready {
    pub(crate) rules: Box<[Rule]>,
    pub(crate) quotas: Arc<Quotas>,
    /// Where it is written; empty for the gateway.
    pub(crate) place: String,
}

/// What a request was charged to.
#[derive(Default)]
#[must_use]
pub(crate) struct Charged([Option<(Arc<Counter>, u32, Bounds)>; MOST_RULES]);

/// A request whose cost is said by the answer: what to charge it to, and by which rule.
#[derive(Clone, Debug)]
pub(crate) struct Owed {
    rule: u8,
    counter: Arc<Counter>,
    period: Bounds,
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
        match self.charge(KIND, cx) {
            Ok(_) => Flow::Continue,
            Err(reply) => Flow::Reply(reply),
        }
    }

    /// Which quotas a request would be charged to, and whose they are.
    pub(crate) fn in_words(&self, cx: &RequestCx<'_>) -> String {
        let words = self.rules.iter().map(|rule| {
            let mut whose = Worded::default();
            rule.by.iter().for_each(|subject| subject.write(cx, &mut whose));
            let all: Vec<String> = rule.counted.iter().map(|one| one.allowance.to_string()).collect();
            let cost = match &rule.cost {
                Ok(1) => String::new(),
                Ok(cost) => format!(", at a cost of {cost}"),
                Err(name) => format!(", at the cost that {} says", String::from_utf8_lossy(name)),
            };
            format!("{} in {} of {}{cost}", all.join(" and "), rule.zone_name, whose.0)
        });
        words.collect::<Vec<_>>().join("; ")
    }

    /// Charges the request to all quotas, or to none: then with the answer of a policy of this kind.
    pub(crate) fn charge(&self, kind: &'static str, cx: &mut RequestCx<'_>) -> Result<Charged, Reply> {
        let counters = self.quotas.counters();
        let now = milliseconds(cx.now);
        let mut charged = Charged::default();
        let mut free = 0;
        for (at, rule) in (0..).zip(&self.rules) {
            let key = Key::of(&rule.by, cx);
            let cost = *rule.cost.as_ref().unwrap_or(&1);
            for counted in &rule.counted {
                // There is one of the others, in whatever quota.
                let Some(counter) = counted.counter(&counters, &key) else { continue };
                let period = counted.period(&rule.zone, now);
                let taken = counters.take(&counter, cost.into(), counted.allowance.limit, period);
                let level = counted.level(taken, now);
                if !taken.allowed && !rule.dry_run {
                    self.give_back(charged, cx);
                    cx.state.limit = rule.headers.then_some(level);
                    return Err(refuse(kind, counted, level.full_after, cx));
                }
                if rule.headers && !rule.dry_run {
                    cx.state.limit = Some(cx.state.limit.map_or(level, |other| other.tighter(level)));
                }
                if !taken.allowed {
                    cx.state.tried = Some((kind, DRY_RUN));
                    continue;
                }
                if rule.cost.is_err() {
                    let owed = Owed { rule: at, counter: Arc::clone(&counter), period: taken.period };
                    cx.state.owed_quotas.push(owed);
                }
                if let Some(slot) = charged.0.get_mut(free) {
                    *slot = Some((counter, cost, taken.period));
                    free += 1;
                }
            }
        }
        Ok(charged)
    }

    /// Takes back what was charged before something else has refused.
    pub(crate) fn give_back(&self, charged: Charged, cx: &mut RequestCx<'_>) {
        let counters = self.quotas.counters();
        cx.state.owed_quotas.clear();
        for (counter, cost, period) in charged.0.into_iter().flatten() {
            counters.give_back(&counter, cost.into(), period);
        }
    }

    /// Whether some cost is said by the answers of services.
    pub fn is_told_costs(&self) -> bool {
        self.rules.iter().any(|rule| rule.cost.is_err())
    }

    /// Charges what the service says that the request has cost, and tells the client how its quota stands.
    pub fn on_response(&self, cx: &mut ResponseCx<'_>) {
        if !cx.state.owed_quotas.is_empty() {
            let counters = self.quotas.counters();
            for owed in &cx.state.owed_quotas {
                let Some(Err(name)) = self.rules.get(usize::from(owed.rule)).map(|rule| &rule.cost) else {
                    continue;
                };
                let said = cx.headers.values(name).next().and_then(|value| std::str::from_utf8(value).ok());
                match said.and_then(|said| said.trim().parse::<u32>().ok()) {
                    // One was charged already.
                    Some(0) => counters.give_back(&owed.counter, 1, owed.period),
                    // What goes over the quota is a debt, so that the next request is refused.
                    Some(cost) if cost > 1 => {
                        _ = counters.take(&owed.counter, u64::from(cost - 1), MAX_COUNT, owed.period);
                    }
                    _ => {}
                }
            }
        }
        if let Some(level) = &cx.state.limit {
            level.tell(cx.headers);
        }
    }
}

impl Counted {
    /// The counter of a key. Where there is no room for another one, those who are new share one: nobody is without a
    /// quota, and those who are known keep theirs.
    fn counter(&self, counters: &Counters, key: &Key) -> Option<Arc<Counter>> {
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

    fn level(&self, taken: Taken, now: i64) -> Level {
        let seconds = |milliseconds: i64| u64::try_from(milliseconds.max(0)).unwrap_or(0).div_ceil(1000);
        Level {
            limit: self.allowance.limit,
            period: seconds(taken.period.end.saturating_sub(taken.period.start)),
            left: taken.left,
            full_after: seconds(taken.period.end.saturating_sub(now)),
        }
    }
}

/// Of seconds since 1970.
pub(super) fn milliseconds(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1000)
}

fn refuse(kind: &'static str, counted: &Counted, wait: u64, cx: &mut RequestCx<'_>) -> Reply {
    cx.state.stopped_by = Some((kind, "used_up"));
    let period = counted.allowance.period.as_str();
    let detail = format!(
        "All that may be used in this {period} is used up. The next one begins after as many seconds as Retry-After says."
    );
    let reply = Reply::problem(429, "quota-exceeded", &detail, "client", true, cx.request_id());
    reply.header("retry-after", wait.max(1).to_string()).header("cache-control", "no-store")
}
