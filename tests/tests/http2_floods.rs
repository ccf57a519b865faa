//! HTTP/2 clients that do too much of something: each flood is bounded, counted and ended, in flat memory, and other
//! clients do not feel it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use end_to_end::bulk::read_head;
use end_to_end::http2::{Http2, code, kind, request};
use end_to_end::{Gateway, Origin, SOON, wait_until};
use serde_json::{Value, json};

/// By how much the memory of a gateway may grow, whatever a client sends.
const MOST_GROWTH: u64 = 32 << 20;
/// How long another client may wait for an answer meanwhile. The machine runs the flood as well.
const MOST_WAIT: Duration = Duration::from_millis(1500);

struct Flooded {
    gateway: Gateway,
    origin: Origin,
    /// How many requests for `/reset` or a bomb reached the service, and how many bytes it could send.
    reached: Arc<AtomicU64>,
    sent: Arc<AtomicU64>,
    before: u64,
}

/// Answers requests one after another, and keeps nothing of them: there may be very many.
fn serve(mut stream: TcpStream, reached: &AtomicU64, sent: &AtomicU64) {
    while let Ok(head) = read_head(&mut stream) {
        if head.starts_with("GET /other ") || head.starts_with("GET /warm ") {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
            continue;
        }
        reached.fetch_add(1, Ordering::Relaxed);
        let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 1 << 20);
        for _ in 0..256 {
            if stream.write_all(&[b'x'; 4096]).is_err() {
                return;
            }
            sent.fetch_add(4096, Ordering::Relaxed);
        }
    }
}

impl Flooded {
    fn new() -> Flooded {
        let (reached, sent) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let (counter, bytes) = (Arc::clone(&reached), Arc::clone(&sent));
        let origin = Origin::raw(move |stream| serve(stream, &counter, &bytes));
        let gateway = Gateway::start(format!(
            "listen: {{ address: 127.0.0.1:0, limits: {{ streams: 100 }} }}\nshutdown: {{ drain: 1s }}\n\
             services: {{ site: {{ endpoints: [http://{}] }} }}\nroutes: [{{ path: /*, service: site }}]\n",
            origin.address()
        ));
        let warm = Http2::connect(gateway.address());
        warm.get(1, "/warm");
        assert_eq!(warm.response(1).status(), 200);
        let before = gateway.peak_memory();
        Flooded { gateway, origin, reached, sent, before }
    }

    fn flood(&self, setup: Value, prepare: impl FnOnce(&Http2), frames: &Value, count: u64) -> Http2 {
        let client = Http2::connect_with(self.gateway.address(), setup);
        prepare(&client);
        client.tell(json!({ "do": "flood", "frames": frames, "count": count, "first": 101 }));
        self.others_are_served();
        client
    }

    /// Another client, on a connection of its own, is answered fast.
    fn others_are_served(&self) {
        let other = self.gateway.connect();
        for _ in 0..5 {
            let asked = Instant::now();
            assert_eq!(other.get("/other").status(), 200);
            assert!(asked.elapsed() < MOST_WAIT, "another client waited {:?}", asked.elapsed());
        }
    }

    /// The flood was ended, with this code where one could still be sent.
    fn is_ended(&self, client: &Http2, codes: &[u64]) {
        let end = client.end(Duration::from_secs(30));
        let end = end.unwrap_or_else(|| panic!("the flood was not ended: {}", client.events().show()));
        assert!(end.is_none_or(|code| codes.contains(&code)), "GOAWAY with {end:?}");
    }

    fn stop(self) {
        self.others_are_served();
        let grown = self.gateway.peak_memory().saturating_sub(self.before);
        assert!(grown < MOST_GROWTH, "the gateway grew by {grown} bytes");
        self.gateway.stop();
    }
}

fn nothing(_: &Http2) {}

/// CVE-2023-44487: what was reset must count as work.
#[test]
fn rapid_reset() {
    // Also of requests that are given up in the middle of their bodies.
    for (method, flags) in [("GET", 5), ("POST", 4)] {
        let test = Flooded::new();
        let fields = request(method, "http", "/reset", &[]);
        let frames = json!([[kind::HEADERS, flags, "n", fields], [kind::RST_STREAM, 0, "n", "00000008"]]);
        let client = test.flood(json!({}), nothing, &frames, 100_000);
        test.is_ended(&client, &[code::ENHANCE_YOUR_CALM]);
        let reached = test.reached.load(Ordering::Relaxed);
        assert!(reached <= 1000, "{reached} requests reached the service");
        test.stop();
    }
}

/// CVE-2025-8671: the same, when the server is made to reset.
#[test]
fn made_you_reset() {
    let fields = request("GET", "http", "/reset", &[]);
    let open = request("POST", "http", "/reset", &[]);
    let provocations = [
        ("a window of 0", json!([[kind::HEADERS, 4, "n", open], [kind::WINDOW_UPDATE, 0, "n", "00000000"]])),
        (
            "a window too large",
            json!([[kind::HEADERS, 4, "n", open], [kind::WINDOW_UPDATE, 0, "n", "7fffffff"]]),
        ),
        ("data behind the end", json!([[kind::HEADERS, 5, "n", fields], [kind::DATA, 1, "n", "78"]])),
        ("fields behind the end", json!([[kind::HEADERS, 5, "n", fields], [kind::HEADERS, 5, "n", fields]])),
        (
            "priority of 6 bytes",
            json!([[kind::HEADERS, 4, "n", open], [kind::PRIORITY, 0, "n", "000000000000"]]),
        ),
        (
            "a wrong length",
            json!([
                [kind::HEADERS, 4, "n", request("POST", "http", "/reset", &[("content-length", "1")])],
                [kind::DATA, 1, "n", "7878"]
            ]),
        ),
        (
            "a malformed head",
            json!([[kind::HEADERS, 5, "n", request("GET", "http", "/reset", &[("X", "y")])]]),
        ),
    ];
    for (what, frames) in provocations {
        let test = Flooded::new();
        let client = test.flood(json!({}), nothing, &frames, 10_000);
        let end = client.end(Duration::from_secs(30));
        assert!(end.is_some(), "{what}: the flood was not ended: {}", client.events().show());
        let reached = test.reached.load(Ordering::Relaxed);
        assert!(reached <= 1000, "{what}: {reached} requests reached the service");
        test.stop();
    }
}

/// A head without an end, in frames of 16 KiB, and in empty ones (CVE-2024-27316, VU#421644).
#[test]
fn continuation() {
    for (payload, count) in [("00".to_owned() + &"016101".repeat(5461), 20_000), (String::new(), 100_000)] {
        let test = Flooded::new();
        let begin = |client: &Http2| {
            client.tell(
                json!({ "do": "frame", "type": kind::HEADERS, "flags": 1, "stream": 1, "payload": "82" }),
            );
        };
        let client = test.flood(json!({}), begin, &json!([[kind::CONTINUATION, 0, 1, payload]]), count);
        let end = client.end(Duration::from_secs(30));
        assert!(end.is_some(), "the flood was not ended: {}", client.events().show());
        let flooded = client.events().take("flooded", |_| true);
        // Small ones may all lie in buffers of the system.
        assert!(count > 20_000 || flooded["sent"].as_u64() < Some(count), "all of it was read: {flooded}");
        test.stop();
    }
}

/// Frames that want an acknowledgement, from a client that reads nothing (CVE-2019-9512, CVE-2019-9515). They end the
/// connection, or it stands still; they must not pile up.
#[test]
fn frames_that_want_an_acknowledgement() {
    let floods = [
        ("PING", json!([[kind::PING, 0, 0, "0102030405060708"]])),
        ("SETTINGS", json!([[kind::SETTINGS, 0, 0, "000300000064"]])),
        ("empty SETTINGS", json!([[kind::SETTINGS, 0, 0, ""]])),
    ];
    for (what, frames) in floods {
        let test = Flooded::new();
        let client = test.flood(json!({ "deaf": true, "buffer": 4096 }), nothing, &frames, 3_000_000);
        let flooded = client.events().find(Duration::from_secs(5), "flooded", |_| true);
        let read = flooded.is_some_and(|event| event["error"].is_null());
        assert!(!read, "{what}: all of it was read, and nothing of the answers");
        test.stop();
    }
}

/// Frames that do nothing (CVE-2019-9518).
#[test]
fn empty_data() {
    for (payload, flags, count) in [("", 0, 1_000_000), ("00", 8, 100_000)] {
        let test = Flooded::new();
        let open = |client: &Http2| client.headers(1, request("POST", "http", "/up", &[]), false);
        let client = test.flood(json!({}), open, &json!([[kind::DATA, flags, 1, payload]]), count);
        test.is_ended(&client, &[code::ENHANCE_YOUR_CALM]);
        test.stop();
    }
}

/// PRIORITY means nothing any more (RFC 9113 §5.3.2), so that many of them may be ignored or end the connection.
#[test]
fn priority_costs_nothing() {
    let test = Flooded::new();
    let client = test.flood(json!({}), nothing, &json!([[kind::PRIORITY, 0, "n", "000000000f"]]), 100_000);
    client.events().find(Duration::from_secs(60), "flooded", |_| true).expect("the flood is read or refused");
    test.stop();
}

/// Fields that are one byte each on the wire (CVE-2016-6581, CVE-2026-49975), and crumbs of cookies and further hosts,
/// which have to count as well (CVE-2026-47774).
#[test]
fn bombs_of_fields() {
    let insert = |name: &str, value: &str| {
        let mut block = String::from("82868441"); // GET, http, /, then :authority as a literal with an index
        let _ = write!(
            block,
            "{:02x}{}",
            7,
            "gw.test".bytes().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
        );
        let text = |text: &str| text.bytes().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        assert!(value.len() < 127 || value.len() == 3000);
        let length = if value.len() < 127 { format!("{:02x}", value.len()) } else { "7fb916".to_owned() };
        let _ = write!(block, "40{:02x}{}{length}{}", name.len(), text(name), text(value));
        block
    };
    for (name, value) in
        [("x", "y".repeat(3000)), ("a", String::new()), ("cookie", "a=1".into()), ("host", "gw.test".into())]
    {
        let test = Flooded::new();
        // No window for answers, so that nothing of it is over soon.
        let client =
            Http2::connect_with(test.gateway.address(), json!({ "settings": { "4": 0 }, "windows": false }));
        for stream in 0..50 {
            // 62 is the field that was indexed last.
            let block = insert(name, &value) + &"be".repeat(10_000);
            let stream = 2 * stream + 1;
            client.tell(json!({ "do": "frame", "type": kind::HEADERS, "flags": 5, "stream": stream, "payload": block }));
        }
        test.others_are_served();
        let refused = |event: &Value| event["fields"].to_string().contains("[\":status\",\"431\"]");
        let ended = client.events().find(SOON, "headers", refused).is_some()
            || client.events().find(Duration::ZERO, "reset", |_| true).is_some()
            || client.events().find(SOON, "closed", |_| true).is_some();
        assert!(ended, "{name}: the bomb was not refused: {}", client.events().show());
        let reached = test.reached.load(Ordering::Relaxed);
        assert!(reached <= 1, "{name}: {reached} bombs reached the service");
        test.stop();
    }
}

/// RFC 7541 §5.1, §6.3: integers without an end, and sizes above what was allowed.
#[test]
fn broken_compression_ends_the_connection() {
    for block in [
        "3fe1ffffff07".to_owned(),
        "7f".to_owned() + &"80".repeat(100) + "01",
        "ff".to_owned() + &"ff".repeat(100),
        "80".to_owned(),
    ] {
        let test = Flooded::new();
        let client = Http2::connect(test.gateway.address());
        client
            .tell(json!({ "do": "frame", "type": kind::HEADERS, "flags": 5, "stream": 1, "payload": block }));
        // RFC 9113 §4.3 wants the first; what is no frame at all may be the second.
        test.is_ended(&client, &[code::COMPRESSION_ERROR, code::PROTOCOL_ERROR]);
        test.stop();
    }
}

/// A window past 2^31-1 is an error of the connection (RFC 9113 §6.9.1, CVE-2026-123007).
#[test]
fn windows_that_overflow() {
    let test = Flooded::new();
    let client = Http2::connect(test.gateway.address());
    client.tell(json!({ "do": "window", "stream": 0, "by": 0x7fff_ffffu32 }));
    test.is_ended(&client, &[code::FLOW_CONTROL_ERROR]);
    test.stop();
}

/// A client that asks for much and gives no window (CVE-2019-9517), or one byte now and then (CVE-2019-9511).
#[test]
fn answers_that_are_not_read_are_not_kept() {
    for drip in [false, true] {
        let test = Flooded::new();
        let setup = json!({ "settings": { "4": 0 }, "windows": false });
        let clients: Vec<Http2> =
            (0..4).map(|_| Http2::connect_with(test.gateway.address(), setup.clone())).collect();
        for client in &clients {
            for stream in 0..50 {
                client.get(2 * stream + 1, "/large");
            }
        }
        for client in &clients {
            for _ in 0..50 {
                client.events().take("headers", |_| true);
            }
            for stream in (0..50).filter(|_| drip) {
                client.tell(json!({ "do": "window", "stream": 2 * stream + 1, "by": 1 }));
            }
        }
        test.others_are_served();
        let sent = || test.sent.load(Ordering::Relaxed);
        let mut last = (sent(), Instant::now());
        wait_until("nothing more is taken from the service", SOON * 2, || {
            if sent() != last.0 {
                last = (sent(), Instant::now());
            }
            last.1.elapsed() > Duration::from_millis(400)
        });
        test.stop();
    }
}

/// The stall of such a client has an end of its own.
#[test]
fn a_client_that_never_opens_its_window_is_ended() {
    let test = Flooded::new();
    let gateway = Gateway::start(format!(
        "listen: {{ address: 127.0.0.1:0, timeouts: {{ send: 1s }} }}\n\
         services: {{ site: {{ endpoints: [http://{}] }} }}\nroutes: [{{ path: /*, service: site }}]\n",
        test.origin.address()
    ));
    let client = Http2::connect_with(gateway.address(), json!({ "settings": { "4": 0 }, "windows": false }));
    client.get(1, "/large");
    client.events().take("headers", |_| true);
    let ended = client.events().find(Duration::from_secs(10), "reset", |_| true).is_some()
        || client.events().find(SOON, "closed", |_| true).is_some();
    assert!(ended, "the stream is kept for ever: {}", client.events().show());
    gateway.stop();
    test.stop();
}

/// CVE-2026-110353: a part of a frame must neither keep the processor busy nor be waited for without end.
#[test]
fn a_frame_without_its_end_costs_no_time() {
    let test = Flooded::new();
    let client = Http2::connect(test.gateway.address());
    client.tell(json!({ "do": "bytes", "hex": "00000806000000000001020304" }));
    let used = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", test.gateway.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    let (before, begun) = (used(), Instant::now());
    wait_until("a while has passed", SOON, || begun.elapsed() > Duration::from_secs(2));
    let ticks = used() - before;
    assert!(ticks <= 10, "{ticks} ticks of the processor were used while nothing came");
    test.stop();
}
