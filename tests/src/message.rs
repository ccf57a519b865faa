//! A small, strict HTTP/1.1 parser: what Gateward sends must be readable without any goodwill.
//!
//! It shares no code with Gateward's own parser on purpose. Bytes are kept as Latin-1 text, one character per
//! byte. Entry point: [`parse`].

use crate::End;

/// What is to be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A request.
    Request,
    /// A response, interim ones included.
    Response,
    /// A response without a body, whatever its head announces: to HEAD.
    Bodiless,
    /// Only the head of a request or response.
    Head,
}

/// How a body was delimited.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    /// There is no body.
    None,
    /// Content-Length.
    Length(u64),
    /// Transfer-Encoding: chunked.
    Chunked,
    /// By the end of the connection.
    UntilClose,
}

/// A message, or as much of it as came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// The request line or status line.
    pub start: String,
    /// Names as they were spelt, and values without white space around them.
    pub fields: Vec<(String, String)>,
    /// The decoded body.
    pub body: Vec<u8>,
    /// Fields behind the last chunk.
    pub trailers: Vec<(String, String)>,
    /// How the body was delimited.
    pub framing: Framing,
}

/// What became of the bytes.
#[derive(Debug)]
pub enum Parsed {
    /// The head is not complete.
    Nothing,
    /// The head is complete, the body is not.
    Part(Box<Message>),
    /// A whole message, and how many bytes it took.
    Whole(Box<Message>, usize),
}

impl Message {
    /// The value of the first field of a name, in any spelling.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The status of a response; 0 for a request.
    pub fn status(&self) -> u16 {
        self.start.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok()).unwrap_or(0)
    }

    /// The method of a request.
    pub fn method(&self) -> &str {
        self.start.split(' ').next().unwrap_or("")
    }

    /// The target of a request.
    pub fn target(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or("")
    }

    /// The body as text.
    pub fn text(&self) -> String {
        latin1(&self.body)
    }
}

impl std::fmt::Display for Message {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(out, "  {}", self.start)?;
        for (name, value) in &self.fields {
            writeln!(out, "  {name}: {value}")?;
        }
        let shown: String = self.text().chars().take(2000).collect();
        write!(out, "  body of {} bytes: {shown:?}, trailers: {:?}", self.body.len(), self.trailers)
    }
}

/// Bytes as text, one character per byte.
pub fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|&b| b as char).collect()
}

/// Reads one message from the beginning of `bytes`. `end` says whether more can come.
///
/// Errors: what is against RFC 9112, in words.
pub fn parse(bytes: &[u8], kind: Kind, end: Option<End>) -> Result<Parsed, String> {
    let mut reader = Reader { bytes, at: 0 };
    let Some(start) = reader.line()? else { return Ok(Parsed::Nothing) };
    check_start(&start, kind)?;
    let Some(fields) = reader.fields()? else { return Ok(Parsed::Nothing) };
    let mut message =
        Message { start, fields, body: Vec::new(), trailers: Vec::new(), framing: Framing::None };
    message.framing = framing(&message, kind)?;
    let whole = match message.framing {
        Framing::None => true,
        Framing::Length(length) => {
            let rest = &bytes[reader.at..];
            let length = usize::try_from(length).map_err(|error| error.to_string())?;
            message.body = rest[..length.min(rest.len())].to_vec();
            reader.at += message.body.len();
            message.body.len() == length
        }
        Framing::Chunked => reader.chunks(&mut message)?,
        Framing::UntilClose => {
            message.body = bytes[reader.at..].to_vec();
            reader.at = bytes.len();
            end == Some(End::Closed)
        }
    };
    let message = Box::new(message);
    Ok(if whole { Parsed::Whole(message, reader.at) } else { Parsed::Part(message) })
}

fn check_start(start: &str, kind: Kind) -> Result<(), String> {
    let is_response = start.starts_with("HTTP/1.1 ")
        && start.get(9..12).is_some_and(|code| code.bytes().all(|b| b.is_ascii_digit()))
        && start.get(12..13) == Some(" ");
    let parts: Vec<&str> = start.split(' ').collect();
    let is_request = matches!(parts[..], [method, target, "HTTP/1.1"]
        if method.bytes().all(is_token) && !method.is_empty()
            && !target.is_empty() && target.bytes().all(|b| b.is_ascii_graphic()));
    let fits = match kind {
        Kind::Request => is_request,
        Kind::Response | Kind::Bodiless => is_response,
        Kind::Head => is_request || is_response,
    };
    if fits { Ok(()) } else { Err(format!("not a start line of HTTP/1.1: {start:?}")) }
}

fn framing(message: &Message, kind: Kind) -> Result<Framing, String> {
    let all = |name: &str| -> Vec<&str> {
        let of_name = message.fields.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        of_name.map(|(_, value)| value.as_str()).collect()
    };
    let (lengths, codings, hosts) = (all("content-length"), all("transfer-encoding"), all("host"));
    let is_request = !message.start.starts_with("HTTP/");
    if is_request && hosts.len() != 1 {
        return Err(format!("{} Host fields", hosts.len()));
    }
    if !codings.is_empty() && !lengths.is_empty() {
        return Err("both Content-Length and Transfer-Encoding".into());
    }
    let no_body =
        kind == Kind::Bodiless || kind == Kind::Head || matches!(message.status(), 100..=199 | 204 | 304);
    match (&lengths[..], &codings[..]) {
        (_, []) | ([], ["chunked"]) if no_body => Ok(Framing::None),
        ([], []) if is_request => Ok(Framing::None),
        ([], []) => Ok(Framing::UntilClose),
        ([], ["chunked"]) => Ok(Framing::Chunked),
        ([length], []) if !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit()) => {
            length.parse().map(Framing::Length).map_err(|error| error.to_string())
        }
        _ => Err(format!("framing in doubt: Content-Length {lengths:?}, Transfer-Encoding {codings:?}")),
    }
}

fn is_token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    /// A line without its CRLF, or `None` if it is not complete.
    fn line(&mut self) -> Result<Option<String>, String> {
        let rest = &self.bytes[self.at..];
        let Some(length) = rest.iter().position(|&b| b == b'\n') else { return Ok(None) };
        let line = latin1(&rest[..length]);
        self.at += length + 1;
        let Some(line) = line.strip_suffix('\r') else {
            return Err(format!("a line ends with a bare LF: {line:?}"));
        };
        if line.contains(['\r', '\0']) {
            return Err(format!("a bare CR or NUL in a line: {line:?}"));
        }
        Ok(Some(line.to_owned()))
    }

    /// Fields up to and including the empty line.
    fn fields(&mut self) -> Result<Option<Vec<(String, String)>>, String> {
        let mut fields = Vec::new();
        loop {
            let Some(line) = self.line()? else { return Ok(None) };
            if line.is_empty() {
                return Ok(Some(fields));
            }
            let (name, value) = line.split_once(':').ok_or_else(|| format!("no colon in {line:?}"))?;
            if name.is_empty() || !name.bytes().all(is_token) {
                return Err(format!("not a header name: {name:?}"));
            }
            fields.push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
        }
    }

    /// Chunks and trailers. `false` if they are not complete.
    fn chunks(&mut self, message: &mut Message) -> Result<bool, String> {
        loop {
            let Some(line) = self.line()? else { return Ok(false) };
            let digits = line.split(';').next().unwrap_or("");
            if digits.is_empty() || digits.len() > 15 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(format!("not a chunk size: {line:?}"));
            }
            let size = usize::from_str_radix(digits, 16).map_err(|error| error.to_string())?;
            if size == 0 {
                let Some(trailers) = self.fields()? else { return Ok(false) };
                message.trailers = trailers;
                return Ok(true);
            }
            let rest = &self.bytes[self.at..];
            message.body.extend_from_slice(&rest[..size.min(rest.len())]);
            match rest.get(size..size + 2) {
                Some(b"\r\n") => self.at += size + 2,
                Some(other) => return Err(format!("a chunk is followed by {other:?}")),
                None => return Ok(false),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Framing, Kind, Parsed, parse};
    use crate::End;

    #[test]
    fn whole_and_partial_messages() {
        let text =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: 1\r\n\r\nrest";
        let Ok(Parsed::Whole(message, length)) = parse(text, Kind::Response, None) else { panic!() };
        assert_eq!(
            (&message.body[..], message.framing, length),
            (&b"abc"[..], Framing::Chunked, text.len() - 4)
        );
        assert_eq!(message.trailers, [("T".to_owned(), "1".to_owned())]);
        for cut in 0..text.len() - 4 {
            assert!(
                !matches!(parse(&text[..cut], Kind::Response, None), Ok(Parsed::Whole(..)) | Err(_)),
                "{cut}"
            );
        }
    }

    #[test]
    fn a_close_delimits_unless_it_is_a_reset() {
        let text = b"HTTP/1.1 200 OK\r\n\r\nabc";
        assert!(matches!(parse(text, Kind::Response, Some(End::Closed)), Ok(Parsed::Whole(..))));
        assert!(matches!(parse(text, Kind::Response, Some(End::Reset)), Ok(Parsed::Part(_))));
    }

    #[test]
    fn doubtful_messages_are_errors() {
        for text in [
            "GET / HTTP/1.1\nHost: a\r\n\r\n",
            "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\n",
        ] {
            assert!(parse(text.as_bytes(), Kind::Request, None).is_err(), "{text:?}");
        }
    }
}
