//! Which share of the requests stays in the zone of the gateway.
//!
//! It must not know zones or members, only how much weight there is near and far. Entry point: [`local_share`].

/// While at least so much of the weight that is near takes requests, in percent, all of them stay near. With less,
/// what is left would have to bear more than 1 / 0.7 of what it was made for. Envoy's over-provisioning factor
/// of 1.4 says the same of 71 %.
pub const LOCAL_PERCENT: u32 = 70;

/// Members that are near, or those that are not, added up by weight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ZoneWeight {
    /// Of all members.
    pub all: u64,
    /// Of those that take requests.
    pub taking: u64,
}

impl ZoneWeight {
    /// Adds a member of this weight, that takes requests or does not.
    pub const fn add(&mut self, weight: u32, takes_requests: bool) {
        self.all = self.all.saturating_add(weight as u64);
        if takes_requests {
            self.taking = self.taking.saturating_add(weight as u64);
        }
    }
}

/// How many of 1000 requests are to stay near; the others go to members that are far. All while at least
/// [`LOCAL_PERCENT`] of the weight takes requests, below that in proportion: half of 70 % keeps half of the
/// requests. All if nobody far takes any, and none if nobody near does.
#[must_use]
pub fn local_share(near: ZoneWeight, far: ZoneWeight) -> u32 {
    if near.taking == 0 || near.all == 0 {
        return 0;
    }
    if far.taking == 0 {
        return 1000;
    }
    let full = u128::from(near.all) * u128::from(LOCAL_PERCENT);
    let share = u128::from(near.taking) * 100 * 1000 / full;
    u32::try_from(share.min(1000)).unwrap_or(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(all: u64, taking: u64) -> ZoneWeight {
        ZoneWeight { all, taking }
    }

    #[test]
    fn requests_stay_near_in_proportion_to_who_takes_them_there() {
        for (near, far, share) in [
            (zone(10, 10), zone(10, 10), 1000),
            (zone(10, 8), zone(10, 10), 1000),
            (zone(10, 7), zone(10, 10), 1000),
            (zone(1000, 699), zone(10, 10), 998),
            (zone(10, 6), zone(10, 10), 857),
            (zone(10, 5), zone(10, 10), 714),
            (zone(10, 1), zone(10, 10), 142),
            (zone(10, 0), zone(10, 10), 0),
            // How much there is far does not matter, as long as there is some.
            (zone(10, 5), zone(1_000_000, 1), 714),
            (zone(10, 1), zone(10, 0), 1000),
            (zone(10, 1), zone(0, 0), 1000),
            (zone(0, 0), zone(10, 10), 0),
            (zone(0, 0), zone(0, 0), 0),
            (zone(10, 0), zone(10, 0), 0),
            (zone(u64::MAX, u64::MAX), zone(1, 1), 1000),
            (zone(u64::MAX, u64::MAX / 2), zone(1, 1), 714),
            (zone(3, 100), zone(1, 1), 1000),
        ] {
            assert_eq!(local_share(near, far), share, "{near:?} {far:?}");
        }
    }

    #[test]
    fn weights_are_added_up() {
        let mut near = ZoneWeight::default();
        for (weight, takes_requests) in [(5, true), (0, true), (3, false), (u32::MAX, true)] {
            near.add(weight, takes_requests);
        }
        assert_eq!(near, zone(u64::from(u32::MAX) + 8, u64::from(u32::MAX) + 5));
    }

    #[test]
    fn the_share_never_rises_when_a_member_falls_out() {
        for all in 1..200 {
            let shares: Vec<u32> =
                (0..=all).map(|taking| local_share(zone(all, taking), zone(5, 5))).collect();
            assert!(shares.is_sorted() && shares.first() == Some(&0) && shares.last() == Some(&1000));
        }
    }
}
