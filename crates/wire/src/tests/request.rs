//! Request lines, field lines and framing of requests: RFC 9112 §2, §3, §5, §6.

use message::{Fault, Method, RequestHead, Version};

use super::{LIMITS, fault_of, fields, read_request};
use crate::{BodyLength, HeadLimits, HeadScan, Kind, RequestMeta, parse_request};

fn meta(fields: &str) -> Result<RequestMeta, Fault> {
    meta_of("GET / HTTP/1.1", fields)
}

fn meta_of(line: &str, fields: &str) -> Result<RequestMeta, Fault> {
    let head = format!("{line}\r\nHost: a\r\n{fields}\r\n");
    read_request(head.as_bytes(), &LIMITS).map(|found| found.expect("a whole head").0)
}

#[test]
fn a_request_is_read_as_it_was_written() {
    let bytes = b"\r\nPATCH /a/b?c=%20 HTTP/1.1\r\nHost: ex.test\r\nX-Empty:\r\nX-Tab:\t v\tw \t\r\nx: \xe9\xff\r\n\r\nGET /";
    let (meta, head, end) = read_request(bytes, &LIMITS).unwrap().unwrap();
    assert_eq!(&bytes[end..], b"GET /");
    assert_eq!(
        (head.method, head.method_bytes(), head.version),
        (Method::Patch, &b"PATCH"[..], Version::Http11)
    );
    assert_eq!(head.headers.slice(head.target), b"/a/b?c=%20");
    let want = [("Host", "ex.test"), ("X-Empty", ""), ("X-Tab", "v\tw"), ("x", "\u{e9}\u{ff}")];
    assert_eq!(fields(&head.headers), want.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(meta, RequestMeta { keep_alive: true, ..RequestMeta::default() });
}

#[test]
fn request_lines() {
    use Fault::{BadRequestLine, MethodNotImplemented, UnsupportedVersion, UriTooLong};
    let long_method = "M".repeat(65);
    let long_target = format!("/{}", "a".repeat(1024));
    for (line, want) in [
        ("GET / HTTP/1.1", None),
        ("GET / HTTP/1.0", None),
        ("GET / HTTP/1.2", None),
        ("GET / HTTP/1.9", None),
        ("M-SEARCH * HTTP/1.1", None),
        ("GET http://a/ HTTP/1.1", None),
        (" GET / HTTP/1.1", Some(BadRequestLine)),
        ("GET  / HTTP/1.1", Some(BadRequestLine)),
        ("GET /  HTTP/1.1", Some(BadRequestLine)),
        ("GET / HTTP/1.1 ", Some(BadRequestLine)),
        ("GET /a b HTTP/1.1", Some(BadRequestLine)),
        ("GET /\tHTTP/1.1", Some(BadRequestLine)),
        ("GET\t/ HTTP/1.1", Some(BadRequestLine)),
        ("GET / HTTP/1.1 HTTP/1.1", Some(BadRequestLine)),
        ("GET /", Some(BadRequestLine)),
        ("GET", Some(BadRequestLine)),
        ("GET  HTTP/1.1", Some(BadRequestLine)),
        (" / HTTP/1.1", Some(BadRequestLine)),
        ("GE(T / HTTP/1.1", Some(BadRequestLine)),
        ("G\u{c9}T / HTTP/1.1", Some(BadRequestLine)),
        ("G\x01T / HTTP/1.1", Some(BadRequestLine)),
        ("GET\0 / HTTP/1.1", Some(BadRequestLine)),
        ("GET /\0 HTTP/1.1", Some(BadRequestLine)),
        ("GET /\x7f HTTP/1.1", Some(BadRequestLine)),
        ("GET /\rHTTP/1.1", Some(BadRequestLine)),
        ("GET / HTTP/3.7", Some(UnsupportedVersion)),
        ("PRI * HTTP/2.0", Some(UnsupportedVersion)),
        ("GET / HTTP/0.9", Some(UnsupportedVersion)),
        ("GET / HTTP/1.10", Some(BadRequestLine)),
        ("GET / HTTP/01.1", Some(BadRequestLine)),
        ("GET / http/1.1", Some(BadRequestLine)),
        ("GET / HTTP/1,1", Some(BadRequestLine)),
        ("GET / HTTP/1.", Some(BadRequestLine)),
        ("GET / HTTP/", Some(BadRequestLine)),
        ("GET / HTTP /1.1", Some(BadRequestLine)),
        ("GET / ICAP/1.1", Some(BadRequestLine)),
        (&format!("{} / HTTP/1.1", &long_method[1..]), None),
        (&format!("{long_method} / HTTP/1.1"), Some(MethodNotImplemented)),
        (&format!("GET {} HTTP/1.1", &long_target[1..]), None),
        (&format!("GET {long_target} HTTP/1.1"), Some(UriTooLong)),
        (&format!("GET {} HTTP/1.1", long_target.repeat(10)), Some(UriTooLong)),
    ] {
        assert_eq!(fault_of(format!("{line}\r\nHost: a\r\n\r\n").as_bytes()), want, "{line:?}");
    }
}

#[test]
fn lines_end_with_crlf_and_nothing_else() {
    for (head, want) in [
        ("GET / HTTP/1.1\nHost: a\r\n\r\n", Fault::BadRequestLine),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n", Fault::BadHeader),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n", Fault::BadHeader),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", Fault::BadHeader),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\r\r\n\r\n", Fault::BadHeader),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\rTransfer-Encoding: chunked\r\n\r\n", Fault::BadHeader),
        ("\nGET / HTTP/1.1\r\n\r\n", Fault::BadRequestLine),
        ("\r\n\r\nGET / HTTP/1.1\r\n\r\n", Fault::BadRequestLine),
        ("\r\r\nGET / HTTP/1.1\r\n\r\n", Fault::BadRequestLine),
        ("\x16\x03\x01", Fault::BadRequestLine),
    ] {
        assert_eq!(fault_of(head.as_bytes()), Some(want), "{head:?}");
    }
    for head in ["", "\r", "\r\n", "\r\nG", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r"] {
        assert!(matches!(read_request(head.as_bytes(), &LIMITS), Ok(None)), "{head:?}");
    }
}

#[test]
fn field_lines() {
    for line in [
        ": x",
        "foobar",
        "X : a",
        "X\t: a",
        " X: a",
        "\tX: a",
        "X Y: a",
        "X\0Y: 1",
        "X\u{85}: 1",
        "\"X\": 1",
        "X(: 1",
        "X: a\0b",
        "X: a\x0bb",
        "X: \x7f",
        "X: \x1b",
        "X: a\r\n b",
        "X: a\r\n\tb",
        "X: a\r\n ",
        "=",
        "\0",
    ] {
        assert_eq!(meta(&format!("{line}\r\n")), Err(Fault::BadHeader), "{line:?}");
    }
    for line in ["X:a", "!#$%&'*+-.^_`|~09azAZ: x", "X: :", "X: a  b", "X: \u{a0}", "X_Y: \"(,;"] {
        assert!(meta(&format!("{line}\r\n")).is_ok(), "{line:?}");
    }
    // The first field line cannot be a folded request line either.
    assert_eq!(fault_of(b"GET / HTTP/1.1\r\n Host: a\r\n\r\n"), Some(Fault::BadHeader));
}

#[test]
fn limits_hold_to_the_byte_and_to_the_field() {
    let head = |fields: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(fields)).into_bytes();
    assert!(fault_of(&head(100)).is_none());
    assert_eq!(fault_of(&head(101)), Some(Fault::HeadersTooLarge));
    let limits = HeadLimits { bytes: 100_000, fields: 1000, target: 10 };
    assert!(read_request(&head(1000), &limits).is_ok());
    assert!(matches!(read_request(&head(1001), &limits), Err(Fault::HeadersTooLarge)));

    let exact = head(20);
    let limits = HeadLimits { bytes: exact.len(), ..LIMITS };
    assert!(matches!(read_request(&exact, &limits), Ok(Some(_))));
    let less = HeadLimits { bytes: exact.len() - 1, ..LIMITS };
    assert!(matches!(read_request(&exact, &less), Err(Fault::HeadersTooLarge)));
    assert_eq!(parse_request(&exact, &less, &mut RequestHead::default()), Err(Fault::HeadersTooLarge));
    // With the limit reached and no end, no more is waited for.
    assert!(matches!(read_request(&exact[..exact.len() - 1], &less), Err(Fault::HeadersTooLarge)));
}

#[test]
fn what_is_no_whole_head_is_refused_not_believed() {
    for bytes in [
        &b""[..],
        b"\r\n",
        b"GET / HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r",
        b"GET / HTTP/1.1\r\n\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n\r\n",
    ] {
        assert!(parse_request(bytes, &LIMITS, &mut RequestHead::default()).is_err(), "{bytes:?}");
    }
}

#[test]
fn content_length_is_one_number() {
    let largest = (1u64 << 63) - 1;
    for (value, want) in [("0", 0), ("5", 5), ("0005", 5), (" 5\t", 5), (&largest.to_string(), largest)] {
        let meta = meta(&format!("Content-Length:{value}\r\n")).unwrap();
        assert_eq!(meta.body, BodyLength::Exact(want), "{value}");
    }
    for value in [
        "",
        "5 5",
        "5,5",
        "5,",
        ",5",
        "+5",
        "-5",
        "0x5",
        "5.0",
        "5e1",
        "5_0",
        "\u{a0}5",
        "\u{ff15}",
        "\"5\"",
        "5;a",
        "9223372036854775808",
        "18446744073709551616",
        "99999999999999999999999999",
    ] {
        assert_eq!(meta(&format!("Content-Length: {value}\r\n")), Err(Fault::BadFraming), "{value:?}");
    }
    for fields in [
        "Content-Length: 5\r\ncontent-length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: \r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n",
    ] {
        assert_eq!(meta(fields), Err(Fault::BadFraming), "{fields:?}");
    }
}

#[test]
fn transfer_encoding_is_chunked_once() {
    for value in ["chunked", "Chunked", " CHUNKED\t"] {
        assert_eq!(
            meta(&format!("transfer-encoding:{value}\r\n")).unwrap().body,
            BodyLength::Chunked,
            "{value}"
        );
    }
    for value in ["xchunked", "identity", "gzip", "gzip, chunked", "chunked, identity", "chunke", "chunkedd"]
    {
        let got = meta(&format!("Transfer-Encoding: {value}\r\n"));
        assert_eq!(got, Err(Fault::UnknownTransferCoding), "{value:?}");
    }
    for value in [
        "",
        ",chunked",
        "chunked,",
        "chunked, chunked",
        "chunked;a=b",
        "\"chunked\"",
        "chunk ed",
        "\u{a0}chunked",
        "gzip;q=1, chunked",
    ] {
        assert_eq!(meta(&format!("Transfer-Encoding: {value}\r\n")), Err(Fault::BadFraming), "{value:?}");
    }
    for fields in [
        "chunked\r\nTransfer-Encoding: chunked",
        "chunked\r\ntransfer-encoding: identity",
        "\r\nTransfer-Encoding: chunked",
    ] {
        assert_eq!(meta(&format!("Transfer-Encoding: {fields}\r\n")), Err(Fault::BadFraming), "{fields:?}");
    }
    let old = meta_of("POST / HTTP/1.0", "Transfer-Encoding: chunked\r\nConnection: keep-alive\r\n");
    assert_eq!(old, Err(Fault::BadFraming));
    // A twin with an underscore is an ordinary field.
    assert_eq!(
        meta("Transfer_Encoding: chunked\r\nContent-Length: 5\r\n").unwrap().body,
        BodyLength::Exact(5)
    );
}

#[test]
fn connections_persist_as_the_version_and_the_client_say() {
    for (line, fields, want) in [
        ("GET / HTTP/1.1", "", true),
        ("GET / HTTP/1.1", "Connection: Close\r\n", false),
        ("GET / HTTP/1.1", "Connection: x\r\nConnection: y , close\r\n", false),
        ("GET / HTTP/1.1", "Connection: keep-alive, close\r\n", false),
        ("GET / HTTP/1.2", "", true),
        ("GET / HTTP/1.0", "", false),
        ("GET / HTTP/1.0", "Connection: Keep-Alive\r\n", true),
        ("GET / HTTP/1.0", "Connection: keep-alive, close\r\n", false),
    ] {
        assert_eq!(meta_of(line, fields).unwrap().keep_alive, want, "{line} {fields:?}");
    }
}

#[test]
fn expectations() {
    let body = "Content-Length: 1\r\n";
    assert!(meta(&format!("{body}Expect: 100-Continue\r\n")).unwrap().expect_continue);
    assert!(!meta("Expect: 100-continue\r\n").unwrap().expect_continue);
    assert!(!meta_of("POST / HTTP/1.0", &format!("{body}Expect: 100-continue\r\n")).unwrap().expect_continue);
    for value in ["", "x", "100-continue, x", "100-continue;q=1", "100-continue\r\nExpect: 100-continue"] {
        assert_eq!(meta(&format!("{body}Expect: {value}\r\n")), Err(Fault::UnknownExpectation), "{value:?}");
    }
}

#[test]
fn only_a_clean_websocket_upgrade_counts() {
    let good = "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n";
    assert!(meta(good).unwrap().upgrade_websocket);
    assert!(meta(&format!("{good}Content-Length: 0\r\n")).unwrap().upgrade_websocket);
    for (line, fields) in [
        ("POST / HTTP/1.1", good),
        ("GET / HTTP/1.0", good),
        ("GET / HTTP/1.1", "Upgrade: websocket\r\n"),
        ("GET / HTTP/1.1", "Connection: upgrade\r\n"),
        ("GET / HTTP/1.1", "Connection: upgrade\r\nUpgrade: h2c\r\n"),
        ("GET / HTTP/1.1", "Connection: upgrade\r\nUpgrade: websocket, h2c\r\n"),
        ("GET / HTTP/1.1", "Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n"),
        ("GET / HTTP/1.1", &format!("{good}Content-Length: 1\r\n")),
        ("GET / HTTP/1.1", &format!("{good}Transfer-Encoding: chunked\r\n")),
    ] {
        assert!(!meta_of(line, fields).unwrap().upgrade_websocket, "{line} {fields:?}");
    }
}

#[test]
fn trailers_are_taken_by_those_who_say_so() {
    assert!(meta("TE: gzip , Trailers\r\nConnection: te\r\n").unwrap().te_trailers);
    assert!(!meta("TE: gzip\r\n").unwrap().te_trailers);
    assert!(!meta_of("GET / HTTP/1.0", "TE: trailers\r\n").unwrap().te_trailers);
}

#[test]
fn a_head_that_is_read_into_again_keeps_nothing() {
    let mut head = RequestHead::default();
    parse_request(b"POST /a HTTP/1.0\r\nHost: a\r\nContent-Length: 3\r\n\r\n", &LIMITS, &mut head).unwrap();
    let meta = parse_request(b"GET /b HTTP/1.1\r\nX: 1\r\n\r\n", &LIMITS, &mut head).unwrap();
    assert_eq!(fields(&head.headers), [("X".to_owned(), "1".to_owned())]);
    assert_eq!((meta.body, head.version, head.method), (BodyLength::Empty, Version::Http11, Method::Get));
}

#[test]
fn a_head_that_drips_in_takes_linear_time() {
    let head = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "a\t".repeat(500_000));
    let limits = HeadLimits { bytes: 2_000_000, ..LIMITS };
    let (mut scan, mut found) = (HeadScan::default(), None);
    let started = std::time::Instant::now();
    for end in 0..=head.len() {
        found = scan.find_end(&head.as_bytes()[..end], &limits, Kind::Request).unwrap();
    }
    assert_eq!(found, Some(head.len()));
    assert!(started.elapsed().as_secs() < 5);
}
