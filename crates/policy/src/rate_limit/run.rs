//! Counts requests, and refuses those over a limit.

use std::sync::Arc;
use std::time::Instant;

use limits::{Judged, Key, Limit, Limiter, Rate};
use message::Reply;

use super::subject::{Hashed, Subject, Worded};
use super::told::Level;
use crate::{Flow, RequestCx, ResponseCx, Stage};

const KIND: &str = "rate_limit";

/// One limit with what was used of it.
#[derive(Debug)]
pub(crate) struct Counted {
    pub(crate) rate: Rate,
    pub(crate) limit: Limit,
    pub(crate) used: Arc<Limiter>,
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

/// What a request was charged to: a bit for each limit.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub(crate) struct Charged(u8);

/// A request whose cost is said by the answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owed {
    rule: u16,
    counted: u16,
    key: Key,
    now: u64,
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
        match self.charge(KIND, cx) {
            Ok(_) => Flow::Continue,
            Err(reply) => Flow::Reply(reply),
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
            format!("{} of {}{cost}", rates.collect::<Vec<_>>().join(" and "), whose.0)
        });
        words.collect::<Vec<_>>().join("; ")
    }

    /// Charges the request to all limits, or to none: then with the answer of a policy of this kind.
    pub(crate) fn charge(&self, kind: &'static str, cx: &mut RequestCx<'_>) -> Result<Charged, Reply> {
        let now = self.now(cx);
        // Bit by bit, by the position among all limits: those that were charged.
        let (mut charged, mut position) = (0_u8, 0_u32);
        for (rule_at, rule) in self.rules.iter().enumerate() {
            let cost = *rule.cost.as_ref().unwrap_or(&1);
            for (at, counted) in rule.counted.iter().enumerate() {
                let key = rule.key(counted, cx);
                let judged = counted.used.take(&counted.limit, key, cost, now);
                if !judged.allowed && !rule.dry_run {
                    self.give_back(Charged(charged), cx);
                    return Err(refuse(kind, rule, counted, judged, cx));
                }
                if judged.allowed {
                    charged |= 1_u8.checked_shl(position).unwrap_or(0);
                } else {
                    cx.state.tried = Some((kind, DRY_RUN));
                }
                position += 1;
                if rule.headers && !rule.dry_run {
                    let level = counted.level(judged);
                    cx.state.limit = Some(cx.state.limit.map_or(level, |other| other.tighter(level)));
                }
                if rule.cost.is_err() && judged.allowed {
                    cx.state.owed.push(Owed { rule: rule_at as u16, counted: at as u16, key, now });
                }
            }
        }
        Ok(Charged(charged))
    }

    /// Whether some cost is said by the answers of services.
    pub fn is_told_costs(&self) -> bool {
        self.rules.iter().any(|rule| rule.cost.is_err())
    }

    /// In nanoseconds.
    fn now(&self, cx: &RequestCx<'_>) -> u64 {
        self.nanoseconds(cx.at)
    }

    pub(super) fn nanoseconds(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.epoch).as_nanos()).unwrap_or(u64::MAX)
    }

    /// Takes back what was charged before another limit has refused.
    pub(crate) fn give_back(&self, Charged(charged): Charged, cx: &mut RequestCx<'_>) {
        let now = self.now(cx);
        cx.state.owed.clear();
        let all = self.rules.iter().flat_map(|rule| rule.counted.iter().map(move |counted| (rule, counted)));
        for (rule, counted) in (0..8).zip(all).filter(|(bit, _)| charged >> bit & 1 == 1).map(|(_, of)| of) {
            let cost = *rule.cost.as_ref().unwrap_or(&1);
            counted.used.give_back(&counted.limit, rule.key(counted, cx), cost, now);
        }
    }

    /// Charges what the service says that the request has cost, and tells the client how its limit stands.
    pub fn on_response(&self, cx: &mut ResponseCx<'_>) {
        for owed in &cx.state.owed {
            let Some(rule) = self.rules.get(usize::from(owed.rule)) else { continue };
            let (Some(counted), Err(name)) = (rule.counted.get(usize::from(owed.counted)), &rule.cost) else {
                continue;
            };
            let said = cx.headers.values(name).next().and_then(|value| std::str::from_utf8(value).ok());
            match said.and_then(|said| said.trim().parse::<u32>().ok()) {
                // One was charged already.
                Some(0) => counted.used.give_back(&counted.limit, owed.key, 1, owed.now),
                Some(cost) if cost > 1 => {
                    counted.used.charge(&counted.limit, owed.key, cost - 1, owed.now);
                }
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
    fn key(&self, counted: &Counted, cx: &RequestCx<'_>) -> Key {
        counted.used.key(|out| {
            let mut parts = Hashed(out);
            self.by.iter().for_each(|subject| subject.write(cx, &mut parts));
        })
    }
}

impl Counted {
    fn level(&self, judged: Judged) -> Level {
        Level {
            limit: self.rate.limit().into(),
            period: self.rate.seconds(),
            left: judged.level.left.into(),
            full_after: judged.level.full_after,
        }
    }
}

fn refuse(
    kind: &'static str,
    rule: &Rule,
    counted: &Counted,
    judged: Judged,
    cx: &mut RequestCx<'_>,
) -> Reply {
    cx.state.stopped_by = Some((kind, "limited"));
    cx.state.limit = rule.headers.then(|| counted.level(judged));
    let detail = "Too many requests. Wait for as long as Retry-After says, in seconds.";
    let reply = Reply::problem(429, "rate-limited", detail, "client", true, cx.request_id());
    // Whatever can never fit is not worth trying again soon.
    let seconds = judged.retry.clamp(1, 366 * 86_400);
    reply.header("retry-after", seconds.to_string()).header("cache-control", "no-store")
}
