//! What all workers know of the addresses of services: open connections, and how each address does.
//!
//! The table is touched when addresses and connections come and go, never by a request. What a request counts is the
//! worker's own. Entry points: [`Places`], [`Pulse`].

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use balance::{LATENCY_BUCKETS, Tally, latency_bucket};
use telemetry::Counter;

use crate::affinity::CookieKey;
use crate::dial::Dial;
use crate::fuse::Fuse;

/// The addresses of a service.
type OfService = HashMap<SocketAddr, Arc<Place>>;

/// What workers share of a service as a whole.
#[derive(Debug, Default)]
pub(crate) struct Common {
    /// Requests of all workers, where their number is limited for all together.
    pub(crate) in_use: Arc<AtomicUsize>,
    /// Its circuit breaker.
    pub(crate) fuse: Arc<Fuse>,
}

/// Every address of every service.
#[derive(Debug)]
pub(crate) struct Places {
    common: Mutex<HashMap<Box<str>, Arc<Common>>>,
    dials: Mutex<HashMap<Box<str>, Arc<Dial>>>,
    by_service: Mutex<HashMap<Box<str>, OfService>>,
    workers: usize,
    /// The key of cookies that clients stay by.
    pub(crate) cookie_key: CookieKey,
}

/// One address of a service, as all workers share it.
#[derive(Debug)]
pub(crate) struct Place {
    /// Open connections of all workers. Touched when one is opened or closed, never when one is reused.
    pub(crate) open: AtomicUsize,
    /// What each worker has counted.
    pulses: Box<[Pulse]>,
}

/// How an address does, as one worker counts it: nobody else writes here, and the control thread reads.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Pulse {
    begun: Counter,
    ended: Counter,
    heard: Counter,
    good: Counter,
    failed: Counter,
    latency: [Counter; LATENCY_BUCKETS],
}

impl Default for Pulse {
    fn default() -> Self {
        Pulse {
            begun: Counter::default(),
            ended: Counter::default(),
            heard: Counter::default(),
            good: Counter::default(),
            failed: Counter::default(),
            latency: std::array::from_fn(|_| Counter::default()),
        }
    }
}

impl Pulse {
    /// An attempt begins.
    #[inline]
    pub(crate) fn begin(&self) {
        self.begun.add(1);
    }

    /// An attempt waits for an answer no longer.
    #[inline]
    pub(crate) fn end(&self) {
        self.ended.add(1);
    }

    /// An answer has come after so many microseconds, and speaks for the address or against it.
    #[inline]
    pub(crate) fn hear(&self, micros: u32, is_good: bool) {
        self.heard.add(1);
        let outcome = if is_good { &self.good } else { &self.failed };
        outcome.add(1);
        if let Some(bucket) = self.latency.get(latency_bucket(micros)) {
            bucket.add(1);
        }
    }

    /// No answer came, and that is the fault of the address.
    pub(crate) fn fail(&self) {
        self.failed.add(1);
    }

    fn add_to(&self, tally: &mut Tally) {
        // Ends before begins: an attempt that is counted in between must not seem to have ended only.
        tally.ended += self.ended.get();
        tally.begun += self.begun.get();
        tally.heard += self.heard.get();
        tally.good += self.good.get();
        tally.failed += self.failed.get();
        for (sum, own) in tally.latency.iter_mut().zip(&self.latency) {
            *sum += own.get();
        }
    }
}

impl Place {
    /// What a worker counts; nothing for a worker that there is not.
    pub(crate) fn pulse(&self, worker: usize) -> Option<&Pulse> {
        self.pulses.get(worker)
    }

    fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        self.pulses.iter().for_each(|pulse| pulse.add_to(&mut tally));
        tally
    }
}

impl Places {
    /// For so many workers.
    pub(crate) fn new(workers: usize) -> Places {
        Places {
            common: Mutex::default(),
            dials: Mutex::default(),
            by_service: Mutex::default(),
            workers,
            cookie_key: CookieKey::random(),
        }
    }

    /// How many workers there are.
    pub(crate) fn workers(&self) -> usize {
        self.workers
    }

    /// An address of a service; the same one for all who ask.
    pub(crate) fn of(&self, service: &str, address: SocketAddr) -> Arc<Place> {
        let mut places = self.lock();
        let place = places.entry(service.into()).or_default().entry(address).or_insert_with(|| {
            let pulses = (0..self.workers).map(|_| Pulse::default()).collect();
            Arc::new(Place { open: AtomicUsize::new(0), pulses })
        });
        Arc::clone(place)
    }

    /// What workers share of a service as a whole; the same for all who ask.
    pub(crate) fn common(&self, service: &str) -> Arc<Common> {
        let mut common = self.common.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(common.entry(service.into()).or_default())
    }

    /// The share of the new version of a route; the same for all who ask.
    pub(crate) fn dial(&self, route: &str) -> Arc<Dial> {
        let mut dials = self.dials.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(dials.entry(route.into()).or_insert_with(|| Arc::new(Dial::new(self.workers))))
    }

    /// Forgets services and addresses that nobody uses any more.
    pub(crate) fn prune(&self) {
        let mut common = self.common.lock().unwrap_or_else(PoisonError::into_inner);
        common.retain(|_, one| Arc::strong_count(one) > 1);
        drop(common);
        let mut dials = self.dials.lock().unwrap_or_else(PoisonError::into_inner);
        dials.retain(|_, one| Arc::strong_count(one) > 1);
        drop(dials);
        self.lock().retain(|_, of_service| {
            of_service.retain(|_, place| Arc::strong_count(place) > 1);
            !of_service.is_empty()
        });
    }

    /// What all workers have counted of some addresses of a service.
    pub(crate) fn tallies(&self, service: &str, addresses: &[SocketAddr]) -> Vec<(SocketAddr, Tally)> {
        let places = self.lock();
        let Some(of_service) = places.get(service) else { return Vec::new() };
        addresses.iter().filter_map(|address| Some((*address, of_service.get(address)?.tally()))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, OfService>> {
        self.by_service.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
