//! Why a member gets no requests, and when it gets some all the same.
//!
//! Probes, ejections and operators each have their say; this is where it comes together. Entry point:
//! [`takes_requests`].

use crate::Standing;

/// Why a member should get no requests. The later of two that hold is the one that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outage {
    /// Probes fail, which may be the fault of the probe.
    Failing,
    /// Requests fail, or take too long.
    Ejected,
    /// Requests wait, and nothing comes. Those that may be repeated do not wait any longer.
    Stalled,
    /// It has said that it does not serve.
    Declining,
    /// An operator has said so.
    Drained,
}

impl Outage {
    /// Every outage.
    pub const ALL: [Outage; 5] =
        [Outage::Failing, Outage::Ejected, Outage::Stalled, Outage::Declining, Outage::Drained];

    /// As it stands in metrics and in what operators read.
    pub const fn as_str(self) -> &'static str {
        match self {
            Outage::Failing => "failing",
            Outage::Ejected => "ejected",
            Outage::Stalled => "stalled",
            Outage::Declining => "declining",
            Outage::Drained => "drained",
        }
    }
}

impl Standing {
    /// What a standing means for requests.
    pub const fn outage(self) -> Option<Outage> {
        match self {
            Standing::Healthy => None,
            Standing::Failing => Some(Outage::Failing),
            Standing::Declining => Some(Outage::Declining),
        }
    }
}

/// If fewer of a service's members than these are well, in percent, all of them take requests: so many do not fail at
/// once by themselves, and the few that are left would not bear what all have borne.
pub const PANIC_PERCENT: usize = 50;

/// Whether so few of a service's members are well that what speaks against them is not believed. What an operator has
/// taken out is not counted.
pub fn is_panic(outages: impl IntoIterator<Item = Option<Outage>>) -> bool {
    let (mut well, mut all) = (0, 0);
    for outage in outages.into_iter().filter(|outage| *outage != Some(Outage::Drained)) {
        all += 1;
        well += usize::from(outage.is_none());
    }
    well * 100 < all * PANIC_PERCENT
}

/// Whether a member takes requests, where `panic` says what [`is_panic`] has said of its service.
pub const fn takes_requests(outage: Option<Outage>, panic: bool) -> bool {
    match outage {
        None => true,
        Some(Outage::Failing | Outage::Ejected | Outage::Stalled) => panic,
        Some(Outage::Declining | Outage::Drained) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_take_requests_when_fewer_than_half_are_well() {
        for (members, takes) in [
            ("", ""),
            ("+", "+"),
            ("f", "+"),
            ("+f", "+-"),
            ("fe", "++"),
            ("+fs", "+++"),
            ("++f", "++-"),
            ("+de", "+-+"),
            // What an operator has taken out says nothing of the others.
            ("+oo", "+--"),
            ("+foo", "+---"),
            ("ooo", "---"),
        ] {
            let outages = members.chars().map(|letter| match letter {
                'f' => Some(Outage::Failing),
                'e' => Some(Outage::Ejected),
                's' => Some(Outage::Stalled),
                'd' => Some(Outage::Declining),
                'o' => Some(Outage::Drained),
                _ => None,
            });
            let panic = is_panic(outages.clone());
            let found: String =
                outages.map(|outage| if takes_requests(outage, panic) { '+' } else { '-' }).collect();
            assert_eq!(found, takes, "{members}");
        }
    }

    #[test]
    fn the_graver_outage_counts() {
        assert!(Outage::ALL.is_sorted());
        assert_eq!(Some(Outage::Failing).max(None), Some(Outage::Failing));
    }
}
