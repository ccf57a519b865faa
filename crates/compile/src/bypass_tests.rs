//! Configurations with a way around a rule, and those that only look like it.

use crate::tests::compile_text;

/// `debug around admin: without its `ip`; GET /admin/x`: what is said of these routes.
fn told(routes: &str) -> Vec<String> {
    told_in("", routes)
}

/// The same, with more at the top of the configuration.
fn told_in(top: &str, routes: &str) -> Vec<String> {
    let text = format!(
        "listen: 127.0.0.1:0\nconsumers: [{{ name: a, api_keys: [0123456789abcdef-a], groups: [g] }}]\n\
         services: {{ echo: {{ endpoints: [http://127.0.0.1:1] }}, web: {{ endpoints: [http://127.0.0.1:2] }}, \
         public: {{ endpoints: [http://127.0.0.1:3], policies: {{ api_key: off }} }} }}\n{top}\nroutes:\n{routes}\n"
    );
    let compiled = compile_text(&text);
    assert!(compiled.snapshot.is_some(), "{text}\n{}", compiled.rendered);
    let mut told = Vec::new();
    for block in compiled.rendered.split("\n\n").filter(|block| block.contains("GW0514")) {
        let message = block.lines().next().unwrap().split_once("]: ").unwrap().1;
        let example =
            block.split_once("`gateward explain ").map_or("", |(_, rest)| rest.split('`').next().unwrap());
        told.push(format!("{message}; {example}").trim_end_matches("; ").to_owned());
    }
    told
}

const ADMIN: &str = "  - { name: admin, path: /admin/*, service: echo, policies: { api_key: {} } }\n";

/// What another route does beside one that asks for a key.
fn beside_admin(other: &str) -> Vec<String> {
    told(&format!(
        "{ADMIN}  - {{ name: o, {other} }}\n  - {{ path: /*, service: web }}\n  - {{ service: public, hosts: [p.test] }}"
    ))
}

#[test]
fn open_routes_beside_a_protected_one() {
    for (other, example) in [
        ("path: /admin/*, headers: { x-debug: true }, service: echo", "GET /admin/42 -H 'x-debug: 1'"),
        ("path: /admin/*, methods: [OPTIONS], service: echo", "OPTIONS /admin/42"),
        ("path: /admin/*, methods: [POST, PUT, DELETE], service: echo", "POST /admin/42"),
        ("path: /admin/*, query: { debug: true }, service: echo", "GET /admin/42?debug=1"),
        ("path: /admin/*, query: { debug: true }, priority: 5, service: echo", "GET /admin/42?debug=1"),
        ("path: /admin/*, hosts: [int.example.com], service: echo", "GET http://int.example.com/admin/42"),
        ("path: /*, hosts: [int.example.com], service: echo", "GET http://int.example.com/admin/42"),
        ("path: /admin, service: echo", "GET /admin"),
        ("path: /admin/, service: echo", "GET /admin/"),
        ("path: /admin/health, service: echo", "GET /admin/health"),
        ("path: \"/admin/{id}\", service: echo", "GET /admin/42"),
        ("path: \"/{x}/secret\", service: echo", "GET /admin/secret"),
        ("path: /pub/*, rewrite: /admin/*, service: echo", "GET /pub/42"),
        ("path: \"/pub/{x}\", rewrite: \"/{x}/users\", service: echo", "GET /pub/admin"),
        ("path: \"~(?i)^/admin\", service: echo", "GET /admin"),
        ("path: /admin/health, split: { echo: 1, web: 9 }", "GET /admin/health"),
        (
            "path: /admin/health, service: echo, policies: { ip: { allow: [10.0.0.0/8] } }",
            "GET /admin/health",
        ),
    ] {
        let want = format!(
            "the route `o` leads to the same service as `admin`, and does not ask who is calling; {example}"
        );
        assert_eq!(beside_admin(other), [want], "{other}");
    }
    let want = "the route `o` leads to the same service as `admin`, for its paths in other letters, and does not ask who is calling; GET /Admin/42";
    assert_eq!(beside_admin("path: /Admin/*, service: echo"), [want]);
    let want = "the route `o` takes requests that are for `admin`, and does not ask who is calling; ";
    for (other, example) in [
        ("path: \"~(?i)^/admin\", service: web", "GET /admin"),
        ("path: \"/{x}/secret\", service: web", "GET /admin/secret"),
        ("path: /admin/*, headers: { x-new: true }, service: web", "GET /admin/42 -H 'x-new: 1'"),
    ] {
        assert_eq!(beside_admin(other), [format!("{want}{example}")], "{other}");
    }
}

#[test]
fn what_is_no_way_around() {
    for other in [
        // Somebody has said so.
        "path: /admin/health, service: echo, policies: { api_key: off }",
        "path: /admin/*, headers: { x-debug: true }, service: echo, policies: { api_key: off }",
        "path: \"~(?i)^/admin\", service: public",
        // It asks too, in its own way.
        "path: /admin/health, service: echo, policies: { api_key: { header: x-key } }",
        "path: /admin/health, service: echo, policies: { mtls: { consumer: optional } }",
        "path: /admin/health, service: echo, policies: { forward_auth: { url: \"http://127.0.0.1:9/\" } }",
        "path: /admin/*, methods: [POST], service: echo, policies: { api_key: {}, ip: { deny: [10.0.0.0/8] } }",
        "path: /admin/health, service: echo, policies: { api_key: {}, auth: { anonymous: allow } }",
        // Another place, or another service.
        "path: /orders/*, service: echo, policies: { api_key: off }",
        "path: /administrators, service: echo",
        "path: /pub/*, rewrite: /public/*, service: echo",
        "path: /admin/static/*, service: web",
        "path: /admin/*, hosts: [b.test], service: web",
        // No service at all.
        "path: /admin/health, respond: { status: 200 }",
        "path: /admin/old, redirect: { to: /admin/new }",
    ] {
        assert_eq!(beside_admin(other), [""; 0], "{other}");
    }
    // Open at the bottom, for another service, and for the same one where somebody has said so.
    for bottom in ["service: web", "service: public", "service: echo, policies: { api_key: off }"] {
        assert_eq!(told(&format!("{ADMIN}  - {{ path: /*, {bottom} }}")), [""; 0], "{bottom}");
    }
    // Everything is protected, and what is open says so.
    let all = "policies: { api_key: {} }";
    let routes = "  - { path: /health, service: echo, policies: { api_key: off } }\n  - { path: /static/*, service: public }\n  - { path: /*, service: echo }";
    assert_eq!(told_in(all, routes), [""; 0]);
}

#[test]
fn protection_that_holds_for_some_requests_only() {
    let what = "the route `all` leads to the same service as `p`, and does not ask who is calling; ";
    for (protected, example) in [
        ("hosts: [api.test], path: /admin/*", "GET /admin/42"),
        ("path: /admin/*, methods: [GET]", "POST /admin/42"),
        ("path: /admin/*, headers: { x-a: \"1\" }", "GET /admin/42"),
        ("path: /v1/*, rewrite: /*", "GET /42"),
    ] {
        let routes = format!(
            "  - {{ name: p, {protected}, service: echo, policies: {{ api_key: {{}} }} }}\n  - {{ name: all, path: /*, service: echo }}"
        );
        assert_eq!(told(&routes), [format!("{what}{example}")], "{protected}");
    }
}

#[test]
fn rules_that_are_dropped() {
    const KEY: &str = "api_key: {}";
    const RULE: &str = "api_key: {}, authorize: { any: { group: g } }";
    const JUDGE: &str = "forward_auth: { url: \"http://127.0.0.1:9/\" }";
    const NET: &str = "ip: { allow: [10.0.0.0/8] }";
    let both = format!("{KEY}, {NET}");
    let judged = format!("{KEY}, {JUDGE}");
    let all = "api_key: {}, mtls: { consumer: optional }, auth: { all: [api_key, mtls] }";
    for (has, other, want) in [
        (RULE, KEY, Some("without its `authorize`")),
        (RULE, "", Some("and does not ask who is calling")),
        (RULE, "api_key: {}, authorize: off", None),
        (RULE, "api_key: off", None),
        (RULE, "api_key: {}, authorize: { all: { consumer: a } }", None),
        (RULE, JUDGE, None),
        (JUDGE, "", Some("without its `forward_auth`")),
        (JUDGE, "forward_auth: off", None),
        (JUDGE, KEY, None),
        (&judged, KEY, Some("without its `forward_auth`")),
        (&judged, JUDGE, Some("and does not ask who is calling")),
        (NET, "", Some("without its `ip`")),
        (NET, "ip: off", None),
        (NET, "ip: { allow: [192.0.2.0/24] }", None),
        (NET, KEY, None),
        (&both, KEY, Some("without its `ip`")),
        (&both, "api_key: off", Some("without its `ip`")),
        (&both, "api_key: off, ip: off", None),
        (&both, "", Some("without its `ip`, and does not ask who is calling")),
        (all, KEY, Some("and is content with less than all of `mtls`, `api_key`")),
        (
            all,
            "mtls: { consumer: optional }, api_key: {}",
            Some("and is content with less than all of `mtls`, `api_key`"),
        ),
        (all, "mtls: off, api_key: {}", None),
        (all, "jwt: off, api_key: {}, auth: off", None),
    ] {
        let routes = format!(
            "  - {{ name: admin, path: /admin/*, service: echo, policies: {{ {has} }} }}\n  - {{ name: o, path: \"/admin/{{id}}\", service: echo, policies: {{ {other} }} }}"
        );
        let want: Vec<String> = want
            .iter()
            .map(|want| format!("the route `o` leads to the same service as `admin`, {want}; GET /admin/42"))
            .collect();
        assert_eq!(told(&routes), want, "{has} / {other}");
    }
}

#[test]
fn rules_for_some_methods() {
    let rule = "api_key: {}, authorize: { any: { group: g } }";
    for (has, other, want) in [
        // Who writes has to be in a group, who reads only has to be known, or not even that.
        (rule, "policies: { api_key: {} }", None),
        (rule, "methods: [GET], policies: { api_key: {} }", None),
        ("api_key: {}", "methods: [GET]", None),
        ("api_key: {}", "methods: [GET, DELETE]", Some("and does not ask who is calling; GET /orders/42")),
        (rule, "", Some("and does not ask who is calling; GET /orders/42")),
        ("ip: { allow: [10.0.0.0/8] }", "", Some("without its `ip`; GET /orders/42")),
        (
            rule,
            "headers: { x: a }, priority: 1, policies: { api_key: {} }",
            Some("without its `authorize`; POST /orders/42 -H 'x: a'"),
        ),
    ] {
        let routes = format!(
            "  - {{ name: w, path: /orders/*, methods: [POST], service: echo, policies: {{ {has} }} }}\n  - {{ name: r, path: /orders/*, service: echo{}{other} }}",
            if other.is_empty() { "" } else { ", " }
        );
        let want = want.map(|want| format!("the route `r` leads to the same service as `w`, {want}"));
        assert_eq!(told(&routes), want.into_iter().collect::<Vec<_>>(), "{has} / {other}");
    }
}

#[test]
fn other_letters_are_told_once() {
    let routes = "  - { name: a, path: /a/*, service: echo, policies: { api_key: {} } }\n  - { name: b, path: /b, service: echo, policies: { ip: { allow: [10.0.0.0/8] } } }\n  - { name: all, path: /*, service: echo }";
    let want = "the route `all` leads to the same service as `a`, for its paths in other letters, and does not ask who is calling (and 1 more pair of routes); GET /A/42";
    assert_eq!(told(routes), [want]);
    // Where it is no other path, and where it is said that it is meant.
    for mended in ["path: \"~(?i)^/a(/|$)\"", "path: /1/*"] {
        assert_eq!(told(&routes.replace("path: /a/*", mended).replace("path: /b,", "path: /2,")), [""; 0]);
    }
    let meant = routes
        .replace("path: /*, service: echo", "path: /*, service: echo, policies: { api_key: off, ip: off }");
    assert_eq!(told(&meant), [""; 0]);
}

#[test]
fn many_are_counted_and_no_secret_is_shown() {
    let routes: String = (0..25).map(|i| format!("  - {{ path: /admin/{i}, service: echo }}\n")).collect();
    let told = told(&(ADMIN.to_owned() + &routes));
    assert_eq!(told.len(), 21, "{told:#?}");
    assert!(told.contains(&"5 more ways around routes that are protected".to_owned()), "{told:#?}");
}
