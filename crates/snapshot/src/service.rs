//! Services: endpoints and how to reach them.

use std::net::IpAddr;
use std::time::Duration;

use message::{GrpcStatus, Method};

use crate::Health;

/// The position of a service in `Snapshot::services`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct ServiceIndex(pub usize);

/// A named set of endpoints. Live state is keyed by the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The name, unique in a configuration.
    pub name: Box<str>,
    /// The endpoints, in the order of the configuration.
    pub endpoints: Vec<Endpoint>,
    /// Where the gateway is: addresses that a source finds there are near.
    pub zone: Option<Box<str>>,
    /// The version of HTTP that it speaks.
    pub protocol: Protocol,
    /// Encryption; `None` for none.
    pub tls: Option<tls::Client>,
    /// The address of the client is sent in front of each connection; then no connection is used for two clients.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// How to choose one.
    pub algorithm: balance::Algorithm,
    /// What requests that belong together have in common, where one is chosen by that.
    pub hash_by: Option<RequestKey>,
    /// How clients stay with one, if they do.
    pub sticky: Option<Sticky>,
    /// How long the service may take.
    pub timeouts: ServiceTimeouts,
    /// Most open connections to one address, over all workers.
    pub max_connections: usize,
    /// Most kept connections to one address, over all workers.
    pub idle_connections: usize,
    /// What may be tried again.
    pub retries: Retries,
    /// How its addresses are probed; `None` for not at all.
    pub health: Option<Health>,
    /// When an address gets no requests for a while; `None` for never.
    pub ejection: Option<balance::Ejection>,
    /// When another address is asked because an answer takes long; `None` for never.
    pub hedge: Option<Hedge>,
    /// How many requests it gets at a time; `None` for no limit.
    pub concurrency: Option<Concurrency>,
    /// When it gets nothing for a while; `None` for never.
    pub breaker: Option<balance::breaker::Settings>,
    /// How long an address gets fewer requests than its share after it has come; zero for not at all.
    pub slow_start: Duration,
}

impl Service {
    /// A service with its endpoints and nothing else: each gets its turn, nothing is limited or tried again, and
    /// everything may take a second.
    pub fn plain(name: &str, endpoints: Vec<Endpoint>) -> Service {
        let second = Duration::from_secs(1);
        Service {
            name: name.into(),
            endpoints,
            zone: None,
            protocol: Protocol::Http1,
            tls: None,
            proxy_protocol: None,
            algorithm: balance::Algorithm::RoundRobin,
            hash_by: None,
            sticky: None,
            timeouts: ServiceTimeouts {
                connect: second,
                response: second,
                stream: second,
                idle: second,
                request: None,
                tunnel: second,
            },
            max_connections: usize::MAX,
            idle_connections: usize::MAX,
            retries: Retries::none(),
            health: None,
            ejection: None,
            hedge: None,
            concurrency: None,
            breaker: None,
            slow_start: Duration::ZERO,
        }
    }
}

/// When another address is asked because an answer takes long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hedge {
    /// After this time.
    After(Duration),
    /// After as long as so many of a thousand answers do not take.
    Quantile(u32),
}

/// How many requests a service gets at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Concurrency {
    /// How many.
    pub limit: Limit,
    /// How many may wait, in each worker.
    pub queue: u32,
    /// How long one may wait.
    pub max_wait: Duration,
}

/// A limit of requests at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// As many as a service takes without slowing down.
    Adaptive,
    /// This many, of all workers together.
    Fixed(u32),
}

/// How clients stay with one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sticky {
    /// The cookie that they get.
    pub cookie: Box<str>,
    /// How long it is kept; `None` for as long as the client is open.
    pub ttl: Option<Duration>,
    /// The key that it is made with; `None` for one of the process.
    pub secret: Option<document::Secret>,
}

/// What requests that belong together have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestKey {
    /// A header, by its name in lower case.
    Header(Box<str>),
    /// A cookie.
    Cookie(Box<str>),
    /// A parameter of the query.
    Query(Box<str>),
    /// The path.
    Path,
    /// The address of the client.
    ClientIp,
    /// Who is calling.
    Consumer,
}

/// The version of HTTP that a service speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// HTTP/1.1
    #[default]
    Http1,
    /// HTTP/2: by ALPN where connections are encrypted, by prior knowledge where they are not.
    Http2,
    /// What ALPN says; HTTP/1.1 without it.
    Auto,
}

/// The version of the PROXY protocol that is sent to a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// Version 1, text.
    V1,
    /// Version 2, binary.
    V2,
}

/// One endpoint as the user wrote it. A name may stand for several addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Address or name.
    pub host: EndpointHost,
    /// The port.
    pub port: u16,
    /// Its share among the endpoints.
    pub weight: u32,
    /// It is in the zone of the gateway.
    pub is_local: bool,
    /// `host:port` for the Host field of requests that came without one.
    pub authority: Box<str>,
}

/// Where an endpoint is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndpointHost {
    /// At an address.
    Address(IpAddr),
    /// At whatever a name stands for now.
    Name(Box<str>),
    /// At all addresses that a source knows.
    Source(Source),
}

impl EndpointHost {
    /// What it is known by to those who look it up; `None` for an address.
    pub fn key(&self) -> Option<&str> {
        match self {
            EndpointHost::Address(_) => None,
            EndpointHost::Name(name) => Some(name),
            EndpointHost::Source(source) => Some(&source.key),
        }
    }
}

/// Where addresses come from that are not written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// What it is known by: two that are the same have the same.
    pub key: Box<str>,
    /// What it is.
    pub kind: SourceKind,
}

impl Source {
    /// With the key that it has.
    pub fn new(kind: SourceKind) -> Source {
        let key = match &kind {
            SourceKind::Dns { name, every: None } => name.to_string(),
            SourceKind::Dns { name, every: Some(every) } => format!("{name} every {} ms", every.as_millis()),
            SourceKind::Srv { name, every: None } => format!("SRV {name}"),
            SourceKind::Srv { name, every: Some(every) } => {
                format!("SRV {name} every {} ms", every.as_millis())
            }
            SourceKind::File { path } => format!("file {path}"),
        };
        Source { key: key.into(), kind }
    }
}

/// A kind of source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceKind {
    /// The addresses of a name.
    Dns {
        /// The name.
        name: Box<str>,
        /// How often to ask; `None` for when the answer expires.
        every: Option<Duration>,
    },
    /// What SRV records say (RFC 2782).
    Srv {
        /// The name.
        name: Box<str>,
        /// As above.
        every: Option<Duration>,
    },
    /// What a file says.
    File {
        /// Its path.
        path: Box<str>,
    },
}

/// How long a service may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceTimeouts {
    /// To accept a connection.
    pub connect: Duration,
    /// From the whole request to the whole head of the response.
    pub response: Duration,
    /// Between two parts of a response body.
    pub stream: Duration,
    /// How long an unused connection is kept.
    pub idle: Duration,
    /// For the whole exchange, all attempts together; `None` for no limit.
    pub request: Option<Duration>,
    /// How long nothing may pass through an upgraded connection.
    pub tunnel: Duration,
}

/// What may be tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retries {
    /// Further attempts after the first.
    pub attempts: u32,
    /// After what.
    pub on: RetryOn,
    /// Only these methods.
    pub methods: Vec<Box<str>>,
    /// For each attempt, up to the head of the response.
    pub per_try: Option<Duration>,
    /// Whether the same address is asked again where there is no other one.
    pub again: bool,
    /// The longest pause before an address is asked a second time.
    pub backoff: Duration,
    /// Share of retries among requests, in percent.
    pub budget: u32,
}

impl Retries {
    /// Nothing is tried again.
    pub fn none() -> Retries {
        Retries {
            attempts: 0,
            on: RetryOn::default(),
            methods: Vec::new(),
            per_try: None,
            again: false,
            backoff: Duration::ZERO,
            budget: 0,
        }
    }

    /// Whether a request may be sent again after some of its body was: not only when no connection could be opened.
    pub fn repeats_answers(&self) -> bool {
        self.attempts > 0
            && (self.on.reset || self.on.stall || self.on.timeout || !self.on.statuses.is_empty())
    }

    /// Whether requests of this method may be repeated after the service may have seen them.
    pub fn allows(&self, method: Method, text: &[u8]) -> bool {
        if self.methods.is_empty() {
            return method.is_idempotent();
        }
        self.methods.iter().any(|allowed| allowed.as_bytes() == text)
    }
}

/// After what an attempt may be followed by another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RetryOn {
    /// No connection could be opened.
    pub connect_failure: bool,
    /// The connection broke before anything was answered.
    pub reset: bool,
    /// Nothing comes from the address any more.
    pub stall: bool,
    /// No answer within `per_try`.
    pub timeout: bool,
    /// The service answered one of these.
    pub statuses: Vec<u16>,
    /// A gRPC call ended with one of these, before any message.
    pub grpc: Vec<GrpcStatus>,
}
