//! Who may, who may not, and what is wrong with what is written.

use std::sync::Arc;

use diagnostics::Code;

use crate::scene::{Scene, chain, policy};
use crate::{Answer, Consumers, NewConsumer, NewKey, digest_of};

fn consumers() -> Arc<Consumers> {
    let one = |name: &str, group: &str| NewConsumer {
        name: name.into(),
        groups: vec![group.into()],
        api_keys: vec![NewKey { digest: digest_of(name.as_bytes()), expires: None, name: None }],
        ..NewConsumer::default()
    };
    Arc::new(Consumers::new(&[one("mobile", "apps"), one("batch", "internal")]))
}

/// The status that a consumer gets, and the reason; 200 for who may pass. Nobody is a caller without a key.
fn outcome(settings: &str, key: Option<&str>, target: &str) -> (u16, &'static str) {
    let consumers = consumers();
    let open = ("auth", "{ anonymous: allow }");
    let chain = chain(&[("api_key", "{}"), open, ("authorize", settings)], &consumers);
    let fields: Vec<(&str, &str)> = key.iter().map(|key| ("x-api-key", *key)).collect();
    let mut scene = Scene { consumers, ..Scene::get(target, &fields) };
    let reply = scene.run(&chain, || -> Answer { panic!("nobody is asked") });
    (reply.map_or(200, |reply| reply.status), scene.state.stopped_by.map_or("", |(_, reason)| reason))
}

#[test]
fn conditions_let_pass_who_may() {
    for (settings, key, want) in [
        ("{ any: [{ group: apps }, { consumer: batch }] }", Some("mobile"), (200, "")),
        ("{ any: [{ group: apps }, { consumer: batch }] }", Some("batch"), (200, "")),
        ("{ any: { group: internal } }", Some("mobile"), (403, "any")),
        ("{ all: [{ group: internal }, { consumer: batch }] }", Some("batch"), (200, "")),
        ("{ all: [{ group: apps }, { consumer: batch }] }", Some("batch"), (403, "all")),
        ("{ any: { group: apps } }", None, (401, "any")),
        ("{ any: { scope: x } }", Some("mobile"), (403, "any")),
        ("{ any: { claim: x } }", Some("mobile"), (403, "any")),
        ("{ rule: 'identity.consumer == \"mobile\"' }", Some("mobile"), (200, "")),
        (
            "{ rule: '\"apps\" in identity.groups && identity.method == \"api_key\"' }",
            Some("mobile"),
            (200, ""),
        ),
        ("{ rule: 'identity.consumer == \"mobile\"' }", Some("batch"), (403, "rule")),
        ("{ rule: 'identity.consumer == \"mobile\"' }", None, (401, "rule")),
        ("{ rule: 'identity.claims.level > 3' }", Some("mobile"), (403, "rule_failed")),
        ("{ rule: 'request.method == \"GET\"' }", None, (200, "")),
        ("{ rule: 'request.method == \"PUT\"' }", None, (403, "rule")),
        ("{ any: { group: apps }, rule: 'request.path == \"/b\"' }", Some("mobile"), (403, "rule")),
    ] {
        assert_eq!(outcome(settings, key, "/a?x=1&y=%41"), want, "{settings} {key:?}");
    }
}

#[test]
fn who_has_to_say_who_it_is_is_told_how() {
    let consumers = consumers();
    let policies =
        [("api_key", "{}"), ("auth", "{ anonymous: allow }"), ("authorize", "{ any: { group: apps } }")];
    let chain = chain(&policies, &consumers);
    let mut scene = Scene { consumers, ..Scene::get("/", &[]) };
    let reply = scene.run(&chain, || -> Answer { panic!("nobody is asked") }).unwrap();
    assert_eq!(reply.status, 401);
    assert!(reply.headers.iter().any(|(name, _)| name == "www-authenticate"), "RFC 9110 §15.5.2");
    assert_eq!(scene.state.stopped_by, Some(("authorize", "any")));
}

#[test]
fn a_rule_over_thousands_of_names_ends_soon() {
    let query: Vec<String> = (0..2_000).map(|number| format!("k{number}")).collect();
    let cookies: Vec<String> = (0..2_000).map(|number| format!("k{number}=1")).collect();
    for rule in [
        "request.query.all(k, k != \"zz\")",
        "request.cookies.all(k, k != \"zz\")",
        "request.query.all(k, request.query[k] != \"zz\")",
        "size(request.query) > 1 && size(request.cookies) > 1 && size(request.query) > 2",
    ] {
        let consumers = consumers();
        let settings = format!("{{ rule: '{rule}' }}");
        let chain = chain(&[("authorize", &settings)], &consumers);
        let target = format!("/?{}", query.join("&"));
        let mut scene = Scene { consumers, ..Scene::get(&target, &[("cookie", &cookies.join("; "))]) };
        let started = std::time::Instant::now();
        scene.run(&chain, || -> Answer { panic!("nobody is asked") });
        // It took minutes when the names were gathered anew for each of them; this is a debug build.
        assert!(started.elapsed().as_millis() < 1_000, "{rule}: {:?}", started.elapsed());
    }
}

#[test]
fn rules_see_the_request() {
    for rule in [
        "request.path == \"/a\" && request.host == \"a.test\" && request.scheme == \"http\"",
        "request.query[\"y\"] == \"A\" && !(\"z\" in request.query) && size(request.query) == 2",
        "request.headers[\"x-api-key\"] == \"mobile\" || has(request.headers.host)",
        "request.headers.exists(name, name == \"host\") && size(request.cookies) == 0",
        "ip_in(client.ip, \"127.0.0.0/8\")",
        "now > timestamp(\"1970-01-02T00:00:00Z\")",
    ] {
        let settings = format!("{{ rule: '{rule}' }}");
        assert_eq!(outcome(&settings, Some("mobile"), "/a?x=1&y=%41"), (200, ""), "{rule}");
    }
}

#[test]
fn mistakes_are_reported() {
    for (settings, code, want) in [
        ("{}", Code::MissingKey, "lets everybody through"),
        ("{ any: [{ group: a, scope: b }] }", Code::ConflictingKeys, "about one thing"),
        ("{ any: [{ value: a }] }", Code::ConflictingKeys, "about one thing"),
        ("{ any: { group: a, value: x } }", Code::ConflictingKeys, "`value` is that of a `claim`"),
        ("{ any: { consumer: mobil } }", Code::UnknownConsumer, "there is no consumer `mobil`"),
        ("{ rule: 'request.pth == \"/\"' }", Code::InvalidExpression, "pth"),
        ("{ rule: 'size(1)' }", Code::InvalidExpression, ""),
        ("{ rule: 'request.path' }", Code::InvalidExpression, "bool"),
        ("{ rule: '(' }", Code::InvalidExpression, ""),
    ] {
        let mistakes = policy("authorize", settings, &consumers()).unwrap_err();
        let found = mistakes.iter().any(|(own, message)| *own == code && message.contains(want));
        assert!(found, "{settings}: {mistakes:?}");
    }
}

#[test]
fn operators_are_told_which_condition_has_decided() {
    let consumers = consumers();
    for (settings, key, want) in [
        ("{ any: [{ group: x }, { consumer: mobile }] }", "mobile", "any[1]: consumer mobile"),
        (
            "{ any: [{ group: apps }, { scope: x }, { claim: y, value: z }] }",
            "batch",
            "any: none of group apps, scope x, claim y z",
        ),
        ("{ all: [{ group: apps }, { consumer: batch }] }", "mobile", "all[1]: consumer batch"),
        ("{ all: [{ group: apps }, { consumer: mobile }] }", "mobile", "all: group apps, consumer mobile"),
        (
            "{ any: { group: apps }, rule: 'request.path == \"/a\"' }",
            "mobile",
            "any[0]: group apps; rule: request.path == \"/a\"",
        ),
        ("{ rule: 'request.path == \"/b\"' }", "mobile", "rule: request.path == \"/b\""),
        (
            "{ rule: 'identity.claims.level > 3' }",
            "mobile",
            "rule has no value, as there is no such key or element in identity.claims.level: identity.claims.level > 3",
        ),
    ] {
        let chain = chain(&[("api_key", "{}"), ("authorize", settings)], &consumers);
        let mut scene =
            Scene { consumers: Arc::clone(&consumers), ..Scene::get("/a", &[("x-api-key", key)]) };
        scene.state.explain();
        scene.run(&chain, || -> Answer { panic!("nobody is asked") });
        assert_eq!(scene.state.remark_of("authorize"), Some(want), "{settings}");
    }
}
