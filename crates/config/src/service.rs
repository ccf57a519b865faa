//! `services`: what stands behind the gateway, and how it is reached.

use diagnostics::{Code, Diagnostic, Diagnostics, Spanned};
use document::{Decode, Node, OneOrMany, Percent, Shape, keywords, section};
use message::GrpcStatus;

use crate::endpoint::Endpoint;
use crate::health::Health;
use crate::policies::Policies;
use crate::timeout::Timeout;
use crate::tls::ServiceTls;

section! {
    /// A named set of endpoints, with how to reach them.
    pub struct Service {
        /// Where it can be reached.
        endpoints: Vec<Endpoint>,
        /// The version of HTTP that it speaks.
        protocol: Spanned<ServiceProtocol> = "http1",
        /// Encryption of connections to it, if its endpoints are `https`. Without it the certificates are verified
        /// by the authorities that the system trusts.
        tls: Option<ServiceTls>,
        /// Sends the address of the client in front of each connection (PROXY protocol), so that no connection is
        /// used for two clients.
        proxy_protocol: Option<ProxyProtocol>,
        /// How one of the endpoints is chosen for a request.
        balance: Balance = "round_robin",
        /// How long it may take.
        timeouts: ServiceTimeouts = "{}",
        /// How many connections are opened and kept.
        connections: Connections = "{}",
        /// What is tried again. Without it, only a request whose connection could not be opened is sent to
        /// another endpoint, once.
        retries: Option<Retries>,
        /// Probes of its endpoints. Without it every address counts as well.
        health: Option<Health>,
        /// Policies of every route to this service. A route may set a kind again, or switch it `off`.
        policies: Option<Policies>,
    }
    not_built {
        "sticky" => "keeping a client with one endpoint",
        "eject" => "leaving out endpoints that fail",
        "slow_start" => "starting new endpoints slowly",
        "concurrency" => "a limit on requests at a time",
        "discover" => "endpoints from DNS, a file or a registry",
    }
}

keywords! {
    /// The version of HTTP that a service speaks.
    pub enum ServiceProtocol {
        /// HTTP/1.1
        Http1 = "http1",
        /// HTTP/2: without encryption by prior knowledge.
        Http2 = "http2",
        /// HTTP/2 where the service offers it in the handshake (ALPN), and HTTP/1.1 otherwise.
        Auto = "auto",
    }
}

keywords! {
    /// A version of the PROXY protocol.
    pub enum ProxyProtocol {
        /// Version 1, a line of text.
        V1 = "v1",
        /// Version 2, binary.
        V2 = "v2",
    }
}

keywords! {
    /// How an endpoint is chosen.
    pub enum Balance {
        /// One after another, evenly spread by weight.
        RoundRobin = "round_robin",
        /// The less busy one of two that are picked at random.
        Random = "random",
        /// The one with the fewest requests under way, in relation to its weight.
        LeastRequests = "least_requests",
    }
    not_built {
        "ewma" => "choosing by latency",
        "hash" => "choosing by a property of the request",
    }
}

section! {
    /// How long a service may take.
    pub struct ServiceTimeouts {
        /// To accept a connection.
        connect: Timeout = "1s",
        /// From the whole request to the whole head of the response.
        response: Timeout = "30s",
        /// Between two parts of a response body.
        stream: Timeout = "5m",
        /// How long an unused connection is kept.
        idle: Timeout = "60s",
        /// For the whole exchange, all attempts together; no limit without it.
        request: Option<Timeout>,
        /// How long nothing may pass through an upgraded connection, such as a WebSocket.
        tunnel: Timeout = "1h",
    }
}

section! {
    /// How many connections are opened and kept.
    pub struct Connections {
        /// Open connections to one address, over all workers.
        max: u32 [1..=1000000] = "1000",
        /// Unused connections to one address that are kept, over all workers; `0` keeps none.
        idle: u32 [0..=1000000] = "128",
    }
}

section! {
    /// What is tried again, on another endpoint where there is one.
    pub struct Retries {
        /// Further attempts after the first; `0` for none.
        attempts: u16 [0..=10] = "1",
        /// What is tried again: `connect_failure`, `reset`, `timeout`, a status from 500 to 599, or a status of gRPC
        /// such as `grpc:unavailable`, for calls that ended with it before any message.
        on: Vec<Spanned<RetryCondition>> = "[connect_failure, reset]",
        /// Only these methods; without it the idempotent ones: GET, HEAD, OPTIONS, TRACE, PUT, DELETE
        /// (RFC 9110 section 9.2.2).
        methods: Option<OneOrMany<Spanned<String>>>,
        /// How long one attempt may take; without it what `timeouts` say.
        per_try: Option<Timeout>,
        /// How many of all requests may be repetitions, so that retries cannot multiply the load of a service
        /// that is failing.
        budget: Percent = "20%",
    }
}

/// After what a request is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RetryCondition {
    /// No connection could be opened.
    ConnectFailure,
    /// The connection broke before a response came.
    Reset,
    /// The response did not come in time.
    Timeout,
    /// A response with this status, 500 to 599.
    Status(u16),
    /// A gRPC call that ended with this status before any message.
    Grpc(GrpcStatus),
}

impl Decode for RetryCondition {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let Some(scalar) = node.scalar() else {
            diagnostics.push(node.wrong_type("`connect_failure`, `reset`, `timeout` or a status"));
            return None;
        };
        match scalar.text.as_str() {
            "connect_failure" => return Some(Self::ConnectFailure),
            "reset" => return Some(Self::Reset),
            "timeout" => return Some(Self::Timeout),
            text if text.starts_with("grpc:") => {
                let status =
                    GrpcStatus::of_name(&text["grpc:".len()..]).filter(|status| *status != GrpcStatus::Ok);
                if status.is_none() {
                    diagnostics.push(
                        Diagnostic::error(Code::InvalidValue, node.span, format!("`{text}` names no status of gRPC"))
                            .help("write a name in lower case: `grpc:unavailable`, `grpc:resource_exhausted`, `grpc:aborted`"),
                    );
                }
                return status.map(Self::Grpc);
            }
            _ => {}
        }
        let digits = scalar.text.len() == 3 && scalar.text.bytes().all(|b| b.is_ascii_digit());
        let status = scalar.text.parse().ok().filter(|status| digits && (500..=599).contains(status));
        if status.is_none() {
            let message = format!("{} is not something to try again after", scalar.shown());
            diagnostics.push(
                Diagnostic::error(Code::InvalidValue, node.span, message)
                    .help("possible are `connect_failure`, `reset`, `timeout` and a status from 500 to 599")
                    .did_you_mean(&scalar.text, ["connect_failure", "reset", "timeout"]),
            );
        }
        status.map(Self::Status)
    }

    fn shape() -> Shape {
        let status = Shape::Integer { min: 500, max: 599 };
        Shape::OneOf(vec![Shape::Keyword(&["connect_failure", "reset", "timeout"]), status])
    }
}
