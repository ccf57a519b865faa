//! Leases against a model of the store, in virtual time.

use fastrand::Rng;

use super::*;

const PLAN: Plan = Plan { hold_ms: 1000, most: 100 };

#[test]
fn who_finds_nothing_asks_and_the_next_one_asks_for_more() {
    let mut lease = Lease::default();
    assert_eq!(lease.take(1, &PLAN, 0), Taken::Wait { ask: Some(1) });
    for _ in 0..9 {
        assert_eq!(lease.take(1, &PLAN, 0), Taken::Wait { ask: None });
    }
    // It was for the request that has asked, and nothing else.
    lease.granted(&PLAN, 1, 1);
    assert_eq!(lease.units(), 0);
    // The next one asks for as many as have had to ask by themselves.
    assert_eq!(lease.take(1, &PLAN, 1), Taken::Wait { ask: Some(10) });
    lease.granted(&PLAN, 2, 1);
    for _ in 0..9 {
        assert!(matches!(lease.take(1, &PLAN, 2), Taken::Admitted { .. }));
    }
    assert!(matches!(lease.take(1, &PLAN, 2), Taken::Wait { .. }));
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
    assert_eq!((lease.give_back(1000), lease.give_back(1000)), (Some(48), None));
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
fn what_is_not_used_is_there_again_once() {
    let mut lease = Lease { slice: 50, ..Lease::default() };
    assert_eq!(lease.take(1, &PLAN, 0), Taken::Wait { ask: Some(50) });
    lease.granted(&PLAN, 0, 0);
    assert_eq!(lease.units(), 49);
    assert!(matches!(lease.take(9, &PLAN, 1), Taken::Admitted { .. }));
    lease.undo(9, 2);
    assert_eq!((lease.units(), lease.give_back(2)), (49, None));
    // Its slice is over, or used up: it goes back to the store.
    assert!(matches!(lease.take(9, &PLAN, 3), Taken::Admitted { .. }));
    lease.undo(9, 1000);
    assert_eq!(lease.give_back(1000), Some(49));
    assert_eq!((lease.spend(5, 1000), lease.units()), (0, 0));
}

#[test]
fn a_slice_that_does_not_fit_lets_its_request_pass() {
    let mut lease = Lease { slice: 50, ..Lease::default() };
    assert_eq!(lease.take(2, &PLAN, 0), Taken::Wait { ask: Some(50) });
    lease.partly(20, &PLAN, 1);
    assert_eq!(lease.units(), 0);
    // What is left is worth a question.
    assert_eq!(lease.take(2, &PLAN, 1), Taken::Wait { ask: Some(20) });
    lease.partly(0, &PLAN, 2);
    assert!(matches!(lease.take(2, &PLAN, 2), Taken::Refused { .. }));
}

#[test]
fn it_is_small() {
    assert!(size_of::<Lease>() <= 72, "{}", size_of::<Lease>());
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

/// What is under way to the store: when it is answered, for which gateway, for whom, and the answer.
enum Reply {
    Slice(Answer),
    /// Of a request: whether what it costs was charged, and the rest too.
    Request(Answer, Answer),
    /// Of a request that asks for itself alone, because more is under way already.
    Alone(Answer),
}

/// Gateways that each get `per_ms` requests a millisecond on average while `busy` says so.
fn run(
    seed: u64,
    gateways: usize,
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
    let mut leases = vec![Lease::default(); gateways];
    let mut flights: Vec<(u64, usize, Reply)> = Vec::new();
    let mut run = Run { admitted: vec![0; END as usize], wanted: 0, asks: 0, charged: 0, held_at_the_end: 0 };
    for now in 1..END {
        flights.retain(|(at, gateway, reply)| {
            if *at > now {
                return true;
            }
            let lease = &mut leases[*gateway];
            let passes = match reply {
                Reply::Slice(Ok(())) | Reply::Request(_, Ok(())) => {
                    lease.granted(plan, now, FLIGHT);
                    matches!(reply, Reply::Request(..))
                }
                Reply::Request(Ok(()), Err((left, _))) => {
                    lease.partly(*left, plan, now);
                    true
                }
                Reply::Slice(Err((left, retry))) | Reply::Request(Err((left, retry)), _) => {
                    lease.refused(*left, *retry, plan, now);
                    false
                }
                Reply::Alone(answer) => answer.is_ok(),
            };
            run.admitted[now as usize] += u64::from(passes);
            false
        });
        for (gateway, lease) in leases.iter_mut().enumerate() {
            if let Some(units) = lease.give_back(now) {
                bucket.give_back(u64::from(units));
            }
            if !busy(gateway, now) {
                continue;
            }
            let requests = per_ms as u64 + u64::from(rng.f64() < per_ms.fract());
            run.wanted += requests;
            for _ in 0..requests {
                let taken = lease.take(1, plan, now);
                let mut ask = |units: u32| bucket.ask(u64::from(units), now * 1_000_000);
                let reply = match taken {
                    Taken::Admitted { ask: None } | Taken::Refused { .. } => None,
                    Taken::Admitted { ask: Some(units) } => Some(Reply::Slice(ask(units))),
                    Taken::Wait { ask: None } => Some(Reply::Alone(ask(1))),
                    // One call: the cost alone only if the slice does not fit.
                    Taken::Wait { ask: Some(units) } => match ask(units) {
                        Ok(()) => Some(Reply::Request(Ok(()), Ok(()))),
                        Err(why) => {
                            bucket.asks -= 1;
                            let own = if units > 1 { bucket.ask(1, now * 1_000_000) } else { Err(why) };
                            let left = own.map_or(why, |()| (why.0.saturating_sub(1), None));
                            Some(Reply::Request(own, Err(left)))
                        }
                    },
                };
                run.admitted[now as usize] += u64::from(matches!(taken, Taken::Admitted { .. }));
                flights.extend(reply.map(|reply| (now + FLIGHT, gateway, reply)));
            }
        }
    }
    run.held_at_the_end = leases.iter().map(|lease| u64::from(lease.units() + lease.flying)).sum();
    run.held_at_the_end += flights.len() as u64;
    (run.asks, run.charged) = (bucket.asks, bucket.charged);
    run
}

impl Run {
    fn admitted(&self) -> u64 {
        self.admitted.iter().sum()
    }

    /// No second may admit more than the store allows in it and in the time that units may be held before.
    fn check(&self, plan: &Plan, gateways: u64, rate: u64) {
        let admitted = self.admitted();
        assert!(admitted <= self.charged && self.charged <= admitted + self.held_at_the_end);
        let worst = self.admitted.windows(1000).map(|second| second.iter().sum::<u64>()).max().unwrap();
        // A whole bucket, and what comes back in a second.
        let limit = 2 * rate;
        assert!(worst <= limit + rate * plan.hold_ms / 1000 + 1, "{worst}");
        assert!(worst <= limit + gateways * 2 * u64::from(plan.most), "{worst}");
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
fn gateways_that_fall_idle_do_not_keep_units() {
    let rate = 2_000;
    let plan = Plan::new(rate, 1000);
    for seed in 0..5 {
        let run = run(seed, 8, 4.0, &plan, rate, |gateway, now| (now / 500) as usize % 8 == gateway);
        run.check(&plan, 8, rate);
        assert!(run.admitted() * 100 >= rate * 21 * 93, "{} of {}", run.admitted(), rate * 21);
    }
}
