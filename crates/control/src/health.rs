//! Probes of services: who is probed, how each address stands, and who is told.
//!
//! One task probes one address of one service, here and never in a worker. What it finds goes into a table; workers are
//! told which addresses are not healthy, as a whole list each time, so that nothing depends on the order of events. How
//! an address stands survives a reload for as long as its service is probed. Entry point: [`Probes`]; one probe is in
//! `health/ask.rs`.

mod ask;
mod grpc;
mod http;
mod publish;
mod table;

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use dataplane::{Order, ServiceHealth as Unhealthy};
use snapshot::{Endpoint, EndpointHost, Snapshot};
use telemetry::Metrics;
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::Report;
use crate::names::Known as KnownNames;
use ask::{Manner, Target, ask};
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
}

/// What all probes share.
struct Shared {
    table: Table,
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
        queues: &[mpsc::Sender<Order>],
        metrics: &Arc<Metrics>,
        report: &Report,
    ) -> Probes {
        let shared = Rc::new_cyclic(|shared| Shared {
            table: Table::default(),
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
        Probes { shared, follower }
    }

    /// Probes what a snapshot says, from now on, and nothing else. How an address stands stays known.
    pub(crate) fn adopt(&self, snapshot: &Snapshot) {
        let probed = snapshot.services.iter().filter_map(|service| {
            let manner = Manner::of(service)?;
            Some((Arc::<str>::from(&*service.name), manner, service.endpoints.clone()))
        });
        let names = self.shared.table.adopt(probed);
        let names: Vec<&str> = names.iter().map(|name| &**name).collect();
        self.shared.metrics.health().use_now(&names);
        watch(&self.shared);
    }

    /// Which addresses are not healthy, of all services that have such.
    pub(crate) fn known(&self) -> Vec<Unhealthy> {
        self.shared.table.unhealthy()
    }

    /// What is known, as it changes.
    pub(crate) fn share(&self) -> Known {
        Known(Some(Rc::clone(&self.shared)))
    }

    /// Probes nothing any more.
    pub(crate) fn stop(&self) {
        self.follower.0.abort();
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

impl Known {
    /// What probes say of a service; `None` if it is not probed.
    pub(crate) fn of(&self, service: &str) -> Option<ServiceHealth> {
        self.0.as_ref()?.table.of(service)
    }
}

impl std::fmt::Debug for Known {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Known")
    }
}

/// Makes a probe for every address that endpoints stand for now, and lets those end that are not needed any more.
fn watch(shared: &Rc<Shared>) {
    let targets = |endpoints: &[Endpoint]| {
        let known = shared.names.borrow();
        let of = |endpoint: &Endpoint| {
            let (addresses, host) = match &endpoint.host {
                EndpointHost::Address(address) => (vec![*address], address.to_string().into()),
                EndpointHost::Name(name) => {
                    let resolved = known.get(&**name);
                    (resolved.map(|one| one.addresses.to_vec()).unwrap_or_default(), name.clone())
                }
            };
            let target = |ip| Target {
                address: SocketAddr::new(ip, endpoint.port),
                host: Box::clone(&host),
                authority: endpoint.authority.clone(),
            };
            addresses.into_iter().map(target).collect::<Vec<_>>()
        };
        endpoints.iter().flat_map(of).collect()
    };
    let start = |service: &Arc<str>, manner: &Rc<Manner>, watched: &Rc<Watched>| {
        let probing = probe(Rc::clone(shared), Arc::clone(service), Rc::clone(manner), Rc::clone(watched));
        Task(tokio::task::spawn_local(probing))
    };
    for service in shared.table.watch(targets, start) {
        count(shared, &service);
        shared.publishers.publish(&service);
    }
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
