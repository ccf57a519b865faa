//! Signatures that were seen already, so that none is accepted twice.
//!
//! What is remembered ends by itself when the signature would be refused anyway, and it never grows beyond its
//! capacity: what does not fit is not admitted. It asks no clock and has no lock; who shares it brings one. Entry
//! point: [`ReplayGuard::admit`].

use std::collections::HashSet;

/// Into how many parts the horizon is divided. What has ended is removed a part at a time, so an entry stays for up
/// to 1/62 of the horizon too long.
const SLOTS: u64 = 64;

/// What became of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admit {
    /// It was not seen before, and is remembered now.
    Fresh,
    /// It was seen before.
    Replayed,
    /// It cannot be remembered, because too many are, or because it ends beyond the horizon. It must be refused.
    Full,
}

/// The signatures that were seen and could be shown again.
///
/// Every operation takes constant time, amortised: each entry is put into a slot by its end and removed with its
/// slot. Where the clock runs backwards, entries stay longer; where it jumps ahead, they end early, as they do for
/// who verifies signatures.
#[derive(Debug)]
pub struct ReplayGuard {
    seen: HashSet<[u8; 32]>,
    /// The keys of slot n are at n modulo [`SLOTS`].
    slots: Vec<Vec<[u8; 32]>>,
    /// The earliest slot that is kept.
    first: u64,
    /// Seconds of a slot.
    width: u64,
    capacity: usize,
}

impl ReplayGuard {
    /// A guard for so many signatures that end at most `horizon` seconds after they are seen
    /// ([`Rules::horizon`](crate::Rules::horizon)). Each takes about 100 bytes; nothing is allocated ahead.
    #[must_use]
    pub fn new(capacity: usize, horizon: u64) -> ReplayGuard {
        ReplayGuard {
            seen: HashSet::new(),
            slots: (0..SLOTS).map(|_| Vec::new()).collect(),
            first: 0,
            // The present slot and the last one are partly outside of the horizon.
            width: horizon.div_ceil(SLOTS - 2).max(1),
            capacity,
        }
    }

    /// Admits a signature that was verified, unless it was seen before. Times are in seconds since 1970; `until` is
    /// the first second at which the signature is not good any more.
    pub fn admit(&mut self, key: [u8; 32], until: u64, now: u64) -> Admit {
        self.forget_ended(now / self.width);
        let number = (until / self.width).max(self.first);
        if self.seen.contains(&key) {
            return Admit::Replayed;
        }
        if number - self.first >= SLOTS || self.seen.len() >= self.capacity {
            return Admit::Full;
        }
        let Some(slot) = slot_of(&mut self.slots, number) else { return Admit::Full };
        slot.push(key);
        self.seen.insert(key);
        Admit::Fresh
    }

    /// How many signatures it remembers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// Whether it remembers none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// Forgets what was to end in slots before the present one.
    fn forget_ended(&mut self, present: u64) {
        for number in (self.first..present).take(SLOTS as usize) {
            let Some(slot) = slot_of(&mut self.slots, number) else { continue };
            for key in std::mem::take(slot) {
                self.seen.remove(&key);
            }
        }
        self.first = self.first.max(present);
    }
}

fn slot_of(slots: &mut [Vec<[u8; 32]>], number: u64) -> Option<&mut Vec<[u8; 32]>> {
    slots.get_mut(usize::try_from(number % SLOTS).ok()?)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const NOW: u64 = 1_618_884_473;

    fn key(number: u64) -> [u8; 32] {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&number.to_le_bytes());
        key
    }

    #[test]
    fn nothing_is_admitted_twice_before_it_ends() {
        for horizon in [0, 1, 61, 62, 63, 601, 86_400] {
            let mut guard = ReplayGuard::new(10, horizon);
            assert_eq!(guard.admit(key(1), NOW + horizon, NOW), Admit::Fresh, "{horizon}");
            for later in [0, horizon / 2, horizon.saturating_sub(1), horizon] {
                assert_eq!(
                    guard.admit(key(1), NOW + horizon, NOW + later),
                    Admit::Replayed,
                    "{horizon} {later}"
                );
            }
            let gone = NOW + horizon + horizon / 31 + 2;
            assert_eq!(guard.admit(key(1), gone, gone), Admit::Fresh, "{horizon}");
            assert_eq!(guard.len(), 1);
        }
    }

    #[test]
    fn it_never_holds_more_than_its_capacity_and_fails_closed() {
        let mut guard = ReplayGuard::new(3, 600);
        let admit = |guard: &mut ReplayGuard, number, now| guard.admit(key(number), now + 300, now);
        assert!((0..3).all(|number| admit(&mut guard, number, NOW) == Admit::Fresh));
        assert_eq!(admit(&mut guard, 3, NOW), Admit::Full);
        assert_eq!(admit(&mut guard, 2, NOW), Admit::Replayed);
        assert_eq!(admit(&mut guard, 3, NOW + 311), Admit::Fresh, "there is room again");
        assert_eq!(guard.len(), 1);
        assert_eq!(guard.admit(key(9), NOW + 311 + 10_000, NOW + 311), Admit::Full, "beyond the horizon");
        assert_eq!(guard.admit(key(9), u64::MAX, u64::MAX), Admit::Fresh, "and no overflow");
        assert_eq!(ReplayGuard::new(0, 600).admit(key(1), NOW + 1, NOW), Admit::Full);
    }

    #[test]
    fn a_clock_that_runs_backwards_opens_nothing() {
        let mut guard = ReplayGuard::new(10, 600);
        assert_eq!(guard.admit(key(1), NOW + 300, NOW), Admit::Fresh);
        assert_eq!(guard.admit(key(2), NOW - 3_300, NOW - 3_600), Admit::Fresh);
        for now in [NOW - 3_600, NOW - 3_500, NOW] {
            assert_eq!(guard.admit(key(1), now + 300, now), Admit::Replayed, "{now}");
            assert_eq!(guard.admit(key(2), now + 300, now), Admit::Replayed, "{now}");
        }
        assert!(!guard.is_empty());
    }

    /// A day with irregular steps, against a guard that remembers everything exactly.
    #[test]
    fn it_agrees_with_an_exact_guard() {
        let mut rng = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = move |below: u64| {
            rng ^= rng << 13;
            rng ^= rng >> 7;
            rng ^= rng << 17;
            rng % below
        };
        let mut guard = ReplayGuard::new(100_000, 601);
        let mut exact: HashMap<u64, u64> = HashMap::new();
        let (mut now, mut fresh, mut replayed) = (NOW, 0, 0);
        for _ in 0..20_000 {
            now += random(9);
            let (number, until) = (random(500), now + 1 + random(601));
            let live = exact.get(&number).is_some_and(|&until| now < until);
            match guard.admit(key(number), until, now) {
                Admit::Fresh => {
                    assert!(!live, "admitted twice");
                    exact.insert(number, until);
                    fresh += 1;
                }
                Admit::Replayed => {
                    let ended = exact.get(&number).copied().unwrap_or_default();
                    assert!(now < ended + 601 / 62 + 2, "kept too long");
                    replayed += 1;
                }
                Admit::Full => panic!("it is not full"),
            }
        }
        assert!(fresh > 1_000 && replayed > 1_000, "{fresh} {replayed}");
    }
}
