//! The compiled, immutable form of a configuration that requests use.
//!
//! A snapshot is made by `compile` and read by the data plane. It holds no live state: connections,
//! counters and balancers are keyed by names found here and live with the workers. Entry point:
//! [`Snapshot`].

mod acme;
mod health;
mod route;
mod service;
mod succession;
mod template;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use document::Secret;

pub use acme::{Acme, AcmeChallenge, AcmeShared};
pub use health::{Health, Probe};
pub use route::{Action, Mirror, Redirect, Route, Split, Target};
pub use service::{
    Concurrency, Endpoint, EndpointHost, Hedge, Limit, Protocol, ProxyProtocol, RequestKey, Retries, RetryOn,
    Service, ServiceIndex, ServiceTimeouts, Source, SourceKind, Sticky,
};
pub use template::{Piece, Template};

/// When requests are refused because the gateway itself has too much to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Overload {
    /// A worker that comes back to its work so much too late has too much of it; `None` for never.
    pub lag: Option<Duration>,
    /// So much of the memory is too much, in percent; `None` for never.
    pub memory_percent: Option<u32>,
}

/// A whole configuration, ready to serve.
#[derive(Debug)]
pub struct Snapshot {
    /// The addresses that accept connections.
    pub listeners: Vec<Listener>,
    /// Finds the route of a request; its indices point into `routes`.
    pub router: router::Router,
    /// The routes, in the order of the configuration. A request holds on to its route alone, so that a long one
    /// does not keep a whole snapshot.
    pub routes: Vec<Arc<Route>>,
    /// The policies of the gateway, for answers to requests that no route took.
    pub gateway: policy::Chain,
    /// Who may be calling.
    pub consumers: Arc<policy::Consumers>,
    /// Whose keys are fetched.
    pub providers: Arc<policy::Providers>,
    /// What clients cannot send, or services do not get.
    pub reserved: Arc<policy::Reserved>,
    /// The services, by index.
    pub services: Vec<Service>,
    /// Peers whose claims about clients are believed.
    pub trusted_proxies: TrustedProxies,
    /// How many workers to start; `None` for one per core.
    pub workers: Option<usize>,
    /// The folder for what must survive a restart.
    pub state_dir: Option<std::path::PathBuf>,
    /// When requests are refused because the gateway itself has too much to do.
    pub overload: Overload,
    /// How long connections are still accepted when the process is told to stop.
    pub delay: Duration,
    /// How long requests may go on after that.
    pub drain: Duration,
    /// Where those who run the gateway are answered.
    pub admin: Admin,
    /// Where gateways share state; `None` for nowhere.
    pub state: Option<store::Settings>,
    /// Where a line for each request goes; `None` for nowhere.
    pub access_log: Option<telemetry::Target>,
    /// Name servers to ask; empty for those of the system.
    pub name_servers: Vec<SocketAddr>,
    /// What orders of certificates share with the data plane.
    pub acme: AcmeShared,
}

impl Snapshot {
    /// Every policy in use, as often as some route has it.
    pub fn links(&self) -> impl Iterator<Item = &policy::Link> {
        let routes =
            self.routes.iter().flat_map(|route| route.action.chains().flat_map(policy::Chain::links));
        self.gateway.links().iter().chain(routes)
    }

    /// Whether something has to be kept of what is used up.
    pub fn has_quotas(&self) -> bool {
        self.links().any(|link| link.policy.has_quota())
    }
}

/// Where those who run the gateway are answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// The address; `None` for none.
    pub address: Option<SocketAddr>,
    /// What has to be shown; `None` where nothing has to.
    pub token: Option<Secret>,
    /// Whether the address was written down. One that was not may be taken: then there is none.
    pub explicit: bool,
}

/// An address that accepts connections, with what holds for each of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Where to listen; port 0 for any free one.
    pub address: SocketAddr,
    /// The versions of HTTP that are spoken.
    pub protocols: Protocols,
    /// Encryption; `None` for none.
    pub tls: Option<tls::Server>,
    /// Whether its clients have certificates.
    pub client_certificates: ClientCertificates,
    /// Whether services are told of the certificates that its clients show.
    pub forwards_certificates: bool,
    /// Certificates that are ordered for it.
    pub acme: Option<Acme>,
    /// Whether connections begin with the address of the client (PROXY protocol), from peers that may say so.
    pub proxy_protocol: bool,
    /// Sends clients to the same URL with `https`, at this port.
    pub redirect_https: Option<u16>,
    /// What a client may use.
    pub limits: ListenerLimits,
    /// How long a client may take.
    pub timeouts: ListenerTimeouts,
}

/// Whether clients have to show certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientCertificates {
    /// They are not asked.
    #[default]
    Unasked,
    /// They are asked, and connect without one too.
    Optional,
    /// Nobody connects without one.
    Required,
}

/// The versions of HTTP that a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protocols {
    /// HTTP/1.1 and 1.0.
    pub http1: bool,
    /// HTTP/2: by ALPN where connections are encrypted, by prior knowledge where they are not.
    pub http2: bool,
    /// HTTP/3, on UDP at the same port.
    pub http3: bool,
}

/// What one client may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerLimits {
    /// Most open connections of the listener, over all workers.
    pub connections: usize,
    /// Most bytes of a request head.
    pub header_bytes: usize,
    /// Most header fields.
    pub headers: usize,
    /// Most requests at a time on one connection, where it can carry several.
    pub streams: u32,
    /// Most bytes of a request target.
    pub uri: usize,
    /// Bytes per second that a body has to make on average; 0 for no such limit.
    pub min_rate: u64,
}

/// How long a client may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerTimeouts {
    /// For the whole head of a request.
    pub header: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// For the next bytes of a body.
    pub body: Duration,
    /// To take the next bytes of a response.
    pub send: Duration,
}

/// Networks whose peers are believed.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Vec<ipnet::IpNet>);

impl TrustedProxies {
    /// From a list of networks.
    pub fn new(networks: Vec<ipnet::IpNet>) -> TrustedProxies {
        TrustedProxies(networks)
    }

    /// Whether an address is in one of the networks. IPv4 in IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}
