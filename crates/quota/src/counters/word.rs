//! One counter: its count, and of which period, in one word, so that both change together.
//!
//! The word holds, from its lowest bit on, the count (45 bits), whether it has changed since it was last written (1 bit),
//! and the epoch, a number that grows from period to period (18 bits). When exactly the period begins and ends stands
//! beside it, under a lock that is taken when a period begins and by those who read; the epoch changes only under it.
//! It must not know who else counts. Entry point: [`Counter::add`].

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};
use std::sync::{Mutex, PoisonError};

use super::{QuotaId, Usage, lock};
use crate::Bounds;

const COUNT_BITS: u32 = 45;
/// The largest count: 35 million millions.
pub const MAX_COUNT: u64 = (1 << COUNT_BITS) - 1;
const CHANGED: u64 = 1 << COUNT_BITS;
const EPOCH_SHIFT: u32 = COUNT_BITS + 1;
const LAST_EPOCH: u64 = u64::MAX >> EPOCH_SHIFT;
/// No period is as short, in milliseconds, so the starts of two of them are not in the same one.
const EPOCH_MS: i64 = 12 * 3_600_000;

/// The number of a period: 1 for what began in 1970 or before, up to the year 2328. 0 is no period.
pub(super) fn epoch(period: Bounds) -> u64 {
    ((period.start.max(0) / EPOCH_MS) as u64 + 1).min(LAST_EPOCH)
}

fn epoch_of(word: u64) -> u64 {
    word >> EPOCH_SHIFT
}

fn is_changed(word: u64) -> bool {
    word & CHANGED != 0
}

/// What one key has used up of one quota.
#[derive(Debug)]
pub struct Counter {
    quota: QuotaId,
    key: Box<str>,
    word: AtomicU64,
    period: Mutex<Bounds>,
}

/// What became of adding.
pub(super) struct Added {
    pub(super) allowed: bool,
    pub(super) used: u64,
    pub(super) epoch: u64,
    /// The period has begun with it.
    pub(super) began: bool,
    /// It has changed for the first time since it was written.
    pub(super) newly_changed: bool,
}

impl Counter {
    pub(super) fn new(quota: QuotaId, key: &str) -> Counter {
        let (word, period) = (AtomicU64::new(0), Mutex::new(Bounds::default()));
        Counter { quota, key: key.into(), word, period }
    }

    /// Of which quota.
    #[must_use]
    pub fn quota(&self) -> QuotaId {
        self.quota
    }

    /// Of whom.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    pub(super) fn is(&self, quota: QuotaId, key: &str) -> bool {
        self.quota == quota && &*self.key == key
    }

    /// What is used up, and in which period.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let period = lock(&self.period);
        Usage { used: self.word.load(Acquire) & MAX_COUNT, period: *period }
    }

    /// Adds, if that stays within the limit, in this period or in a later one that has begun already.
    #[inline]
    pub(super) fn add(&self, cost: u64, limit: u64, period: Bounds) -> Added {
        let limit = limit.min(MAX_COUNT);
        let asked = epoch(period);
        let mut began = false;
        let mut word = self.word.load(Acquire);
        loop {
            let epoch = epoch_of(word);
            if epoch < asked {
                began |= self.begin(period);
                word = self.word.load(Acquire);
                continue;
            }
            let used = word & MAX_COUNT;
            let Some(more) = used.checked_add(cost).filter(|more| *more <= limit) else {
                return Added { allowed: false, used, epoch, began, newly_changed: false };
            };
            match self.word.compare_exchange_weak(word, word & !MAX_COUNT | CHANGED | more, AcqRel, Acquire) {
                Ok(_) => {
                    return Added {
                        allowed: true,
                        used: more,
                        epoch,
                        began,
                        newly_changed: !is_changed(word),
                    };
                }
                Err(other) => word = other,
            }
        }
    }

    /// Counts anew in a later period, and says whether it was this call that began it.
    #[cold]
    fn begin(&self, period: Bounds) -> bool {
        let epoch = epoch(period);
        let mut bounds = lock(&self.period);
        // Whether it has changed stays as it is: who set that has put it on the list.
        let later = |word| (epoch_of(word) < epoch).then_some(epoch << EPOCH_SHIFT | word & CHANGED);
        let began = self.word.fetch_update(AcqRel, Acquire, later).is_ok();
        if began {
            *bounds = period;
        }
        began
    }

    /// Says whether it has changed for the first time since it was written.
    pub(super) fn subtract(&self, cost: u64, period: Bounds) -> bool {
        let less = |word: u64| {
            let left = (word & MAX_COUNT).saturating_sub(cost);
            (epoch_of(word) == epoch(period)).then_some(word & !MAX_COUNT | CHANGED | left)
        };
        self.word.fetch_update(AcqRel, Acquire, less).is_ok_and(|word| !is_changed(word))
    }

    /// Forgets count and period. Says what they were, and whether it has changed for the first time since it was written.
    pub(super) fn clear(&self) -> (Usage, bool) {
        let mut period = lock(&self.period);
        let word = self.word.swap(CHANGED, AcqRel);
        (Usage { used: word & MAX_COUNT, period: std::mem::take(&mut period) }, !is_changed(word))
    }

    /// Sets count and period to what was written.
    pub(super) fn set(&self, usage: Usage) {
        let mut period = lock(&self.period);
        let epoch = if usage.period == Bounds::default() { 0 } else { epoch(usage.period) };
        self.word.store(epoch << EPOCH_SHIFT | usage.used.min(MAX_COUNT), Release);
        *period = usage.period;
    }

    /// When its period ends, for who holds it alone.
    pub(super) fn end(&mut self) -> i64 {
        self.period.get_mut().unwrap_or_else(PoisonError::into_inner).end
    }

    /// From now on it has not changed. It is on no list any more, and [`Counter::usage`] is to be written.
    pub(crate) fn clear_changed(&self) {
        self.word.fetch_and(!CHANGED, AcqRel);
    }

    /// It has changed. Says whether that is new.
    pub(super) fn mark_changed(&self) -> bool {
        !is_changed(self.word.fetch_or(CHANGED, AcqRel))
    }
}
