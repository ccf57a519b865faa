//! Choosing a member of a service by weight, load, response time or key.
//!
//! It must not know what a member is: members are positions in a list that the caller keeps, and what is known
//! of them is asked of [`Members`]. Entry point: [`Balancer::pick`].

use crate::maglev::Table;

pub(crate) mod key;

/// How a member is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// In turn, smoothly interleaved by weight: 5:1:1 gives `a a b a c a a`, not `a a a a a b c`. Costs
    /// one pass over all members: right for up to a few hundred.
    #[default]
    RoundRobin,
    /// Two members drawn at random by weight, of which the one with less load for its weight is taken.
    Random,
    /// The member with the least requests in flight for its weight. With up to 8 members all are
    /// compared, ties broken at random; with more, two members drawn at random by weight are (the load
    /// then differs little from the least, and no herd runs to one idle member).
    LeastRequests,
    /// Two members drawn at random by weight, of which the one is taken that would probably answer first: by its
    /// recent response times and the requests in flight for its weight.
    ///
    /// All are never compared, however few: as long as there is little to do, the fastest so far would get
    /// every request, and a new member that has answered once would get them for seconds. Of two it gets
    /// twice its share at the most.
    Ewma,
    /// The same member for the same key, as long as it takes requests and has not much more to do than the others: a
    /// Maglev table with bounded load. Requests without a key go where [`Algorithm::LeastRequests`] would send
    /// them.
    Hash,
}

impl Algorithm {
    /// As it is written in a configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Algorithm::RoundRobin => "round_robin",
            Algorithm::Random => "random",
            Algorithm::LeastRequests => "least_requests",
            Algorithm::Ewma => "ewma",
            Algorithm::Hash => "hash",
        }
    }
}

/// What is known of a member when a balancer is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Seat {
    /// Its share among the members. A member of weight 0 is never picked.
    pub weight: u32,
    /// A hash of its address, the same in every worker, process and gateway: see
    /// [`hash_key`](crate::hash_key). Only [`Algorithm::Hash`] uses it.
    pub id: u64,
}

/// What is known of the members when one is picked; `at` is the position of a member. While one is picked, the same
/// question must get the same answer.
pub trait Members {
    /// Requests that a member has in flight.
    fn in_flight(&self, at: usize) -> u32;
    /// What a request to it has taken lately, in microseconds; 0 if that is not known. Only asked by
    /// [`Algorithm::Ewma`], of two members; see [`PeakEwma`](crate::PeakEwma).
    fn cost_micros(&self, at: usize) -> u32;
    /// Whether it may be picked: it is not known to be bad, and was not tried before for this request.
    fn is_eligible(&self, at: usize) -> bool;
}

/// Up to this many members are compared one by one. Named in the documentation of [`Algorithm`].
const SCAN: usize = 8;
/// Draws that may hit an ineligible member before all members are looked at in turn.
const DRAWS: usize = 4;
/// Added to each response time, in microseconds: what differs by less is the noise of networks and of our own
/// timing, and not a reason to prefer a member.
const FLOOR_MICROS: u64 = 1000;
/// Places of the table that a key may try before all members are looked at. If half of them take no requests, one
/// key of 65,536 gets so far.
const STEPS: usize = 16;
/// A member with fewer requests in flight than these keeps its keys, whatever its share would be. Where each has a
/// few, by chance one often has a quarter more than the others; to move its keys would only do harm.
const FEW: u32 = 8;

/// Turns of round robin that are taken in advance, at most: a round is as long as the weights want it to be.
const TURNS: u64 = 1000;

/// Chooses among members with weights. It holds no member itself and allocates only when it is made.
#[derive(Clone, Debug)]
pub struct Balancer {
    algorithm: Algorithm,
    members: Box<[Member]>,
    /// Sum of all weights.
    total: u64,
    /// All weights are the same, so that a draw needs no search.
    is_even: bool,
    /// Which keys are whose. Only for [`Algorithm::Hash`].
    table: Option<Table>,
}

#[derive(Clone, Debug)]
struct Member {
    weight: u32,
    /// Sum of the weights up to and with this one: a draw below it and not below the one before is a hit.
    upto: u64,
    /// Smooth round robin: how long this member has waited for its turn, in weights.
    waited: i64,
    id: u64,
}

impl Balancer {
    /// For members with these weights. With [`Algorithm::Hash`] it takes about a millisecond.
    #[must_use]
    pub fn new(algorithm: Algorithm, members: &[Seat]) -> Self {
        let table = (algorithm == Algorithm::Hash && members.len() > 1).then(|| Table::new(members));
        let mut total = 0;
        let member = |&Seat { weight, id }: &Seat| {
            total += u64::from(weight);
            Member { weight, upto: total, waited: 0, id }
        };
        let members: Box<[Member]> = members.iter().map(member).collect();
        let is_even = members.windows(2).all(|pair| pair[0].weight == pair[1].weight);
        Self { algorithm, members, total, is_even, table }
    }

    /// How many members there are, with those of weight 0.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are no members at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Begins the turns of round robin at a random place. Several balancers over the same members (one for
    /// each worker) would otherwise all send their first requests to the same member, and none of the first to
    /// the lightest.
    pub fn start_anywhere(&mut self, rng: &mut fastrand::Rng) {
        if self.algorithm == Algorithm::RoundRobin && self.total > 0 {
            let unit = self.members.iter().fold(0, |unit, member| common_divisor(unit, member.weight));
            let round = self.total / u64::from(unit.max(1));
            for _ in 0..rng.u64(..round.min(TURNS)) {
                self.take_turn(|_| true);
            }
        }
    }

    /// The position of a member, or `None` if no member with a weight is eligible. `key` is what requests have
    /// in common that should go to the same member, as [`hash_key`](crate::hash_key) gives it; only
    /// [`Algorithm::Hash`] looks at it. Does not allocate.
    pub fn pick(
        &mut self,
        rng: &mut fastrand::Rng,
        members: &impl Members,
        key: Option<u64>,
    ) -> Option<usize> {
        match &*self.members {
            [] => return None,
            [only] => return (only.weight > 0 && members.is_eligible(0)).then_some(0),
            _ => {}
        }
        match (self.algorithm, key) {
            (Algorithm::RoundRobin, _) => self.take_turn(|at| members.is_eligible(at)),
            (Algorithm::Random, _) => self.less_busy_of_two(rng, members, 0),
            (Algorithm::Ewma, _) => self.faster_of_two(rng, members),
            (Algorithm::Hash, Some(key)) => self.owner(members, key),
            (Algorithm::LeastRequests | Algorithm::Hash, _) if self.members.len() <= SCAN => {
                self.least_of_all(rng, members)
            }
            (Algorithm::LeastRequests | Algorithm::Hash, _) => self.less_busy_of_two(rng, members, 1),
        }
    }

    /// Smooth weighted round robin: each eligible member waits its weight longer, the one that waited
    /// longest is taken, and pays what all of them waited this time. Members that sit out keep their place.
    fn take_turn(&mut self, eligible: impl Fn(usize) -> bool) -> Option<usize> {
        let mut round = 0;
        let mut longest: Option<(usize, i64)> = None;
        for (at, member) in self.members.iter_mut().enumerate() {
            if member.weight == 0 || !eligible(at) {
                continue;
            }
            round += i64::from(member.weight);
            member.waited = member.waited.saturating_add(i64::from(member.weight));
            if longest.is_none_or(|(_, waited)| member.waited > waited) {
                longest = Some((at, member.waited));
            }
        }
        let (at, _) = longest?;
        let member = self.members.get_mut(at)?;
        member.waited = member.waited.saturating_sub(round);
        Some(at)
    }

    /// Two different members drawn by weight; the second is missing if no other is eligible.
    fn draw_two(&self, rng: &mut fastrand::Rng, members: &impl Members) -> Option<(usize, Option<usize>)> {
        let first = self.draw(rng, |at| members.is_eligible(at))?;
        Some((first, self.draw(rng, |at| at != first && members.is_eligible(at))))
    }

    /// The first of two that are drawn, unless the second has less load for its weight. `ahead` counts that many
    /// requests on top of those in flight: with 1 the request to be sent is counted, so that of two members
    /// with few requests the heavier is taken. Two idle members are left to the draw, so that little traffic
    /// is spread by weight.
    fn less_busy_of_two(&self, rng: &mut fastrand::Rng, members: &impl Members, ahead: u64) -> Option<usize> {
        let (first, second) = self.draw_two(rng, members)?;
        let Some(second) = second else { return Some(first) };
        let (on_first, on_second) = (members.in_flight(first), members.in_flight(second));
        if on_first == 0 && on_second == 0 {
            return Some(first);
        }
        let load = |at, requests| Load { amount: u64::from(requests) + ahead, weight: self.weight(at) };
        let is_second = load(second, on_second).is_less_than(load(first, on_first));
        Some(if is_second { second } else { first })
    }

    /// The first of two that are drawn, unless the second would probably answer sooner. If the response time of
    /// one is not known, it is taken for that of the other: a new member then gets what it can bear.
    ///
    /// Two idle members are left to the draw, unless the first is slower by half: response times always differ
    /// a little, and little traffic would otherwise leave out whoever was slowest last.
    fn faster_of_two(&self, rng: &mut fastrand::Rng, members: &impl Members) -> Option<usize> {
        let (first, second) = self.draw_two(rng, members)?;
        let Some(second) = second else { return Some(first) };
        let costs = match (members.cost_micros(first), members.cost_micros(second)) {
            (0, known) | (known, 0) => (known, known),
            both => both,
        };
        let of_first = u64::from(costs.0) + FLOOR_MICROS;
        let of_second = u64::from(costs.1) + FLOOR_MICROS;
        let (on_first, on_second) = (members.in_flight(first), members.in_flight(second));
        let is_second = if on_first == 0 && on_second == 0 {
            of_second * 3 < of_first * 2
        } else {
            let load = |at, cost: u64, requests| Load {
                amount: cost.saturating_mul(u64::from(requests) + 1),
                weight: self.weight(at),
            };
            load(second, of_second, on_second).is_less_than(load(first, of_first, on_first))
        };
        Some(if is_second { second } else { first })
    }

    /// The owner of a key; if it is not eligible or has too much to do, the next one in the table that is and has
    /// not. Whoever takes no requests so moves no keys but its own.
    fn owner(&self, members: &impl Members, key: u64) -> Option<usize> {
        let mut bound = None;
        let mut is_free = |at| {
            let requests = members.in_flight(at);
            let weight = self.weight(at);
            requests < FEW || bound.get_or_insert_with(|| self.bound(members)).admits(requests, weight)
        };
        let mut places = self.table.as_ref()?.walk(key).take(STEPS);
        let owner = places.find(|&at| members.is_eligible(at) && is_free(at));
        if owner.is_some() {
            return owner;
        }
        // Most are not eligible. The key has an order of its own of all members, the same everywhere. Not all of
        // them can have more than their share, so there is one if any is eligible.
        let rank = |member: &Member| key::mix(key::mix(key) ^ member.id);
        let members = self
            .members
            .iter()
            .enumerate()
            .filter(|(at, member)| member.weight > 0 && members.is_eligible(*at) && is_free(*at));
        members.max_by_key(|(_, member)| rank(member)).map(|(at, _)| at)
    }

    /// What all that are eligible have to do.
    fn bound(&self, members: &impl Members) -> Bound {
        let mut bound = Bound { requests: 1, weight: 0 };
        for (at, member) in self.members.iter().enumerate() {
            if member.weight > 0 && members.is_eligible(at) {
                bound.requests += u64::from(members.in_flight(at));
                bound.weight += u64::from(member.weight);
            }
        }
        bound
    }

    /// The least (requests + 1) / weight of all, one at random if several have it. If all are idle, one is
    /// drawn by weight.
    fn least_of_all(&self, rng: &mut fastrand::Rng, members: &impl Members) -> Option<usize> {
        let mut least: Option<(usize, Load)> = None;
        let mut ties = 1;
        let mut is_idle = true;
        for (at, member) in self.members.iter().enumerate() {
            if member.weight == 0 || !members.is_eligible(at) {
                continue;
            }
            let requests = members.in_flight(at);
            is_idle &= requests == 0;
            let load = Load { amount: u64::from(requests) + 1, weight: u64::from(member.weight) };
            match least {
                Some((_, best)) if best.is_less_than(load) => {}
                Some((_, best)) if !load.is_less_than(best) => {
                    ties += 1;
                    if rng.u32(..ties) == 0 {
                        least = Some((at, load));
                    }
                }
                _ => {
                    ties = 1;
                    least = Some((at, load));
                }
            }
        }
        if is_idle && !self.is_even {
            return self.draw(rng, |at| members.is_eligible(at));
        }
        least.map(|(at, _)| at)
    }

    /// An eligible member at random, by weight.
    fn draw(&self, rng: &mut fastrand::Rng, eligible: impl Fn(usize) -> bool) -> Option<usize> {
        if self.total == 0 {
            return None;
        }
        for _ in 0..DRAWS {
            let at = if self.is_even {
                rng.usize(..self.members.len())
            } else {
                let hit = rng.u64(..self.total);
                self.members.partition_point(|member| member.upto <= hit)
            };
            if eligible(at) {
                return Some(at);
            }
        }
        // Many are not eligible: one pass, in which each replaces the choice so far with the share that its
        // weight has of the weights seen.
        let mut seen = 0;
        let mut choice = None;
        for (at, member) in self.members.iter().enumerate() {
            if member.weight == 0 || !eligible(at) {
                continue;
            }
            seen += u64::from(member.weight);
            if rng.u64(..seen) < u64::from(member.weight) {
                choice = Some(at);
            }
        }
        choice
    }

    fn weight(&self, at: usize) -> u64 {
        self.members.get(at).map_or(0, |member| u64::from(member.weight))
    }
}

/// The greatest number that divides both (Euclid); the other one if one is 0.
const fn common_divisor(one: u32, other: u32) -> u32 {
    let (mut one, mut other) = (one, other);
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}

/// Requests or time for a weight: a fraction, compared without division.
#[derive(Clone, Copy, Debug)]
struct Load {
    amount: u64,
    weight: u64,
}

impl Load {
    fn is_less_than(self, other: Self) -> bool {
        u128::from(self.amount) * u128::from(other.weight)
            < u128::from(other.amount) * u128::from(self.weight)
    }
}

/// How much a member may have to do (Mirrokni, Thorup, Zadimoghaddam: Consistent Hashing with Bounded Loads, 2016).
#[derive(Clone, Copy, Debug)]
struct Bound {
    /// In flight on all eligible members, with the one to be sent.
    requests: u64,
    /// Of all eligible members.
    weight: u64,
}

impl Bound {
    /// Whether a member with so many in flight may have one more: it has at most 1.25 times its share.
    fn admits(self, requests: u32, weight: u64) -> bool {
        u128::from(requests) * u128::from(self.weight) * 4
            <= u128::from(self.requests) * u128::from(weight) * 5
    }
}

#[cfg(test)]
mod tests;
