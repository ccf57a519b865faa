//! Writes heads for a stream: requests to services, responses to clients.
//!
//! What leaves is what [`crate::write_request`] and [`crate::write_response`] would write, without what is
//! about a connection. A head that the `http` crate cannot hold is refused as a whole: a message must never
//! go out with a field less than it has.

use bytes::{BufMut, Bytes, BytesMut};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use message::{Field, Headers, Method, Name, RequestHead, ResponseHead};

use super::read::WEBSOCKET_KEY;
use crate::bytes::trim;
use crate::encode::{ConnectionHeader, RequestFraming, ResponseBody, ResponseFraming};
use crate::framing::BodyLength;

/// A field that only a handshake over HTTP/1.1 has (RFC 8441 §5).
const WEBSOCKET_ACCEPT: &[u8] = b"sec-websocket-accept";

/// The head of a request to a service. The head must be normalised; `default_host` is for a request without
/// Host. `scheme` is `http` or `https`.
///
/// With [`RequestFraming::upgrade_websocket`] it is an extended CONNECT (RFC 8441 §4): the caller has to add
/// the extension that makes `:protocol` of it, `websocket`. Whether a body follows is the caller's to say
/// too, as the end of the stream.
///
/// `None` where the head holds what no stream can carry; nothing may be sent then.
pub fn request_message(
    head: &RequestHead,
    scheme: &'static str,
    default_host: &[u8],
    framing: &RequestFraming,
) -> Option<http::Request<()>> {
    let connects = framing.upgrade_websocket;
    let method =
        if connects { http::Method::CONNECT } else { http::Method::from_bytes(head.method_bytes()).ok()? };
    let uri = request_uri(head, scheme, default_host)?;
    let mut map = HeaderMap::try_with_capacity(head.headers.len() + 3).ok()?;
    push_fields(&mut map, &head.headers, |field, name| {
        field.known.is_per_connection()
            || matches!(field.known, Name::Host | Name::Expect | Name::ContentLength)
            || (connects && name.eq_ignore_ascii_case(WEBSOCKET_KEY.as_bytes()))
    })?;
    match framing.body {
        BodyLength::Exact(length) if !connects => push_content_length(&mut map, length)?,
        // RFC 9110 §8.6: say so where a body is usual.
        BodyLength::Empty if matches!(head.method, Method::Post | Method::Put | Method::Patch) => {
            push_content_length(&mut map, 0)?;
        }
        _ => {}
    }
    if framing.expect_continue {
        map.try_append(header::EXPECT, HeaderValue::from_static("100-continue")).ok()?;
    }
    if framing.te_trailers {
        map.try_append(header::TE, HeaderValue::from_static("trailers")).ok()?;
    }
    let mut request = http::Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.headers_mut() = map;
    Some(request)
}

/// `:scheme`, `:authority` and `:path`, all in one piece of memory.
fn request_uri(head: &RequestHead, scheme: &'static str, default_host: &[u8]) -> Option<Uri> {
    let host = head.authority().unwrap_or(default_host);
    let query = head.query();
    let mut text = BytesMut::with_capacity(host.len() + head.path().len() + query.map_or(0, <[u8]>::len) + 1);
    text.put_slice(host);
    text.put_slice(head.path());
    if let Some(query) = query {
        text.put_u8(b'?');
        push_query(&mut text, query);
    }
    let mut path = text.freeze();
    let host = path.split_to(host.len());
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(if scheme == "https" { Scheme::HTTPS } else { Scheme::HTTP });
    parts.authority = Some(Authority::from_maybe_shared(host).ok()?);
    parts.path_and_query = Some(PathAndQuery::from_maybe_shared(path).ok()?);
    Uri::from_parts(parts).ok()
}

/// Adds a query. HTTP/1.1 clients send characters in it that no URI may hold, and which the type of the target
/// does not take: they go out escaped, which means the same.
fn push_query(text: &mut BytesMut, query: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for run in query.split_inclusive(|&b| is_not_query(b)) {
        match run.split_last() {
            Some((&b, plain)) if is_not_query(b) => {
                text.put_slice(plain);
                text.put_slice(&[b'%', HEX[usize::from(b >> 4)], HEX[usize::from(b & 15)]]);
            }
            _ => text.put_slice(run),
        }
    }
}

/// Whether a byte must be escaped in a query.
fn is_not_query(b: u8) -> bool {
    matches!(b, b'"' | b'<' | b'>')
}

/// The head of a response to a client.
///
/// [`ConnectionHeader::Upgrade`] accepts an extended CONNECT, which is said with `200` (RFC 8441 §5). Whether a
/// body follows is the caller's to say, as the end of the stream.
///
/// `None` where the head holds what no stream can carry; nothing of it may be sent then.
pub fn response_message(head: &ResponseHead, framing: &ResponseFraming<'_>) -> Option<http::Response<()>> {
    let accepts = framing.connection == ConnectionHeader::Upgrade;
    let status = if accepts { StatusCode::OK } else { StatusCode::from_u16(head.status).ok()? };
    let keeps_length = framing.body == ResponseBody::Omitted;
    let mut map = HeaderMap::try_with_capacity(head.headers.len() + 2).ok()?;
    push_fields(&mut map, &head.headers, |field, name| {
        field.known.is_per_connection()
            || (field.known == Name::ContentLength && !keeps_length)
            || (accepts && name.eq_ignore_ascii_case(WEBSOCKET_ACCEPT))
    })?;
    if let Some(date) = framing.date.filter(|_| !head.headers.has(Name::Date)) {
        map.try_append(header::DATE, HeaderValue::from_bytes(date).ok()?).ok()?;
    }
    if let ResponseBody::Exact(length) = framing.body {
        push_content_length(&mut map, length)?;
    }
    let mut response = http::Response::new(());
    *response.status_mut() = status;
    *response.headers_mut() = map;
    Some(response)
}

/// Adds all fields but those that `skip` refuses.
///
/// All values share one copy of the text, so that a field costs no memory of its own.
fn push_fields(map: &mut HeaderMap, headers: &Headers, skip: impl Fn(&Field, &[u8]) -> bool) -> Option<()> {
    let text = Bytes::copy_from_slice(headers.text());
    for field in headers.fields() {
        let name = field.name.of(&text);
        if skip(field, name) {
            continue;
        }
        let value = text.slice_ref(trim(field.value.of(&text)));
        map.try_append(HeaderName::from_bytes(name).ok()?, HeaderValue::from_maybe_shared(value).ok()?)
            .ok()?;
    }
    Some(())
}

fn push_content_length(map: &mut HeaderMap, length: u64) -> Option<()> {
    map.try_append(header::CONTENT_LENGTH, HeaderValue::from(length)).ok()?;
    Some(())
}
