//! Reads heads that came on a stream: a request from a client, a response from a service.

use http::header::HeaderName;
use http::{request, response};
use message::{Fault, Method, Name, Names, RequestHead, ResponseHead, Version};

use super::fields::{Budget, read_fields};
use crate::bytes::token_len;
use crate::framing::{BodyLength, declared_length};
use crate::limits::{HeadLimits, METHOD_BYTES};
use crate::request::{RequestMeta, expects_continue};
use crate::response::ResponseMeta;

/// A field that only a handshake over HTTP/1.1 has (RFC 8441 §5).
pub(super) const WEBSOCKET_KEY: &str = "sec-websocket-key";

/// Reads the head of a request. `head` is cleared first. `ends` says that the stream ended with the head,
/// `protocol` is the pseudo-header field `:protocol` of an extended CONNECT (RFC 8441 §4).
///
/// `:authority` becomes the first field, Host. An extended CONNECT for a WebSocket becomes what it would be
/// in HTTP/1.1, a GET that asks for an upgrade; only `sec-websocket-key` is missing, which whoever speaks
/// HTTP/1.1 to the service has to make up. Any other CONNECT stays one, and is refused by
/// [`RequestHead::normalize`]. The body is [`BodyLength::UntilClose`] where it goes on until the stream ends.
///
/// [`RequestMeta::te_trailers`] is what the client said. Every client that speaks in streams can be sent
/// trailers, but a service need not be told of each that it takes them.
///
/// The limit of bytes is one of decoded fields, counted as in RFC 9113 §6.5.2. Errors are the client's faults.
/// What was read up to the error may remain in `head`.
pub fn read_request(
    parts: &request::Parts,
    ends: bool,
    protocol: Option<&str>,
    version: Version,
    limits: &HeadLimits,
    head: &mut RequestHead,
) -> Result<RequestMeta, Fault> {
    head.clear();
    head.version = version;
    let mut budget = Budget::new(limits);
    let wants_websocket = read_method(parts, protocol, &mut budget, head)?;
    read_target(parts, &mut budget, limits, head)?;
    read_host(parts, &mut budget, head)?;
    let skip = |known: Name, name: &HeaderName| {
        known == Name::Host || (wants_websocket && name.as_str() == WEBSOCKET_KEY)
    };
    let seen = read_fields(&parts.headers, &mut budget, skip, &mut head.headers)?;
    read_request_meta(head, seen, ends, wants_websocket)
}

/// `:method` and `:protocol`. Whether a WebSocket is asked for.
fn read_method(
    parts: &request::Parts,
    protocol: Option<&str>,
    budget: &mut Budget,
    head: &mut RequestHead,
) -> Result<bool, Fault> {
    let text = parts.method.as_str();
    budget.charge_pseudo(":method", text)?;
    if let Some(protocol) = protocol {
        budget.charge_pseudo(":protocol", protocol)?;
    }
    if text.is_empty() || token_len(text.as_bytes()) != text.len() {
        return Err(Fault::BadRequestLine);
    }
    if text.len() > METHOD_BYTES {
        return Err(Fault::MethodNotImplemented);
    }
    let method = Method::of(text.as_bytes());
    // RFC 8441 §4: `:protocol` belongs to CONNECT alone.
    if protocol.is_some() && method != Method::Connect {
        return Err(Fault::BadHeader);
    }
    let wants_websocket = protocol.is_some_and(|name| name.eq_ignore_ascii_case("websocket"));
    if protocol.is_some() && !wants_websocket {
        return Err(Fault::MethodNotImplemented);
    }
    let (method, text) = if wants_websocket { (Method::Get, "GET") } else { (method, text) };
    head.method = method;
    head.method_text = head.headers.append_text(text.as_bytes());
    Ok(wants_websocket)
}

/// `:scheme` and `:path`; the target of a CONNECT is `:authority`.
fn read_target(
    parts: &request::Parts,
    budget: &mut Budget,
    limits: &HeadLimits,
    head: &mut RequestHead,
) -> Result<(), Fault> {
    if let Some(scheme) = parts.uri.scheme_str() {
        budget.charge_pseudo(":scheme", scheme)?;
        if !scheme.eq_ignore_ascii_case("https") && !scheme.eq_ignore_ascii_case("http") {
            return Err(Fault::BadTarget);
        }
    }
    let path = parts.uri.path_and_query().map(http::uri::PathAndQuery::as_str);
    if let Some(path) = path {
        budget.charge_pseudo(":path", path)?;
    }
    let target = match (head.method, path) {
        // RFC 9113 §8.5: it has an authority and nothing else.
        (Method::Connect, None) if parts.uri.scheme().is_none() => {
            parts.uri.authority().map_or("", http::uri::Authority::as_str)
        }
        (Method::Connect, _) => return Err(Fault::BadTarget),
        (_, Some(path)) => path,
        (_, None) => return Err(Fault::BadTarget),
    };
    if target.len() > limits.target {
        return Err(Fault::UriTooLong);
    }
    head.target = head.headers.append_text(target.as_bytes());
    Ok(())
}

/// `:authority` or Host, which must name the same if both are there (RFC 9113 §8.3.1), becomes the first
/// field. Whether there is one, and whether it is valid, is checked with the rest of the target.
fn read_host(parts: &request::Parts, budget: &mut Budget, head: &mut RequestHead) -> Result<(), Fault> {
    let mut hosts = parts.headers.get_all(http::header::HOST).iter().map(http::HeaderValue::as_bytes);
    let field = hosts.next();
    if hosts.next().is_some() {
        return Err(Fault::BadHost);
    }
    let authority = parts.uri.authority().map(http::uri::Authority::as_str);
    if let Some(authority) = authority {
        budget.charge_pseudo(":authority", authority)?;
    }
    let host = match (authority.map(str::as_bytes), field) {
        (Some(authority), Some(field)) if !authority.eq_ignore_ascii_case(field) => {
            return Err(Fault::BadHost);
        }
        (Some(host), _) | (None, Some(host)) => host,
        (None, None) => return Ok(()),
    };
    head.headers.push_known(Name::Host, host);
    Ok(())
}

/// What the fields say about the body and what the client waits for.
fn read_request_meta(
    head: &RequestHead,
    seen: Names,
    ends: bool,
    wants_websocket: bool,
) -> Result<RequestMeta, Fault> {
    let declared = declared_length(&head.headers, seen, head.version)?;
    let has_content = declared.is_some_and(|length| !length.is_empty());
    // RFC 9113 §8.1.1, §8.5. What follows a CONNECT is no content, and a WebSocket that ends before it begins is none.
    let connects = wants_websocket || head.method == Method::Connect;
    if (ends && (has_content || wants_websocket)) || (connects && has_content) {
        return Err(Fault::BadFraming);
    }
    let body = if ends || connects { BodyLength::Empty } else { declared.unwrap_or(BodyLength::UntilClose) };
    let expects = seen.has(Name::Expect) && expects_continue(&head.headers)?;
    Ok(RequestMeta {
        body,
        keep_alive: true,
        expect_continue: expects && !body.is_empty(),
        upgrade_websocket: wants_websocket,
        // The field may say nothing else.
        te_trailers: seen.has(Name::Te),
        ..RequestMeta::default()
    })
}

/// Reads the head of a response. `head` is cleared first. `ends` says that the stream ended with the head,
/// `to_head_request` that the request was HEAD, whose response never has a body.
///
/// [`ResponseMeta::upgrade`] is never set: that an extended CONNECT was accepted is said by any status of
/// 200 to 299 (RFC 8441 §5), and only the caller knows whether it sent one. The body is
/// [`BodyLength::UntilClose`] where it goes on until the stream ends.
///
/// Every error is [`Fault::UpstreamMalformed`].
pub fn read_response(
    parts: &response::Parts,
    ends: bool,
    to_head_request: bool,
    version: Version,
    limits: &HeadLimits,
    head: &mut ResponseHead,
) -> Result<ResponseMeta, Fault> {
    read(parts, ends, to_head_request, version, limits, head).ok_or(Fault::UpstreamMalformed)
}

fn read(
    parts: &response::Parts,
    ends: bool,
    to_head_request: bool,
    version: Version,
    limits: &HeadLimits,
    head: &mut ResponseHead,
) -> Option<ResponseMeta> {
    head.clear();
    head.version = version;
    head.status = parts.status.as_u16();
    // RFC 9113 §8.1 and §8.6: an interim response never ends a stream, and none changes the protocol.
    if head.status == 101 || (head.status < 200 && ends) {
        return None;
    }
    let mut budget = Budget::new(limits);
    budget.charge_pseudo(":status", parts.status.as_str()).ok()?;
    let seen = read_fields(&parts.headers, &mut budget, |_, _| false, &mut head.headers).ok()?;
    let declared = declared_length(&head.headers, seen, version).ok()?;
    let body = if to_head_request || matches!(head.status, 100..=199 | 204 | 304) {
        BodyLength::Empty
    } else if !ends {
        declared.unwrap_or(BodyLength::UntilClose)
    } else if declared.is_none_or(BodyLength::is_empty) {
        BodyLength::Empty
    } else {
        return None;
    };
    Some(ResponseMeta { body, keep_alive: true, ..ResponseMeta::default() })
}
