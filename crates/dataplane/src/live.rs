//! The live state of services in one worker: addresses, kept connections, balancer, retry budget.
//!
//! Keyed by the name of the service and by address, so that a new snapshot or new addresses leave what
//! did not change as it was. Only the count of open connections is shared between workers.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use balance::{Balancer, RetryBudget, Standing};
use snapshot::{EndpointHost, Service};
use telemetry::ServiceSeries;

use crate::carrier::Carriers;
use crate::connection::Connection;
use crate::stage::Resolved;
use crate::timer::Tick;

/// A service and one of its addresses.
type Place = (Box<str>, SocketAddr);

/// Counts of open upstream connections, shared by all workers. Touched when a connection is opened or
/// closed, never when one is reused.
#[derive(Debug, Default)]
pub struct ConnectionCounts {
    by_address: Mutex<HashMap<Place, Arc<AtomicUsize>>>,
}

impl ConnectionCounts {
    /// Forgets addresses that nobody uses any more.
    pub(crate) fn prune(&self) {
        let mut counts = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        counts.retain(|_, count| Arc::strong_count(count) > 1);
    }

    fn of(&self, service: &str, address: SocketAddr) -> Arc<AtomicUsize> {
        let mut counts = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(counts.entry((service.into(), address)).or_default())
    }
}

/// A service in one worker.
pub(crate) struct LiveService {
    pub(crate) settings: Service,
    members: RefCell<Vec<Rc<Member>>>,
    balancer: RefCell<Balancer>,
    budget: RefCell<RetryBudget>,
    /// What each endpoint of the configuration stands for.
    resolved: RefCell<Vec<Vec<IpAddr>>>,
    /// Addresses that are not healthy, sorted.
    unhealthy: RefCell<Arc<[(SocketAddr, Standing)]>>,
    counts: Arc<ConnectionCounts>,
    series: Arc<ServiceSeries>,
    /// Unused connections to one address that this worker keeps: its share.
    idle_share: usize,
    /// Connections to one address that no other worker can want.
    open_share: usize,
}

/// One address of a service.
pub(crate) struct Member {
    pub(crate) address: SocketAddr,
    /// The same as text, for the access log.
    pub(crate) address_text: Box<str>,
    /// What this worker has counted of the service.
    pub(crate) series: Arc<ServiceSeries>,
    /// The host of its endpoint, whose certificate it has to show.
    pub(crate) host: Box<str>,
    /// Connections that carry many requests.
    pub(crate) carriers: Carriers,
    /// It was asked which version it speaks, and has chosen HTTP/1.1.
    pub(crate) speaks_http1: Cell<bool>,
    weight: Cell<u32>,
    /// It takes requests: it is healthy, or so few are that probes are not believed.
    healthy: Cell<bool>,
    /// No service chooses it any more: what comes back to it is closed.
    retired: Cell<bool>,
    in_flight: Cell<u32>,
    /// Connections of this worker, in use or kept.
    own: Rc<Cell<usize>>,
    idle: RefCell<Vec<Idle>>,
    open: Arc<AtomicUsize>,
}

struct Idle {
    connection: Box<Connection>,
    slot: OpenSlot,
    until: Tick,
}

/// Counts one open connection for as long as it lives.
pub(crate) struct OpenSlot {
    all: Arc<AtomicUsize>,
    own: Rc<Cell<usize>>,
    series: Arc<ServiceSeries>,
}

impl Drop for OpenSlot {
    fn drop(&mut self) {
        self.series.open.add(-1);
        self.all.fetch_sub(1, Ordering::Relaxed);
        self.own.set(self.own.get().saturating_sub(1));
    }
}

/// Counts one request in flight for as long as it lives.
pub(crate) struct InFlight(Rc<Member>);

impl InFlight {
    /// What is counted of its service.
    pub(crate) fn series(&self) -> &ServiceSeries {
        &self.0.series
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.set(self.0.in_flight.get().saturating_sub(1));
        self.0.series.in_flight.add(-1);
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.retire();
    }
}

impl LiveService {
    /// From a snapshot; takes over what `old` had. `workers` share the kept connections.
    pub(crate) fn new(
        settings: Service,
        old: Option<&LiveService>,
        counts: &Arc<ConnectionCounts>,
        series: Arc<ServiceSeries>,
        workers: usize,
    ) -> LiveService {
        let resolved = settings
            .endpoints
            .iter()
            .map(|endpoint| match &endpoint.host {
                EndpointHost::Address(address) => vec![*address],
                EndpointHost::Name(_) => old
                    .and_then(|old| {
                        let place =
                            old.settings.endpoints.iter().position(|other| other.host == endpoint.host)?;
                        old.resolved.borrow().get(place).cloned()
                    })
                    .unwrap_or_default(),
            })
            .collect();
        let budget = RetryBudget::new(settings.retries.budget);
        let live = LiveService {
            balancer: RefCell::new(Balancer::new(settings.algorithm, &[])),
            members: RefCell::default(),
            budget: RefCell::new(budget),
            resolved: RefCell::new(resolved),
            unhealthy: RefCell::default(),
            counts: Arc::clone(counts),
            series,
            idle_share: settings.idle_connections.div_ceil(workers.max(1)),
            open_share: if workers > 1 { settings.max_connections / workers } else { usize::MAX },
            settings,
        };
        live.rebuild(&old.map(|old| old.members.borrow().clone()).unwrap_or_default());
        live
    }

    /// Takes note of what names stand for now; `known` is sorted by name. Addresses that stay keep their connections.
    pub(crate) fn resolve(&self, known: &[Resolved]) {
        let mut changed = false;
        for (endpoint, resolved) in self.settings.endpoints.iter().zip(self.resolved.borrow_mut().iter_mut())
        {
            let EndpointHost::Name(name) = &endpoint.host else { continue };
            let Ok(place) = known.binary_search_by(|one| (*one.name).cmp(name)) else { continue };
            if let Some(one) = known.get(place).filter(|one| *one.addresses != **resolved) {
                *resolved = one.addresses.to_vec();
                changed = true;
            }
        }
        if changed {
            let members = self.members.borrow().clone();
            self.rebuild(&members);
        }
    }

    /// No request begins here any more: the service has left the configuration.
    pub(crate) fn retire(&self) {
        self.members.borrow().iter().for_each(|member| member.retire());
    }

    fn rebuild(&self, old: &[Rc<Member>]) {
        let mut members: Vec<Rc<Member>> = Vec::new();
        let mut reweighed = false;
        for (endpoint, addresses) in self.settings.endpoints.iter().zip(self.resolved.borrow().iter()) {
            for address in addresses.iter().map(|ip| SocketAddr::new(*ip, endpoint.port)) {
                if members.iter().any(|member| member.address == address) {
                    continue; // two names for one address are one member
                }
                let kept = old.iter().find(|member| member.address == address);
                if let Some(member) = kept {
                    reweighed |= member.weight.replace(endpoint.weight) != endpoint.weight;
                }
                members.push(kept.cloned().unwrap_or_else(|| {
                    Rc::new(Member {
                        address,
                        address_text: address.to_string().into(),
                        series: Arc::clone(&self.series),
                        host: match &endpoint.host {
                            EndpointHost::Address(address) => address.to_string().into(),
                            EndpointHost::Name(name) => name.clone(),
                        },
                        carriers: Carriers::default(),
                        speaks_http1: Cell::new(false),
                        weight: Cell::new(endpoint.weight),
                        healthy: Cell::new(true),
                        retired: Cell::new(false),
                        in_flight: Cell::new(0),
                        own: Rc::default(),
                        idle: RefCell::default(),
                        open: self.counts.of(&self.settings.name, address),
                    })
                }));
            }
        }
        for member in old.iter().filter(|one| !members.iter().any(|member| Rc::ptr_eq(one, member))) {
            member.retire();
        }
        let same = !reweighed && {
            let current = self.members.borrow();
            current.len() == members.len() && current.iter().zip(&members).all(|(a, b)| Rc::ptr_eq(a, b))
        };
        if !same {
            let weights: Vec<u32> = members.iter().map(|member| member.weight.get()).collect();
            let mut balancer = Balancer::new(self.settings.algorithm, &weights);
            // The workers would otherwise all begin with the same one.
            balancer.start_anywhere(&mut fastrand::Rng::new());
            *self.balancer.borrow_mut() = balancer;
            *self.members.borrow_mut() = members;
            self.settle();
        }
    }

    /// Takes note of which addresses are not healthy now; they are sorted. Of all others nothing bad is known.
    pub(crate) fn take_note(&self, unhealthy: Option<&Arc<[(SocketAddr, Standing)]>>) {
        *self.unhealthy.borrow_mut() = unhealthy.cloned().unwrap_or_default();
        self.settle();
    }

    /// Settles which members take requests, so that no request has to count who is healthy.
    fn settle(&self) {
        let (members, unhealthy) = (self.members.borrow(), self.unhealthy.borrow());
        let standing = |member: &Member| {
            let place = unhealthy.binary_search_by_key(&member.address, |(address, _)| *address).ok();
            place.and_then(|place| unhealthy.get(place)).map_or(Standing::Healthy, |(_, standing)| *standing)
        };
        let healthy = members.iter().filter(|member| standing(member).is_healthy()).count();
        let panic = balance::is_panic(healthy, members.len());
        for member in members.iter() {
            member.healthy.set(balance::takes_requests(standing(member), panic));
        }
    }

    /// Chooses an address that takes requests and was not tried yet.
    pub(crate) fn pick(&self, rng: &mut fastrand::Rng, tried: &[SocketAddr]) -> Option<Rc<Member>> {
        let members = self.members.borrow();
        let index = self.balancer.borrow_mut().pick(
            rng,
            |index| members.get(index).map_or(0, |member| member.in_flight.get()),
            |index| members.get(index).is_some_and(|member| member.may_take(tried)),
        )?;
        members.get(index).cloned()
    }

    /// Whether there is an address that takes requests besides these.
    pub(crate) fn has_other_than(&self, tried: &[SocketAddr]) -> bool {
        self.members.borrow().iter().any(|member| member.may_take(tried))
    }

    /// Keeps a connection for the next request. The oldest goes when there are too many; this one, when all
    /// that may be open are open and another worker may be waiting for its turn.
    pub(crate) fn checkin(&self, member: &Member, connection: Box<Connection>, slot: OpenSlot, until: Tick) {
        let is_full = member.open.load(Ordering::Relaxed) >= self.settings.max_connections;
        if member.retired.get() || self.idle_share == 0 || (is_full && member.own.get() > self.open_share) {
            return;
        }
        let mut idle = member.idle.borrow_mut();
        if idle.len() >= self.idle_share {
            idle.remove(0);
        } else {
            member.series.idle.add(1);
        }
        idle.push(Idle { connection, slot, until });
    }

    /// Counts a request for the retry budget. `now` in milliseconds.
    pub(crate) fn on_request(&self, now: u64) {
        self.budget.borrow_mut().on_request(now);
    }

    /// Whether the retry budget allows one more.
    pub(crate) fn try_retry(&self, now: u64) -> bool {
        self.budget.borrow_mut().try_retry(now)
    }

    /// Closes kept connections that were unused for too long, or on which something happened.
    pub(crate) fn sweep(&self, now: Tick) {
        for member in self.members.borrow().iter() {
            let mut idle = member.idle.borrow_mut();
            let before = idle.len();
            idle.retain_mut(|idle| idle.until > now && idle.connection.transport.is_quiet());
            member.series.idle.add(idle.len() as i64 - before as i64);
            member.carriers.sweep(now, now.after(self.settings.timeouts.idle));
        }
    }
}

impl Member {
    /// Whether it may get a request that these were tried for already.
    #[inline]
    fn may_take(&self, tried: &[SocketAddr]) -> bool {
        self.healthy.get() && !tried.contains(&self.address)
    }

    /// Closes what is kept, and keeps nothing more.
    fn retire(&self) {
        self.retired.set(true);
        self.carriers.retire();
        let kept = std::mem::take(&mut *self.idle.borrow_mut());
        self.series.idle.add(-(kept.len() as i64));
    }

    /// Counts a request that is about to be sent here.
    pub(crate) fn begin(self: &Rc<Self>) -> InFlight {
        self.in_flight.set(self.in_flight.get() + 1);
        self.series.in_flight.add(1);
        InFlight(Rc::clone(self))
    }

    /// A kept connection on which nothing has happened, the most recently used first: it is the one
    /// least likely to be closed by the service at this moment.
    pub(crate) fn checkout(&self) -> Option<(Box<Connection>, OpenSlot)> {
        let mut idle = self.idle.borrow_mut();
        while let Some(mut entry) = idle.pop() {
            self.series.idle.add(-1);
            if entry.connection.transport.is_quiet() {
                return Some((entry.connection, entry.slot));
            }
        }
        None
    }

    /// Counts one more open connection, unless there are as many as allowed.
    pub(crate) fn reserve(&self, most: usize) -> Option<OpenSlot> {
        let reserved = self
            .open
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| (open < most).then_some(open + 1));
        reserved.ok().map(|_| {
            self.own.set(self.own.get() + 1);
            self.series.open.add(1);
            OpenSlot {
                all: Arc::clone(&self.open),
                own: Rc::clone(&self.own),
                series: Arc::clone(&self.series),
            }
        })
    }
}
