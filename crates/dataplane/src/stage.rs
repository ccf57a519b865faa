//! A snapshot made ready for one worker: everything that can be prepared elsewhere is.
//!
//! The control thread stages a snapshot for every worker and then sends it; a worker only switches over.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::udp::StagedUdp;
use balance::Outage;
use snapshot::Snapshot;
use telemetry::{
    Attached, ConsumerSeries, ListenerSeries, LogBuffer, Metrics, RouteKey, RouteSeries, ServiceSeries,
};

/// Names a listener for as long as it exists, whatever else a snapshot changes about it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ListenerId(pub u64);

/// A listener of a snapshot. Its settings are at the same position in `Snapshot::listeners`.
#[derive(Debug)]
pub struct StagedListener {
    /// Which one.
    pub id: ListenerId,
    /// What is counted of it, by all workers together.
    pub series: Arc<ListenerSeries>,
    /// A socket for this worker, if it has none of this listener yet.
    pub socket: Option<std::net::TcpListener>,
    /// The same for HTTP/3.
    pub udp: Option<StagedUdp>,
}

/// What a name or source of endpoints stands for.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// What it is known by: `EndpointHost::key`.
    pub key: Arc<str>,
    /// Its addresses.
    pub found: Arc<[Found]>,
}

/// An address that a name or source stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The address.
    pub ip: IpAddr,
    /// The port, where it is not that of the endpoint.
    pub port: Option<u16>,
    /// The weight, where it is not that of the endpoint.
    pub weight: Option<u32>,
    /// Where it is.
    pub zone: Option<Arc<str>>,
}

impl Found {
    /// An address of which nothing else is known.
    pub fn plain(ip: IpAddr) -> Found {
        Found { ip, port: None, weight: None, zone: None }
    }

    /// Where an endpoint with this port is reached.
    pub fn address(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.ip, self.port.unwrap_or(port))
    }
}

/// Which addresses of a service are to get no requests.
#[derive(Clone, Debug)]
pub struct ServiceOutages {
    /// The name of the service.
    pub service: Arc<str>,
    /// All of them, sorted by address, and why.
    pub outages: Arc<[(SocketAddr, Outage)]>,
}

/// What a worker gets besides the snapshot that all share.
#[derive(Debug)]
pub struct Part {
    /// Its sockets.
    pub listeners: Vec<StagedListener>,
    /// Its buffer for the access log.
    pub log: Option<LogBuffer>,
}

/// A snapshot for one worker.
#[derive(Debug)]
pub struct Stage {
    pub(crate) snapshot: Arc<Snapshot>,
    /// For each route, for each of its ways.
    pub(crate) routes: Vec<Vec<Arc<RouteSeries>>>,
    pub(crate) unrouted: Arc<RouteSeries>,
    pub(crate) services: Vec<Arc<ServiceSeries>>,
    pub(crate) consumers: Vec<Arc<ConsumerSeries>>,
    pub(crate) listeners: Vec<StagedListener>,
    pub(crate) log: Option<LogBuffer>,
    pub(crate) resolved: Vec<Resolved>,
    /// Of services with addresses that are to get no requests.
    pub(crate) outages: Vec<ServiceOutages>,
    /// Counts up with every snapshot, the same for all workers.
    pub(crate) generation: usize,
}

impl Stage {
    /// Stages a snapshot for every worker. Series of what was there before go on counting; `names` are those of the
    /// listeners. What names of endpoints stand for is known from the first request on.
    pub fn all(
        snapshot: &Arc<Snapshot>,
        generation: usize,
        metrics: &Metrics,
        names: &[(Box<str>, Arc<ListenerSeries>)],
        resolved: &[Resolved],
        parts: Vec<Part>,
    ) -> Vec<Stage> {
        let service_name = |index: snapshot::ServiceIndex| {
            snapshot.services.get(index.0).map_or("", |service| &*service.name)
        };
        let keys_of = |route: &Arc<snapshot::Route>| {
            let ways = 0..route.action.ways();
            let keys = ways
                .map(|way| RouteKey::new(&route.name, route.action.service(way).map_or("", service_name)));
            keys.collect::<Vec<_>>()
        };
        let mut keys: Vec<RouteKey> = snapshot.routes.iter().flat_map(keys_of).collect();
        keys.push(RouteKey::new("", ""));
        let consumers: Vec<&str> = snapshot.consumers.names().collect();
        let services: Vec<&str> = snapshot.services.iter().map(|service| &*service.name).collect();
        let attached = metrics.attach(&keys, &services, &consumers, names);
        let stage = |(attached, part)| Stage {
            generation,
            resolved: resolved.to_vec(),
            ..Stage::new(Arc::clone(snapshot), attached, part)
        };
        attached.into_iter().zip(parts).map(stage).collect()
    }

    /// Takes note of what names stand for now, and of services with addresses that are to get no requests; `known` is
    /// sorted by key.
    pub fn know(&mut self, known: Vec<Resolved>, outages: Vec<ServiceOutages>) {
        self.resolved = known;
        self.outages = outages;
    }

    fn new(snapshot: Arc<Snapshot>, attached: Attached, part: Part) -> Stage {
        let Part { listeners, log } = part;
        let Attached { routes: mut series, services, consumers } = attached;
        let unrouted = series.pop().unwrap_or_default();
        let mut series = series.into_iter();
        let routes =
            snapshot.routes.iter().map(|route| series.by_ref().take(route.action.ways()).collect()).collect();
        Stage {
            snapshot,
            routes,
            unrouted,
            services,
            consumers,
            listeners,
            log,
            resolved: Vec::new(),
            outages: Vec::new(),
            generation: 0,
        }
    }
}
