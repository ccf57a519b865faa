//! `services`: what stands behind the gateway, and how it is reached.

use std::fmt;

use diagnostics::{Code, Diagnostic, Diagnostics, Severity, Spanned};
use document::{Decode, Node, OneOrMany, Percent, Secret, Shape, Switch, keywords, section};
use message::GrpcStatus;

use crate::discover::Discover;
use crate::eject::Eject;
use crate::endpoint::Endpoint;
use crate::health::Health;
use crate::overload::{CircuitBreaker, Concurrency};
use crate::policies::Policies;
use crate::request_key::{RequestKey, is_token};
use crate::timeout::Timeout;
use crate::tls::ServiceTls;

section! {
    /// A named set of endpoints, with how to reach them.
    pub struct Service {
        /// Where it can be reached. Needed unless `discover` says where to look.
        endpoints as "endpoints": Option<Spanned<Vec<Endpoint>>>,
        /// Where its addresses come from, instead of `endpoints`.
        discover: Option<Discover>,
        /// The version of HTTP that it speaks.
        protocol: Spanned<ServiceProtocol> = "http1",
        /// Encryption of connections to it, if its endpoints are `https`. Without it the certificates are verified
        /// by the authorities that the system trusts.
        tls: Option<ServiceTls>,
        /// Sends the address of the client in front of each connection (PROXY protocol), so that no connection is
        /// used for two clients.
        proxy_protocol: Option<ProxyProtocol>,
        /// How one of the endpoints is chosen for a request.
        balance: Spanned<Balance> = "round_robin",
        /// Keeps a client with one endpoint, as long as that takes requests.
        sticky: Option<Sticky>,
        /// How long it may take.
        timeouts: ServiceTimeouts = "{}",
        /// How many connections are opened and kept.
        connections: Connections = "{}",
        /// What is tried again; `off` tries nothing twice.
        retries: Switch<Retries> = "{ again: false }",
        /// Probes of its endpoints. Without it every address counts as well.
        health: Option<Health>,
        /// Which addresses get no requests for a while, because of what became of others; `off` for none.
        eject: Switch<Eject> = "{}",
        /// How long an address that comes to others, or comes back, gets fewer requests than its share: a tenth at first.
        slow_start: Switch<Timeout> = "10s",
        /// Asks a second endpoint when an answer takes long, and takes the one that comes first.
        hedge: Option<Hedge>,
        /// How many requests it gets at a time; without it as many as there are connections for.
        concurrency: Option<Concurrency>,
        /// Sends it nothing for a while when too much fails; without it that is never done.
        circuit_breaker: Option<CircuitBreaker>,
        /// Policies of every route to this service. A route may set a kind again, or switch it `off`.
        policies: Option<Policies>,
    }
    check check
}

impl Service {
    /// The endpoints that are written down.
    pub fn endpoints(&self) -> &[Endpoint] {
        self.endpoints.as_ref().map_or(&[], |endpoints| &endpoints.value)
    }
}

/// Whether something in the section could not be read that may well say where the service is.
fn may_be_said(service: &Service, diagnostics: &Diagnostics) -> bool {
    let is_other = |one: &Diagnostic| one.severity == Severity::Error && one.code != Code::UnknownKey;
    diagnostics.iter().any(|one| is_other(one) && one.span.is_some_and(|span| service.span.holds(span)))
}

fn check(service: &Service, diagnostics: &mut Diagnostics) {
    match (&service.endpoints, &service.discover) {
        (None, None) if !may_be_said(service, diagnostics) => diagnostics.push(
            Diagnostic::error(Code::MissingKey, service.span, "the key `endpoints` is missing")
                .label("this section needs `endpoints`")
                .help("add `endpoints`: Where it can be reached. Or `discover`, which says where to look."),
        ),
        (Some(endpoints), Some(discover)) => diagnostics.push(
            Diagnostic::error(
                Code::ConflictingKeys,
                discover.span,
                "a service has either `endpoints` or `discover`",
            )
            .related(endpoints.span, "the other one")
            .help("keep one of them; a split can lead to two services"),
        ),
        _ => {}
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

section! {
    /// Asks a second endpoint when an answer takes long, and takes the one that comes first. It is for GET, HEAD and
    /// OPTIONS without a body, to services that speak HTTP/1.1, and counts as one of the `retries`, with their `budget`.
    pub struct Hedge {
        /// How long to wait first: a time; or `p50`, `p90`, `p95` or `p99`, what so many of a hundred answers do not exceed.
        after: HedgeAfter = "p95",
    }
}

/// How long to wait before a second endpoint is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HedgeAfter {
    /// As long as so many of a hundred answers take at most.
    Percentile(u32),
    /// This long.
    Time(Timeout),
}

impl fmt::Display for HedgeAfter {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HedgeAfter::Percentile(percent) => write!(out, "p{percent}"),
            HedgeAfter::Time(time) => time.fmt(out),
        }
    }
}

impl Decode for HedgeAfter {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        match node.text() {
            Some("p50") => Some(Self::Percentile(50)),
            Some("p90") => Some(Self::Percentile(90)),
            Some("p95") => Some(Self::Percentile(95)),
            Some("p99") => Some(Self::Percentile(99)),
            Some(text) if text.starts_with('p') => {
                diagnostics.push(
                    Diagnostic::error(
                        Code::InvalidValue,
                        node.span,
                        format!("`{text}` is not one of the possible values"),
                    )
                    .help("write `p50`, `p90`, `p95`, `p99`, or a time: `20ms`"),
                );
                None
            }
            _ => Timeout::decode(node, diagnostics).map(Self::Time),
        }
    }

    fn shape() -> Shape {
        Shape::OneOf(vec![Shape::Keyword(&["p50", "p90", "p95", "p99"]), Timeout::shape()])
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
    /// How an endpoint is chosen, where it does not depend on the request.
    pub enum Algorithm {
        /// One after another, evenly spread by weight.
        RoundRobin = "round_robin",
        /// The less busy one of two that are picked at random.
        Random = "random",
        /// The one with the fewest requests under way, in relation to its weight.
        LeastRequests = "least_requests",
        /// The one that is likely to answer first: by how long its answers take, and how many requests it has.
        Ewma = "ewma",
    }
}

/// How an endpoint is chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Balance {
    /// Whatever the request is.
    By(Algorithm),
    /// By a property of the request: `{ hash: { header: x-user } }`.
    Hash(RequestKey),
}

impl Decode for Balance {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        match node.map() {
            Some([entry]) if entry.key.value == "hash" => {
                RequestKey::decode(&entry.node, diagnostics).map(Self::Hash)
            }
            Some(_) => {
                let diagnostic = node.wrong_type("one way to choose: a word, or `hash` with what to go by");
                diagnostics.push(diagnostic.help("write `balance: { hash: { header: x-user } }`"));
                None
            }
            None if node.is_word("hash") => {
                let what = "`hash` needs to know what to go by";
                diagnostics.push(
                    Diagnostic::error(Code::InvalidValue, node.span, what)
                        .help("write `balance: { hash: { header: x-user } }`; or `cookie`, `query`, `path`, `client_ip`"),
                );
                None
            }
            None => Algorithm::decode(node, diagnostics).map(Self::By),
        }
    }

    fn shape() -> Shape {
        let hash = Shape::Map(Box::new(RequestKey::shape()));
        Shape::OneOf(vec![Algorithm::shape(), hash])
    }
}

section! {
    /// Keeps a client with one endpoint by a cookie, which says nothing about the endpoint and cannot be made up. When the
    /// endpoint is gone or takes no requests, the client gets another one, and a new cookie.
    pub struct Sticky {
        /// The name of the cookie.
        cookie: Spanned<String>,
        /// How long the client keeps it; without it until it is closed.
        ttl: Option<Timeout>,
        /// What the cookie is made with, at least 16 characters. Gateways that have the same one believe each other's
        /// cookies, and they survive a restart. Without it a secret is drawn when the process starts.
        secret: Option<Spanned<Secret>>,
    }
    check check_sticky
}

/// The fewest characters of a secret: what is shorter can be guessed.
const SHORTEST_SECRET: usize = 16;

fn check_sticky(sticky: &Sticky, diagnostics: &mut Diagnostics) {
    if !is_token(&sticky.cookie) {
        diagnostics.push(
            Diagnostic::error(Code::InvalidValue, sticky.cookie.span, "this is no name of a cookie")
                .help("a name has letters, digits, `-` and `_`: `cookie: gw_orders`"),
        );
    }
    let short = sticky.secret.as_ref().filter(|secret| secret.value.expose().len() < SHORTEST_SECRET);
    if let Some(secret) = short {
        diagnostics.push(
            Diagnostic::error(Code::InvalidValue, secret.span, "this secret can be guessed")
                .label(format!("must have at least {SHORTEST_SECRET} characters"))
                .help("make one with `openssl rand -hex 32`, and give it as `${env:NAME}` or `${file:PATH}`"),
        );
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
        /// What is tried again: `connect_failure`, `reset`, `stall` (its address was ejected because nothing comes from
        /// it any more), `timeout`, a status from 500 to 599, or a status of gRPC such as `grpc:unavailable`, for calls
        /// that ended with it before any message.
        on: Vec<Spanned<RetryCondition>> = "[connect_failure, reset, stall]",
        /// Only these methods; without it the idempotent ones: GET, HEAD, OPTIONS, TRACE, PUT, DELETE
        /// (RFC 9110 section 9.2.2).
        methods: Option<OneOrMany<Spanned<String>>>,
        /// How long one attempt may take; without it what `timeouts` say.
        per_try: Option<Timeout>,
        /// Whether the same address is asked again where there is no other one. Without a `retries` section it is not.
        again: bool = "true",
        /// The longest pause before an address is asked a second time, drawn at random; it doubles with each attempt, up
        /// to ten times. Another address is asked at once.
        backoff: Timeout = "25ms",
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
    /// Nothing comes from the address any more, and it was ejected.
    Stall,
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
            diagnostics.push(node.wrong_type("`connect_failure`, `reset`, `stall`, `timeout` or a status"));
            return None;
        };
        match scalar.text.as_str() {
            "connect_failure" => return Some(Self::ConnectFailure),
            "reset" => return Some(Self::Reset),
            "stall" => return Some(Self::Stall),
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
                    .help("possible are `connect_failure`, `reset`, `stall`, `timeout` and a status from 500 to 599")
                    .did_you_mean(&scalar.text, ["connect_failure", "reset", "stall", "timeout"]),
            );
        }
        status.map(Self::Status)
    }

    fn shape() -> Shape {
        let status = Shape::Integer { min: 500, max: 599 };
        Shape::OneOf(vec![Shape::Keyword(&["connect_failure", "reset", "stall", "timeout"]), status])
    }
}
