//! Whole rollouts in virtual time, with seeded traffic: how fast bad canaries are caught, and how rarely good ones are.

use super::tests::{plan, sample};
use super::*;

/// How a version behaves.
#[derive(Clone, Copy)]
struct Version {
    /// The share of requests that fails.
    fails: f64,
    /// The median latency, in milliseconds; 0 where latencies do not matter, which is quicker to simulate.
    median: f64,
}

const fn failing(fails: f64) -> Version {
    Version { fails, median: 0.0 }
}

const fn taking(median: f64) -> Version {
    Version { fails: 0.0, median }
}

/// Requests that are split between two versions, and a rollout that is driven once per second.
struct World {
    rng: fastrand::Rng,
    rollout: Rollout,
    per_second: u64,
    stable: Counts,
    canary: Counts,
    /// Seconds.
    now: u64,
    /// When what has happened.
    events: Vec<(u64, Event)>,
}

impl World {
    /// Without latencies.
    fn new(seed: u64, plan: Plan, per_second: u64) -> World {
        World::counting(seed, plan, per_second, &[])
    }

    fn with_latencies(seed: u64, plan: Plan, per_second: u64) -> World {
        World::counting(seed, plan, per_second, &BOUNDS)
    }

    fn counting(seed: u64, plan: Plan, per_second: u64, bounds: &'static [u32]) -> World {
        let mut world = World {
            rng: fastrand::Rng::with_seed(seed),
            rollout: Rollout::new(plan, bounds),
            per_second,
            stable: Counts::none(bounds.len() + 1),
            canary: Counts::none(bounds.len() + 1),
            now: 0,
            events: Vec::new(),
        };
        world.look();
        world
    }

    fn look(&mut self) {
        let event = self.rollout.observe(&sample(&self.stable), &sample(&self.canary), self.now * 1000);
        self.events.extend(event.map(|event| (self.now, event)));
    }

    /// A second of traffic, and a look.
    fn second(&mut self, stable: Version, canary: Version) {
        let of_canary = hits(&mut self.rng, self.per_second, self.rollout.share().fraction());
        let of_stable = self.per_second - of_canary;
        for (counts, requests, version) in
            [(&mut self.stable, of_stable, stable), (&mut self.canary, of_canary, canary)]
        {
            counts.requests += requests;
            counts.failed += hits(&mut self.rng, requests, version.fails);
            if version.median > 0.0 {
                for _ in 0..requests {
                    counts.latency[bucket(latency(&mut self.rng, version.median))] += 1;
                }
            }
        }
        self.now += 1;
        self.look();
    }

    /// Traffic until the rollout is over, or for so many seconds. Returns when it was rolled back.
    fn run(&mut self, seconds: u64, stable: Version, canary: Version) -> Option<u64> {
        let end = self.now + seconds;
        while self.now < end && matches!(self.rollout.state(), State::Stepping(_)) {
            self.second(stable, canary);
        }
        self.rolled_back()
    }

    fn rolled_back(&self) -> Option<u64> {
        let mut events = self.events.iter();
        events.find_map(|(at, event)| matches!(event, Event::RolledBack { .. }).then_some(*at))
    }

    fn promoted(&self) -> Option<u64> {
        self.events.iter().find_map(|(at, event)| (*event == Event::Promoted).then_some(*at))
    }
}

/// How many of so many coins show heads: it jumps from one to the next, because most are rare.
fn hits(rng: &mut fastrand::Rng, coins: u64, chance: f64) -> u64 {
    if chance > 0.5 {
        return coins - hits(rng, coins, 1.0 - chance);
    }
    let (mut hits, mut at) = (0, 0.0);
    if chance == 0.0 {
        return hits;
    }
    loop {
        at += ((1.0 - rng.f64()).ln() / (1.0 - chance).ln()).floor() + 1.0;
        if at > coins as f64 {
            return hits;
        }
        hits += 1;
    }
}

/// Log-normal, as latencies roughly are: of 100 the slowest takes 3.2 times the median.
fn latency(rng: &mut fastrand::Rng, median: f64) -> u64 {
    let normal = (-2.0 * (1.0 - rng.f64()).ln()).sqrt() * (std::f64::consts::TAU * rng.f64()).cos();
    (median * 1000.0 * (0.5 * normal).exp()) as u64
}

/// The plan of the documentation, of which the whole takes 20 minutes.
const STEPS: [u16; 4] = [100, 500, 2500, 10_000];
const WHOLE: u64 = 1_200;

fn usual(abort_if: &[&str]) -> Plan {
    plan(&STEPS, 300_000, abort_if)
}

/// The quarter, median, nine tenths and most of what was measured.
fn spread(mut seconds: Vec<u64>) -> [u64; 4] {
    seconds.sort_unstable();
    let last = seconds.len() - 1;
    [last / 4, last / 2, last * 9 / 10, last].map(|at| seconds[at])
}

#[test]
fn a_good_canary_goes_through_all_steps_on_schedule() {
    let (mut delayed, mut longest) = (0, 0);
    for seed in 0..50 {
        let mut world = World::new(seed, usual(&["error_rate > 2%", "error_rate > 1.5x"]), 100);
        assert_eq!(world.run(WHOLE * 2, failing(0.001), failing(0.001)), None, "seed {seed}");
        let promoted = world.promoted().unwrap();
        delayed += u32::from(promoted > WHOLE);
        longest = longest.max(promoted - WHOLE);
        let steps = world.events.iter().filter(|(_, event)| matches!(event, Event::Stepped { .. }));
        let shares: Vec<String> = steps
            .filter_map(|(_, event)| match event {
                Event::Stepped { share, .. } => Some(share.to_string()),
                _ => None,
            })
            .collect();
        assert_eq!(shares, ["5%", "25%", "100%"]);
    }
    println!("equal canary: {delayed} of 50 later than planned, by at most {longest} s");
    assert!(delayed <= 5 && longest <= 300, "{delayed} of 50 were late, by at most {longest} s");
}

#[test]
fn too_many_errors_are_found_within_seconds() {
    for (fails, share, limit) in [
        (0.05, 2_500, 90),
        (0.05, 500, 450),
        (0.1, 2_500, 40),
        (0.5, 2_500, 5),
        (1.0, 2_500, 2),
        (1.0, 100, 20),
    ] {
        let mut found = Vec::new();
        for seed in 0..20 {
            let plan = plan(&[share, 10_000], 3_600_000, &["error_rate > 2%"]);
            let mut world = World::new(seed, plan, 100);
            let after = world.run(3_600, failing(0.001), failing(fails));
            found.push(after.unwrap_or_else(|| panic!("seed {seed}: {fails} was not found")));
        }
        let spread = spread(found);
        println!(
            "errors {fails} at {share}/10000 of 100/s: found after {spread:?} s (quarter, median, 90 %, most)"
        );
        assert!(spread[3] <= limit, "{fails} at {share}: {spread:?}");
    }
}

#[test]
fn a_canary_that_keeps_the_limit_is_never_rolled_back() {
    let mut late = 0;
    for seed in 0..200 {
        let mut world = World::new(seed, usual(&["error_rate > 2%"]), 100);
        assert_eq!(world.run(WHOLE * 2, failing(0.001), failing(0.01)), None, "seed {seed}");
        late += u32::from(world.promoted().unwrap() > WHOLE);
    }
    println!("errors 0.01 against 2 %: {late} of 200 later than planned");
    assert!(late <= 10, "{late} of 200 waited in doubt");
}

/// Exactly at the limit, for an hour: the worst that a canary can do without doing wrong.
#[test]
fn even_at_the_limit_false_alarms_are_rare() {
    let mut alarms = 0;
    for seed in 0..20 {
        let plan = plan(&[2_500, 10_000], 3_600_000, &["error_rate > 2%", "error_rate > 1x"]);
        let mut world = World::new(seed, plan, 100);
        alarms += u32::from(world.run(3_600, failing(0.02), failing(0.02)).is_some());
    }
    println!("exactly at the limit for an hour: {alarms} alarms of 20");
    assert_eq!(alarms, 0);
}

#[test]
fn trouble_of_both_versions_is_blamed_by_absolute_limits_only() {
    for seed in 0..20 {
        for (limit, expected) in [("error_rate > 1.5x", false), ("error_rate > 2%", true)] {
            let mut world = World::new(seed, plan(&[500, 10_000], 3_600_000, &[limit]), 100);
            world.run(300, failing(0.001), failing(0.001));
            assert_eq!(world.run(60, failing(0.6), failing(0.6)).is_some(), expected, "{limit}");
            world.run(300, failing(0.001), failing(0.001));
            assert_eq!(world.rolled_back().is_some(), expected, "{limit}, seed {seed}");
        }
    }
}

#[test]
fn more_errors_than_the_stable_version_are_found() {
    let mut found = Vec::new();
    for seed in 0..20 {
        let mut world = World::new(seed, plan(&[2_500, 10_000], 3_600_000, &["error_rate > 1.5x"]), 100);
        found.push(world.run(3_600, failing(0.01), failing(0.04)).unwrap());
    }
    let spread = spread(found);
    println!("errors 0.04 where the stable version has 0.01, > 1.5x: found after {spread:?} s");
    assert!(spread[3] <= 180, "{spread:?}");
}

#[test]
fn a_canary_that_turns_bad_late_is_found_too() {
    let mut found = Vec::new();
    for seed in 0..20 {
        let mut world = World::new(seed, plan(&[2_500, 10_000], 36_000_000, &["error_rate > 2%"]), 100);
        assert_eq!(world.run(3_000, failing(0.001), failing(0.001)), None);
        found.push(world.run(3_000, failing(0.001), failing(0.1)).unwrap() - 3_000);
    }
    let spread = spread(found);
    println!("errors 0.1 after 50 good minutes: found after {spread:?} s");
    assert!(spread[3] <= 60, "{spread:?}");
}

#[test]
fn a_slow_canary_is_rolled_back_and_an_equal_one_is_not() {
    for (limit, slow, stable, most) in [
        ("p99 > 1.5x", 200.0, 100.0, 400),
        ("p99 > 1.5x", 3.0, 1.0, 60),
        ("p95 > 1.5x", 200.0, 100.0, 100),
        ("p50 > 1.5x", 200.0, 100.0, 40),
        ("p50 > 150ms", 200.0, 100.0, 30),
        // 320 ms is the 99th percentile of the stable version.
        ("p99 > 400ms", 200.0, 100.0, 60),
    ] {
        let mut found = Vec::new();
        for seed in 0..20 {
            let slowly = plan(&[2_500, 10_000], 3_600_000, &[limit]);
            let mut world = World::with_latencies(seed, slowly.clone(), 100);
            found.push(world.run(3_600, taking(stable), taking(slow)).expect("it is found"));
            if seed < 3 {
                let mut world = World::with_latencies(seed, slowly, 100);
                assert_eq!(world.run(900, taking(stable), taking(stable)), None, "{limit} seed {seed}");
            }
        }
        let spread = spread(found);
        println!("{limit}, {slow} ms where the stable version takes {stable} ms: found after {spread:?} s");
        assert!(spread[3] <= most, "{limit}: {spread:?}");
    }
}

#[test]
fn equal_latencies_pass_the_whole_rollout() {
    let mut late = 0;
    for seed in 0..12 {
        let mut world =
            World::with_latencies(seed, usual(&["error_rate > 2%", "p99 > 1.5x", "p50 > 1.2x"]), 50);
        assert_eq!(world.run(WHOLE * 2, taking(40.0), taking(40.0)), None, "seed {seed}");
        late += u32::from(world.promoted().unwrap() > WHOLE);
    }
    println!("equal latencies: {late} of 12 later than planned");
    assert!(late <= 1, "{late} of 12");
}

#[test]
fn slowness_under_full_load_is_measured_against_the_step_before() {
    let mut found = Vec::new();
    for seed in 0..20 {
        let mut world = World::with_latencies(seed, plan(&[5_000, 10_000], 60_000, &["p99 > 1.5x"]), 100);
        world.run(60, taking(50.0), taking(50.0));
        assert_eq!(world.rollout.share(), Share::ALL);
        found.push(world.run(60, taking(50.0), taking(150.0)).expect("it is found") - 60);
    }
    let spread = spread(found);
    println!("three times as slow at 100 %: found after {spread:?} s");
    assert!(spread[3] <= 20, "{spread:?}");
}
