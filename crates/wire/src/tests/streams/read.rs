//! What came on a stream becomes a head, or is refused.

use http::response;
use message::{Fault, Method, Name, RequestHead, ResponseHead, Version};

use super::{LIMITS, map, read, read_with, request};
use crate::tests::fields;
use crate::{BodyLength, HeadLimits, ResponseMeta, write_request};

#[test]
fn a_request_becomes_a_head() {
    let parts = request(
        "PUT",
        "https://Ex.test:8443/a/../b?x=1",
        &[("accept", "x"), ("content-length", "3"), ("x-y", "1"), ("te", "trailers")],
    );
    let (meta, head) = read(&parts).unwrap();
    assert_eq!((head.method, head.method_bytes()), (Method::Put, &b"PUT"[..]));
    assert_eq!((head.path(), head.query()), (&b"/b"[..], Some(&b"x=1"[..])));
    assert_eq!((head.host(), head.client_authority()), (Some("ex.test"), Some(&b"ex.test:8443"[..])));
    assert_eq!(head.version, Version::Http2);
    let text: Vec<_> = fields(&head.headers);
    let text: Vec<_> = text.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(
        text,
        [
            ("host", "Ex.test:8443"),
            ("accept", "x"),
            ("content-length", "3"),
            ("x-y", "1"),
            ("te", "trailers")
        ]
    );
    assert_eq!(meta.body, BodyLength::Exact(3));
    assert!(meta.keep_alive && meta.te_trailers && !meta.expect_continue && !meta.upgrade_websocket);
}

#[test]
fn methods_that_are_not_in_the_list_keep_their_text() {
    let (_, head) = read(&request("REPORT", "http://a.test/", &[])).unwrap();
    assert_eq!((head.method, head.method_bytes()), (Method::Other, &b"REPORT"[..]));
    let long = "M".repeat(65);
    assert_eq!(read(&request(&long, "http://a.test/", &[])).err(), Some(Fault::MethodNotImplemented));
    assert_eq!(read(&request("TRACE", "http://a.test/", &[])).err(), Some(Fault::MethodNotImplemented));
    // Whether it is served is for routes to say.
    let (meta, head) = read_with(&request("CONNECT", "a.test:443", &[]), false, None).unwrap();
    assert_eq!((head.method, head.headers.slice(head.target)), (Method::Connect, &b"a.test:443"[..]));
    assert_eq!(meta.body, BodyLength::Empty);
    let ended = read_with(&request("CONNECT", "a.test:443", &[]), true, None);
    assert_eq!(ended.err(), None);
}

#[test]
fn targets() {
    let path = |uri: &str, method| read(&request(method, uri, &[])).map(|(_, head)| head.path().to_vec());
    assert_eq!(path("https://a.test/%61//b", "GET"), Ok(b"/a/b".to_vec()));
    assert_eq!(path("http://a.test", "GET"), Ok(b"/".to_vec()));
    assert_eq!(path("https://a.test/caf\u{e9}", "GET"), Ok(b"/caf%C3%A9".to_vec()));
    assert_eq!(path("ftp://a.test/", "GET"), Err(Fault::BadTarget));
    assert_eq!(path("http://a.test?x", "GET"), Err(Fault::BadTarget));
    assert_eq!(path("http://a.test/a\\b", "GET"), Err(Fault::BadTarget));
    assert_eq!(path("http://a.test/%00", "GET"), Err(Fault::BadTarget));
    assert_eq!(path("http://u@a.test/", "GET"), Err(Fault::BadHost));
    let long = format!("http://a.test/{}", "a".repeat(LIMITS.target));
    assert_eq!(path(&long, "GET"), Err(Fault::UriTooLong));

    let mut asterisk = request("OPTIONS", "http://a.test/", &[]);
    asterisk.uri =
        http::Uri::builder().scheme("http").authority("a.test").path_and_query("*").build().unwrap();
    assert_eq!(read(&asterisk).unwrap().1.path(), b"*");
    asterisk.method = http::Method::GET;
    assert_eq!(read(&asterisk).err(), Some(Fault::BadTarget));
}

#[test]
fn authority_and_host_name_the_same() {
    for (uri, hosts, want) in [
        ("http://a.test/", &[][..], Ok("a.test")),
        ("http://a.test/", &[("host", "a.test")], Ok("a.test")),
        ("http://a.test/", &[("host", "A.TEST")], Ok("a.test")),
        ("http://a.test/", &[("host", "b.test")], Err(Fault::BadHost)),
        ("http://a.test/", &[("host", "a.test:80")], Err(Fault::BadHost)),
        ("http://a.test/", &[("host", "")], Err(Fault::BadHost)),
        ("http://a.test/", &[("host", "a.test"), ("host", "a.test")], Err(Fault::BadHost)),
        ("/", &[("host", "b.test")], Ok("b.test")),
        ("/", &[("host", "b.test, c.test")], Err(Fault::BadHost)),
        ("/", &[("host", "b.test"), ("host", "b.test")], Err(Fault::BadHost)),
        ("/", &[], Err(Fault::BadHost)),
    ] {
        let got = read(&request("GET", uri, hosts)).map(|(_, head)| head.host().unwrap().to_owned());
        assert_eq!(got.as_deref(), want.as_ref().copied(), "{uri} {hosts:?}");
    }
    let (_, head) = read(&request("GET", "/", &[("a", "1"), ("host", "b.test")])).unwrap();
    assert_eq!(head.headers.fields().first().map(|field| field.known), Some(Name::Host));
    assert_eq!(head.headers.all(Name::Host).count(), 1);
}

#[test]
fn cookie_crumbs_become_one_field_where_the_first_stood() {
    for (crumbs, want) in [
        (&["a=1"][..], "a=1"),
        (&["a=1", "b=2", "c=3"], "a=1; b=2; c=3"),
        (&["", "b=2", "", "c=3", ""], "b=2; c=3"),
        (&["", ""], ""),
    ] {
        let mut all = vec![("a", "1")];
        all.extend(crumbs.iter().map(|crumb| ("cookie", *crumb)));
        all.push(("z", "2"));
        let (_, mut head) = read(&request("GET", "http://a.test/", &all)).unwrap();
        let fields = fields(&head.headers);
        assert_eq!(
            fields[1..],
            [("a", "1"), ("cookie", want), ("z", "2")].map(|(n, v)| (n.into(), v.into()))
        );
        head.headers.set(b"last", b"3");
        let mut out = Vec::new();
        write_request(&mut out, &head, b"", &crate::RequestFraming::default());
        let text = String::from_utf8(out).unwrap();
        let want = format!("host: a.test\r\na: 1\r\ncookie: {want}\r\nz: 2\r\nlast: 3\r\n\r\n");
        assert!(text.ends_with(&want), "{text}");
    }
}

#[test]
fn malformed_fields_are_refused() {
    for (name, value) in [
        ("connection", "x"),
        ("connection", "close"),
        ("keep-alive", "5"),
        ("proxy-connection", "x"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("te", "gzip"),
        ("te", "trailers, gzip"),
        ("te", ""),
        ("a", " x"),
        ("a", "x\t"),
        ("a", " "),
        ("cookie", "a=1 "),
    ] {
        let parts = request("GET", "http://a.test/", &[("cookie", "b=1"), (name, value)]);
        assert_eq!(read(&parts).err(), Some(Fault::BadHeader), "{name}: {value:?}");
    }
    assert!(read(&request("GET", "http://a.test/", &[("te", "Trailers"), ("a", ""), ("b", "x y")])).is_ok());
}

#[test]
fn lengths() {
    let body = |values: &[&str], ends| {
        let fields: Vec<_> = values.iter().map(|value| ("content-length", *value)).collect();
        read_with(&request("POST", "http://a.test/", &fields), ends, None).map(|(meta, _)| meta.body)
    };
    assert_eq!(body(&[], true), Ok(BodyLength::Empty));
    assert_eq!(body(&["0"], true), Ok(BodyLength::Empty));
    assert_eq!(body(&[], false), Ok(BodyLength::UntilClose));
    assert_eq!(body(&["0"], false), Ok(BodyLength::Exact(0)));
    assert_eq!(body(&["10"], false), Ok(BodyLength::Exact(10)));
    for (values, ends) in [
        (&["10"][..], true),
        (&["5", "6"], false),
        (&["5", "5"], false),
        (&["5, 5"], false),
        (&["+5"], false),
        (&["-0"], true),
        (&[""], false),
        (&["0x5"], false),
        (&["18446744073709551616"], false),
    ] {
        assert_eq!(body(values, ends), Err(Fault::BadFraming), "{values:?} {ends}");
    }
}

#[test]
fn expectations() {
    let meta = |value, ends| {
        let parts = request("POST", "http://a.test/", &[("expect", value)]);
        read_with(&parts, ends, None).map(|(meta, _)| meta.expect_continue)
    };
    assert_eq!(meta("100-Continue", false), Ok(true));
    assert_eq!(meta("100-continue", true), Ok(false));
    assert_eq!(meta("200-maybe", false), Err(Fault::UnknownExpectation));
}

#[test]
fn an_extended_connect_is_an_upgrade() {
    let parts = request(
        "CONNECT",
        "https://a.test/chat?x",
        &[("sec-websocket-version", "13"), ("sec-websocket-key", "x"), ("origin", "https://a.test")],
    );
    let (meta, mut head) = read_with(&parts, false, Some("websocket")).unwrap();
    assert!(meta.upgrade_websocket && meta.body.is_empty());
    assert_eq!(head.normalize(), Ok(()));
    assert_eq!((head.method, head.method_bytes(), head.path()), (Method::Get, &b"GET"[..], &b"/chat"[..]));
    let names: Vec<_> = fields(&head.headers).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["host", "sec-websocket-version", "origin"]);

    assert_eq!(read_with(&parts, true, Some("websocket")).err(), Some(Fault::BadFraming));
    let with_length = request("CONNECT", "https://a.test/chat", &[("content-length", "1")]);
    assert_eq!(read_with(&with_length, false, Some("websocket")).err(), Some(Fault::BadFraming));
    let get = request("GET", "https://a.test/chat", &[]);
    assert_eq!(read_with(&get, false, Some("websocket")).err(), Some(Fault::BadHeader));
    assert_eq!(read_with(&parts, false, Some("connect-udp")).err(), Some(Fault::MethodNotImplemented));
}

#[test]
fn everything_that_was_decoded_counts_against_the_limits() {
    let fault = |limits: &HeadLimits, fields: &[(&str, &str)]| {
        let mut head = RequestHead::default();
        let parts = request("GET", "http://a.test/", fields);
        crate::read_request(&parts, true, None, Version::Http3, limits, &mut head).err()
    };
    let fields = HeadLimits { fields: 3, ..LIMITS };
    for name in ["a", "cookie"] {
        assert_eq!(fault(&fields, &[(name, "x"); 3]), None, "{name}");
        assert_eq!(fault(&fields, &[(name, "x"); 4]), Some(Fault::HeadersTooLarge), "{name}");
    }
    // Four pseudo-header fields, then what is read below; see RFC 9113 §6.5.2.
    let pseudo = 4 * 32 + ":method:scheme:path:authority".len() + "GEThttp/a.test".len();
    for (field, cost) in
        [(("a", "1234"), 37), (("host", "a.test"), 42), (("cookie", ""), 38), (("te", "trailers"), 42)]
    {
        let limits = HeadLimits { bytes: pseudo + cost, ..LIMITS };
        assert_eq!(fault(&limits, &[field]), None, "{field:?}");
        let limits = HeadLimits { bytes: pseudo + cost - 1, ..LIMITS };
        assert_eq!(fault(&limits, &[field]), Some(Fault::HeadersTooLarge), "{field:?}");
    }
}

fn response(status: u16, fields: &[(&str, &str)]) -> response::Parts {
    let mut response = http::Response::builder().status(status).body(()).unwrap();
    *response.headers_mut() = map(fields);
    response.into_parts().0
}

fn response_meta(
    status: u16,
    fields: &[(&str, &str)],
    ends: bool,
    to_head_request: bool,
) -> Result<ResponseMeta, Fault> {
    let mut head = ResponseHead::default();
    head.headers.push(b"old", b"gone");
    let parts = response(status, fields);
    let meta = crate::read_response(&parts, ends, to_head_request, Version::Http2, &LIMITS, &mut head)?;
    assert_eq!((head.status, head.version, head.headers.len()), (status, Version::Http2, fields.len()));
    assert!(meta.keep_alive && !meta.upgrade);
    Ok(meta)
}

#[test]
fn bodies_of_responses() {
    let length = &[("content-length", "5")][..];
    for (status, fields, ends, to_head_request, want) in [
        (200, length, false, false, BodyLength::Exact(5)),
        (200, &[], false, false, BodyLength::UntilClose),
        (200, &[], true, false, BodyLength::Empty),
        (200, &[("content-length", "0")], true, false, BodyLength::Empty),
        (200, length, true, true, BodyLength::Empty),
        (304, length, true, false, BodyLength::Empty),
        (204, &[], true, false, BodyLength::Empty),
        (100, &[], false, false, BodyLength::Empty),
        (103, &[("link", "x")], false, false, BodyLength::Empty),
    ] {
        let got = response_meta(status, fields, ends, to_head_request).map(|meta| meta.body);
        assert_eq!(got, Ok(want), "{status} {fields:?} {ends} {to_head_request}");
    }
}

#[test]
fn malformed_responses_are_the_fault_of_the_service() {
    for (status, fields, ends) in [
        (200, &[("content-length", "5")][..], true),
        (200, &[("content-length", "5"), ("content-length", "5")], false),
        (200, &[("content-length", "x")], false),
        (200, &[("connection", "close")], false),
        (200, &[("transfer-encoding", "chunked")], false),
        (200, &[("a", "x ")], false),
        (101, &[("sec-websocket-accept", "x")], false),
        (100, &[], true),
        (103, &[], true),
        (200, &[("a", "x"); 101], false),
    ] {
        let got = response_meta(status, fields, ends, false);
        assert_eq!(got, Err(Fault::UpstreamMalformed), "{status} {fields:?} {ends}");
    }
}
