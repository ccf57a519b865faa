//! Which addresses get no requests: what probes say, what became of requests, what an operator has said, and who is told.
//!
//! One task probes one address of one service, here and never in a worker; another one looks at what workers have
//! counted. What they find goes into tables; workers are told which addresses are to get no requests, as a whole list
//! each time, so that nothing depends on the order of events. What is known of an address survives a reload for as long
//! as its service does. Entry point: [`Probes`]; one probe is in `health/ask.rs`, ejection in `health/eject.rs`.

mod ask;
mod breakers;
mod eject;
mod grpc;
mod http;
mod publish;
mod table;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use balance::breaker::{State, Transition};
use balance::{Change, Outage};
use dataplane::{Order, ServiceOutages, Shared as Workers};
use snapshot::{Endpoint, EndpointHost, Snapshot, Source, SourceKind};
use telemetry::Metrics;
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::Report;
use crate::names::{self, Known as KnownNames};
use ask::{Manner, Target, ask};
use breakers::Breakers;
pub use eject::Ejected;
use eject::{Ejector, LOOK};
use publish::Publishers;
pub use table::{AddressHealth, LastProbe, ServiceHealth};
use table::{Note, Table, Watched};

/// Probes that may be under way at a time.
const AT_A_TIME: usize = 128;

/// Ends with whoever holds it.
#[derive(Debug)]
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// All probes of a gateway.
pub(crate) struct Probes {
    shared: Rc<Shared>,
    /// Follows the addresses that names stand for.
    follower: Task,
    /// Looks at what workers have counted.
    judge: Task,
}

/// What all probes share.
struct Shared {
    table: Table,
    ejector: Ejector,
    breakers: Breakers,
    workers: Arc<Workers>,
    began: Instant,
    names: KnownNames,
    permits: Semaphore,
    publishers: Publishers,
    metrics: Arc<Metrics>,
    report: Report,
}

/// What is known of the health of services, as it changes.
#[derive(Clone, Default)]
pub(crate) struct Known(Option<Rc<Shared>>);

impl Probes {
    /// None yet. `names` are what endpoints stand for, and `changes` hears when that changes; `queues` are those of the
    /// workers.
    pub(crate) fn new(
        names: KnownNames,
        changes: Rc<Notify>,
        workers: &Arc<Workers>,
        queues: &[mpsc::Sender<Order>],
        metrics: &Arc<Metrics>,
        report: &Report,
    ) -> Probes {
        let shared = Rc::new_cyclic(|shared| Shared {
            table: Table::default(),
            ejector: Ejector::default(),
            breakers: Breakers::default(),
            workers: Arc::clone(workers),
            began: Instant::now(),
            names,
            permits: Semaphore::new(AT_A_TIME),
            publishers: Publishers::new(queues, shared),
            metrics: Arc::clone(metrics),
            report: Rc::clone(report),
        });
        let follow = Rc::downgrade(&shared);
        let follower = Task(tokio::task::spawn_local(async move {
            loop {
                changes.notified().await;
                let Some(shared) = follow.upgrade() else { return };
                watch(&shared);
            }
        }));
        let look = Rc::downgrade(&shared);
        let judge = Task(tokio::task::spawn_local(async move {
            let mut interval = tokio::time::interval(LOOK);
            interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                interval.tick().await;
                let Some(shared) = look.upgrade() else { return };
                judge(&shared);
            }
        }));
        Probes { shared, follower, judge }
    }

    /// Probes what a snapshot says, from now on, and nothing else. How an address stands stays known.
    pub(crate) fn adopt(&self, snapshot: &Snapshot) {
        let probed = snapshot.services.iter().filter_map(|service| {
            let manner = Manner::of(service)?;
            Some((Arc::<str>::from(&*service.name), manner, service.endpoints.clone()))
        });
        let names = self.shared.table.adopt(probed);
        self.shared.ejector.adopt(&snapshot.services);
        self.shared.breakers.adopt(&snapshot.services, |service| self.shared.workers.fuse(service));
        let names: Vec<&str> = names.iter().map(|name| &**name).collect();
        self.shared.metrics.health().use_now(&names);
        let all: Vec<&str> = snapshot.services.iter().map(|service| &*service.name).collect();
        self.shared.metrics.ejections().use_now(&all);
        watch(&self.shared);
    }

    /// Which addresses are to get no requests, of all services that have such.
    pub(crate) fn known(&self) -> Vec<ServiceOutages> {
        let all = self.shared.ejector.names().into_iter().map(|service| self.shared.outages_of(&service));
        all.filter(|one| !one.outages.is_empty()).collect()
    }

    /// What is known, as it changes.
    pub(crate) fn share(&self) -> Known {
        Known(Some(Rc::clone(&self.shared)))
    }

    /// Probes nothing any more.
    pub(crate) fn stop(&self) {
        self.follower.0.abort();
        self.judge.0.abort();
        self.shared.publishers.stop();
        drop(self.shared.table.adopt(std::iter::empty()));
    }
}

impl Drop for Probes {
    fn drop(&mut self) {
        self.stop();
    }
}

impl std::fmt::Debug for Probes {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Probes")
    }
}

/// Why an address is not drained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrainError {
    /// There is no such service.
    Service,
    /// It has no such address.
    Address,
}

impl Known {
    /// What probes say of a service; `None` if it is not probed.
    pub(crate) fn of(&self, service: &str) -> Option<ServiceHealth> {
        self.0.as_ref()?.table.of(service)
    }

    /// Which addresses of a service are to get no requests, and why.
    pub(crate) fn outages_of(&self, service: &str) -> Vec<(SocketAddr, Outage)> {
        let outages = self.0.as_ref().map(|shared| shared.outages_of(&service.into()).outages);
        outages.map(|outages| outages.to_vec()).unwrap_or_default()
    }

    /// What the circuit breaker of a service lets pass; `None` if it has none.
    pub(crate) fn circuit_of(&self, service: &str) -> Option<State> {
        self.0.as_ref()?.breakers.state_of(service)
    }

    /// Which addresses of a service are ejected.
    pub(crate) fn ejected_of(&self, service: &str) -> Vec<Ejected> {
        self.0.as_ref().map(|shared| shared.ejector.ejected_of(service, shared.now())).unwrap_or_default()
    }

    /// Gives an address of a service no new requests any more, or again.
    pub(crate) fn drain(&self, service: &str, address: SocketAddr, drains: bool) -> Result<(), DrainError> {
        let Some(shared) = &self.0 else { return Err(DrainError::Service) };
        let endpoints = shared.ejector.endpoints_of(service).ok_or(DrainError::Service)?;
        let is_known = shared.ejector.drained_of(service).contains(&address)
            || targets(shared, &endpoints).iter().any(|target| target.address == address);
        if !is_known {
            return Err(DrainError::Address);
        }
        if shared.ejector.drain(service, address, drains) == Some(true) {
            let what = if drains {
                "is drained: it gets no new requests until it is undrained"
            } else {
                "is undrained: it gets requests again"
            };
            (shared.report)(format!("service {service}: {address} {what}"));
            shared.tell(&service.into());
        }
        Ok(())
    }
}

impl Shared {
    /// Which addresses of a service are to get no requests. The graver reason counts.
    fn outages_of(&self, service: &Arc<str>) -> ServiceOutages {
        let mut all: BTreeMap<SocketAddr, Outage> = self.table.outages_of(service).into_iter().collect();
        for (address, outage) in self.ejector.outages_of(service) {
            all.entry(address).and_modify(|known| *known = outage.max(*known)).or_insert(outage);
        }
        ServiceOutages { service: Arc::clone(service), outages: all.into_iter().collect() }
    }

    /// Workers hear of a service, and so do those who read numbers.
    fn tell(&self, service: &Arc<str>) {
        let (ejected, drained) = (self.ejector.ejected_of(service, 0), self.ejector.drained_of(service));
        self.metrics.ejections().counted(service, ejected.len(), drained.len());
        self.publishers.publish(service);
    }

    /// Milliseconds since the start.
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Looks at what workers have counted, and ejects who does badly.
fn judge(shared: &Shared) {
    let addresses = |endpoints: &[Endpoint]| {
        let known = shared.names.borrow();
        endpoints.iter().flat_map(|endpoint| names::addresses_of(endpoint, &known)).collect()
    };
    let tallies = |service: &str, addresses: &[SocketAddr]| shared.workers.tallies(service, addresses);
    let now = shared.now();
    for (service, transition) in shared.breakers.look(addresses, tallies, now) {
        let state = shared.breakers.state_of(&service).unwrap_or(State::Closed);
        shared.metrics.ejections().circuit(&service, state);
        let line = match transition {
            Transition::Opened { until_ms } => {
                let seconds = until_ms.saturating_sub(now).div_ceil(1000);
                format!("too much fails: its circuit is open, and it gets nothing for {seconds} s")
            }
            Transition::HalfOpened => {
                "its circuit is half-open: a few requests try whether it works".to_owned()
            }
            Transition::Closed => "its circuit is closed: it works again".to_owned(),
        };
        (shared.report)(format!("service {service}: {line}"));
    }
    let is_down = |service: &str, address| shared.table.is_down(service, address);
    for (service, change) in shared.ejector.look(addresses, tallies, is_down, now) {
        let line = match change {
            Change::Ejected(address, cause, for_ms) => {
                shared.metrics.ejections().ejected(&service, cause);
                format!("{address} is ejected for {} s: {cause}", for_ms.div_ceil(1000))
            }
            Change::Returned(address) => format!("{address} gets requests again"),
            Change::Gone(address) => format!("{address} was ejected, and is gone"),
        };
        (shared.report)(format!("service {service}: {line}"));
        shared.tell(&service);
    }
}

impl std::fmt::Debug for Known {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Known")
    }
}

/// Makes a probe for every address that endpoints stand for now, and lets those end that are not needed any more.
fn watch(shared: &Rc<Shared>) {
    let start = |service: &Arc<str>, manner: &Rc<Manner>, watched: &Rc<Watched>| {
        let probing = probe(Rc::clone(shared), Arc::clone(service), Rc::clone(manner), Rc::clone(watched));
        Task(tokio::task::spawn_local(probing))
    };
    for service in shared.table.watch(|endpoints| targets(shared, endpoints), start) {
        count(shared, &service);
        shared.publishers.publish(&service);
    }
}

/// What endpoints stand for now.
fn targets(shared: &Shared, endpoints: &[Endpoint]) -> Vec<Target> {
    let known = shared.names.borrow();
    let of = |endpoint: &Endpoint| {
        let name = match &endpoint.host {
            EndpointHost::Name(name) => Some(name.clone()),
            EndpointHost::Source(Source { kind: SourceKind::Dns { name, .. }, .. }) => Some(name.clone()),
            EndpointHost::Address(_) | EndpointHost::Source(_) => None,
        };
        let target = |address: SocketAddr| Target {
            address,
            host: name.clone().unwrap_or_else(|| address.ip().to_string().into()),
            authority: endpoint.authority.clone(),
        };
        names::addresses_of(endpoint, &known).into_iter().map(target).collect::<Vec<_>>()
    };
    endpoints.iter().flat_map(of).collect()
}

/// Probes one address until it is told to end, the first time at once.
async fn probe(shared: Rc<Shared>, service: Arc<str>, manner: Rc<Manner>, watched: Rc<Watched>) {
    loop {
        let Ok(permit) = shared.permits.acquire().await else { return };
        let began = Instant::now();
        let outcome = ask(&manner, &watched.target).await;
        drop(permit);
        shared.metrics.health().probed(&service, ask::result(&outcome));
        let note = watched.note(outcome, manner.health.thresholds);
        if let Some(Note { line, .. }) = &note {
            (shared.report)(format!("service {service}: {} {line}", watched.target.address));
            count(&shared, &service);
            shared.publishers.publish(&service);
        }
        let pause = balance::interval(manner.health.every, fastrand::u32(..));
        tokio::time::sleep_until(began + pause).await;
    }
}

/// Counts who is healthy, and says so if that means another choice for requests.
fn count(shared: &Shared, service: &str) {
    let Some(counts) = shared.table.count(service) else { return };
    shared.metrics.health().counted(service, counts.healthy, counts.all - counts.healthy);
    if let Some(line) = counts.line {
        (shared.report)(format!("service {service}: {line}"));
    }
}
