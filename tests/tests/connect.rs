//! CONNECT: refused, unless a route is for it. Then the service is what the client talks to.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

use std::sync::Arc;

use end_to_end::http2::{Http2, code};
use end_to_end::{Gateway, Link, Origin, SOON};
use serde_json::json;

fn gateway_for(origin: &Origin) -> Gateway {
    Gateway::start(format!(
        "listen: 127.0.0.1:0\nservices: {{ db: {{ endpoints: [http://{}] }} }}\nroutes:\n\
         - {{ path: /*, service: db }}\n- {{ hosts: db.test, methods: [CONNECT], service: db }}\n",
        origin.address()
    ))
}

/// The connection that comes next, of so many.
fn nth_link(origin: &Origin, number: usize) -> Arc<Link> {
    let link = origin.bell().wait(SOON, || origin.links().get(number).cloned());
    link.expect("the service is connected to")
}

#[test]
fn bytes_pass_both_ways() {
    let origin = Origin::scripted();
    let gateway = gateway_for(&origin);
    let client = gateway.connect();
    client.send("CONNECT db.test:5432 HTTP/1.1\r\nHost: db.test:5432\r\n\r\nhello");
    let answer = client.wait_text("\r\n\r\n").expect("an answer");
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(
        !answer.to_ascii_lowercase().contains("content-length") && !answer.contains("chunked"),
        "{answer}"
    );
    let link = nth_link(&origin, 0);
    assert!(link.wait_text("hello").is_some_and(|text| text == b"hello"), "nothing but what the client said");
    link.send("and\0back");
    assert!(client.wait_text("and\0back").is_some());
    client.close();
    assert!(link.wait_end(SOON).is_some());
    // The same over a stream.
    let client = Http2::connect(gateway.address());
    client.headers(1, json!([[":method", "CONNECT"], [":authority", "db.test:5432"]]), false);
    assert_eq!(client.events().take("headers", |_| true)["fields"][0][1], "200");
    client.data(1, "there", false);
    let link = nth_link(&origin, 1);
    assert!(link.wait_text("there").is_some());
    link.send("here");
    client.events().take("data", |event| event["text"] == "here");
    client.reset(1, code::CANCEL);
    assert!(link.wait_end(SOON).is_some());
    gateway.stop();
}

#[test]
fn everything_else_is_refused() {
    let origin = Origin::scripted();
    let gateway = gateway_for(&origin);
    for (target, status) in [
        ("other.test:5432", 501),
        ("db.test", 400),
        ("db.test:", 400),
        ("/x", 400),
        ("http://db.test:5432/", 400),
        ("user@db.test:5432", 400),
    ] {
        let client = gateway.connect();
        let answer = client.ask(format!("CONNECT {target} HTTP/1.1\r\nHost: db.test\r\n\r\n"));
        assert_eq!(answer.status(), status, "{target}");
    }
    let client = gateway.connect();
    let body = "CONNECT db.test:1 HTTP/1.1\r\nHost: db.test\r\nContent-Length: 3\r\n\r\nabc";
    assert_eq!(client.ask(body).status(), 400);
    assert!(origin.links().is_empty());
    gateway.stop();
}
