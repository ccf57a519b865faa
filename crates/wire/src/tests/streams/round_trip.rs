//! Properties: what is written for a stream reads the same, and what was read can leave for HTTP/1.1.

use message::{Headers, Name, RequestHead, ResponseHead, Version};
use proptest::prelude::*;

use super::{LIMITS, read_with, request};
use crate::tests::{fields, read_request};
use crate::{
    ConnectionHeader, HeadLimits, RequestFraming, ResponseBody, ResponseFraming, request_message,
    response_message, write_request,
};

/// What is written may be a little longer than what was read.
const WRITTEN: HeadLimits = HeadLimits { bytes: 1 << 20, fields: 200, target: 1 << 16 };

fn field() -> impl Strategy<Value = (String, String)> {
    let name = prop_oneof![
        4 => "[a-z][a-z0-9-]{0,8}",
        2 => Just("cookie".to_owned()),
        1 => Just("content-length".to_owned()),
        1 => Just("te".to_owned()),
        1 => Just("expect".to_owned()),
        1 => Just("connection".to_owned()),
        1 => Just("accept".to_owned()),
        1 => Just("host".to_owned()),
    ];
    let value = prop_oneof![
        4 => "[ -~]{0,12}",
        1 => Just("5".to_owned()),
        1 => Just("trailers".to_owned()),
        1 => Just("100-continue".to_owned()),
        1 => Just("a.test".to_owned()),
        1 => "[\t\u{a0}-\u{ff}]{0,3}",
    ];
    (name, value)
}

/// The fields that are not made anew, in the order of their names in lower case: the `http` crate keeps order only under one.
fn sorted(headers: &Headers) -> Vec<(String, String)> {
    let mut headers = headers.clone();
    headers.retain(|field, _| !matches!(field.known, Name::ContentLength | Name::Expect));
    let mut all: Vec<_> =
        fields(&headers).into_iter().map(|(name, value)| (name.to_lowercase(), value)).collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

proptest! {
    #[test]
    fn a_request_survives_both_versions(
        method in prop_oneof![Just("GET"), Just("POST"), Just("PURGE")],
        path in "/[a-c./%2e|;=]{0,12}(\\?[!\\$-~]{0,8})?",
        given in prop::collection::vec(field(), 0..8),
        ends: bool,
    ) {
        let given: Vec<_> = given.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let Ok(uri) = format!("https://a.test{path}").parse::<http::Uri>() else { return Ok(()) };
        let mut parts = request(method, "https://a.test/", &given);
        parts.uri = uri;
        let Ok((meta, mut head)) = read_with(&parts, ends, None) else { return Ok(()) };
        if head.normalize().is_err() {
            return Ok(());
        }
        head.headers.strip_request(meta.connection, true);
        let framing = RequestFraming {
            body: meta.body,
            expect_continue: meta.expect_continue,
            upgrade_websocket: false,
            te_trailers: meta.te_trailers,
        };

        let message = request_message(&head, "https", b"", &framing).unwrap();
        let (parts, ()) = message.into_parts();
        let mut again = RequestHead::default();
        let meta_again = crate::read_request(&parts, ends, None, Version::Http2, &WRITTEN, &mut again).unwrap();
        prop_assert_eq!(meta_again, meta);
        again.normalize().unwrap();
        prop_assert_eq!(again.method_bytes(), head.method_bytes());
        prop_assert_eq!(again.path(), head.path());
        prop_assert_eq!(again.authority(), head.authority());
        again.headers.strip_request(meta.connection, true);
        let want = sorted(&head.headers);
        prop_assert_eq!(sorted(&again.headers), want.clone());

        let mut out = Vec::new();
        write_request(&mut out, &head, b"", &framing);
        let (meta_11, mut head_11, end) = read_request(&out, &WRITTEN).unwrap().unwrap();
        prop_assert_eq!(end, out.len());
        prop_assert_eq!(meta_11.expect_continue, meta.expect_continue);
        head_11.normalize().unwrap();
        prop_assert_eq!(head_11.path(), head.path());
        head_11.headers.strip_request(meta_11.connection, true);
        prop_assert_eq!(sorted(&head_11.headers), want);
    }

    #[test]
    fn a_response_survives(
        status in 200u16..1000,
        given in prop::collection::vec(field(), 0..8),
        ends: bool,
        length in prop::option::of(0u64..100),
    ) {
        let mut head = ResponseHead { status, ..ResponseHead::default() };
        for (name, value) in given.iter().filter(|(name, _)| name != "content-length" && name != "cookie") {
            let value = value.trim_matches([' ', '\t']);
            head.headers.push(name.to_uppercase().as_bytes(), value.as_bytes());
        }
        let body = if ends { ResponseBody::None } else { length.map_or(ResponseBody::Chunked, ResponseBody::Exact) };
        let framing = ResponseFraming { body, connection: ConnectionHeader::Close, date: None };
        let (parts, ()) = response_message(&head, &framing).unwrap().into_parts();
        let mut again = ResponseHead::default();
        let meta = crate::read_response(&parts, ends, false, Version::Http3, &LIMITS, &mut again).unwrap();
        prop_assert!(!ends || meta.body.is_empty());
        prop_assert_eq!(again.status, status);
        head.headers.retain(|field, _| !field.known.is_per_connection());
        prop_assert_eq!(sorted(&again.headers), sorted(&head.headers));
    }
}
