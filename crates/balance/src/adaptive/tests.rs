//! What moves the limit and what does not, and whole services in virtual time.
//!
//! `cargo test -p balance adaptive -- --nocapture` prints the figures.

use super::simulation::*;
use super::*;

/// Tells a limit of a hundred answers per second for so long, all after the same time and with as many in flight as
/// `in_flight` says.
fn feed(
    limit: &mut AdaptiveLimit,
    millis: std::ops::Range<u64>,
    latency_ms: u32,
    in_flight: impl Fn(u32) -> u32,
) {
    for now in millis.step_by(10) {
        limit.observe(latency_ms * 1_000, in_flight(limit.limit()), Outcome::Answered, now);
    }
}

#[test]
fn little_traffic_says_nothing() {
    let mut limit = AdaptiveLimit::new(20, 1, 100);
    for (second, latency_ms) in [20, 20, 500, 1, 9_000, 20].into_iter().enumerate() {
        let start = second as u64 * 20_000;
        feed(&mut limit, start..start + 20_000, latency_ms, |_| 5);
        assert_eq!(limit.limit(), 20, "after {latency_ms} ms");
    }
}

#[test]
fn it_grows_as_long_as_latency_does_not_and_no_further_than_allowed() {
    let mut limit = AdaptiveLimit::new(5, 1, 400);
    feed(&mut limit, 0..1_000, 20, |limit| limit);
    assert!((6..40).contains(&limit.limit()), "{}", limit.limit());
    feed(&mut limit, 1_000..60_000, 20, |limit| limit);
    assert_eq!(limit.limit(), 400);
}

#[test]
fn latency_that_grows_makes_it_fall_but_not_below_half_before_a_dip() {
    let mut limit = AdaptiveLimit::new(40, 1, 40);
    feed(&mut limit, 0..8_500, 20, |limit| limit);
    assert_eq!(limit.limit(), 40, "and no dip as long as nothing speaks for a queue");
    feed(&mut limit, 8_500..16_000, 200, |limit| limit);
    assert_eq!(limit.limit(), 20);
    // The dip finds that this is what the service takes now.
    feed(&mut limit, 16_000..30_000, 200, |limit| limit);
    assert_eq!(limit.limit(), 40);
}

/// A service without chance: with up to 40 in flight 20 ms each, with more in proportion. Answers at the rate of that.
fn answer(limit: &mut AdaptiveLimit, now: u64) {
    let in_flight = limit.limit();
    let micros = 20_000 * in_flight.max(40) / 40;
    for _ in 0..in_flight.min(40) / 20 {
        limit.observe(micros, in_flight, Outcome::Answered, now);
    }
}

#[test]
fn it_settles_a_little_above_what_the_service_bears() {
    for start in [20, 30, 60, 120, 320] {
        let mut limit = AdaptiveLimit::new(start, 1, 1_000);
        (0..20_000).for_each(|now| answer(&mut limit, now));
        for now in 20_000..24_000 {
            answer(&mut limit, now);
            assert!((45..70).contains(&limit.limit()), "from {start}: {} at {now}", limit.limit());
        }
        let mean_ms = limit.mean_micros() / 1_000;
        assert!((20..40).contains(&mean_ms), "{mean_ms} ms");
    }
}

#[test]
fn one_slow_request_hardly_moves_it() {
    let mut calm = AdaptiveLimit::new(20, 1, 1_000);
    (0..20_000).for_each(|now| answer(&mut calm, now));
    let mut moved = calm.clone();
    moved.observe(30_000_000, moved.limit(), Outcome::Answered, 20_000);
    for now in 20_000..24_000 {
        answer(&mut calm, now);
        answer(&mut moved, now);
        assert!(moved.limit().abs_diff(calm.limit()) <= 2, "{} and {}", moved.limit(), calm.limit());
    }
}

#[test]
fn all_dip_at_the_same_time() {
    let mut dips = vec![Vec::new(); 3];
    for (begin, dips) in [20_000, 20_777, 23_500].into_iter().zip(&mut dips) {
        let mut limit = AdaptiveLimit::new(30, 1, 1_000);
        let mut before = limit.limit();
        for now in begin..60_000 {
            answer(&mut limit, now);
            if now >= 30_000 && limit.limit() <= before / 2 + 1 {
                dips.push(now);
            }
            before = limit.limit();
        }
    }
    assert_eq!(dips[0], [32_768, 40_960, 49_152, 57_344]);
    assert!(dips.iter().all(|other| *other == dips[0]), "{dips:?}");
}

#[test]
fn a_dip_does_not_measure_what_was_sent_before() {
    let mut limit = AdaptiveLimit::new(40, 1, 40);
    feed(&mut limit, 0..9_000, 20, |limit| limit);
    let start = (9_000..30_000).step_by(10).find(|&now| {
        feed(&mut limit, now..now + 10, 100, |limit| limit);
        limit.dip.is_some()
    });
    let start = start.unwrap();
    assert!(start < 20_000 && limit.limit() == 10, "{start}");
    // For a third of the dip, what was sent before comes back.
    feed(&mut limit, start + 10..start + 170, 900, |limit| limit);
    feed(&mut limit, start + 170..start + 520, 60, |limit| limit);
    assert!(limit.dip.is_none());
    let base_micros = limit.base.unwrap().exp2();
    assert!((59_000.0..61_000.0).contains(&base_micros), "{base_micros}");
}

#[test]
fn what_a_dip_says() {
    let load = |latency, in_flight, rate| Load { latency, noise: 0.0, in_flight, rate };
    // (stage, how much latency, requests in flight and rate have fallen by; whether it goes deeper, whether it confirms)
    for (stage, latency, in_flight, rate, deeper, confirms) in [
        (1, 0.0, 1.0, 1.0, false, true),
        (1, 0.5, 1.0, 0.5, false, true),
        // They queued, and still do.
        (1, 1.0, 1.0, 0.0, true, false),
        (1, 0.85, 1.0, 0.2, true, false),
        (2, 1.0, 1.0, 0.0, false, false),
        // Latency may fall by more than what was queueing, but then the rate falls too.
        (1, 1.0, 1.0, 0.4, false, true),
        // The limit cannot become lower.
        (1, 0.0, 0.0, 0.0, false, true),
        (1, 0.2, 0.2, 0.0, false, true),
        // Others have ended their dip.
        (2, -1.0, 1.0, 1.5, false, true),
    ] {
        let mut limit = AdaptiveLimit::new(64, 1, 64);
        let dip = Dip::new(stage, 1_000, 512, load(15.0, 6.0, 2.0));
        limit.end_stage(dip, load(15.0 - latency, 6.0 - in_flight, 2.0 - rate));
        let case = format!("{stage} {latency} {in_flight} {rate}");
        assert_eq!(limit.dip.map(|dip| (dip.stage, dip.start_ms)), deeper.then_some((2, 1_512)), "{case}");
        assert_eq!(limit.confirmed, confirms.then_some(64.0), "{case}");
        let base = if stage == 1 { 15.0 - latency } else { 15.0_f32.min(15.0 - latency) };
        assert_eq!(limit.base, (!deeper).then_some(base), "{case}");
    }
}

#[test]
fn dips_are_as_long_as_requests_need() {
    let mut limit = AdaptiveLimit::new(40, 1, 40);
    for (second, latency_ms, stage_ms) in [(0, 20, 512), (20, 500, 2_048), (40, 600, 2_048), (60, 20, 512)] {
        feed(&mut limit, second * 1_000..(second + 20) * 1_000, latency_ms, |limit| limit);
        assert_eq!(limit.stage_ms, stage_ms, "with {latency_ms} ms");
    }
}

#[test]
fn less_than_a_millisecond_more_is_nothing() {
    let mut limit = AdaptiveLimit::new(20, 1, 1_000);
    // A quick service, and a worker that takes longer to notice the more it has to do.
    (0..5_000).for_each(|now| limit.observe(200, limit.limit(), Outcome::Answered, now));
    let before = limit.limit();
    (5_000..8_000).for_each(|now| limit.observe(1_100, limit.limit(), Outcome::Answered, now));
    assert!(limit.limit() >= before, "{before}, then {}", limit.limit());
}

#[test]
fn dropped_requests_lower_it_if_they_were_many_in_flight() {
    // (in flight of a limit of 40, dropped of each ten, whether it falls)
    for (in_flight, dropped, falls) in [(40, 5, true), (22, 5, true), (15, 10, false), (40, 0, false)] {
        let mut limit = AdaptiveLimit::new(40, 2, 40);
        for now in 0..3_000 {
            let outcome = if now % 10 < dropped { Outcome::Dropped } else { Outcome::Answered };
            let in_flight = if falls { limit.limit().min(in_flight) } else { in_flight };
            limit.observe(20_000, in_flight, outcome, now);
        }
        assert_eq!(limit.limit() < 20, falls, "{in_flight} with {dropped}: {}", limit.limit());
        assert!(limit.limit() >= 2);
    }
    // What a dip has confirmed before does not bring it back.
    let mut limit = AdaptiveLimit::new(40, 2, 40);
    limit.confirmed = Some(40.0);
    (0..2_000).for_each(|now| limit.observe(20_000, limit.limit(), Outcome::Dropped, now));
    assert_eq!(limit.limit(), 2);
    feed(&mut limit, 2_000..2_600, 20, |limit| limit);
    assert!(limit.limit() < 6, "{}", limit.limit());
}

#[test]
fn it_keeps_its_bounds_whatever_it_is_told() {
    let mut rng = fastrand::Rng::with_seed(5);
    for (start, min, max) in
        [(0, 0, 0), (5, 3, 9), (100, 3, 9), (1, 1, u32::MAX), (7, 20, 10), (0, u32::MAX - 1, u32::MAX)]
    {
        let mut limit = AdaptiveLimit::new(start, min, max);
        let mut now = 0;
        for _ in 0..50_000 {
            let latency = rng.u32(..) >> rng.u32(..32);
            let in_flight = if rng.bool() { limit.limit() } else { rng.u32(..) >> rng.u32(..32) };
            let outcome = if rng.u8(..) < 20 { Outcome::Dropped } else { Outcome::Answered };
            limit.observe(latency, in_flight, outcome, now);
            now = match rng.u32(..10_000) {
                0 => rng.u64(..),
                1 => u64::MAX,
                2 => now / 2,
                _ => now.saturating_add(rng.u64(..20)),
            };
            let bounds = min.max(1)..=max.max(min).max(1);
            assert!(bounds.contains(&limit.limit()), "{} of {bounds:?}", limit.limit());
        }
    }
}

#[test]
fn logarithms_are_good_enough() {
    let mut rng = fastrand::Rng::with_seed(6);
    let some = (0..100_000).map(|_| (rng.u32(..) >> rng.u32(..32)).max(1)).chain([1, 2, u32::MAX]);
    for number in some {
        let wanted = f64::from(number).log2();
        let got = f64::from(logarithm(number));
        assert!((got - wanted).abs() < 0.01, "{got} for {wanted}");
    }
}

/// Of a service that bears 2000 requests per second: what it is without overload, just full, and at three times as
/// much, from the fifth second on.
fn bears_overload(workers: usize, seed: u64, work: fn(&mut fastrand::Rng) -> f64) {
    let [normal, full, over] = [0.5, 1.0, 3.0].map(|load| {
        let mut world = World::new(seed, workers, load);
        world.work = Box::new(move |rng, _| work(rng));
        let summary = summary(&world.run()[5..]);
        println!("{workers} workers, seed {seed}, load {load}: {summary:?}");
        summary
    });
    assert!(normal.refused == 0.0, "{normal:?}");
    for summary in [full, over] {
        assert!(summary.answered >= 0.9 * 2_000.0, "{summary:?}");
        assert!(summary.p99 <= 3.0 * normal.p99, "{summary:?} and {normal:?}");
    }
}

#[test]
fn overload_by_one_worker() {
    for seed in 1..=2 {
        bears_overload(1, seed, |rng| exponential(rng, 20.0));
    }
    bears_overload(1, 3, |rng| lognormal(rng, 20.0, 0.5));
}

#[test]
fn overload_by_two_workers() {
    for seed in 4..=5 {
        bears_overload(2, seed, |rng| exponential(rng, 20.0));
    }
    bears_overload(2, 6, |rng| lognormal(rng, 20.0, 1.0));
}

/// Each has five of the forty slots.
#[test]
fn overload_by_eight_workers() {
    let [normal, over] = [0.5, 3.0].map(|load| {
        let mut world = World::new(11, 8, load);
        world.work = Box::new(|rng, _| lognormal(rng, 20.0, 0.5));
        world.seconds = 40;
        summary(&world.run()[5..])
    });
    println!("8 workers: {normal:?} and {over:?}");
    assert!(over.answered >= 0.9 * 2_000.0 && over.p99 <= 3.0 * normal.p99, "{over:?} and {normal:?}");
}

#[test]
fn a_large_service_is_found_in_seconds() {
    // The more workers, the fewer requests each of them learns from.
    for (workers, seconds, share) in [(1, 2..3, 0.97), (2, 2..4, 0.97), (8, 4..6, 0.9)] {
        let mut world = World::new(12, workers, 0.0);
        world.seconds = seconds.end;
        world.slots = Box::new(|_| 400);
        world.arrivals = Box::new(|_| 19_000.0);
        let late = summary(&world.run()[seconds]);
        println!("{workers} workers, 400 slots: {late:?}");
        assert!(late.answered >= share * 19_000.0, "{late:?}");
    }
}

#[test]
fn a_start_that_is_far_too_high_is_mended() {
    let mut world = World::new(13, 1, 1.5);
    world.start = 1_000;
    world.seconds = 30;
    let seconds = world.run();
    let late = summary(&seconds[10..]);
    println!("from 1000: {:?} then {late:?}", summary(&seconds[..10]));
    assert!(late.limit < 70 && late.answered >= 1_800.0 && late.p99 < 200.0, "{late:?}");
}

/// A service that is several times slower from the 20th to the 52nd second.
#[test]
fn a_service_that_becomes_slower_and_faster_is_followed() {
    for (workers, times) in [(1, 4.0), (2, 4.0), (1, 10.0)] {
        let mut world = World::new(14, workers, 1.5);
        world.seconds = 84;
        world.work = Box::new(move |rng, time| {
            let factor = if (20.0..52.0).contains(&time) { times } else { 1.0 };
            lognormal(rng, 20.0 * factor, 0.5)
        });
        let seconds = world.run();
        let ranges = [5..20, 20..37, 37..52, 54..69, 69..84];
        let [before, slower, slow, faster, after] = ranges.map(|range| summary(&seconds[range]));
        println!("{workers} workers, {times}: {before:?}, {slower:?}, {slow:?}, {faster:?}, {after:?}");
        let bears = 2_000.0 / times;
        assert!(slower.answered >= 0.7 * bears, "{slower:?}");
        assert!(slow.answered >= 0.9 * bears && slow.p99 <= 3.0 * times * 57.0, "{slow:?}");
        for fast in [before, faster, after] {
            assert!(fast.answered >= 0.9 * 2_000.0 && fast.p99 <= 3.0 * 57.0, "{fast:?}");
        }
    }
}

/// A service that has 10 slots in place of 40 from the 20th to the 52nd second.
#[test]
fn a_service_that_becomes_smaller_and_larger_is_followed() {
    for workers in [1, 2] {
        let mut world = World::new(15, workers, 1.5);
        world.seconds = 72;
        world.slots = Box::new(|time| if (20.0..52.0).contains(&time) { 10 } else { 40 });
        let seconds = world.run();
        let [large, small, again] = [5..20, 36..52, 58..72].map(|range| summary(&seconds[range]));
        println!("{workers} workers: {large:?}, {small:?}, {again:?}");
        assert!(small.answered >= 0.9 * 500.0 && small.limit < 25, "{small:?}");
        for summary in [large, again] {
            assert!(summary.answered >= 0.9 * 2_000.0 && summary.p99 <= 276.0, "{summary:?}");
        }
    }
}

#[test]
fn quick_and_slow_requests_at_low_load_do_not_wait() {
    for (seed, workers, load) in [(16, 1, 0.05), (17, 1, 0.05), (18, 2, 0.05), (19, 2, 0.04)] {
        let mut world = World::new(seed, workers, load);
        world.work = Box::new(|rng, _| if rng.bool() { 1.0 } else { 200.0 });
        let all = summary(&world.run());
        println!("{workers} workers, load {load}: {all:?}");
        assert!(all.refused == 0.0 && all.p99 < 210.0, "{all:?}");
    }
}

/// The many that are quick must not lead to verdicts before the few that are slow have ended.
#[test]
fn a_large_service_with_quick_and_slow_requests_is_kept_busy() {
    let mut world = World::new(22, 1, 0.0);
    world.seconds = 12;
    world.slots = Box::new(|_| 400);
    world.arrivals = Box::new(|_| 26_000.0);
    world.work = Box::new(|rng, _| if rng.u8(..10) == 0 { 182.0 } else { 2.0 });
    let late = summary(&world.run()[2..]);
    println!("400 slots, quick and slow: {late:?}");
    assert!(late.answered >= 0.93 * 20_000.0, "{late:?}");
}

#[test]
fn a_service_that_refuses_is_sent_less() {
    // With a backlog of 10 it refuses what is above 50, before its latency says much.
    let mut world = World::new(20, 1, 3.0);
    world.backlog = 10;
    world.seconds = 30;
    let seconds = world.run();
    let dropped: u32 = seconds[5..].iter().map(|second| second.dropped).sum();
    let late = summary(&seconds[5..]);
    println!("refuses above 50: {late:?}, {dropped} dropped");
    assert!(late.answered >= 0.9 * 2_000.0 && dropped < 25 * 100, "{late:?}, {dropped} dropped");
}

#[test]
fn a_pause_is_over_when_it_is_over() {
    let mut world = World::new(21, 1, 0.8);
    world.slots = Box::new(|time| if time % 5.0 < 0.3 { 0 } else { 40 });
    world.seconds = 30;
    let seconds = world.run();
    // Neither the second with the pause nor the one after, in which the queue is worked off.
    for (at, second) in seconds.iter().enumerate().filter(|(at, _)| at % 5 > 1) {
        let summary = summary(std::slice::from_ref(second));
        assert!(summary.answered >= 1_450.0 && summary.p99 < 200.0, "{summary:?} at {at}");
    }
}
