//! The state of one worker: its own pools, buffers, timers, counts and pointer to the snapshot.
//!
//! Nothing on the request path is shared with other workers. It knows neither sockets nor the thread that
//! it belongs to (`thread.rs`).

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use balance::{Importance, Tally};
use policy::{Errands, Verified};
use router::RouteIndex;
use snapshot::Snapshot;
use telemetry::{ConsumerSeries, LogBuffer, Metrics, RouteSeries, WorkerSeries};

use crate::ask::Asking;
use crate::buffers::Buffers;
use crate::clock::Clock;
use crate::counting::{Counting, Listening, StoreStates};
use crate::dial::Dial;
use crate::fuse::Fuse;
use crate::listener::LiveListener;
use crate::live::LiveService;
use crate::outbox::Outbox;
use crate::places::Places;
use crate::pools::Pools;
use crate::route::LiveRoute;
use crate::shedding::Shedding;
use crate::stage::{ListenerId, Resolved, ServiceOutages, Stage};
use crate::timer::{TICK, Wheel};
use crate::trouble::Troubles;
use crate::udp::StagedUdp;

/// What all workers share. Touched when connections come and go, not by requests.
#[derive(Debug)]
pub struct Shared {
    places: Arc<Places>,
    /// Open client connections of each worker.
    loads: Vec<AtomicUsize>,
    /// The generation of the snapshot that each worker uses.
    generations: Vec<AtomicUsize>,
    /// The process has nearly all the memory that it may have.
    memory_is_short: AtomicBool,
    /// How the store that gateways share is.
    store: Arc<StoreStates>,
    pub(crate) metrics: Arc<Metrics>,
}

impl Shared {
    /// Says whether the process has nearly all the memory that it may have.
    pub fn memory_is_short(&self, is_short: bool) {
        self.memory_is_short.store(is_short, Ordering::Relaxed);
    }

    /// The share of the new version of a route, and what becomes of both.
    pub fn dial(&self, route: &str) -> Arc<Dial> {
        self.places.dial(route)
    }

    /// The circuit breaker of a service.
    pub fn fuse(&self, service: &str) -> Arc<Fuse> {
        Arc::clone(&self.places.common(service).fuse)
    }

    /// What all workers have counted of these addresses of a service, as far as they know them.
    pub fn tallies(&self, service: &str, addresses: &[SocketAddr]) -> Vec<(SocketAddr, Tally)> {
        self.places.tallies(service, addresses)
    }

    /// For all workers that are counted in `metrics`.
    pub fn new(metrics: Arc<Metrics>) -> Arc<Shared> {
        let zeros = |count| (0..count).map(|_| AtomicUsize::new(0)).collect();
        let workers = metrics.workers();
        Arc::new(Shared {
            places: Arc::new(Places::new(workers)),
            loads: zeros(workers),
            generations: zeros(workers),
            memory_is_short: AtomicBool::new(false),
            store: Arc::default(),
            metrics,
        })
    }
}

/// A snapshot with the live state of what is in it.
pub(crate) struct Current {
    pub(crate) snapshot: Arc<Snapshot>,
    services: Vec<Rc<LiveService>>,
    routes: Vec<Rc<LiveRoute>>,
    listeners: Vec<Rc<LiveListener>>,
    /// For requests that found no route.
    pub(crate) unrouted: Arc<RouteSeries>,
}

/// A listener with sockets that nobody accepts on yet.
pub(crate) struct Fresh {
    pub(crate) listener: Rc<LiveListener>,
    pub(crate) tcp: Option<std::net::TcpListener>,
    pub(crate) udp: Option<StagedUdp>,
}

impl Current {
    /// The route of an index that the snapshot's router gave.
    #[inline]
    pub(crate) fn route(&self, index: RouteIndex) -> Option<Rc<LiveRoute>> {
        self.routes.get(index.0 as usize).cloned()
    }
}

/// The state of one worker.
pub(crate) struct Worker {
    pub(crate) index: usize,
    pub(crate) buffers: Rc<Buffers>,
    /// What is sent when all tasks that are ready have run.
    pub(crate) outbox: Rc<Outbox>,
    pub(crate) wheel: Rc<Wheel>,
    pub(crate) rng: RefCell<fastrand::Rng>,
    pub(crate) pools: Pools,
    current: RefCell<Rc<Current>>,
    /// The time of day.
    pub(crate) clock: Clock,
    draining: Cell<bool>,
    connections: Cell<usize>,
    /// Copies of requests that are under way.
    pub(crate) copies: Cell<usize>,
    /// Bytes of bodies that are held in memory.
    pub(crate) held: Rc<Cell<usize>>,
    /// What clients cannot know, for what is made of their addresses.
    pub(crate) seed: u64,
    shedding: Cell<Shedding>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) troubles: Troubles,
    pub(crate) log: RefCell<Option<LogBuffer>>,
    /// Credentials that were verified lately.
    pub(crate) verified: RefCell<Verified>,
    /// What policies ask.
    pub(crate) asking: Asking,
    /// What gateways count together.
    pub(crate) counting: Counting,
}

impl Worker {
    /// A worker that serves nothing yet; it has to adopt its first snapshot.
    pub(crate) fn new(index: usize, stage: &Stage, shared: Arc<Shared>, troubles: Troubles) -> Worker {
        let nothing = Current {
            snapshot: Arc::clone(&stage.snapshot),
            services: Vec::new(),
            routes: Vec::new(),
            listeners: Vec::new(),
            unrouted: Arc::clone(&stage.unrouted),
        };
        let buffers = Rc::default();
        Worker {
            index,
            outbox: Outbox::new(&buffers),
            buffers,
            wheel: Rc::default(),
            rng: RefCell::new(fastrand::Rng::new()),
            pools: Pools::default(),
            current: RefCell::new(Rc::new(nothing)),
            clock: Clock::new(),
            draining: Cell::new(false),
            connections: Cell::new(0),
            copies: Cell::new(0),
            held: Rc::default(),
            seed: fastrand::u64(..),
            shedding: Cell::default(),
            shared,
            troubles,
            log: RefCell::default(),
            verified: RefCell::default(),
            asking: Asking::default(),
            counting: Counting::default(),
        }
    }

    /// The snapshot in use, with its live services.
    #[inline]
    pub(crate) fn current(&self) -> Rc<Current> {
        Rc::clone(&self.current.borrow())
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

    /// Switches to a snapshot. Services and listeners that stay keep their live state. Returns the listeners that
    /// have sockets which are new here.
    pub(crate) fn adopt(&self, stage: Stage) -> Vec<Fresh> {
        let (old, now) = (self.current(), self.now_millis());
        let mut wake = false;
        let Stage { snapshot, routes, unrouted, services, listeners, log, resolved, outages, .. } = stage;
        let generation = stage.generation;
        let consumers: Rc<[Arc<ConsumerSeries>]> = stage.consumers.into();
        let mut before: HashMap<&str, &Rc<LiveService>> =
            old.services.iter().map(|live| (&*live.settings.name, live)).collect();
        let services: Vec<Rc<LiveService>> = snapshot
            .services
            .iter()
            .zip(services)
            .map(|(service, series)| match before.remove(&*service.name) {
                Some(live) if live.settings == *service => Rc::clone(live),
                changed => Rc::new(LiveService::new(
                    service.clone(),
                    changed.map(|live| &**live),
                    &self.shared.places,
                    series,
                    self.index,
                    now,
                )),
            })
            .collect();
        before.values().for_each(|gone| gone.retire());
        let outages: HashMap<&str, &ServiceOutages> =
            outages.iter().map(|one| (&*one.service, one)).collect();
        for service in &services {
            service.resolve(&resolved, now);
            wake |= service.take_note(outages.get(&*service.settings.name).map(|one| &one.outages), now);
        }
        self.shared.places.prune();
        self.counting.adopt(&snapshot, self.shared.loads.len(), self.listening());
        self.troubles.keep(&snapshot.services, &snapshot.listeners);
        let live_route = |(route, series)| {
            Rc::new(LiveRoute::new(route, series, &services, &consumers, &self.shared.places))
        };
        let routes = snapshot.routes.iter().zip(routes).map(live_route).collect();
        let mut fresh = Vec::new();
        let mut live = Vec::new();
        for (settings, staged) in snapshot.listeners.iter().zip(listeners) {
            let before = old.listeners.iter().find(|one| one.id == staged.id);
            let listener = match before {
                Some(listener) => {
                    wake |= listener.set(settings.clone());
                    Rc::clone(listener)
                }
                None => Rc::new(LiveListener::new(staged.id, settings.clone(), staged.series)),
            };
            if staged.socket.is_some() || staged.udp.is_some() {
                fresh.push(Fresh { listener: Rc::clone(&listener), tcp: staged.socket, udp: staged.udp });
            }
            live.push(listener);
        }
        let gone = |one: &&Rc<LiveListener>| !live.iter().any(|other| other.id == one.id);
        // A connection that another worker has accepted on one of them may still be on its way to this one, so
        // they are known until the next snapshot, or until their last connection has ended.
        let gone: Vec<Rc<LiveListener>> =
            old.listeners.iter().filter(gone).filter(|one| one.is_open()).cloned().collect();
        wake |= gone.iter().any(|listener| !listener.is_closing());
        gone.iter().for_each(|listener| listener.close());
        live.extend(gone);
        *self.current.borrow_mut() =
            Rc::new(Current { snapshot, services, routes, listeners: live, unrouted });
        // Dropping a buffer hands over what is in it.
        *self.log.borrow_mut() = log;
        if let Some(own) = self.shared.generations.get(self.index) {
            own.store(generation, Ordering::Relaxed);
        }
        if wake {
            self.wheel.wake_all();
        }
        fresh
    }

    /// Has what policies have left to be told to the store told to it.
    #[inline]
    pub(crate) fn run_errands(&self, errands: &Errands) {
        if !errands.is_empty() {
            let all = errands.take().into_iter();
            all.for_each(|errand| self.counting.run(errand));
        }
    }

    /// Who is told how the store is for this worker.
    fn listening(&self) -> Listening {
        Listening {
            worker: self.index,
            states: Arc::clone(&self.shared.store),
            metrics: Arc::clone(&self.shared.metrics),
            troubles: self.troubles.another(),
        }
    }

    /// The listener of an id.
    pub(crate) fn listener(&self, id: ListenerId) -> Option<Rc<LiveListener>> {
        self.current().listeners.iter().find(|listener| listener.id == id).cloned()
    }

    /// Accepts no more connections.
    pub(crate) fn close_listeners(&self) {
        self.current().listeners.iter().for_each(|listener| listener.close());
    }

    /// What is counted of this worker itself.
    #[inline]
    pub(crate) fn series(&self) -> Option<&WorkerSeries> {
        self.shared.metrics.worker(self.index)
    }

    /// Takes note of what a name of endpoints stands for now.
    pub(crate) fn resolve(&self, resolved: &Resolved) {
        for service in &self.current().services {
            service.resolve(std::slice::from_ref(resolved), self.now_millis());
        }
    }

    /// Takes note of which addresses of a service are to get no requests now.
    pub(crate) fn take_note(&self, known: &ServiceOutages) {
        let current = self.current();
        let service = current.services.iter().find(|service| *service.settings.name == *known.service);
        if service.is_some_and(|service| service.take_note(Some(&known.outages), self.now_millis())) {
            // Requests wait for an address that hangs: those that can may ask another one.
            self.wheel.wake_all();
        }
    }

    /// Whether a request is refused, so that others can be served in time.
    #[inline]
    pub(crate) fn sheds(&self, importance: Importance) -> bool {
        let shedding = self.shedding.get();
        shedding.share > 0 && shedding.hits(importance, &mut self.rng.borrow_mut())
    }

    /// What is done with every tick, which came so much too late: lines of the log leave, others see that the worker
    /// lives, and who waits is looked at.
    pub(crate) fn every_tick(&self, late: Duration) {
        let current = self.current();
        let overload = current.snapshot.overload;
        let is_short = self.shared.memory_is_short.load(Ordering::Relaxed);
        let lags = overload.lag.is_some_and(|limit| late > limit);
        self.shedding.set(self.shedding.get().tick(lags, is_short));
        for service in &current.services {
            service.serve_waiting(self.now_millis());
        }
        self.counting.sweep(Instant::now());
        if let Some(series) = self.series() {
            series.lag.set(late.as_micros() as i64);
            series.shed.set(self.shedding.get().share.into());
        }
        if let Some(log) = &mut *self.log.borrow_mut() {
            log.flush();
        }
        if let Some(series) = self.series() {
            series.alive.set(self.shared.metrics.uptime().as_millis() as i64);
        }
    }

    /// What is done at the end, as it was told to: this is not hanging. What is left of the log leaves with the
    /// buffer.
    pub(crate) fn retire(&self) {
        self.log.take();
        if let Some(series) = self.series() {
            series.alive.set(i64::MAX);
        }
    }

    /// What is done once a second: the date, and unused connections to services.
    pub(crate) fn every_second(&self) {
        self.clock.set();
        for service in &self.current().services {
            service.sweep(self.wheel.now(), self.now_millis());
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

    /// A worker with clearly fewer connections than this one, and the same snapshot.
    pub(crate) fn lighter_sibling(&self) -> Option<usize> {
        let Shared { loads, generations, .. } = &*self.shared;
        if loads.len() == 1 {
            return None;
        }
        let load_of = |load: &AtomicUsize| load.load(Ordering::Relaxed);
        let mean = loads.iter().map(load_of).sum::<usize>() / loads.len().max(1);
        if self.connections.get() <= mean + mean / 4 + 1 {
            return None;
        }
        let own = generations.get(self.index).map(load_of);
        let (lightest, load) = loads.iter().map(load_of).enumerate().min_by_key(|(_, load)| *load)?;
        let knows_the_listener = generations.get(lightest).map(load_of) == own;
        (lightest != self.index && load < self.connections.get() && knows_the_listener).then_some(lightest)
    }
}
