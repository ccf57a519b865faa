//! Certificates that change while they are in use: nobody notices, and a bad file changes nothing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

use std::time::Duration;

use end_to_end::certificates::{Authority, Identity, Wish};
use end_to_end::http2::Http2;
use end_to_end::tls::{Load, dial, get};
use end_to_end::{Gateway, Setup, check, wait_until};
use serde_json::json;

fn setup(identity: &Identity) -> Setup {
    Setup {
        files: vec![("cert.pem".into(), identity.cert.clone()), ("key.pem".into(), identity.key.clone())],
        workers: Some(2),
        ..Setup::new(
            "listen: { address: 127.0.0.1:0, tls: { certificates: [{ cert: cert.pem, key: key.pem }] } }\n\
             routes: [{ path: /*, respond: { body: hello } }]\n",
        )
    }
}

/// Writes a file as deployment tools do it: whole at once.
fn replace(gateway: &Gateway, name: &str, text: &str) {
    let new = gateway.folder().write(&format!("{name}.new"), text);
    std::fs::rename(new, gateway.folder().path().join(name)).unwrap();
}

fn shown(gateway: &Gateway) -> u64 {
    let shaken = &dial(gateway.address(), json!({ "name": "a.test" }))[0];
    assert!(shaken.ok(), "{shaken:?}");
    shaken.serial()
}

fn is_shown(gateway: &Gateway, serial: u64) {
    wait_until("the new certificate is shown", Duration::from_secs(10), || shown(gateway) == serial);
}

#[test]
fn certificates_are_swapped_under_load() {
    let authority = Authority::new("tests");
    let gateway = setup(&authority.sign(&Wish::server(&["a.test"]))).start();
    assert_eq!(shown(&gateway), 1);
    let open = Http2::connect_with(gateway.address(), json!({ "tls": { "name": "a.test" } }));
    let load = Load::start(gateway.address(), json!({ "name": "a.test", "request": get("a.test", "/") }));
    for serial in 2..6 {
        let identity = authority.sign(&Wish::server(&["a.test"]));
        // One after the other: between the two they do not fit together.
        replace(&gateway, "cert.pem", &identity.cert);
        assert!(dial(gateway.address(), json!({ "name": "a.test" }))[0].ok());
        replace(&gateway, "key.pem", &identity.key);
        is_shown(&gateway, serial);
        open.headers(
            2 * serial + 1,
            json!([[":method", "GET"], [":scheme", "https"], [":authority", "a.test"], [":path", "/"]]),
            true,
        );
        assert_eq!(open.response(2 * serial + 1).status(), 200, "open connections go on");
    }
    let (count, serials, failures) = load.finish();
    assert!(failures.is_empty(), "{} of {count} failed: {:?}", failures.len(), failures.first());
    assert!(count > 50 && serials.len() >= 3, "{count} connections saw {serials:?}");
    assert_eq!(open.events().count("goaway"), 0);
    gateway.stop();
}

#[test]
fn a_bad_file_keeps_the_old_certificate_and_is_reported() {
    let authority = Authority::new("tests");
    let identity = authority.sign(&Wish::server(&["a.test"]));
    let gateway = setup(&identity).start();
    let other = authority.sign(&Wish::server(&["a.test"]));
    let half = &other.cert[..other.cert.len() / 2];
    let bad = [
        ("cert.pem", "garbage"),
        ("cert.pem", ""),
        ("cert.pem", half),
        ("cert.pem", other.cert.as_str()),
        ("key.pem", other.key.as_str()),
    ];
    for (name, text) in bad {
        let seen = gateway.log().len();
        replace(&gateway, name, text);
        gateway.wait_for(name, seen);
        assert_eq!(shown(&gateway), 1, "{name}: {text:.30}");
        replace(&gateway, "cert.pem", &identity.cert);
        replace(&gateway, "key.pem", &identity.key);
    }
    let seen = gateway.log().len();
    std::fs::remove_file(gateway.folder().path().join("key.pem")).unwrap();
    gateway.wait_for("key.pem", seen);
    assert_eq!(shown(&gateway), 1);
    let third = authority.sign(&Wish::server(&["a.test"]));
    replace(&gateway, "cert.pem", &third.cert);
    replace(&gateway, "key.pem", &third.key);
    is_shown(&gateway, 3);
    gateway.stop();
}

#[test]
fn check_says_what_is_wrong_with_a_certificate() {
    let authority = Authority::new("tests");
    let good = authority.sign(&Wish::server(&["a.test"]));
    let other = authority.sign(&Wish::server(&["a.test"]));
    let run = |cert: &str, key: &str| {
        let mut setup = setup(&good);
        setup.files = vec![("cert.pem".into(), cert.into()), ("key.pem".into(), key.into())];
        let output = check(&setup, &[]);
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr),
        )
    };
    let (well, text) = run(&good.cert, &good.key);
    assert!(well, "{text}");
    for (cert, key, named) in [
        ("garbage", good.key.as_str(), "cert.pem"),
        (&good.cert, "garbage", "key.pem"),
        (&good.cert, &other.key, "key.pem"),
    ] {
        let (well, text) = run(cert, key);
        assert!(!well && text.contains(named) && text.contains("help"), "{text}");
    }
    let expired = authority.sign(&Wish::server(&["a.test"]).days(-10..-1));
    let (_, text) = run(&expired.cert, &expired.key);
    assert!(text.contains("expired"), "{text}");
    let soon = authority.sign(&Wish::server(&["a.test"]).days(-10..3));
    let (well, text) = run(&soon.cert, &soon.key);
    assert!(well && text.contains("expire"), "{text}");
}
