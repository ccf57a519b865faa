//! Heads on streams: what is accepted is one clean request for HTTP/1.1 too, and reads the same on a stream again.
//!
//! The bytes are lines: method, target, authority, then a field each, as `name:value`. Only what the `http`
//! crate can hold reaches the codec, since no more does in the gateway. Small limits make them easy to reach.

#![no_main]

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderName, HeaderValue, Method, Request, Uri, request};
use libfuzzer_sys::fuzz_target;
use message::{Headers, Name, RequestHead, ResponseHead, Version};
use wire::{
    BodyLength, ConnectionHeader, HeadLimits, HeadScan, Kind, RequestFraming, RequestMeta, ResponseBody,
    ResponseFraming, parse_request, read_request, read_response, read_trailers, request_message,
    response_message, trailers_message, write_grpc_web_trailers, write_request,
};

const LIMITS: HeadLimits = HeadLimits { bytes: 1024, fields: 16, target: 256 };
/// What is written may be a little longer than what was read.
const WRITTEN: HeadLimits = HeadLimits { bytes: 1 << 20, fields: 64, target: 4096 };

fuzz_target!(|bytes: &[u8]| {
    let Some((flags, rest)) = bytes.split_first() else { return };
    let Some(parts) = parts(rest, flags & 1 != 0) else { return };
    let ends = flags & 2 != 0;
    let protocol = match flags >> 2 & 3 {
        0 => Some("websocket"),
        1 => Some("connect-udp"),
        _ => None,
    };
    check_trailers(&parts);
    check_response(&parts, ends);

    let mut head = RequestHead::default();
    head.headers.push(b"old", b"gone");
    let Ok(meta) = read_request(&parts, ends, protocol, Version::Http2, &LIMITS, &mut head) else { return };
    for (name, value) in head.headers.iter() {
        assert!(Headers::is_valid_name(name) && Headers::is_valid_value(value));
        assert!(!name.iter().any(u8::is_ascii_uppercase));
    }
    assert!(!head.headers.has(Name::TransferEncoding) && !head.headers.has(Name::Connection));
    assert!(!ends || meta.body == BodyLength::Empty);
    // A CONNECT is never written to a service.
    if head.normalize().is_ok() && head.method != message::Method::Connect {
        head.headers.strip_request(meta.connection, true);
        check_both_versions(&head, &meta, ends);
    }
});

/// A request of these lines, as `h2` delivers it.
fn parts(bytes: &[u8], has_scheme: bool) -> Option<request::Parts> {
    let mut lines = bytes.split(|&b| b == b'\n');
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(lines.next()?).ok()?;
    let mut uri = http::uri::Parts::default();
    let path = lines.next()?;
    if !path.is_empty() {
        uri.path_and_query = Some(PathAndQuery::try_from(path).ok()?);
    }
    let authority = lines.next()?;
    if !authority.is_empty() {
        uri.authority = Some(Authority::try_from(authority).ok()?);
    }
    uri.scheme = has_scheme.then_some(Scheme::HTTPS);
    *request.uri_mut() = Uri::from_parts(uri).ok()?;
    for line in lines {
        let (name, value) = line.split_at(line.iter().position(|&b| b == b':')?);
        let name = HeaderName::from_bytes(name).ok()?;
        request.headers_mut().append(name, HeaderValue::from_bytes(&value[1..]).ok()?);
    }
    Some(request.into_parts().0)
}

/// Writes the head for either version, and reads that as a service does.
fn check_both_versions(head: &RequestHead, meta: &RequestMeta, ends: bool) {
    let framing = RequestFraming {
        body: meta.body,
        expect_continue: meta.expect_continue,
        upgrade_websocket: meta.upgrade_websocket,
        te_trailers: meta.te_trailers,
    };
    let mut out = Vec::new();
    write_request(&mut out, head, b"default.test", &framing);
    let end = HeadScan::default().find_end(&out, &WRITTEN, Kind::Request);
    assert_eq!(end, Ok(Some(out.len())), "what was written is not one head: {}", out.escape_ascii());
    let mut plain = RequestHead::default();
    let plain_meta = parse_request(&out, &WRITTEN, &mut plain);
    let plain_meta =
        plain_meta.unwrap_or_else(|fault| panic!("{fault:?} in what was written: {}", out.escape_ascii()));
    assert_eq!(plain_meta.upgrade_websocket, meta.upgrade_websocket);
    assert_eq!(plain_meta.body.is_empty(), meta.body.is_empty());
    compare(head, &mut plain);

    let Some(message) = request_message(head, "https", b"default.test", &framing) else {
        panic!("cannot be written: {}", out.escape_ascii());
    };
    let (parts, ()) = message.into_parts();
    let protocol = meta.upgrade_websocket.then_some("websocket");
    let mut again = RequestHead::default();
    let again_meta = read_request(&parts, ends, protocol, Version::Http3, &WRITTEN, &mut again);
    assert_eq!(again_meta.as_ref(), Ok(meta));
    compare(head, &mut again);
}

/// Whether a head that was written and read again still says the same.
fn compare(head: &RequestHead, again: &mut RequestHead) {
    assert_eq!(again.normalize(), Ok(()));
    assert_eq!(again.method_bytes(), head.method_bytes());
    assert_eq!((again.path(), again.authority()), (head.path(), head.authority()));
    let passed = |headers: &Headers| {
        let text = headers.text();
        let made_anew = |name: Name| {
            name.is_per_connection() || matches!(name, Name::Host | Name::ContentLength | Name::Expect)
        };
        let fields = headers.fields().iter().filter(|field| !made_anew(field.known));
        let mut all: Vec<_> =
            fields.map(|field| (field.name.of(text).to_vec(), field.value.of(text).to_vec())).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    };
    assert_eq!(passed(&again.headers), passed(&head.headers));
}

/// The same fields as those of a response.
fn check_response(parts: &request::Parts, ends: bool) {
    let mut response = http::Response::new(());
    *response.headers_mut() = parts.headers.clone();
    let (parts, ()) = response.into_parts();
    let mut head = ResponseHead::default();
    let Ok(meta) = read_response(&parts, ends, false, Version::Http2, &LIMITS, &mut head) else { return };
    let body = match meta.body {
        BodyLength::Exact(length) => ResponseBody::Exact(length),
        BodyLength::Empty => ResponseBody::None,
        _ => ResponseBody::Chunked,
    };
    let framing = ResponseFraming { body, connection: ConnectionHeader::None, date: None };
    let (parts, ()) = response_message(&head, &framing).unwrap().into_parts();
    let again = read_response(&parts, ends, false, Version::Http2, &WRITTEN, &mut ResponseHead::default());
    assert_eq!(again, Ok(meta));
}

/// The same fields as trailers.
fn check_trailers(parts: &request::Parts) {
    let trailers = read_trailers(&parts.headers);
    let again = read_trailers(&trailers_message(&trailers));
    assert_eq!(trailers.iter().collect::<Vec<_>>(), again.iter().collect::<Vec<_>>());
    let mut frame = Vec::new();
    write_grpc_web_trailers(&mut frame, &trailers);
    let lines = frame.iter().filter(|&&b| b == b'\n').count();
    assert!(lines >= trailers.len() && frame.len() <= 16 * 1024);
}
