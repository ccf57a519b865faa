//! Services over TLS: they are verified before a byte of a request is sent.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

use std::io::{Read, Write};

use end_to_end::certificates::{Authority, Identity, Wish};
use end_to_end::tls::TlsService;
use end_to_end::{Folder, Gateway, Origin, Setup, check};
use serde_json::{Value, json};

fn service(folder: &Folder, identity: &Identity, mut more: Value) -> TlsService {
    more["cert"] = json!(folder.write("service.pem", &identity.cert));
    more["key"] = json!(folder.write("service.key", &identity.key));
    TlsService::start(more)
}

fn setup(address: &str, tls: &str, authority: &Authority) -> Setup {
    Setup {
        files: vec![("ca.pem".into(), authority.cert().into())],
        ..Setup::new(format!(
            "listen: 127.0.0.1:0\n\
             services: {{ site: {{ endpoints: [https://{address}], tls: {{ {tls} }} }} }}\n\
             routes: [{{ path: /*, service: site }}]\n"
        ))
    }
}

fn ask(gateway: &Gateway) -> (u16, String) {
    let answer = gateway.connect().get("/secret");
    (answer.status(), answer.text())
}

#[test]
fn a_service_that_is_trusted_is_asked() {
    let (folder, authority) = (Folder::new(), Authority::new("tests"));
    let service = service(&folder, &authority.sign(&Wish::server(&["service.test"])), json!({}));
    let gateway =
        setup(&service.address().to_string(), "server_name: service.test, ca: ca.pem", &authority).start();
    assert_eq!(ask(&gateway), (200, "secure".to_owned()));
    let shaken = service.events().take("handshake", |_| true);
    assert_eq!((&shaken["name"], &shaken["version"]), (&json!("service.test"), &json!("TLSv1.3")));
    let head = service.events().take("request", |_| true);
    assert!(head["text"].as_str().unwrap().starts_with("GET /secret HTTP/1.1\r\n"), "{head}");
    // The connection is kept; a new one resumes.
    assert_eq!(ask(&gateway).0, 200);
    assert_eq!(service.events().count("handshake"), 0);
    assert_eq!(gateway.connect().get("/close").status(), 200);
    assert_eq!(ask(&gateway).0, 200);
    assert_eq!(service.events().take("handshake", |_| true)["reused"], true);
    gateway.stop();
}

#[test]
fn addresses_are_names_too() {
    let (folder, authority) = (Folder::new(), Authority::new("tests"));
    let service = service(&folder, &authority.sign(&Wish::server(&["127.0.0.1"])), json!({}));
    let gateway = setup(&service.address().to_string(), "ca: ca.pem", &authority).start();
    assert_eq!(ask(&gateway), (200, "secure".to_owned()));
    assert_eq!(
        service.events().take("handshake", |_| true)["name"],
        Value::Null,
        "RFC 6066 §3: no address in SNI"
    );
    gateway.stop();
}

#[test]
fn a_service_that_is_not_trusted_gets_nothing() {
    let (tests, others) = (Authority::new("tests"), Authority::new("others"));
    let name = Wish::server(&["service.test"]);
    let table = [
        ("another name", tests.sign(&Wish::server(&["other.test"])), "server_name: service.test, ca: ca.pem"),
        ("another authority", others.sign(&name), "server_name: service.test, ca: ca.pem"),
        ("an authority the system does not know", tests.sign(&name), "server_name: service.test"),
        ("expired", tests.sign(&name.clone().days(-10..-1)), "server_name: service.test, ca: ca.pem"),
        ("not yet valid", tests.sign(&name.clone().days(1..10)), "server_name: service.test, ca: ca.pem"),
        ("of a client", tests.sign(&Wish::client("service.test")), "server_name: client.test, ca: ca.pem"),
        ("the name of the endpoint", tests.sign(&name), "ca: ca.pem"),
    ];
    for (what, identity, tls) in table {
        let folder = Folder::new();
        let service = service(&folder, &identity, json!({}));
        let gateway = setup(&service.address().to_string(), tls, &tests).start();
        assert_eq!(ask(&gateway).0, 502, "{what}");
        service.events().take("failed", |_| true);
        assert_eq!(service.events().count("request"), 0, "{what}");
        gateway.stop();
    }
}

#[test]
fn verification_can_be_switched_off_and_check_warns() {
    let (folder, authority) = (Folder::new(), Authority::new("tests"));
    let identity = Authority::new("others").sign(&Wish::server(&["other.test"]).days(-10..-1));
    let service = service(&folder, &identity, json!({}));
    let setup = setup(&service.address().to_string(), "insecure_skip_verify: true", &authority);
    let gateway = setup.start();
    assert_eq!(ask(&gateway), (200, "secure".to_owned()));
    gateway.stop();
    let output = check(&setup, &[]);
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && text.contains("warning") && text.contains("insecure_skip_verify"),
        "{text}"
    );
}

#[test]
fn a_service_may_ask_for_a_certificate() {
    let (folder, authority, clients) = (Folder::new(), Authority::new("tests"), Authority::new("clients"));
    let ca = folder.write("clients.pem", clients.cert());
    let service = service(&folder, &authority.sign(&Wish::server(&["service.test"])), json!({ "ca": ca }));
    let tls = "server_name: service.test, ca: ca.pem";
    let address = service.address().to_string();
    let bare = setup(&address, tls, &authority).start();
    assert_eq!(ask(&bare).0, 502);
    bare.stop();
    let mut setup = setup(&address, &format!("{tls}, cert: gw.pem, key: gw.key"), &authority);
    let identity = clients.sign(&Wish::client("gateward"));
    setup.files.extend([("gw.pem".into(), identity.cert), ("gw.key".into(), identity.key)]);
    let gateway = setup.start();
    assert_eq!(ask(&gateway), (200, "secure".to_owned()));
    assert_eq!(service.events().take("handshake", |_| true)["client"], "gateward");
    gateway.stop();
}

#[test]
fn old_versions_of_services() {
    let (folder, authority) = (Folder::new(), Authority::new("tests"));
    let identity = authority.sign(&Wish::server(&["service.test"]));
    let service = service(&folder, &identity, json!({ "max": "TLSv1_2" }));
    let address = service.address().to_string();
    let tls = "server_name: service.test, ca: ca.pem";
    let gateway = setup(&address, tls, &authority).start();
    assert_eq!(ask(&gateway).0, 200);
    gateway.stop();
    let gateway = setup(&address, &format!("{tls}, min_version: \"1.3\""), &authority).start();
    assert_eq!(ask(&gateway).0, 502);
    gateway.stop();
}

/// CVE-2026-1642: what comes before the handshake is no answer.
#[test]
fn plain_bytes_are_no_answer() {
    let authority = Authority::new("tests");
    let origin = Origin::raw(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
        let _ = stream.read(&mut [0; 4096]);
    });
    let gateway =
        setup(&origin.address().to_string(), "server_name: service.test, ca: ca.pem", &authority).start();
    assert_eq!(ask(&gateway).0, 502);
    gateway.stop();
}
