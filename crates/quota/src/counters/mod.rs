//! What is used up in the periods that run, for all workers together.
//!
//! It must not know what a quota is for, nor files: the ledger asks it what has changed. A worker finds a counter once and
//! keeps it; from then on, taking is one compare-and-exchange, and a lock is held only when a counter has changed for the
//! first time since it was last written. Entry points: [`Counters::counter`], [`Counters::take`].

#[cfg(test)]
mod tests;
mod word;

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashTable;

pub use word::Counter;
pub use word::MAX_COUNT;

use crate::Bounds;

/// The longest key, in bytes. For longer ones, use a digest.
pub const KEY_MAX: usize = 255;
/// The key of those for whom there is no room. Keys that somebody gives are not empty.
const OTHERS: &str = "";
/// For how long a period that has ended is remembered, in milliseconds. A clock may step back by so much and finds again
/// what was used up.
pub const LATE_MS: i64 = 2 * 3_600_000;
/// After this time, in milliseconds, it is worth looking again whether somebody still holds a counter that has ended.
const HELD_MS: i64 = 60_000;
/// Into how many parts it is divided, so that workers rarely want the same one at a time.
const PARTS: usize = 256;

/// Which quota: a digest of what makes it that one, such as its name, period and time zone. Counts of quotas whose
/// identities differ have nothing to do with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QuotaId(pub u128);

/// Why there is no counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There are as many as there may be. Those whose periods have ended make room soon.
    Full,
    /// The key is longer than [`KEY_MAX`], or empty.
    BadKey,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Full => f.write_str("there are as many keys of quotas as there may be"),
            Refused::BadKey => write!(f, "the key of a quota has from 1 to {KEY_MAX} bytes"),
        }
    }
}

impl std::error::Error for Refused {}

/// What became of an attempt to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Whether it was taken. If not, nothing has changed.
    pub allowed: bool,
    /// What is used up in the period, with what was taken.
    pub used: u64,
    /// What is left of the limit.
    pub left: u64,
    /// The period it was counted in: a later one than the caller's, if the clock has stepped back.
    pub period: Bounds,
}

/// What is used up of a quota by a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// How much.
    pub used: u64,
    /// In which period. It may have ended: then nothing is used up in the one that runs. It is empty, from 0 to 0, if
    /// nothing was taken yet, or all was forgotten.
    pub period: Bounds,
}

/// The counters of all quotas and keys, up to a number.
#[derive(Debug)]
pub struct Counters {
    parts: Box<[Mutex<Part>]>,
    /// Keys may be chosen by clients, so they are hashed with a secret.
    hasher: RandomState,
    count: AtomicUsize,
    max: usize,
    /// No counter can be dropped before this time.
    sweep_at: AtomicI64,
    /// Whether a ledger wants to know what has changed.
    recorded: bool,
}

#[derive(Debug, Default)]
struct Part {
    table: HashTable<Arc<Counter>>,
    /// Those that have changed since they were last written, each once.
    changed: Vec<Arc<Counter>>,
}

impl Counters {
    /// Room for so many, which nobody writes down: for where no state is kept. Call [`Counters::sweep`] once per second.
    #[must_use]
    pub fn in_memory(max: usize) -> Counters {
        let parts = std::iter::repeat_with(Mutex::default).take(PARTS).collect();
        let hasher = RandomState::new();
        let (count, sweep_at) = (AtomicUsize::new(0), AtomicI64::new(i64::MIN));
        Counters { parts, hasher, count, max, sweep_at, recorded: false }
    }

    pub(crate) fn recorded(max: usize) -> Counters {
        Counters { recorded: true, ..Counters::in_memory(max) }
    }

    /// The counter of a key, to be kept by who uses it often. One that is known is found without allocating.
    ///
    /// One that somebody holds is never dropped: hold no more of them than there may be.
    ///
    /// # Errors
    /// It would be a new one, and there are too many, or the key is too long.
    pub fn counter(&self, quota: QuotaId, key: &str) -> Result<Arc<Counter>, Refused> {
        if key.is_empty() || key.len() > KEY_MAX {
            return Err(Refused::BadKey);
        }
        let room = |count: usize| (count < self.max).then_some(count + 1);
        self.find_or(quota, key, room).ok_or(Refused::Full)
    }

    /// The counter that all share for whom there is no room: each quota has one at most, however many there are.
    #[must_use]
    pub fn counter_of_others(&self, quota: QuotaId) -> Option<Arc<Counter>> {
        self.find_or(quota, OTHERS, |count| Some(count + 1))
    }

    fn find_or(
        &self,
        quota: QuotaId,
        key: &str,
        room: impl Fn(usize) -> Option<usize>,
    ) -> Option<Arc<Counter>> {
        let hash = self.hasher.hash_one((quota, key));
        let mut part = self.part(hash)?;
        // An entry of the table would make room for one more, even where there is one.
        if let Some(found) = part.table.find(hash, |counter| counter.is(quota, key)) {
            return Some(Arc::clone(found));
        }
        self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).ok()?;
        let counter = Arc::new(Counter::new(quota, key));
        let rehash = |counter: &Arc<Counter>| self.hasher.hash_one((counter.quota(), counter.key()));
        part.table.insert_unique(hash, Arc::clone(&counter), rehash);
        Some(counter)
    }

    /// The counter of a key, if there is one.
    #[must_use]
    pub fn find(&self, quota: QuotaId, key: &str) -> Option<Arc<Counter>> {
        let hash = self.hasher.hash_one((quota, key));
        let part = self.part(hash)?;
        part.table.find(hash, |counter| counter.is(quota, key)).map(Arc::clone)
    }

    /// Takes `cost` from what `limit` leaves in a period, all of it or nothing. Over any number of threads, no more than
    /// the limit is taken.
    ///
    /// The count begins anew only when a period begins that is later than the one it counts in. If the clock has stepped
    /// back, it goes on counting in the later one. More than [`MAX_COUNT`] cannot be used up, whatever the limit. To count
    /// what is over already, give that as the limit; to ask, take 0.
    #[inline]
    pub fn take(&self, counter: &Arc<Counter>, cost: u64, limit: u64, period: Bounds) -> Taken {
        let took = counter.add(cost, limit, period);
        if took.began {
            self.sweep_at.fetch_min(period.end.saturating_add(LATE_MS), Ordering::Relaxed);
        }
        if took.newly_changed {
            self.remember(counter);
        }
        Taken {
            allowed: took.allowed,
            used: took.used,
            left: limit.min(MAX_COUNT).saturating_sub(took.used),
            period: if took.epoch == word::epoch(period) { period } else { counter.usage().period },
        }
    }

    /// Gives back what was taken, if its period has not been followed by another since.
    pub fn give_back(&self, counter: &Arc<Counter>, cost: u64, period: Bounds) {
        if counter.subtract(cost, period) {
            self.remember(counter);
        }
    }

    /// What is used up by a key; `None` if it is not known.
    #[must_use]
    pub fn usage(&self, quota: QuotaId, key: &str) -> Option<Usage> {
        self.find(quota, key).map(|counter| counter.usage())
    }

    /// Forgets what a key has used up, and in which period: it also helps where a clock was far ahead for a moment, so that
    /// the count is of a period far away. Says what it was; `None` if the key is not known.
    pub fn reset(&self, quota: QuotaId, key: &str) -> Option<Usage> {
        let counter = self.find(quota, key)?;
        let (usage, newly_changed) = counter.clear();
        if newly_changed {
            self.remember(&counter);
        }
        Some(usage)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them, in no order. No lock is held while the caller looks at one.
    pub fn each(&self, mut look: impl FnMut(&Arc<Counter>)) {
        let mut some = Vec::new();
        for part in &self.parts {
            some.extend(lock(part).table.iter().map(Arc::clone));
            some.drain(..).for_each(|counter| look(&counter));
        }
    }

    /// Drops counters whose periods ended more than [`LATE_MS`] ago and that nobody holds. To look for them takes a moment,
    /// so it does nothing while less than half of the room is used, or none can have ended.
    pub fn sweep(&self, now_ms: i64) {
        if self.len() > self.max / 2 {
            self.drop_ended(now_ms);
        }
    }

    pub(crate) fn drop_ended(&self, now_ms: i64) {
        if now_ms < self.sweep_at.load(Ordering::Relaxed) {
            return;
        }
        // What begins while this looks must not be lost.
        self.sweep_at.store(i64::MAX, Ordering::Relaxed);
        let mut next = i64::MAX;
        for part in &self.parts {
            let mut part = lock(part);
            let before = part.table.len();
            part.table.retain(|counter| {
                // If nobody else holds it, nobody can get hold of it while the part is locked.
                let until = |end: i64| end.saturating_add(LATE_MS);
                let keep = match Arc::get_mut(counter) {
                    Some(alone) => Some(until(alone.end())).filter(|until| *until > now_ms),
                    None => Some(until(counter.usage().period.end).max(now_ms.saturating_add(HELD_MS))),
                };
                next = next.min(keep.unwrap_or(next));
                keep.is_some()
            });
            self.count.fetch_sub(before - part.table.len(), Ordering::Relaxed);
        }
        self.sweep_at.fetch_min(next, Ordering::Relaxed);
    }

    /// Moves those that have changed since they were last asked for to the end of a list. Of those it says so itself until [`Counter::clear_changed`].
    pub(crate) fn changed(&self, list: &mut Vec<Arc<Counter>>) {
        for part in &self.parts {
            list.append(&mut lock(part).changed);
        }
    }

    /// Says again that a counter has changed: it could not be written. Where nobody wants to know any more what it was, it is
    /// let go, so that a broken disk does not keep it for ever.
    pub(crate) fn not_written(&self, counter: &Arc<Counter>, now_ms: i64) {
        let period = counter.usage().period;
        let ended = period != Bounds::default() && period.end.saturating_add(LATE_MS) <= now_ms;
        if !ended && counter.mark_changed() {
            self.remember(counter);
        }
    }

    /// Sets a counter to what was written, without regard to how many there may be: no count is forgotten.
    pub(crate) fn restore(&self, quota: QuotaId, key: &str, usage: Usage) {
        if let Some(counter) = self.find_or(quota, key, |count| Some(count + 1)) {
            counter.set(usage);
        }
    }

    fn remember(&self, counter: &Arc<Counter>) {
        if !self.recorded {
            return;
        }
        let hash = self.hasher.hash_one((counter.quota(), counter.key()));
        if let Some(mut part) = self.part(hash) {
            part.changed.push(Arc::clone(counter));
        }
    }

    fn part(&self, hash: u64) -> Option<MutexGuard<'_, Part>> {
        // The table uses the lowest and highest bits.
        self.parts.get((hash >> 32) as usize % PARTS).map(lock)
    }
}

/// What a thread that has panicked left behind is good: nothing is done by halves under these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
