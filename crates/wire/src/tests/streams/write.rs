//! What leaves on a stream.

use http::HeaderMap;
use message::{RequestHead, ResponseHead};

use crate::tests::{LIMITS, read_request, read_response};
use crate::{
    BodyLength, ConnectionHeader, RequestFraming, ResponseBody, ResponseFraming, request_message,
    response_message,
};

fn request(head: &str) -> RequestHead {
    let (_, mut head, _) = read_request(head.as_bytes(), &LIMITS).unwrap().unwrap();
    head.normalize().unwrap();
    head
}

fn response(head: &str) -> ResponseHead {
    read_response(head.as_bytes(), false).unwrap().1
}

/// The fields as lines.
fn lines(map: &HeaderMap) -> Vec<String> {
    map.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect()
}

#[test]
fn a_request_leaves_without_what_is_about_a_connection() {
    let mut head = request(
        "POST /a/../b?x=1 HTTP/1.1\r\nX-A: 1\r\nHOST: Ex.test\r\nTransfer-Encoding: chunked\r\nConnection: close\r\nKeep-Alive: 1\r\nTE: gzip\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\nProxy-Connection: x\r\nExpect: 100-continue\r\nCookie: a=1; b=2\r\n\r\n",
    );
    head.headers.push(b"x-added", b" padded ");
    let framing = RequestFraming { body: BodyLength::Chunked, ..RequestFraming::default() };
    let message = request_message(&head, "https", b"default.test", &framing).unwrap();
    assert_eq!(message.method(), "POST");
    assert_eq!(message.uri(), "https://ex.test/b?x=1");
    assert_eq!(lines(message.headers()), ["x-a: 1", "cookie: a=1; b=2", "x-added: padded"]);
}

#[test]
fn framing_of_requests() {
    let get = request("GET / HTTP/1.0\r\nSec-WebSocket-Key: x\r\nContent-Length: 9\r\n\r\n");
    let post = request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n");
    let plain = RequestFraming::default();
    for (head, framing, want) in [
        (&get, plain, &["sec-websocket-key: x"][..]),
        (&post, plain, &["content-length: 0"]),
        (&post, RequestFraming { body: BodyLength::Exact(7), ..plain }, &["content-length: 7"]),
        (&post, RequestFraming { body: BodyLength::UntilClose, ..plain }, &[]),
        (
            &post,
            RequestFraming { body: BodyLength::Chunked, expect_continue: true, te_trailers: true, ..plain },
            &["expect: 100-continue", "te: trailers"],
        ),
        (&get, RequestFraming { upgrade_websocket: true, body: BodyLength::Exact(0), ..plain }, &[]),
    ] {
        let message = request_message(head, "http", b"default.test", &framing).unwrap();
        assert_eq!(lines(message.headers()), want, "{framing:?}");
        assert_eq!(message.method() == "CONNECT", framing.upgrade_websocket);
        let host = if std::ptr::eq(head, &get) { "http://default.test/" } else { "http://a/" };
        assert_eq!(message.uri(), host);
    }
}

#[test]
fn every_byte_of_a_canonical_target_can_leave() {
    for b in (0x21..=0x7eu8).filter(|&b| b != b'#') {
        let query = format!("a{}b", char::from(b));
        let mut head = request("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let path = if matches!(b, b'?' | b'%' | b'\\') { "/".to_owned() } else { format!("/{query}") };
        head.rewrite(path.as_bytes(), Some(query.as_bytes())).unwrap();
        let message = request_message(&head, "http", b"", &RequestFraming::default()).unwrap();
        assert_eq!(message.uri().path().as_bytes(), head.path());
        let want = match b {
            b'"' => "a%22b".to_owned(),
            b'<' => "a%3Cb".to_owned(),
            b'>' => "a%3Eb".to_owned(),
            _ => query,
        };
        assert_eq!(message.uri().query(), Some(&*want));
    }
    let asterisk = request("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    let message = request_message(&asterisk, "http", b"", &RequestFraming::default()).unwrap();
    assert_eq!(message.uri().path(), "*");
}

#[test]
fn what_no_stream_can_carry_is_not_sent_in_part() {
    let plain = RequestFraming::default();
    for (name, value) in [(&b"a b"[..], &b"x"[..]), (b"", b"x"), (b"a", b"x\ny"), (b"a", b"\0")] {
        let mut head = request("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        head.headers.push(name, value);
        assert!(request_message(&head, "http", b"", &plain).is_none(), "{name:?}");
        let mut head = response("HTTP/1.1 200 OK\r\n\r\n");
        head.headers.push(name, value);
        let framing =
            ResponseFraming { body: ResponseBody::None, connection: ConnectionHeader::None, date: None };
        assert!(response_message(&head, &framing).is_none(), "{name:?}");
    }
    let mut head = request("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    head.set_authority(b"a b");
    assert!(request_message(&head, "http", b"", &plain).is_none());
}

#[test]
fn framing_of_responses() {
    const HEAD: &str = "HTTP/1.1 200 Fine\r\nContent-Length: 5\r\nConnection: keep-alive\r\nKeep-Alive: 1\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nSec-WebSocket-Accept: x\r\n\r\n";
    let head = response(HEAD);
    let dated = response("HTTP/1.1 404 No\r\nDate: then\r\n\r\n");
    let framing = |body| ResponseFraming {
        body,
        connection: ConnectionHeader::Close,
        date: Some(b"Thu, 01 Jan 1970 00:00:00 GMT"),
    };
    let rest = ["set-cookie: a", "set-cookie: b", "sec-websocket-accept: x"];
    for (body, before, after) in [
        (ResponseBody::Exact(7), None, Some("content-length: 7")),
        (ResponseBody::Omitted, Some("content-length: 5"), None),
        (ResponseBody::Chunked, None, None),
        (ResponseBody::UntilClose, None, None),
        (ResponseBody::None, None, None),
    ] {
        let message = response_message(&head, &framing(body)).unwrap();
        assert_eq!(message.status(), 200);
        let want = before
            .into_iter()
            .chain(rest)
            .chain(["date: Thu, 01 Jan 1970 00:00:00 GMT"])
            .chain(after)
            .collect::<Vec<_>>();
        assert_eq!(lines(message.headers()), want, "{body:?}");
    }
    let message = response_message(&dated, &framing(ResponseBody::None)).unwrap();
    assert_eq!((message.status().as_u16(), lines(message.headers())), (404, vec!["date: then".to_owned()]));
}

#[test]
fn a_websocket_is_accepted_with_200() {
    let head = response(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: chat\r\n\r\n",
    );
    let framing =
        ResponseFraming { body: ResponseBody::None, connection: ConnectionHeader::Upgrade, date: None };
    let message = response_message(&head, &framing).unwrap();
    assert_eq!(message.status(), 200);
    assert_eq!(lines(message.headers()), ["sec-websocket-protocol: chat"]);
}
