//! Response times steer requests: away from who is slow, and back.

use super::simulation::{Simulation, shares};
use super::*;

/// Members of which load and response time are known, all eligible.
struct Timed<'a> {
    in_flight: &'a [u32],
    costs: &'a [u32],
}

impl Members for Timed<'_> {
    fn in_flight(&self, at: usize) -> u32 {
        self.in_flight[at]
    }

    fn cost_micros(&self, at: usize) -> u32 {
        self.costs[at]
    }

    fn is_eligible(&self, _: usize) -> bool {
        true
    }
}

fn timed(weights: &[u32], in_flight: &[u32], costs: &[u32], picks: usize) -> Vec<usize> {
    let mut balancer = of_weights(Algorithm::Ewma, weights);
    let mut rng = fastrand::Rng::with_seed(2);
    let mut counts = vec![0; weights.len()];
    for _ in 0..picks {
        counts[balancer.pick(&mut rng, &Timed { in_flight, costs }, None).unwrap()] += 1;
    }
    counts
}

#[test]
fn who_would_answer_first_wins() {
    for (weights, in_flight, costs, want) in [
        (&[1, 1], &[0, 0], &[10_000, 30_000], 0),
        (&[1, 1], &[3, 1], &[10_000, 10_000], 1),
        (&[1, 1], &[4, 0], &[10_000, 30_000], 1),
        (&[1, 1], &[1, 0], &[10_000, 30_000], 0),
        (&[10, 1], &[9, 1], &[10_000, 10_000], 0),
        (&[10, 1], &[30, 1], &[10_000, 10_000], 1),
        // Two that are fast are as good as one another; what they have to do counts.
        (&[1, 1], &[2, 1], &[100, 300], 1),
        // What is not known is taken for what is.
        (&[1, 1], &[1, 2], &[0, 5_000], 0),
        (&[1, 1], &[2, 1], &[0, 5_000], 1),
        (&[1, 1], &[2, 1], &[0, 0], 1),
        (&[1, 1], &[u32::MAX, 7], &[u32::MAX, u32::MAX], 1),
        (&[1, u32::MAX], &[5, u32::MAX], &[u32::MAX, u32::MAX], 1),
    ] {
        let got = timed(weights, in_flight, costs, 50);
        assert_eq!(got[want], 50, "{weights:?} {in_flight:?} {costs:?}");
    }
}

#[test]
fn idle_members_that_differ_little_are_left_to_the_draw() {
    for costs in [[10_000, 14_000, 12_000], [400, 100, 600], [0, 0, 9_000]] {
        let got = timed(&[6, 3, 1], &[0; 3], &costs, 100_000);
        for (n, want) in got.iter().zip([60_000, 30_000, 10_000]) {
            assert!(n.abs_diff(want) < 800, "{costs:?} {got:?}");
        }
    }
}

#[test]
fn the_fastest_of_idle_members_does_not_get_everything() {
    let costs = [1_000, 90_000, 80_000, 90_000, 80_000, 90_000, 80_000, 90_000];
    let got = timed(&[1; 8], &[0; 8], &costs, 80_000);
    assert!(got[0].abs_diff(20_000) < 600, "one of the two in a quarter of all draws: {got:?}");
    assert!(got[1..].iter().all(|n| n.abs_diff(60_000 / 7) < 600), "{got:?}");
}

/// One of three is ten times slower for a minute.
#[test]
fn a_slow_member_is_spared_and_comes_back() {
    for (workers, per_second) in [(1, 10.0), (1, 200.0), (4, 400.0)] {
        let mut total = [0.0; 3];
        for seed in 0..5 {
            let simulation = Simulation {
                algorithm: Algorithm::Ewma,
                weights: &[1; 3],
                workers,
                per_second,
                until: 100_000,
                slots: 4,
                work: &|at, now| if at == 0 && now < 50_000 { 100_000 } else { 10_000 },
                warmth: &|_, _| 1000,
            };
            let sent = simulation.run(seed);
            for (total, (from, to)) in
                total.iter_mut().zip([(10_000, 50_000), (50_000, 80_000), (80_000, 100_000)])
            {
                *total += shares(&sent, 3, from, to)[0] / 5.0;
            }
        }
        let [slow, soon, later] = total;
        let got = format!("{workers} workers, {per_second}: {slow:.3} {soon:.3} {later:.3}");
        assert!(slow < 0.08, "a quarter of its share at the most: {got}");
        assert!(soon > 0.15, "within half a minute it is tried again: {got}");
        assert!((0.25..0.42).contains(&later), "{got}");
    }
}

#[test]
fn a_new_member_takes_neither_everything_nor_nothing() {
    for (n, workers, per_second) in [(3, 1, 60.0), (4, 4, 600.0), (11, 2, 1500.0)] {
        let mut total = [0.0; 2];
        for seed in 0..20 {
            let simulation = Simulation {
                algorithm: Algorithm::Ewma,
                weights: &vec![1; n],
                workers,
                per_second,
                until: 9_000,
                slots: 4,
                work: &|_, _| 10_000,
                warmth: &|at, now| if at == 0 && now < 5_000 { 0 } else { 1000 },
            };
            let sent = simulation.run(seed);
            for (total, (from, to)) in total.iter_mut().zip([(5_000, 5_300), (5_300, 9_000)]) {
                *total += shares(&sent, n, from, to)[0] * n as f64 / 20.0;
            }
        }
        // It has not shown its peaks yet, so it seems a little faster than the others for a while.
        let got = format!("{n} members: {total:.2?} times its share");
        assert!((0.7..2.0).contains(&total[0]) && (0.7..1.7).contains(&total[1]), "{got}");
    }
}
