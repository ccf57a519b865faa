//! Tests of the codec as a whole; the tables follow RFC 9112.

mod body;
mod encode;
mod grpc;
mod hyper;
mod proxy_protocol;
mod request;
mod response;
mod split;
mod streams;

use message::{Fault, RequestHead, ResponseHead};

use crate::{HeadLimits, HeadScan, Kind, RequestMeta, ResponseMeta, parse_request, parse_response};

const LIMITS: HeadLimits = HeadLimits { bytes: 4096, fields: 100, target: 1024 };

/// Reads a whole request head; `None` where its end is missing. What follows the head is ignored.
fn read_request(
    bytes: &[u8],
    limits: &HeadLimits,
) -> Result<Option<(RequestMeta, RequestHead, usize)>, Fault> {
    let Some(end) = HeadScan::default().find_end(bytes, limits, Kind::Request)? else { return Ok(None) };
    let mut head = RequestHead::default();
    let meta = parse_request(&bytes[..end], limits, &mut head)?;
    Ok(Some((meta, head, end)))
}

/// Reads a whole response head.
fn read_response(bytes: &[u8], to_head_request: bool) -> Result<(ResponseMeta, ResponseHead), Fault> {
    let end =
        HeadScan::default().find_end(bytes, &LIMITS, Kind::Response)?.ok_or(Fault::UpstreamMalformed)?;
    let mut head = ResponseHead::default();
    let meta = parse_response(&bytes[..end], &LIMITS, to_head_request, &mut head)?;
    Ok((meta, head))
}

/// The fault of a request that must be refused.
fn fault_of(bytes: &[u8]) -> Option<Fault> {
    read_request(bytes, &LIMITS).err()
}

/// The name and value of all fields, as text.
fn fields(headers: &message::Headers) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| bytes.iter().map(|&b| b as char).collect::<String>();
    headers.iter().map(|(name, value)| (text(name), text(value))).collect()
}
