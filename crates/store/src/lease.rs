//! Leases: units of a shared limit that were charged ahead of need.
//!
//! Pure: no I/O, no clock. Whoever has a [`Lease`] charges at the store what it asks for, and tells it what came of
//! that. It must not know the store. Entry points: [`Lease::take`], [`Lease::granted`], [`Lease::refused`],
//! [`Lease::failed`], [`Lease::give_back`]. A gateway has one for each key of a limit, for all of its workers
//! (`leases.rs`).
//!
//! # The error
//! A unit is charged before it is used, once, and used at most [`Plan::hold_ms`] later. So:
//! - **Never too much in all.** What is admitted is at most what the store has charged. A quota is never exceeded,
//!   if its leases end with the period.
//! - **Too much in a moment:** in any time of length L, at most what the store would allow in L + `hold_ms`; and
//!   never more above the limit than is held at its beginning: gateways × 2 × [`Plan::most`] units.
//! - **Too little:** a request may be refused while other gateways hold up to as many units unused. They come back
//!   after `hold_ms`, or are lost if the store cannot be reached then. And over the limit, while it is asked whether
//!   there is room again, nobody else is let in.
//!
//! A limit that is so small that `most` is below 4 is asked for each time, and has none of these errors.

/// How long and how much may be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// How long a unit may be held before it is used, in milliseconds.
    pub hold_ms: u64,
    /// The largest slice.
    pub most: u32,
}

impl Plan {
    /// A quarter of the period, at most 2 seconds; slices of at most a 64th of what may be used at once.
    #[must_use]
    pub fn new(units_at_once: u64, period_ms: u64) -> Plan {
        let most = u32::try_from(units_at_once / 64).unwrap_or(u32::MAX).clamp(1, 1 << 20);
        Plan { hold_ms: (period_ms / 4).clamp(1, 2000), most }
    }
}

/// Below it, asking ahead would hold most of what there is.
const SMALLEST_AHEAD: u32 = 4;
/// A refusal is believed no longer, in milliseconds: the limit may have been reset meanwhile.
const LONGEST_REFUSAL: u64 = 60_000;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It was admitted. If units are named, they are to be charged, and nobody needs to wait for that.
    Admitted {
        /// Units to be charged.
        ask: Option<u32>,
    },
    /// It is over the limit.
    Refused {
        /// In how many milliseconds it is worth another try.
        retry_after_ms: u64,
    },
    /// Nothing is held for it, so it must ask the store itself. If units are named, the rest of them is to be charged
    /// ahead of need with its cost; otherwise more is being charged already.
    Wait {
        /// Units to be charged.
        ask: Option<u32>,
    },
}

/// The units that one gateway holds of one limit for one identity.
///
/// After `Some` units were named, exactly one of `granted`, `partly`, `refused` and `failed` follows.
#[derive(Debug, Clone, Copy, Default)]
pub struct Lease {
    /// Two slices, the one in use and the one that follows it: units, and their ends in milliseconds. There may be a
    /// million leases, so no room is lost between them.
    held: [u32; 2],
    until: [u64; 2],
    /// Units whose time was over before they were used.
    unused: u32,
    /// How many units are asked for next time.
    slice: u32,
    /// Units that are being charged; 0 for none.
    flying: u32,
    /// The cost of the request that waits for them; 0 if none does.
    flying_for: u32,
    /// The cost of those that came after it.
    waiting: u32,
    /// Used since the last slice came.
    used: u32,
    /// When it came.
    since: u64,
    /// Who costs so much or more is refused until then.
    refused_cost: u32,
    refused_until: u64,
}

impl Lease {
    /// Takes units for a request, at least 1. `now_ms` is any clock in milliseconds that does not run backwards.
    pub fn take(&mut self, cost: u32, plan: &Plan, now_ms: u64) -> Taken {
        self.expire(now_ms);
        let cost = cost.max(1);
        if self.units() >= cost {
            self.draw(cost);
            return Taken::Admitted { ask: self.ahead(plan, now_ms) };
        }
        if self.refused_until > now_ms && cost >= self.refused_cost {
            return Taken::Refused { retry_after_ms: self.refused_until - now_ms };
        }
        if self.flying > 0 {
            self.waiting = self.waiting.saturating_add(cost);
            // Over the limit a moment ago, and it is being asked whether there is room again: in a flood, all who come
            // meanwhile would ask the same.
            let lately = self.refused_until > 0 && now_ms < self.refused_until + plan.hold_ms / 4;
            if lately && plan.most >= SMALLEST_AHEAD {
                return Taken::Refused { retry_after_ms: 1 };
            }
            return Taken::Wait { ask: None };
        }
        let wanted = self.slice.max(self.waiting.saturating_add(cost)).min(plan.most).max(cost);
        (self.flying, self.flying_for, self.waiting) = (wanted, cost, 0);
        Taken::Wait { ask: Some(wanted) }
    }

    /// The units that were asked for have been charged; the question was sent `asked_ms` ago.
    pub fn granted(&mut self, plan: &Plan, now_ms: u64, asked_ms: u64) {
        self.expire(now_ms);
        let elapsed = now_ms.saturating_sub(self.since).max(1);
        // Half of the time that it may be held: what comes while the next slice is under way is in it too.
        let needed = u64::from(self.used) * (plan.hold_ms / 2).max(1) / elapsed;
        let needed = u32::try_from(needed).unwrap_or(u32::MAX);
        // Up by doubling, so that a single burst takes little from others; down by half the way.
        self.slice = if needed > self.slice {
            needed.min(self.slice.saturating_mul(2).max(self.flying))
        } else {
            self.slice.midpoint(needed)
        }
        .clamp(1, plan.most.max(1));
        let end = now_ms + plan.hold_ms.saturating_sub(asked_ms);
        let [first, second] = &mut self.held;
        if *first == 0 {
            (*first, self.until[0]) = (self.flying, end);
        } else if *second == 0 {
            (*second, self.until[1]) = (self.flying, end);
        } else {
            // The earlier end holds for both.
            *second = second.saturating_add(self.flying);
        }
        // The request that has waited for them takes its own.
        let own = std::mem::take(&mut self.flying_for);
        (self.flying, self.used, self.since) = (0, 0, now_ms);
        self.draw(own);
    }

    /// Only what the request costs was charged, and it may pass: the rest did not fit into the `left` units.
    pub fn partly(&mut self, left: u64, plan: &Plan, now_ms: u64) {
        (self.flying, self.flying_for) = (self.flying.saturating_sub(self.flying_for), 0);
        self.refused(left, None, plan, now_ms);
    }

    /// The store has refused, and `left` units are left. `retry_after_ms` is when it could allow what was asked for;
    /// `None` if never.
    pub fn refused(&mut self, left: u64, retry_after_ms: Option<u64>, plan: &Plan, now_ms: u64) {
        let (asked, cost) = (self.flying, self.flying_for);
        (self.flying, self.flying_for, self.waiting) = (0, 0, 0);
        let left = u32::try_from(left).unwrap_or(u32::MAX);
        let half = (plan.hold_ms / 2).max(1);
        // What is left is worth another question, unless it is little and more of it comes soon: then all who are
        // over the limit would share it in crumbs, and ask all the time.
        let soon = retry_after_ms.is_some_and(|retry| retry <= half);
        if left > 0 && left >= cost && asked > cost && !(soon && left < asked / 2) {
            self.slice = left.min(asked - 1);
            return;
        }
        if !soon {
            self.slice = (self.slice / 2).max(1);
        }
        // Fewer units may be there earlier.
        let longest = if asked > cost { half } else { LONGEST_REFUSAL };
        self.refused_cost = cost.max(1);
        self.refused_until = now_ms + retry_after_ms.unwrap_or(LONGEST_REFUSAL).clamp(1, longest);
    }

    /// The request that waits for units waits no longer; they are charged all the same.
    pub fn unattended(&mut self) {
        self.flying_for = 0;
    }

    /// There is no decision.
    pub fn failed(&mut self) {
        (self.flying, self.flying_for, self.waiting) = (0, 0, 0);
    }

    /// Puts back what a request has taken and does not use.
    pub fn undo(&mut self, cost: u32, now_ms: u64) {
        self.used = self.used.saturating_sub(cost);
        let [first, _] = &mut self.held;
        if *first > 0 && self.until[0] > now_ms {
            *first = first.saturating_add(cost);
        } else {
            // Its slice is over, or used up.
            self.unused = self.unused.saturating_add(cost);
        }
    }

    /// Takes as many units as are held, up to `cost`, and says how many these are. For what costs more than was known.
    pub fn spend(&mut self, cost: u32, now_ms: u64) -> u32 {
        self.expire(now_ms);
        let some = cost.min(self.units());
        self.draw(some);
        some
    }

    /// Units whose time is over, to be given back to the store. To be called now and then, and at the end, with
    /// `u64::MAX`, for all that is held.
    pub fn give_back(&mut self, now_ms: u64) -> Option<u32> {
        self.expire(now_ms);
        let unused = std::mem::take(&mut self.unused);
        (unused > 0).then_some(unused)
    }

    /// Whether nothing is known that a new lease would not know.
    #[must_use]
    pub fn is_idle(&self, now_ms: u64) -> bool {
        self.units() + self.unused + self.flying == 0 && self.refused_until <= now_ms
    }

    /// How many units are held, whether their time is over or not.
    #[must_use]
    pub fn units(&self) -> u32 {
        let [first, second] = self.held;
        first.saturating_add(second)
    }

    fn draw(&mut self, cost: u32) {
        let [first, second] = &mut self.held;
        let from_first = cost.min(*first);
        *first -= from_first;
        *second = second.saturating_sub(cost - from_first);
        self.advance();
        self.used = self.used.saturating_add(cost);
    }

    /// The slice that follows is in use when the first one is used up.
    fn advance(&mut self) {
        if self.held[0] == 0 {
            self.held = [self.held[1], 0];
            self.until[0] = self.until[1];
        }
    }

    /// What to ask for although nobody waits yet.
    fn ahead(&mut self, plan: &Plan, now_ms: u64) -> Option<u32> {
        let low = self.held[1] == 0 && self.held[0] < self.slice / 2;
        if !low || self.slice < SMALLEST_AHEAD || self.flying > 0 || self.refused_until > now_ms {
            return None;
        }
        let wanted = self.slice.min(plan.most).max(1);
        (self.flying, self.flying_for) = (wanted, 0);
        Some(wanted)
    }

    fn expire(&mut self, now_ms: u64) {
        for (units, until) in self.held.iter_mut().zip(self.until) {
            if until <= now_ms {
                self.unused = self.unused.saturating_add(std::mem::take(units));
            }
        }
        self.advance();
    }
}

#[cfg(test)]
mod tests;
