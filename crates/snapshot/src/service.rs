//! Services: endpoints and how to reach them.

use std::net::IpAddr;
use std::time::Duration;

use message::{GrpcStatus, Method};

use crate::Health;

/// The position of a service in `Snapshot::services`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct ServiceIndex(pub usize);

/// A named set of endpoints. Live state is keyed by the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The name, unique in a configuration.
    pub name: Box<str>,
    /// The endpoints, in the order of the configuration.
    pub endpoints: Vec<Endpoint>,
    /// The version of HTTP that it speaks.
    pub protocol: Protocol,
    /// Encryption; `None` for none.
    pub tls: Option<tls::Client>,
    /// The address of the client is sent in front of each connection; then no connection is used for two clients.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// How to choose one.
    pub algorithm: balance::Algorithm,
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
    /// Share of retries among requests, in percent.
    pub budget: u32,
}

impl Retries {
    /// Whether a request may be sent again after some of its body was: not only when no connection could be opened.
    pub fn repeats_answers(&self) -> bool {
        self.attempts > 0 && (self.on.reset || self.on.timeout || !self.on.statuses.is_empty())
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
    /// No answer within `per_try`.
    pub timeout: bool,
    /// The service answered one of these.
    pub statuses: Vec<u16>,
    /// A gRPC call ended with one of these, before any message.
    pub grpc: Vec<GrpcStatus>,
}
