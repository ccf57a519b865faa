//! What probes say of a member.
//!
//! A member counts as healthy until enough probes in a row have said otherwise, and the other way round. It must not
//! know how probes are made, and it asks no clock. Entry point: [`Health::observe`].

use std::time::Duration;

/// How many probes in a row settle something; each at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Thresholds {
    /// Probes that must pass before a member takes requests again.
    pub healthy_after: u32,
    /// Probes that must fail before it takes none any more.
    pub unhealthy_after: u32,
}

/// How a member stands; also what a single probe says of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Standing {
    /// It is well.
    #[default]
    Healthy,
    /// It does not answer, or not as it should. That may be the fault of the probe.
    Failing,
    /// It answers that it does not serve. There is no doubt about that, so it takes no requests whatever the others do.
    Declining,
}

impl Standing {
    /// Whether it is well.
    pub const fn is_healthy(self) -> bool {
        matches!(self, Standing::Healthy)
    }
}

/// How a member stands, and what speaks for a change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    standing: Standing,
    /// Probes in a row that speak against its standing.
    against: u32,
}

impl Health {
    /// Of a member that stands like this, and that nothing speaks against.
    pub const fn new(standing: Standing) -> Health {
        Health { standing, against: 0 }
    }

    /// How it stands.
    pub const fn standing(&self) -> Standing {
        self.standing
    }

    /// How many probes in a row speak against that.
    pub const fn against(&self) -> u32 {
        self.against
    }

    /// Takes note of a probe. Returns whether the standing has changed.
    pub fn observe(&mut self, probe: Standing, thresholds: Thresholds) -> bool {
        if self.standing.is_healthy() == probe.is_healthy() {
            self.against = 0;
            // In which way it is not well may change with every probe.
            return std::mem::replace(&mut self.standing, probe) != probe;
        }
        self.against = self.against.saturating_add(1);
        let needed = match self.standing {
            Standing::Healthy => thresholds.unhealthy_after,
            Standing::Failing | Standing::Declining => thresholds.healthy_after,
        };
        if self.against < needed {
            return false;
        }
        *self = Health::new(probe);
        true
    }
}

/// The time to the next probe: up to a tenth more or less than `every`, so that probes spread out. `random` is any
/// number, each as likely as the others.
pub fn interval(every: Duration, random: u32) -> Duration {
    let most = every / 5;
    let part = most.as_nanos() * u128::from(random) / u128::from(u32::MAX);
    every - every / 10 + Duration::from_nanos(u64::try_from(part).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each probe of a row says (`+` well, `-` failing, `!` declining), and how the member stands after it.
    #[test]
    fn standings_change_after_so_many_probes_in_a_row() {
        let letter = |standing| match standing {
            Standing::Healthy => '+',
            Standing::Failing => '-',
            Standing::Declining => '!',
        };
        for (healthy_after, unhealthy_after, probes, standings) in [
            (2, 3, "+++", "+++"),
            (2, 3, "---", "++-"),
            (2, 3, "--+--+---", "++++++++-"),
            (2, 3, "---+-++", "++----+"),
            (1, 1, "-+-+", "-+-+"),
            (1, 1, "!+!", "!+!"),
            // What counts is that it is not well; the last probe says in which way.
            (2, 3, "-!-", "++-"),
            (2, 3, "--!", "++!"),
            (2, 1, "-!-!++", "-!-!!+"),
            (3, 1, "-++-+++", "------+"),
        ] {
            let thresholds = Thresholds { healthy_after, unhealthy_after };
            let mut health = Health::default();
            let mut changes = 0;
            let stands: String = probes
                .chars()
                .map(|probe| {
                    let standing = match probe {
                        '+' => Standing::Healthy,
                        '-' => Standing::Failing,
                        _ => Standing::Declining,
                    };
                    let before = health.standing();
                    let changed = health.observe(standing, thresholds);
                    assert_eq!(changed, before != health.standing(), "{probes}");
                    changes += u32::from(changed);
                    letter(health.standing())
                })
                .collect();
            assert_eq!(stands, standings, "{healthy_after} {unhealthy_after} {probes}");
        }
    }

    #[test]
    fn intervals_differ_by_up_to_a_tenth() {
        let millis = |every: u64, random| interval(Duration::from_millis(every), random).as_millis();
        assert_eq!([millis(5000, 0), millis(5000, u32::MAX)], [4500, 5500]);
        assert_eq!(millis(1000, u32::MAX / 2).abs_diff(1000), 1, "the middle, rounded down");
        let longest = Duration::from_secs(100 * 366 * 86_400);
        assert!(interval(longest, u32::MAX) > longest);
    }
}
