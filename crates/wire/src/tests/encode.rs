//! What is written: heads and chunks.

use message::{Headers, Name, RequestHead, ResponseHead};

use super::{LIMITS, read_request, read_response};
use crate::{
    BodyLength, CHUNK_HEAD, CHUNK_TAIL, ConnectionHeader, RequestFraming, ResponseBody, ResponseFraming,
    end_response, frame_chunk, write_last_chunk, write_request, write_response,
};

fn request(head: &str) -> RequestHead {
    let (_, mut head, _) = read_request(head.as_bytes(), &LIMITS).unwrap().unwrap();
    head.normalize().unwrap();
    head
}

fn written(head: &RequestHead, framing: &RequestFraming) -> String {
    let mut out = Vec::new();
    write_request(&mut out, head, b"default.test", framing);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_request_leaves_in_canonical_form() {
    let mut head = request(
        "GET /a/../b?x=1 HTTP/1.1\r\nA: 1\r\nHOST: Ex.test\r\nContent-Length: 3\r\nB:2\r\nC: 3\r\nExpect: 100-continue\r\nD:  4 \r\nE: \r\nF:\r\n\r\n",
    );
    head.headers.push(b"x-added", b"5");
    let framing = RequestFraming { body: BodyLength::Exact(3), ..RequestFraming::default() };
    assert_eq!(
        written(&head, &framing),
        "GET /b?x=1 HTTP/1.1\r\nhost: ex.test\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: \r\nF: \r\nx-added: 5\r\ncontent-length: 3\r\n\r\n"
    );
}

#[test]
fn connection_and_framing_fields_are_never_copied() {
    let head = request(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nTE: gzip\r\nUpgrade: h2c\r\nKeep-Alive: 1\r\nProxy-Connection: x\r\nHTTP2-Settings: x\r\nAccept: x\r\n\r\n",
    );
    assert_eq!(written(&head, &RequestFraming::default()), "GET / HTTP/1.1\r\nhost: a\r\nAccept: x\r\n\r\n");
}

#[test]
fn framing_of_requests() {
    let get = request("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let plain = RequestFraming::default();
    for (framing, want) in [
        (plain, ""),
        (RequestFraming { body: BodyLength::Exact(0), ..plain }, "content-length: 0\r\n"),
        (
            RequestFraming { body: BodyLength::Exact(u64::MAX), ..plain },
            "content-length: 18446744073709551615\r\n",
        ),
        (RequestFraming { body: BodyLength::Chunked, ..plain }, "transfer-encoding: chunked\r\n"),
        (RequestFraming { body: BodyLength::UntilClose, ..plain }, "transfer-encoding: chunked\r\n"),
        (RequestFraming { expect_continue: true, ..plain }, "expect: 100-continue\r\n"),
        (
            RequestFraming { upgrade_websocket: true, ..plain },
            "upgrade: websocket\r\nconnection: upgrade\r\n",
        ),
        (RequestFraming { te_trailers: true, ..plain }, "te: trailers\r\nconnection: te\r\n"),
        (
            RequestFraming { upgrade_websocket: true, te_trailers: true, ..plain },
            "upgrade: websocket\r\nte: trailers\r\nconnection: upgrade, te\r\n",
        ),
    ] {
        assert_eq!(written(&get, &framing), format!("GET / HTTP/1.1\r\nhost: a\r\n{want}\r\n"));
    }
    for method in ["POST", "PUT", "PATCH"] {
        let head = request(&format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(
            written(&head, &plain),
            format!("{method} / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n")
        );
    }
    let options = request("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(written(&options, &plain), "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n");
    let old = request("GET http://b/?q HTTP/1.0\r\n\r\n");
    assert_eq!(written(&old, &plain), "GET /?q HTTP/1.1\r\nhost: b\r\n\r\n");
    let nameless = request("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(written(&nameless, &plain), "GET / HTTP/1.1\r\nhost: default.test\r\n\r\n");
}

const DATE: &[u8; 29] = b"Thu, 01 Jan 1970 00:00:00 GMT";

fn response(head: &ResponseHead, body: ResponseBody, connection: ConnectionHeader) -> String {
    let mut out = Vec::new();
    write_response(&mut out, head, &ResponseFraming { body, connection, date: Some(DATE) });
    String::from_utf8(out).unwrap()
}

#[test]
fn framing_of_responses() {
    let text =
        b"HTTP/1.0 200 Fine\r\nContent-Length: 7\r\nA: b\r\nConnection: x\r\nTransfer_Encoding: y\r\n\r\n";
    let (_, head) = read_response(text, false).unwrap();
    let date = format!("date: {}", std::str::from_utf8(DATE).unwrap());
    for (body, connection, want) in [
        (ResponseBody::Exact(7), ConnectionHeader::None, "content-length: 7\r\n"),
        (
            ResponseBody::Chunked,
            ConnectionHeader::Close,
            "transfer-encoding: chunked\r\nconnection: close\r\n",
        ),
        (ResponseBody::UntilClose, ConnectionHeader::Close, "connection: close\r\n"),
        (ResponseBody::None, ConnectionHeader::KeepAlive, "connection: keep-alive\r\n"),
        (ResponseBody::None, ConnectionHeader::Upgrade, "connection: upgrade\r\nupgrade: websocket\r\n"),
    ] {
        let got = response(&head, body, connection);
        assert_eq!(got, format!("HTTP/1.1 200 Fine\r\nA: b\r\nTransfer_Encoding: y\r\n{date}\r\n{want}\r\n"));
    }
    assert_eq!(
        response(&head, ResponseBody::Omitted, ConnectionHeader::None),
        format!("HTTP/1.1 200 Fine\r\nContent-Length: 7\r\nA: b\r\nTransfer_Encoding: y\r\n{date}\r\n\r\n")
    );
}

#[test]
fn what_the_gateway_answers_is_sent_from_where_it_was_made() {
    const FRAMING: ResponseFraming<'_> = ResponseFraming {
        body: ResponseBody::Exact(5),
        connection: ConnectionHeader::None,
        date: Some(DATE),
    };
    let made = |change: fn(&mut Headers)| {
        let mut head = ResponseHead::default();
        head.begin(429);
        head.headers.push(b"server", b"gateward");
        head.headers.push_number(b"retry-after", 3600);
        change(&mut head.headers);
        let written = response(&head, FRAMING.body, FRAMING.connection);
        let in_place = wire_text(&mut head, &FRAMING);
        assert!(in_place.as_ref().is_none_or(|text| *text == written), "{in_place:?} {written}");
        let text = written.strip_prefix("HTTP/1.1 429 Too Many Requests\r\n").unwrap();
        let date = format!("date: {}\r\n", std::str::from_utf8(DATE).unwrap());
        let text = text.replace(&date, "").strip_suffix("content-length: 5\r\n\r\n").unwrap().to_owned();
        (text, in_place.is_some())
    };
    let all = "server: gateward\r\nretry-after: 3600\r\n".to_owned();
    assert_eq!(made(|_| {}), (all.clone(), true));
    assert_eq!(made(|headers| headers.push(b"a", b"b")), (format!("{all}a: b\r\n"), true));
    assert_eq!(made(|headers| headers.remove(b"Server")), ("retry-after: 3600\r\n".to_owned(), false));
    let set = |headers: &mut Headers| headers.set(b"server", b"x");
    assert_eq!(made(set), ("retry-after: 3600\r\nserver: x\r\n".to_owned(), false));
    let retain = |headers: &mut Headers| headers.retain(|field, _| field.known != Name::Server);
    assert_eq!(made(retain), ("retry-after: 3600\r\n".to_owned(), false));
    assert_eq!(made(|headers| _ = headers.append_text(b"garbage")), (all.clone(), false));
    // A date is not doubled.
    let mut head = ResponseHead::default();
    head.begin(200);
    head.headers.push(b"Date", b"then");
    assert_eq!(
        wire_text(&mut head, &FRAMING).unwrap(),
        "HTTP/1.1 200 OK\r\nDate: then\r\ncontent-length: 5\r\n\r\n"
    );
    // What frames or belongs to the connection is not for policies to say.
    for name in ["Content-Length", "connection", "Transfer-Encoding", "keep-alive", "upgrade"] {
        let mut head = ResponseHead::default();
        head.begin(200);
        head.headers.push(b"a", b"b");
        head.headers.push(name.as_bytes(), b"7");
        assert_eq!(wire_text(&mut head, &FRAMING), None, "{name}");
        let text = response(&head, FRAMING.body, FRAMING.connection);
        assert!(text.starts_with("HTTP/1.1 200 OK\r\na: b\r\ndate: ") && !text.contains(": 7"), "{text}");
    }
    // One that was not begun, or was read from elsewhere, stands nowhere like that.
    let mut head = ResponseHead { status: 200, ..ResponseHead::default() };
    assert_eq!(wire_text(&mut head, &FRAMING), None);
    let (_, mut head) = read_response(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n", false).unwrap();
    assert_eq!(wire_text(&mut head, &FRAMING), None);
    // It can be used again.
    head.clear();
    head.begin(799);
    assert!(wire_text(&mut head, &FRAMING).unwrap().starts_with("HTTP/1.1 799 \r\ndate: "));
}

fn wire_text(head: &mut ResponseHead, framing: &ResponseFraming<'_>) -> Option<String> {
    end_response(head, framing).map(|text| String::from_utf8(text.clone()).unwrap())
}

#[test]
fn date_and_reason_are_added_where_they_are_missing() {
    let (_, head) = read_response(b"HTTP/1.1 404\r\nDate: then\r\n\r\n", false).unwrap();
    let got = response(&head, ResponseBody::None, ConnectionHeader::None);
    assert_eq!(got, "HTTP/1.1 404 Not Found\r\nDate: then\r\n\r\n");
    let head = ResponseHead { status: 799, ..ResponseHead::default() };
    let mut out = Vec::new();
    let framing =
        ResponseFraming { body: ResponseBody::None, connection: ConnectionHeader::None, date: None };
    write_response(&mut out, &head, &framing);
    assert_eq!(out, b"HTTP/1.1 799 \r\n\r\n");
}

#[test]
fn chunks_are_framed_where_they_lie() {
    for len in [0, 1, 15, 16, 255, 4096, 70_000] {
        for last in [false, true] {
            let mut buffer = vec![b'.'; CHUNK_HEAD + len + CHUNK_TAIL];
            buffer[CHUNK_HEAD..CHUNK_HEAD + len].fill(b'x');
            let framed = frame_chunk(&mut buffer, CHUNK_HEAD..CHUNK_HEAD + len, last);
            let mut want = String::new();
            if len > 0 {
                want = format!("{len:x}\r\n{}\r\n", "x".repeat(len));
            }
            if last {
                want += "0\r\n\r\n";
            }
            assert_eq!(&buffer[framed], want.as_bytes());
        }
    }
}

#[test]
fn the_last_chunk_carries_trailers() {
    let mut out = Vec::new();
    write_last_chunk(&mut out, None);
    assert_eq!(out, b"0\r\n\r\n");
    let mut trailers = Headers::default();
    trailers.push(b"X-Sum", b"1");
    out.clear();
    write_last_chunk(&mut out, Some(&trailers));
    assert_eq!(out, b"0\r\nX-Sum: 1\r\n\r\n");
}
