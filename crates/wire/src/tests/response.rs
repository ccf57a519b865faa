//! Status lines and framing of responses: RFC 9112 §4, §6.3.

use message::{Fault, Version};

use super::{fields, read_response};
use crate::{BodyLength, ResponseMeta};

fn meta(line: &str, fields: &str) -> Option<ResponseMeta> {
    read_response(format!("{line}\r\n{fields}\r\n").as_bytes(), false).ok().map(|(meta, _)| meta)
}

#[test]
fn a_response_is_read_as_it_was_written() {
    let (meta, head) =
        read_response(b"HTTP/1.1 404 Not  H\xe9re\t\r\nServer: x\r\ncontent-length: 9\r\n\r\n", false)
            .unwrap();
    assert_eq!((head.status, head.version), (404, Version::Http11));
    assert_eq!(head.headers.slice(head.reason), b"Not  H\xe9re\t");
    assert_eq!(fields(&head.headers).len(), 2);
    let want = ResponseMeta { body: BodyLength::Exact(9), keep_alive: true, ..ResponseMeta::default() };
    assert_eq!(meta, want);
}

#[test]
fn status_lines() {
    for line in ["HTTP/1.1 200 OK", "HTTP/1.1 200 ", "HTTP/1.1 200", "HTTP/1.0 999 x", "HTTP/1.7 100 x"] {
        assert!(meta(line, "").is_some(), "{line:?}");
    }
    for line in [
        "",
        "HTTP/1.1",
        "HTTP/1.1 ",
        "HTTP/1.1 20",
        "HTTP/1.1 99 x",
        "HTTP/1.1 099 x",
        "HTTP/1.1 2000",
        "HTTP/1.1 20000 x",
        "HTTP/1.1 2x0 x",
        "HTTP/1.1 +20 x",
        "HTTP/1.1  200 x",
        "HTTP/1.1\t200 x",
        " HTTP/1.1 200 x",
        "HTTP/2.0 200 x",
        "HTTP/1.10 200 x",
        "http/1.1 200 x",
        "ICY 200 OK",
        "HTTP/1.1 200 a\x01",
        "HTTP/1.1 200 a\rb",
        "HTTP/1.1 200 a\n",
        "HTTP/1.1 200-OK",
        "HTTP/1.1 200\tOK",
        "X",
        "\r\nHTTP/1.1 200 OK",
    ] {
        let got = read_response(format!("{line}\r\n\r\n").as_bytes(), false).map(|(meta, _)| meta);
        assert_eq!(got, Err(Fault::UpstreamMalformed), "{line:?}");
    }
}

#[test]
fn bodies() {
    use BodyLength::{Chunked, Empty, Exact, UntilClose};
    let (length, chunked) = ("Content-Length: 7\r\n", "Transfer-Encoding: chunked\r\n");
    for (status, fields, to_head, want, keep) in [
        ("200", length, false, Exact(7), true),
        ("200", chunked, false, Chunked, true),
        ("200", "", false, UntilClose, false),
        ("200", "Content-Length: 0\r\n", false, Exact(0), true),
        ("200", length, true, Empty, true),
        ("200", chunked, true, Empty, true),
        ("200", "", true, Empty, true),
        ("304", length, false, Empty, true),
        ("304", chunked, false, Empty, true),
        ("204", "", false, Empty, true),
        ("204", "Content-Length: 0\r\n", false, Empty, true),
        ("204", length, false, Empty, false),
        ("204", chunked, false, Empty, false),
        ("100", "", false, Empty, true),
        ("103", length, false, Empty, false),
        ("200", "Content-Length: 7\r\nConnection: close\r\n", false, Exact(7), false),
    ] {
        let head = format!("HTTP/1.1 {status} x\r\n{fields}\r\n");
        let (meta, _) = read_response(head.as_bytes(), to_head).unwrap();
        assert_eq!((meta.body, meta.keep_alive), (want, keep), "{status} {fields:?} {to_head}");
    }
    assert!(!meta("HTTP/1.0 200 x", length).unwrap().keep_alive);
    assert!(meta("HTTP/1.0 200 x", &format!("{length}Connection: keep-alive\r\n")).unwrap().keep_alive);
}

#[test]
fn framing_in_doubt_is_malformed_whatever_the_status() {
    for fields in [
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: x\r\n",
        "Content-Length:\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "X : a\r\n",
        "X: a\r\n b\r\n",
        "X: a\nb\r\n",
        "X: \0\r\n",
    ] {
        for status in ["200", "204", "304", "100"] {
            assert_eq!(meta(&format!("HTTP/1.1 {status} x"), fields), None, "{status} {fields:?}");
        }
    }
    assert_eq!(meta("HTTP/1.0 200 x", "Transfer-Encoding: chunked\r\n"), None);
}

#[test]
fn an_upgrade_is_101_to_websocket() {
    let good = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    assert!(meta("HTTP/1.1 101 x", good).unwrap().upgrade);
    assert!(!meta("HTTP/1.1 200 x", good).unwrap().upgrade);
    assert!(!meta("HTTP/1.0 101 x", good).unwrap().upgrade);
    assert!(!meta("HTTP/1.1 101 x", "Upgrade: websocket\r\n").unwrap().upgrade);
    assert!(!meta("HTTP/1.1 101 x", "Connection: upgrade\r\nUpgrade: h2c\r\n").unwrap().upgrade);
}
