//! HTTP/2 requests that must never become requests of HTTP/1.1: malformed heads, bodies and trailers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

use std::time::Duration;

use end_to_end::http2::{Http2, kind, request};
use end_to_end::{End, Gateway, Origin, QUIET, SOON};
use serde_json::json;

fn gateway_for(origin: &Origin) -> Gateway {
    Gateway::start(format!(
        "listen: 127.0.0.1:0\n\
         services: {{ site: {{ endpoints: [http://{}] }} }}\n\
         routes:\n- {{ path: /admin/*, respond: {{ status: 403 }} }}\n- {{ path: /*, service: site }}\n",
        origin.address()
    ))
}

/// A request is refused: by a reset, by the end of the connection, or by 400. Nothing of it may reach the service.
fn is_refused(gateway: &Gateway, origin: &Origin, what: &str, send: impl FnOnce(&Http2)) {
    let client = Http2::connect(gateway.address());
    send(&client);
    let refused = client.events().find_any(SOON, |event| match event["event"].as_str() {
        Some("reset" | "goaway" | "closed") => true,
        Some("headers") => event["fields"].to_string().contains("[\":status\",\"4"),
        _ => false,
    });
    let refused = refused.is_some();
    assert!(refused, "{what} was not refused: {}", client.events().show());
    let whole = origin.requests().iter().any(|request| request.target() != "/canary");
    assert!(!whole, "{what} reached the service: {:?}", origin.requests());
    let canary = Http2::connect(gateway.address());
    canary.get(1, "/canary");
    assert_eq!(canary.response(1).status(), 200, "after {what}");
}

#[test]
fn malformed_heads_are_refused_and_never_forwarded() {
    let origin = Origin::saying("hello, whoever you are");
    let gateway = gateway_for(&origin);
    let plain = |replace: &[(&str, &str)], more: &[(&str, &str)]| {
        let mut fields =
            vec![(":method", "GET"), (":scheme", "http"), (":authority", "gw.test"), (":path", "/x")];
        for field in &mut fields {
            if let Some((_, value)) = replace.iter().find(|(name, _)| *name == field.0) {
                field.1 = value;
            }
        }
        fields.extend(more);
        json!(fields)
    };
    let pseudo = [
        (":path", "foo"),
        (":path", ""),
        (":path", "/a b"),
        (":path", "/a\r\nX: y"),
        (":path", "*"),
        (":path", "/a\0"),
        (":method", "GET /admin HTTP/1.1\r\nX:"),
        (":method", "GET?"),
        (":method", ""),
        (":scheme", "http://x/?"),
        (":scheme", ""),
        (":authority", "user@gw.test"),
        (":authority", "a b"),
        (":authority", "gw.test/x"),
        (":authority", "gw.test\r\nx: y"),
    ];
    for (name, value) in pseudo {
        let fields = plain(&[(name, value)], &[]);
        is_refused(&gateway, &origin, &format!("{name} {value:?}"), |client| client.headers(1, fields, true));
    }
    let regular = [
        ("host", "other.test"),
        ("x-a", "b\r\nx-c: d"),
        ("x-a", "b\0"),
        ("x-a", "b\nc"),
        ("x-a", " b"),
        ("x-a", "b "),
        ("X-Upper", "1"),
        ("", "1"),
        ("x:a", "1"),
        ("x a", "1"),
        ("x\r\na", "1"),
        ("transfer-encoding", "chunked"),
        ("connection", "x"),
        ("keep-alive", "1"),
        ("upgrade", "h2c"),
        ("proxy-connection", "x"),
        ("te", "gzip"),
        (":path", "/twice"),
        (":unknown", "1"),
        (":status", "200"),
        ("content-length", "10"),
        ("content-length", "+0"),
        (":protocol", "websocket"),
    ];
    for (name, value) in regular {
        let fields = plain(&[], &[(name, value)]);
        is_refused(&gateway, &origin, &format!("{name:?}: {value:?}"), |client| {
            client.headers(1, fields, true);
        });
    }
    let late = plain(&[], &[("x-a", "b"), (":extra", "c")]);
    is_refused(&gateway, &origin, "a pseudo-header behind a field", |client| client.headers(1, late, true));
    for lacking in [":method", ":scheme", ":path"] {
        let mut fields = plain(&[], &[]);
        fields.as_array_mut().unwrap().retain(|field| field[0] != lacking);
        is_refused(&gateway, &origin, &format!("no {lacking}"), |client| client.headers(1, fields, true));
    }
    let connect = plain(&[(":method", "CONNECT")], &[]);
    is_refused(&gateway, &origin, "CONNECT with a path", |client| client.headers(1, connect, true));
    gateway.stop();
}

#[test]
fn bodies_that_disagree_with_their_length_are_refused() {
    let origin = Origin::saying("hello, whoever you are");
    let gateway = gateway_for(&origin);
    let post = |more: &[(&str, &str)]| request("POST", "http", "/x", more);
    is_refused(&gateway, &origin, "5 of 10 bytes", |client| {
        client.headers(1, post(&[("content-length", "10")]), false);
        client.data(1, "hello", true);
    });
    is_refused(&gateway, &origin, "20 of 10 bytes", |client| {
        client.headers(1, post(&[("content-length", "10")]), false);
        client.data(1, "hello hello hello he", true);
    });
    is_refused(&gateway, &origin, "two lengths", |client| {
        client.headers(1, post(&[("content-length", "5"), ("content-length", "6")]), false);
        client.data(1, "hello", true);
    });
    // A pseudo-header in trailers is dropped by the library that reads them; see the next test.
    for (name, value) in [("X-Upper", "1"), ("connection", "x")] {
        is_refused(&gateway, &origin, &format!("a trailer {name}"), |client| {
            client.headers(1, post(&[]), false);
            client.data(1, "hello", false);
            client.headers(1, json!([[name, value]]), true);
        });
    }
    is_refused(&gateway, &origin, "trailers that do not end the stream", |client| {
        client.headers(1, post(&[]), false);
        client.headers(1, json!([["x-a", "b"]]), false);
    });
    gateway.stop();
}

#[test]
fn dangerous_trailers_never_become_fields_of_the_head() {
    let origin = Origin::scripted();
    let gateway = gateway_for(&origin);
    let client = Http2::connect(gateway.address());
    client.headers(1, request("POST", "http", "/x", &[]), false);
    client.data(1, "hello", false);
    client.headers(
        1,
        json!([["host", "b.test"], ["authorization", "x"], ["content-length", "9"], ["x-ok", "1"]]),
        true,
    );
    // Dropped or refused, both is safe.
    let refused = client.events().find(QUIET, "reset", |_| true).is_some();
    if !refused {
        let (link, asked) = origin.expect();
        assert_eq!((asked.field("host"), asked.field("authorization")), (Some("gw.test"), None));
        let names: Vec<&str> = asked.trailers.iter().map(|(name, _)| name.as_str()).collect();
        assert!(
            !names.iter().any(|name| ["host", "authorization", "content-length"].contains(name)),
            "{names:?}"
        );
        link.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(client.response(1).status(), 200);
    }
    gateway.stop();
}

#[test]
fn a_preface_without_settings_is_ended() {
    let origin = Origin::saying("hello, whoever you are");
    let gateway = Gateway::start(format!(
        "listen: {{ address: 127.0.0.1:0, timeouts: {{ header: 1s }} }}\n\
         services: {{ site: {{ endpoints: [http://{}] }} }}\nroutes: [{{ path: /*, service: site }}]\n",
        origin.address()
    ));
    let client = gateway.connect();
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert_eq!(client.wait_end(Duration::from_secs(5)), Some(End::Closed));
    let half = Http2::connect(gateway.address());
    half.tell(json!({ "do": "frame", "type": kind::HEADERS, "flags": 0, "stream": 1, "payload": "82" }));
    assert!(half.end(Duration::from_secs(8)).is_some(), "half a head is waited for without end");
    gateway.stop();
}
