//! Services that speak HTTP/2: what reaches them, and what they may do to a request.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

use std::time::Duration;

use end_to_end::certificates::{Authority, Wish};
use end_to_end::http2::{Http2, code, request, value};
use end_to_end::message::Kind;
use end_to_end::{Folder, Gateway, QUIET, SOON, Setup};
use serde_json::json;

fn gateway_for(services: &[&Http2], more: &str) -> Gateway {
    let endpoints: Vec<String> =
        services.iter().map(|service| format!("http://{}", service.address())).collect();
    Gateway::start(format!(
        "listen: 127.0.0.1:0\n\
         services: {{ site: {{ endpoints: [{}], protocol: http2{more} }} }}\n\
         routes: [{{ path: /*, service: site }}]\n",
        endpoints.join(", ")
    ))
}

#[test]
fn http1_becomes_http2() {
    let service = Http2::listen();
    let gateway = gateway_for(&[&service], "");
    let client = gateway.connect();
    client.send(
        "POST /up?q HTTP/1.1\r\nHost: gw.test\r\nConnection: x-hop\r\nX-Hop: 1\r\nCookie: a=1; b=2\r\nX-Case: Kept\r\n\
         Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 5\r\n\r\n",
    );
    let asked = service.asked();
    let field = |name: &str| value(&asked.fields, name);
    assert_eq!(
        (field(":method"), field(":path"), field(":scheme")),
        (Some("POST"), Some("/up?q"), Some("http"))
    );
    assert_eq!((field(":authority"), field("host")), (Some("gw.test"), None));
    assert_eq!((field("x-case"), field("x-forwarded-for")), (Some("Kept"), Some("127.0.0.1")));
    let crumbs: Vec<&str> =
        asked.fields.iter().filter(|(name, _)| name == "cookie").map(|(_, v)| v.as_str()).collect();
    assert_eq!(crumbs.join("; "), "a=1; b=2");
    for name in ["connection", "x-hop", "transfer-encoding", "keep-alive", "upgrade"] {
        assert_eq!(field(name), None, "RFC 9113 §8.2.2");
    }
    assert!(asked.fields.iter().all(|(name, _)| *name == name.to_lowercase()), "{:?}", asked.fields);
    service.events().take("data", |event| event["text"] == "hello");
    let trailers = service.events().take("headers", |event| event["stream"] == asked.stream);
    assert_eq!((&trailers["fields"], &trailers["end"]), (&json!([["x-sum", "5"]]), &json!(true)));
    let stream = asked.stream;
    service.headers(stream, json!([[":status", "103"], ["link", "</a>"]]), false);
    service.headers(stream, json!([[":status", "200"], ["x-a", "b"]]), false);
    service.data(stream, "answer", false);
    service.headers(stream, json!([["x-end", "yes"]]), true);
    let early = client.response();
    assert_eq!((early.status(), early.field("link")), (103, Some("</a>")));
    let answer = client.response();
    assert_eq!((answer.status(), answer.text().as_str(), answer.field("x-a")), (200, "answer", Some("b")));
    assert_eq!(answer.trailers, [("x-end".to_owned(), "yes".to_owned())]);
    gateway.stop();
}

#[test]
fn http2_stays_http2_and_shares_a_connection() {
    let service = Http2::listen();
    let gateway = gateway_for(&[&service], "");
    let client = Http2::connect(gateway.address());
    client.get(1, "/warm");
    service.answer(&service.asked(), "200", "warm");
    assert_eq!(client.response(1).body, "warm");
    for stream in [3, 5, 7, 9] {
        client.headers(stream, request("POST", "http", &format!("/{stream}"), &[("te", "trailers")]), false);
    }
    let asked: Vec<_> = (0..4).map(|_| service.asked()).collect();
    assert!(asked.iter().all(|one| one.connection == asked[0].connection), "one connection carries them all");
    for (at, asked) in asked.iter().enumerate().rev() {
        let stream = 2 * at as u64 + 3;
        assert_eq!(value(&asked.fields, "te"), Some("trailers"), "gRPC needs it");
        client.data(stream, "part", false);
        service.events().take("data", |event| event["stream"] == asked.stream && event["text"] == "part");
        service.headers(asked.stream, json!([[":status", "200"]]), false);
        service.data(asked.stream, "answer while asked", false);
        client.events().take("data", |event| event["stream"] == stream);
        client.headers(stream, json!([["x-sum", "4"]]), true);
        service.events().take("headers", |event| event["fields"][0][0] == "x-sum");
        service.headers(asked.stream, json!([["x-end", at.to_string()]]), true);
        let end = client.response(stream);
        assert_eq!(value(&end.trailers, "x-end"), Some(at.to_string().as_str()));
    }
    gateway.stop();
}

#[test]
fn resets_pass_in_both_directions_at_once() {
    let service = Http2::listen();
    let gateway = gateway_for(&[&service], "");
    let client = Http2::connect(gateway.address());
    client.headers(1, request("POST", "http", "/cancelled", &[]), false);
    let asked = service.asked();
    client.reset(1, code::CANCEL);
    let second = Duration::from_secs(1);
    let reset = service.events().find(second, "reset", |event| event["stream"] == asked.stream);
    assert_eq!(reset.expect("the service is told at once")["code"], code::CANCEL);
    client.get(3, "/broken");
    let asked = service.asked();
    service.headers(asked.stream, json!([[":status", "200"]]), false);
    service.data(asked.stream, "the beginning", false);
    client.events().take("data", |event| event["stream"] == 3);
    service.reset(asked.stream, code::INTERNAL_ERROR);
    let reset = client.events().find(second, "reset", |event| event["stream"] == 3);
    assert_ne!(reset.expect("the client is told at once")["code"], code::NO_ERROR);
    // A client of HTTP/1.1 that leaves, and one that is left.
    let plain = gateway.connect();
    plain.send("GET /left HTTP/1.1\r\nHost: gw.test\r\n\r\n");
    let asked = service.asked();
    plain.reset();
    assert!(service.events().find(second, "reset", |event| event["stream"] == asked.stream).is_some());
    let plain = gateway.connect();
    plain.send("GET /broken HTTP/1.1\r\nHost: gw.test\r\n\r\n");
    let asked = service.asked();
    service.headers(asked.stream, json!([[":status", "200"]]), false);
    service.data(asked.stream, "the beginning", false);
    plain.wait_text("the beginning").unwrap();
    service.reset(asked.stream, code::INTERNAL_ERROR);
    assert!(
        plain.wait_end(SOON).is_some() && !plain.unread().ends_with(b"0\r\n\r\n"),
        "{:?}",
        plain.unread()
    );
    gateway.stop();
}

#[test]
fn a_refused_stream_is_sent_again() {
    let (one, two) = (Http2::listen(), Http2::listen());
    let gateway = gateway_for(&[&one, &two], "");
    let client = gateway.connect();
    client.send("POST /x HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 5\r\n\r\nhello");
    // RFC 9113 §8.7: nothing of it was processed, so that even this may be repeated.
    let found = |service: &Http2| service.events().find(SOON / 4, "headers", |_| true);
    let (refusing, other, event) = match found(&one) {
        Some(event) => (&one, &two, event),
        None => (&two, &one, found(&two).expect("the request reached a service")),
    };
    refusing.reset(event["stream"].as_u64().unwrap(), code::REFUSED_STREAM);
    let asked = other.asked();
    other.events().take("data", |event| event["text"] == "hello");
    other.answer(&asked, "200", "fine");
    assert_eq!(client.response().text(), "fine");
    gateway.stop();
}

#[test]
fn a_broken_off_stream_is_sent_again_only_where_that_is_asked_for() {
    for (more, answer) in [("", None), (", retries: { on: [reset], budget: 100% }", Some("200"))] {
        let service = Http2::listen();
        let gateway = gateway_for(&[&service], more);
        let client = Http2::connect(gateway.address());
        // So that the connection was used before: that alone is no reason.
        client.get(1, "/warm");
        let asked = service.asked();
        service.answer(&asked, "200", "");
        assert_eq!(client.response(1).status(), 200);
        client.get(3, "/x");
        let asked = service.asked();
        service.reset(asked.stream, code::INTERNAL_ERROR);
        match answer {
            None => assert_eq!(client.response(3).status(), 502),
            Some(status) => {
                let again = service.asked();
                service.answer(&again, status, "");
                assert_eq!(client.response(3).status(), 200);
            }
        }
        gateway.stop();
    }
}

#[test]
fn goaway_finishes_what_has_begun_and_repeats_the_rest() {
    let service = Http2::listen();
    let gateway = gateway_for(&[&service], "");
    let client = Http2::connect(gateway.address());
    client.get(1, "/begun");
    let begun = service.asked();
    client.get(3, "/late");
    let late = service.asked();
    assert_eq!(begun.connection, late.connection);
    service.tell(json!({ "do": "goaway", "last": begun.stream, "code": code::NO_ERROR, "connection": begun.connection }));
    let again = service.asked();
    assert_eq!(value(&again.fields, ":path"), Some("/late"));
    assert_ne!(again.connection, begun.connection, "on a new connection");
    service.answer(&again, "200", "late");
    service.answer(&begun, "200", "begun");
    assert_eq!((client.response(1).body, client.response(3).body), ("begun".to_owned(), "late".to_owned()));
    client.get(5, "/next");
    let next = service.asked();
    assert_eq!(next.connection, again.connection);
    service.answer(&next, "200", "next");
    assert_eq!(client.response(5).body, "next");
    gateway.stop();
}

#[test]
fn a_service_that_takes_one_stream_gets_one_at_a_time() {
    let service = Http2::listen_with(json!({ "settings": { "3": 1 } }));
    let gateway = gateway_for(&[&service], "");
    let client = Http2::connect(gateway.address());
    client.get(1, "/warm");
    let warm = service.asked();
    service.answer(&warm, "200", "warm");
    assert_eq!(client.response(1).body, "warm");
    for stream in [3, 5, 7, 9] {
        client.get(stream, &format!("/{stream}"));
    }
    // They wait for their turn or go to further connections; no connection ever has two.
    let mut open: Vec<_> = vec![service.asked()];
    for _ in 0..4 {
        while let Some(event) = service.events().find(QUIET, "headers", |_| true) {
            let path = end_to_end::http2::fields(&event);
            open.push(end_to_end::http2::Asked {
                connection: event["connection"].as_u64().unwrap(),
                stream: event["stream"].as_u64().unwrap(),
                fields: path,
                end: true,
            });
        }
        let mut connections: Vec<u64> = open.iter().map(|asked| asked.connection).collect();
        connections.sort_unstable();
        connections.dedup();
        assert_eq!(connections.len(), open.len(), "two streams on a connection that takes one");
        let Some(asked) = open.pop() else { continue };
        service.answer(&asked, "200", value(&asked.fields, ":path").unwrap());
    }
    for asked in open {
        service.answer(&asked, "200", value(&asked.fields, ":path").unwrap());
    }
    for stream in [3, 5, 7, 9] {
        assert_eq!(client.response(stream).body, format!("/{stream}"));
    }
    gateway.stop();
}

#[test]
fn what_is_no_http2_is_a_bad_gateway() {
    let garbage = end_to_end::Origin::raw(|mut stream| {
        use std::io::{Read, Write};
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        let _ = stream.read(&mut [0; 1024]);
    });
    let gateway = Gateway::start(format!(
        "listen: 127.0.0.1:0\nservices: {{ site: {{ endpoints: [http://{}], protocol: http2 }} }}\n\
         routes: [{{ path: /*, service: site }}]\n",
        garbage.address()
    ));
    assert_eq!(gateway.connect().get("/").status(), 502);
    gateway.stop();
}

#[test]
fn malformed_answers_are_a_bad_gateway() {
    let service = Http2::listen();
    let gateway = gateway_for(&[&service], "");
    let bad = [
        json!([["x-a", "b"]]),
        json!([[":status", "abc"]]),
        json!([[":status", "200"], ["X-Upper", "1"]]),
        json!([[":status", "200"], ["connection", "x"]]),
        json!([[":status", "200"], ["x-a", "b\r\nx-c: d"]]),
        json!([[":status", "200"], ["content-length", "10"]]),
        json!([[":status", "101"]]),
    ];
    for fields in bad {
        let client = gateway.connect();
        client.send("GET / HTTP/1.1\r\nHost: gw.test\r\n\r\n");
        let asked = service.asked();
        service.tell(json!({ "do": "headers", "connection": asked.connection, "stream": asked.stream,
                             "fields": fields, "end": true }));
        let status = client.read(Kind::Response, SOON).map(|answer| answer.status());
        assert!(matches!(status, Ok(502) | Err(_)), "{fields}: {status:?}");
    }
    gateway.stop();
}

fn over_tls(alpn: &[&str], protocol: &str) -> (Folder, Http2, Gateway) {
    let (folder, authority) = (Folder::new(), Authority::new("tests"));
    let identity = authority.sign(&Wish::server(&["service.test"]));
    let (cert, key) = (folder.write("cert.pem", &identity.cert), folder.write("key.pem", &identity.key));
    let service = Http2::listen_with(json!({ "tls": { "cert": cert, "key": key, "alpn": alpn } }));
    let setup = Setup {
        files: vec![("ca.pem".into(), authority.cert().into())],
        ..Setup::new(format!(
            "listen: 127.0.0.1:0\n\
             services: {{ site: {{ endpoints: [https://{}], protocol: {protocol},\n  \
             tls: {{ server_name: service.test, ca: ca.pem }} }} }}\nroutes: [{{ path: /*, service: site }}]\n",
            service.address()
        ))
    };
    let gateway = setup.start();
    (folder, service, gateway)
}

#[test]
fn http2_over_tls_and_by_alpn() {
    for protocol in ["http2", "auto"] {
        let (_folder, service, gateway) = over_tls(&["h2", "http/1.1"], protocol);
        let client = Http2::connect(gateway.address());
        client.get(1, "/x");
        let asked = service.asked();
        assert_eq!(service.events().take("connected", |_| true)["alpn"], "h2");
        service.answer(&asked, "200", "fine");
        assert_eq!(client.response(1).body, "fine");
        gateway.stop();
    }
}

#[test]
fn auto_falls_back_to_http1_and_http2_does_not() {
    let (_folder, service, gateway) = over_tls(&["http/1.1"], "auto");
    gateway.connect().send("GET /plain HTTP/1.1\r\nHost: gw.test\r\n\r\n");
    let garbage = service.events().take("garbage", |_| true);
    assert!(garbage["text"].as_str().unwrap().starts_with("GET /plain HTTP/1.1\r\n"), "{garbage}");
    gateway.stop();
    let (_folder, service, gateway) = over_tls(&["http/1.1"], "http2");
    assert_eq!(gateway.connect().get("/").status(), 502);
    assert_eq!(service.events().count("headers"), 0);
    gateway.stop();
}
