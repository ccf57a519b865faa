//! Exact over threads, unmoved by a clock that wobbles, and bounded.

use std::sync::Barrier;

use super::*;

const DAY: i64 = 24 * 3_600_000;
const QUOTA: QuotaId = QuotaId(7);
/// A time zone in which days do not begin at midnight in UTC, as most.
const OFFSET: i64 = 5 * 3_600_000;

fn day(number: i64) -> Bounds {
    Bounds { start: number * DAY + OFFSET, end: (number + 1) * DAY + OFFSET }
}

#[test]
fn no_more_than_the_limit_is_taken_over_threads() {
    for (limit, cost) in [(1_000, 1), (9_999, 7), (MAX_COUNT, MAX_COUNT / 50)] {
        let counters = Counters::in_memory(10);
        let barrier = Barrier::new(4);
        let worker = || {
            let counter = counters.counter(QUOTA, "alice").unwrap();
            barrier.wait();
            (0..5_000).filter(|_| counters.take(&counter, cost, limit, day(1)).allowed).count() as u64
        };
        let taken: u64 = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..4).map(|_| scope.spawn(worker)).collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).sum()
        });
        assert_eq!(taken, limit / cost, "{limit} {cost}");
        assert_eq!(counters.usage(QUOTA, "alice").unwrap().used, taken * cost);
    }
}

/// Threads that see the new day at different times count each day's takings once.
#[test]
fn a_day_that_begins_while_others_take_begins_once() {
    for _ in 0..200 {
        let counters = Counters::in_memory(10);
        let barrier = Barrier::new(4);
        let worker = |turn: usize| {
            let counter = counters.counter(QUOTA, "alice").unwrap();
            barrier.wait();
            let takings = (0..100).map(|at| day(if at < 20 * turn { 1 } else { 2 }));
            takings.filter(|day| counters.take(&counter, 1, 150, *day).period == self::day(2)).count()
        };
        let second: usize = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..4).map(|turn| scope.spawn(move || worker(turn))).collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).sum()
        });
        assert!(second >= 280);
        assert_eq!(counters.usage(QUOTA, "alice"), Some(Usage { used: 150, period: day(2) }));
    }
}

#[test]
fn it_says_what_was_used_and_what_is_left() {
    let counters = Counters::in_memory(10);
    let counter = counters.counter(QUOTA, "alice").unwrap();
    let cases = [
        (3, 10, true, 3, 7),
        (7, 10, true, 10, 0),
        (1, 10, false, 10, 0),
        (0, 10, true, 10, 0),
        (0, 9, false, 10, 0),
        (1, 9, false, 10, 0),
        (u64::MAX, u64::MAX, false, 10, MAX_COUNT - 10),
        (5, u64::MAX, true, 15, MAX_COUNT - 15),
        (MAX_COUNT - 15, u64::MAX, true, MAX_COUNT, 0),
        (1, u64::MAX, false, MAX_COUNT, 0),
    ];
    for (cost, limit, allowed, used, left) in cases {
        let taken = counters.take(&counter, cost, limit, day(3));
        assert_eq!(taken, Taken { allowed, used, left, period: day(3) }, "{cost} of {limit}");
    }
}

#[test]
fn a_clock_that_wobbles_around_an_edge_gives_nothing_twice() {
    let counters = Counters::in_memory(10);
    let counter = counters.counter(QUOTA, "alice").unwrap();
    let takes =
        |number: i64| (0..100).filter(|_| counters.take(&counter, 1, 10, day(number)).allowed).count();
    assert_eq!(takes(1), 10);
    assert_eq!(takes(2), 10, "the new day");
    for _ in 0..10 {
        assert_eq!(takes(1), 0, "back in the day before");
        assert_eq!(counters.take(&counter, 1, 10, day(1)).period, day(2), "it says until when");
        assert_eq!(takes(2), 0, "and here again");
    }
    assert_eq!(takes(3), 10);
}

#[test]
fn what_is_given_back_is_given_to_its_own_period() {
    let counters = Counters::in_memory(10);
    let counter = counters.counter(QUOTA, "alice").unwrap();
    let first = counters.take(&counter, 5, 10, day(1));
    counters.give_back(&counter, 2, first.period);
    assert_eq!(counter.usage().used, 3);
    counters.give_back(&counter, 100, first.period);
    assert_eq!(counter.usage().used, 0, "never less than nothing");
    counters.take(&counter, 5, 10, day(2));
    counters.give_back(&counter, 5, first.period);
    assert_eq!(counter.usage().used, 5);
}

#[test]
fn a_reset_forgets_the_count_and_a_period_far_away() {
    let counters = Counters::in_memory(10);
    assert_eq!(counters.reset(QUOTA, "alice"), None);
    let counter = counters.counter(QUOTA, "alice").unwrap();
    counters.take(&counter, 10, 10, day(4_000));
    assert!(!counters.take(&counter, 1, 10, day(1)).allowed);
    assert_eq!(counters.reset(QUOTA, "alice"), Some(Usage { used: 10, period: day(4_000) }));
    let taken = counters.take(&counter, 1, 10, day(1));
    assert_eq!(taken, Taken { allowed: true, used: 1, left: 9, period: day(1) });
}

#[test]
fn quotas_and_keys_have_counts_of_their_own() {
    let counters = Counters::in_memory(10);
    for (cost, (quota, key)) in [(1, "a"), (1, "b"), (2, "a"), (2, "c")].into_iter().enumerate() {
        let counter = counters.counter(QuotaId(quota), key).unwrap();
        counters.take(&counter, cost as u64, 10, day(1));
    }
    let mut found = Vec::new();
    counters.each(|counter| found.push((counter.quota().0, counter.key().to_owned(), counter.usage().used)));
    found.sort();
    assert_eq!(found, [(1, "a".into(), 0), (1, "b".into(), 1), (2, "a".into(), 2), (2, "c".to_owned(), 3)]);
    assert_eq!(counters.usage(QuotaId(3), "a"), None);
}

#[test]
fn there_are_so_many_and_those_that_ended_make_room() {
    let counters = Counters::in_memory(100);
    let take = |key: usize, number| {
        counters.counter(QUOTA, &key.to_string()).map(|counter| counters.take(&counter, 1, 10, day(number)))
    };
    for key in 0..100 {
        take(key, if key < 60 { 1 } else { 2 }).unwrap();
    }
    assert_eq!(counters.counter(QUOTA, "more").err(), Some(Refused::Full));
    for bad in ["", &*"x".repeat(256)] {
        assert_eq!(counters.counter(QUOTA, bad).err(), Some(Refused::BadKey));
    }
    let others = counters.counter_of_others(QUOTA).unwrap();
    assert!(Arc::ptr_eq(&others, &counters.counter_of_others(QUOTA).unwrap()), "they share one");
    counters.take(&others, 1, 10, day(1));
    drop(others);
    assert!(take(5, 1).is_ok(), "one that is known");
    let held = counters.counter(QUOTA, "7").unwrap();

    for (now, left) in [(day(1).end, 101), (day(1).end + LATE_MS - 1, 101), (day(1).end + LATE_MS, 41)] {
        counters.sweep(now);
        assert_eq!(counters.len(), left, "at {now}");
    }
    assert!(Arc::ptr_eq(&held, &counters.find(QUOTA, "7").unwrap()), "two of one key would count double");
    drop(held);
    for key in 1_000..1_059 {
        take(key, 2).unwrap();
    }
    assert_eq!(take(2_000, 2), Err(Refused::Full));
    // It looks again for what was held, but not at once: that takes a moment.
    counters.sweep(day(1).end + LATE_MS + 1);
    assert_eq!(counters.len(), 100);
    counters.sweep(day(1).end + LATE_MS + HELD_MS);
    assert_eq!(counters.len(), 99);
    counters.sweep(day(2).end + LATE_MS);
    assert!(counters.is_empty());
}
