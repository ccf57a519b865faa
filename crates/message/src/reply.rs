//! What Gateward itself answers.

use std::borrow::Cow;

use crate::{Fault, Name, ResponseHead, reason_phrase};

/// An answer of the gateway: from a `respond` or `redirect` route, a policy, or a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// Header fields besides framing, Date, Server, and those of what follows. Names and values are valid.
    pub headers: Vec<(Cow<'static, str>, Cow<'static, str>)>,
    /// After how many seconds it makes sense to try again.
    pub retry_after: Option<u64>,
    /// The body; empty where it is `problem`.
    pub body: Cow<'static, [u8]>,
    /// The body, but for whose problem it is, and the fields that go with it.
    pub problem: Option<&'static Problem>,
}

impl Reply {
    /// A reply without headers and body.
    pub fn status(status: u16) -> Reply {
        let body = Cow::Borrowed(&[][..]);
        Reply { status, headers: Vec::new(), retry_after: None, body, problem: None }
    }

    /// Adds a header field.
    #[must_use]
    pub fn header(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Cow<'static, str>>,
    ) -> Reply {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Says after how many seconds it makes sense to try again (RFC 9110 §10.2.3).
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Reply {
        Reply { retry_after: Some(seconds), ..self }
    }

    /// Adds a member to problem details. `json` is its value.
    #[must_use]
    pub fn with_member(mut self, name: &'static str, json: &str) -> Reply {
        debug_assert!(self.problem.is_none(), "its text was written before");
        let mut body = self.body.into_owned();
        if body.ends_with(b"}\n") {
            body.truncate(body.len() - 2);
            body.extend_from_slice(format!(",\"{name}\":{json}}}\n").as_bytes());
        }
        self.body = Cow::Owned(body);
        self
    }

    /// Problem details (RFC 9457) for a fault.
    pub fn fault(fault: Fault, request_id: &str) -> Reply {
        let layer = fault.blame().as_str();
        let mut reply = Reply::problem(
            fault.status(),
            fault.code(),
            fault.detail(),
            layer,
            fault.is_retryable(),
            request_id,
        );
        if fault.status() == 503 {
            reply = reply.retry_after(1);
        }
        reply
    }

    /// Problem details (RFC 9457) with the members that every reply of the gateway has; see [`Problem::new`].
    pub fn problem(
        status: u16,
        code: &'static str,
        detail: &str,
        layer: &'static str,
        retryable: bool,
        request_id: &str,
    ) -> Reply {
        // Room for what is around the texts, so that it is made in one piece.
        let mut body = String::with_capacity(192 + 2 * code.len() + detail.len() + request_id.len());
        push_begin(&mut body, status, code, detail, layer);
        push_json(&mut body, request_id);
        body.push_str(end_of_problem(retryable));
        Reply::of_problem(status, body.into_bytes())
    }

    fn of_problem(status: u16, body: Vec<u8>) -> Reply {
        let mut reply = Reply::status(status).header("content-type", PROBLEM_JSON);
        reply.body = Cow::Owned(body);
        reply
    }

    /// Makes an empty head that of this reply, Server included.
    pub fn write_head(&self, head: &mut ResponseHead) {
        match self.problem {
            Some(problem) => {
                debug_assert_eq!(self.status, problem.head.status, "the status line was written before");
                head.status = problem.head.status;
                head.headers.clone_from(&problem.head.headers);
            }
            None => {
                head.begin(self.status);
                head.headers.push_known(Name::Server, SERVER);
            }
        }
        for (name, value) in &self.headers {
            head.headers.push(name.as_bytes(), value.as_bytes());
        }
        if let Some(seconds) = self.retry_after {
            head.headers.push_number(b"retry-after", seconds);
        }
    }

    /// How long the body is, for the request with this id.
    pub fn body_len(&self, request_id: &[u8]) -> usize {
        match self.problem {
            Some(problem) => problem.body.len() - ID + request_id.len(),
            None => self.body.len(),
        }
    }

    /// Appends the body, for the request with this id. It is one of the gateway's, in which nothing has to be escaped.
    #[inline]
    pub fn push_body(&self, request_id: &[u8], out: &mut Vec<u8>) {
        let Some(problem) = self.problem else { return out.extend_from_slice(&self.body) };
        let at = out.len() + problem.id_at;
        // Most ids are as long as those that the gateway makes, so there is room for one of these.
        if request_id.len() == ID {
            out.extend_from_slice(&problem.body);
            if let Some((room, id)) =
                out.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<ID>()).zip(request_id.first_chunk())
            {
                *room = *id;
            }
            return;
        }
        let (begin, end) = problem.body.split_at(problem.id_at);
        [begin, request_id, end.get(ID..).unwrap_or_default()]
            .into_iter()
            .for_each(|piece| out.extend_from_slice(piece));
    }
}

/// The length of the ids that the gateway makes.
const ID: usize = 32;

/// What the gateway calls itself.
const SERVER: &[u8] = b"gateward";

/// What the answer to one client says to caches.
pub(crate) const NO_STORE: (&str, &str) = ("cache-control", "no-store");

const PROBLEM_JSON: &str = "application/problem+json";

/// Problem details (RFC 9457) but for whose they are: made once for what is answered often.
#[derive(Clone, Debug)]
pub struct Problem {
    /// The head that goes with it.
    head: ResponseHead,
    /// The body, with room for the id of a request.
    body: Vec<u8>,
    /// Where that is.
    id_at: usize,
}

impl Problem {
    /// `code` is the stable name of what happened, `layer` is `client`, `gateway` or `service`.
    pub fn new(
        status: u16,
        code: &'static str,
        detail: &str,
        layer: &'static str,
        retryable: bool,
    ) -> Problem {
        let mut body = String::new();
        push_begin(&mut body, status, code, detail, layer);
        let id_at = body.len();
        body.push_str(&"-".repeat(ID));
        body.push_str(end_of_problem(retryable));
        let mut head = ResponseHead::default();
        Reply::status(status)
            .header("content-type", PROBLEM_JSON)
            .header(NO_STORE.0, NO_STORE.1)
            .write_head(&mut head);
        Problem { head, body: body.into_bytes(), id_at }
    }

    /// The reply to a request, whose id is put in when it is sent. No cache keeps it.
    pub fn reply(&'static self) -> Reply {
        Reply { problem: Some(self), ..Reply::status(self.head.status) }
    }
}

impl PartialEq for Problem {
    fn eq(&self, other: &Problem) -> bool {
        (self.head.status, &self.body) == (other.head.status, &other.body)
    }
}

impl Eq for Problem {}

/// The begin of problem details, up to the id of the request.
fn push_begin(out: &mut String, status: u16, code: &'static str, detail: &str, layer: &'static str) {
    // Code, title and layer are words of the gateway's own, in which nothing has to be escaped.
    for piece in ["{\"type\":\"urn:gateward:problem:", code, "\",\"title\":\"", reason_phrase(status)] {
        out.push_str(piece);
    }
    out.push_str("\",\"status\":");
    out.push_str(&status.to_string());
    out.push_str(",\"detail\":\"");
    push_json(out, detail);
    for piece in ["\",\"code\":\"", code, "\",\"layer\":\"", layer, "\",\"request_id\":\""] {
        out.push_str(piece);
    }
}

/// The end, behind it.
fn end_of_problem(retryable: bool) -> &'static str {
    if retryable { "\",\"retryable\":true}\n" } else { "\",\"retryable\":false}\n" }
}

/// Appends text with the escapes that JSON needs (RFC 8259 §7).
fn push_json(out: &mut String, text: &str) {
    // Nearly all texts need none. All bytes are looked at, because that is many at a time.
    let is_special = |b: u8| b < 0x20 || b == 0x7f || b == b'"' || b == b'\\';
    if !text.bytes().fold(false, |found, b| found | is_special(b)) {
        out.push_str(text);
        return;
    }
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => {
                out.push_str("\\u00");
                for digit in [c as u32 >> 4, c as u32 & 15] {
                    out.push(char::from_digit(digit, 16).unwrap_or('0'));
                }
            }
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_a_problem_document() {
        let reply = Reply::fault(Fault::ConnectFailed, "id-\"1\"\n");
        assert_eq!(reply.status, 502);
        let body = String::from_utf8(reply.body.into_owned()).unwrap();
        assert!(body.contains(r#""code":"connect-failed""#) && body.contains(r#""layer":"service""#));
        let more = Reply::fault(Fault::ConnectFailed, "").with_member("errors", "[1]");
        assert!(more.body.ends_with(b"\"retryable\":true,\"errors\":[1]}\n"));
        assert!(body.contains(r#""request_id":"id-\"1\"\u000a""#) && body.ends_with("\"retryable\":true}\n"));
        let detail = "It is \"so\".";
        let problem = Box::leak(Box::new(Problem::new(429, "rate-limited", detail, "client", false)));
        let made = problem.reply();
        let body_of = |reply: &Reply, id: &str| {
            let mut body = b"before ".to_vec();
            reply.push_body(id.as_bytes(), &mut body);
            assert_eq!(body.len(), 7 + reply.body_len(id.as_bytes()));
            body
        };
        let mut same = Reply::status(429);
        for id in ["", "a-b", "0123456789abcdef0123456789abcdef", &"7".repeat(128)] {
            same = Reply::problem(429, "rate-limited", detail, "client", false, id);
            assert_eq!((made.status, body_of(&made, id)), (same.status, body_of(&same, id)));
        }
        let same = same.header("cache-control", "no-store").retry_after(7);
        let head = |reply: &Reply| {
            let mut head = ResponseHead::default();
            reply.write_head(&mut head);
            head
        };
        let written = |reply: &Reply| String::from_utf8(head(reply).headers.text().to_vec()).unwrap();
        let all = "HTTP/1.1 429 Too Many Requests\r\nserver: gateward\r\n\
                   content-type: application/problem+json\r\ncache-control: no-store\r\nretry-after: 7\r\n";
        let made = made.retry_after(7);
        assert_eq!((written(&same).as_str(), written(&made).as_str()), (all, all));
        let made = head(&made);
        let last: Vec<_> = made.headers.iter().skip(1).collect();
        let want: [(&[u8], &[u8]); 3] = [
            (b"content-type", b"application/problem+json"),
            (b"cache-control", b"no-store"),
            (b"retry-after", b"7"),
        ];
        assert_eq!(last, want);
    }
}
