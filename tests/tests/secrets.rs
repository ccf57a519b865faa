//! No secret gets anywhere: some are planted in the configuration and in requests, and looked for in all that is said.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

use std::fs;

use end_to_end::{Client, Origin, SOON, Setup, check, wait_until};

/// All that is planted has this in it.
const PLANTED: &str = "pl4nted";
/// In base64, wherever it begins, some of this is in it.
const ENCODED: [&str; 3] = ["cGw0bnRlZ", "BsNG50ZW", "wbDRudGVk"];

const YAML: &str = r#"
listen: 127.0.0.1:0
admin: { address: 127.0.0.1:0, token: "${env:ADMIN}" }
telemetry: { access_log: access.log }
services:
  site: { endpoints: [http://{origin}] }
consumers:
  - name: mobile
    api_keys: ["${env:KEY}", { key: written-pl4nted-0123456789, name: written }]
    basic: { username: ann, password: "${file:hash}" }
    hmac: { id: acme, secret: "${env:HMAC}" }
policies:
  api_key: { header: [x-api-key, authorization], query: key, cookie: key, scheme: Key }
  basic: {}
  jwt: { audience: api, keys: { secret: "${env:JWT}" } }
  introspection: { url: "http://127.0.0.1:9/introspect", client_id: gw, client_secret: "${env:CLIENT}" }
routes:
  - { path: /*, service: site }
"#;

fn setup(origin: &Origin) -> Setup {
    let secret = |name: &str| (name.to_owned(), format!("{name}-{PLANTED}-0123456789abcdef0123456789abcdef"));
    Setup {
        environment: ["ADMIN", "KEY", "HMAC", "JWT", "CLIENT"].map(secret).into(),
        files: vec![(
            "hash".to_owned(),
            "$argon2id$v=19$m=19456,t=2,p=1$cGw0bnRlZHBsNG50ZWQ$GuCdFX2zj9IOQ0qqNnLNw5P/VdxysREkm1QuLRhvG+s"
                .to_owned(),
        )],
        ..Setup::new(YAML.replace("{origin}", &origin.address().to_string()))
    }
}

fn assert_clean(what: &str, text: &str) {
    for secret in [PLANTED].iter().chain(&ENCODED) {
        assert!(!text.contains(secret), "{what} holds a secret:\n{text}");
    }
}

/// Requests with secrets in all places, right and wrong ones.
const REQUESTS: [&str; 9] = [
    "GET /a HTTP/1.1\r\nHost: a.test\r\nX-Api-Key: KEY-pl4nted-0123456789abcdef0123456789abcdef\r\n\r\n",
    "GET /a HTTP/1.1\r\nHost: a.test\r\nX-Api-Key: wrong-pl4nted\r\n\r\n",
    "GET /a?key=wrong-pl4nted&x=pl4nted HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "GET /a HTTP/1.1\r\nHost: a.test\r\nCookie: key=wrong-pl4nted; session=pl4nted\r\n\r\n",
    "GET /a HTTP/1.1\r\nHost: a.test\r\nAuthorization: Key wrong-pl4nted\r\n\r\n",
    // ann:pl4nted
    "GET /a HTTP/1.1\r\nHost: a.test\r\nAuthorization: Basic YW5uOnBsNG50ZWQ=\r\n\r\n",
    "GET /a HTTP/1.1\r\nHost: a.test\r\nAuthorization: Bearer pl4nted.pl4nted.pl4nted\r\n\r\n",
    "GET /a HTTP/1.1\r\nHost: a.test\r\nAuthorization: pl4nted\r\nAuthorization: pl4nted\r\n\r\n",
    "GET /a HTTP/1.1\r\nHost: a.test\r\nAuthorization: pl4\x01nted\r\n\r\n",
];

#[test]
fn no_secret_gets_anywhere() {
    let origin = Origin::saying("fine");
    let setup = setup(&origin);
    let gateway = setup.start();
    let mut answers = 0;
    for request in REQUESTS {
        let answer = Client::connect(gateway.address()).ask(request);
        assert_clean("an answer", &format!("{answer}"));
        answers += 1;
    }
    assert_eq!(answers, REQUESTS.len());
    assert!(origin.count() >= 1, "one of them was right");
    for request in origin.requests() {
        let text = format!("{request}");
        let header = text.split("pl4nted").next().unwrap().to_owned();
        assert!(!text.contains("KEY-pl4nted"), "the service got a key: {header}");
    }
    let token = format!("ADMIN-{PLANTED}-0123456789abcdef0123456789abcdef");
    for path in ["/metrics", "/config", "/routes", "/services", "/issuers", "/certificates", "/canaries", "/"]
    {
        let ask = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n");
        let answer = Client::connect(gateway.admin()).ask(ask);
        assert_eq!(answer.status(), 200, "{path}");
        assert_clean(path, &format!("{answer}"));
    }
    let log = gateway.folder().path().join("access.log");
    wait_until("all requests are in the log", SOON, || {
        fs::read_to_string(&log).is_ok_and(|text| text.lines().count() >= REQUESTS.len())
    });
    assert_clean("the access log", &fs::read_to_string(&log).unwrap());
    // A reload with a mistake is described, and nothing of what it holds.
    let seen = gateway.rewrite(&setup.yaml.replace("service: site }", "service: site, x: y }"));
    gateway.wait_for("unknown key `x`", seen);
    assert_clean("what the gateway prints", &gateway.log());
}

/// Mistakes of all kinds, each with a secret in it: what is written, and what is written in its place.
const MISTAKES: &[(&str, &str)] = &[
    // Filled in.
    ("\"${env:KEY}\"", "{ sha256: \"${env:KEY}\" }"),
    ("\"${env:KEY}\"", "{ sha256: \"x${env:KEY}\" }"),
    ("\"${env:KEY}\"", "\"${env:NONE}\", { expires: \"${env:KEY}\", key: a }"),
    ("\"${env:KEY}\"", "\"${pl4nted}\""),
    ("\"${env:KEY}\"", "\"${env:pl4nted x}\""),
    ("\"${env:KEY}\"", "\"${env:KEY:-pl4nted}\", [a]"),
    ("password: \"${file:hash}\"", "password: \"${env:KEY}\""),
    ("{ secret: \"${env:JWT}\" }", "{ secret: \"${env:JWT}\", algorithms: \"${env:KEY}\" }"),
    ("client_id: gw", "client_id: gw, audience: { x: \"${env:KEY}\" }"),
    ("url: \"http://127.0.0.1:9/introspect\"", "url: \"${env:KEY}\""),
    ("{ path: /*, service: site }", "{ path: /*, service: \"${env:KEY}\" }"),
    ("api_key: {", "authorize: { rule: \"${env:KEY}\" }\n  api_key: {"),
    ("api_key: {", "authorize: { rule: \"caller.id == '${env:KEY}' && nothing\" }\n  api_key: {"),
    // Written at a wrong place, or in a wrong form.
    ("api_keys: [\"${env:KEY}\", { key: written-pl4nted-0123456789, name: written }]", "api_keys: pl4nted"),
    ("{ key: written-pl4nted-0123456789, name: written }", "{ value: pl4nted }"),
    ("{ key: written-pl4nted-0123456789, name: written }", "{ kye: pl4nted }"),
    ("{ key: written-pl4nted-0123456789, name: written }", "{ key: pl4nted, key: pl4nted-too }"),
    (
        "{ key: written-pl4nted-0123456789, name: written }",
        "{ key: [pl4nted] }, { key: { pl4nted: pl4nted } }",
    ),
    ("{ key: written-pl4nted-0123456789, name: written }", "[pl4nted], { pl4nted: x }, { key: a,pl4nted }"),
    ("api_keys: [", "api_key: pl4nted\n    api_keys: ["),
    ("api_keys: [", "apikeys: [pl4nted]\n    api_keys: ["),
    ("api_keys: [", "apikeys: { key: pl4nted }\n    api_keys: ["),
    ("api_keys: [", "api_keys: { key: pl4nted }\n    more: ["),
    ("api_keys: [", "api_keys: [pl4nted]\n    api_keys: ["),
    ("consumers:", "consumer: [{ api_keys: [pl4nted] }]\nconsumers:"),
    ("consumers:", "consumers: [{ name: b, api_keys: [pl4nted] }]\nconsumers:"),
    ("consumers:", "users: [{ name: b, api_keys: [pl4nted] }]\nconsumers:"),
    ("password: \"${file:hash}\"", "pasword: pl4nted"),
    ("password: \"${file:hash}\"", "password: pl4nted"),
    ("password: \"${file:hash}\"", "password: $argon2id$v=19$m=19456,t=2,p=1$cGw0bnRlZHBsNG50ZWQ$cGw0bnRlZ"),
    ("secret: \"${env:HMAC}\"", "secret: [pl4nted]"),
    ("secret: \"${env:HMAC}\"", "secert: pl4nted # pl4nted"),
    ("secret: \"${env:HMAC}\"", "secret: pl4nted: pl4nted"),
    ("secret: \"${env:HMAC}\"", "secret: \"pl4nted"),
    ("secret: \"${env:HMAC}\"", "secret: &pl4nted x"),
    ("{ secret: \"${env:JWT}\" }", "{ secrt: pl4nted }"),
    ("{ secret: \"${env:JWT}\" }", "pl4nted"),
    ("keys: { secret: \"${env:JWT}\" }", "secret: pl4nted"),
    ("client_secret: \"${env:CLIENT}\"", "secret: pl4nted"),
    ("introspection: {", "introspction: { client_secret: pl4nted }\n  introspection: {"),
    ("policies:", "polices: { introspection: { client_secret: pl4nted } }\npolicies:"),
    ("token: \"${env:ADMIN}\"", "tokn: pl4nted"),
    ("token: \"${env:ADMIN}\"", "token: [pl4nted]"),
    ("site: { ", "site: { sticky: { cookie: c, secret: [pl4nted], secrets: pl4nted }, secret: pl4nted, "),
];

#[test]
fn what_is_wrong_is_said_without_what_it_is() {
    let origin = Origin::saying("fine");
    let good = setup(&origin);
    for (from, to) in MISTAKES {
        assert!(good.yaml.contains(from), "{from}");
        let setup = Setup {
            yaml: good.yaml.replacen(from, to, 1),
            environment: good.environment.clone(),
            files: good.files.clone(),
            ..Setup::default()
        };
        for format in [&[][..], &["--format", "json"]] {
            let output = check(&setup, format);
            let text = String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success(), "{to}: {text}");
            assert_clean(to, &text);
        }
    }
}

/// A gateway that runs is told of a mistake: what it prints and what it shows hold nothing of it.
#[test]
fn a_reload_with_a_mistake_says_no_secret() {
    let origin = Origin::saying("fine");
    let setup = setup(&origin);
    let gateway = setup.start();
    let token = format!("ADMIN-{PLANTED}-0123456789abcdef0123456789abcdef");
    for (key, to) in [("api_key", "api_key: pl4nted"), ("apikeys", "apikeys: [pl4nted]")] {
        let mistake = setup.yaml.replace("    api_keys: [", &format!("    {to}\n    api_keys: ["));
        let seen = gateway.rewrite(&mistake);
        gateway.wait_for(&format!("unknown key `{key}`"), seen);
        let ask = format!("GET /config HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n");
        assert_clean("/config", &format!("{}", Client::connect(gateway.admin()).ask(ask)));
    }
    assert_clean("what the gateway prints", &gateway.log());
}
