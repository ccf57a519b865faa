//! Sequences, spreads and exclusions of every algorithm.

use super::*;

const ALL: [Algorithm; 3] = [Algorithm::RoundRobin, Algorithm::Random, Algorithm::LeastRequests];

fn counts(balancer: &mut Balancer, picks: usize, eligible: impl Fn(usize) -> bool) -> Vec<usize> {
    let mut rng = fastrand::Rng::with_seed(7);
    let mut counts = vec![0; balancer.len()];
    for _ in 0..picks {
        counts[balancer.pick(&mut rng, |_| 0, &eligible).unwrap()] += 1;
    }
    counts
}

#[test]
fn round_robin_is_smooth_and_exact() {
    let mut balancer = Balancer::new(Algorithm::RoundRobin, &[5, 1, 1]);
    let mut rng = fastrand::Rng::with_seed(1);
    let sequence: Vec<_> = (0..14).map(|_| balancer.pick(&mut rng, |_| 0, |_| true).unwrap()).collect();
    assert_eq!(sequence, [0, 0, 1, 0, 2, 0, 0, 0, 0, 1, 0, 2, 0, 0]);
    let mut balancer = Balancer::new(Algorithm::RoundRobin, &[3, 2, 7, 1]);
    assert_eq!(counts(&mut balancer, 1300, |_| true), [300, 200, 700, 100]);
}

#[test]
fn round_robin_keeps_the_turn_of_a_member_that_sits_out() {
    let mut balancer = Balancer::new(Algorithm::RoundRobin, &[1, 1, 1]);
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
        let mut balancer = Balancer::new(Algorithm::RoundRobin, &[1, 1, 1, 1]);
        balancer.start_anywhere(&mut rng);
        firsts[balancer.pick(&mut rng, |_| 0, |_| true).unwrap()] += 1;
        assert_eq!(counts(&mut balancer, 400, |_| true), [100; 4]);
    }
    assert!(firsts.iter().all(|&n| n > 20), "{firsts:?}");
}

#[test]
fn idle_members_are_picked_by_weight() {
    for algorithm in [Algorithm::Random, Algorithm::LeastRequests] {
        for weights in [&[6, 3, 1][..], &[1, 1, 1], &[6, 3, 1, 6, 3, 1, 6, 3, 1, 6, 3, 1]] {
            let total: u32 = weights.iter().sum();
            let got = counts(&mut Balancer::new(algorithm, weights), 100_000, |_| true);
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
        for algorithm in [Algorithm::Random, Algorithm::LeastRequests] {
            let mut balancer = Balancer::new(algorithm, weights);
            for _ in 0..100 {
                let got = balancer.pick(&mut rng, |at| loads[at], |_| true);
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
    let mut balancer = Balancer::new(Algorithm::LeastRequests, &[1; 4]);
    let mut counts = [0; 4];
    for _ in 0..3000 {
        counts[balancer.pick(&mut rng, |at| [7, 2, 2, 2][at], |_| true).unwrap()] += 1;
    }
    assert_eq!(counts[0], 0);
    assert!(counts[1..].iter().all(|n| (900..1100).contains(n)), "{counts:?}");
}

#[test]
fn load_stays_even_when_requests_last() {
    // Each request lasts 50 picks; of 20 members none may gather far more than its share.
    for algorithm in ALL {
        let mut rng = fastrand::Rng::with_seed(11);
        let mut balancer = Balancer::new(algorithm, &[1; 20]);
        let mut in_flight = [0u32; 20];
        let mut open = std::collections::VecDeque::new();
        let mut most = 0;
        for _ in 0..20_000 {
            let at = balancer.pick(&mut rng, |at| in_flight[at], |_| true).unwrap();
            in_flight[at] += 1;
            open.push_back(at);
            if open.len() > 50 {
                in_flight[open.pop_front().unwrap()] -= 1;
            }
            most = most.max(in_flight.iter().copied().max().unwrap());
        }
        assert!(most <= 6, "{algorithm:?}: {most} of 50 on one of 20");
    }
}

#[test]
fn only_eligible_members_with_a_weight_are_picked() {
    for algorithm in ALL {
        for n in 1..=40 {
            let mut weights = vec![1 + n; n as usize];
            let mut rng = fastrand::Rng::with_seed(u64::from(n));
            for last in 0..n as usize {
                let mut balancer = Balancer::new(algorithm, &weights);
                assert_eq!(balancer.pick(&mut rng, |_| 1, |at| at == last), Some(last), "{algorithm:?} {n}");
                assert_eq!(balancer.pick(&mut rng, |_| 1, |_| false), None, "{algorithm:?} {n}");
            }
            weights[0] = 0;
            let mut balancer = Balancer::new(algorithm, &weights);
            for _ in 0..50 {
                assert_ne!(balancer.pick(&mut rng, |_| 0, |_| true), Some(0), "{algorithm:?} {n}");
            }
        }
    }
}

#[test]
fn nothing_to_pick_from() {
    let mut rng = fastrand::Rng::with_seed(1);
    for algorithm in ALL {
        for weights in [&[][..], &[0], &[0, 0], &[0; 20]] {
            let mut balancer = Balancer::new(algorithm, weights);
            balancer.start_anywhere(&mut rng);
            assert_eq!(balancer.pick(&mut rng, |_| 0, |_| true), None, "{algorithm:?} {weights:?}");
        }
        assert!(Balancer::new(algorithm, &[]).is_empty());
    }
}

#[test]
fn the_largest_weights_do_not_overflow() {
    let mut rng = fastrand::Rng::with_seed(1);
    for algorithm in ALL {
        let mut balancer = Balancer::new(algorithm, &[u32::MAX; 30]);
        for _ in 0..1000 {
            assert!(balancer.pick(&mut rng, |_| u32::MAX, |at| at % 7 != 0).is_some_and(|at| at % 7 != 0));
        }
    }
}
