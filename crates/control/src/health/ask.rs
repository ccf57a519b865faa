//! One probe: a connection of its own, made for it and closed after it.
//!
//! Everything that a service sends is bounded in size, and all of it together in time. Entry point: [`ask`].

use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use balance::Standing;
use snapshot::{Health, Probe, Protocol, ProxyProtocol, Service};
use telemetry::ProbeResult;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{grpc, http};

/// The name of HTTP/2 in a handshake (RFC 9113 §3.2).
const HTTP2: &[u8] = b"h2";

/// How a service is asked. Probes go on over a reload if this stays the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Manner {
    pub(super) health: Health,
    protocol: Protocol,
    tls: Option<tls::Client>,
    proxy_protocol: Option<ProxyProtocol>,
}

impl Manner {
    /// How a service is asked; `None` if it is not.
    pub(super) fn of(service: &Service) -> Option<Manner> {
        Some(Manner {
            health: service.health.clone()?,
            protocol: service.protocol,
            tls: service.tls.clone(),
            proxy_protocol: service.proxy_protocol,
        })
    }
}

/// Who is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) address: SocketAddr,
    /// The host of its endpoint, whose certificate it has to show.
    pub(super) host: Box<str>,
    /// What it is called in requests.
    pub(super) authority: Box<str>,
}

/// Why a probe has not passed.
#[derive(Debug)]
pub(super) enum Failure {
    /// There is no connection.
    Connect(String),
    /// Shaking hands has failed.
    Tls(String),
    /// It took too long, in this step.
    Timeout(Duration, &'static str),
    /// The answer is not the wanted one.
    Answer(String),
    /// The service says that it does not serve.
    Declined(String),
    /// The connection broke, or what came is no answer.
    Broke(String),
}

impl Failure {
    /// What it says of the address.
    pub(super) fn standing(&self) -> Standing {
        match self {
            Failure::Declined(_) => Standing::Declining,
            _ => Standing::Failing,
        }
    }

    /// An error of a connection, with all that it says.
    pub(super) fn broke(error: &(dyn Error + 'static)) -> Failure {
        let mut words = error.to_string();
        let mut inner = error.source();
        while let Some(error) = inner {
            let more = error.to_string();
            if !words.contains(&more) {
                words.push_str(": ");
                words.push_str(&more);
            }
            inner = error.source();
        }
        Failure::Broke(words)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Connect(why) => write!(out, "no connection: {why}"),
            Failure::Tls(why) => write!(out, "no TLS handshake: {why}"),
            Failure::Timeout(limit, step) => write!(out, "no {step} within {} ms", limit.as_millis()),
            Failure::Answer(what) | Failure::Declined(what) => out.write_str(what),
            Failure::Broke(why) => write!(out, "no answer: {why}"),
        }
    }
}

/// What is counted of a probe.
pub(super) fn result(outcome: &Result<String, Failure>) -> ProbeResult {
    match outcome {
        Ok(_) => ProbeResult::Passed,
        Err(Failure::Connect(_)) => ProbeResult::Connect,
        Err(Failure::Tls(_)) => ProbeResult::Tls,
        Err(Failure::Timeout(..)) => ProbeResult::Timeout,
        Err(Failure::Answer(_) | Failure::Declined(_)) => ProbeResult::Answer,
        Err(Failure::Broke(_)) => ProbeResult::Broke,
    }
}

/// Asks once. Says in words how it went well.
pub(super) async fn ask(manner: &Manner, target: &Target) -> Result<String, Failure> {
    let step = Cell::new("connection");
    let limit = manner.health.timeout;
    // Boxed, because what is kept of a probe between two of them is small.
    let attempt = Box::pin(attempt(manner, target, &step));
    match tokio::time::timeout(limit, attempt).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Failure::Timeout(limit, step.get())),
    }
}

async fn attempt(manner: &Manner, target: &Target, step: &Cell<&'static str>) -> Result<String, Failure> {
    let no_connection = |error: std::io::Error| Failure::Connect(error.to_string());
    let mut tcp = TcpStream::connect(target.address).await.map_err(no_connection)?;
    // Where nobody listens, a connection may by chance be one with itself.
    if tcp.local_addr().is_ok_and(|own| own == target.address) {
        return Err(Failure::Connect("nobody listens".to_owned()));
    }
    if manner.health.probe == Probe::Tcp {
        return Ok("a connection was accepted".to_owned());
    }
    tcp.set_nodelay(true).map_err(no_connection)?;
    if let Some(version) = manner.proxy_protocol {
        let sent = tcp.write_all(own_connection(version)).await;
        sent.map_err(|error| Failure::broke(&error))?;
    }
    let Some(tls) = &manner.tls else {
        step.set("answer");
        return converse(manner, target, tcp, manner.protocol == Protocol::Http2).await;
    };
    step.set("TLS handshake");
    let name = tls.name_for(&target.host).map_err(|error| Failure::Tls(error.to_string()))?;
    let connected = TlsConnector::from(Arc::clone(tls.config())).connect(name, tcp).await;
    let stream = connected.map_err(|error| Failure::Tls(why_not(&error)))?;
    let many = stream.get_ref().1.alpn_protocol() == Some(HTTP2);
    if !many && manner.protocol == Protocol::Http2 {
        return Err(Failure::Tls("it does not offer HTTP/2".to_owned()));
    }
    step.set("answer");
    converse(manner, target, stream, many).await
}

/// Asks over a connection that is ready; `many` if it is one of HTTP/2.
async fn converse<S>(manner: &Manner, target: &Target, stream: S, many: bool) -> Result<String, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let scheme = if manner.tls.is_some() { "https" } else { "http" };
    let (path, expect, wanted) = match &manner.health.probe {
        Probe::Tcp => return Ok("a connection was accepted".to_owned()),
        Probe::Grpc { .. } if !many => {
            return Err(Failure::Answer("gRPC needs HTTP/2, which it does not offer".to_owned()));
        }
        Probe::Grpc { service } => {
            return grpc::check(stream, scheme, &target.authority, service, manner.health.timeout).await;
        }
        Probe::Http { path, expect, body } => (path, expect, body.as_deref()),
    };
    let (status, body) = if many {
        http::ask_http2(stream, scheme, &target.authority, path, wanted.is_some()).await?
    } else {
        http::ask_http1(stream, &target.authority, path, wanted.is_some()).await?
    };
    if expect.iter().any(|range| range.contains(&status)) {
        let contains = |wanted: &str| memchr::memmem::find(&body, wanted.as_bytes()).is_some();
        return match wanted.filter(|wanted| !contains(wanted)) {
            None => Ok(format!("status {status}")),
            Some(wanted) => Err(Failure::Answer(format!("status {status}, without {wanted:?} in its body"))),
        };
    }
    let wanted: Vec<String> = expect
        .iter()
        .map(|range| match (range.start(), range.end()) {
            (first, last) if first == last => first.to_string(),
            (first, last) => format!("{first}-{last}"),
        })
        .collect();
    Err(Failure::Answer(format!("status {status}, and not {}", wanted.join(", "))))
}

/// What says that a connection is for nobody else: `UNKNOWN` in version 1, `LOCAL` in version 2, which is there for
/// probes (the PROXY protocol, sections 2.1 and 2.2).
fn own_connection(version: ProxyProtocol) -> &'static [u8] {
    match version {
        ProxyProtocol::V1 => b"PROXY UNKNOWN\r\n",
        ProxyProtocol::V2 => b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
    }
}

fn why_not(error: &std::io::Error) -> String {
    let of_protocol = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    of_protocol.map_or_else(|| error.to_string(), tls::explain_service)
}

/// Waits for an answer and keeps its connection going meanwhile, both in this task, so that nothing is left of it when
/// the time is up.
pub(super) async fn beside<T>(
    connection: impl Future,
    answer: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let (mut connection, mut answer) = (pin!(connection), pin!(answer));
    let mut is_over = false;
    std::future::poll_fn(|cx| {
        is_over = is_over || connection.as_mut().poll(cx).is_ready();
        match answer.as_mut().poll(cx) {
            Poll::Pending if is_over => {
                Poll::Ready(Err(Failure::Broke("the connection was closed".to_owned())))
            }
            other => other,
        }
    })
    .await
}
