//! Envoy's protocol: bytes of the question, decisions, and what is no decision.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use super::{Say, Server, Speaks, local, say};
use crate::ext_authz::{
    Action, Allowed, CheckBody, CheckFacts, Decision, Denied, HeaderChange, Peer, check, decode_check,
    encode_check,
};
use crate::{Answer, Client, Trouble};

/// A field that holds bytes, by its number in the `.proto`.
fn field(number: u8, content: impl AsRef<[u8]>) -> Vec<u8> {
    let content = content.as_ref();
    assert!(number < 16 && content.len() < 16_384);
    let mut bytes = vec![number << 3 | 2];
    match content.len() {
        short @ 0..128 => bytes.push(short as u8),
        long => bytes.extend([(long & 0x7f) as u8 | 0x80, (long >> 7) as u8]),
    }
    bytes.extend(content);
    bytes
}

/// A field that holds a small number.
fn small(number: u8, value: u8) -> Vec<u8> {
    assert!(value < 128);
    vec![number << 3, value]
}

fn entry(key: &str, value: &str) -> Vec<u8> {
    [field(1, key), field(2, value)].concat()
}

fn framed(message: &[u8]) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_u8(0);
    bytes.put_u32(message.len() as u32);
    bytes.put_slice(message);
    bytes.freeze()
}

fn answer(message: &[u8]) -> Answer {
    Answer { status: 200, headers: grpc(), body: framed(message), trailers: Some(status("0")) }
}

fn grpc() -> HeaderMap {
    HeaderMap::from_iter([(http::header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"))])
}

fn status(code: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(HeaderName::from_static("grpc-status"), HeaderValue::from_static(code))])
}

fn facts<'a>() -> CheckFacts<'a> {
    CheckFacts {
        source: Peer { address: Some("192.0.2.7:4711".parse().unwrap()), principal: "spiffe://a/b" },
        destination: Peer { address: Some("[::ffff:10.0.0.1]:443".parse().unwrap()), principal: "" },
        id: "7",
        method: "GET",
        path: "/a?b=c",
        host: "api.test",
        scheme: "https",
        protocol: "HTTP/2",
        size: Some(5),
        headers: &[
            ("accept", b"a"),
            ("cookie", b"x=1"),
            ("accept", b"b"),
            ("cookie", b"y=2"),
            ("x-envoy-auth-partial-body", b"forged"),
            ("x-latin", b"caf\xe9"),
        ],
        body: None,
        extensions: &[("route", "one")],
    }
}

#[test]
fn the_question_has_the_numbers_of_envoy() {
    let address = |ip: &str, port: &[u8]| field(1, field(1, [field(2, ip), port.to_vec()].concat()));
    let headers = [
        (":authority", "api.test"),
        (":method", "GET"),
        (":path", "/a?b=c"),
        (":scheme", "https"),
        ("accept", "a,b"),
        ("cookie", "x=1; y=2"),
        ("x-latin", "caf\u{fffd}"),
    ];
    let http = [
        field(1, "7"),
        field(2, "GET"),
        headers.iter().flat_map(|(key, value)| field(3, entry(key, value))).collect(),
        field(4, "/a?b=c"),
        field(5, "api.test"),
        field(6, "https"),
        small(9, 5),
        field(10, "HTTP/2"),
    ]
    .concat();
    let attributes = [
        field(1, [address("192.0.2.7", &[3 << 3, 0xe7, 0x24]), field(4, "spiffe://a/b")].concat()),
        field(2, address("10.0.0.1", &[3 << 3, 0xbb, 0x03])),
        field(4, field(2, http)),
        field(10, entry("route", "one")),
    ]
    .concat();
    assert_eq!(encode_check(&facts()), framed(&field(1, attributes)));
}

#[test]
fn a_body_is_shown_as_text_if_it_is_text() {
    let holds = |body: &[u8], part: &[u8]| {
        let body = Some(CheckBody { bytes: body, partial: true });
        let bytes = encode_check(&CheckFacts { body, size: None, ..facts() });
        let has = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
        assert!(has(&entry("x-envoy-auth-partial-body", "true")));
        assert!(has(&[9 << 3, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1]), "a length of -1");
        has(part)
    };
    assert!(holds("tést".as_bytes(), &field(11, "tést")));
    assert!(holds(b"t\xffst", &field(12, b"t\xffst")));
    assert!(holds(b"", b"x-envoy-auth-partial-body"));
}

#[test]
fn the_question_is_a_call() {
    let server = Uri::from_static("https://authz.test:9001/ignored?query");
    let ask = check(&server, &facts(), Duration::from_millis(250)).unwrap();
    assert_eq!(ask.uri, "https://authz.test:9001/envoy.service.auth.v3.Authorization/Check");
    assert!(ask.http2 && ask.repeatable && ask.method == "POST");
    assert_eq!(ask.headers["content-type"], "application/grpc");
    assert_eq!(ask.headers["te"], "trailers");
    assert_eq!(ask.headers["grpc-timeout"], "250m");
    let forever = check(&server, &facts(), Duration::MAX).unwrap();
    assert_eq!(forever.headers["grpc-timeout"], "99999999m");
    assert!(check(&Uri::from_static("/path"), &facts(), Duration::ZERO).is_err());
}

fn option(key: &str, value: &str, more: &[u8]) -> Vec<u8> {
    [field(1, entry(key, value)), more.to_vec()].concat()
}

fn changed(name: &'static str, value: &'static str, action: Action) -> HeaderChange {
    HeaderChange { name: HeaderName::from_static(name), value: HeaderValue::from_static(value), action }
}

#[test]
fn a_permission_brings_changes() {
    let (yes, no) = (field(2, small(1, 1)), field(2, []));
    let ok = [
        field(2, option("X-User", "me", &[])),
        field(2, option("x-hide", "", &[])),
        field(2, option("x-append", "1", &yes)),
        field(2, option("x-over", "1", &[no, small(3, 1)].concat())),
        field(2, option("x-absent", "1", &small(3, 1))),
        field(2, option("x-or-add", "1", &small(3, 2))),
        field(2, option("x-exists", "1", &[small(3, 3), small(4, 1)].concat())),
        field(2, field(1, [field(1, "x-raw"), field(3, b"caf\xe9")].concat())),
        field(3, "a deprecated struct is passed over"),
        field(5, "Authorization"),
        field(5, ":path"),
        field(5, "Host"),
        field(6, option("set-cookie", "a=b", &[])),
        field(6, option("x-over", "1", &small(3, 2))),
        field(7, entry("q", "a b")),
        field(8, "token"),
    ]
    .concat();
    let raw = HeaderChange {
        value: HeaderValue::from_bytes(b"caf\xe9").unwrap(),
        ..changed("x-raw", "", Action::Overwrite)
    };
    let expected = Decision::Allowed(Allowed {
        remove_headers: vec![http::header::AUTHORIZATION],
        headers: vec![
            changed("x-user", "me", Action::Overwrite),
            changed("x-hide", "", Action::Overwrite),
            changed("x-append", "1", Action::Append),
            changed("x-over", "1", Action::Overwrite),
            changed("x-absent", "1", Action::AddIfAbsent),
            changed("x-or-add", "1", Action::Overwrite),
            changed("x-exists", "1", Action::OverwriteIfExists),
            raw,
        ],
        response_headers: vec![
            changed("set-cookie", "a=b", Action::Append),
            changed("x-over", "1", Action::Overwrite),
        ],
        set_query: vec![("q".to_owned(), "a b".to_owned())],
        remove_query: vec!["token".to_owned()],
    });
    for message in [[field(1, []), field(3, &ok)].concat(), [field(3, &ok), field(4, "metadata")].concat()] {
        assert_eq!(decode_check(&answer(&message)).unwrap(), expected);
    }
    let bare = decode_check(&answer(&field(1, [])));
    assert_eq!(bare, Ok(Decision::Allowed(Allowed::default())));
}

#[test]
fn a_refusal_is_one_whatever_else_is_said() {
    let plain = || Denied { status: 403, headers: Vec::new(), body: Bytes::new() };
    let full = [
        field(1, [8, 0x91, 0x03]),
        field(2, option("set-cookie", "a", &[])),
        field(2, option("Set-Cookie", "b", &[])),
        field(3, "no entry"),
    ]
    .concat();
    let cookies =
        ["a", "b"].map(|value| (http::header::SET_COOKIE, HeaderValue::from_static(value))).to_vec();
    let denied = small(1, 7);
    for (message, expected) in [
        (field(1, &denied), plain()),
        ([field(1, &denied), field(3, [])].concat(), plain()),
        ([field(1, &denied), field(2, [])].concat(), plain()),
        (field(2, []), plain()),
        ([field(1, &denied), field(5, "an error")].concat(), plain()),
        (
            [field(1, &denied), field(2, &full)].concat(),
            Denied { status: 401, headers: cookies, body: "no entry".into() },
        ),
        ([field(1, &denied), field(2, field(1, small(1, 101)))].concat(), plain()),
        ([field(1, &denied), field(2, field(1, [8, 0xe7, 0x07]))].concat(), plain()),
    ] {
        assert_eq!(decode_check(&answer(&message)), Ok(Decision::Denied(expected)), "{message:?}");
    }
}

#[test]
fn doubt_is_no_permission() {
    let permit = field(1, []);
    let with = |option: Vec<u8>| [permit.clone(), field(3, field(2, option))].concat();
    for message in [
        vec![],
        field(4, "metadata alone"),
        [permit.clone(), field(2, [])].concat(),
        with(option("x y", "1", &[])),
        with(option("", "1", &[])),
        with(option(":path", "/admin", &[])),
        with(option("x", "a\r\nb: c", &[])),
        with(option("x", "1", &small(3, 4))),
        with(field(2, [])),
        [permit.clone(), field(3, field(5, "a b"))].concat(),
        [permit.clone(), vec![3 << 3 | 2, 9]].concat(),
        [permit.clone(), field(3, field(5, [0xff]))].concat(),
    ] {
        let got = decode_check(&answer(&message));
        assert!(matches!(got, Err(Trouble::Malformed(_))), "{message:?}: {got:?}");
    }
    let many = field(2, option("x", "1", &[])).repeat(257);
    assert_eq!(decode_check(&answer(&[permit, field(3, many)].concat())), Err(Trouble::TooLarge));
}

#[test]
fn a_call_has_to_succeed() {
    let good = || answer(&field(1, []));
    assert!(decode_check(&good()).is_ok());
    assert!(
        decode_check(&Answer {
            headers: {
                let mut all = grpc();
                all.extend(status("0"));
                all
            },
            trailers: None,
            ..good()
        })
        .is_ok()
    );
    let plus = HeaderMap::from_iter([(
        http::header::CONTENT_TYPE,
        HeaderValue::from_static("application/grpc+proto"),
    )]);
    assert!(decode_check(&Answer { headers: plus, ..good() }).is_ok());
    let both = {
        let mut all = grpc();
        all.extend(status("7"));
        all
    };
    let web = HeaderMap::from_iter([(
        http::header::CONTENT_TYPE,
        HeaderValue::from_static("application/grpc-web"),
    )]);
    let twice = {
        let mut all = status("0");
        all.append("grpc-status", HeaderValue::from_static("0"));
        all
    };
    let malformed = Trouble::Malformed("");
    for (answer, expected) in [
        (Answer { status: 503, ..good() }, Trouble::Status(503)),
        (Answer { status: 204, ..good() }, Trouble::Status(204)),
        (Answer { trailers: Some(status("14")), ..good() }, Trouble::Grpc(14)),
        (Answer { headers: both, ..good() }, Trouble::Grpc(7)),
        (Answer { trailers: Some(status("zero")), ..good() }, malformed.clone()),
        (Answer { trailers: Some(twice), ..good() }, malformed.clone()),
        (Answer { trailers: None, ..good() }, malformed.clone()),
        (Answer { headers: HeaderMap::new(), ..good() }, malformed.clone()),
        (Answer { headers: web, ..good() }, malformed.clone()),
        (Answer { body: Bytes::new(), ..good() }, malformed.clone()),
        (Answer { body: good().body.slice(..4), ..good() }, malformed.clone()),
        (Answer { body: good().body.slice(..6), ..good() }, malformed.clone()),
        (Answer { body: [good().body, good().body].concat().into(), ..good() }, malformed.clone()),
        (Answer { body: Bytes::from_static(&[1, 0, 0, 0, 2, 10, 0]), ..good() }, malformed.clone()),
        (Answer { body: Bytes::from_static(&[0, 255, 255, 255, 255, 10, 0]), ..good() }, malformed),
    ] {
        let got = decode_check(&answer).unwrap_err();
        match expected {
            Trouble::Malformed(_) => assert!(matches!(got, Trouble::Malformed(_)), "{got:?}"),
            expected => assert_eq!(got, expected),
        }
    }
}

#[test]
fn a_real_call_is_made_and_decided() {
    local(async {
        let server = Server::start(Speaks::Http2, |request| {
            assert_eq!(request.uri().path(), "/envoy.service.auth.v3.Authorization/Check");
            assert_eq!(request.body(), &encode_check(&facts()));
            let message = [field(1, []), field(3, field(2, option("x-user", "me", &[])))].concat();
            Say {
                trailers: Some(status("0")),
                ..say(200, framed(&message)).with("content-type", "application/grpc")
            }
        })
        .await;
        let ask = check(&server.url("/"), &facts(), Duration::from_secs(5)).unwrap();
        let decision = decode_check(&Client::new().ask(ask).await.unwrap()).unwrap();
        let headers = vec![changed("x-user", "me", Action::Overwrite)];
        assert_eq!(decision, Decision::Allowed(Allowed { headers, ..Allowed::default() }));
        // Without a body the status stands in the headers.
        let failing = Server::start(Speaks::Http2, |_| {
            say(200, "").with("content-type", "application/grpc").with("grpc-status", "12")
        })
        .await;
        let ask = check(&failing.url("/"), &facts(), Duration::from_secs(5)).unwrap();
        assert_eq!(decode_check(&Client::new().ask(ask).await.unwrap()), Err(Trouble::Grpc(12)));
    });
}
