//! What browsers are told, by the origin that asks, and mistakes in what is written.

use std::net::{IpAddr, Ipv4Addr};

use diagnostics::{Code, Diagnostics, SourceId};
use document::Decode;
use message::{Headers, Method, Reply, RequestHead};

use super::{Raw, Ready, compile};
use crate::scene::see;
use crate::{Flow, RequestState, ResponseCx};

fn ready(written: &str) -> Result<Ready, Vec<(Code, String)>> {
    let mut diagnostics = Diagnostics::new();
    let node = document::parse(SourceId(0), written, &mut diagnostics);
    let raw = node.and_then(|node| Raw::decode(&node, &mut diagnostics));
    let ready = raw.and_then(|raw| {
        compile(
            &raw,
            &mut crate::Compiling::new(
                &mut diagnostics,
                &std::sync::Arc::default(),
                &crate::Providers::default(),
            ),
        )
    });
    let said: Vec<_> = diagnostics.iter().map(|one| (one.code, one.message.clone())).collect();
    ready.filter(|_| said.is_empty()).ok_or(said)
}

/// The lines of some fields, sorted.
fn lines<'a>(fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut lines: Vec<String> =
        fields.map(|(name, value)| format!("{}: {}", text(name).to_lowercase(), text(value))).collect();
    lines.sort();
    lines
}

/// The status and fields of what a client gets: of a reply, or of a service that sends these fields with 200.
fn exchange(
    ready: &Ready,
    method: &str,
    fields: &[(&str, &str)],
    service: &[(&str, &str)],
) -> (u16, Vec<String>) {
    let mut head = RequestHead::default();
    head.method = Method::of(method.as_bytes());
    for (name, value) in fields {
        head.headers.push(name.as_bytes(), value.as_bytes());
    }
    let mut state = RequestState::default();
    let flow = see(&mut head, &mut state, IpAddr::V4(Ipv4Addr::LOCALHOST), |cx| ready.on_request(cx));
    let mut headers = Headers::default();
    let status = match flow {
        Flow::Continue => {
            service.iter().for_each(|(name, value)| headers.push(name.as_bytes(), value.as_bytes()));
            200
        }
        Flow::Reply(Reply { status, headers: own, .. }) => {
            own.iter().for_each(|(name, value)| headers.push(name.as_bytes(), value.as_bytes()));
            status
        }
        other => panic!("{other:?}"),
    };
    ready.on_response(&mut ResponseCx { status, headers: &mut headers, state: &state });
    (status, lines(headers.iter()))
}

const APP: &str = "https://app.test";
const VARY: &str = "vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers";

fn preflight(ready: &Ready, origin: &str, more: &[(&str, &str)]) -> (u16, Vec<String>) {
    let mut fields = vec![("Origin", origin), ("Access-Control-Request-Method", "PUT")];
    fields.extend(more);
    exchange(ready, "OPTIONS", &fields, &[("x-from", "service")])
}

#[test]
fn a_preflight_is_answered_with_all_that_is_allowed_and_once() {
    let plain = ready("{ origins: [https://app.test] }").unwrap();
    let want = [
        "access-control-allow-headers: authorization, content-type",
        "access-control-allow-methods: GET, HEAD, POST, PUT, PATCH, DELETE",
        "access-control-allow-origin: https://app.test",
        "access-control-max-age: 600",
        VARY,
    ];
    assert_eq!(preflight(&plain, APP, &[]), (204, want.map(str::to_owned).to_vec()));

    let rich =
        "{ origins: [https://app.test], methods: [GET, PURGE], headers: [X-One, x-two], expose: [etag],
                  credentials: true, max_age: 2h, private_network: true }";
    let asks = [("access-control-request-private-network", "true")];
    let want = [
        "access-control-allow-credentials: true",
        "access-control-allow-headers: X-One, x-two",
        "access-control-allow-methods: GET, PURGE",
        "access-control-allow-origin: https://app.test",
        "access-control-allow-private-network: true",
        "access-control-max-age: 7200",
        "vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers, \
         Access-Control-Request-Private-Network",
    ];
    let rich = ready(rich).unwrap();
    assert_eq!(preflight(&rich, APP, &asks), (204, want.map(str::to_owned).to_vec()));
    assert!(!preflight(&rich, APP, &[]).1.iter().any(|line| line.contains("allow-private-network")));
    assert!(!preflight(&plain, APP, &asks).1.iter().any(|line| line.contains("allow-private-network")));
}

#[test]
fn a_preflight_of_another_origin_is_told_nothing() {
    let ready = ready("{ origins: [https://app.test, https://*.org.test], credentials: true }").unwrap();
    for origin in
        ["https://evil.test", "null", "https://app.test/", "https://org.test", "http://app.test", ""]
    {
        let (status, lines) = preflight(&ready, origin, &[]);
        assert_eq!(status, 403, "{origin}");
        assert_eq!(lines, ["content-type: application/problem+json", VARY], "{origin}");
    }
    let (status, lines) = preflight(&ready, "https://a.b.org.test", &[]);
    assert!(status == 204 && lines.contains(&"access-control-allow-origin: https://a.b.org.test".to_owned()));
}

#[test]
fn other_requests_with_options_go_on() {
    let ready = ready("{ origins: [https://app.test] }").unwrap();
    for fields in [
        &[][..],
        &[("origin", APP)],
        &[("access-control-request-method", "PUT")],
        &[("origin", APP), ("origin", APP), ("access-control-request-method", "PUT")],
    ] {
        let (status, lines) = exchange(&ready, "OPTIONS", fields, &[("x-from", "service")]);
        assert!(status == 200 && lines.contains(&"x-from: service".to_owned()), "{fields:?}");
    }
    let post = [("origin", APP), ("access-control-request-method", "PUT")];
    assert_eq!(exchange(&ready, "POST", &post, &[]).0, 200);
}

#[test]
fn only_a_listed_origin_may_read_a_response() {
    let ready = ready("{ origins: [https://app.test, \"null\"], expose: [etag, x-total] }").unwrap();
    let allowed = |origin: &str| {
        let lines = [
            format!("access-control-allow-origin: {origin}"),
            "access-control-expose-headers: etag, x-total".to_owned(),
            "vary: Origin".to_owned(),
        ];
        lines.to_vec()
    };
    let nothing = vec!["vary: Origin".to_owned()];
    for (fields, want) in [
        (&[("Origin", APP)][..], allowed(APP)),
        (&[("origin", "HTTPS://App.Test")], allowed("HTTPS://App.Test")),
        (&[("origin", "null")], allowed("null")),
        (&[("origin", "https://evil.test")], nothing.clone()),
        (&[("origin", APP), ("origin", "https://evil.test")], nothing.clone()),
        (&[], nothing),
    ] {
        assert_eq!(exchange(&ready, "GET", fields, &[]), (200, want), "{fields:?}");
    }
}

#[test]
fn credentials_are_allowed_only_with_an_origin() {
    let ready = ready("{ origins: [https://app.test], credentials: true }").unwrap();
    let lines = exchange(&ready, "GET", &[("origin", APP)], &[]).1;
    assert_eq!(
        lines,
        [
            "access-control-allow-credentials: true",
            "access-control-allow-origin: https://app.test",
            "vary: Origin"
        ]
    );
    assert_eq!(exchange(&ready, "GET", &[("origin", "https://evil.test")], &[]).1, ["vary: Origin"]);
}

#[test]
fn every_origin_gets_the_same_answer() {
    let ready = ready("{ origins: [\"*\"], headers: \"*\", expose: \"*\" }").unwrap();
    let want = ["access-control-allow-origin: *", "access-control-expose-headers: *"];
    for fields in [&[("origin", APP)][..], &[("origin", "null")], &[]] {
        assert_eq!(exchange(&ready, "GET", fields, &[]).1, want, "{fields:?}");
    }
    let (status, lines) = preflight(&ready, "null", &[]);
    assert!(status == 204 && lines.contains(&want[0].to_owned()), "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains("allow-headers")), "none were asked for");
}

#[test]
fn asked_names_are_told_back_if_they_are_names() {
    let ready = ready("{ origins: [https://app.test], headers: \"*\", credentials: true }").unwrap();
    let many = vec!["x-long"; 1000].join(",");
    for (asked, want) in [
        (&["x-a,Authorization"][..], Some("x-a, Authorization")),
        (&["x-a", " x-b , x-c"], Some("x-a, x-b, x-c")),
        (&["x-a, b c"], None),
        (&["x-a,,x-b"], None),
        (&["é"], None),
        (&[many.as_str()], None),
        (&[], None),
    ] {
        let more: Vec<_> = asked.iter().map(|value| ("access-control-request-headers", *value)).collect();
        let (status, lines) = preflight(&ready, APP, &more);
        let told = lines.iter().find_map(|line| line.strip_prefix("access-control-allow-headers: "));
        assert_eq!((status, told), (204, want), "{asked:?}");
    }
}

#[test]
fn what_the_service_says_of_it_is_replaced_and_the_rest_stays() {
    let ready = ready("{ origins: [https://app.test] }").unwrap();
    let service = [
        ("Access-Control-Allow-Origin", "*"),
        ("access-control-allow-credentials", "true"),
        ("ACCESS-CONTROL-EXPOSE-HEADERS", "x"),
        ("access-controls", "x"),
        ("vary", "Accept-Encoding"),
    ];
    assert_eq!(
        exchange(&ready, "GET", &[("origin", APP)], &service).1,
        [
            "access-control-allow-origin: https://app.test",
            "access-controls: x",
            "vary: Accept-Encoding",
            "vary: Origin"
        ]
    );
    for (vary, want) in [
        (&["accept, ORIGIN"][..], &["vary: accept, ORIGIN"][..]),
        (&["*"], &["vary: *"]),
        (&["a", "origin"], &["vary: a", "vary: origin"]),
        (&["x-origin"], &["vary: Origin", "vary: x-origin"]),
    ] {
        let service: Vec<_> = vary.iter().map(|value| ("Vary", *value)).collect();
        assert_eq!(exchange(&ready, "GET", &[], &service).1, want, "{vary:?}");
    }
}

#[test]
fn a_long_origin_is_told_back_up_to_what_a_name_can_be() {
    let ready = ready("{ origins: [\"https://*.org.test\"] }").unwrap();
    for (length, want) in [(240, true), (400, false)] {
        let origin = format!("https://{}.org.test", "a".repeat(length));
        let lines = exchange(&ready, "GET", &[("origin", &origin)], &[]).1;
        assert_eq!(lines.iter().any(|line| line.ends_with(&origin)), want, "{length}");
        assert_eq!(preflight(&ready, &origin, &[]).0, if want { 204 } else { 403 }, "{length}");
    }
}

#[test]
fn nothing_is_left_for_the_next_request() {
    let mut state = RequestState::default();
    state.cors.grant(APP.as_bytes());
    state.cors.answer_preflight();
    state.clear();
    assert!(state.cors.origin().is_none() && !state.cors.is_preflight());
}

#[test]
fn mistakes_are_named() {
    let with = |more: &str| format!("{{ origins: [https://app.test], {more} }}");
    for (written, code, words) in [
        ("{}".to_owned(), Code::MissingKey, "`origins` is missing"),
        ("{ origins: [] }".to_owned(), Code::InvalidValue, "names no origin"),
        ("{ origins: [null] }".to_owned(), Code::WrongType, "found nothing"),
        ("{ origins: [https://app.test/] }".to_owned(), Code::InvalidValue, "is not an origin"),
        (
            "{ origins: [\"*\"], credentials: true }".to_owned(),
            Code::ConflictingKeys,
            "every page on the web",
        ),
        ("{ origins: [\"*\", https://a.test] }".to_owned(), Code::UnusedSetting, "adds nothing"),
        (
            "{ origins: [\"null\"], credentials: true }".to_owned(),
            Code::ConflictingKeys,
            "every page on the web",
        ),
        (with("expose: \"*\", credentials: true"), Code::ConflictingKeys, "does not mean all"),
        (with("methods: [put]"), Code::InvalidMethod, "`put`"),
        (with("methods: [\"*\"]"), Code::InvalidMethod, "`*`"),
        (with("methods: [TRACE]"), Code::InvalidMethod, "`TRACE`"),
        (with("methods: [\"A B\"]"), Code::InvalidMethod, "`A B`"),
        (with("headers: [\"*\"]"), Code::InvalidHeader, "`*`"),
        (with("headers: [\"a b\"]"), Code::InvalidHeader, "`a b`"),
        (with("expose: [\"\"]"), Code::InvalidHeader, "``"),
        (with("max_age: 1500ms"), Code::InvalidValue, "whole seconds"),
        (with("max_age: 10"), Code::InvalidDuration, "10"),
        (with("origin: x"), Code::UnknownKey, "origin"),
    ] {
        let said = ready(&written).unwrap_err();
        assert!(said.len() == 1 && said[0].0 == code && said[0].1.contains(words), "{written}: {said:?}");
    }
}

#[test]
fn a_preflight_has_a_reason_in_the_log() {
    let ready = ready("{ origins: [https://app.test] }").unwrap();
    for (method, origin, want) in [
        ("OPTIONS", APP, Some("preflight")),
        ("OPTIONS", "https://evil.test", Some("origin")),
        ("GET", "https://evil.test", None),
    ] {
        let (mut head, mut state) = (RequestHead::default(), RequestState::default());
        head.method = Method::of(method.as_bytes());
        head.headers.push(b"Origin", origin.as_bytes());
        head.headers.push(b"Access-Control-Request-Method", b"PUT");
        state.explain();
        see(&mut head, &mut state, IpAddr::V4(Ipv4Addr::LOCALHOST), |cx| ready.on_request(cx));
        assert_eq!(state.stopped_by.map(|(_, reason)| reason), want, "{method} {origin}");
        let words = (want == Some("origin")).then_some("origin https://evil.test is not in origins");
        assert_eq!(state.remark_of("cors"), words, "{method} {origin}");
    }
}
