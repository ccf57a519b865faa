//! The counters of all quotas, wherever they are kept.
//!
//! Policies are prepared before it is known where: a check keeps none. Who runs the gateway says so with
//! [`Quotas::keep_in`], and what was counted until then goes along. Entry point: [`Quotas::counters`].

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use quota::{Counters, Refused};

/// What is used up of all quotas.
#[derive(Debug)]
pub struct Quotas {
    counters: ArcSwap<Counters>,
}

impl Default for Quotas {
    fn default() -> Self {
        Quotas { counters: ArcSwap::from_pointee(Counters::in_memory(Quotas::MOST_COUNTERS)) }
    }
}

impl Quotas {
    /// The most counters there may be, over all quotas. Beyond it those who are new share one in each quota.
    pub const MOST_COUNTERS: usize = 1_000_000;

    /// Where it is counted now.
    #[inline]
    pub fn counters(&self) -> Guard<Arc<Counters>> {
        self.counters.load()
    }

    /// Counts there from now on. What was counted elsewhere is counted there too; requests that are judged at this moment
    /// may be counted in neither.
    pub fn keep_in(&self, counters: &Arc<Counters>) {
        let before = self.counters.swap(Arc::clone(counters));
        before.each(|counter| {
            let usage = counter.usage();
            let there = match counters.counter(counter.quota(), counter.key()) {
                Ok(there) => Some(there),
                Err(Refused::Full | Refused::BadKey) => counters.counter_of_others(counter.quota()),
            };
            if let (Some(there), 1..) = (there, usage.used) {
                // Over the limit too: what was used is not forgotten.
                _ = counters.take(&there, usage.used, quota::MAX_COUNT, usage.period);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use quota::{Bounds, QuotaId};

    use super::*;

    #[test]
    fn what_was_counted_in_memory_goes_to_where_it_is_kept() {
        let (quotas, day) = (Quotas::default(), Bounds { start: 86_400_000, end: 2 * 86_400_000 });
        let count = |counters: &Counters, cost| {
            let counter = counters.counter(QuotaId(1), "a").unwrap();
            counters.take(&counter, cost, 100, day).used
        };
        count(&quotas.counters(), 3);
        let kept = Arc::new(Counters::in_memory(10));
        count(&kept, 4);
        quotas.keep_in(&kept);
        assert_eq!(count(&quotas.counters(), 1), 8);
        assert_eq!(kept.usage(QuotaId(1), "a").unwrap().used, 8);
    }
}
