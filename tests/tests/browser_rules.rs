//! What the policies of the door say: `cors` to browsers, and `geo` by databases that change. `csrf`, `ip` and `bots` are
//! cases in `cases/policies`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

use std::fs;
use std::path::Path;

use end_to_end::{Folder, Gateway, Message, Origin, Setup};

/// Writes databases as MaxMind does.
#[path = "../../crates/policy/src/geo/mmdb.rs"]
#[allow(dead_code, reason = "the policy's own tests use more of it")]
mod mmdb;

const KEY: &str = "X-Api-Key: 0123456789abcdef-mobile\r\n";
const APP: &str = "https://app.example.com";

fn values<'m>(message: &'m Message, name: &str) -> Vec<&'m str> {
    let of_name = message.fields.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
    of_name.map(|(_, value)| value.as_str()).collect()
}

/// What of an answer is about pages of other origins.
fn permissions(message: &Message) -> Vec<&str> {
    let is_one = |name: &str| name.to_lowercase().starts_with("access-control-");
    message.fields.iter().map(|(name, _)| name.as_str()).filter(|name| is_one(name)).collect()
}

/// A service with opinions of its own, behind a key and what pages of others may.
fn guarded(cors: &str) -> (Origin, Gateway) {
    let origin = Origin::serving(|_| {
        let fields = "Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Credentials: true\r\nETag: \"1\"\r\n\
                      Vary: Accept\r\nX-Inner: 1\r\nContent-Length: 4\r\n";
        Some(format!("HTTP/1.1 200 OK\r\n{fields}\r\ndata").into_bytes())
    });
    let gateway = Gateway::start(format!(
        "listen: 127.0.0.1:0\nservices: {{ site: {{ endpoints: [http://{}] }} }}\n\
         consumers: [{{ name: mobile, api_keys: [0123456789abcdef-mobile] }}]\n\
         routes: [{{ path: /*, service: site, policies: {{ api_key: {{}}, cors: {{ {cors} }} }} }}]\n",
        origin.address()
    ));
    (origin, gateway)
}

fn ask(gateway: &Gateway, method: &str, fields: &str) -> Message {
    gateway.connect().ask(format!("{method} /data HTTP/1.1\r\nHost: gw.test\r\n{fields}\r\n"))
}

fn preflight(gateway: &Gateway, origin: &str, more: &str) -> Message {
    ask(gateway, "OPTIONS", &format!("Origin: {origin}\r\nAccess-Control-Request-Method: PUT\r\n{more}"))
}

const LISTED: &str = "origins: [https://app.example.com, \"https://*.example.org\"], credentials: true, \
                      headers: [x-api-key, content-type], methods: [GET, PUT], expose: [etag], max_age: 1m";

/// Origins that are listed, and those that look like them.
const ORIGINS: [(&str, bool); 17] = [
    ("https://app.example.com", true),
    ("https://a.example.org", true),
    ("https://a.b.example.org", true),
    ("https://example.org", false),
    ("https://evilexample.org", false),
    ("https://a.example.org.evil.test", false),
    ("https://app.example.com.evil.test", false),
    ("https://app.example.com:8443", false),
    ("http://app.example.com", false),
    ("https://app-example.com", false),
    ("https://evil.test/https://app.example.com", false),
    ("https://app.example.com@evil.test", false),
    ("https://app.example.com, https://evil.test", false),
    ("https://app.example.com/", false),
    ("null", false),
    ("*", false),
    ("file://", false),
];

#[test]
fn preflights_are_answered_without_a_key_and_never_reach_the_service() {
    let (origin, gateway) = guarded(LISTED);
    for (from, listed) in ORIGINS {
        let answer = preflight(&gateway, from, "Access-Control-Request-Headers: x-api-key\r\n");
        if !listed {
            assert_eq!((answer.status(), permissions(&answer)), (403, vec![]), "{from}: {answer}");
            assert!(answer.text().contains("\"cors-origin\""), "{answer}");
            continue;
        }
        assert_eq!((answer.status(), answer.text().as_str()), (204, ""), "{from}: {answer}");
        for (name, value) in [
            ("access-control-allow-origin", from),
            ("access-control-allow-credentials", "true"),
            ("access-control-max-age", "60"),
        ] {
            assert_eq!(values(&answer, name), [value], "{answer}");
        }
        let list = |name: &str| {
            let mut list: Vec<String> =
                values(&answer, name).join(",").split(',').map(|one| one.trim().to_lowercase()).collect();
            list.sort_unstable();
            list
        };
        assert_eq!(list("access-control-allow-methods"), ["get", "put"]);
        assert_eq!(list("access-control-allow-headers"), ["content-type", "x-api-key"]);
        assert!(list("vary").contains(&"origin".to_owned()), "{answer}");
    }
    assert_eq!(origin.count(), 0);
    // What is no preflight is asked for a key.
    assert_eq!(ask(&gateway, "OPTIONS", &format!("Origin: {APP}\r\n")).status(), 401);
    assert_eq!(ask(&gateway, "OPTIONS", "Access-Control-Request-Method: PUT\r\n").status(), 401);
    let get = format!("Origin: {APP}\r\nAccess-Control-Request-Method: PUT\r\n");
    assert_eq!(ask(&gateway, "GET", &get).status(), 401);
    assert_eq!(origin.count(), 0);
    gateway.stop();
}

#[test]
fn answers_are_for_pages_of_listed_origins() {
    let (_origin, gateway) = guarded(LISTED);
    for (from, listed) in ORIGINS {
        // With a key, and refused without one.
        for (key, status) in [(KEY, 200), ("", 401)] {
            let answer = ask(&gateway, "GET", &format!("Origin: {from}\r\n{key}"));
            assert_eq!(answer.status(), status, "{from}: {answer}");
            let vary = values(&answer, "vary").join(",").to_lowercase();
            assert!(vary.contains("origin"), "{answer}");
            assert!(status == 401 || vary.contains("accept"), "what the service says stays: {answer}");
            if !listed {
                assert!(permissions(&answer).is_empty(), "{from}: {answer}");
                continue;
            }
            assert_eq!(values(&answer, "access-control-allow-origin"), [from], "{answer}");
            assert_eq!(values(&answer, "access-control-allow-credentials"), ["true"], "{answer}");
            assert_eq!(values(&answer, "access-control-expose-headers"), ["etag"], "{answer}");
        }
    }
    // Also those who are no pages share a cache with them.
    let answer = ask(&gateway, "GET", KEY);
    assert!(
        permissions(&answer).is_empty()
            && values(&answer, "vary").join(",").to_lowercase().contains("origin")
    );
    let twice = ask(&gateway, "GET", &format!("Origin: {APP}\r\nOrigin: https://evil.test\r\n{KEY}"));
    assert!(permissions(&twice).is_empty(), "{twice}");
    gateway.stop();
    let (_origin, gateway) = guarded("origins: [\"*\"]");
    for from in [APP, "null", "https://evil.test"] {
        let answer = ask(&gateway, "GET", &format!("Origin: {from}\r\n{KEY}"));
        assert_eq!(values(&answer, "access-control-allow-origin"), ["*"], "{answer}");
        assert_eq!(values(&answer, "access-control-allow-credentials"), [""; 0], "{answer}");
        assert_eq!(values(&answer, "vary"), ["Accept"], "the same for all: {answer}");
    }
    gateway.stop();
}

const COUNTRIES: &str = "geo.mmdb";

fn database(networks: &[(&str, u8, &'static str)]) -> Vec<u8> {
    let networks: Vec<_> = networks
        .iter()
        .map(|(address, prefix, code)| (*address, *prefix, mmdb::Value::country(code)))
        .collect();
    mmdb::database("GeoLite2-Country", &networks)
}

/// Puts a file in the place of another at once.
fn put(folder: &Path, bytes: &[u8]) {
    fs::write(folder.join("new.mmdb"), bytes).unwrap();
    fs::rename(folder.join("new.mmdb"), folder.join(COUNTRIES)).unwrap();
}

#[test]
fn countries_by_a_database_that_is_changed_under_way() {
    let (origin, folder) = (Origin::saying("page"), Folder::new());
    put(
        folder.path(),
        &database(&[("192.0.2.0", 24, "DE"), ("198.51.100.0", 24, "US"), ("2001:db8::", 32, "FR")]),
    );
    let place = folder.path().join(COUNTRIES).display().to_string();
    let gateway = Setup::new(format!(
        "listen: 127.0.0.1:0\ntrusted_proxies: [127.0.0.1]\nservices: {{ site: {{ endpoints: [http://{}] }} }}\n\
         policies: {{ geo: {{ database: {place}, allow: [DE, FR], header: x-geo-country }} }}\nroutes:\n\
         - {{ path: /known/*, service: site, policies: {{ geo: {{ database: {place}, header: x-geo-country }} }} }}\n\
         - {{ path: /*, service: site }}\n",
        origin.address()
    ))
    .start();
    let told = |target: &str, client: &str| {
        let fields = format!("X-Forwarded-For: {client}\r\nX-Geo-Country: DE\r\nX_Geo_Country: DE\r\n");
        let before = origin.count();
        let answer = gateway.connect().ask(format!("GET {target} HTTP/1.1\r\nHost: gw.test\r\n{fields}\r\n"));
        if answer.status() != 200 {
            assert!(answer.text().contains("\"geo-refused\"") && origin.count() == before, "{answer}");
            return format!("{}", answer.status());
        }
        let request = origin.requests().pop().unwrap();
        assert_eq!(request.field("x_geo_country"), None, "{request}");
        values(&request, "x-geo-country").join(",")
    };
    for (client, said, said_where_all_may) in [
        ("192.0.2.1", "DE", "DE"),
        ("::ffff:192.0.2.1", "DE", "DE"),
        ("2001:db8::1", "FR", "FR"),
        ("198.51.100.1", "403", "US"),
        ("203.0.113.1", "403", ""),
        ("127.0.0.1", "403", ""),
        ("2001:db9::1", "403", ""),
    ] {
        assert_eq!(told("/", client), said, "{client}");
        assert_eq!(told("/known/", client), said_where_all_may, "{client}");
    }
    // Another database in its place is taken over, and nobody has to say so.
    let seen = gateway.log().len();
    put(folder.path(), &database(&[("192.0.2.0", 24, "US"), ("198.51.100.0", 24, "DE")]));
    gateway.wait_for("gateward: reloaded: ", seen);
    assert_eq!((&*told("/", "192.0.2.1"), &*told("/", "198.51.100.1")), ("403", "DE"));
    // One that is broken is reported, and changes nothing.
    let seen = gateway.log().len();
    put(folder.path(), b"no database");
    gateway.wait_for("the one before stays in use", seen);
    assert_eq!((&*told("/", "192.0.2.1"), &*told("/", "198.51.100.1")), ("403", "DE"));
    let seen = gateway.log().len();
    put(folder.path(), &database(&[("192.0.2.0", 24, "DE")]));
    gateway.wait_for("gateward: reloaded: ", seen);
    assert_eq!((&*told("/", "192.0.2.1"), &*told("/", "198.51.100.1")), ("DE", "403"));
    gateway.stop();
}
