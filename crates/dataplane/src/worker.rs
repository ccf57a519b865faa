//! The state of one worker: its own pools, buffers, timers, counts and pointer to the snapshot.
//!
//! Nothing on the request path is shared with other workers. It knows neither sockets nor the thread that
//! it belongs to (`thread.rs`).

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use snapshot::{ServiceIndex, Snapshot};

use crate::buffers::Buffers;
use crate::live::{ConnectionCounts, LiveService};
use crate::request::Request;
use crate::timer::{TICK, Wheel};
use crate::trouble::Troubles;

/// Requests kept for reuse, per worker.
const KEEP_REQUESTS: usize = 1024;

/// What all workers share. Touched when connections come and go, not by requests.
#[derive(Debug)]
pub struct Shared {
    counts: Arc<ConnectionCounts>,
    /// Open client connections of each worker.
    loads: Vec<AtomicUsize>,
    /// Open client connections of each listener.
    pub(crate) open: Vec<AtomicUsize>,
}

impl Shared {
    /// For this many workers and listeners.
    pub fn new(workers: usize, listeners: usize) -> Arc<Shared> {
        let zeros = |count| (0..count).map(|_| AtomicUsize::new(0)).collect();
        Arc::new(Shared { counts: Arc::default(), loads: zeros(workers), open: zeros(listeners) })
    }
}

/// A snapshot with the live state of its services.
pub(crate) struct Current {
    pub(crate) snapshot: Arc<Snapshot>,
    services: Vec<Rc<LiveService>>,
}

impl Current {
    pub(crate) fn service(&self, index: ServiceIndex) -> Option<&LiveService> {
        self.services.get(index.0).map(|service| &**service)
    }
}

/// The state of one worker.
pub(crate) struct Worker {
    index: usize,
    pub(crate) buffers: Rc<Buffers>,
    pub(crate) wheel: Rc<Wheel>,
    pub(crate) rng: RefCell<fastrand::Rng>,
    #[allow(clippy::vec_box, reason = "the boxes go to and fro; a request is too large to be moved")]
    requests: RefCell<Vec<Box<Request>>>,
    current: RefCell<Rc<Current>>,
    date: Cell<[u8; 29]>,
    draining: Cell<bool>,
    connections: Cell<usize>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) troubles: Troubles,
}

impl Worker {
    /// A worker that has served nothing yet.
    pub(crate) fn new(
        index: usize,
        snapshot: Arc<Snapshot>,
        shared: Arc<Shared>,
        troubles: Troubles,
    ) -> Worker {
        let worker = Worker {
            index,
            buffers: Rc::default(),
            wheel: Rc::default(),
            rng: RefCell::new(fastrand::Rng::new()),
            requests: RefCell::default(),
            current: RefCell::new(Rc::new(Current { snapshot: Arc::clone(&snapshot), services: Vec::new() })),
            date: Cell::new(date_now()),
            draining: Cell::new(false),
            connections: Cell::new(0),
            shared,
            troubles,
        };
        worker.adopt(snapshot);
        worker
    }

    /// The snapshot in use, with its live services.
    #[inline]
    pub(crate) fn current(&self) -> Rc<Current> {
        Rc::clone(&self.current.borrow())
    }

    /// The text of the Date field.
    #[inline]
    pub(crate) fn date(&self) -> [u8; 29] {
        self.date.get()
    }

    /// Milliseconds since the start, as coarse as the timers.
    pub(crate) fn now_millis(&self) -> u64 {
        self.wheel.now().0 * TICK.as_millis() as u64
    }

    /// Whether the worker is about to end.
    #[inline]
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// An empty request, reused where possible.
    pub(crate) fn take_request(&self) -> Box<Request> {
        self.requests.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes a request back after it was served.
    pub(crate) fn give_back(&self, mut request: Box<Request>) {
        let keep = request.reset();
        let mut requests = self.requests.borrow_mut();
        if keep && requests.len() < KEEP_REQUESTS {
            requests.push(request);
        }
    }

    /// Switches to a snapshot. Services that stay keep their live state.
    pub(crate) fn adopt(&self, snapshot: Arc<Snapshot>) {
        let old = self.current();
        let services = snapshot
            .services
            .iter()
            .map(|service| {
                let before = old.services.iter().find(|live| live.settings.name == service.name);
                match before {
                    Some(live) if live.settings == *service => Rc::clone(live),
                    _ => Rc::new(LiveService::new(
                        service.clone(),
                        before.map(|live| &**live),
                        &self.shared.counts,
                        self.shared.loads.len(),
                    )),
                }
            })
            .collect();
        *self.current.borrow_mut() = Rc::new(Current { snapshot, services });
    }

    /// Takes note of what a name of endpoints stands for now.
    pub(crate) fn resolve(&self, name: &str, addresses: &[IpAddr]) {
        for service in &self.current().services {
            service.resolve(name, addresses);
        }
    }

    /// What is done once a second: the date, and unused connections to services.
    pub(crate) fn every_second(&self) {
        self.date.set(date_now());
        for service in &self.current().services {
            service.sweep(self.wheel.now());
        }
    }

    /// From now on no connection is kept for another request.
    pub(crate) fn begin_to_drain(&self) {
        self.draining.set(true);
        self.wheel.wake_all();
    }

    /// Open client connections.
    pub(crate) fn connections(&self) -> usize {
        self.connections.get()
    }

    /// A client connection has come or gone.
    pub(crate) fn count_connection(&self, change: isize) {
        self.connections.set(self.connections.get().saturating_add_signed(change));
        if let Some(load) = self.shared.loads.get(self.index) {
            load.store(self.connections.get(), Ordering::Relaxed);
        }
    }

    /// A worker with clearly fewer connections than this one.
    pub(crate) fn lighter_sibling(&self) -> Option<usize> {
        let loads: Vec<usize> = self.shared.loads.iter().map(|load| load.load(Ordering::Relaxed)).collect();
        let mean = loads.iter().sum::<usize>() / loads.len().max(1);
        if self.connections.get() <= mean + mean / 4 + 1 {
            return None;
        }
        let (lightest, load) = loads.iter().enumerate().min_by_key(|(_, load)| **load)?;
        (lightest != self.index && *load < self.connections.get()).then_some(lightest)
    }
}

/// The text of a Date field for now.
pub(crate) fn date_now() -> [u8; 29] {
    let text = httpdate::fmt_http_date(SystemTime::now());
    text.as_bytes().try_into().unwrap_or(*b"Thu, 01 Jan 1970 00:00:00 GMT")
}
