//! Who may come, what a refusal says, and mistakes in what is written.

use std::net::IpAddr;

use diagnostics::{Code, Diagnostics, Severity, SourceId};
use document::Decode;
use message::{Reply, RequestHead};

use super::{Raw, Ready, compile};
use crate::scene::see;
use crate::{Flow, RequestState};

/// The policy, and the codes and messages of what there is to say.
fn compiled(written: &str) -> (Option<Ready>, Diagnostics) {
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
    (ready.filter(|_| !diagnostics.has_errors()), diagnostics)
}

/// The answer to a request from an address, if it is refused.
fn refusal(ready: &Ready, client: &str) -> Option<Reply> {
    let (mut head, mut state) = (RequestHead::default(), RequestState::default());
    state.id.adopt(b"id-1");
    let flow = see(&mut head, &mut state, client.parse::<IpAddr>().unwrap(), |cx| ready.on_request(cx));
    match flow {
        Flow::Continue => None,
        Flow::Reply(reply) => Some(reply),
        other => panic!("{other:?}"),
    }
}

/// Why a request is refused, for logs and for people.
fn reason(ready: &Ready, client: &str) -> Option<(&'static str, String)> {
    let (mut head, mut state) = (RequestHead::default(), RequestState::default());
    state.explain();
    see(&mut head, &mut state, client.parse::<IpAddr>().unwrap(), |cx| ready.on_request(cx));
    let (_, reason) = state.stopped_by?;
    Some((reason, state.remark_of("ip").unwrap_or_default().to_owned()))
}

#[test]
fn a_refusal_has_a_reason() {
    let ready = compiled(
        "{ allow: [10.0.0.0/8, \"2001:db8::/32\"], deny: [10.9.0.0/16, \"2001:db8:9::/48\", 192.0.2.1] }",
    )
    .0
    .unwrap();
    for (client, want) in [
        ("10.1.2.3", None),
        ("::ffff:10.9.1.1", Some(("denied", "10.9.1.1 is in 10.9.0.0/16 of deny"))),
        ("192.0.2.1", Some(("denied", "192.0.2.1 is in 192.0.2.1 of deny"))),
        ("2001:db8:9::1", Some(("denied", "2001:db8:9::1 is in 2001:db8:9::/48 of deny"))),
        ("11.0.0.1", Some(("not_allowed", "11.0.0.1 is not in allow"))),
    ] {
        let want = want.map(|(reason, words)| (reason, words.to_owned()));
        assert_eq!(reason(&ready, client), want, "{client}");
    }
}

#[test]
fn deny_wins_and_allow_keeps_all_others_out() {
    let allow = "{ allow: [10.0.0.0/8, \"2001:db8::/32\"] }";
    let deny = "{ deny: [10.9.0.0/16, \"2001:db8:9::/48\", 192.0.2.1] }";
    let both = "{ allow: [10.0.0.0/8], deny: [10.9.0.0/16] }";
    for (written, client, passes) in [
        (allow, "10.1.2.3", true),
        (allow, "::ffff:10.1.2.3", true),
        (allow, "2001:db8::1", true),
        (allow, "11.0.0.1", false),
        (allow, "2001:db9::1", false),
        (allow, "::10.1.2.3", false),
        (deny, "10.9.1.1", false),
        (deny, "::ffff:10.9.1.1", false),
        (deny, "192.0.2.1", false),
        (deny, "192.0.2.2", true),
        (deny, "2001:db8:9::1", false),
        (deny, "2001:db8::1", true),
        (both, "10.1.1.1", true),
        (both, "10.9.1.1", false),
        (both, "11.0.0.1", false),
        ("{ allow: [0.0.0.0/0] }", "2001:db8::1", false),
        ("{ allow: [\"::/0\"] }", "10.0.0.1", false),
        ("{ deny: [0.0.0.0/0, \"::/0\"] }", "10.0.0.1", false),
    ] {
        let (ready, said) = compiled(written);
        assert!(said.is_empty(), "{written}");
        assert_eq!(refusal(&ready.unwrap(), client).is_none(), passes, "{written} {client}");
    }
}

#[test]
fn a_refusal_does_not_tell_the_rule() {
    let ready = compiled("{ allow: [10.0.0.0/8], status: 404 }").0.unwrap();
    let reply = refusal(&ready, "192.0.2.1").unwrap();
    let body = String::from_utf8(reply.body.into_owned()).unwrap();
    assert_eq!(reply.status, 404);
    assert!(body.contains("\"code\":\"ip-refused\"") && body.contains("\"request_id\":\"id-1\""), "{body}");
    assert!(!body.contains("10.") && !body.contains("192."), "{body}");
    assert!(reply.headers.iter().any(|(name, value)| name == "cache-control" && value == "no-store"));
}

#[test]
fn mistakes_are_named() {
    for (written, code, words) in [
        ("{}", Code::MissingKey, "has no addresses"),
        ("{ allow: [] }", Code::InvalidValue, "nobody could come"),
        ("{ deny: [] }", Code::InvalidValue, "nobody is kept out"),
        ("{ alow: [10.0.0.0/8] }", Code::UnknownKey, "alow"),
        ("{ deny: [10.0.0.1/8] }", Code::InvalidAddress, "10.0.0.1/8"),
        ("{ deny: [10.0.0.0/33] }", Code::InvalidAddress, "10.0.0.0/33"),
        ("{ deny: [example.com] }", Code::InvalidAddress, "example.com"),
        ("{ deny: [10.0.0.1], status: 200 }", Code::InvalidValue, "200"),
    ] {
        let (ready, said) = compiled(written);
        let all: Vec<_> = said.iter().map(|one| (one.code, one.message.as_str())).collect();
        assert!(ready.is_none(), "{written}");
        assert!(all.len() == 1 && all[0].0 == code && all[0].1.contains(words), "{written}: {all:?}");
        let one = said.iter().next().unwrap();
        assert!(one.help.is_some() || one.label.is_some(), "{written}");
    }
}

#[test]
fn what_can_never_come_is_warned_of() {
    for (written, want) in [
        ("{ allow: [10.1.0.0/16, 10.0.0.0/8], deny: [10.0.0.0/15] }", &["`10.1.0.0/16`"][..]),
        ("{ allow: [10.0.0.0/15], deny: [10.0.0.0/16, 10.1.0.0/16] }", &["`10.0.0.0/15`"]),
        ("{ allow: [10.0.0.0/8, 10.0.0.1], deny: [10.0.0.2] }", &[]),
        ("{ allow: [\"::ffff:10.0.0.1\"], deny: [10.0.0.0/8] }", &["`::ffff:10.0.0.1/128`"]),
    ] {
        let (ready, said) = compiled(written);
        let all: Vec<_> = said.iter().map(|one| one.message.as_str()).collect();
        assert!(ready.is_some() && said.iter().all(|one| one.severity == Severity::Warning));
        assert!(
            all.len() == want.len() && all.iter().zip(want).all(|(a, b)| a.contains(b)),
            "{written}: {all:?}"
        );
    }
    let many: Vec<String> = (0..50).map(|n| format!("10.0.{n}.0/24")).collect();
    let (_, said) = compiled(&format!("{{ allow: [{}], deny: [10.0.0.0/8] }}", many.join(", ")));
    assert_eq!(said.iter().count(), 5);
}
