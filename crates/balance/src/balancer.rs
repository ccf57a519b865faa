//! Choosing a member of a service by weight and load.
//!
//! It must not know what a member is: members are positions in a list that the caller keeps. Entry point:
//! [`Balancer::pick`].

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
}

impl Algorithm {
    /// As it is written in a configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Algorithm::RoundRobin => "round_robin",
            Algorithm::Random => "random",
            Algorithm::LeastRequests => "least_requests",
        }
    }
}

/// Up to this many members are compared one by one. Named in the documentation of [`Algorithm`].
const SCAN: usize = 8;
/// Draws that may hit an ineligible member before all members are looked at in turn.
const DRAWS: usize = 4;

/// Chooses among members with weights. It holds no member itself and allocates only when it is made.
#[derive(Clone, Debug)]
pub struct Balancer {
    algorithm: Algorithm,
    members: Box<[Member]>,
    /// Sum of all weights.
    total: u64,
    /// All weights are the same, so that a draw needs no search.
    is_even: bool,
}

#[derive(Clone, Debug)]
struct Member {
    weight: u32,
    /// Sum of the weights up to and with this one: a draw below it and not below the one before is a hit.
    upto: u64,
    /// Smooth round robin: how long this member has waited for its turn, in weights.
    waited: i64,
}

impl Balancer {
    /// For members with these weights. A member of weight 0 is never picked.
    #[must_use]
    pub fn new(algorithm: Algorithm, weights: &[u32]) -> Self {
        let mut total = 0;
        let member = |&weight: &u32| {
            total += u64::from(weight);
            Member { weight, upto: total, waited: 0 }
        };
        let members: Box<[Member]> = weights.iter().map(member).collect();
        let is_even = members.windows(2).all(|pair| pair[0].weight == pair[1].weight);
        Self { algorithm, members, total, is_even }
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
    /// each worker) would otherwise all send their first requests to the same member.
    pub fn start_anywhere(&mut self, rng: &mut fastrand::Rng) {
        if self.algorithm == Algorithm::RoundRobin && self.members.len() > 1 {
            for _ in 0..rng.usize(..self.members.len()) {
                self.take_turn(|_| true);
            }
        }
    }

    /// The position of a member, or `None` if no member with a weight is eligible. `in_flight` is how many
    /// requests a member has in flight, `eligible` whether it may be picked: not known to be bad, and not
    /// tried before for this request. Does not allocate.
    pub fn pick(
        &mut self,
        rng: &mut fastrand::Rng,
        in_flight: impl Fn(usize) -> u32,
        eligible: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        match &*self.members {
            [] => return None,
            [only] => return (only.weight > 0 && eligible(0)).then_some(0),
            _ => {}
        }
        match self.algorithm {
            Algorithm::RoundRobin => self.take_turn(eligible),
            Algorithm::Random => self.better_of_two(rng, in_flight, eligible, 0),
            Algorithm::LeastRequests if self.members.len() <= SCAN => {
                self.least_of_all(rng, in_flight, eligible)
            }
            Algorithm::LeastRequests => self.better_of_two(rng, in_flight, eligible, 1),
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

    /// Two different members drawn by weight; the first, unless the second has less load for its weight.
    /// `ahead` counts that many requests on top of those in flight: with 1 the request to be sent is
    /// counted, so that of two members with few requests the heavier is taken. Two idle members are left
    /// to the draw, so that little traffic is spread by weight.
    fn better_of_two(
        &self,
        rng: &mut fastrand::Rng,
        in_flight: impl Fn(usize) -> u32,
        eligible: impl Fn(usize) -> bool,
        ahead: u32,
    ) -> Option<usize> {
        let first = self.draw(rng, &eligible)?;
        let Some(second) = self.draw(rng, |at| at != first && eligible(at)) else { return Some(first) };
        let (on_first, on_second) = (in_flight(first), in_flight(second));
        let is_idle = on_first == 0 && on_second == 0;
        let first_load =
            Load { requests: u64::from(on_first) + u64::from(ahead), weight: self.weight(first) };
        let second_load =
            Load { requests: u64::from(on_second) + u64::from(ahead), weight: self.weight(second) };
        Some(if !is_idle && second_load.is_less_than(first_load) { second } else { first })
    }

    /// The least (requests + 1) / weight of all, one at random if several have it. If all are idle, one is
    /// drawn by weight.
    fn least_of_all(
        &self,
        rng: &mut fastrand::Rng,
        in_flight: impl Fn(usize) -> u32,
        eligible: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let mut least: Option<(usize, Load)> = None;
        let mut ties = 1;
        let mut is_idle = true;
        for (at, member) in self.members.iter().enumerate() {
            if member.weight == 0 || !eligible(at) {
                continue;
            }
            let requests = in_flight(at);
            is_idle &= requests == 0;
            let load = Load { requests: u64::from(requests) + 1, weight: u64::from(member.weight) };
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
            return self.draw(rng, eligible);
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

/// Requests for a weight: a fraction, compared without division.
#[derive(Clone, Copy, Debug)]
struct Load {
    /// At most 2³²: the product with a weight fits.
    requests: u64,
    weight: u64,
}

impl Load {
    fn is_less_than(self, other: Self) -> bool {
        self.requests * other.weight < other.requests * self.weight
    }
}

#[cfg(test)]
mod tests;
