//! Ejection in virtual time: addresses that are looked at every 100 ms.

use super::*;

const EJECTION: Ejection = Ejection {
    in_a_row: 5,
    window_ms: 10_000,
    failure_percent: 20,
    slower_than_others: 10,
    min_requests: 20,
    for_ms: 30_000,
    max_percent: 50,
};

/// Addresses that are looked at every 100 ms of virtual time.
struct World {
    outliers: Outliers,
    tallies: Vec<(SocketAddr, Tally)>,
    now: u64,
    ejection: Ejection,
}

fn address(number: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1 + number as u8], 80))
}

impl World {
    fn new(addresses: usize) -> World {
        let tallies = (0..addresses).map(|number| (address(number), Tally::default())).collect();
        World { outliers: Outliers::default(), tallies, now: 1_000, ejection: EJECTION }
    }

    /// So many requests to one address: good ones, and failures.
    fn serve(&mut self, number: usize, good: u64, failed: u64, micros: u32) {
        let tally = &mut self.tallies[number].1;
        tally.begun += good + failed;
        tally.ended += good + failed;
        tally.heard += good + failed;
        tally.good += good;
        tally.failed += failed;
        tally.latency[latency_bucket(micros)] += good + failed;
    }

    fn hang(&mut self, number: usize, requests: u64) {
        self.tallies[number].1.begun += requests;
    }

    fn look(&mut self) -> Vec<Change> {
        self.now += 100;
        self.outliers.observe(&self.tallies, |_| false, &self.ejection, self.now)
    }

    /// Everything that happens within so many looks, before each of which `act` acts, with when.
    fn run(&mut self, looks: u32, mut act: impl FnMut(&mut World)) -> Vec<(u64, Change)> {
        let mut all = Vec::new();
        for _ in 0..looks {
            act(self);
            let now = self.now + 100;
            all.extend(self.look().into_iter().map(|change| (now, change)));
        }
        all
    }

    fn is_out(&self, number: usize) -> bool {
        self.outliers.out().any(|(out, _)| out == address(number))
    }
}

#[test]
fn buckets_hold_what_they_say() {
    assert_eq!((latency_bucket(0), latency_bucket(u32::MAX)), (0, LATENCY_BUCKETS - 1));
    for micros in [1, 63, 64, 95, 96, 100, 999, 1_000, 12_345, 1_000_000, 60_000_000] {
        let bucket = latency_bucket(micros);
        assert!(u64::from(micros) < upper_bound(bucket), "{micros}");
        assert!(bucket == 0 || upper_bound(bucket - 1) <= u64::from(micros), "{micros}");
    }
}

#[test]
fn failures_in_a_row_eject() {
    let mut world = World::new(3);
    let changes = world.run(20, |world| {
        world.serve(0, 10, 0, 1000);
        world.serve(1, 10, 0, 1000);
        world.serve(2, 0, 1, 1000);
    });
    // The first look only learns what there is.
    assert_eq!(changes, [(1_600, Change::Ejected(address(2), Cause::InARow(5), 30_000))]);
}

#[test]
fn a_good_answer_between_them_ends_the_row() {
    let mut world = World::new(3);
    let mut turn = 0;
    let changes = world.run(100, |world| {
        turn += 1;
        world.serve(0, 100, 0, 1000);
        // One of five, and too few requests in all for a share.
        if turn % 10 == 0 {
            world.serve(1, u64::from(turn % 50 == 0), u64::from(turn % 50 != 0), 1000);
        }
    });
    assert_eq!(changes, []);
}

#[test]
fn a_share_of_failures_ejects_within_a_second() {
    let mut world = World::new(3);
    world.run(50, |world| (0..3).for_each(|number| world.serve(number, 66, 0, 1000)));
    let began = world.now;
    let changes = world.run(20, |world| {
        world.serve(0, 66, 0, 1000);
        world.serve(1, 33, 33, 1000);
        world.serve(2, 66, 0, 1000);
    });
    let [(at, Change::Ejected(who, Cause::FailureRate(..), _))] = changes[..] else { panic!("{changes:?}") };
    assert_eq!(who, address(1));
    assert!(at - began <= 1_000, "{} ms", at - began);
}

#[test]
fn what_all_have_in_common_ejects_nobody() {
    for failing in [10, 40, 66] {
        let mut world = World::new(4);
        let changes = world.run(300, |world| {
            (0..4).for_each(|number| world.serve(number, 66 - failing, failing, 1000));
        });
        assert_eq!(changes, [], "{failing} of 66 fail everywhere");
    }
}

#[test]
fn at_most_half_are_out() {
    for (all, most) in [(1, 0), (2, 1), (3, 1), (4, 2), (5, 2), (10, 5)] {
        let mut world = World::new(all);
        world.ejection.failure_percent = 0;
        world.run(100, |world| {
            world.serve(0, 1000, 0, 1000);
            (1..all).for_each(|number| world.serve(number, 0, 3, 1000));
        });
        assert_eq!(world.outliers.out().count(), most, "of {all}");
    }
    // Those that probes have taken out count too.
    let mut world = World::new(4);
    for _ in 0..100 {
        world.serve(0, 100, 0, 1000);
        world.serve(1, 0, 10, 1000);
        world.now += 100;
        let down = |one| one == address(2) || one == address(3);
        world.outliers.observe(&world.tallies, down, &EJECTION, world.now);
    }
    assert_eq!(world.outliers.out().count(), 0);
}

#[test]
fn each_ejection_lasts_longer_and_is_forgotten_in_time() {
    let mut world = World::new(3);
    let busy = |world: &mut World| {
        world.serve(0, 10, 0, 1000);
        world.serve(1, 10, 0, 1000);
        if !world.is_out(2) {
            world.serve(2, 0, 10, 1000);
        }
    };
    let changes = world.run(20_000, busy);
    let lasted: Vec<u64> = changes
        .iter()
        .filter_map(|(_, change)| match change {
            Change::Ejected(_, _, for_ms) => Some(for_ms / 1000),
            Change::Returned(_) | Change::Gone(_) => None,
        })
        .collect();
    assert_eq!(lasted[..6], [30, 60, 120, 240, 300, 300]);
    let well = |world: &mut World| (0..3).for_each(|number| world.serve(number, 10, 0, 1000));
    world.run(7_000, well);
    assert!(!world.is_out(2) && world.outliers.ejections(address(2)) == 0);
    let changes = world.run(20, busy);
    assert!(matches!(changes[..], [(_, Change::Ejected(_, _, 30_000))]), "{changes:?}");
}

#[test]
fn what_is_much_slower_than_the_others_is_ejected() {
    for (micros, is_ejected) in [(20_000, false), (150_000, false), (400_000, true)] {
        let mut world = World::new(3);
        world.run(100, |world| {
            world.serve(0, 10, 0, 20_000);
            world.serve(1, 10, 0, 20_000);
            world.serve(2, 3, 0, micros);
        });
        assert_eq!(world.is_out(2), is_ejected, "{micros} µs");
    }
    // Below the floor it does not matter by which factor.
    let mut world = World::new(2);
    world.run(100, |world| {
        world.serve(0, 10, 0, 500);
        world.serve(1, 10, 0, 60_000);
    });
    assert!(!world.is_out(1));
}

#[test]
fn what_hangs_is_ejected_after_a_second() {
    let mut world = World::new(3);
    world.run(50, |world| (0..3).for_each(|number| world.serve(number, 66, 0, 5_000)));
    let began = world.now;
    let changes = world.run(30, |world| {
        world.serve(0, 66, 0, 5_000);
        world.serve(1, 66, 0, 5_000);
        world.hang(2, 66);
    });
    let [(at, Change::Ejected(who, Cause::Stalled(..), _))] = changes[..] else { panic!("{changes:?}") };
    assert_eq!(who, address(2));
    assert!((1_000..=1_200).contains(&(at - began)), "{} ms", at - began);
}

#[test]
fn slow_requests_are_not_taken_for_a_hang() {
    // One long request on a quiet address: five times as much patience.
    let mut world = World::new(2);
    world.run(50, |world| (0..2).for_each(|number| world.serve(number, 3, 0, 5_000)));
    world.hang(1, 1);
    assert_eq!(world.run(49, |world| world.serve(0, 5, 0, 5_000)), []);
    assert_eq!(world.run(5, |world| world.serve(0, 5, 0, 5_000)).len(), 1);
    // Answers have been slow before: ten times the slowest.
    let mut world = World::new(2);
    world.run(50, |world| (0..2).for_each(|number| world.serve(number, 3, 0, 2_000_000)));
    world.hang(1, 50);
    assert_eq!(world.run(150, |world| world.serve(0, 5, 0, 2_000_000)), []);
    // Nobody else answers either, or nothing is known of it yet.
    let mut world = World::new(2);
    world.run(50, |world| (0..2).for_each(|number| world.serve(number, 3, 0, 5_000)));
    (0..2).for_each(|number| world.hang(number, 50));
    assert_eq!(world.run(100, |_| {}), []);
    let mut world = World::new(2);
    world.run(50, |world| world.serve(0, 3, 0, 5_000));
    world.hang(1, 50);
    assert_eq!(world.run(100, |world| world.serve(0, 5, 0, 5_000)), []);
}

#[test]
fn addresses_come_and_go_and_counts_begin_anew() {
    let mut world = World::new(3);
    world.run(30, |world| {
        world.serve(0, 10, 0, 1000);
        world.serve(1, 10, 0, 1000);
        world.serve(2, 0, 10, 1000);
    });
    assert!(world.is_out(2));
    let gone = world.tallies.pop().unwrap();
    // Whoever was told that it is out has to hear of it: it may come back.
    assert_eq!(world.look(), [Change::Gone(address(2))]);
    assert!(!world.is_out(2));
    // Back with counts that have begun at zero, or that went on while nobody looked: neither speaks against it.
    world.tallies.push(gone);
    assert_eq!(world.run(10, |world| world.serve(2, 1, 0, 1000)), []);
    world.tallies[2].1 = Tally::default();
    assert_eq!(world.run(10, |world| world.serve(2, 1, 0, 1000)), []);
}

#[test]
fn a_thousand_addresses_are_judged_in_no_time() {
    // Looked at ten times per second: what grows with their square would keep the thread busy.
    let mut outliers = Outliers::default();
    let address = |number: u32| SocketAddr::from((std::net::Ipv4Addr::from(0x0a00_0000 + number), 80));
    let mut tallies: Vec<_> = (0..1000).map(|number| (address(number), Tally::default())).collect();
    let began = std::time::Instant::now();
    for look in 1..=20 {
        for (_, tally) in &mut tallies {
            (tally.begun, tally.ended) = (tally.begun + 10, tally.ended + 10);
            (tally.heard, tally.good) = (tally.heard + 10, tally.good + 10);
            tally.latency[latency_bucket(1_000)] += 10;
        }
        assert_eq!(outliers.observe(&tallies, |_| false, &EJECTION, 1_000 + look * 100), []);
    }
    assert!(began.elapsed().as_millis() < 2_000, "{:?} for 20 looks", began.elapsed());
}
