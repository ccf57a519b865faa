//! Judging requests by their keys.
//!
//! Entry points: [`Limiter`], [`Key`].

use std::hash::{BuildHasher, Hasher, RandomState};

use crate::bucket::{Bucket, Due};
use crate::table::Table;
use crate::window::{Counts, Window};

/// The most that one request can cost.
pub const MAX_COST: u32 = 1_000_000;

/// Who is limited: a hash that nobody outside can choose. Two that share one would share a limit; among a million keys
/// the chance that any two do is one in 36 million.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(pub(crate) u64);

/// What is left for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// How much may be spent now.
    pub left: u32,
    /// After how many seconds all of the limit can be spent again, rounded up.
    pub full_after: u64,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    /// What is left after it.
    pub level: Level,
    /// Whether it may pass. Then it was charged.
    pub allowed: bool,
    /// If not, after how many seconds it may, rounded up; `u64::MAX` for never.
    pub retry: u64,
}

/// A way to count.
pub(crate) trait Method {
    /// What is kept of a key. The default is that of one who has used nothing.
    type State: Default;

    /// Charges `cost` if it fits.
    fn take(&self, state: &mut Self::State, cost: u32, now: u64) -> Judged;
    /// Charges `cost`, whether it fits or not.
    fn charge(&self, state: &mut Self::State, cost: u32, now: u64);
    /// Takes a charge back that was made a moment ago.
    fn give_back(&self, state: &mut Self::State, cost: u32, now: u64);
    /// What is left.
    fn level(&self, state: &Self::State, now: u64) -> Level;
    /// How much would be forgotten with a state.
    fn loss(&self, state: &Self::State, now: u64) -> u64;
}

/// Nanoseconds to seconds, rounded up.
pub(crate) fn wait(nanoseconds: u64) -> u64 {
    if nanoseconds == u64::MAX { u64::MAX } else { nanoseconds.div_ceil(1_000_000_000) }
}

/// How a limit counts.
#[derive(Clone, Copy, Debug)]
pub enum Limit {
    /// Evenly, with a burst.
    Bucket(Bucket),
    /// At most so many within any period.
    Window(Window),
}

impl Limit {
    /// How much can be spent at once by whoever has spent nothing.
    pub fn full(&self) -> u32 {
        match self {
            Limit::Bucket(bucket) => bucket.burst(),
            Limit::Window(window) => window.limit(),
        }
    }

    /// An empty table for limits that count like this, for at most so many keys.
    pub fn table(&self, keys: usize) -> Limiter {
        let counts = match self {
            Limit::Bucket(_) => Counted::Buckets(Table::new(keys)),
            Limit::Window(_) => Counted::Windows(Table::new(keys)),
        };
        Limiter { hasher: RandomState::new(), counts }
    }
}

/// What all keys of a limit have used. Threads share it, and it outlives changes of the limit.
#[derive(Debug)]
pub struct Limiter {
    hasher: RandomState,
    counts: Counted,
}

#[derive(Debug)]
enum Counted {
    Buckets(Table<Due>),
    Windows(Table<Counts>),
}

/// Does something with the table of the kind of a limit. One of the other kind has nothing to say.
macro_rules! with_kind {
    ($limiter:expr, $limit:expr, $otherwise:expr, |$method:ident, $table:ident| $what:expr) => {
        match (&$limiter.counts, $limit) {
            (Counted::Buckets($table), Limit::Bucket($method)) => $what,
            (Counted::Windows($table), Limit::Window($method)) => $what,
            _ => $otherwise,
        }
    };
}

impl Limiter {
    /// The key of somebody, from all that tells it from others.
    #[inline]
    pub fn key(&self, write: impl FnOnce(&mut dyn Hasher)) -> Key {
        let mut hasher = self.hasher.build_hasher();
        write(&mut hasher);
        Key(hasher.finish())
    }

    /// Whether it counts as a limit does.
    pub fn fits(&self, limit: &Limit) -> bool {
        with_kind!(self, limit, false, |_method, _table| true)
    }

    /// Charges `cost`, at most [`MAX_COST`], if it fits. `now` is in nanoseconds.
    #[inline]
    pub fn take(&self, limit: &Limit, key: Key, cost: u32, now: u64) -> Judged {
        let level = Level { left: 0, full_after: 0 };
        with_kind!(self, limit, Judged { level, allowed: false, retry: u64::MAX }, |method, table| table
            .with(
                key.0,
                |state| method.loss(state, now),
                |state| method.take(state, cost.min(MAX_COST), now)
            ))
    }

    /// Charges `cost`, at most [`MAX_COST`], whether it fits or not: for what turns out later.
    pub fn charge(&self, limit: &Limit, key: Key, cost: u32, now: u64) -> Level {
        let cost = cost.min(MAX_COST);
        with_kind!(self, limit, Level { left: 0, full_after: 0 }, |method, table| table.with(
            key.0,
            |state| method.loss(state, now),
            |state| {
                method.charge(state, cost, now);
                method.level(state, now)
            }
        ))
    }

    /// Takes a charge back that was made a moment ago, because another limit has refused the request.
    pub fn give_back(&self, limit: &Limit, key: Key, cost: u32, now: u64) {
        let cost = cost.min(MAX_COST);
        with_kind!(self, limit, (), |method, table| table.with(
            key.0,
            |state| method.loss(state, now),
            |state| method.give_back(state, cost, now)
        ));
    }

    /// What is left for a key; `None` if it has used nothing that is known.
    pub fn level(&self, limit: &Limit, key: Key, now: u64) -> Option<Level> {
        with_kind!(self, limit, None, |method, table| table.read(key.0, |state| method.level(state, now)))
    }

    /// How many keys have a count.
    pub fn keys(&self) -> usize {
        match &self.counts {
            Counted::Buckets(table) => table.len(),
            Counted::Windows(table) => table.len(),
        }
    }

    /// Forgets what a key has used; whether there was something.
    pub fn reset(&self, key: Key) -> bool {
        match &self.counts {
            Counted::Buckets(table) => table.remove(key.0).is_some(),
            Counted::Windows(table) => table.remove(key.0).is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn bucket(rate: &str, burst: u32) -> Limit {
        Limit::Bucket(Bucket::new(rate.parse().unwrap(), burst))
    }

    fn window(rate: &str) -> Limit {
        Limit::Window(Window::new(rate.parse().unwrap()))
    }

    /// How many of these requests pass, by their times.
    fn passed(limit: &Limit, times: impl Iterator<Item = u64>) -> Vec<u64> {
        let limiter = limit.table(10);
        let key = limiter.key(|hasher| hasher.write(b"a"));
        times.filter(|now| limiter.take(limit, key, 1, *now).allowed).collect()
    }

    /// The most that pass within any period.
    fn densest(passed: &[u64], period: u64) -> usize {
        let within =
            |begin: usize| passed[begin..].iter().take_while(|at| **at < passed[begin] + period).count();
        (0..passed.len()).map(within).max().unwrap_or(0)
    }

    #[test]
    fn a_bucket_lets_a_burst_through_and_then_the_rate() {
        let start = 77 * SECOND;
        let limit = bucket("10/s", 5);
        let at_once = passed(&limit, std::iter::repeat_n(start, 100));
        assert_eq!(at_once.len(), 5);
        let steady = passed(&limit, (0..100_000).map(|step| start + step * 1_000_000));
        assert_eq!(steady.len(), 5 + 999);
        assert_eq!(passed(&bucket("10/s", 1), (0..10).map(|step| start + step * 100_000_000)).len(), 10);
        assert_eq!(passed(&bucket("10/s", 1), (0..10).map(|step| start + step * 99_000_000)).len(), 5);
    }

    #[test]
    fn a_window_never_has_more_than_its_limit_wherever_it_begins() {
        let mut rng = fastrand::Rng::with_seed(3);
        for limit in [1, 7, 100] {
            let rule = window(&format!("{limit}/10s"));
            for _ in 0..20 {
                let mut now = rng.u64(0..100 * SECOND);
                // Bursts, pauses, and a steady stream, so that all edges are met.
                let times: Vec<u64> = std::iter::repeat_with(|| {
                    now += [0, 1, SECOND / 50, SECOND, 9 * SECOND][rng.usize(0..5)];
                    now
                })
                .take(3_000)
                .collect();
                let passed = passed(&rule, times.into_iter());
                assert!(densest(&passed, 10 * SECOND) <= limit, "{limit}");
            }
            // And it lets through as much, if somebody asks all the time: but for one part of eight.
            let passed = passed(&rule, (0..200_000).map(|step| step * SECOND / 1_000));
            let most = limit * 200_000 / 10_000;
            assert!(
                passed.len() * 9 >= most * 8 && passed.len() <= most + limit,
                "{limit}: {}",
                passed.len()
            );
        }
    }

    #[test]
    fn what_is_told_is_true() {
        for limit in [bucket("6/min", 3), window("6/min"), bucket("100/s", 1), window("5/day")] {
            let limiter = limit.table(10);
            let key = limiter.key(|hasher| hasher.write(b"a"));
            let (mut now, mut rng) = (5 * SECOND, fastrand::Rng::with_seed(9));
            for _ in 0..2_000 {
                now += rng.u64(0..20 * SECOND);
                let cost = rng.u32(1..3);
                let before = limiter.level(&limit, key, now).map(|level| level.left);
                let judged = limiter.take(&limit, key, cost, now);
                match (judged.allowed, before) {
                    (true, Some(before)) => assert_eq!(judged.level.left, before - cost),
                    (false, Some(before)) => assert!(before < cost && judged.level.left == before),
                    (allowed, None) => assert!(allowed || judged.retry == u64::MAX),
                }
                if !judged.allowed && judged.retry < u64::MAX {
                    // Not before, and then at once.
                    let peek =
                        |after: u64| limiter.level(&limit, key, now + after * SECOND).unwrap().left >= cost;
                    assert!(peek(judged.retry) && judged.retry > 0, "{limit:?} {judged:?}");
                    assert!(judged.retry < 2 || !peek(judged.retry - 2), "{limit:?} {judged:?}");
                }
                let full = limiter.level(&limit, key, now + judged.level.full_after * SECOND).unwrap();
                assert_eq!(full.full_after, 0, "{limit:?}");
            }
        }
    }

    #[test]
    fn a_charge_can_be_taken_back_and_come_later() {
        for limit in [bucket("5/min", 5), window("5/min")] {
            let limiter = limit.table(10);
            let key = limiter.key(|hasher| hasher.write(b"a"));
            assert!(limiter.take(&limit, key, 5, SECOND).allowed);
            limiter.give_back(&limit, key, 3, SECOND);
            assert_eq!(limiter.level(&limit, key, SECOND).unwrap().left, 3);
            assert_eq!(limiter.charge(&limit, key, 9, SECOND).left, 0, "a debt");
            assert!(!limiter.take(&limit, key, 1, SECOND + 20 * SECOND).allowed);
            assert!(limiter.reset(key) && limiter.take(&limit, key, 1, SECOND).allowed);
            assert!(!limiter.take(&limit, key, u32::MAX, SECOND).allowed);
        }
    }

    #[test]
    fn time_that_goes_back_lets_nobody_through() {
        for limit in [bucket("10/min", 10), window("10/min")] {
            let times = (0..1_000).map(|step: u64| (100 + step % 7) * SECOND);
            assert!(passed(&limit, times).len() <= 11, "{limit:?}");
        }
    }

    #[test]
    fn threads_together_let_through_what_one_would() {
        for limit in [bucket("1/day", 1_000), window("1000/day")] {
            let limiter = limit.table(100_000);
            let barrier = Barrier::new(4);
            let worker = || {
                barrier.wait();
                let key = limiter.key(|hasher| hasher.write(b"a"));
                (0..1_000).filter(|_| limiter.take(&limit, key, 1, SECOND).allowed).count()
            };
            let allowed: usize = std::thread::scope(|scope| {
                let workers: Vec<_> = (0..4).map(|_| scope.spawn(worker)).collect();
                workers.into_iter().map(|worker| worker.join().unwrap()).sum()
            });
            assert_eq!(allowed, 1_000);
        }
    }

    #[test]
    fn a_million_keys_take_what_is_promised() {
        for (limit, most) in [(bucket("100/min", 100), 48), (window("100/min"), 96)] {
            let limiter = limit.table(1_000_000);
            for number in 0..1_000_000_u32 {
                let key = limiter.key(|hasher| hasher.write_u32(number));
                assert!(limiter.take(&limit, key, 1, SECOND).allowed);
            }
            let bytes = match &limiter.counts {
                Counted::Buckets(table) => table.bytes(),
                Counted::Windows(table) => table.bytes(),
            };
            let keys = limiter.keys();
            // Parts fill a little unevenly, and what does not fit makes room.
            assert!(keys > 990_000, "{keys}");
            assert!(bytes / keys <= most, "{limit:?}: {} bytes for each key", bytes / keys);
        }
    }
}
