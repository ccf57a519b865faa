//! Many requests in one write: all are answered, each with what belongs to it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

use std::fmt::Write;

use end_to_end::{Gateway, Origin};

/// Answers `/respond*` itself, and forwards all else.
fn gateway_for(origin: &Origin) -> Gateway {
    Gateway::start(format!(
        "listen: 127.0.0.1:0\n\
         services: {{ site: {{ endpoints: [http://{}] }} }}\n\
         routes:\n\
         - {{ path: /respond/*, respond: {{ status: 200, body: here }} }}\n\
         - {{ path: /*, service: site }}\n",
        origin.address()
    ))
}

fn gets(targets: impl Iterator<Item = String>) -> String {
    targets.fold(String::new(), |mut all, target| {
        write!(all, "GET {target} HTTP/1.1\r\nHost: gw.test\r\n\r\n").unwrap();
        all
    })
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";

/// The runtime makes a task that does much in one go believe that nothing more has come. A look at an unused
/// connection must not fall for that: what came on it belongs to nobody.
#[test]
fn unasked_bytes_never_answer_a_request_far_down_the_pipeline() {
    let origin = Origin::scripted();
    let gateway = gateway_for(&origin);
    let first = gateway.connect();
    let client = gateway.connect();
    assert_eq!(client.get("/respond/").text(), "here");
    for before in (120..=131).chain(250..=260) {
        first.send("GET /first HTTP/1.1\r\nHost: gw.test\r\n\r\n");
        let (unused, _) = origin.expect();
        unused.send(format!("{OK}ok"));
        assert_eq!(first.response().text(), "ok");

        let last = format!("/last-{before}");
        let all = gets(std::iter::repeat_n("/respond/".to_owned(), before).chain([last.clone()]));
        unused.send("HTTP/1.1 408 Request Timeout\r\nContent-Length: 5\r\n\r\nstale");
        client.send(all);

        let (link, request) = origin.expect();
        assert_eq!(request.target(), last);
        assert_ne!(link.peer(), unused.peer(), "behind {before}: the connection with the 408 was used");
        link.send(format!("{OK}go"));
        for number in 0..before {
            assert_eq!(client.response().text(), "here", "{number} of {before}");
        }
        let response = client.response();
        assert_eq!((response.status(), &response.text()[..]), (200, "go"), "behind {before}");
        link.close();
    }
    gateway.stop();
}

const MANY: usize = 2500;
const LENGTH: usize = 46;

fn many(prefix: &str) -> String {
    let all = gets((0..MANY).map(|number| format!("{prefix}{number:05}")));
    assert_eq!(all.len(), MANY * LENGTH, "each has {LENGTH} bytes");
    all
}

#[test]
fn more_requests_than_a_buffer_holds_are_answered_by_the_gateway() {
    let origin = Origin::scripted();
    let gateway = gateway_for(&origin);
    let client = gateway.connect();
    client.send(many("/respond/"));
    for number in 0..MANY {
        assert_eq!(client.response().text(), "here", "number {number}");
    }
    assert!(origin.links().is_empty());
    gateway.stop();
}

/// The first is held until all the others were sent, so that as many as possible wait in the gateway.
#[test]
fn more_requests_than_a_buffer_holds_are_forwarded() {
    let origin = Origin::scripted();
    let gateway = gateway_for(&origin);
    let client = gateway.connect();
    client.send(many("/forward/"));
    for number in 0..MANY {
        let (link, request) = origin.expect();
        assert_eq!(request.target(), format!("/forward/{number:05}"));
        link.send(format!("{OK}{:02}", number % 100));
        assert_eq!(client.response().text(), format!("{:02}", number % 100), "number {number}");
    }
    assert_eq!(origin.links().len(), 1, "one connection is enough");
    gateway.stop();
}
