//! A service and the workers that send to it, in virtual time: what the tests of the limit run against.
//!
//! The service has slots, and a queue of its own, first in first out, that no worker sees. Requests arrive whether or
//! not earlier ones were answered. Each worker has a limit and a queue of its own. Entry point: [`World::run`].

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::*;
use crate::queue::{FairQueue, Importance, expected_wait_ms};

/// Something that changes with time in seconds.
type Over<T> = Box<dyn Fn(f64) -> T>;
/// How long the service works on a request that it begins with at this time in seconds, in milliseconds.
type Work = Box<dyn Fn(&mut fastrand::Rng, f64) -> f64>;

/// What is simulated.
pub(super) struct World {
    pub(super) seed: u64,
    pub(super) seconds: usize,
    pub(super) workers: usize,
    /// The limit that each worker begins with.
    pub(super) start: u32,
    /// Requests that may wait in the gateway, over all workers.
    pub(super) queue: u32,
    /// Requests per second.
    pub(super) arrivals: Over<f64>,
    /// Requests that the service works on at once.
    pub(super) slots: Over<usize>,
    /// Requests that wait in the service before it refuses more.
    pub(super) backlog: usize,
    pub(super) work: Work,
}

/// What happened in one second.
#[derive(Clone, Debug, Default)]
pub(super) struct Second {
    /// Answered requests: from their arrival to the answer, in microseconds.
    pub(super) latencies: Vec<u32>,
    /// Refused by the gateway, or too late.
    pub(super) refused: u32,
    /// Refused by the service.
    pub(super) dropped: u32,
    /// The sum of the limits at the end.
    pub(super) limit: u32,
}

/// Times are in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Request {
    worker: usize,
    arrived: u64,
    sent: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrival,
    Answered(Request),
    Dropped(Request),
}

struct Worker {
    limit: AdaptiveLimit,
    queue: FairQueue<u64>,
    in_flight: u32,
}

struct Simulation<'a> {
    world: &'a World,
    rng: fastrand::Rng,
    now: u64,
    workers: Vec<Worker>,
    /// Requests that the service works on, and that wait there.
    busy: usize,
    waiting: VecDeque<Request>,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    /// Events so far: those at the same time stay in order.
    count: u64,
    seconds: Vec<Second>,
}

impl World {
    /// So many workers, and a service with 40 slots that takes 20 milliseconds, exponentially distributed: it bears
    /// 2000 requests per second. `load` of them arrive.
    pub(super) fn new(seed: u64, workers: usize, load: f64) -> Self {
        Self {
            seed,
            seconds: 60,
            workers,
            start: 20 / u32::try_from(workers).unwrap(),
            queue: 100,
            arrivals: Box::new(move |_| 2_000.0 * load),
            slots: Box::new(|_| 40),
            backlog: usize::MAX,
            work: Box::new(|rng, _| exponential(rng, 20.0)),
        }
    }

    /// What happens in each second.
    pub(super) fn run(&self) -> Vec<Second> {
        let worker = |_| Worker {
            limit: AdaptiveLimit::new(self.start, 1, 2_000),
            queue: FairQueue::new(self.queue / u32::try_from(self.workers).unwrap()),
            in_flight: 0,
        };
        let mut simulation = Simulation {
            world: self,
            rng: fastrand::Rng::with_seed(self.seed),
            now: 0,
            workers: (0..self.workers).map(worker).collect(),
            busy: 0,
            waiting: VecDeque::new(),
            events: BinaryHeap::new(),
            count: 0,
            seconds: vec![Second::default(); self.seconds],
        };
        simulation.after(0.0, Event::Arrival);
        simulation.run();
        simulation.seconds
    }
}

impl Simulation<'_> {
    fn run(&mut self) {
        while let Some(Reverse((now, _, event))) = self.events.pop() {
            if now >= self.world.seconds as u64 * 1_000_000 {
                break;
            }
            self.now = now;
            let worker = match event {
                Event::Arrival => self.arrive(),
                Event::Answered(request) => {
                    self.busy -= 1;
                    let latency = u32::try_from(now - request.arrived).unwrap();
                    self.second().latencies.push(latency);
                    self.end(request, Outcome::Answered)
                }
                Event::Dropped(request) => {
                    self.second().dropped += 1;
                    self.end(request, Outcome::Dropped)
                }
            };
            self.send(worker);
            self.work();
        }
    }

    fn time(&self) -> f64 {
        self.now as f64 / 1e6
    }

    fn second(&mut self) -> &mut Second {
        &mut self.seconds[usize::try_from(self.now / 1_000_000).unwrap()]
    }

    fn after(&mut self, millis: f64, event: Event) {
        self.count += 1;
        self.events.push(Reverse((self.now + (millis * 1e3) as u64, self.count, event)));
    }

    /// A request of one of ten clients, who waits for up to a second.
    fn arrive(&mut self) -> usize {
        let rate = (self.world.arrivals)(self.time());
        let gap = exponential(&mut self.rng, 1e3 / rate);
        self.after(gap, Event::Arrival);
        let at = self.rng.usize(..self.workers.len());
        let (client, now_ms) = (self.rng.u64(..10), self.now / 1_000);
        let Worker { limit, queue, .. } = &mut self.workers[at];
        let ahead = queue.ahead(Importance::Normal, client);
        let refused = if expected_wait_ms(ahead, limit.limit(), limit.mean_micros()) > 1_000 {
            1
        } else {
            match queue.push(Importance::Normal, client, now_ms + 1_000, now_ms, self.now) {
                Ok(waiting) => u32::from(waiting.instead_of.is_some()),
                Err(_) => 1,
            }
        };
        self.second().refused += refused;
        at
    }

    fn end(&mut self, request: Request, outcome: Outcome) -> usize {
        let latency = u32::try_from(self.now - request.sent).unwrap();
        let worker = &mut self.workers[request.worker];
        worker.limit.observe(latency, worker.in_flight, outcome, self.now / 1_000);
        worker.in_flight -= 1;
        self.second().limit = self.workers.iter().map(|worker| worker.limit.limit()).sum();
        request.worker
    }

    /// Sends as many of those that wait at a worker as its limit allows.
    fn send(&mut self, at: usize) {
        let now_ms = self.now / 1_000;
        while self.workers[at].queue.expired(now_ms).is_some() {
            self.second().refused += 1;
        }
        while self.workers[at].in_flight < self.workers[at].limit.limit() {
            let Some(arrived) = self.workers[at].queue.pop(now_ms) else { return };
            self.workers[at].in_flight += 1;
            let request = Request { worker: at, arrived, sent: self.now };
            let most = (self.world.slots)(self.time()).saturating_add(self.world.backlog);
            if self.busy + self.waiting.len() < most {
                self.waiting.push_back(request);
            } else {
                self.after(1.0, Event::Dropped(request));
            }
        }
    }

    /// The service begins with as many of those that wait as it has slots.
    fn work(&mut self) {
        let time = self.time();
        while self.busy < (self.world.slots)(time)
            && let Some(request) = self.waiting.pop_front()
        {
            self.busy += 1;
            let took = (self.world.work)(&mut self.rng, time);
            self.after(took, Event::Answered(request));
        }
    }
}

/// Exponentially distributed, with this mean.
pub(super) fn exponential(rng: &mut fastrand::Rng, mean: f64) -> f64 {
    -(1.0 - rng.f64()).ln() * mean
}

/// Lognormally distributed, with this mean and this deviation of the logarithm.
pub(super) fn lognormal(rng: &mut fastrand::Rng, mean: f64, deviation: f64) -> f64 {
    // Box and Muller.
    let normal = (-2.0 * (1.0 - rng.f64()).ln()).sqrt() * (std::f64::consts::TAU * rng.f64()).cos();
    mean * (deviation * normal - deviation * deviation / 2.0).exp()
}

/// What happened in some seconds, on average.
#[derive(Clone, Copy, Debug)]
pub(super) struct Summary {
    /// Answered requests per second.
    pub(super) answered: f64,
    /// Refused requests per second, by the gateway and by the service.
    pub(super) refused: f64,
    /// The 99th percentile of the latency of those that were answered, in milliseconds.
    pub(super) p99: f64,
    /// The limit, over all workers, at the ends of the seconds: the middle one.
    pub(super) limit: u32,
}

/// Sums seconds up.
pub(super) fn summary(seconds: &[Second]) -> Summary {
    let count = seconds.len() as f64;
    let mut latencies: Vec<u32> = seconds.iter().flat_map(|second| &second.latencies).copied().collect();
    latencies.sort_unstable();
    let mut limits: Vec<u32> = seconds.iter().map(|second| second.limit).collect();
    limits.sort_unstable();
    let refused: u32 = seconds.iter().map(|second| second.refused + second.dropped).sum();
    Summary {
        answered: latencies.len() as f64 / count,
        refused: f64::from(refused) / count,
        p99: f64::from(latencies.get(latencies.len() * 99 / 100).copied().unwrap_or(0)) / 1e3,
        limit: limits[limits.len() / 2],
    }
}
