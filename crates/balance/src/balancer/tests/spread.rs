//! How evenly requests are spread, when there are few of them and when there are many, by one worker and by several
//! that know nothing of each other.

use super::simulation::{Simulation, shares};
use super::*;

/// The shares of three members, over some runs.
fn runs(algorithm: Algorithm, weights: &[u32], workers: usize, per_second: f64, until: u64) -> Vec<Vec<f64>> {
    let simulation = Simulation {
        algorithm,
        weights,
        workers,
        per_second,
        until,
        slots: 4,
        work: &|_, _| 10_000,
        warmth: &|_, _| 1000,
    };
    (0..20).map(|seed| shares(&simulation.run(seed), weights.len(), 0, until)).collect()
}

/// How much more than its share the busiest member gets, averaged over the runs.
fn excess(runs: &[Vec<f64>]) -> f64 {
    let busiest = runs.iter().map(|shares| shares.iter().copied().fold(0.0, f64::max) * shares.len() as f64);
    busiest.sum::<f64>() / runs.len() as f64 - 1.0
}

#[test]
fn members_of_equal_weight_get_equal_shares() {
    // Of 30 requests that are thrown at random, the busiest of three gets 24 % more than its share.
    for (algorithm, of_few, of_many) in [
        (Algorithm::RoundRobin, 0.15, 0.005),
        (Algorithm::Random, 0.35, 0.03),
        (Algorithm::LeastRequests, 0.35, 0.03),
        (Algorithm::Ewma, 0.4, 0.15),
        (Algorithm::Hash, 0.35, 0.05),
    ] {
        for workers in [1, 2, 8] {
            for (per_second, until, limit) in [(10.0, 3_000, of_few), (600.0, 5_000, of_many)] {
                let got = excess(&runs(algorithm, &[1; 3], workers, per_second, until));
                assert!(got < limit, "{algorithm:?} {workers} {per_second}: {got:.3} more");
            }
        }
    }
}

#[test]
fn heavier_members_get_more() {
    // Two that are different are drawn, so the heaviest gets a little less than its weight says, unless load decides.
    for (algorithm, heavy, light) in [
        (Algorithm::RoundRobin, 0.59..0.61, 0.09..0.11),
        (Algorithm::Random, 0.48..0.62, 0.09..0.16),
        (Algorithm::LeastRequests, 0.55..0.62, 0.02..0.11),
        (Algorithm::Ewma, 0.46..0.62, 0.08..0.18),
        (Algorithm::Hash, 0.55..0.62, 0.09..0.12),
    ] {
        for workers in [1, 2, 8] {
            for (per_second, until) in [(10.0, 50_000), (600.0, 2_000)] {
                let runs = runs(algorithm, &[6, 3, 1], workers, per_second, until);
                let mean = |at: usize| runs.iter().map(|shares| shares[at]).sum::<f64>() / runs.len() as f64;
                let got = format!("{algorithm:?} {workers} {per_second}: {:.3} {:.3}", mean(0), mean(2));
                assert!(heavy.contains(&mean(0)) && light.contains(&mean(2)), "{got}");
            }
        }
    }
}

#[test]
fn few_requests_of_many_workers_reach_the_lightest_member() {
    let mut to_light = 0;
    for seed in 0..1000 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut worker = of_weights(Algorithm::RoundRobin, &[60, 30, 10]);
        worker.start_anywhere(&mut rng);
        let picks = (0..3).map(|_| worker.pick(&mut rng, &Known(|_| 0, |_| true), None));
        to_light += picks.filter(|&at| at == Some(2)).count();
    }
    assert!((250..350).contains(&to_light), "{to_light} of 3000");
}
