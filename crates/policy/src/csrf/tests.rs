//! Which requests pass, and mistakes in what is written.

use std::net::{IpAddr, Ipv4Addr};

use diagnostics::{Code, Diagnostics, SourceId};
use document::Decode;
use message::{Method, RequestHead};

use super::{Raw, Ready, compile};
use crate::scene::see;
use crate::{Flow, RequestState};

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

/// Whether a request to this authority passes.
fn passes(ready: &Ready, method: &str, to: &str, fields: &[(&str, &str)]) -> bool {
    let (scheme, host) = to.split_once("://").unwrap();
    let mut head = RequestHead::default();
    head.method = Method::of(method.as_bytes());
    head.target = head.headers.append_text(b"/");
    head.headers.push(b"Host", host.as_bytes());
    for (name, value) in fields {
        head.headers.push(name.as_bytes(), value.as_bytes());
    }
    head.normalize().unwrap();
    let mut state = RequestState::default();
    state.https = scheme == "https";
    let flow = see(&mut head, &mut state, IpAddr::V4(Ipv4Addr::LOCALHOST), |cx| ready.on_request(cx));
    match flow {
        Flow::Continue => true,
        Flow::Reply(reply) => {
            assert_eq!(reply.status, 403);
            assert!(String::from_utf8_lossy(&reply.body).contains("\"code\":\"cross-origin\""));
            false
        }
        other => panic!("{other:?}"),
    }
}

const HERE: &str = "https://shop.test";

#[test]
fn what_only_reads_passes() {
    let ready = ready("{}").unwrap();
    let foreign = [("sec-fetch-site", "cross-site"), ("origin", "https://evil.test"), ("cookie", "a=b")];
    for (method, want) in [
        ("GET", true),
        ("HEAD", true),
        ("OPTIONS", true),
        ("POST", false),
        ("PUT", false),
        ("PATCH", false),
        ("DELETE", false),
        ("PROPFIND", false),
        ("get", false),
    ] {
        assert_eq!(passes(&ready, method, HERE, &foreign), want, "{method}");
    }
}

#[test]
fn what_the_browser_says_of_the_page_counts_first() {
    let written = "{ origins: [https://app.test, https://*.partner.test] }";
    let (plain, site) = (ready(written).unwrap(), ready("{ same_site: true }").unwrap());
    for (fields, want, want_site) in [
        (&[("sec-fetch-site", "same-origin")][..], true, true),
        (&[("sec-fetch-site", "none")], true, true),
        (&[("sec-fetch-site", "same-site")], false, true),
        (&[("sec-fetch-site", "cross-site")], false, false),
        (&[("sec-fetch-site", "")], false, false),
        (&[("sec-fetch-site", "Same-Origin")], false, false),
        (&[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")], false, false),
        (&[("sec-fetch-site", "same-origin"), ("origin", "https://evil.test")], true, true),
        (&[("sec-fetch-site", "cross-site"), ("origin", "https://app.test")], true, false),
        (&[("sec-fetch-site", "cross-site"), ("origin", "https://a.partner.test")], true, false),
        (&[("sec-fetch-site", "same-site"), ("origin", "https://app.test")], true, true),
        // The host says that it is another origin, for one of another port.
        (&[("sec-fetch-site", "cross-site"), ("origin", HERE)], false, false),
        (&[("sec-fetch-site", "cross-site"), ("origin", "null")], false, false),
    ] {
        assert_eq!(passes(&plain, "POST", HERE, fields), want, "{fields:?}");
        assert_eq!(passes(&site, "POST", HERE, fields), want_site, "same site: {fields:?}");
    }
}

#[test]
fn otherwise_the_origin_must_be_this_one_or_a_listed_one() {
    let ready = ready("{ origins: [https://app.test] }").unwrap();
    for (to, name, value, want) in [
        (HERE, "origin", "https://shop.test", true),
        (HERE, "origin", "https://SHOP.test", true),
        (HERE, "origin", "https://shop.test:443", true),
        (HERE, "origin", "https://shop.test:8443", false),
        (HERE, "origin", "http://shop.test", false),
        (HERE, "origin", "https://shop.test.evil.test", false),
        (HERE, "origin", "https://evil-shop.test", false),
        (HERE, "origin", "https://app.test", true),
        (HERE, "origin", "null", false),
        (HERE, "origin", "", false),
        ("http://shop.test", "origin", "http://shop.test", true),
        ("http://shop.test", "origin", "https://shop.test", false),
        ("http://shop.test:8080", "origin", "http://shop.test:8080", true),
        ("http://shop.test:8080", "origin", "http://shop.test", false),
        ("https://shop.test:443", "origin", "https://shop.test", true),
        ("https://[::1]:8443", "origin", "https://[::1]:8443", true),
        ("https://[::1]", "origin", "https://[::1]", true),
        ("https://[::1]", "origin", "https://[:", false),
        (HERE, "referer", "https://shop.test/cart?x=1", true),
        (HERE, "referer", "https://shop.test", true),
        (HERE, "referer", "https://app.test/", true),
        (HERE, "referer", "https://evil.test/?https://shop.test/", false),
        (HERE, "referer", "https://shop.test@evil.test/", false),
        (HERE, "referer", "https://shop.test.evil.test/", false),
        (HERE, "referer", "about:blank", false),
    ] {
        assert_eq!(passes(&ready, "POST", to, &[(name, value)]), want, "{to} {name}: {value}");
    }
    let both = [("origin", "https://evil.test"), ("referer", "https://shop.test/")];
    assert!(!passes(&ready, "POST", HERE, &both), "the origin counts before the page");
    let twice = [("origin", HERE), ("origin", HERE)];
    assert!(!passes(&ready, "POST", HERE, &twice));
    let pages = [("referer", "https://shop.test/"), ("referer", "https://shop.test/")];
    assert!(!passes(&ready, "POST", HERE, &pages));
}

#[test]
fn without_any_origin_it_is_as_configured() {
    for (written, bare, with_cookie) in [
        ("{}", true, false),
        ("{ without_origin: allow_without_cookies }", true, false),
        ("{ without_origin: refuse }", false, false),
        ("{ without_origin: allow }", true, true),
    ] {
        let ready = ready(written).unwrap();
        assert_eq!(passes(&ready, "POST", HERE, &[("authorization", "Bearer x")]), bare, "{written}");
        assert_eq!(passes(&ready, "POST", HERE, &[("cookie", "a=b")]), with_cookie, "{written}");
    }
}

#[test]
fn a_websocket_of_another_page_is_refused() {
    let ready = ready("{ origins: [https://app.test] }").unwrap();
    // As policies see it over HTTP/1.1, and over HTTP/2 (RFC 8441), which has no key.
    for handshake in [
        &[("sec-websocket-version", "13"), ("sec-websocket-key", "x")][..],
        &[("sec-websocket-version", "13")],
    ] {
        for (origin, want) in
            [(HERE, true), ("https://app.test", true), ("https://evil.test", false), ("null", false)]
        {
            let mut fields = handshake.to_vec();
            fields.extend([("origin", origin), ("cookie", "a=b")]);
            assert_eq!(passes(&ready, "GET", HERE, &fields), want, "{fields:?}");
        }
    }
    assert!(!passes(
        &ready,
        "GET",
        HERE,
        &[("sec-websocket-version", "13"), ("sec-fetch-site", "cross-site")]
    ));
    assert!(passes(&ready, "GET", HERE, &[("sec-websocket-version", "13")]), "a program");
}

#[test]
fn mistakes_are_named() {
    for (written, code, words) in [
        ("{ origins: [\"*\"] }", Code::InvalidValue, "every page on the web"),
        ("{ origins: [\"null\"] }", Code::InvalidValue, "sandbox"),
        ("{ origins: [app.test] }", Code::InvalidValue, "`app.test` is not an origin"),
        ("{ origins: [https://app.test/] }", Code::InvalidValue, "is not an origin"),
        ("{ origins: https://app.test }", Code::WrongType, "a list"),
        ("{ without_origin: pass }", Code::InvalidValue, "pass"),
        ("{ samesite: true }", Code::UnknownKey, "samesite"),
    ] {
        let said = ready(written).unwrap_err();
        assert!(said.len() == 1 && said[0].0 == code && said[0].1.contains(words), "{written}: {said:?}");
    }
}

#[test]
fn a_refusal_has_a_reason() {
    let ready = ready("{ origins: [https://ok.test] }").unwrap();
    for (fields, want) in [
        (&[("origin", "https://ok.test"), ("sec-fetch-site", "cross-site")][..], None),
        (
            &[("origin", "https://evil.test"), ("sec-fetch-site", "cross-site")],
            Some(("fetch_site", "sec-fetch-site is cross-site, and no origin of origins is named")),
        ),
        (
            &[("origin", "https://evil.test")],
            Some(("origin", "origin https://evil.test is another one, and not in origins")),
        ),
        (
            &[("referer", "https://evil.test/x")],
            Some(("referer", "referer https://evil.test/x is of another origin, which is not in origins")),
        ),
        (&[("cookie", "a=b")], Some(("no_origin", "it does not say which page it comes from"))),
        (&[("origin", "null"), ("origin", "null")], Some(("malformed", "origin comes twice"))),
    ] {
        let mut head = RequestHead::default();
        head.method = Method::of(b"POST");
        head.target = head.headers.append_text(b"/");
        head.headers.push(b"Host", b"shop.test");
        fields.iter().for_each(|(name, value)| head.headers.push(name.as_bytes(), value.as_bytes()));
        head.normalize().unwrap();
        let mut state = RequestState::default();
        state.explain();
        see(&mut head, &mut state, IpAddr::V4(Ipv4Addr::LOCALHOST), |cx| ready.on_request(cx));
        let said = state.stopped_by.map(|(_, reason)| (reason, state.remark_of("csrf").unwrap_or_default()));
        assert_eq!(said, want, "{fields:?}");
    }
}
