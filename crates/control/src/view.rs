//! What others may know of a running gateway: the configuration in use, how it got there, and all numbers.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use balance::Outage;
use diagnostics::Sources;
use document::Node;
use snapshot::{Acme, Endpoint, Snapshot};
use telemetry::Metrics;

use crate::canaries::{self, CanaryOrder, CanaryView};
use crate::certificates::Orders;
use crate::health::{self, DrainError, Ejected, ServiceHealth};
use crate::issuers::{self, IssuerView};
use crate::keys::Keys;
use crate::names::{self, Known};
use crate::store::StoreView;

/// A worker that was not seen for so long hangs.
const HANGS: Duration = Duration::from_secs(5);

/// Where a gateway is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// It does not accept connections yet.
    Starting,
    /// It serves.
    Serving,
    /// It was told to stop.
    Stopping,
}

/// The configuration in use.
#[derive(Debug)]
pub struct Active {
    /// Its compiled form.
    pub snapshot: Arc<Snapshot>,
    /// The texts it was read from, for showing places.
    pub sources: Sources,
    /// What was written, joined and filled in.
    pub tree: Option<Node>,
    /// When it was loaded.
    pub since: SystemTime,
}

/// A configuration that was refused.
#[derive(Debug, Clone)]
pub struct Rejected {
    /// When it was read.
    pub at: SystemTime,
    /// What is wrong with it, as `gateward check` says it.
    pub why: String,
}

/// What others may know of a running gateway. It belongs to the control thread.
#[derive(Debug)]
pub struct View {
    /// All numbers.
    pub metrics: Arc<Metrics>,
    phase: Cell<Phase>,
    active: RefCell<Rc<Active>>,
    rejected: RefCell<Option<Rejected>>,
    changed: tokio::sync::watch::Sender<()>,
    names: RefCell<Known>,
    orders: RefCell<Orders>,
    health: RefCell<health::Known>,
    canaries: RefCell<canaries::Known>,
    store: RefCell<StoreView>,
    keys: RefCell<Option<Rc<Keys>>>,
    addresses: RefCell<Vec<SocketAddr>>,
}

impl View {
    /// Whose tokens are believed, and how fetching their keys goes.
    pub fn issuers(&self) -> Vec<IssuerView> {
        issuers::view(&self.active().snapshot)
    }

    /// Of a gateway that is about to start with this configuration.
    pub fn new(active: Active, metrics: Arc<Metrics>) -> Rc<View> {
        Rc::new(View {
            metrics,
            phase: Cell::new(Phase::Starting),
            active: RefCell::new(Rc::new(active)),
            rejected: RefCell::default(),
            changed: tokio::sync::watch::Sender::new(()),
            names: RefCell::default(),
            orders: RefCell::default(),
            health: RefCell::default(),
            canaries: RefCell::default(),
            store: RefCell::default(),
            keys: RefCell::default(),
            addresses: RefCell::default(),
        })
    }

    /// Where the gateway is in its life.
    pub fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// The configuration in use.
    pub fn active(&self) -> Rc<Active> {
        Rc::clone(&self.active.borrow())
    }

    /// The last configuration that was read, if it was refused.
    pub fn rejected(&self) -> Option<Rejected> {
        self.rejected.borrow().clone()
    }

    /// Hears of every configuration that comes into use.
    pub fn changes(&self) -> tokio::sync::watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// The addresses that an endpoint stands for now.
    pub fn addresses_of(&self, endpoint: &Endpoint) -> Vec<SocketAddr> {
        names::addresses_of(endpoint, &self.names.borrow().borrow())
    }

    /// The addresses of the listeners in use, in the order of the configuration, with real ports.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.addresses.borrow().clone()
    }

    /// What is known of the certificates that are ordered for a listener, host by host.
    pub fn orders_of(&self, acme: &Acme) -> Vec<acme::View> {
        self.orders.borrow().of(acme)
    }

    /// What probes say of a service; `None` if it is not probed.
    pub fn health_of(&self, service: &str) -> Option<ServiceHealth> {
        self.health.borrow().of(service)
    }

    /// Which addresses of a service are to get no requests, and why.
    pub fn outages_of(&self, service: &str) -> Vec<(SocketAddr, Outage)> {
        self.health.borrow().outages_of(service)
    }

    /// What the circuit breaker of a service lets pass; `None` if it has none.
    pub fn circuit_of(&self, service: &str) -> Option<balance::breaker::State> {
        self.health.borrow().circuit_of(service)
    }

    /// Which addresses of a service are ejected.
    pub fn ejected_of(&self, service: &str) -> Vec<Ejected> {
        self.health.borrow().ejected_of(service)
    }

    /// Gives an address of a service no new requests any more, or again.
    pub fn drain(&self, service: &str, address: SocketAddr, drains: bool) -> Result<(), DrainError> {
        self.health.borrow().drain(service, address, drains)
    }

    /// How canaries stand.
    pub fn canaries(&self) -> Vec<CanaryView> {
        self.canaries.borrow().all()
    }

    /// Does something to the canary of a route. Returns whether that was a change; `None` if the route has none.
    pub fn order_canary(&self, route: &str, order: CanaryOrder) -> Option<bool> {
        self.canaries.borrow().order(route, order)
    }

    /// The store that gateways share.
    pub fn store(&self) -> StoreView {
        self.store.borrow().clone()
    }

    /// The keys that are made while it runs; `None` before it serves.
    pub fn keys(&self) -> Option<Rc<Keys>> {
        self.keys.borrow().clone()
    }

    /// The workers that hang.
    pub fn hanging_workers(&self) -> Vec<usize> {
        let now = self.metrics.uptime();
        let hangs = |index: &usize| {
            let alive = self.metrics.worker(*index).map_or(0, |worker| worker.alive.get());
            now.saturating_sub(Duration::from_millis(u64::try_from(alive).unwrap_or(0))) > HANGS
        };
        (0..self.metrics.workers()).filter(hangs).collect()
    }

    pub(crate) fn share_names(&self, names: Known) {
        *self.names.borrow_mut() = names;
    }

    pub(crate) fn share_orders(&self, orders: Orders) {
        *self.orders.borrow_mut() = orders;
    }

    pub(crate) fn share_canaries(&self, canaries: canaries::Known) {
        *self.canaries.borrow_mut() = canaries;
    }

    pub(crate) fn share_store(&self, store: StoreView) {
        *self.store.borrow_mut() = store;
    }

    pub(crate) fn share_keys(&self, keys: Rc<Keys>) {
        *self.keys.borrow_mut() = Some(keys);
    }

    pub(crate) fn share_health(&self, health: health::Known) {
        *self.health.borrow_mut() = health;
    }

    pub(crate) fn listening(&self, addresses: Vec<SocketAddr>) {
        *self.addresses.borrow_mut() = addresses;
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.set(phase);
    }

    /// Returns what was in use before.
    pub(crate) fn applied(&self, active: Active) -> Rc<Active> {
        let before = self.active.replace(Rc::new(active));
        *self.rejected.borrow_mut() = None;
        self.changed.send_replace(());
        before
    }

    pub(crate) fn refused(&self, why: String) {
        *self.rejected.borrow_mut() = Some(Rejected { at: SystemTime::now(), why });
    }

    /// The last configuration that was read is the one in use.
    pub(crate) fn unchanged(&self) {
        *self.rejected.borrow_mut() = None;
    }
}
