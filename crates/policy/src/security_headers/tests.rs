//! What is said by default, over https alone, and beside what the service says.

use diagnostics::{Diagnostics, SourceId};
use document::Decode;
use message::Headers;

use super::{Raw, compile};
use crate::{RequestState, ResponseCx};

/// What a response has after the policy, by name; or what is wrong with what was written.
fn after(written: &str, https: bool, service: &[(&str, &str)]) -> Result<Vec<String>, String> {
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
    let mistakes: Vec<&str> = diagnostics.iter().map(|one| one.message.as_str()).collect();
    let Some(ready) = ready.filter(|_| mistakes.is_empty()) else { return Err(mistakes.join("; ")) };
    let mut headers = Headers::default();
    for (name, value) in service {
        headers.push(name.as_bytes(), value.as_bytes());
    }
    let mut state = RequestState::default();
    state.https = https;
    ready.on_response(&mut ResponseCx { status: 200, headers: &mut headers, state: &state });
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut lines: Vec<String> = headers
        .iter()
        .map(|(name, value)| format!("{}: {}", text(name).to_lowercase(), text(value)))
        .collect();
    lines.sort();
    Ok(lines)
}

const NOSNIFF: &str = "x-content-type-options: nosniff";
const FRAME: &str = "x-frame-options: SAMEORIGIN";
const REFERRER: &str = "referrer-policy: strict-origin-when-cross-origin";
const HSTS: &str = "strict-transport-security: max-age=31536000; includeSubDomains";

#[test]
fn by_default_it_says_what_harms_nobody() {
    assert_eq!(after("{}", true, &[]).unwrap(), [REFERRER, HSTS, NOSNIFF, FRAME]);
}

#[test]
fn transport_security_is_for_https_alone() {
    assert_eq!(after("{}", false, &[]).unwrap(), [REFERRER, NOSNIFF, FRAME]);
    let own = [("Strict-Transport-Security", "max-age=1")];
    let only = |more: &str| format!("{{ nosniff: false, frame: off, referrer: off{more} }}");
    assert_eq!(after(&only(""), true, &own).unwrap(), ["strict-transport-security: max-age=1"]);
    assert_eq!(after(&only(", override: true"), true, &own).unwrap(), [HSTS]);
    assert!(after(&only(", override: true"), false, &own).unwrap().is_empty(), "RFC 6797 §7.2");
    let off = only(", override: true, hsts: off");
    assert_eq!(
        after(&off, true, &own).unwrap(),
        ["strict-transport-security: max-age=1"],
        "not its business"
    );
    for (hsts, value) in [
        ("{ max_age: 1d, include_subdomains: false }", "max-age=86400"),
        ("{ max_age: 730d, preload: true }", "max-age=63072000; includeSubDomains; preload"),
        ("{ max_age: 0s }", "max-age=0; includeSubDomains"),
    ] {
        let written = only(&format!(", hsts: {hsts}"));
        assert_eq!(after(&written, true, &[]).unwrap(), [format!("strict-transport-security: {value}")]);
    }
}

#[test]
fn what_the_service_says_stays_unless_it_is_overridden() {
    let own =
        [("X-Frame-Options", "DENY"), ("content-security-policy", "default-src 'none'"), ("x-other", "a")];
    let written = "{ hsts: off, csp: \"default-src 'self'\", permissions: \"camera=()\"";
    assert_eq!(
        after(&format!("{written} }}"), true, &own).unwrap(),
        [
            "content-security-policy: default-src 'none'",
            "permissions-policy: camera=()",
            REFERRER,
            NOSNIFF,
            "x-frame-options: DENY",
            "x-other: a",
        ]
    );
    assert_eq!(
        after(&format!("{written}, override: true }}"), true, &own).unwrap(),
        [
            "content-security-policy: default-src 'self'",
            "permissions-policy: camera=()",
            REFERRER,
            NOSNIFF,
            FRAME,
            "x-other: a",
        ]
    );
}

#[test]
fn a_long_policy_may_stand_in_several_lines() {
    let written =
        "hsts: off\nnosniff: false\nframe: off\nreferrer: off\ncsp: |\n  default-src 'self';\n  img-src *\n";
    assert_eq!(
        after(written, true, &[]).unwrap(),
        ["content-security-policy: default-src 'self'; img-src *"]
    );
}

#[test]
fn mistakes_are_named() {
    for (written, words) in [
        (
            "{ hsts: { preload: true, include_subdomains: false } }",
            "`preload` needs `include_subdomains: true`",
        ),
        ("{ hsts: { preload: true, max_age: 30d } }", "`preload` needs"),
        ("{ csp: \"a\\u0007b\" }", "control characters"),
        ("{ frame: allow }", "allow"),
        ("{ referrer: always }", "always"),
        ("{ hsts: yes }", "yes"),
    ] {
        let mistakes = after(written, true, &[]).unwrap_err();
        assert!(mistakes.contains(words), "{written}: {mistakes}");
    }
}
