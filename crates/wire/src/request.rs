//! Reads the head of a request (RFC 9112 §3).
//!
//! The target is only measured here and checked for controls, and Host is not looked at:
//! `message::RequestHead::normalize` does both. Entry point: [`parse_request`].

use message::{ConnectionOptions, Fault, Headers, Method, Name, Names, RequestHead, Version};

use crate::bytes::{graphic_len, token_len, trim};
use crate::connection::{connection_options, names_websocket, persists};
use crate::fields::{first_line, parse_fields, span};
use crate::framing::{BodyLength, declared_length};
use crate::limits::{HeadLimits, METHOD_BYTES};

/// What the head of a request says about its body and its connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestMeta {
    /// How the body is delimited; [`BodyLength::UntilClose`] only on a stream, where it goes on until that ends.
    pub body: BodyLength,
    /// What Connection says.
    pub connection: ConnectionOptions,
    /// Whether the client wants to keep the connection (RFC 9112 §9.3).
    pub keep_alive: bool,
    /// Whether the client waits for `100 Continue` before it sends its body (RFC 9110 §10.1.1).
    pub expect_continue: bool,
    /// Whether the client asks for a WebSocket (RFC 6455 §4.1).
    pub upgrade_websocket: bool,
    /// Whether the client takes trailers (RFC 9110 §10.1.4).
    pub te_trailers: bool,
}

/// Reads a whole head as found by [`crate::HeadScan`]. `head` is cleared first; the bytes are copied once
/// into the text of its headers, and all spans refer to that.
///
/// Errors are the client's faults. What was read up to the error may remain in `head`.
pub fn parse_request(
    bytes: &[u8],
    limits: &HeadLimits,
    head: &mut RequestHead,
) -> Result<RequestMeta, Fault> {
    head.clear();
    if bytes.len() > limits.bytes.min(u32::MAX as usize) {
        return Err(Fault::HeadersTooLarge);
    }
    head.headers.append_text(bytes);
    let start = if bytes.starts_with(b"\r\n") { 2 } else { 0 };
    let line = first_line(&bytes[start..]).ok_or(Fault::BadRequestLine)?;
    parse_request_line(line, start, limits, head)?;
    let seen = parse_fields(bytes, start + line.len() + 2, limits.fields, &mut head.headers)?;
    read_meta(head, seen)
}

/// `method SP request-target SP HTTP-version`, with single spaces.
fn parse_request_line(
    line: &[u8],
    start: usize,
    limits: &HeadLimits,
    head: &mut RequestHead,
) -> Result<(), Fault> {
    let method_len = token_len(line);
    let (method, rest) = line.split_at(method_len);
    let [b' ', rest @ ..] = rest else { return Err(Fault::BadRequestLine) };
    let target_len = graphic_len(rest);
    let (_, [b' ', version @ ..]) = rest.split_at(target_len) else { return Err(Fault::BadRequestLine) };
    if method.is_empty() || target_len == 0 {
        return Err(Fault::BadRequestLine);
    }
    head.version = parse_version(version)?;
    if method_len > METHOD_BYTES {
        return Err(Fault::MethodNotImplemented);
    }
    if target_len > limits.target {
        return Err(Fault::UriTooLong);
    }
    head.method = Method::of(method);
    head.method_text = span(start, method_len);
    head.target = span(start + method_len + 1, target_len);
    Ok(())
}

/// `HTTP/1.0` or `HTTP/1.1`; a higher minor version is taken for 1.1 (RFC 9110 §2.5).
fn parse_version(text: &[u8]) -> Result<Version, Fault> {
    match text {
        b"HTTP/1.1" => Ok(Version::Http11),
        b"HTTP/1.0" => Ok(Version::Http10),
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9'] => Ok(Version::Http11),
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => Err(Fault::UnsupportedVersion),
        _ => Err(Fault::BadRequestLine),
    }
}

/// Reads the fields that the codec itself must understand.
fn read_meta(head: &RequestHead, seen: Names) -> Result<RequestMeta, Fault> {
    let is_http11 = head.version == Version::Http11;
    const TOLD: Names =
        Names::of(&[Name::ContentLength, Name::TransferEncoding, Name::Connection, Name::Expect, Name::Te]);
    if !seen.has_any(TOLD) {
        return Ok(RequestMeta { keep_alive: is_http11, ..RequestMeta::default() });
    }
    let headers = &head.headers;
    let body = declared_length(headers, seen, head.version)?.unwrap_or_default();
    let connection = connection_options(headers, seen);
    let expects = seen.has(Name::Expect) && expects_continue(headers)?;
    Ok(RequestMeta {
        body,
        connection,
        keep_alive: persists(head.version, connection),
        // Without a body there is nothing to wait with, and HTTP/1.0 knows no interim responses.
        expect_continue: expects && is_http11 && !body.is_empty(),
        upgrade_websocket: connection.upgrade
            && head.method == Method::Get
            && body.is_empty()
            && names_websocket(headers, head.version, connection),
        te_trailers: is_http11 && seen.has(Name::Te) && takes_trailers(headers),
    })
}

/// There is an Expect field: it must be one, and say `100-continue`.
pub(crate) fn expects_continue(headers: &Headers) -> Result<bool, Fault> {
    let mut values = headers.all(Name::Expect);
    match (values.next(), values.next()) {
        (Some(value), None) if value.eq_ignore_ascii_case(b"100-continue") => Ok(true),
        _ => Err(Fault::UnknownExpectation),
    }
}

/// Whether TE lists `trailers`.
fn takes_trailers(headers: &Headers) -> bool {
    headers
        .all(Name::Te)
        .flat_map(|value| value.split(|&b| b == b','))
        .any(|element| trim(element).eq_ignore_ascii_case(b"trailers"))
}
