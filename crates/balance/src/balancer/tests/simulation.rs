//! A service in virtual time: members that work on a few requests at once while the others wait, and workers that
//! send them, each with its own balancer and its own knowledge.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::*;
use crate::{PeakEwma, in_flight_as_if_warm, is_passed_over};

/// What is simulated. Times are in milliseconds since the start, where nothing else is said.
pub(super) struct Simulation<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) weights: &'a [u32],
    pub(super) workers: usize,
    pub(super) per_second: f64,
    pub(super) until: u64,
    /// Requests that a member works on at once.
    pub(super) slots: usize,
    /// How long a member works on a request, on average, in microseconds.
    pub(super) work: &'a dyn Fn(usize, u64) -> u32,
    /// Its warmth in permille; 0 if it is not there.
    pub(super) warmth: &'a dyn Fn(usize, u64) -> u32,
}

/// A request that was sent: when, and to which member.
pub(super) type Sent = (u64, usize);

/// What a worker knows of the members.
#[derive(Clone)]
struct Knowledge {
    in_flight: Vec<u32>,
    costs: Vec<PeakEwma>,
}

/// The same at one moment.
struct View<'a> {
    known: &'a Knowledge,
    simulation: &'a Simulation<'a>,
    now: u64,
    /// Settles who is passed over this time.
    dice: u64,
}

impl Members for View<'_> {
    fn in_flight(&self, at: usize) -> u32 {
        in_flight_as_if_warm(self.known.in_flight[at], (self.simulation.warmth)(at, self.now))
    }

    fn cost_micros(&self, at: usize) -> u32 {
        self.known.costs[at].value(self.now)
    }

    fn is_eligible(&self, at: usize) -> bool {
        let warmth = (self.simulation.warmth)(at, self.now);
        warmth > 0 && !is_passed_over(warmth, &mut fastrand::Rng::with_seed(self.dice ^ at as u64))
    }
}

/// A request: when it came, in microseconds, through which worker, to which member.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Request {
    came: u64,
    worker: usize,
    member: usize,
}

impl Simulation<'_> {
    /// Everything that was sent, in order.
    pub(super) fn run(&self, seed: u64) -> Vec<Sent> {
        let mut rng = fastrand::Rng::with_seed(seed);
        let n = self.weights.len();
        let mut balancers = vec![of_weights(self.algorithm, self.weights); self.workers];
        balancers.iter_mut().for_each(|balancer| balancer.start_anywhere(&mut rng));
        let nothing = Knowledge { in_flight: vec![0; n], costs: vec![PeakEwma::default(); n] };
        let mut known = vec![nothing; self.workers];
        let mut busy = vec![0; n];
        let mut waiting = vec![VecDeque::new(); n];
        let mut ends = BinaryHeap::new();
        let mut sent = Vec::new();
        let mut next = 0;
        loop {
            let at_work = |member: usize, now: u64, rng: &mut fastrand::Rng| {
                // Half to one and a half times the average, and now and then five times as long.
                let times = (0.5 + rng.f64()) * if rng.u32(..100) == 0 { 5.0 } else { 1.0 };
                now + (f64::from((self.work)(member, now / 1000)) * times) as u64
            };
            if ends.peek().is_some_and(|Reverse((end, _))| *end <= next) {
                let Some(Reverse((now, request))) = ends.pop() else { break };
                let Request { came, worker, member }: Request = request;
                known[worker].in_flight[member] -= 1;
                known[worker].costs[member].observe((now - came) as u32, now / 1000);
                match waiting[member].pop_front() {
                    Some(other) => ends.push(Reverse((at_work(member, now, &mut rng), other))),
                    None => busy[member] -= 1,
                }
                continue;
            }
            let now = next / 1000;
            if now >= self.until {
                break;
            }
            let worker = rng.usize(..self.workers);
            let (key, dice) = (rng.u64(..), rng.u64(..));
            let view = View { known: &known[worker], simulation: self, now, dice };
            let Some(member) = balancers[worker].pick(&mut rng, &view, Some(key)) else { break };
            known[worker].in_flight[member] += 1;
            let request = Request { came: next, worker, member };
            if busy[member] < self.slots {
                busy[member] += 1;
                ends.push(Reverse((at_work(member, next, &mut rng), request)));
            } else {
                waiting[member].push_back(request);
            }
            sent.push((now, member));
            next += (-(1.0 - rng.f64()).ln() * 1e6 / self.per_second) as u64 + 1;
        }
        sent
    }
}

/// The shares of the members in what was sent from one time to another.
pub(super) fn shares(sent: &[Sent], n: usize, from: u64, to: u64) -> Vec<f64> {
    let mut counts = vec![0.0; n];
    for (_, member) in sent.iter().filter(|(at, _)| (from..to).contains(at)) {
        counts[*member] += 1.0;
    }
    let all: f64 = counts.iter().sum();
    counts.iter().map(|count| count / all).collect()
}
