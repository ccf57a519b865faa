//! Taking for a key that is known allocates nothing.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::alloc::System;

use quota::{Bounds, Ledger, Opened, QuotaId};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const DAY: Bounds = Bounds { start: 0, end: 86_400_000 };

#[test]
fn taking_for_a_known_key_allocates_nothing() {
    let folder = std::env::temp_dir().join(format!("quota-allocations-{}", std::process::id()));
    let Opened { mut ledger, counters, .. } = Ledger::open(&folder, 1_000, 0).unwrap();
    let keys: Vec<String> = (0..500).map(|key| format!("key-{key}")).collect();
    let take_all = || {
        for key in &keys {
            let counter = counters.counter(QuotaId(1), key).unwrap();
            let taken = counters.take(&counter, 2, 1_000, DAY);
            counters.give_back(&counter, 1, taken.period);
        }
    };
    for round in 0..4 {
        let region = Region::new(COUNTED);
        take_all();
        let change = region.change();
        // The first time makes the counters, and the lists of what has changed.
        let made = change.allocations + change.reallocations;
        assert!(if round == 0 { made >= keys.len() } else { made == 0 }, "round {round}: {change:?}");
        ledger.flush(0).unwrap();
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
