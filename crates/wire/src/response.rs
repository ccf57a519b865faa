//! Reads the head of a response (RFC 9112 §4, §6.3).
//!
//! A service is trusted no more than a client: whatever is not valid HTTP/1 is
//! [`Fault::UpstreamMalformed`]. Entry point: [`parse_response`].

use message::{ConnectionOptions, Fault, ResponseHead, Version};

use crate::connection::{connection_options, names_websocket, persists};
use crate::fields::{first_line, parse_fields, span};
use crate::framing::{BodyLength, declared_length};
use crate::limits::HeadLimits;

/// What the head of a response says about its body and its connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResponseMeta {
    /// How the body is delimited.
    pub body: BodyLength,
    /// What Connection says.
    pub connection: ConnectionOptions,
    /// Whether the connection can be used for another request afterwards.
    pub keep_alive: bool,
    /// `101` that changes to WebSocket, and to nothing else.
    pub upgrade: bool,
}

/// Reads a whole head as found by [`crate::HeadScan`]. `head` is cleared first; the bytes are copied once
/// into the text of its headers, and all spans refer to that. `to_head_request` says that the request
/// was HEAD, whose response never has a body.
///
/// Every error is [`Fault::UpstreamMalformed`].
pub fn parse_response(
    bytes: &[u8],
    limits: &HeadLimits,
    to_head_request: bool,
    head: &mut ResponseHead,
) -> Result<ResponseMeta, Fault> {
    head.clear();
    if bytes.len() > limits.bytes.min(u32::MAX as usize) {
        return Err(Fault::UpstreamMalformed);
    }
    head.headers.append_text(bytes);
    read(bytes, limits, to_head_request, head).ok_or(Fault::UpstreamMalformed)
}

fn read(
    bytes: &[u8],
    limits: &HeadLimits,
    to_head_request: bool,
    head: &mut ResponseHead,
) -> Option<ResponseMeta> {
    let line = first_line(bytes)?;
    parse_status_line(line, head)?;
    let seen = parse_fields(bytes, line.len() + 2, limits.fields, &mut head.headers).ok()?;
    let declared = declared_length(&head.headers, seen, head.version).ok()?;
    let connection = connection_options(&head.headers, seen);
    let bodiless = matches!(head.status, 100..=199 | 204 | 304);
    let body = if to_head_request || bodiless {
        BodyLength::Empty
    } else {
        declared.unwrap_or(BodyLength::UntilClose)
    };
    // RFC 9110 §8.6 and RFC 9112 §6.1 forbid framing fields here. A service that sends them may send a
    // body too, so nothing that comes behind this response can be trusted.
    let contradicts =
        matches!(head.status, 100..=199 | 204) && declared.is_some_and(|length| !length.is_empty());
    Some(ResponseMeta {
        body,
        connection,
        keep_alive: persists(head.version, connection) && body != BodyLength::UntilClose && !contradicts,
        upgrade: head.status == 101 && names_websocket(&head.headers, head.version, connection),
    })
}

/// `HTTP-version SP status-code [SP reason-phrase]`; many services leave out the last space too.
fn parse_status_line(line: &[u8], head: &mut ResponseHead) -> Option<()> {
    let (start, rest) = line.split_first_chunk::<12>()?;
    let [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor @ b'0'..=b'9', b' ', digits @ ..] = start else {
        return None;
    };
    let [hundreds @ b'1'..=b'9', tens @ b'0'..=b'9', ones @ b'0'..=b'9'] = digits else { return None };
    head.status =
        [hundreds, tens, ones].iter().fold(0, |status, &&digit| status * 10 + u16::from(digit - b'0'));
    head.version = if *minor == b'0' { Version::Http10 } else { Version::Http11 };
    match rest {
        [] => {}
        [b' ', reason @ ..] => head.reason = span(start.len() + 1, reason.len()),
        _ => return None,
    }
    Some(())
}
