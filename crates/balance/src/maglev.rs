//! A table of Maglev hashing (Eisenbud et al., NSDI 2016, section 3.4), with weights.
//!
//! It gives each key a member, and each member keys by its weight. Tables that were made anywhere from the same
//! members are the same, and if members come, go or change their weight, hardly other keys move than have to.
//! It must not know load or health: the caller walks on from members that it does not want. Entry points:
//! [`Table::new`], [`Table::walk`].

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::balancer::Seat;
use crate::balancer::key::mix;

/// Places in a table, a prime. It is the same for all services: with another size every key would move, so a
/// size that followed the number of members would move all of them when a service grows from, say, 16 to 17.
/// With n members, shares are even to about n / 16381. When one of them goes, all of its keys move, which is 1 / n,
/// and of the others 0.1 % with 3 members, 0.7 % with 10 and 1.5 % with 100 to 300.
const PLACES: usize = 16_381;
/// A place that nobody has claimed yet.
const FREE: u16 = u16::MAX;

/// Which member has which place.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// Positions of members: 32 KiB. Empty if no member has a weight.
    owners: Box<[u16]>,
}

/// One member while the table is made.
struct Claimant {
    /// Its position in the list of the caller.
    at: u16,
    /// The place that it claims next, if it is free.
    place: usize,
    /// From there to the one after. As the number of places is prime, it reaches all of them.
    stride: usize,
    /// Time between its turns: the heavier, the more often it claims a place.
    pace: u64,
}

impl Table {
    /// For these members. Takes about a millisecond. Those beyond the first 65,535 are left out.
    pub(crate) fn new(seats: &[Seat]) -> Table {
        // Turns are taken in an order that does not depend on that of the list.
        let mut order: Vec<(&Seat, u16)> = seats.iter().zip(0..FREE).collect();
        order.retain(|(seat, _)| seat.weight > 0);
        order.sort_unstable_by_key(|(seat, at)| (seat.id, seat.weight, *at));
        let mut claimants: Vec<Claimant> =
            order.into_iter().map(|(seat, at)| Claimant::new(*seat, at)).collect();
        if claimants.is_empty() {
            return Table { owners: Box::default() };
        }
        let mut owners = vec![FREE; PLACES].into_boxed_slice();
        let mut turns: BinaryHeap<_> = (0..claimants.len()).map(|rank| Reverse((0, rank))).collect();
        for _ in 0..PLACES {
            let Some(mut turn) = turns.peek_mut() else { break };
            let Reverse((time, rank)) = *turn;
            let Some(claimant) = claimants.get_mut(rank) else { break };
            claimant.claim(&mut owners);
            *turn = Reverse((time + claimant.pace, rank));
        }
        Table { owners }
    }

    /// The member whom a key belongs to, then the owners of the places that follow, each place once. An owner may
    /// come more than once, also in a row.
    pub(crate) fn walk(&self, key: u64) -> impl Iterator<Item = usize> + '_ {
        let start = below(mix(key), self.owners.len());
        let (before, from) = self.owners.split_at_checked(start).unwrap_or_default();
        from.iter().chain(before).map(|&at| usize::from(at))
    }
}

impl Claimant {
    fn new(seat: Seat, at: u16) -> Claimant {
        let hash = mix(seat.id);
        Claimant {
            at,
            place: below(hash, PLACES),
            stride: 1 + below(mix(hash), PLACES - 1),
            // The heaviest have 2^15; 16381 turns of the lightest end before 2^61.
            pace: (1 << 47) / u64::from(seat.weight.max(1)),
        }
    }

    /// Takes the next free place of its own order.
    fn claim(&mut self, owners: &mut [u16]) {
        for _ in 0..PLACES {
            let place = self.place;
            self.place = (place + self.stride) % PLACES;
            if let Some(owner) = owners.get_mut(place).filter(|owner| **owner == FREE) {
                *owner = self.at;
                return;
            }
        }
    }
}

/// A hash as a number below `limit`, without the bias and the cost of a division.
fn below(hash: u64, limit: usize) -> usize {
    ((u128::from(hash) * limit as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seats(weights: &[u32]) -> Vec<Seat> {
        weights.iter().zip(0..).map(|(&weight, id)| Seat { weight, id }).collect()
    }

    fn counts(table: &Table, n: usize) -> Vec<usize> {
        let mut counts = vec![0; n];
        table.walk(0).for_each(|at| counts[at] += 1);
        counts
    }

    #[test]
    fn a_stride_must_reach_every_place() {
        // 128² is more than there are places.
        assert!((2..=128).all(|divisor| !PLACES.is_multiple_of(divisor)), "{PLACES} is prime");
    }

    #[test]
    fn places_are_shared_out_by_weight() {
        for weights in
            [&[1; 3][..], &[6, 3, 1], &[1; 100], &[0, 5, 0, 5], &[u32::MAX, u32::MAX, 1], &[3; 1000]]
        {
            let counts = counts(&Table::new(&seats(weights)), weights.len());
            let total: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
            for (&weight, &count) in weights.iter().zip(&counts) {
                let want = PLACES as f64 * f64::from(weight) / total;
                assert!((count as f64 - want).abs() <= 2.0, "{weights:?} {counts:?}");
                assert_eq!(count > 0, weight > 0, "however light, it has a place: {weights:?}");
            }
        }
    }

    #[test]
    fn a_walk_meets_every_place_once() {
        let table = Table::new(&seats(&[1; 7]));
        for key in [0, 1, u64::MAX / 2, u64::MAX] {
            let walk: Vec<usize> = table.walk(key).collect();
            assert_eq!(walk.len(), PLACES);
            let first = below(mix(key), PLACES);
            let places = (first..PLACES).chain(0..first);
            assert!(walk.iter().zip(places).all(|(&at, place)| at == usize::from(table.owners[place])));
        }
    }

    #[test]
    fn more_members_than_places_or_positions_are_no_harm() {
        let many = vec![Seat { weight: 1, id: 9 }; 70_000];
        assert_eq!(Table::new(&many).walk(3).count(), PLACES);
        assert_eq!(Table::new(&[]).walk(3).count(), 0);
        assert_eq!(Table::new(&seats(&[0, 0])).walk(u64::MAX).count(), 0);
    }
}
