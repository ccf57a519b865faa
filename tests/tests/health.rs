//! Probes of services: who fails gets no requests, and gets them again.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use end_to_end::certificates::{Authority, Wish};
use end_to_end::http2::{Http2, value};
use end_to_end::{
    Client, Folder, Gateway, Message, Origin, SOON, Setup, check, free_address, refused_address, wait_until,
};
use serde_json::{Value, json};

const FAST: &str = "every: 100ms, timeout: 300ms, healthy_after: 2, unhealthy_after: 2";

/// A service that says its name, and answers probes with a status that can be set; 0 is no answer at all.
struct Patient {
    origin: Origin,
    status: Arc<AtomicU16>,
}

impl Patient {
    fn new(name: &'static str) -> Patient {
        let status = Arc::new(AtomicU16::new(200));
        let says = Arc::clone(&status);
        let origin = Origin::serving(move |request| Some(answer(request, name, says.load(Ordering::SeqCst))));
        Patient { origin, status }
    }

    fn is(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    fn address(&self) -> SocketAddr {
        self.origin.address()
    }

    fn probes(&self) -> Vec<Message> {
        self.origin.requests().into_iter().filter(|request| request.target() == "/healthz").collect()
    }
}

fn answer(request: &Message, name: &str, status: u16) -> Vec<u8> {
    match (request.target(), status) {
        ("/healthz", 0) => Vec::new(),
        ("/healthz", status) => format!("HTTP/1.1 {status} Probe\r\nContent-Length: 0\r\n\r\n").into_bytes(),
        _ => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len()).into_bytes(),
    }
}

fn yaml(endpoints: &[SocketAddr], health: &str, more: &str) -> String {
    let endpoints: Vec<String> = endpoints.iter().map(|address| format!("http://{address}")).collect();
    format!(
        "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\n\
         services: {{ site: {{ endpoints: [{}], health: {{ {health}, {FAST} }}{more} }} }}\n\
         routes: [{{ path: /*, service: site }}]\n",
        endpoints.join(", ")
    )
}

/// The texts of so many answers, each once, sorted.
fn answers(client: &Client, requests: usize) -> Vec<String> {
    let mut texts: Vec<String> = (0..requests).map(|_| client.get("/x").text()).collect();
    texts.sort();
    texts.dedup();
    texts
}

/// What the admin listener says of the service: an object, or null.
fn health(gateway: &Gateway) -> Value {
    let (status, text) = gateway.ask_admin("/services");
    assert_eq!(status, 200, "{text}");
    serde_json::from_str::<Value>(&text).unwrap()["services"][0]["health"].clone()
}

/// The entry of an address.
fn of(gateway: &Gateway, address: SocketAddr) -> Value {
    let health = health(gateway);
    let all = health["addresses"].as_array().unwrap();
    all.iter().find(|one| one["address"] == address.to_string()).cloned().unwrap_or_default()
}

fn is_out(gateway: &Gateway, address: SocketAddr, out: bool) {
    let what = format!("{address} is {}", if out { "out" } else { "in" });
    wait_until(&what, SOON, || of(gateway, address)["healthy"] == !out);
}

#[test]
fn a_service_that_answers_badly_is_left_alone_until_it_is_well_again() {
    let (a, b) = (Patient::new("a"), Patient::new("b"));
    let gateway = Gateway::start(yaml(&[a.address(), b.address()], "path: /healthz", ""));
    let client = gateway.connect();
    wait_until("both are probed", SOON, || !a.probes().is_empty() && !b.probes().is_empty());
    assert_eq!(answers(&client, 10), ["a", "b"]);
    a.is(500);
    let told = format!(
        "service site: {} is unhealthy: status 500, and not 200-299 (2 probes in a row)",
        a.address()
    );
    gateway.wait_for(&told, 0);
    wait_until("only the healthy one is asked", SOON, || answers(&client, 10) == ["b"]);
    let seen = of(&gateway, a.address());
    assert_eq!((&seen["healthy"], &seen["takes_requests"]), (&json!(false), &json!(false)), "{seen}");
    assert!(
        seen["last_probe"]["result"].as_str().unwrap().starts_with("status 500") && seen["since"].is_u64()
    );
    assert_eq!(gateway.metric(r#"gateward_upstream_addresses{service="site",state="healthy"}"#), 1.0);
    assert_eq!(gateway.metric(r#"gateward_upstream_addresses{service="site",state="unhealthy"}"#), 1.0);
    assert!(gateway.metric(r#"gateward_upstream_probes_total{service="site",result="answer"}"#) >= 2.0);
    a.is(204);
    gateway.wait_for(&format!("service site: {} is healthy again: status 204", a.address()), 0);
    wait_until("both are asked again", SOON, || answers(&client, 10) == ["a", "b"]);
    gateway.stop();
}

#[test]
fn probes_say_who_they_are_and_have_connections_of_their_own() {
    let a = Patient::new("a");
    let gateway = Gateway::start(yaml(&[a.address()], "path: '/healthz'", ""));
    let client = gateway.connect();
    assert_eq!(client.get("/x").text(), "a");
    wait_until("it is probed", SOON, || a.probes().len() >= 3);
    assert_eq!(client.get("/x").text(), "a");
    let probe = &a.probes()[0];
    assert_eq!((probe.method(), probe.field("user-agent")), ("GET", Some("gateward-health")));
    assert_eq!(probe.field("host"), Some(&*a.address().to_string()));
    // Both requests went over one connection, which no probe has used, and no probe was counted as a request.
    let opened = gateway.metric(r#"gateward_upstream_connections_opened_total{service="site"}"#);
    assert_eq!(opened, 1.0);
    let served = r#"gateward_requests_total{route="/*",service="site",method="GET",status="2xx"}"#;
    assert!(gateway.metric(served) <= 2.0);
    gateway.stop();
}

#[test]
fn who_refuses_connections_is_out() {
    let (a, b) = (Patient::new("a"), Patient::new("b"));
    let (down, _held) = refused_address();
    // Nothing is tried again, so a request that went there would fail.
    let more = ", retries: { attempts: 0 }";
    let gateway = Gateway::start(yaml(&[a.address(), down, b.address()], "path: /healthz", more));
    is_out(&gateway, down, true);
    gateway.wait_for(&format!("{down} is unhealthy: no connection: "), 0);
    let client = gateway.connect();
    wait_until("it is not asked", SOON, || answers(&client, 12) == ["a", "b"]);
    assert!(gateway.metric(r#"gateward_upstream_probes_total{service="site",result="connect"}"#) >= 2.0);
    gateway.stop();
}

#[test]
fn who_does_not_answer_in_time_is_out() {
    let (a, b) = (Patient::new("a"), Patient::new("b"));
    let gateway = Gateway::start(yaml(&[a.address(), b.address()], "path: /healthz", ""));
    b.is(0);
    gateway.wait_for(&format!("{} is unhealthy: no answer within 300 ms", b.address()), 0);
    let client = gateway.connect();
    wait_until("it is not asked", SOON, || answers(&client, 10) == ["a"]);
    assert!(gateway.metric(r#"gateward_upstream_probes_total{service="site",result="timeout"}"#) >= 2.0);
    b.is(200);
    wait_until("it is asked again", SOON, || answers(&client, 10) == ["a", "b"]);
    gateway.stop();
}

#[test]
fn a_connection_is_enough_for_tcp() {
    let a = Patient::new("a");
    let place = free_address();
    let gateway = Gateway::start(yaml(&[a.address(), place], "tcp: true", ""));
    is_out(&gateway, place, true);
    let client = gateway.connect();
    wait_until("it is not asked", SOON, || answers(&client, 10) == ["a"]);
    let late = Origin::serving_at(&place.to_string(), |request| Some(answer(request, "late", 500)));
    is_out(&gateway, place, false);
    wait_until("it is asked", SOON, || answers(&client, 10) == ["a", "late"]);
    assert!(late.requests().iter().all(|request| request.target() == "/x"), "nothing is asked by a probe");
    gateway.stop();
}

#[test]
fn when_all_fail_all_are_asked() {
    let (a, b) = (Patient::new("a"), Patient::new("b"));
    a.is(503);
    b.is(503);
    let gateway = Gateway::start(yaml(&[a.address(), b.address()], "path: /healthz", ""));
    gateway.wait_for("0 of 2 addresses are healthy, which is less than half", 0);
    let client = gateway.connect();
    assert_eq!(answers(&client, 10), ["a", "b"]);
    let shown = health(&gateway);
    assert_eq!(
        (&shown["panic"], &shown["healthy"], &shown["unhealthy"]),
        (&json!(true), &json!(0), &json!(2))
    );
    b.is(200);
    gateway.wait_for("1 of 2 addresses are healthy: requests go to these only", 0);
    wait_until("half are enough", SOON, || answers(&client, 10) == ["b"]);
    assert_eq!(health(&gateway)["panic"], false);
    gateway.stop();
}

#[test]
fn a_reload_keeps_what_is_known() {
    let (a, b) = (Patient::new("a"), Patient::new("b"));
    let addresses = [a.address(), b.address()];
    let before = yaml(&addresses, "path: /healthz", "");
    let gateway = Setup { workers: Some(2), ..Setup::new(&before) }.start();
    a.is(500);
    is_out(&gateway, a.address(), true);
    let since = of(&gateway, a.address())["since"].clone();
    // Nothing of the service; something of it; how it is probed. Not for a moment is the one asked that fails.
    for after in [
        before.replace("path: /*,", "path: /*, priority: 1,"),
        yaml(&addresses, "path: /healthz", ", timeouts: { response: 7s }"),
        yaml(&addresses, "path: /healthz, expect: [200, 204]", ""),
    ] {
        gateway.reload(&after);
        for _ in 0..4 {
            assert_eq!(answers(&gateway.connect(), 5), ["b"], "{after}");
        }
        let seen = of(&gateway, a.address());
        assert_eq!((&seen["healthy"], &seen["since"]), (&json!(false), &since), "{after}");
    }
    assert!(!gateway.log().contains("is healthy again"));
    // Nobody probes it any more, so nothing is known of it.
    let unprobed = before.replace(&format!(", health: {{ path: /healthz, {FAST} }}"), "");
    assert_ne!(unprobed, before);
    gateway.reload(&unprobed);
    assert_eq!(health(&gateway), Value::Null);
    wait_until("all are asked", SOON, || answers(&gateway.connect(), 10) == ["a", "b"]);
    let (_, metrics) = gateway.ask_admin("/metrics");
    assert!(!metrics.contains("gateward_upstream_addresses{"), "{metrics}");
    gateway.stop();
}

#[test]
fn a_body_has_to_contain_what_is_expected() {
    let healthy = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let says = Arc::clone(&healthy);
    let origin = Origin::serving(move |_| {
        let body = if says.load(Ordering::SeqCst) { "{\"status\":\"UP\"}" } else { "{\"status\":\"DOWN\"}" };
        Some(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes())
    });
    let gateway = Gateway::start(yaml(&[origin.address()], "path: /healthz, body: '\"UP\"'", ""));
    wait_until("it was probed", SOON, || {
        of(&gateway, origin.address())["last_probe"]["result"] == "status 200"
    });
    healthy.store(false, Ordering::SeqCst);
    gateway.wait_for("is unhealthy: status 200, without", 0);
    healthy.store(true, Ordering::SeqCst);
    gateway.wait_for("is healthy again", 0);
    gateway.stop();
}

/// Every probe is its own connection, announced as nobody's by the PROXY protocol.
#[test]
fn probes_are_introduced_where_connections_are() {
    for (version, wanted) in [
        ("v1", &b"PROXY UNKNOWN\r\nGET /healthz "[..]),
        ("v2", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0GET /healthz "),
    ] {
        let origin = Origin::scripted();
        let more = format!(", proxy_protocol: {version}");
        let gateway = Gateway::start(yaml(&[origin.address()], "path: /healthz", &more));
        let first = origin.bell().wait(SOON, || {
            let bytes = origin.links().first()?.unread();
            (bytes.len() >= wanted.len()).then_some(bytes)
        });
        assert_eq!(&first.unwrap()[..wanted.len()], wanted, "{version}");
        gateway.stop();
    }
}

#[test]
fn http2_with_and_without_encryption() {
    let (folder, authority) = (Folder::new(), Authority::new("tests"));
    let identity = authority.sign(&Wish::server(&["service.test"]));
    let (cert, key) = (folder.write("cert.pem", &identity.cert), folder.write("key.pem", &identity.key));
    let encrypted = json!({ "tls": { "cert": cert, "key": key, "alpn": ["h2"] } });
    for (setup, scheme, tls) in
        [(json!({}), "http", ""), (encrypted, "https", ", tls: { server_name: service.test, ca: ca.pem }")]
    {
        let service = Http2::listen_with(setup);
        let text = yaml(&[service.address()], "path: /healthz", &format!(", protocol: http2{tls}"));
        let text = text.replace("http://", &format!("{scheme}://")).replace("timeout: 300ms", "timeout: 3s");
        let files = vec![("ca.pem".into(), authority.cert().into())];
        let gateway = Setup { files, ..Setup::new(text) }.start();
        for status in ["200", "503", "503"] {
            let asked = service.asked();
            let field = |name| value(&asked.fields, name);
            assert_eq!(
                (field(":method"), field(":path"), field(":scheme")),
                (Some("GET"), Some("/healthz"), Some(scheme))
            );
            assert_eq!(field(":authority"), Some(&*service.address().to_string()));
            service.answer(&asked, status, "");
        }
        gateway.wait_for("is unhealthy: status 503, and not 200-299", 0);
        gateway.stop();
    }
}

#[test]
fn a_certificate_that_is_not_trusted_is_a_failure() {
    let (folder, authority) = (Folder::new(), Authority::new("tests"));
    let identity = authority.sign(&Wish::server(&["service.test"]));
    let (cert, key) = (folder.write("cert.pem", &identity.cert), folder.write("key.pem", &identity.key));
    let service = Http2::listen_with(json!({ "tls": { "cert": cert, "key": key, "alpn": ["h2"] } }));
    let text = yaml(
        &[service.address()],
        "path: /",
        ", protocol: http2, tls: { server_name: other.test, ca: ca.pem }",
    );
    let files = vec![("ca.pem".into(), authority.cert().into())];
    let gateway = Setup { files, ..Setup::new(text.replace("http://", "https://")) }.start();
    gateway.wait_for("is unhealthy: no TLS handshake: ", 0);
    assert!(gateway.metric(r#"gateward_upstream_probes_total{service="site",result="tls"}"#) >= 1.0);
    gateway.stop();
}

const FRAMES: [(&str, &str, &str); 3] = [
    ("\0\0\0\0\u{2}\u{8}\u{1}", "0", "SERVING"),
    ("\0\0\0\0\u{2}\u{8}\u{2}", "0", "it answers NOT_SERVING"),
    ("", "12", "it has no health service"),
];

/// A service of gRPC that is played; the real one is in `grpc.rs`.
#[test]
fn grpc_asks_about_a_service() {
    let service = Http2::listen();
    let text = yaml(&[service.address()], "grpc: shop.v1.Orders", ", protocol: http2");
    let text =
        text.replace("timeout: 300ms", "timeout: 3s").replace("unhealthy_after: 2", "unhealthy_after: 1");
    let gateway = Gateway::start(text);
    for (body, status, said) in FRAMES {
        let asked = service.asked();
        let field = |name| value(&asked.fields, name);
        assert_eq!(
            (field(":method"), field(":path"), field("content-type"), field("te")),
            (Some("POST"), Some("/grpc.health.v1.Health/Check"), Some("application/grpc"), Some("trailers"))
        );
        assert_eq!(field("grpc-timeout").map(|limit| limit.starts_with("3")), Some(true));
        let question = service.events().take("data", |event| event["connection"] == asked.connection);
        assert!(question.to_string().contains("shop.v1.Orders"), "{question}");
        let tell = |mut command: Value| {
            command["connection"] = json!(asked.connection);
            command["stream"] = json!(asked.stream);
            service.tell(command);
        };
        let head = [[":status", "200"], ["content-type", "application/grpc"]];
        tell(json!({ "do": "headers", "fields": head, "end": false }));
        tell(json!({ "do": "data", "text": body, "end": false }));
        tell(json!({ "do": "headers", "fields": [["grpc-status", status]], "end": true }));
        wait_until(said, SOON, || {
            let result = of(&gateway, service.address())["last_probe"]["result"].clone();
            result.as_str().is_some_and(|result| result.starts_with(said))
        });
    }
    gateway.wait_for("all say that they do not serve: requests are refused", 0);
    gateway.stop();
}

#[test]
fn answers_without_end_are_given_up() {
    let origin = Origin::raw(|mut stream| {
        use std::io::Write;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
        while stream.write_all(&[b'x'; 4096]).is_ok() {}
    });
    let gateway = Gateway::start(yaml(&[origin.address()], "path: /healthz", ""));
    gateway.wait_for("is unhealthy: no answer: ", 0);
    assert!(gateway.peak_memory() < 60_000_000, "{}", gateway.peak_memory());
    gateway.stop();
}

#[test]
fn check_says_what_cannot_work() {
    let yaml = |health: &str| {
        format!(
            "listen: 127.0.0.1:0\nservices: {{ a: {{ endpoints: [http://a], health: {health} }} }}\nroutes: [{{ service: a }}]\n"
        )
    };
    for (health, said) in [
        ("{ grpc: true }", "set `protocol: http2`"),
        ("{ unhealthy_after: 0 }", "must be at least 1"),
        ("{ path: /, tcp: true }", "keep one of `path`, `grpc` and `tcp`"),
    ] {
        let output = check(&Setup::new(yaml(health)), &[]);
        let text =
            String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success() && text.contains(said), "{health}: {text}");
    }
    assert!(check(&Setup::new(yaml("{}")), &[]).status.success());
}
