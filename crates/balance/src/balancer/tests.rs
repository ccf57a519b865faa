//! Sequences, spreads and exclusions of every algorithm.

use super::*;

mod ewma;
mod hash;
mod simulation;
mod slow_start;
mod spread;

const ALL: [Algorithm; 5] =
    [Algorithm::RoundRobin, Algorithm::Random, Algorithm::LeastRequests, Algorithm::Ewma, Algorithm::Hash];

/// Members with this load, that are eligible or not, and of whose response times nothing is known.
struct Known<L, E>(L, E);

impl<L: Fn(usize) -> u32, E: Fn(usize) -> bool> Members for Known<L, E> {
    fn in_flight(&self, at: usize) -> u32 {
        self.0(at)
    }

    fn cost_micros(&self, _: usize) -> u32 {
        0
    }

    fn is_eligible(&self, at: usize) -> bool {
        self.1(at)
    }
}

/// A balancer over members with these weights, whose ids are their positions.
fn of_weights(algorithm: Algorithm, weights: &[u32]) -> Balancer {
    let seats: Vec<Seat> = weights.iter().zip(0..).map(|(&weight, id)| Seat { weight, id }).collect();
    Balancer::new(algorithm, &seats)
}

fn counts(balancer: &mut Balancer, picks: usize, eligible: impl Fn(usize) -> bool) -> Vec<usize> {
    let mut rng = fastrand::Rng::with_seed(7);
    let mut counts = vec![0; balancer.len()];
    for _ in 0..picks {
        counts[balancer.pick(&mut rng, &Known(|_| 0, &eligible), None).unwrap()] += 1;
    }
    counts
}

#[test]
fn round_robin_is_smooth_and_exact() {
    let mut balancer = of_weights(Algorithm::RoundRobin, &[5, 1, 1]);
    let mut rng = fastrand::Rng::with_seed(1);
    let sequence: Vec<_> =
        (0..14).map(|_| balancer.pick(&mut rng, &Known(|_| 0, |_| true), None).unwrap()).collect();
    assert_eq!(sequence, [0, 0, 1, 0, 2, 0, 0, 0, 0, 1, 0, 2, 0, 0]);
    let mut balancer = of_weights(Algorithm::RoundRobin, &[3, 2, 7, 1]);
    assert_eq!(counts(&mut balancer, 1300, |_| true), [300, 200, 700, 100]);
}

#[test]
fn round_robin_keeps_the_turn_of_a_member_that_sits_out() {
    let mut balancer = of_weights(Algorithm::RoundRobin, &[1, 1, 1]);
    assert_eq!(counts(&mut balancer, 100, |at| at != 1), [50, 0, 50]);
    // Back again it gets its share and no burst.
    let back = counts(&mut balancer, 30, |_| true);
    assert!(back.iter().all(|n| (9..=11).contains(n)), "{back:?}");
}

#[test]
fn start_anywhere_changes_the_first_pick_and_not_the_spread() {
    let mut firsts = [0; 4];
    for seed in 0..200 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut balancer = of_weights(Algorithm::RoundRobin, &[1, 1, 1, 1]);
        balancer.start_anywhere(&mut rng);
        firsts[balancer.pick(&mut rng, &Known(|_| 0, |_| true), None).unwrap()] += 1;
        assert_eq!(counts(&mut balancer, 400, |_| true), [100; 4]);
    }
    assert!(firsts.iter().all(|&n| n > 20), "{firsts:?}");
}

#[test]
fn idle_members_are_picked_by_weight() {
    for algorithm in [Algorithm::Random, Algorithm::LeastRequests, Algorithm::Ewma, Algorithm::Hash] {
        for weights in [&[6, 3, 1][..], &[1, 1, 1], &[6, 3, 1, 6, 3, 1, 6, 3, 1, 6, 3, 1]] {
            let total: u32 = weights.iter().sum();
            let got = counts(&mut of_weights(algorithm, weights), 100_000, |_| true);
            for (&weight, &n) in weights.iter().zip(&got) {
                let want = 100_000.0 * f64::from(weight) / f64::from(total);
                assert!((n as f64 - want).abs() < 6.0 * want.sqrt(), "{algorithm:?} {weights:?} {got:?}");
            }
        }
    }
}

#[test]
fn the_less_loaded_member_wins() {
    let mut rng = fastrand::Rng::with_seed(3);
    for (weights, loads, want) in [
        (&[1, 1][..], &[5, 4][..], 1),
        (&[10, 1], &[9, 1], 0),
        (&[10, 1], &[30, 1], 1),
        (&[1, u32::MAX], &[0, u32::MAX - 2], 1),
    ] {
        for algorithm in [Algorithm::Random, Algorithm::LeastRequests, Algorithm::Ewma, Algorithm::Hash] {
            let mut balancer = of_weights(algorithm, weights);
            for _ in 0..100 {
                let got = balancer.pick(&mut rng, &Known(|at: usize| loads[at], |_| true), None);
                // Random counts no request ahead: the idle member of the last line is less loaded.
                let want = if algorithm == Algorithm::Random && loads[0] == 0 { 0 } else { want };
                assert_eq!(got, Some(want), "{algorithm:?} {weights:?} {loads:?}");
            }
        }
    }
}

#[test]
fn least_requests_breaks_ties_at_random() {
    let mut rng = fastrand::Rng::with_seed(5);
    let mut balancer = of_weights(Algorithm::LeastRequests, &[1; 4]);
    let mut counts = [0; 4];
    for _ in 0..3000 {
        counts[balancer.pick(&mut rng, &Known(|at: usize| [7, 2, 2, 2][at], |_| true), None).unwrap()] += 1;
    }
    assert_eq!(counts[0], 0);
    assert!(counts[1..].iter().all(|n| (900..1100).contains(n)), "{counts:?}");
}

#[test]
fn load_stays_even_when_requests_last() {
    // Each request lasts 50 picks; of 20 members none may gather far more than its share.
    for algorithm in ALL {
        let mut rng = fastrand::Rng::with_seed(11);
        let mut balancer = of_weights(algorithm, &[1; 20]);
        let mut in_flight = [0u32; 20];
        let mut open = std::collections::VecDeque::new();
        let mut most = 0;
        for _ in 0..20_000 {
            let key = rng.u64(..);
            let at = balancer.pick(&mut rng, &Known(|at: usize| in_flight[at], |_| true), Some(key)).unwrap();
            in_flight[at] += 1;
            open.push_back(at);
            if open.len() > 50 {
                in_flight[open.pop_front().unwrap()] -= 1;
            }
            most = most.max(in_flight.iter().copied().max().unwrap());
        }
        // Keys go where they belong until there are 8.
        let limit = if algorithm == Algorithm::Hash { 8 } else { 6 };
        assert!(most <= limit, "{algorithm:?}: {most} of 50 on one of 20");
    }
}

#[test]
fn only_eligible_members_with_a_weight_are_picked() {
    for (algorithm, key) in ALL.into_iter().flat_map(|algorithm| [(algorithm, None), (algorithm, Some(9))]) {
        for n in [1, 2, 3, 7, 8, 9, 40] {
            let mut weights = vec![1 + n; n as usize];
            let mut rng = fastrand::Rng::with_seed(u64::from(n));
            let mut made = of_weights(algorithm, &weights);
            for last in 0..n as usize {
                let got = made.pick(&mut rng, &Known(|_| 1, |at| at == last), key);
                assert_eq!(got, Some(last), "{algorithm:?} {n}");
                let got = made.pick(&mut rng, &Known(|_| 1, |_| false), key);
                assert_eq!(got, None, "{algorithm:?} {n}");
            }
            weights[0] = 0;
            let mut made = of_weights(algorithm, &weights);
            for key in 0..50 {
                let got = made.pick(&mut rng, &Known(|_| 0, |_| true), Some(key));
                assert_ne!(got, Some(0), "{algorithm:?} {n}");
            }
        }
    }
}

#[test]
fn nothing_to_pick_from() {
    let mut rng = fastrand::Rng::with_seed(1);
    for algorithm in ALL {
        for weights in [&[][..], &[0], &[0, 0], &[0; 20]] {
            let mut made = of_weights(algorithm, weights);
            made.start_anywhere(&mut rng);
            for key in [None, Some(1)] {
                let got = made.pick(&mut rng, &Known(|_| 0, |_| true), key);
                assert_eq!(got, None, "{algorithm:?} {weights:?}");
            }
        }
        assert!(of_weights(algorithm, &[]).is_empty());
    }
}

#[test]
fn the_largest_weights_do_not_overflow() {
    let mut rng = fastrand::Rng::with_seed(1);
    for algorithm in ALL {
        let mut balancer = of_weights(algorithm, &[u32::MAX; 30]);
        for key in 0..1000 {
            let members = Known(|_| u32::MAX, |at| at % 7 != 0);
            let got = balancer.pick(&mut rng, &members, Some(key));
            assert!(got.is_some_and(|at| at % 7 != 0), "{algorithm:?} {got:?}");
        }
    }
}
