//! One side of HTTP/2 that does what a test says, frame by frame, right or wrong: `peers/http2_peer.py`.
//!
//! It is Python's `hyperframe` and `hpack`, so it shares no code with Gateward. Entry points: [`Http2::connect`],
//! [`Http2::listen`].

use std::io::Write;
use std::net::SocketAddr;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::Mutex;

use serde_json::{Value, json};

use crate::peer::{Events, Peer, scripts};
use crate::python::python_with;
use crate::{SOON, wait_until};

/// Error codes, RFC 9113 §7.
pub mod code {
    /// The stream or connection is not wanted any more, and nothing was wrong.
    pub const NO_ERROR: u64 = 0;
    /// A rule of the protocol was broken.
    pub const PROTOCOL_ERROR: u64 = 1;
    /// Something went wrong inside.
    pub const INTERNAL_ERROR: u64 = 2;
    /// More was sent than there was a window for.
    pub const FLOW_CONTROL_ERROR: u64 = 3;
    /// Nothing of the request was processed.
    pub const REFUSED_STREAM: u64 = 7;
    /// The stream is not needed any more.
    pub const CANCEL: u64 = 8;
    /// The table of fields is broken.
    pub const COMPRESSION_ERROR: u64 = 9;
    /// The other side does too much of something.
    pub const ENHANCE_YOUR_CALM: u64 = 11;
}

/// Types of frames, RFC 9113 §6.
pub mod kind {
    /// A part of a body.
    pub const DATA: u64 = 0;
    /// The first part of a block of fields.
    pub const HEADERS: u64 = 1;
    /// Without any meaning.
    pub const PRIORITY: u64 = 2;
    /// The end of a stream.
    pub const RST_STREAM: u64 = 3;
    /// What a side allows.
    pub const SETTINGS: u64 = 4;
    /// A question whether the other side lives.
    pub const PING: u64 = 6;
    /// More room.
    pub const WINDOW_UPDATE: u64 = 8;
    /// A further part of a block of fields.
    pub const CONTINUATION: u64 = 9;
}

/// Names and values of fields.
pub type Fields = Vec<(String, String)>;

/// What came on a stream until its end.
#[derive(Debug)]
pub struct Answer {
    /// Heads of interim answers.
    pub interim: Vec<Fields>,
    /// The head of the answer.
    pub fields: Fields,
    /// The body, one character a byte.
    pub body: String,
    /// Fields behind the body.
    pub trailers: Fields,
    /// The code of a reset, if that was the end.
    pub reset: Option<u64>,
}

impl Answer {
    /// The value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        value(&self.fields, name)
    }

    /// The status; 0 if there was none.
    pub fn status(&self) -> u16 {
        self.field(":status").and_then(|status| status.parse().ok()).unwrap_or(0)
    }
}

/// The value of the first field of a name.
pub fn value<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// A request as it reached a service.
#[derive(Debug)]
pub struct Asked {
    /// On which connection.
    pub connection: u64,
    /// On which stream.
    pub stream: u64,
    /// Its head.
    pub fields: Fields,
    /// Whether that was all.
    pub end: bool,
}

/// One side of HTTP/2: a client with one connection, or a service with many.
pub struct Http2 {
    commands: Mutex<ChildStdin>,
    events: Events,
    address: SocketAddr,
    _peer: Peer,
}

/// The fields of a request.
pub fn request(method: &str, scheme: &str, path: &str, more: &[(&str, &str)]) -> Value {
    let mut fields =
        vec![[":method", method], [":scheme", scheme], [":authority", "gw.test"], [":path", path]];
    fields.extend(more.iter().map(|(name, value)| [*name, *value]));
    json!(fields)
}

impl Http2 {
    /// A client of this address. `None` where Python or its packages are missing, which is then said.
    pub fn connect(address: SocketAddr) -> Http2 {
        Http2::connect_with(address, json!({}))
    }

    /// The same, with a setup of the script.
    pub fn connect_with(address: SocketAddr, mut setup: Value) -> Http2 {
        setup["connect"] = json!(address.to_string());
        let client = Http2::start(&setup, address);
        client.events.take("connected", |_| true);
        client
    }

    /// A service on a free port.
    pub fn listen() -> Http2 {
        Http2::listen_with(json!({}))
    }

    /// The same, with a setup of the script.
    pub fn listen_with(mut setup: Value) -> Http2 {
        setup["listen"] = json!(true);
        let mut service = Http2::start(&setup, ([127, 0, 0, 1], 0).into());
        let port = service.events.take("listening", |_| true)["port"].as_u64().unwrap();
        service.address.set_port(u16::try_from(port).unwrap());
        service
    }

    fn start(setup: &Value, address: SocketAddr) -> Http2 {
        let python = python_with("hyperframe").expect("the packages of tests/peers/requirements.txt");
        let mut command = Command::new(python);
        command.arg("-u").arg(scripts().join("http2_peer.py")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut peer = Peer(command.spawn().unwrap());
        let (commands, events) = (Mutex::new(peer.0.stdin.take().unwrap()), Events::of(&mut peer.0));
        let http2 = Http2 { commands, events, address, _peer: peer };
        http2.tell(setup.clone());
        http2
    }

    /// Where the service listens, or what the client is connected to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What came.
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// A command as the script knows them.
    #[expect(clippy::needless_pass_by_value, reason = "commands are written in place")]
    pub fn tell(&self, command: Value) {
        let _ = writeln!(self.commands.lock().unwrap(), "{command}");
    }

    /// Asks without a body.
    pub fn get(&self, stream: u64, path: &str) {
        self.headers(stream, request("GET", "http", path, &[]), true);
    }

    /// Sends a head, or trailers.
    #[expect(clippy::needless_pass_by_value, reason = "commands are written in place")]
    pub fn headers(&self, stream: u64, fields: Value, end: bool) {
        self.tell(json!({ "do": "headers", "stream": stream, "fields": fields, "end": end }));
    }

    /// Sends a part of a body.
    pub fn data(&self, stream: u64, text: &str, end: bool) {
        self.tell(json!({ "do": "data", "stream": stream, "text": text, "end": end }));
    }

    /// Ends a stream.
    pub fn reset(&self, stream: u64, code: u64) {
        self.tell(json!({ "do": "reset", "stream": stream, "code": code }));
    }

    /// Answers a request with a status and a text.
    pub fn answer(&self, asked: &Asked, status: &str, text: &str) {
        let (connection, stream) = (asked.connection, asked.stream);
        let fields = [[":status", status], ["content-length", &text.len().to_string()]];
        let head = json!({ "do": "headers", "stream": stream, "connection": connection, "fields": fields,
                           "end": text.is_empty() });
        self.tell(head);
        if !text.is_empty() {
            let data = json!({ "do": "data", "stream": stream, "connection": connection, "text": text, "end": true });
            self.tell(data);
        }
    }

    /// The next request that reached the service.
    pub fn asked(&self) -> Asked {
        let event = self.events.take("headers", |event| value(&fields(event), ":method").is_some());
        Asked {
            connection: event["connection"].as_u64().unwrap(),
            stream: event["stream"].as_u64().unwrap(),
            fields: fields(&event),
            end: event["end"] == true,
        }
    }

    /// Reads a stream up to its end.
    pub fn response(&self, stream: u64) -> Answer {
        let mut answer =
            Answer { interim: vec![], fields: vec![], body: String::new(), trailers: vec![], reset: None };
        let mut ended = false;
        wait_until(&format!("stream {stream} ends"), SOON * 2, || {
            while !ended && let Some(event) = self.events.next_of(stream) {
                ended = take(&mut answer, &event);
            }
            assert!(
                ended || !self.is_closed(),
                "the connection ended before stream {stream}: {}",
                self.events.show()
            );
            ended
        });
        answer
    }

    fn is_closed(&self) -> bool {
        self.events.count("closed") + self.events.count("gone") > 0
    }

    /// Waits for the end of the connection; the code of the last GOAWAY before it.
    pub fn end(&self, limit: std::time::Duration) -> Option<Option<u64>> {
        self.events.find(limit, "closed", |_| true)?;
        let codes = std::iter::from_fn(|| self.events.find(std::time::Duration::ZERO, "goaway", |_| true));
        Some(codes.last().and_then(|event| event["code"].as_u64()))
    }
}

/// The fields of an event.
pub fn fields(event: &Value) -> Fields {
    serde_json::from_value(event["fields"].clone()).unwrap()
}

/// Adds an event to an answer; whether it was the last.
fn take(answer: &mut Answer, event: &Value) -> bool {
    match event["event"].as_str() {
        Some("headers") => {
            let fields = fields(event);
            match value(&fields, ":status") {
                Some(status) if status.starts_with('1') => answer.interim.push(fields),
                Some(_) => answer.fields = fields,
                None => answer.trailers = fields,
            }
        }
        Some("data") => answer.body += event["text"].as_str().unwrap(),
        _ => answer.reset = event["code"].as_u64(),
    }
    event["end"] == true || answer.reset.is_some()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Http2, code, request, value};

    #[test]
    fn a_client_and_a_service_talk() {
        let service = Http2::listen();
        let client = Http2::connect(service.address());
        client.headers(1, request("POST", "http", "/a", &[("x-b", "c")]), false);
        client.data(1, "hello", true);
        let asked = service.asked();
        assert_eq!((value(&asked.fields, ":path"), value(&asked.fields, "x-b")), (Some("/a"), Some("c")));
        service.events().take("data", |event| event["text"] == "hello" && event["end"] == true);
        let early = json!({ "do": "headers", "stream": 1, "fields": [[":status", "103"], ["link", "x"]] });
        service.tell(early);
        service.answer(&asked, "200", "fine");
        let answer = client.response(1);
        assert_eq!((answer.interim.len(), answer.status(), answer.body.as_str()), (1, 200, "fine"));
        client.get(3, "/b");
        assert_eq!(service.asked().stream, 3);
        service.reset(3, code::REFUSED_STREAM);
        assert_eq!(client.response(3).reset, Some(code::REFUSED_STREAM));
        service.tell(json!({ "do": "goaway", "last": 3, "code": code::ENHANCE_YOUR_CALM }));
        service.tell(json!({ "do": "close" }));
        assert_eq!(client.end(crate::SOON), Some(Some(code::ENHANCE_YOUR_CALM)));
    }
}
