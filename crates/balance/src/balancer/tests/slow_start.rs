//! A member that gets warm gets a part of its share, by every algorithm.

use super::simulation::{Simulation, shares};
use super::*;

/// How much the first of `n` members of this warmth gets, as a part of what each of the others gets.
fn part(algorithm: Algorithm, n: usize, warmth: u32, per_second: f64, work: u32) -> f64 {
    let until = (3_000.0 * n as f64 / per_second * 1000.0) as u64;
    let simulation = Simulation {
        algorithm,
        weights: &vec![1; n],
        workers: 2,
        per_second,
        until,
        slots: usize::MAX,
        work: &|_, _| work,
        warmth: &|at, _| if at == 0 { warmth } else { 1000 },
    };
    let share = shares(&simulation.run(u64::from(warmth)), n, until / 10, until)[0];
    share * (n - 1) as f64 / (1.0 - share)
}

#[test]
fn a_member_that_gets_warm_gets_a_part_of_its_share() {
    for (n, busy) in [(3, 100.0), (8, 100.0), (12, 50.0)] {
        for algorithm in ALL {
            for warmth in [100, 300, 600] {
                // Seldom more than one request is in flight; a few on each member; and very many.
                for (each, most) in [(0.02, 1.7), (3.0, 3.5), (busy, 1.7)] {
                    let per_second = each * n as f64 * 100.0;
                    let got = part(algorithm, n, warmth, per_second, 10_000) / (f64::from(warmth) / 1000.0);
                    assert!(
                        (0.5..most).contains(&got),
                        "{algorithm:?}, {each} on each of {n}, warmth {warmth}: {got:.2} times"
                    );
                }
            }
        }
    }
}
