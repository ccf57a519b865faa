//! Several services of which one fails, services that are killed and stopped, and what else stands between.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use end_to_end::bulk::read_head;
use end_to_end::certificates::{Authority, Wish};
use end_to_end::failing::{Behaviour, Failing, Failure, Process};
use end_to_end::fault_proxy::{FaultProxy, Faults, Stand, Then, outcome, yaml};
use end_to_end::{Client, Gateway, Origin, SOON, wait_until};

use crate::{GET, PROMPT};

/// Everything is tried again that may be, nothing is waited for, and who was left out for a moment is soon back.
const RETRIES: &str = ", timeouts: { connect: 1s }, eject: { for: 100ms }, slow_start: off, \
     retries: { attempts: 5, on: [connect_failure, reset, timeout, 503], per_try: 400ms, budget: 100% }";

/// Who answers so many requests on one connection, each with its own answer.
fn answers(client: &Client, requests: usize) -> BTreeSet<String> {
    let one = |number| {
        let answer = client.get(&format!("/{number}"));
        assert_eq!((answer.status(), answer.text()), (200, format!("/{number}")), "{answer}");
        answer.field("x-served-by").unwrap().to_owned()
    };
    (0..requests).map(one).collect()
}

fn names(text: &str) -> BTreeSet<String> {
    text.split(' ').map(str::to_owned).collect()
}

/// One of three fails, in each of the ways there are: no GET does. It is asked again when it is well.
#[test]
fn one_of_three_that_fails_costs_no_get() {
    let services = Failing::several(["a", "b", "c"]);
    let proxies = services.each_ref().map(|service| FaultProxy::to(service.address()));
    let addresses = proxies.each_ref().map(FaultProxy::address);
    let gateway = Gateway::start(yaml(&addresses, RETRIES));
    let client = gateway.connect();
    let [sick, _, _] = &services;
    let door = &proxies[0];
    type Act<'a> = &'a dyn Fn();
    let ways: [(&str, Act<'_>); 9] = [
        ("refuses", &|| door.refuse()),
        ("resets at once", &|| door.set(Faults::after_response(0, Then::Reset))),
        ("closes at once", &|| door.set(Faults::after_response(0, Then::Close))),
        ("closes one direction at once", &|| door.set(Faults::after_response(0, Then::HalfClose))),
        ("is a black hole", &|| door.set(Faults::black_hole())),
        ("resets before it answers", &|| sick.set(Behaviour::failing(Failure::Reset))),
        ("closes before it answers", &|| sick.set(Behaviour::failing(Failure::Close))),
        ("does not answer", &|| sick.set(Behaviour::failing(Failure::Silence))),
        ("answers 503", &|| sick.set(Behaviour::failing(Failure::Status(503)))),
    ];
    for (what, act) in ways {
        wait_until(&format!("all are asked before it {what}"), SOON, || {
            answers(&client, 3) == names("a b c")
        });
        act();
        door.end_all(Then::Close);
        let started = Instant::now();
        let mut by = BTreeSet::new();
        wait_until(&format!("others serve for one that {what}"), SOON, || {
            by.extend(answers(&client, 6));
            by == names("b c")
        });
        assert!(started.elapsed() < PROMPT, "{what}: {:?}", started.elapsed());
        sick.set(Behaviour::default());
        door.accept_again();
        door.set(Faults::default());
    }
    gateway.stop();
}

/// A head that was cut is no answer yet: nothing was passed on, and a GET may be sent again.
#[test]
fn half_a_head_of_one_of_two_costs_no_get() {
    let services = Failing::several(["a", "b"]);
    let proxies = services.each_ref().map(|service| FaultProxy::to(service.address()));
    let gateway = Gateway::start(yaml(&proxies.each_ref().map(FaultProxy::address), RETRIES));
    for then in [Then::Close, Then::Reset, Then::Stall] {
        for bytes in [1, 9, 20, 55] {
            proxies[0].set_all(Faults::after_response(bytes, then));
            let client = gateway.connect();
            for _ in 0..2 {
                client.send(GET);
                let told = outcome(&client);
                assert_eq!(
                    (told.status(), &told.text()[..]),
                    (200, "/a"),
                    "{then:?} behind {bytes}: {told:?}"
                );
            }
            proxies[0].end_all(Then::Close);
        }
    }
    gateway.stop();
}

/// As it is without any setting: what was not sent may be sent elsewhere, however often that happens.
#[test]
fn one_of_three_that_refuses_costs_nothing() {
    let services = Failing::several(["a", "b"]);
    let (refused, _held) = end_to_end::refused_address();
    let gateway = Gateway::start(yaml(&[services[0].address(), refused, services[1].address()], ""));
    let client = gateway.connect();
    let mut failed = 0;
    for number in 0..600 {
        let method = if number % 2 == 0 { "GET" } else { "POST" };
        let answer =
            client.ask(format!("{method} /x HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 0\r\n\r\n"));
        failed += usize::from(answer.status() != 200);
    }
    assert_eq!(failed, 0, "of 600 requests:\n{}", gateway.log());
    gateway.stop();
}

/// Clients that ask all the time, and all of whose requests have to be answered right.
struct Askers {
    stop: AtomicBool,
    answered: AtomicUsize,
    by: [AtomicUsize; 2],
}

impl Askers {
    fn ask_all_the_time(&self, number: usize, gateway: SocketAddr) {
        let client = Client::connect(gateway);
        for at in 0.. {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            let target = format!("/{number}/{at}");
            let answer = client.get(&target);
            assert_eq!((answer.status(), answer.text()), (200, target), "{answer}");
            self.by[usize::from(answer.field("x-served-by") == Some("b"))].fetch_add(1, Ordering::Relaxed);
            self.answered.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn wait_for(&self, more: usize, of: &AtomicUsize) {
        let before = of.load(Ordering::Relaxed);
        wait_until("requests are answered", SOON, || of.load(Ordering::Relaxed) >= before + more);
    }
}

#[test]
fn processes_that_are_killed_and_stopped_cost_no_get() {
    let (mut a, mut b) = (Process::named("a"), Process::named("b"));
    let gateway = Gateway::start(yaml(&[a.address(), b.address()], RETRIES));
    let askers =
        Askers { stop: AtomicBool::default(), answered: AtomicUsize::default(), by: Default::default() };
    std::thread::scope(|scope| {
        for number in 0..4 {
            let (askers, address) = (&askers, gateway.address());
            scope.spawn(move || askers.ask_all_the_time(number, address));
        }
        let [by_a, by_b] = &askers.by;
        let _ends = Ends(&askers.stop);
        for _ in 0..2 {
            askers.wait_for(20, by_a);
            a.kill();
            askers.wait_for(100, &askers.answered);
            a.start_again();
            askers.wait_for(20, by_a);
            b.stop();
            askers.wait_for(20, &askers.answered);
            b.go_on();
            askers.wait_for(20, by_b);
        }
    });
    a.kill();
    b.kill();
    let started = Instant::now();
    assert_eq!(gateway.connect().get("/down").status(), 502);
    assert!(started.elapsed() < PROMPT, "{:?}", started.elapsed());
    b.start_again();
    wait_until("one is enough", Duration::from_secs(2), || gateway.connect().get("/up").status() == 200);
    a.start_again();
    let client = gateway.connect();
    wait_until("both are asked", SOON, || answers(&client, 4) == names("a b"));
    gateway.stop();
}

/// Ends the askers, however the test ends.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

const UPGRADE: &str = "GET /chat HTTP/1.1\r\nHost: gw.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

#[test]
fn a_tunnel_ends_with_the_service() {
    let origin = Origin::serving(|request| {
        let target = request.target();
        Some(match request.field("upgrade") {
            None => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{target}", target.len()).into(),
            Some(_) => b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x81\x02hi"
                .to_vec(),
        })
    });
    let short = ", timeouts: { tunnel: 500ms }";
    for (then, rest) in [(Then::Close, ""), (Then::Reset, ""), (Then::HalfClose, ""), (Then::Stall, short)] {
        let stand = Stand::before(origin.address(), rest);
        let client = stand.gateway.connect();
        assert_eq!(client.ask(UPGRADE).status(), 101);
        assert!(client.wait_text("hi").is_some());
        stand.proxy.end_all(then);
        assert!(client.wait_end(Duration::from_secs(2)).is_some(), "{then:?} is not passed on");
        drop(client);
        stand.wait_closed(&format!("a tunnel after {then:?}"));
        stand.canary("a tunnel");
        stand.gateway.stop();
    }
}

/// A process that ends TLS in front of a service, and the authority to be trusted.
fn over_tls(service: SocketAddr) -> (Process, Authority) {
    let authority = Authority::new("tests");
    let identity = authority.sign(&Wish::server(&["service.test"]));
    let server = format!(
        "ssl_certificate ROOT/cert.pem; ssl_certificate_key ROOT/key.pem; location / {{\n\
         proxy_pass http://{service}; proxy_http_version 1.1; proxy_buffering off; chunked_transfer_encoding off; }}"
    );
    let files = [("cert.pem", &*identity.cert), ("key.pem", &*identity.key)];
    (Process::with_files(&files, "ssl", &server), authority)
}

#[test]
fn a_handshake_that_breaks_off_or_stands_still() {
    let service = Failing::named("a");
    let (process, authority) = over_tls(service.address());
    for (then, connect, status, code) in [
        (Then::Close, "20s", 502, "tls-failed"),
        (Then::Reset, "20s", 502, "tls-failed"),
        (Then::HalfClose, "20s", 502, "tls-failed"),
        (Then::Stall, "1s", 504, "connect-timeout"),
    ] {
        let rest = format!(", timeouts: {{ connect: {connect} }}");
        let stand = Stand::before_tls(process.address(), "service.test", authority.cert(), &rest);
        for bytes in [1, 800, 5, 100].into_iter().take(if then == Then::Stall { 2 } else { 4 }) {
            let started = Instant::now();
            let told = stand.ask_under(Faults::after_response(bytes, then), GET);
            assert!(told.is_fault(status, code), "{then:?} behind {bytes} bytes: {told:?}");
            assert!(started.elapsed() < PROMPT, "{:?}", started.elapsed());
            assert_eq!(service.count_of("/a"), 0);
            stand.proxy.end_all(Then::Close);
        }
        stand.canary("half a handshake");
        stand.gateway.stop();
    }
}

/// RFC 8446 §6.1, RFC 9112 §9.8: without a `close_notify` nobody knows that this was all. The end comes where a record
/// ends, so that nothing else is amiss.
#[test]
fn an_end_of_tls_that_nobody_signed_is_a_cut() {
    let origin = Origin::raw(|mut stream| {
        while let Ok(head) = read_head(&mut stream) {
            let target = head.split(' ').nth(1).unwrap().to_owned();
            if target.starts_with("/canary/") {
                write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{target}", target.len())
                    .unwrap();
                continue;
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nhalf").unwrap();
            if target == "/held" {
                let _ = stream.read(&mut [0]);
            }
            return;
        }
    });
    let (process, authority) = over_tls(origin.address());
    let stand = Stand::before_tls(
        process.address(),
        "service.test",
        authority.cert(),
        ", timeouts: { connect: 20s }",
    );
    let whole = stand.ask_under(Faults::default(), GET);
    assert_eq!((whole.status(), &whole.text()[..]), (200, "half"), "{whole:?}");
    for then in [Then::Close, Then::HalfClose, Then::Reset] {
        let client = stand.gateway.connect();
        client.send("GET /held HTTP/1.1\r\nHost: gw.test\r\n\r\n");
        wait_until("the first part is there", SOON, || client.unread().ends_with(b"half\r\n"));
        stand.proxy.end_all(then);
        let told = outcome(&client);
        assert!(told.is_broken(), "{then:?}: {told:?}");
        stand.proxy.end_all(Then::Close);
        stand.canary("a cut of TLS");
        stand.proxy.end_all(Then::Close);
    }
    stand.gateway.stop();
}

fn over_http2() -> (Process, Stand) {
    let large = "x".repeat(300_000);
    let server = "location /canary/ { return 200 $request_uri; } location /a { return 200 $request_uri; }\n\
                  location / { root ROOT; limit_rate 20k; limit_rate_after 50k; }";
    let process = Process::with_files(&[("large", &large)], "http2", server);
    let stand = Stand::before(process.address(), ", protocol: http2, timeouts: { response: 1s, stream: 1s }");
    (process, stand)
}

/// All requests on a connection of HTTP/2 end with it.
#[test]
fn a_connection_of_many_requests_that_ends() {
    let (_process, stand) = over_http2();
    for then in [Then::Close, Then::Reset, Then::HalfClose] {
        stand.canary("nothing");
        let clients = [(); 6].map(|()| stand.gateway.connect());
        for client in &clients {
            client.send("GET /large HTTP/1.1\r\nHost: gw.test\r\n\r\n");
        }
        wait_until("all have begun", SOON, || clients.iter().all(|client| client.total() > 40_000));
        let started = Instant::now();
        stand.proxy.end_all(then);
        for client in &clients {
            let told = outcome(client);
            assert!(told.is_broken(), "{then:?}: {}", told.status());
        }
        assert!(started.elapsed() < PROMPT, "{then:?}: {:?}", started.elapsed());
        stand.canary(&format!("{then:?} of many requests"));
        stand.proxy.end_all(Then::Close);
    }
    stand.gateway.stop();
}

/// A connection of HTTP/2 on which nothing comes any more must not take request after request.
#[test]
fn a_connection_of_many_requests_that_stands_still_is_left() {
    let (_process, stand) = over_http2();
    stand.canary("nothing");
    let passage = stand.proxy.open().pop().unwrap();
    passage.set(Faults::black_hole());
    let client = stand.gateway.connect();
    client.send(GET);
    let told = outcome(&client);
    assert!(told.is_fault(504, "response-timeout"), "{told:?}");
    stand.canary("a connection that stands still");
    stand.gateway.stop();
}
