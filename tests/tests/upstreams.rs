//! Services: which endpoint gets a request, what happens when one fails, and how connections are kept.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use end_to_end::message::Kind;
use end_to_end::{Client, End, Gateway, Origin, SOON, Setup, wait_until};

/// A configuration with one service, `rest` behind its endpoints.
fn one_service(endpoints: &[String], rest: &str) -> String {
    format!(
        "listen: 127.0.0.1:0\n\
         services: {{ site: {{ endpoints: [{}]{rest} }} }}\n\
         routes: [{{ path: /*, service: site }}]\n",
        endpoints.join(", ")
    )
}

fn url(origin: &Origin) -> String {
    format!("http://{}", origin.address())
}

/// How often each text came as the answer to so many requests on one connection.
fn shares(client: &Client, requests: usize) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for number in 0..requests {
        let response = client.get(&format!("/{number}"));
        assert_eq!(response.status(), 200, "{response}");
        *counts.entry(response.text()).or_default() += 1;
    }
    counts
}

fn counts(expected: &[(&str, usize)]) -> BTreeMap<String, usize> {
    expected.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

#[test]
fn round_robin_takes_turns() {
    let (a, b, c) = (Origin::saying("a"), Origin::saying("b"), Origin::saying("c"));
    let gateway = Gateway::start(one_service(&[url(&a), url(&b), url(&c)], ""));
    assert_eq!(shares(&gateway.connect(), 30), counts(&[("a", 10), ("b", 10), ("c", 10)]));
    gateway.stop();
}

#[test]
fn weights_are_honoured() {
    let (a, b) = (Origin::saying("a"), Origin::saying("b"));
    let weighted = |origin: &Origin, weight: u32| format!("{{ url: \"{}\", weight: {weight} }}", url(origin));
    let gateway = Gateway::start(one_service(&[weighted(&a, 1), weighted(&b, 3)], ""));
    assert_eq!(shares(&gateway.connect(), 40), counts(&[("a", 10), ("b", 30)]));
    gateway.stop();
}

#[test]
fn random_uses_all() {
    let (a, b) = (Origin::saying("a"), Origin::saying("b"));
    let gateway = Gateway::start(one_service(&[url(&a), url(&b)], ", balance: random"));
    let shares = shares(&gateway.connect(), 200);
    assert!(shares.values().all(|count| *count > 50) && shares.len() == 2, "{shares:?}");
    gateway.stop();
}

#[test]
fn a_split_keeps_its_shares() {
    let (old, new) = (Origin::saying("old"), Origin::saying("new"));
    let gateway = Gateway::start(format!(
        "listen: 127.0.0.1:0\n\
         services: {{ old: {{ endpoints: [{}] }}, new: {{ endpoints: [{}] }} }}\n\
         routes: [{{ path: /*, split: {{ old: 90, new: 10 }} }}]\n",
        url(&old),
        url(&new)
    ));
    let shares = shares(&gateway.connect(), 400);
    // Five standard deviations around 40.
    assert!((10..70).contains(&shares["new"]), "{shares:?}");
    gateway.stop();
}

#[test]
fn least_requests_avoids_the_busy_one() {
    let (slow, fast) = (Origin::scripted(), Origin::saying("fast"));
    let gateway = Gateway::start(one_service(&[url(&slow), url(&fast)], ", balance: least_requests"));
    // Until one of them hangs in the slow endpoint.
    let mut held = Vec::new();
    while slow.links().iter().all(|link| link.total() == 0) {
        let client = gateway.connect();
        client.send("GET /held HTTP/1.1\r\nHost: gw.test\r\n\r\n");
        let answered = || client.unread().starts_with(b"HTTP/1.1 200 ");
        wait_until("the request reaches somebody", SOON, || {
            answered() || slow.links().iter().any(|link| link.total() > 0)
        });
        held.push(client);
        assert!(held.len() < 20, "the slow endpoint is never chosen");
    }
    assert_eq!(shares(&gateway.connect(), 20), counts(&[("fast", 20)]));
    let (link, _) = slow.expect();
    link.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow");
    let held = held.pop().unwrap();
    assert_eq!(held.response().text(), "slow");
    drop(held);
    gateway.stop();
}

#[test]
fn a_thousand_pipelined_requests_are_answered_in_order() {
    let origin = Origin::serving(|request| {
        let body = request.target();
        Some(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes())
    });
    let gateway = Gateway::start(one_service(&[url(&origin)], ""));
    let client = gateway.connect();
    let mut all = String::new();
    for number in 0..1000 {
        write!(all, "GET /{number} HTTP/1.1\r\nHost: gw.test\r\n\r\n").unwrap();
    }
    client.send(all);
    for number in 0..1000 {
        assert_eq!(client.response().text(), format!("/{number}"));
    }
    gateway.stop();
}

#[test]
fn many_clients_on_several_workers() {
    let origin = Origin::serving(|request| {
        let body = request.target();
        Some(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes())
    });
    let yaml = one_service(&[url(&origin)], "");
    let gateway = Setup { workers: Some(3), ..Setup::new(yaml) }.start();
    std::thread::scope(|scope| {
        for client in 0..24 {
            let gateway = &gateway;
            scope.spawn(move || {
                let connection = gateway.connect();
                for number in 0..40 {
                    let target = format!("/{client}/{number}");
                    assert_eq!(connection.get(&target).text(), target);
                }
            });
        }
    });
    assert_eq!(origin.count(), 24 * 40);
    gateway.stop();
}

#[test]
fn a_storm_of_interim_responses_ends_well() {
    let origin = Origin::serving(|_| {
        let mut response = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(500);
        response.push_str("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        Some(response.into_bytes())
    });
    let gateway = Gateway::start(one_service(&[url(&origin)], ""));
    let client = gateway.connect();
    let mut response = client.get("/");
    while response.status() == 103 {
        response = client.response();
    }
    assert!(matches!(response.status(), 200 | 502), "{response}");
    gateway.stop();
}

#[test]
fn services_that_close_kept_connections_cost_no_get() {
    // Every third answer is followed by a close that was not announced, racing with the next request.
    let origin = Origin::raw(|stream| {
        let link = end_to_end::Link::new(stream, &end_to_end::Bell::default());
        for _ in 0..3 {
            if link.read(Kind::Request, Duration::from_secs(60)).is_err() {
                return;
            }
            link.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let gateway = Gateway::start(one_service(&[url(&origin)], ""));
    assert_eq!(shares(&gateway.connect(), 3000), counts(&[("ok", 3000)]));
    gateway.stop();
}

#[test]
fn unused_connections_are_closed_after_their_time() {
    let origin = Origin::scripted();
    let gateway = Gateway::start(one_service(&[url(&origin)], ", timeouts: { idle: 300ms }"));
    let client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: gw.test\r\n\r\n");
    let (link, _) = origin.expect();
    link.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.response().status(), 200);
    assert_eq!(link.wait_end(SOON), Some(End::Closed));
    gateway.stop();
}

#[test]
fn no_more_connections_are_kept_than_allowed() {
    let origin = Origin::scripted();
    let gateway = Gateway::start(one_service(&[url(&origin)], ", connections: { idle: 1 }"));
    let clients = [gateway.connect(), gateway.connect(), gateway.connect()];
    for client in &clients {
        client.send("GET / HTTP/1.1\r\nHost: gw.test\r\n\r\n");
    }
    let links = [origin.expect().0, origin.expect().0, origin.expect().0];
    for link in &links {
        link.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    }
    for client in &clients {
        assert_eq!(client.response().status(), 200);
    }
    wait_until("two of three are closed", SOON, || {
        links.iter().filter(|link| link.end().is_some()).count() == 2
    });
    gateway.stop();
}

#[test]
fn an_endpoint_that_does_not_accept_is_a_timeout() {
    let (address, _held) = full_backlog();
    let gateway =
        Gateway::start(one_service(&[format!("http://{address}")], ", timeouts: { connect: 300ms }"));
    let started = Instant::now();
    let response = gateway.connect().get("/");
    assert_eq!(response.status(), 504, "{response}");
    assert!(response.text().contains("\"code\":\"connect-timeout\""), "{response}");
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    gateway.stop();
}

#[test]
fn a_good_endpoint_serves_for_one_that_does_not_accept() {
    let (address, _held) = full_backlog();
    let good = Origin::saying("good");
    let endpoints = [format!("http://{address}"), url(&good)];
    let gateway = Gateway::start(one_service(&endpoints, ", timeouts: { connect: 300ms }"));
    assert_eq!(shares(&gateway.connect(), 4), counts(&[("good", 4)]));
    gateway.stop();
}

/// An address that drops what wants to connect: its queue is full, and nobody accepts.
fn full_backlog() -> (SocketAddr, (socket2::Socket, Vec<socket2::Socket>)) {
    let (address, listening) = end_to_end::refused_address();
    listening.listen(0).unwrap();
    let mut waiting = Vec::new();
    for _ in 0..8 {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        let _ = socket.connect(&address.into());
        waiting.push(socket);
    }
    let probe = || TcpStream::connect_timeout(&address, Duration::from_millis(100)).is_err();
    wait_until("the queue is full", SOON, probe);
    (address, (listening, waiting))
}

#[test]
fn all_endpoints_refusing_is_answered_at_once() {
    let (a, _a) = end_to_end::refused_address();
    let (b, _b) = end_to_end::refused_address();
    let gateway = Gateway::start(one_service(&[format!("http://{a}"), format!("http://{b}")], ""));
    let client = gateway.connect();
    let started = Instant::now();
    for _ in 0..50 {
        assert_eq!(client.get("/").status(), 502);
    }
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    // The operator is told once, by the one worker there is, and not fifty times.
    wait_until("the failure is told", SOON, || {
        gateway.log().contains("service site: connect-failed at 127.0.0.1:")
    });
    assert_eq!(gateway.log().matches("connect-failed").count(), 1, "{}", gateway.log());
    gateway.stop();
}

#[test]
fn a_single_connection_goes_round_among_workers() {
    let origin = Origin::saying("ok");
    let yaml = one_service(&[url(&origin)], ", connections: { max: 1 }");
    let gateway = Setup { workers: Some(2), ..Setup::new(yaml) }.start();
    for number in 0..12 {
        // A connection of its own, so that either worker may get it.
        assert_eq!(gateway.connect().get("/").status(), 200, "number {number}");
    }
    gateway.stop();
}

#[test]
fn when_the_retry_budget_is_used_up_the_services_own_answer_passes() {
    let origin = Origin::serving(|_| {
        let head = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\n";
        Some(format!("{head}busy").into_bytes())
    });
    let rest = ", retries: { on: [503], attempts: 1, budget: 1% }";
    let gateway = Gateway::start(one_service(&[url(&origin)], rest));
    let client = gateway.connect();
    let (mut repeated, mut not_repeated) = (0, 0);
    while not_repeated < 5 {
        let before = origin.count();
        let response = client.get("/");
        assert_eq!(
            (response.status(), &response.text()[..]),
            (503, "busy"),
            "after {repeated} repeated requests: {response}"
        );
        match origin.count() - before {
            1 => not_repeated += 1,
            2 => repeated += 1,
            more => panic!("the service saw one request {more} times"),
        }
        assert!(repeated < 1000, "the budget has no end");
    }
    assert!(repeated > 0, "nothing was repeated at all");
    gateway.stop();
}
