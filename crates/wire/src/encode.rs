//! Writes heads: requests to services, responses to clients.
//!
//! Framing and connection fields are never copied from a head but written from what was decided about
//! the message, so that a field that slipped through can never frame it.

use message::{
    DIGITS, Field, Headers, Method, Name, Names, RequestHead, ResponseHead, draw, push_number,
    push_status_line,
};

use crate::framing::BodyLength;

/// How a request is framed for the service.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestFraming {
    /// How the body is delimited; what has no known length is sent in chunks.
    pub body: BodyLength,
    /// Whether the service shall say `100 Continue` before the body comes.
    pub expect_continue: bool,
    /// Whether to ask for a WebSocket.
    pub upgrade_websocket: bool,
    /// Whether to say that trailers are taken.
    pub te_trailers: bool,
}

/// How the body of a response is framed for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseBody {
    /// There is none, but a Content-Length of the head stays as information (HEAD, 304).
    Omitted,
    /// So many bytes.
    Exact(u64),
    /// Chunks.
    Chunked,
    /// Until the connection closes.
    UntilClose,
    /// There can be none: no framing fields at all (1xx, 204).
    None,
}

/// What Connection says to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionHeader {
    /// Nothing.
    None,
    /// `close`
    Close,
    /// `keep-alive`, for an HTTP/1.0 client.
    KeepAlive,
    /// `upgrade`, with `upgrade: websocket`.
    Upgrade,
}

/// How a response is framed for the client.
#[derive(Clone, Copy, Debug)]
pub struct ResponseFraming<'a> {
    /// How the body is delimited.
    pub body: ResponseBody,
    /// What Connection says.
    pub connection: ConnectionHeader,
    /// The value for Date, if the head has none.
    pub date: Option<&'a [u8; 29]>,
}

/// Writes the head of a request to a service: `METHOD path[?query] HTTP/1.1`, `host` first, then the fields
/// of the head, then framing. The head must be normalised; `default_host` is for a request without Host.
///
/// Fields that are about this connection or about framing are left out: those come from `framing`.
pub fn write_request(out: &mut Vec<u8>, head: &RequestHead, default_host: &[u8], framing: &RequestFraming) {
    out.reserve(head.headers.text().len() + 256);
    out.extend_from_slice(head.method_bytes());
    out.push(b' ');
    out.extend_from_slice(head.path());
    if let Some(query) = head.query() {
        out.push(b'?');
        out.extend_from_slice(query);
    }
    out.extend_from_slice(b" HTTP/1.1\r\nhost: ");
    out.extend_from_slice(head.authority().unwrap_or(default_host));
    out.extend_from_slice(b"\r\n");
    push_fields(out, &head.headers, |name| {
        name.is_per_connection() || matches!(name, Name::Host | Name::Expect | Name::ContentLength)
    });
    match framing.body {
        // RFC 9110 §8.6: say so where a body is usual.
        BodyLength::Empty if matches!(head.method, Method::Post | Method::Put | Method::Patch) => {
            push_content_length(out, 0);
        }
        BodyLength::Empty => {}
        BodyLength::Exact(length) => push_content_length(out, length),
        BodyLength::Chunked | BodyLength::UntilClose => out.extend_from_slice(CHUNKED),
    }
    if framing.expect_continue {
        out.extend_from_slice(b"expect: 100-continue\r\n");
    }
    if framing.upgrade_websocket {
        out.extend_from_slice(b"upgrade: websocket\r\n");
    }
    if framing.te_trailers {
        out.extend_from_slice(b"te: trailers\r\n");
    }
    let connection: &[u8] = match (framing.upgrade_websocket, framing.te_trailers) {
        (false, false) => b"",
        (true, false) => b"connection: upgrade\r\n",
        (false, true) => b"connection: te\r\n",
        (true, true) => b"connection: upgrade, te\r\n",
    };
    out.extend_from_slice(connection);
    out.extend_from_slice(b"\r\n");
}

/// Writes the head of a response to a client. A head without a reason phrase gets the registered one.
///
/// Fields that are about this connection or about framing are left out: those come from `framing`.
pub fn write_response(out: &mut Vec<u8>, head: &ResponseHead, framing: &ResponseFraming<'_>) {
    out.reserve(head.headers.text().len() + 256);
    push_status_line(out, head.status, head.headers.slice(head.reason));
    let keeps_length = framing.body == ResponseBody::Omitted;
    push_fields(out, &head.headers, |name| {
        name.is_per_connection() || (name == Name::ContentLength && !keeps_length)
    });
    push_response_framing(out, head.headers.has(Name::Date), framing);
}

/// Ends the head of a response where it stands, if it can be sent from there: the gateway has begun it with
/// [`ResponseHead::begin`], and it has no fields that are about this connection or about framing. What belongs behind it
/// can be appended to the text. Otherwise [`write_response`] writes it.
pub fn end_response<'h>(
    head: &'h mut ResponseHead,
    framing: &ResponseFraming<'_>,
) -> Option<&'h mut Vec<u8>> {
    const FRAMING: Names = Names::PER_CONNECTION.with(Names::of(&[Name::ContentLength]));
    if head.headers.names().has_any(FRAMING) {
        return None;
    }
    let has_date = head.headers.has(Name::Date);
    let out = head.headers.written_mut()?;
    push_response_framing(out, has_date, framing);
    Some(out)
}

const DATE: &[u8; 6] = b"date: ";
const CONTENT_LENGTH: &[u8; 16] = b"content-length: ";
const CHUNKED: &[u8; 28] = b"transfer-encoding: chunked\r\n";
const UPGRADE: &[u8; 43] = b"connection: upgrade\r\nupgrade: websocket\r\n\r\n";

/// Date, framing, Connection and the empty line.
fn push_response_framing(out: &mut Vec<u8>, has_date: bool, framing: &ResponseFraming<'_>) {
    const ROOM: usize = DATE.len() + 29 + 2 + CONTENT_LENGTH.len() + DIGITS + 2 + UPGRADE.len();
    draw::<ROOM>(out, |pen| {
        if let (Some(date), false) = (framing.date, has_date) {
            pen.push(DATE);
            pen.push(date);
            pen.push(b"\r\n");
        }
        match framing.body {
            ResponseBody::Exact(length) => {
                pen.push(CONTENT_LENGTH);
                pen.push_number(length);
                pen.push(b"\r\n");
            }
            ResponseBody::Chunked => pen.push(CHUNKED),
            ResponseBody::Omitted | ResponseBody::UntilClose | ResponseBody::None => {}
        }
        match framing.connection {
            ConnectionHeader::None => pen.push(b"\r\n"),
            ConnectionHeader::Close => pen.push(b"connection: close\r\n\r\n"),
            ConnectionHeader::KeepAlive => pen.push(b"connection: keep-alive\r\n\r\n"),
            ConnectionHeader::Upgrade => pen.push(UPGRADE),
        }
    });
}

/// Writes all fields for whose name `skip` says no.
///
/// Fields that stand behind one another in the text just as they are to be written, which is how nearly
/// all heads come in, are copied together.
fn push_fields(out: &mut Vec<u8>, headers: &Headers, skip: impl Fn(Name) -> bool) {
    let text = headers.text();
    let mut run = 0..0;
    for field in headers.fields() {
        if skip(field.known) {
            continue;
        }
        let Some(range) = verbatim(field, text) else {
            push_run(out, text, &mut run);
            push_field(out, field.name.of(text), field.value.of(text));
            continue;
        };
        if run.is_empty() {
            run = range;
        } else if text.get(run.end..range.start) == Some(b"\r\n") {
            run.end = range.end;
        } else {
            push_run(out, text, &mut run);
            run = range;
        }
    }
    push_run(out, text, &mut run);
}

/// Where a field stands in the text as `name: value`, if it does.
#[inline]
fn verbatim(field: &Field, text: &[u8]) -> Option<std::ops::Range<usize>> {
    let (name, value) = (field.name.start as usize, field.value.start as usize);
    let end = value + field.value.len as usize;
    let is_so = end <= text.len() && text.get(name + field.name.len as usize..value) == Some(b": ");
    is_so.then_some(name..end)
}

/// Writes the fields gathered in `run`, and begins a new run.
#[inline]
fn push_run(out: &mut Vec<u8>, text: &[u8], run: &mut std::ops::Range<usize>) {
    if let Some(fields @ [_, ..]) = text.get(std::mem::take(run)) {
        out.extend_from_slice(fields);
        out.extend_from_slice(b"\r\n");
    }
}

/// Writes one field line.
#[inline(always)] // so that pieces whose lengths are known are copied as such
pub(crate) fn push_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn push_content_length(out: &mut Vec<u8>, length: u64) {
    out.extend_from_slice(CONTENT_LENGTH);
    push_number(out, length);
    out.extend_from_slice(b"\r\n");
}
