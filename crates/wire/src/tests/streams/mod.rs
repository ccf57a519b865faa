//! Heads and trailers on streams: tables after RFC 9113 §8, and the way there and back.

mod read;
mod round_trip;
mod trailers;
mod write;

use http::{HeaderMap, HeaderName, HeaderValue, request};
use message::{Fault, RequestHead, Version};

use crate::{HeadLimits, RequestMeta};

const LIMITS: HeadLimits = HeadLimits { bytes: 4096, fields: 100, target: 1024 };

/// Fields as the `http` crate holds them.
fn map(fields: &[(&str, &str)]) -> HeaderMap {
    fields
        .iter()
        .map(|(name, value)| {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), value)
        })
        .collect()
}

/// A request as `h2` delivers it: without authority it has no scheme either.
fn request(method: &str, uri: &str, fields: &[(&str, &str)]) -> request::Parts {
    let mut request = http::Request::builder().method(method).uri(uri).body(()).unwrap();
    *request.headers_mut() = map(fields);
    request.into_parts().0
}

fn read_with(
    parts: &request::Parts,
    ends: bool,
    protocol: Option<&str>,
) -> Result<(RequestMeta, RequestHead), Fault> {
    let mut head = RequestHead::default();
    head.headers.push(b"old", b"gone");
    let meta = crate::read_request(parts, ends, protocol, Version::Http2, &LIMITS, &mut head)?;
    Ok((meta, head))
}

/// A request that goes on after its head, as it is forwarded.
fn read(parts: &request::Parts) -> Result<(RequestMeta, RequestHead), Fault> {
    let (meta, mut head) = read_with(parts, false, None)?;
    head.normalize()?;
    Ok((meta, head))
}
