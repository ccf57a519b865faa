//! How keeping what is used up of quotas goes.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use crate::exposition::{QUOTA_COUNTERS, QUOTA_DAMAGED, QUOTA_FLUSHES, Text};

/// The numbers of the ledger. Written by the control thread, once per second.
#[derive(Debug, Default)]
pub struct QuotaNumbers {
    counters: AtomicUsize,
    written: AtomicU64,
    failed: AtomicU64,
    damaged: AtomicBool,
}

impl QuotaNumbers {
    /// A flush has ended, well or not; there are so many counters.
    pub fn flushed(&self, well: bool, counters: usize) {
        let count = if well { &self.written } else { &self.failed };
        count.fetch_add(1, Ordering::Relaxed);
        self.counters.store(counters, Ordering::Relaxed);
    }

    /// The ledger was damaged and set aside.
    pub fn damaged(&self) {
        self.damaged.store(true, Ordering::Relaxed);
    }

    pub(crate) fn render(&self, text: &mut Text) {
        text.family(&QUOTA_COUNTERS);
        text.series(QUOTA_COUNTERS.name, "", &[], self.counters.load(Ordering::Relaxed) as u64);
        text.family(&QUOTA_FLUSHES);
        for (result, count) in [("written", &self.written), ("failed", &self.failed)] {
            text.series(QUOTA_FLUSHES.name, "", &[("result", result)], count.load(Ordering::Relaxed));
        }
        text.family(&QUOTA_DAMAGED);
        text.series(QUOTA_DAMAGED.name, "", &[], u64::from(self.damaged.load(Ordering::Relaxed)));
    }
}
