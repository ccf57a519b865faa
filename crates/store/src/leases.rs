//! The leases of one limit, for all workers of a gateway.
//!
//! Pure: no I/O, no clock. Whoever takes from it is told what to ask the store, if anything, as a [`Flight`]; whoever
//! flies it tells what came of it. How many keys are held is bounded; the units of a key that gives way go back to the
//! store, as those do whose time is over ([`Leases::overdue`]). A key takes at most 128 bytes. Entry points:
//! [`Leases::take`], [`Flight::ask`], [`Flight::land`].

use std::collections::VecDeque;
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use limits::Table;

use crate::ask::{Decision, Limit, OwnAsk, Standing};
use crate::{Ask, Lease, Plan, Taken};

/// Units of keys that gave way, which wait to go back. What is beyond it is lost, and comes back with time.
const MOST_LEFTOVERS: usize = 4096;

/// The leases of one limit.
pub struct Leases {
    name: Arc<str>,
    limit: Limit,
    plan: Plan,
    /// From when on milliseconds are counted.
    epoch: Instant,
    hasher: RandomState,
    table: Table<Held>,
    /// Numbers flights, so that none lands in the lease of another one.
    flights: AtomicU32,
    /// Touched when a slice comes, and now and then.
    overdue: Mutex<Overdue>,
}

/// What is known of one key.
#[derive(Debug, Clone, Copy, Default)]
struct Held {
    lease: Lease,
    /// There since the first flight.
    identity: [u8; 16],
    /// The period of a quota.
    period: u32,
    /// The flight that is under way.
    flight: u32,
    /// What the store has said last: units that are left, and in how many seconds all are there again.
    left: u32,
    full_after: u32,
}

#[derive(Debug, Default)]
struct Overdue {
    /// When slices end, in milliseconds, and whose they are. As many as came within the time that they may be held.
    ends: VecDeque<(u64, u64)>,
    leftovers: Vec<(Whose, u32)>,
}

/// Who has units at the store: the identity, and the period of a quota.
type Whose = ([u8; 16], u32);

/// Who is limited, for the leases of one limit in this process; of a quota, in one period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseKey {
    hash: u64,
    /// When the period of a quota ends, in seconds since 1970; 0 for all other limits.
    period: u32,
}

/// How a limit stands, as far as this gateway knows: what the store has said last, and what is held here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Units that are left. The largest number stands for more, too.
    pub left: u32,
    /// In how many seconds all of them are there again.
    pub full_after_s: u32,
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Drawn {
    /// It was admitted. A flight is to be flown, and nobody needs to wait for that.
    Admitted(Known, Option<Flight>),
    /// It is over the limit.
    Refused {
        /// How the limit stands.
        known: Known,
        /// In how many milliseconds it is worth another try.
        retry_after_ms: u64,
    },
    /// The store has to be asked for it: by this flight, which brings units for others too, or by itself.
    Ask(Option<Flight>),
}

/// Where a request was charged that had to wait for a flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Landed {
    /// To the lease, which has got units.
    Lease,
    /// To the store alone.
    Store,
    /// Nowhere.
    Nowhere,
}

impl fmt::Debug for Leases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leases").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Leases {
    /// Of a limit that the store knows by this name, for at most so many keys.
    #[must_use]
    pub fn new(name: Arc<str>, limit: Limit, plan: Plan, keys: usize, epoch: Instant) -> Leases {
        Leases {
            name,
            limit,
            plan,
            epoch,
            hasher: RandomState::new(),
            table: Table::new(keys),
            flights: AtomicU32::new(0),
            overdue: Mutex::default(),
        }
    }

    /// The key of somebody, from all that tells it from others.
    #[inline]
    pub fn key(&self, write: impl FnOnce(&mut dyn Hasher)) -> LeaseKey {
        self.key_in(0, write)
    }

    /// The same in the period of a quota that ends then, in seconds since 1970. What is held for one period is neither
    /// used in another one nor given back to it.
    #[inline]
    pub fn key_in(&self, period_end: u32, write: impl FnOnce(&mut dyn Hasher)) -> LeaseKey {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u32(period_end);
        write(&mut hasher);
        LeaseKey { hash: hasher.finish(), period: period_end }
    }

    /// Takes units for a request. `identity` is what tells it from others at the store; it is asked for only if the
    /// store is to be asked.
    #[inline]
    pub fn take(
        self: &Arc<Self>,
        key: LeaseKey,
        cost: u32,
        now: Instant,
        identity: impl FnOnce() -> [u8; 16],
    ) -> Drawn {
        let now = self.millis(now);
        let ((taken, known, flight), evicted) = self.table.with_evicted(
            key.hash,
            |held| held.loss(now),
            |held| {
                let taken = held.lease.take(cost, &self.plan, now);
                let flight = match taken {
                    Taken::Admitted { ask: Some(units) } => Some((units, 0)),
                    Taken::Wait { ask: Some(units) } => Some((units, cost.max(1))),
                    _ => None,
                };
                let flight = flight.map(|(units, cost)| {
                    (held.identity, held.period) = (identity(), key.period);
                    held.flight = self.flights.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
                    (held.identity, held.flight, units, cost)
                });
                (taken, held.known(), flight)
            },
        );
        evicted.into_iter().for_each(|evicted| self.leave(evicted));
        let flight = flight.map(|(identity, number, units, cost)| Flight {
            leases: Arc::clone(self),
            key,
            identity,
            number,
            units,
            cost,
            landed: false,
        });
        match taken {
            Taken::Admitted { .. } => Drawn::Admitted(known, flight),
            Taken::Refused { retry_after_ms } => Drawn::Refused { known, retry_after_ms },
            Taken::Wait { .. } => Drawn::Ask(flight),
        }
    }

    /// Puts back what a request has taken and does not use.
    pub fn undo(&self, key: LeaseKey, cost: u32, now: Instant) {
        let now = self.millis(now);
        let is_unused = self.table.change(key.hash, |held| {
            held.lease.undo(cost.max(1), now);
            held.lease.units() == 0
        });
        if is_unused == Some(true) {
            self.waiting().ends.push_back((now, key.hash));
        }
    }

    /// Takes more for a request that was admitted. What is not held is still to be charged at the store.
    pub fn spend(&self, key: LeaseKey, cost: u32, now: Instant) -> Option<OwnAsk> {
        let now = self.millis(now);
        let (spent, whose) =
            self.table.change(key.hash, |held| (held.lease.spend(cost, now), held.whose()))?;
        (spent < cost).then(|| self.of(whose, u64::from(cost - spent)))
    }

    /// What is to be given back to the store: units whose time is over, and those of keys that gave way.
    pub fn overdue(&self, now: Instant) -> Vec<OwnAsk> {
        self.give_back_until(self.millis(now))
    }

    /// The same of all that is held, at the end.
    pub fn everything(&self) -> Vec<OwnAsk> {
        self.give_back_until(u64::MAX)
    }

    /// How a limit stands for a key, as far as this gateway knows.
    pub fn known(&self, key: LeaseKey) -> Option<Known> {
        self.table.read(key.hash, Held::known)
    }

    /// Forgets a key, and the units that are held for it; whether there was something to forget.
    pub fn forget(&self, key: LeaseKey) -> bool {
        self.table.remove(key.hash).is_some()
    }

    /// How many keys are known.
    pub fn keys(&self) -> usize {
        self.table.len()
    }

    /// What is asked of the store about somebody.
    fn of(&self, (identity, period): Whose, cost: u64) -> OwnAsk {
        let limit = self.limit.in_period(period);
        OwnAsk { identity, name: Arc::clone(&self.name), limit, cost, ahead: 0 }
    }

    fn give_back_until(&self, now: u64) -> Vec<OwnAsk> {
        let mut overdue = self.waiting();
        let mut back: Vec<OwnAsk> =
            overdue.leftovers.drain(..).map(|(whose, units)| self.of(whose, units.into())).collect();
        while let Some((_, key)) = overdue.ends.pop_front_if(|(end, _)| *end <= now) {
            let units = self.table.change(key, |held| (held.whose(), held.lease.give_back(now)));
            if let Some((whose, Some(units))) = units {
                back.push(self.of(whose, units.into()));
            }
        }
        back
    }

    fn leave(&self, mut held: Held) {
        let units = held.lease.give_back(u64::MAX);
        let mut overdue = self.waiting();
        if overdue.leftovers.len() < MOST_LEFTOVERS {
            overdue.leftovers.extend(units.map(|units| (held.whose(), units)));
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Overdue> {
        self.overdue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn millis(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.epoch).as_millis()).unwrap_or(u64::MAX)
    }

    /// How many bytes all keys have.
    #[cfg(test)]
    fn bytes(&self) -> usize {
        self.table.bytes()
    }
}

impl Held {
    /// What would be lost with it.
    fn loss(&self, now: u64) -> u64 {
        if self.lease.is_idle(now) { 0 } else { 1 + u64::from(self.lease.units()) }
    }

    fn whose(&self) -> Whose {
        (self.identity, self.period)
    }

    fn known(&self) -> Known {
        Known { left: self.left.saturating_add(self.lease.units()), full_after_s: self.full_after }
    }

    fn told(&mut self, standing: &Standing) {
        self.left = u32::try_from(standing.left).unwrap_or(u32::MAX);
        self.full_after = u32::try_from(standing.reset_after_us.div_ceil(1_000_000)).unwrap_or(u32::MAX);
    }
}

/// A question to the store that brings units. Whoever drops it has not asked.
#[derive(Debug)]
#[must_use]
pub struct Flight {
    leases: Arc<Leases>,
    key: LeaseKey,
    identity: [u8; 16],
    number: u32,
    /// All that is asked for.
    units: u32,
    /// The cost of the request that waits for it; 0 if none does.
    cost: u32,
    landed: bool,
}

impl Flight {
    /// What is asked of the store.
    pub fn ask(&self) -> Ask<'_> {
        let Flight { leases, key, identity, units, cost, .. } = self;
        let (cost, ahead) = if *cost == 0 { (*units, 0) } else { (*cost, units.saturating_sub(*cost)) };
        Ask {
            identity: *identity,
            name: &leases.name,
            limit: leases.limit.in_period(key.period),
            cost: cost.into(),
            ahead: ahead.into(),
        }
    }

    /// The same, to be kept.
    pub fn own_ask(&self) -> OwnAsk {
        let ask = self.ask();
        OwnAsk { ahead: ask.ahead, ..self.leases.of((ask.identity, self.key.period), ask.cost) }
    }

    /// No request waits for it any more: all of it is for those to come.
    pub fn unattended(mut self) -> Flight {
        self.cost = 0;
        let number = self.number;
        self.leases.table.change(self.key.hash, |held| {
            if held.flight == number {
                held.lease.unattended();
            }
        });
        self
    }

    /// Says what the store has decided: whether all limits of the decision allow it, and how this one stands. It was
    /// asked at `asked`.
    pub fn land(mut self, allowed: bool, standing: &Standing, asked: Instant, now: Instant) -> Landed {
        self.landed = true;
        let Flight { leases, units, cost, .. } = &self;
        let whole = allowed && (*cost == 0 || units == cost || standing.ahead);
        let (now, asked) = (leases.millis(now), leases.millis(asked));
        let elapsed = now.saturating_sub(asked);
        let plan = &leases.plan;
        let known = leases.table.change(self.key.hash, |held| {
            if held.flight != self.number {
                return false;
            }
            held.told(standing);
            if whole {
                held.lease.granted(plan, now, elapsed);
            } else if allowed {
                held.lease.partly(standing.left, plan, now);
            } else if standing.fits {
                // Another limit has refused.
                held.lease.failed();
            } else {
                let retry = standing.retry_after_us.map(|micros| micros.div_ceil(1000));
                held.lease.refused(standing.left, retry, plan, now);
            }
            true
        });
        let spare = units - cost;
        if whole && spare > 0 {
            let mut overdue = leases.waiting();
            if known == Some(true) {
                overdue.ends.push_back((now + plan.hold_ms.saturating_sub(elapsed), self.key.hash));
            } else if overdue.leftovers.len() < MOST_LEFTOVERS {
                // The key has given way meanwhile.
                overdue.leftovers.push(((self.identity, self.key.period), spare));
            }
        }
        match (allowed, known == Some(true) && whole) {
            (true, true) => Landed::Lease,
            (true, false) => Landed::Store,
            (false, _) => Landed::Nowhere,
        }
    }

    /// Says what the store has decided about this alone. Without a decision, it was not asked.
    pub fn land_alone(self, decision: Option<&Decision>, asked: Instant, now: Instant) {
        if let Some((decision, standing)) = decision.and_then(|one| Some((one, one.each.first()?))) {
            self.land(decision.allowed, standing, asked, now);
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if !self.landed {
            let number = self.number;
            self.leases.table.change(self.key.hash, |held| {
                if held.flight == number {
                    held.lease.failed();
                }
            });
        }
    }
}

#[cfg(test)]
mod tests;
