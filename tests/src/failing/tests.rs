//! Tests of services that fail, asked directly.

use std::time::{Duration, Instant};

use super::{Behaviour, Failing, Failure, Process};
use crate::{Client, End, QUIET, SOON, wait_until};

#[test]
fn answers_say_who_gave_them_and_to_what() {
    let [a, b] = Failing::several(["a", "b"]);
    for service in [&a, &b] {
        let client = Client::connect(service.address());
        let answer = client.get("/x?y");
        assert_eq!(
            (answer.status(), answer.text().as_str(), answer.field("x-served-by")),
            (200, "/x?y", Some(service.name()))
        );
        client.send("HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.read(crate::message::Kind::Bodiless, SOON).unwrap().status(), 200);
        assert_eq!((service.count(), service.count_of("/x"), service.failed()), (2, 1, 0));
        assert_eq!(service.connections(), 1);
    }
}

#[test]
fn a_share_fails_evenly() {
    let service = Failing::named("a");
    service.set(Behaviour { share: 30, retry_after: Some(7), ..Behaviour::default() });
    service.set_for("/healthz", Behaviour::default());
    let client = Client::connect(service.address());
    for tens in 1..=3 {
        for _ in 0..10 {
            let answer = client.get("/");
            assert_eq!(answer.field("retry-after"), (answer.status() == 503).then_some("7"));
            assert_eq!(client.get("/healthz").status(), 200);
        }
        assert_eq!(service.failed(), 3 * tens);
    }
    service.set(Behaviour::failing(Failure::Status(500)));
    assert_eq!(client.get("/").status(), 500);
}

#[test]
fn connections_end_or_go_silent() {
    let service = Failing::named("a");
    for (failure, end) in [(Failure::Reset, Some(End::Reset)), (Failure::Close, Some(End::Closed))] {
        service.set(Behaviour::failing(failure));
        let client = Client::connect(service.address());
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.wait_end(SOON), end);
        assert_eq!(client.total(), 0);
    }
    service.set(Behaviour::failing(Failure::Silence));
    let client = Client::connect(service.address());
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((client.wait_end(QUIET), client.total()), (None, 0));
}

#[test]
fn a_pause_ends_with_all_answers() {
    let service = Failing::named("a");
    service.pause();
    let clients = [1, 2, 3].map(|_| Client::connect(service.address()));
    for (at, client) in clients.iter().enumerate() {
        client.send(format!("GET /{at} HTTP/1.1\r\nHost: a\r\n\r\n"));
    }
    wait_until("all have come", SOON, || service.waiting() == 3);
    assert!(clients.iter().all(|client| client.total() == 0));
    service.resume();
    for (at, client) in clients.iter().enumerate() {
        assert_eq!(client.response().text(), format!("/{at}"));
    }
    wait_until("none waits", SOON, || service.waiting() == 0);
    assert_eq!(service.most_waiting(), 3);
    let started = Instant::now();
    service.set(Behaviour::slow(Duration::from_millis(50)));
    clients[0].get("/slow");
    assert!(started.elapsed() >= Duration::from_millis(50));
}

#[test]
fn a_process_is_stopped_and_killed() {
    let mut process = Process::named("p");
    let client = Client::connect(process.address());
    let answer = client.get("/x?y");
    assert_eq!((answer.text().as_str(), answer.field("x-served-by")), ("/x?y", Some("p")));
    process.stop();
    client.send("GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.wait_end(QUIET), None);
    process.go_on();
    assert_eq!(client.response().text(), "/later");
    process.kill();
    assert!(client.wait_end(SOON).is_some());
    assert!(std::net::TcpStream::connect(process.address()).is_err());
    process.start_again();
    assert_eq!(Client::connect(process.address()).get("/again").text(), "/again");
}
