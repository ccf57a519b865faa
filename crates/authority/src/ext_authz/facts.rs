//! What a server is told of a request.
//!
//! Entry points: [`check`] makes the whole question, [`encode_check`] its body.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderName, TE};
use http::{HeaderValue, Uri};
use prost::Message;

use super::messages::Peer as WirePeer;
use super::messages::{Address, AttributeContext, CheckRequest, HttpRequest, Request, SocketAddress};
use crate::{Ask, Trouble};

const PATH: &str = "/envoy.service.auth.v3.Authorization/Check";
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// Whether a body that is shown is not the whole one. Envoy says it in this header.
const PARTIAL_BODY: &str = "x-envoy-auth-partial-body";

/// One end of a connection.
#[derive(Debug, Clone, Copy, Default)]
pub struct Peer<'a> {
    /// Its address.
    pub address: Option<SocketAddr>,
    /// Who it has proved to be, such as the URI of its certificate; empty for nobody.
    pub principal: &'a str,
}

/// The beginning of the body of a request.
#[derive(Debug, Clone, Copy)]
pub struct CheckBody<'a> {
    /// The bytes that are shown.
    pub bytes: &'a [u8],
    /// Whether there is more.
    pub partial: bool,
}

/// What a server is told of a request.
#[derive(Debug, Clone, Copy, Default)]
pub struct CheckFacts<'a> {
    /// Who sends it.
    pub source: Peer<'a>,
    /// Where it has come in.
    pub destination: Peer<'a>,
    /// The identifier of the request; empty for none.
    pub id: &'a str,
    /// The method.
    pub method: &'a str,
    /// The path with the query.
    pub path: &'a str,
    /// The host, with the port if there was one.
    pub host: &'a str,
    /// `http` or `https`.
    pub scheme: &'a str,
    /// `HTTP/1.1`, `HTTP/2` and so on.
    pub protocol: &'a str,
    /// The length of the body in bytes; `None` if it is not known.
    pub size: Option<u64>,
    /// The headers that are shown, with names in lower case, in their order.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// What is shown of the body, if anything.
    pub body: Option<CheckBody<'a>>,
    /// What the configuration tells about the route.
    pub extensions: &'a [(&'a str, &'a str)],
}

/// The question to the server at `server` (its path means nothing), which may take so long. It is repeatable, and
/// trusts the authorities of the system until it is told otherwise.
///
/// # Errors
/// `server` has no host.
pub fn check(server: &Uri, facts: &CheckFacts<'_>, timeout: Duration) -> Result<Ask, Trouble> {
    let mut parts = server.clone().into_parts();
    if parts.authority.is_none() {
        return Err(Trouble::Address);
    }
    parts.path_and_query = Some(http::uri::PathAndQuery::from_static(PATH));
    let uri = Uri::from_parts(parts).map_err(|_| Trouble::Address)?;
    let mut ask = Ask { repeatable: true, http2: true, timeout, ..Ask::post(uri, encode_check(facts)) };
    ask.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    ask.headers.insert(TE, HeaderValue::from_static("trailers"));
    // At most eight digits.
    let millis = timeout.as_millis().min(99_999_999);
    if let Ok(value) = HeaderValue::from_str(&format!("{millis}m")) {
        ask.headers.insert(GRPC_TIMEOUT, value);
    }
    Ok(ask)
}

/// The body of the question: one message with the five bytes that gRPC puts in front.
#[must_use]
pub fn encode_check(facts: &CheckFacts<'_>) -> Bytes {
    let (body, raw_body) = match facts.body.map(|body| (str::from_utf8(body.bytes), body.bytes)) {
        None => (String::new(), Bytes::new()),
        Some((Ok(text), _)) => (text.to_owned(), Bytes::new()),
        Some((Err(_), bytes)) => (String::new(), Bytes::copy_from_slice(bytes)),
    };
    let http = HttpRequest {
        id: facts.id.to_owned(),
        method: facts.method.to_owned(),
        headers: headers(facts),
        path: facts.path.to_owned(),
        host: facts.host.to_owned(),
        scheme: facts.scheme.to_owned(),
        size: facts.size.map_or(-1, |size| i64::try_from(size).unwrap_or(i64::MAX)),
        protocol: facts.protocol.to_owned(),
        body,
        raw_body,
    };
    let extensions = facts.extensions.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let attributes = AttributeContext {
        source: Some(peer(facts.source)),
        destination: Some(peer(facts.destination)),
        request: Some(Request { http: Some(http) }),
        context_extensions: extensions.collect(),
    };
    let message = CheckRequest { attributes: Some(attributes) }.encode_to_vec();
    let mut framed = BytesMut::with_capacity(5 + message.len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.put_slice(&message);
    framed.freeze()
}

/// Headers of the same name are joined as HTTP allows, and the pseudo-headers stand among them, as in Envoy.
fn headers(facts: &CheckFacts<'_>) -> BTreeMap<String, String> {
    let mut headers = BTreeMap::new();
    for (name, value) in facts.headers {
        let value = String::from_utf8_lossy(value);
        // RFC 9113, section 8.2.3: a comma would not be read as an end of a cookie.
        let separator = if *name == "cookie" { "; " } else { "," };
        headers
            .entry((*name).to_owned())
            .and_modify(|joined: &mut String| {
                joined.push_str(separator);
                joined.push_str(&value);
            })
            .or_insert_with(|| value.into_owned());
    }
    for (name, value) in [
        (":authority", facts.host),
        (":method", facts.method),
        (":path", facts.path),
        (":scheme", facts.scheme),
    ] {
        headers.insert(name.to_owned(), value.to_owned());
    }
    // A client does not say it.
    headers.remove(PARTIAL_BODY);
    if let Some(body) = facts.body {
        headers.insert(PARTIAL_BODY.to_owned(), body.partial.to_string());
    }
    headers
}

fn peer(peer: Peer<'_>) -> WirePeer {
    let address = peer.address.map(|address| SocketAddress {
        address: address.ip().to_canonical().to_string(),
        port_value: Some(u32::from(address.port())),
    });
    WirePeer {
        address: address.map(|socket_address| Address { socket_address: Some(socket_address) }),
        principal: peer.principal.to_owned(),
    }
}
