//! Which share of the requests a worker refuses, because it has more to do than it can.
//!
//! The share rises with each tick that comes too late, and falls with each that does not, so it settles where the worker
//! keeps up. It must not know clocks: it is told. Entry points: [`Shedding::tick`], [`Shedding::hits`].

use balance::Importance;

/// Ticks in a row that must come too late before anything is refused: one may be the fault of anybody.
const LATE: u32 = 3;
/// How much the share rises with each late tick, and falls with each that is not, in permille.
const RISE: u32 = 100;
const FALL: u32 = 20;
/// With too little memory the share is not lower.
const SHORT: u32 = 500;
/// Everything, in permille.
const ALL: u32 = 1000;

/// The share of requests that are refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shedding {
    /// Of a thousand requests of normal importance.
    pub(crate) share: u32,
    late: u32,
}

impl Shedding {
    /// After another tick, which came too late or not, and with too little memory or enough.
    pub(crate) fn tick(self, lags: bool, memory_is_short: bool) -> Shedding {
        let late = if lags { self.late.saturating_add(1) } else { 0 };
        let share = match late {
            0 => self.share.saturating_sub(FALL),
            LATE.. => (self.share + RISE).min(ALL),
            _ => self.share,
        };
        let share = if memory_is_short { share.max(SHORT) } else { share };
        Shedding { share, late }
    }

    /// Whether a request is refused: twice as often if it is less important, and only after half of all others if it is
    /// more.
    pub(crate) fn hits(self, importance: Importance, rng: &mut fastrand::Rng) -> bool {
        let share = match importance {
            Importance::High => self.share.saturating_sub(ALL / 2),
            Importance::Normal => self.share,
            Importance::Low => self.share * 2,
        };
        rng.u32(..ALL) < share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_follows_the_ticks() {
        let run = |ticks: &str| {
            let tick = |shedding: Shedding, tick| shedding.tick(tick == 'L', tick == 'm');
            ticks.chars().fold(Shedding::default(), tick).share
        };
        for (ticks, share) in [
            ("", 0),
            ("LL.LL.LL", 0),
            ("LLL", 100),
            ("LLLLLL", 400),
            ("LLLLLLLLLLLLLLLLLLLL", 1000),
            ("LLL....", 20),
            ("LLL......", 0),
            ("m", 500),
            ("mm....", 420),
        ] {
            assert_eq!(run(ticks), share, "{ticks}");
        }
    }

    #[test]
    fn what_matters_less_goes_first() {
        let mut rng = fastrand::Rng::with_seed(3);
        let mut hits = |share, importance| {
            (0..10_000).filter(|_| Shedding { share, late: 0 }.hits(importance, &mut rng)).count()
        };
        assert!((4_700..5_300).contains(&hits(500, Importance::Normal)));
        assert_eq!((hits(500, Importance::Low), hits(500, Importance::High)), (10_000, 0));
        assert!((4_700..5_300).contains(&hits(1000, Importance::High)));
    }
}
