//! A signature that covers a digest of the body (RFC 9530): what the service gets of a body that is another.

use end_to_end::http2::{Http2, request};
use end_to_end::message::{Framing, Kind, Parsed, parse};
use end_to_end::{Link, Origin, SOON};
use serde_json::{Value, json};

use super::{Keys, SECRET, assert_served, sign};

/// Larger than what is held anywhere on the way.
fn large() -> String {
    (0..100_000).map(|number| format!("{number}\n")).collect()
}

/// A request with a body, whole or in chunks.
fn post(fields: &str, body: &str, chunked: bool) -> Vec<u8> {
    let mut head = format!("POST /orders HTTP/1.1\r\nHost: gw.test\r\n{fields}");
    if !chunked {
        return format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes();
    }
    head.push_str("Transfer-Encoding: chunked\r\n\r\n");
    for chunk in body.as_bytes().chunks(50_000) {
        head.push_str(&format!("{:x}\r\n{}\r\n", chunk.len(), String::from_utf8_lossy(chunk)));
    }
    (head + "0\r\n\r\n").into_bytes()
}

/// Whether a whole request came on a connection of the service.
fn is_whole(link: &Link) -> bool {
    matches!(parse(&link.unread(), Kind::Request, link.end()), Ok(Parsed::Whole(..)))
}

fn jobs(keys: &Keys, bodies: &[&str]) -> Vec<Value> {
    let job = |(number, body): (usize, &&str)| {
        keys.job("shared", "POST", "/orders", &json!({ "body": body, "nonce": number.to_string() }))
    };
    bodies.iter().enumerate().map(job).collect()
}

#[test]
fn a_body_that_is_right_passes() {
    let (keys, origin, large) = (Keys::new(), Origin::saying("taken"), large());
    let bodies = ["hello", "hello", &large, &large, ""];
    let Some(signed) = sign(&jobs(&keys, &bodies)) else { return };
    let gateway = keys.setup(&origin, "").start();
    for (number, (body, fields)) in bodies.iter().zip(&signed).enumerate() {
        let chunked = number % 2 == 1;
        let answer = gateway.connect().ask(post(fields, body, chunked));
        let request = origin.requests().pop().unwrap();
        assert_served(&answer, &request, "shared");
        assert!(request.text() == *body && (request.framing == Framing::Chunked) == chunked, "{number}");
        assert!(request.field("content-digest").is_some(), "it is of use to the service");
    }
    gateway.stop();
}

#[test]
fn of_another_body_the_service_never_gets_the_end() {
    let (keys, large) = (Keys::new(), large());
    let mut changed = large.clone().into_bytes();
    *changed.last_mut().unwrap() = b'!';
    let changed = String::from_utf8(changed).unwrap();
    let cases = [
        ("another", "hello", "hallo"),
        ("longer", "hello", "hello!"),
        ("shorter", "hello", "hell"),
        ("none", "hello", ""),
        ("one", "", "hello"),
        ("the last byte of many", &large, &changed),
    ];
    let rights: Vec<&str> = cases.iter().flat_map(|(_, right, _)| [*right, *right]).collect();
    let Some(signed) = sign(&jobs(&keys, &rights)) else { return };
    for ((what, _, sent), fields) in cases.iter().zip(signed.chunks(2)) {
        for (chunked, fields) in [false, true].into_iter().zip(fields) {
            let origin = Origin::scripted();
            let gateway = keys.setup(&origin, "").start();
            let client = gateway.connect();
            client.send(post(fields, sent, chunked));
            let answer = client.response();
            let known_before = sent.is_empty() && !chunked;
            let status = if known_before { 401 } else { 400 };
            assert_eq!(answer.status(), status, "{what}, chunked: {chunked}: {answer}");
            if !known_before {
                let problem: Value = serde_json::from_str(&answer.text()).unwrap();
                assert_eq!(problem["code"], "digest-mismatch", "{what}");
                assert_eq!(
                    (&problem["status"], &problem["retryable"]),
                    (&json!(400), &json!(false)),
                    "{what}"
                );
            }
            // It may have begun with it, once, and it is told that this was not all.
            let links = origin.links();
            assert!(links.len() <= 1, "{what}: it was tried again");
            for link in links {
                assert!(link.wait_end(SOON).is_some(), "{what}: its connection is left open");
                assert!(!is_whole(&link), "{what}, chunked: {chunked}: the service got all of it");
            }
            drop(client);
            gateway.stop();
        }
    }
}

#[test]
fn over_http2_the_same_holds() {
    let (keys, origin) = (Keys::new(), Origin::saying("taken"));
    let bodies = ["hello", "hello", "hello"];
    let Some(signed) = sign(&jobs(&keys, &bodies)) else { return };
    let gateway = keys.setup(&origin, "").start();
    let client = Http2::connect(gateway.address());
    for (stream, fields, sent, status) in
        [(1, &signed[0], "hello", 200), (3, &signed[1], "hallo", 400), (5, &signed[2], "hello!", 400)]
    {
        let fields: Vec<(String, &str)> = fields
            .lines()
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value))
            .collect();
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (&**name, *value)).collect();
        client.headers(stream, request("POST", "http", "/orders", &fields), false);
        client.data(stream, sent, true);
        let answer = client.response(stream);
        assert_eq!(answer.status(), status, "{sent}: {answer:?}");
    }
    assert_eq!(origin.count(), 1, "one was whole");
    gateway.stop();
}

#[test]
fn a_body_without_a_digest_that_is_covered_is_refused() {
    let (keys, origin) = (Keys::new(), Origin::saying("taken"));
    let jobs = ["1", "2", "3", "4"]
        .map(|nonce| keys.job("shared", "POST", "/orders", &json!({ "secret": SECRET, "nonce": nonce })));
    let Some(signed) = sign(&jobs) else { return };
    let digest = "Content-Digest: sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:\r\n";
    let gateway = keys.setup(&origin, "").start();
    for (fields, chunked) in
        [(signed[0].clone(), false), (signed[1].clone(), true), (format!("{}{digest}", signed[2]), false)]
    {
        assert_eq!(gateway.connect().ask(post(&fields, "hello", chunked)).status(), 401, "{fields}");
    }
    assert_eq!(origin.count(), 0);
    gateway.stop();
    let gateway = keys.setup(&origin, "require_digest: false").start();
    assert_eq!(gateway.connect().ask(post(&signed[3], "hello", true)).status(), 200);
    gateway.stop();
}
