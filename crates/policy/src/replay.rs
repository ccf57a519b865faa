//! Signatures that were used already, for all workers together.
//!
//! It is the one thing on the path of a request that workers share and lock: a signature that one of them has accepted
//! must not be good at another. It is divided, so that two workers rarely want the same part at a time; a part is held for
//! as long as a look into a table takes, or, once in a while, as removing what has ended. Only a signature that is genuine
//! gets this far. Entry point: [`Replays::admit`]; `Providers::replays` finds the one of a policy.

use std::sync::{Mutex, PoisonError};

use signatures::{Admit, ReplayGuard};

/// Into how many parts it is divided, where it is large enough for all to fill evenly.
const PARTS: usize = 16;
/// What is smaller is not divided.
const SMALL: usize = 4096;
/// For how much longer than it is good a signature is remembered, in seconds. Workers look at the clock once in a while:
/// one judges a request by an older time than another, to which the signature has ended.
const LATE: u64 = 60;

/// Signatures that were used already.
#[derive(Debug)]
pub(crate) struct Replays {
    parts: Box<[Mutex<ReplayGuard>]>,
}

impl Replays {
    /// For so many signatures that are good for at most `horizon` seconds.
    pub(crate) fn new(capacity: usize, horizon: u64) -> Replays {
        let parts = if capacity < SMALL { 1 } else { PARTS };
        let part = || Mutex::new(ReplayGuard::new(capacity.div_ceil(parts), horizon.saturating_add(LATE)));
        Replays { parts: std::iter::repeat_with(part).take(parts).collect() }
    }

    /// Admits a signature that was verified, unless it was used before; see [`ReplayGuard::admit`].
    pub(crate) fn admit(&self, key: [u8; 32], until: u64, now: u64) -> Admit {
        // The key is a SHA-256, and the table behind does not use its bits as they are.
        let part = self.parts.get(usize::from(key[0]) % self.parts.len().max(1));
        let Some(part) = part else { return Admit::Full };
        let mut guard = part.lock().unwrap_or_else(PoisonError::into_inner);
        guard.admit(key, until.saturating_add(LATE), now)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;
    use crate::digest_of;

    const NOW: u64 = 1_000_000;

    #[test]
    fn of_workers_that_see_the_same_signatures_one_admits_each() {
        let replays = Replays::new(100_000, 601);
        let barrier = Barrier::new(4);
        let worker = || {
            barrier.wait();
            let keys = (0..5_000_u32).map(|number| digest_of(&number.to_le_bytes()));
            keys.filter(|key| replays.admit(*key, NOW + 301, NOW) == Admit::Fresh).count()
        };
        let admitted: usize = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..4).map(|_| scope.spawn(worker)).collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).sum()
        });
        assert_eq!(admitted, 5_000);
    }

    #[test]
    fn it_fills_evenly_and_not_beyond_what_it_may_hold() {
        for capacity in [1, 100, SMALL, 20_000] {
            let replays = Replays::new(capacity, 601);
            let keys = (0..3 * capacity as u64).map(|number| digest_of(&number.to_le_bytes()));
            let admitted = keys.filter(|key| replays.admit(*key, NOW + 1, NOW) == Admit::Fresh).count();
            assert!((capacity..capacity + PARTS).contains(&admitted), "{admitted} of {capacity}");
        }
    }

    #[test]
    fn a_request_that_has_waited_finds_what_others_saw() {
        let replays = Replays::new(10, 3);
        let key = digest_of(b"a");
        assert_eq!(replays.admit(key, NOW + 2, NOW), Admit::Fresh);
        // Somebody else's time goes on, and then comes one that began before the end.
        assert_eq!(replays.admit(digest_of(b"b"), NOW + 32, NOW + 30), Admit::Fresh);
        assert_eq!(replays.admit(key, NOW + 2, NOW + 1), Admit::Replayed);
    }
}
