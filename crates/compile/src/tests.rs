//! What is wrong is said with its code and at its place; what is right becomes what requests use.

use std::time::{Duration, SystemTime};

use config::load_text;
use diagnostics::{Severity, Sources};
use document::MemoryEnvironment;
use snapshot::{Action, EndpointHost, Snapshot};

use crate::Outside;

pub(crate) fn outside() -> Outside {
    Outside::new(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000))
}

pub(crate) struct Compiled {
    pub(crate) snapshot: Option<Snapshot>,
    /// `error unknown-service 5:20`
    found: Vec<String>,
    pub(crate) rendered: String,
}

pub(crate) fn compile_text(text: &str) -> Compiled {
    let loaded = load_text("gateward.yaml", text, &MemoryEnvironment::new());
    let mut diagnostics = loaded.diagnostics;
    let snapshot = loaded.config.and_then(|config| crate::compile(&config, &outside(), &mut diagnostics));
    let place = |sources: &Sources, span| sources.place(span).trim_start_matches("gateward.yaml:").to_owned();
    let found = diagnostics
        .sorted()
        .iter()
        .map(|one| {
            let at = one.span.map(|span| format!(" {}", place(&loaded.sources, span))).unwrap_or_default();
            format!("{} {}{at}", one.severity.as_str(), one.code.name())
        })
        .collect();
    let is_error = diagnostics.iter().any(|one| one.severity == Severity::Error);
    assert_eq!(snapshot.is_none(), is_error, "a snapshot exactly where there is no error:\n{text}");
    let rendered = diagnostics::render_text(&diagnostics, &loaded.sources, false);
    Compiled { snapshot, found, rendered }
}

/// A configuration with these routes (from line 4 on) and a service `s`.
pub(crate) fn with_routes(routes: &str) -> String {
    format!(
        "listen: 127.0.0.1:0\nservices: {{ s: {{ endpoints: [http://127.0.0.1:1] }} }}\nroutes:\n{routes}"
    )
}

pub(crate) fn finds(text: &str, wanted: &[&str]) {
    let compiled = compile_text(text);
    assert_eq!(compiled.found, wanted, "{text}\n{}", compiled.rendered);
}

pub(crate) fn snapshot(text: &str) -> Snapshot {
    let compiled = compile_text(text);
    compiled.snapshot.unwrap_or_else(|| panic!("{}", compiled.rendered))
}

#[test]
fn mistakes_of_routes_are_found_at_their_place() {
    for (route, wanted) in [
        ("  - { path: \"~^/a%2fb\", service: s }", &["error invalid-regex 4:13"][..]),
        ("  - { path: \"~ ^/a\", service: s }", &["error invalid-regex 4:13"]),
        ("  - { headers: { x_y: a }, service: s }", &["error invalid-header 4:18"]),
        ("  - { headers: { connection: a }, service: s }", &["error invalid-header 4:18"]),
        ("  - { methods: [TRACE], service: s }", &["error invalid-method 4:17"]),
        ("  - { path: /b, timeout: 1s, respond: {} }\n  - { service: s }", &["warning unused-setting 4:5"]),
        ("  - { path: /a, service: x }", &["warning unused-service 2:13", "error unknown-service 4:26"][..]),
        ("  - { path: /a }", &["warning unused-service 2:13", "error nothing-to-do 4:5"]),
        ("  - { path: a, service: s }", &["error invalid-path 4:13"]),
        ("  - { path: \"/{a\", service: s }", &["error invalid-path 4:13"]),
        ("  - { path: /a/../b, service: s }", &["error invalid-path 4:13"]),
        ("  - { path: \"~(\", service: s }", &["error invalid-regex 4:13"]),
        ("  - { hosts: \"a b\", path: /, service: s }", &["error invalid-host 4:14"]),
        ("  - { methods: [get], service: s }", &["error invalid-method 4:17"]),
        ("  - { headers: { \"a b\": x }, service: s }", &["error invalid-header 4:18"]),
        ("  - { headers: { a: \"~(\" }, service: s }", &["error invalid-regex 4:21"]),
        ("  - { service: s, respond: {} }", &["warning unused-service 2:13", "error conflicting-keys 4:28"]),
        ("  - { path: \"/a/{x}\", service: s, rewrite: \"/{y}\" }", &["error unknown-capture 4:44"]),
        ("  - { path: /a, service: s, rewrite: b }", &["error invalid-path 4:38"]),
        ("  - { split: { s: 0 } }", &["error invalid-value 4:14"]),
        ("  - { path: /b, redirect: { to: \"//evil\" } }\n  - { service: s }", &["error invalid-path 4:33"]),
        (
            "  - { path: \"/{h}\", redirect: { to: \"https://{h}/\" } }\n  - { service: s }",
            &["error invalid-value 4:37"],
        ),
        (
            "  - { path: /b, redirect: { to: /c, status: 200 } }\n  - { service: s }",
            &["error invalid-value 4:45"],
        ),
        ("  - { path: /b, respond: { status: 100 } }\n  - { service: s }", &["error invalid-value 4:36"]),
        (
            "  - { path: /b, respond: { headers: { connection: x } } }\n  - { service: s }",
            &["error invalid-header 4:39"],
        ),
        (
            "  - { name: n, path: /a, service: s }\n  - { name: n, path: /b, service: s }",
            &["error duplicate-name 5:13"],
        ),
        ("  - { path: /a, service: s }\n  - { path: /a, service: s }", &["warning duplicate-route 5:5"]),
    ] {
        finds(&with_routes(route), wanted);
    }
}

#[test]
fn mistakes_of_the_rest_are_found_too() {
    finds("{}", &["error no-listeners", "error no-routes"]);
    finds("listen: [0.0.0.0:80, 127.0.0.1:80]\nroutes: [{ respond: {} }]", &["error address-conflict 1:22"]);
    finds(
        "listen: 127.0.0.1:0\nservices: { s: { endpoints: [] } }\nroutes: [{ service: s }]",
        &["error no-endpoints 2:13"],
    );
    finds(
        "listen: 127.0.0.1:0\nservices: { s: { endpoints: [http://a, http://a] } }\nroutes: [{ service: s }]",
        &["error duplicate-endpoint 2:40"],
    );
    finds(
        "listen: 127.0.0.1:0\nservices: { s: { endpoints: [http://a], retries: { methods: [GET, POST] } } }\nroutes: [{ service: s }]",
        &["warning retry-not-idempotent 2:67"],
    );
    finds(
        "listen: 127.0.0.1:0\npolicies: { cache: {}, hedaers: {} }\nroutes: [{ respond: {} }]",
        &["error not-built-yet 2:13", "error unknown-policy 2:24"],
    );
}

#[test]
fn nobody_is_a_consumer_by_having_nothing() {
    for credential in [
        "mtls: { subject: '' }",
        "jwt: { issuer: '', subject: s }",
        "jwt: { subject: '' }",
        "hmac: { id: '', secret: 0123456789abcdef }",
        "hmac: { id: i, secret: '' }",
        "api_keys: ['']",
    ] {
        let text = format!(
            "listen: 127.0.0.1:0\nroutes: [{{ respond: {{}} }}]\nconsumers: [{{ name: a, {credential} }}]"
        );
        let compiled = compile_text(&text);
        let errors = compiled.found.iter().filter(|found| found.starts_with("error invalid-value 3:"));
        assert_eq!((errors.count(), compiled.found.len()), (1, 1), "{credential}: {}", compiled.rendered);
    }
}

#[test]
fn all_mistakes_are_said_at_once_and_none_that_only_follows() {
    // The service `s` is there, but broken: that the route names it is no second mistake.
    finds(
        "listen: 127.0.0.1:0\nservices: { s: { endpoint: [http://a] } }\nroutes:\n  - { path: a, service: s }\n  - { path: /b, service: t }",
        &[
            "error missing-key 2:16",
            "error unknown-key 2:18",
            "error invalid-path 4:13",
            "error unknown-service 5:26",
        ],
    );
    finds("listen: 127.0.0.1:70000\nroutes: []", &["error invalid-address 1:9"]);
}

/// What a build leaves out is said to be so, and is no mistake of the user's; `off` needs nothing.
#[test]
fn what_this_build_leaves_out_is_refused_where_it_is_used() {
    let text = |setting: &str| {
        with_routes(&format!("- {{ path: /*, service: s, policies: {{ ldap: {setting} }} }}"))
    };
    let used = text("{ url: ldaps://ldap.test, bind_dn: 'uid={username}' }");
    let is_left_out = policy::LEFT_OUT.iter().any(|(name, _)| *name == "ldap");
    finds(&used, if is_left_out { &["error not-built-yet 4:39"] } else { &[] });
    assert_eq!(compile_text(&used).rendered.contains("--features ldap"), is_left_out);
    finds(&text("off"), &[]);
}

#[test]
fn the_nearest_policy_wins_whole_and_off_removes_it() {
    let snapshot = snapshot(
        "\
listen: 127.0.0.1:0
policies: { request_id: {}, size_limit: { body: 1 }, headers: { request: { set: { a: gateway } } } }
services:
  plain: { endpoints: [http://127.0.0.1:1] }
  own: { endpoints: [http://127.0.0.1:2], policies: { size_limit: { body: 2 } } }
routes:
  - { path: /plain, service: plain }
  - { path: /own, service: own }
  - { path: /route, service: own, policies: { size_limit: { body: 3 }, headers: off } }
  - { path: /none, service: own, policies: { size_limit: off, request_id: off, headers: off } }
  - { path: /reply, respond: {} }
",
    );
    let kinds: Vec<Vec<&str>> = snapshot
        .routes
        .iter()
        .map(|route| {
            route.action.chain(0).unwrap().links().iter().map(|link| link.policy.kind().name).collect()
        })
        .collect();
    assert_eq!(
        kinds,
        [
            vec!["request_id", "size_limit", "headers"],
            vec!["request_id", "size_limit", "headers"],
            vec!["request_id", "size_limit"],
            vec![],
            vec!["request_id", "size_limit", "headers"],
        ]
    );
    let [plain, own, .., reply] = &snapshot.routes[..] else { panic!("five routes") };
    let chain = |route: &snapshot::Route| route.action.chain(0).unwrap().clone();
    assert!(chain(plain).guards_like(&chain(reply)), "both have the gateway's limit");
    assert!(!chain(plain).guards_like(&chain(own)), "the service has a limit of its own");
}

#[test]
fn endpoints_and_defaults_arrive() {
    let snapshot = snapshot(
        "\
listen: \"[::1]:0\"
trusted_proxies: [10.0.0.0/8]
services:
  s: { endpoints: [\"http://[::1]:81\", { url: http://Users.internal, weight: 3 }], balance: least_requests }
routes: [{ service: s, rewrite: /x }]
",
    );
    let [service] = &snapshot.services[..] else { panic!("one service") };
    assert_eq!(service.endpoints[0].host, EndpointHost::Address("::1".parse().unwrap()));
    assert_eq!((service.endpoints[0].port, &*service.endpoints[0].authority), (81, "[::1]:81"));
    assert_eq!(service.endpoints[1].host, EndpointHost::Name("users.internal".into()));
    assert_eq!((service.endpoints[1].weight, &*service.endpoints[1].authority), (3, "users.internal"));
    assert!(service.retries.on.connect_failure && service.retries.on.stall && service.retries.attempts == 1);
    assert!(snapshot.trusted_proxies.contains("10.1.2.3".parse().unwrap()));
    assert!(snapshot.trusted_proxies.contains("::ffff:10.1.2.3".parse().unwrap()));
    assert!(!snapshot.trusted_proxies.contains("11.1.2.3".parse().unwrap()));
    assert!(matches!(snapshot.routes[0].action, Action::Forward { rewrite: Some(_), .. }));
}

#[test]
fn ten_thousand_routes_compile_quickly() {
    let mut text = String::from(
        "listen: 127.0.0.1:0\nservices: { s: { endpoints: [http://127.0.0.1:1] } }\npolicies: { request_id: {} }\nroutes:\n",
    );
    for number in 0..10_000 {
        text.push_str(&format!("  - {{ path: /svc{number}/*, service: s }}\n"));
    }
    let started = std::time::Instant::now();
    assert_eq!(snapshot(&text).routes.len(), 10_000);
    assert!(started.elapsed().as_secs() < 10, "{:?} in a build without optimisation", started.elapsed());
}

#[test]
fn routes_that_never_match_or_overlap_are_found() {
    let two = "listen: 127.0.0.1:0\nservices: { s: { endpoints: [http://127.0.0.1:1] }, t: { endpoints: [http://127.0.0.1:1] } }\nroutes:\n";
    for (routes, wanted) in [
        ("  - { path: /*, service: s }\n  - { service: t }", &["warning unreachable-route 5:5"][..]),
        (
            "  - { path: /a/b/*, service: s }\n  - { path: \"~^/a/\", service: t }",
            &["warning unreachable-route 4:5"],
        ),
        ("  - { path: \"~^a\", service: s }\n  - { service: t }", &["warning unreachable-route 4:13"]),
        (
            "  - { headers: { X-A: \"~^$a\" }, service: s }\n  - { query: { q: \"~^$a\" }, service: t }",
            &["warning unreachable-route 4:18", "warning unreachable-route 5:16"],
        ),
        (
            "  - { hosts: [a.com, b.com], path: /a, service: s }\n  - { hosts: [b.com, c.com], path: /a, service: t }",
            &["warning unreachable-route 5:5"],
        ),
        (
            "  - { path: \"/{x}/b\", service: s }\n  - { path: \"/a/{x}\", service: t }",
            &["warning overlapping-routes 5:5"],
        ),
        // The same is done with a request of either.
        (
            "  - { path: \"/{x}/b\", service: s }\n  - { path: \"/a/{x}\", service: s }\n  - { path: /t, service: t }",
            &[],
        ),
        (
            "  - { path: \"/{x}/b\", service: s }\n  - { path: \"/a/{x}\", service: s, timeout: 1s }\n  - { path: /t, service: t }",
            &["warning overlapping-routes 5:5"],
        ),
        (
            "  - { path: \"/{x}/b\", service: s, rewrite: /r }\n  - { path: \"/a/{x}\", service: s, rewrite: /r }\n  - { path: /t, service: t }",
            &[],
        ),
        (
            "  - { path: \"/{x}/b\", service: s, rewrite: \"/{x}\" }\n  - { path: \"/a/{x}\", service: s, rewrite: \"/{x}\" }\n  - { path: /t, service: t }",
            &["warning overlapping-routes 5:5"],
        ),
        (
            "  - { path: \"/{x}/b\", service: s, policies: { size_limit: { body: 1KiB } } }\n  - { path: \"/a/{x}\", service: s }\n  - { path: /t, service: t }",
            &["warning overlapping-routes 5:5"],
        ),
        // That a place takes requests of all methods is expected, unless it opens a door.
        ("  - { path: /*, methods: [GET], service: s }\n  - { path: /api/*, service: t }", &[]),
        (
            "  - { path: /admin/*, methods: [POST], respond: { status: 403 } }\n  - { path: \"/admin/{x}\", service: t }\n  - { path: /s, service: s }",
            &["warning overlapping-routes 4:5"],
        ),
        (
            "  - { path: /a/*, methods: [POST], service: s, policies: { size_limit: { body: 1KiB } } }\n  - { path: \"/a/{x}\", service: t }",
            &["warning overlapping-routes 4:5"],
        ),
        // A mistake hides what may be there to settle it.
        (
            "  - { path: \"/{x}/b\", service: s }\n  - { path: \"/a/{x}\", service: t }\n  - { path: /a/b, service: u }",
            &["error unknown-service 6:28"],
        ),
        (
            "  - { hosts: a.com, service: s }\n  - { path: /1, service: t }\n  - { path: /2, service: t }\n  - { path: /3, service: t }\n  - { path: /4, service: t }",
            &["warning overlapping-routes 4:5"],
        ),
    ] {
        finds(&format!("{two}{routes}"), wanted);
    }
}

#[test]
fn examples_show_what_can_be_tried_and_nothing_from_outside() {
    let compiled = compile_text(&with_routes(
        "  - { hosts: api.example.com, headers: { x-v: \"2\" }, service: s }\n  - { path: \"/o/{id}\", query: { debug: true }, respond: {} }",
    ));
    let example = "`gateward explain GET http://api.example.com/o/42?debug=1 -H 'x-v: 2'`";
    assert!(compiled.rendered.contains(example), "{}", compiled.rendered);
    assert!(
        compiled.rendered.contains("this one takes them: its host is more specific"),
        "{}",
        compiled.rendered
    );

    let environment = MemoryEnvironment::new().with_var("SECRET", "S3CRET");
    let routes = "  - { hosts: a.com, headers: { x-k: \"${env:SECRET}\" }, service: s }\n  - { path: /a, query: { k: \"${env:SECRET}\" }, respond: {} }";
    let mut loaded = load_text("gateward.yaml", &with_routes(routes), &environment);
    let _ = loaded.config.and_then(|config| crate::compile(&config, &outside(), &mut loaded.diagnostics));
    let text = diagnostics::render_text(&loaded.diagnostics, &loaded.sources, false);
    assert!(
        text.contains("GET http://a.com/a?k=HIDDEN -H 'x-k: HIDDEN'") && !text.contains("S3CRET"),
        "{text}"
    );
}

#[test]
fn the_admin_listener_leaves_its_default_address_to_a_listener() {
    let admin = |listen: &str, more: &str| {
        let text = with_routes("  - { path: /*, service: s }\n").replace("127.0.0.1:0", listen) + more;
        snapshot(&text).admin.address.map(|address| address.to_string())
    };
    assert_eq!(admin("127.0.0.1:0", ""), Some("127.0.0.1:9901".to_owned()));
    assert_eq!(admin("0.0.0.0:9901", ""), None);
    assert_eq!(admin("0.0.0.0:9901", "admin: 127.0.0.1:9902\n"), Some("127.0.0.1:9902".to_owned()));
    assert_eq!(admin("127.0.0.1:0", "admin: off\n"), None);
}

#[test]
fn conditions_that_hold_for_nobody_are_told() {
    let head = "listen: 127.0.0.1:0\nservices: { s: { endpoints: [http://127.0.0.1:1] } }\n\
        consumers: [{ name: keyed, groups: [apps], api_keys: [0123456789abcdef-key] }, { name: tok, groups: [people], jwt: { subject: \"1\" } }]\n";
    let jwt = "jwt: { audience: a, keys: { secret: 0123456789abcdef0123456789abcdef } }";
    for (routes, wanted, said) in [
        (
            "routes: [{ path: /, service: s, policies: { api_key: {}, authorize: { any: [{ group: apps }, { scope: x }] } } }]",
            &["warning unused-setting 4:94"][..],
            "`scope x` holds for nobody: `api_key` tells no scopes",
        ),
        (
            "routes: [{ path: /, service: s, policies: { api_key: {}, authorize: { all: { claim: x, value: y } } } }]",
            &["warning unused-setting 4:76"],
            "`claim x y` holds for nobody: `api_key` tells no claims",
        ),
        (
            "routes: [{ path: /, service: s, policies: { api_key: {}, authorize: { any: { group: aps } } } }]",
            &["warning unused-setting 4:76"],
            "`group aps` holds for nobody: no consumer is in it",
        ),
        (
            "routes: [{ path: /, service: s, policies: { api_key: {}, authorize: { any: [{ group: people }, { consumer: tok }] } } }]",
            &["warning unused-setting 4:77", "warning unused-setting 4:96"],
            "`consumer tok` holds for nobody: it has no credential for `api_key`",
        ),
        // It holds elsewhere, and somebody gets through here all the same.
        (
            "policies: { api_key: {}, JWT, authorize: { any: [{ group: apps }, { scope: x }] } }\n\
             routes: [{ path: /a, service: s }, { path: /b, service: s, policies: { jwt: off } }]",
            &[],
            "",
        ),
        // It holds elsewhere, and nobody gets through here.
        (
            "policies: { api_key: {}, JWT, authorize: { all: [{ scope: x }] } }\n\
             routes: [{ path: /a, service: s }, { path: /b, service: s, policies: { jwt: off } }]",
            &["warning unused-setting 4:100"],
            "nobody gets through to the route `/b`: `scope x` holds for nobody there, because `api_key` tells no scopes",
        ),
        (
            "policies: { JWT }\n\
             routes: [{ path: /, service: s, policies: { authorize: { any: [{ scope: x }, { claim: y }, { group: z }] } } }]",
            &[],
            "",
        ),
    ] {
        let text = format!("{head}{}", routes.replace("JWT", jwt));
        let compiled = compile_text(&text);
        assert_eq!(compiled.found, wanted, "{text}\n{}", compiled.rendered);
        assert!(compiled.rendered.contains(said), "{}", compiled.rendered);
    }
}
