//! Leases against a model of the store, in virtual time.

use fastrand::Rng;

use super::*;

const PLAN: Plan = Plan { hold_ms: 1000, most: 100 };

fn asked(taken: Taken) -> Option<u32> {
    match taken {
        Taken::Admitted { ask } | Taken::Wait { ask } => ask,
        Taken::Refused { .. } => None,
    }
}

#[test]
fn the_first_request_waits_and_the_others_with_it() {
    let mut lease = Lease::default();
    assert_eq!(lease.take(1, &PLAN, 0), Taken::Wait { ask: Some(1) });
    for _ in 0..9 {
        assert_eq!(lease.take(1, &PLAN, 0), Taken::Wait { ask: None });
    }
    lease.granted(&PLAN, 1, 1);
    assert_eq!(lease.take(1, &PLAN, 1), Taken::Admitted { ask: None });
    // Those that waited are asked for together.
    assert_eq!(lease.take(1, &PLAN, 1), Taken::Wait { ask: Some(10) });
    lease.granted(&PLAN, 2, 1);
    for _ in 0..10 {
        assert!(matches!(lease.take(1, &PLAN, 2), Taken::Admitted { .. }));
    }
}

#[test]
fn a_refusal_is_believed_until_its_end() {
    let mut lease = Lease::default();
    assert_eq!(lease.take(1, &PLAN, 0), Taken::Wait { ask: Some(1) });
    lease.refused(0, Some(500), &PLAN, 10);
    assert_eq!(lease.take(1, &PLAN, 10), Taken::Refused { retry_after_ms: 500 });
    assert_eq!(lease.take(7, &PLAN, 509), Taken::Refused { retry_after_ms: 1 });
    assert_eq!(lease.take(1, &PLAN, 510), Taken::Wait { ask: Some(1) });
    lease.refused(0, Some(10 * LONGEST_REFUSAL), &PLAN, 510);
    assert_eq!(lease.take(1, &PLAN, 510), Taken::Refused { retry_after_ms: LONGEST_REFUSAL });
}

#[test]
fn who_costs_less_than_was_refused_may_ask() {
    let mut lease = Lease::default();
    assert_eq!(lease.take(10, &PLAN, 0), Taken::Wait { ask: Some(10) });
    lease.refused(4, Some(500), &PLAN, 0);
    assert_eq!(lease.take(10, &PLAN, 0), Taken::Refused { retry_after_ms: 500 });
    assert_eq!(lease.take(3, &PLAN, 0), Taken::Wait { ask: Some(3) });
}

#[test]
fn what_is_left_is_asked_for_when_a_slice_is_too_much() {
    let mut lease = Lease { slice: 50, ..Lease::default() };
    assert_eq!(lease.take(1, &PLAN, 0), Taken::Wait { ask: Some(50) });
    lease.refused(7, Some(5000), &PLAN, 0);
    assert_eq!(lease.take(1, &PLAN, 0), Taken::Wait { ask: Some(7) });
    // Little of much, and more comes soon.
    let mut lease = Lease { slice: 50, ..Lease::default() };
    assert_eq!(lease.take(1, &PLAN, 0), Taken::Wait { ask: Some(50) });
    lease.refused(7, Some(30), &PLAN, 0);
    assert_eq!(lease.take(1, &PLAN, 0), Taken::Refused { retry_after_ms: 30 });
    assert_eq!(lease.take(1, &PLAN, 30), Taken::Wait { ask: Some(50) });
}

#[test]
fn a_failure_leaves_it_to_the_next_request() {
    let mut lease = Lease::default();
    assert_eq!(lease.take(1, &PLAN, 0), Taken::Wait { ask: Some(1) });
    lease.failed();
    assert_eq!(lease.take(1, &PLAN, 0), Taken::Wait { ask: Some(1) });
}

#[test]
fn units_are_used_in_time_or_given_back_once() {
    let mut lease = Lease { slice: 50, ..Lease::default() };
    assert_eq!(lease.take(1, &PLAN, 0), Taken::Wait { ask: Some(50) });
    lease.granted(&PLAN, 100, 100);
    assert!(matches!(lease.take(1, &PLAN, 999), Taken::Admitted { .. }));
    assert_eq!(lease.give_back(999), None);
    // Held since it was asked for, not since the answer came.
    assert!(matches!(lease.take(1, &PLAN, 1000), Taken::Wait { .. }));
    assert_eq!((lease.give_back(1000), lease.give_back(1000)), (Some(49), None));
    lease.granted(&PLAN, 1000, 0);
    assert!(!lease.is_idle(1000));
    assert!(lease.give_back(u64::MAX).is_some());
    assert!(lease.is_idle(1000));
}

#[test]
fn small_limits_are_asked_for_each_time() {
    let plan = Plan::new(200, 1000);
    assert_eq!(plan.most, 3);
    let mut lease = Lease::default();
    for now in 0..1000 {
        match lease.take(1, &plan, now) {
            Taken::Admitted { ask } => assert_eq!(ask, None, "at {now}"),
            Taken::Wait { .. } => lease.granted(&plan, now, 0),
            Taken::Refused { .. } => unreachable!(),
        }
    }
}

#[test]
fn it_is_small() {
    assert!(size_of::<Lease>() <= 96, "{}", size_of::<Lease>());
}

/// What is left and when to try again, if it refuses.
type Answer = Result<(), (u64, Option<u64>)>;

/// GCRA as the store does it, in nanoseconds.
struct Bucket {
    interval: u64,
    burst: u64,
    full_at: u64,
    charged: u64,
    asks: u64,
}

impl Bucket {
    fn ask(&mut self, units: u64, now: u64) -> Answer {
        self.asks += 1;
        let most = now + self.burst * self.interval;
        let to = self.full_at.max(now) + units * self.interval;
        if to > most {
            let left = (most - self.full_at.max(now)) / self.interval;
            let retry = (units <= self.burst).then(|| (to - most).div_ceil(1_000_000));
            return Err((left, retry));
        }
        self.full_at = to;
        self.charged += units;
        Ok(())
    }

    fn give_back(&mut self, units: u64) {
        self.full_at = self.full_at.saturating_sub(units * self.interval);
        self.charged -= units;
    }
}

struct Run {
    /// Admitted in each millisecond.
    admitted: Vec<u64>,
    wanted: u64,
    asks: u64,
    charged: u64,
    held_at_the_end: u64,
}

/// Workers that each get `per_ms` requests a millisecond on average while `busy` says so.
fn run(
    seed: u64,
    workers: usize,
    per_ms: f64,
    plan: &Plan,
    rate: u64,
    busy: impl Fn(usize, u64) -> bool,
) -> Run {
    const END: u64 = 20_000;
    const FLIGHT: u64 = 2;
    let mut rng = Rng::with_seed(seed);
    let interval = 1_000_000_000 / rate;
    let mut bucket = Bucket { interval, burst: rate, full_at: 0, charged: 0, asks: 0 };
    let mut leases = vec![Lease::default(); workers];
    let mut flights: Vec<(u64, usize, Answer)> = Vec::new();
    let mut waiting = vec![0u64; workers];
    let mut run = Run { admitted: vec![0; END as usize], wanted: 0, asks: 0, charged: 0, held_at_the_end: 0 };
    for now in 1..END {
        let mut landed = vec![false; workers];
        flights.retain(|(at, worker, answer)| {
            if *at > now {
                return true;
            }
            match answer {
                Ok(()) => leases[*worker].granted(plan, now, FLIGHT),
                Err((left, retry)) => leases[*worker].refused(*left, *retry, plan, now),
            }
            landed[*worker] = true;
            false
        });
        for worker in 0..workers {
            if let Some(units) = leases[worker].give_back(now) {
                bucket.give_back(u64::from(units));
            }
            let mut requests = if landed[worker] { std::mem::take(&mut waiting[worker]) } else { 0 };
            if busy(worker, now) {
                let fresh = per_ms as u64 + u64::from(rng.f64() < per_ms.fract());
                run.wanted += fresh;
                requests += fresh;
            }
            for _ in 0..requests {
                let taken = leases[worker].take(1, plan, now);
                match taken {
                    Taken::Admitted { .. } => run.admitted[now as usize] += 1,
                    Taken::Wait { .. } => waiting[worker] += 1,
                    Taken::Refused { .. } => {}
                }
                if let Some(units) = asked(taken) {
                    flights.push((now + FLIGHT, worker, bucket.ask(u64::from(units), now * 1_000_000)));
                }
            }
        }
    }
    run.held_at_the_end = leases.iter().map(|lease| u64::from(lease.units() + lease.flying)).sum();
    (run.asks, run.charged) = (bucket.asks, bucket.charged);
    run
}

impl Run {
    fn admitted(&self) -> u64 {
        self.admitted.iter().sum()
    }

    /// No second may admit more than the store allows in it and in the time that units may be held before.
    fn check(&self, plan: &Plan, workers: u64, rate: u64) {
        let admitted = self.admitted();
        assert!(admitted <= self.charged && self.charged <= admitted + self.held_at_the_end);
        let worst = self.admitted.windows(1000).map(|second| second.iter().sum::<u64>()).max().unwrap();
        // A whole bucket, and what comes back in a second.
        let limit = 2 * rate;
        assert!(worst <= limit + rate * plan.hold_ms / 1000 + 1, "{worst}");
        assert!(worst <= limit + workers * 2 * u64::from(plan.most), "{worst}");
    }
}

#[test]
fn under_a_flood_nearly_everything_is_given_out_and_little_is_asked() {
    let rate = 10_000;
    let plan = Plan::new(rate, 1000);
    for seed in 0..5 {
        let run = run(seed, 8, 5.0, &plan, rate, |_, _| true);
        run.check(&plan, 8, rate);
        let most = rate * 21;
        assert!(run.admitted() <= most, "{}", run.admitted());
        assert!(run.admitted() * 100 >= most * 97, "{} of {most}", run.admitted());
        assert!(run.asks * 20 <= run.wanted, "{} of {}", run.asks, run.wanted);
    }
}

#[test]
fn below_the_limit_nobody_is_refused() {
    let rate = 10_000;
    let plan = Plan::new(rate, 1000);
    for seed in 0..5 {
        let run = run(seed, 8, 1.1, &plan, rate, |_, _| true);
        run.check(&plan, 8, rate);
        assert!(run.admitted() + 20 >= run.wanted, "{} of {}", run.admitted(), run.wanted);
        assert!(run.asks * 15 <= run.wanted, "{} of {}", run.asks, run.wanted);
    }
}

/// What the busy ones left behind must not be missing for those who come after.
#[test]
fn workers_that_fall_idle_do_not_keep_units() {
    let rate = 2_000;
    let plan = Plan::new(rate, 1000);
    for seed in 0..5 {
        let run = run(seed, 8, 4.0, &plan, rate, |worker, now| (now / 500) as usize % 8 == worker);
        run.check(&plan, 8, rate);
        assert!(run.admitted() * 100 >= rate * 21 * 93, "{} of {}", run.admitted(), rate * 21);
    }
}
