//! What holds: complete, readable again, and without secrets.

use document::{
    Decode, Diagnostics, Entry, Map, MemoryEnvironment, Node, Scalar, Secret, Shape, SourceId, Span, Spanned,
    Value, parse,
};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value as Json, json};

use super::model::FILE;
use crate::{Config, effective, load_text};

document::section! {
    /// A policy that has all that policies have.
    struct Lock {
        /// Fields.
        set: Option<Map<String>>,
        /// What opens it.
        key: Option<Secret>,
        /// How often.
        turns: u32 = "2",
    }
}

/// The shape of the one kind of policy that is known here.
fn lock(kind: &str) -> Option<Shape> {
    (kind == "lock").then(Lock::shape)
}

/// What holds by a text, right or wrong, where something can be read.
fn of(text: &str) -> Option<Json> {
    let environment = MemoryEnvironment::new().with_var("KEY", "s3cret0123456789").with_file("key", "s3cret");
    load_text("gateward.yaml", text, &environment).tree.map(|tree| effective(&tree, &lock))
}

#[test]
fn a_small_file_has_all_defaults() {
    let all = of(
        "listen: 0.0.0.0:8080\nservices: { a: { endpoints: [http://a] } }\nroutes: [{ path: /*, service: a }]\n",
    );
    let wanted = json!({
        "listen": [{
            "address": "0.0.0.0:8080",
            "protocols": ["http1", "http2"],
            "redirect_https": false,
            "proxy_protocol": false,
            "limits": {
                "connections": 50000, "header_bytes": "32KiB", "headers": 100, "streams": 128, "uri": "8KiB",
                "min_rate": "512B"
            },
            "timeouts": { "header": "10s", "idle": "75s", "body": "30s", "send": "30s" },
        }],
        "workers": "auto",
        "overload": { "lag": "100ms", "memory": "90%" },
        "shutdown": { "drain": "30s", "delay": "0s" },
        "trusted_proxies": [],
        "state": "memory",
        "consumers": [],
        "plans": {},
        "services": { "a": {
            "endpoints": [{ "url": "http://a", "weight": 1 }],
            "protocol": "http1",
            "balance": "round_robin",
            "timeouts": {
                "connect": "1s", "response": "30s", "stream": "5m", "idle": "60s", "tunnel": "1h"
            },
            "connections": { "max": 1000, "idle": 128 },
            "retries": {
                "attempts": 1, "on": ["connect_failure", "reset", "stall"], "again": false, "backoff": "25ms", "budget": "20%"
            },
            "eject": {
                "after": 5, "failure_rate": "20%", "slower_than_others": "10x", "min_requests": 20,
                "window": "10s", "for": "30s", "max": "50%"
            },
            "slow_start": "10s",
        } },
        "routes": [{ "grpc_web": false, "importance": "normal", "path": "/*", "priority": 0, "service": "a" }],
        "telemetry": { "access_log": "off" },
    });
    assert_eq!(all, Some(wanted));
}

#[test]
fn every_form_of_a_key_becomes_one() {
    for (text, pointer, wanted) in [
        ("admin: off", "/admin", json!("off")),
        ("admin: 127.0.0.1:1", "/admin", json!({ "address": "127.0.0.1:1" })),
        ("admin: {}", "/admin", json!({ "address": "127.0.0.1:9901" })),
        ("admin: { token: abcdefghijklmnop }", "/admin/token", json!("[hidden]")),
        (
            "telemetry: { access_log: stdout }",
            "/telemetry/access_log",
            json!({ "to": "stdout", "format": "json" }),
        ),
        ("telemetry: { access_log: a/b.log }", "/telemetry/access_log/to", json!("a/b.log")),
        ("telemetry: { access_log: { to: a } }", "/telemetry/access_log/format", json!("json")),
        ("dns: { servers: 1.2.3.4:53 }", "/dns/servers", json!(["1.2.3.4:53"])),
        ("routes: [{ hosts: a, methods: [GET, HEAD] }]", "/routes/0/hosts", json!(["a"])),
        ("routes: [{ headers: { a: true } }]", "/routes/0/headers/a", json!(true)),
        ("routes: [{ headers: { a: 'true' } }]", "/routes/0/headers/a", json!("true")),
        ("routes: [{ query: { a: 2 } }]", "/routes/0/query/a", json!("2")),
        ("routes: [{ split: { a: 95, b: 5 } }]", "/routes/0/split", json!({ "a": 95, "b": 5 })),
        ("services: { a: { retries: {} } }", "/services/a/retries/on/1", json!("reset")),
        ("services: { a: { retries: { on: [503] } } }", "/services/a/retries/on/0", json!(503)),
        ("policies: { lock: off }", "/policies/lock", json!("off")),
        ("policies: { lock: {} }", "/policies/lock", json!({ "turns": 2 })),
        ("policies: { lock: { set: { a: b } } }", "/policies/lock/set/a", json!("b")),
        ("policies: { bolt: { set: { a: b } } }", "/policies/bolt", json!("[hidden]")),
        ("workers: 4", "/workers", json!(4)),
        ("listen: { address: a, redirect_https: true }", "/listen/0/redirect_https", json!(true)),
        ("listen: { address: a, redirect_https: 8443 }", "/listen/0/redirect_https", json!(8443)),
        (
            "listen: { tls: { client_auth: { ca: key, crl: key } } }",
            "/listen/0/tls/client_auth/crl",
            json!(["key"]),
        ),
        ("listen: { tls: {} }", "/listen/0/tls/min_version", json!("1.2")),
    ] {
        let all = of(text).unwrap();
        assert_eq!(all.pointer(pointer), Some(&wanted), "{text}: {all}");
    }
    assert_eq!(of("include: []\nworkers: 1").unwrap().get("include"), None);
    assert_eq!((of("a: ["), of("")), (None, None));
}

#[test]
fn no_secret_is_shown_wherever_it_stands() {
    for text in [
        "admin: { token: s3cret0123456789 }",
        "admin: { token: [s3cret] }",
        "admin: { token: { s3cret: s3cret } }",
        "admin: { tokn: s3cret0123456789 }",
        "admin: { token: '${env:KEY}' }",
        "admin: '${env:KEY}'",
        "telemetry: { access_log: '/log/${env:KEY}' }",
        "workers: ${file:key}",
        "listen: '${file:key}'",
        "services: { a: { endpoints: ['http://${file:key}:80'], balance: '${file:key}' } }",
        "services: { a: { retries: { on: ['${file:key}'], budget: '${file:key}' } } }",
        "routes: [{ headers: { a: '${file:key}' }, query: { b: 'x${env:KEY}' }, path: '/${file:key}' }]",
        "routes: [{ respond: { body: '${file:key}', headers: { a: '${file:key}' } } }]",
        "routes: [{ split: { a: '${file:key}' }, timeout: '${file:key}' }]",
        "routes: [{ policies: { lock: { key: s3cret, set: { a: 'Basic ${file:key}' } } } }]",
        "services: { a: { policies: { lock: { key: s3cret, turns: '${file:key}' } } } }",
        "policies: { lock: { set: { a: '${file:key}' } } }",
        "policies: { lock: '${file:key}' }",
        "policies: { bolt: { key: s3cret, s3cret: 1 } }",
        "policies: '${file:key}'",
        "consumers: [{ name: a, api_keys: [s3cret] }]",
        "listen: { tls: { certificates: [{ cert: key, key: key }], client_auth: { ca: key, crl: key } } }",
        "services: { a: { tls: { ca: key, cert: key, key: key } } }",
    ] {
        let all = of(text).unwrap().to_string();
        assert!(!all.contains("s3cret"), "{text}: {all}");
    }
}

/// What is shown is a configuration too, and the same one.
#[test]
fn it_can_be_read_again() {
    for text in [
        FILE,
        "admin: { address: 127.0.0.1:1 }\ntelemetry: { access_log: logs/a }\nshutdown: { delay: 5s }\n",
        "admin: off\ntelemetry: { access_log: stdout }\npolicies: { lock: { turns: 3 }, lock2: off }\n",
        "routes: [{ headers: { a: true, b: 'true', c: '~^x' }, respond: { headers: { a: b }, body: '' } }]",
        "services: { a: { endpoints: ['http://a', { url: 'http://[::1]:1', weight: 1000 }], retries: {} } }",
    ] {
        let first = of(text).unwrap();
        let loaded = load_text("gateward.yaml", &first.to_string(), &MemoryEnvironment::new());
        assert!(loaded.diagnostics.is_empty(), "{first}\n{:?}", loaded.diagnostics);
        assert_eq!(effective(&loaded.tree.unwrap(), &lock), first, "{text}");
    }
}

/// Pieces of the language, to be put together in any way.
const PIECES: &[&str] = &[
    "listen",
    "admin",
    "token",
    "address",
    "telemetry",
    "access_log",
    "to",
    "policies",
    "lock",
    "key",
    "set",
    "services",
    "a",
    "endpoints",
    "url",
    "routes",
    "headers",
    "path",
    "retries",
    "on",
    "shutdown",
    "off",
    "true",
    "stdout",
    "1",
    "-7",
    "1.5",
    "s",
    "http://a",
    "${env:KEY}",
    "''",
    "\"",
    "'",
    ": ",
    ":\n",
    "\n",
    "\n  ",
    "\n    ",
    "- ",
    "{",
    "}",
    "[",
    "]",
    ", ",
    ": {",
    ": [",
    "#",
    "|",
    ">",
    "~",
    "null",
    "?",
    "&a ",
    "*a",
    "!x ",
    "\u{1F600}",
];

/// Any tree, with names of the language at random places. What is secret says so.
fn tree() -> impl Strategy<Value = Node> {
    let span = Span::default();
    let node = move |value| Node { span, value };
    let word = || select(&PIECES[..28]).prop_map(str::to_owned);
    let scalar = (word(), any::<bool>(), any::<bool>()).prop_map(|(text, plain, secret)| {
        let text = if secret { format!("s3cret{text}") } else { text };
        Value::Scalar(Scalar { text, plain, secret, origin: None, files: None })
    });
    let leaf = prop_oneof![1 => Just(Value::Null), 9 => scalar].prop_map(node);
    leaf.prop_recursive(8, 60, 6, move |inner| {
        let entry =
            (word(), inner.clone()).prop_map(move |(key, node)| Entry { key: Spanned::new(key, span), node });
        prop_oneof![
            1 => prop::collection::vec(inner, 0..4).prop_map(Value::List),
            3 => prop::collection::vec(entry, 0..6).prop_map(Value::Map),
        ]
        .prop_map(node)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_can_be_looked_at(pieces in prop::collection::vec(select(PIECES), 0..40)) {
        let all = of(&pieces.concat()).map(|all| all.to_string()).unwrap_or_default();
        prop_assert!(!all.contains("s3cret"), "{}", all);
    }

    #[test]
    fn any_tree_can_be_looked_at(tree in tree()) {
        let all = effective(&tree, &lock).to_string();
        prop_assert!(!all.contains("s3cret"), "{}", all);
        prop_assert!(parse(SourceId(0), &all, &mut Diagnostics::new()).is_some(), "{}", all);
    }

    #[test]
    fn a_damaged_tour_can_be_looked_at(from in any::<Index>(), length in 0_usize..200, at in any::<Index>()) {
        let tour: Vec<&str> = include_str!("tour.yaml").split_inclusive([' ', '\n']).collect();
        let from = from.index(tour.len());
        let piece: Vec<&str> = tour.iter().skip(from).take(length).copied().collect();
        let mut damaged: Vec<&str> = [&tour[..from], &tour[(from + length).min(tour.len())..]].concat();
        let at = at.index(damaged.len() + 1);
        damaged.splice(at..at, piece);
        let _ = of(&damaged.concat());
    }
}

/// The decoder and what is shown agree on which keys there are.
#[test]
fn sections_have_their_keys_in_full() {
    let all = of("workers: 1").unwrap();
    let with_default =
        Config::info().keys.into_iter().filter(|key| key.default.is_some() && key.name != "include");
    for key in with_default {
        assert!(all.get(key.name).is_some(), "{}", key.name);
    }
}
