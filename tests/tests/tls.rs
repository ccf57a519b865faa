//! TLS with clients: which certificate is shown, versions, resumption, client certificates, and hostile handshakes.
//!
//! Clients are Python's `ssl` (OpenSSL), curl, `openssl s_client` and sslyze; certificates are made by `rcgen`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

use std::process::Command;
use std::time::{Duration, Instant};

use end_to_end::certificates::{Authority, Identity, Key, Wish};
use end_to_end::peer::{missing, outcome_of, output_of};
use end_to_end::python::python_with;
use end_to_end::tls::{dial, get};
use end_to_end::{Client, Gateway, Origin, SOON, Setup};
use serde_json::json;

/// The files of a certificate, as a gateway finds them beside its configuration.
fn files(name: &str, identity: &Identity) -> [(String, String); 2] {
    [(format!("{name}.pem"), identity.cert.clone()), (format!("{name}.key"), identity.key.clone())]
}

struct Site {
    authority: Authority,
    setup: Setup,
    origin: Origin,
}

/// A listener with certificates for these names, and an echo of the Host behind it. `more` goes into `tls`, `listener`
/// beside it.
fn site(certificates: &[(&str, &Wish)], more: &str, listener: &str) -> Site {
    let authority = Authority::new("tests");
    let origin = Origin::serving(|request| {
        let early = request.field("early-data").unwrap_or("0");
        let body = format!(
            "{} {} {early}",
            request.field("host").unwrap_or(""),
            request.field("x-forwarded-proto").unwrap_or("")
        );
        Some(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes())
    });
    let mut setup = Setup::default();
    for (name, wish) in certificates {
        setup.files.extend(files(name, &authority.sign(wish)));
    }
    let list: Vec<String> =
        certificates.iter().map(|(name, _)| format!("{{ cert: {name}.pem, key: {name}.key }}")).collect();
    setup.yaml = format!(
        "listen:\n- address: 127.0.0.1:0\n  tls: {{ certificates: [{}]{more} }}{listener}\n\
         services: {{ site: {{ endpoints: [http://{}] }} }}\nroutes: [{{ path: /*, service: site }}]\n",
        list.join(", "),
        origin.address()
    );
    setup.files.push(("ca.pem".into(), authority.cert().into()));
    Site { authority, setup, origin }
}

fn one(more: &str, listener: &str) -> Site {
    site(&[("a", &Wish::server(&["a.test"]))], more, listener)
}

fn ca(gateway: &Gateway) -> String {
    gateway.folder().path().join("ca.pem").display().to_string()
}

#[test]
fn certificates_are_chosen_by_name() {
    let site = site(
        &[
            ("default", &Wish::server(&["default.test"])),
            ("a", &Wish::server(&["a.test", "also-a.test"])),
            ("wild", &Wish::server(&["*.wild.test"])),
            ("exact", &Wish::server(&["exact.wild.test"])),
        ],
        "",
        "",
    );
    let gateway = site.setup.start();
    let table = [
        (Some("a.test"), "a.test"),
        (Some("also-a.test"), "a.test"),
        (Some("A.TEST"), "a.test"),
        (Some("one.wild.test"), "*.wild.test"),
        (Some("exact.wild.test"), "exact.wild.test"),
        (Some("deep.one.wild.test"), "default.test"),
        (Some("wild.test"), "default.test"),
        (Some("unknown.test"), "default.test"),
        (None, "default.test"),
    ];
    for (name, shown) in table {
        let mut job = json!({ "ca": ca(&gateway) });
        if let Some(name) = name {
            job["name"] = json!(name);
        }
        let shaken = &dial(gateway.address(), job)[0];
        assert_eq!(shaken.names().first(), Some(&shown), "{name:?}: {shaken:?}");
    }
    gateway.stop();
}

#[test]
fn a_client_gets_the_kind_of_key_that_it_understands() {
    let (rsa, ecdsa) = (Wish::server(&["a.test"]).key(Key::Rsa), Wish::server(&["a.test"]));
    let site = site(&[("rsa", &rsa), ("ecdsa", &ecdsa)], "", "");
    let gateway = site.setup.start();
    for (ciphers, key) in [("ECDHE-RSA-AES128-GCM-SHA256", "RSA"), ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDSA")]
    {
        let job =
            json!({ "name": "a.test", "max": "TLSv1_2", "ciphers": ciphers, "request": get("a.test", "/") });
        let shaken = &dial(gateway.address(), job)[0];
        assert_eq!((shaken.text("key"), shaken.status()), (key, 200), "{shaken:?}");
    }
    let shaken = &dial(gateway.address(), json!({ "name": "a.test" }))[0];
    assert_eq!(shaken.text("key"), "ECDSA", "the cheaper one where both would do");
    gateway.stop();
}

#[test]
fn versions() {
    let gateway = one("", "").setup.start();
    for (version, answered) in [("TLSv1", false), ("TLSv1_1", false), ("TLSv1_2", true), ("TLSv1_3", true)] {
        let job = json!({ "name": "a.test", "min": version, "max": version, "request": get("a.test", "/") });
        let shaken = &dial(gateway.address(), job)[0];
        assert_eq!(shaken.ok(), answered, "{version}: {shaken:?}");
    }
    gateway.stop();
    let site = one(", min_version: \"1.3\"", "");
    let gateway = site.setup.start();
    for (version, answered) in [("TLSv1_2", false), ("TLSv1_3", true)] {
        let shaken = &dial(gateway.address(), json!({ "name": "a.test", "min": version, "max": version }))[0];
        assert_eq!(shaken.ok(), answered, "{version}: {shaken:?}");
    }
    gateway.stop();
}

#[test]
fn what_the_service_sees() {
    let site = one("", "");
    let gateway = site.setup.start();
    let shaken = &dial(gateway.address(), json!({ "name": "a.test", "request": get("a.test", "/") }))[0];
    assert!(shaken.text("response").ends_with("\r\n\r\na.test https 0"), "{shaken:?}");
    gateway.stop();
}

#[test]
fn alpn() {
    let site = one("", "");
    let gateway = site.setup.start();
    for (offered, chosen) in
        [(json!(["h2", "http/1.1"]), "h2"), (json!(["http/1.1"]), "http/1.1"), (json!(["h2"]), "h2")]
    {
        let shaken = &dial(gateway.address(), json!({ "name": "a.test", "alpn": offered }))[0];
        assert_eq!(shaken.text("alpn"), chosen, "{shaken:?}");
    }
    // RFC 7301 §3.2: nothing in common is an alert, not a guess.
    assert!(!dial(gateway.address(), json!({ "name": "a.test", "alpn": ["spdy/3"] }))[0].ok());
    // Agreed on one, and another spoken: an end, and nothing of it at the service.
    let job = json!({ "name": "a.test", "alpn": ["h2"], "request": get("a.test", "/mixed") });
    assert_eq!(dial(gateway.address(), job)[0].status(), 0);
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let job = json!({ "name": "a.test", "alpn": ["http/1.1"], "request": preface });
    assert_ne!(dial(gateway.address(), job)[0].status(), 200);
    assert!(site.origin.requests().is_empty());
    let at = format!("a.test:{}:127.0.0.1", gateway.address().port());
    let url = format!("https://a.test:{}/x", gateway.address().port());
    let format = "\n%{http_version} %{num_connects}\n";
    let ca = ca(&gateway);
    let text =
        output_of("curl", &["-sS", "--fail", "--cacert", &ca, "--resolve", &at, "-w", format, &url, &url]);
    let host = format!("a.test:{} https 0", gateway.address().port());
    assert_eq!(text, format!("{host}\n2 1\n{host}\n2 0\n"));
    gateway.stop();
    let site = one("", "\n  protocols: [http1]");
    let gateway = site.setup.start();
    let shaken = &dial(gateway.address(), json!({ "name": "a.test", "alpn": ["h2", "http/1.1"] }))[0];
    assert_eq!(shaken.text("alpn"), "http/1.1");
    gateway.stop();
}

#[test]
fn sessions_are_resumed_by_any_worker() {
    let mut site = one("", "");
    site.setup.workers = Some(2);
    let gateway = site.setup.start();
    for version in ["TLSv1_2", "TLSv1_3"] {
        for _ in 0..4 {
            let job = json!({ "name": "a.test", "min": version, "max": version, "ca": ca(&gateway),
                              "request": get("a.test", "/"), "then": {} });
            let shaken = dial(gateway.address(), job);
            assert!(!shaken[0].reused() && shaken[1].reused(), "{version}: {shaken:?}");
            assert_eq!(shaken[1].status(), 200);
        }
    }
    gateway.stop();
}

/// CVE-2025-23419: what one name has proved does not count for another.
#[test]
fn a_session_of_one_name_does_not_open_another() {
    let (mut open, closed) = (one("", ""), one(", client_auth: { ca: clients.pem, mode: required }", ""));
    let clients = Authority::new("clients");
    let second =
        closed.setup.yaml.lines().skip(1).take(2).map(|line| line.to_owned() + "\n").collect::<String>();
    open.setup.yaml = open.setup.yaml.replace("services:", &(second + "services:"));
    open.setup.files.extend(files("b", &open.authority.sign(&Wish::server(&["b.test"]))));
    open.setup.yaml =
        open.setup.yaml.replacen("key: a.key }", "key: a.key }, { cert: b.pem, key: b.key }", 1);
    open.setup.files.push(("clients.pem".into(), clients.cert().into()));
    let gateway = open.setup.start();
    for version in ["TLSv1_2", "TLSv1_3"] {
        let job = json!({ "name": "a.test", "min": version, "max": version, "request": get("a.test", "/"),
                          "then": { "name": "b.test", "request": get("b.test", "/") } });
        let shaken = dial(gateway.address(), job);
        assert!(!shaken[1].reused() && shaken[1].names() == ["b.test"], "{version}: {shaken:?}");
        // A ticket of the listener that asks for nothing, shown to the one that asks for a certificate.
        let job = json!({ "name": "a.test", "min": version, "max": version, "request": get("a.test", "/"),
                          "then": { "address": gateway.addresses()[1].to_string() } });
        let shaken = dial(gateway.address(), job);
        assert!(shaken[0].status() == 200 && !shaken[1].ok(), "{version}: {shaken:?}");
    }
    gateway.stop();
}

#[test]
fn client_certificates() {
    let (clients, others) = (Authority::new("clients"), Authority::new("others"));
    let good = clients.sign(&Wish::client("good"));
    let revoked = clients.sign(&Wish::client("revoked"));
    let shown = [
        ("good", good.clone(), true),
        ("revoked", revoked.clone(), false),
        ("expired", clients.sign(&Wish::client("expired").days(-10..-1)), false),
        ("early", clients.sign(&Wish::client("early").days(1..10)), false),
        ("strange", others.sign(&Wish::client("strange")), false),
        ("server", clients.sign(&Wish::server(&["client.test"])), false),
    ];
    for mode in ["optional", "required"] {
        let auth = format!(", client_auth: {{ ca: clients.pem, mode: {mode}, crl: [revoked.crl] }}");
        let mut site = one(&auth, "");
        site.setup.files.push(("clients.pem".into(), clients.cert().into()));
        site.setup.files.push(("revoked.crl".into(), clients.revoke(&[&revoked])));
        for (name, identity, _) in &shown {
            site.setup.files.extend(files(name, identity));
        }
        let gateway = site.setup.start();
        let path = |name: &str| gateway.folder().path().join(name);
        for version in ["TLSv1_2", "TLSv1_3"] {
            let job =
                json!({ "name": "a.test", "min": version, "max": version, "request": get("a.test", "/") });
            let bare = &dial(gateway.address(), job.clone())[0];
            assert_eq!(bare.status() == 200, mode == "optional", "{mode} {version}: {bare:?}");
            for (name, _, accepted) in &shown {
                let mut job = job.clone();
                job["cert"] = json!(path(&format!("{name}.pem")));
                job["key"] = json!(path(&format!("{name}.key")));
                let shaken = &dial(gateway.address(), job)[0];
                assert_eq!(shaken.status() == 200, *accepted, "{mode} {version} {name}: {shaken:?}");
            }
        }
        gateway.stop();
    }
}

/// RFC 9110 §7.4: what was agreed on for one name is no permission to ask for another.
#[test]
fn a_host_that_is_not_the_name_is_misdirected() {
    let site = site(&[("a", &Wish::server(&["a.test"])), ("b", &Wish::server(&["b.test"]))], "", "");
    let gateway = site.setup.start();
    let table = [
        ("a.test", "a.test", 200),
        ("a.test", "A.Test:443", 200),
        ("a.test", "b.test", 421),
        ("b.test", "a.test", 421),
        ("a.test", "unknown.test", 421),
    ];
    for (name, host, status) in table {
        let shaken = &dial(gateway.address(), json!({ "name": name, "request": get(host, "/") }))[0];
        assert_eq!(shaken.status(), status, "{name}, {host}: {shaken:?}");
    }
    assert_eq!(site.origin.count(), 2, "nothing of the others is forwarded");
    let absolute = "GET http://b.test/ HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";
    assert_eq!(dial(gateway.address(), json!({ "name": "a.test", "request": absolute }))[0].status(), 421);
    assert_eq!(site.origin.count(), 2);
    let setup = json!({ "tls": { "name": "a.test" } });
    let client = end_to_end::http2::Http2::connect_with(gateway.address(), setup);
    for (stream, authority, status) in [(1, "b.test", 421), (3, "a.test", 200)] {
        let fields =
            json!([[":method", "GET"], [":scheme", "https"], [":authority", authority], [":path", "/"]]);
        client.headers(stream, fields, true);
        assert_eq!(client.response(stream).status(), status);
    }
    gateway.stop();
}

/// CVE-2026-32305: however a greeting is cut, it is the same greeting.
#[test]
fn a_greeting_in_pieces() {
    let site = site(&[("a", &Wish::server(&["a.test"])), ("b", &Wish::server(&["b.test"]))], "", "");
    let gateway = site.setup.start();
    for split in ["segments", "records"] {
        for version in ["TLSv1_2", "TLSv1_3"] {
            let job = json!({ "name": "b.test", "min": version, "max": version, "split": split, "request": get("b.test", "/") });
            let shaken = &dial(gateway.address(), job)[0];
            assert_eq!(
                (shaken.names(), shaken.status()),
                (vec!["b.test"], 200),
                "{split} {version}: {shaken:?}"
            );
        }
    }
    gateway.stop();
}

#[test]
fn the_wrong_protocol_ends_at_once() {
    let site = one("", "");
    let gateway = site.setup.start();
    let begun = Instant::now();
    let plain = gateway.connect();
    plain.send(get("a.test", "/plain"));
    assert!(plain.wait_end(Duration::from_secs(2)).is_some(), "plain HTTP to TLS: {:?}", plain.unread());
    for noise in [
        "\r\n\r\n",
        "SSH-2.0-x\r\n",
        "\x16\x03\x01\u{0}\u{0}",
        "\x15\x03\x01\u{0}\x02\x02\x28",
        "\x16\x03\x01\u{7f}",
    ] {
        let client = gateway.connect();
        client.send(noise);
        client.half_close();
        assert!(client.wait_end(Duration::from_secs(2)).is_some(), "{noise:?}");
    }
    assert!(site.origin.requests().is_empty());
    gateway.stop();
    let plain = Gateway::start("listen: 127.0.0.1:0\nroutes: [{ path: /*, respond: { body: x } }]\n");
    assert!(!dial(plain.address(), json!({ "name": "a.test", "timeout": 4 }))[0].ok());
    assert!(begun.elapsed() < SOON * 2, "that took {:?}", begun.elapsed());
    plain.stop();
}

#[test]
fn handshakes_that_never_end_are_ended() {
    let site = one("", "\n  timeouts: { header: 1s }");
    let gateway = site.setup.start();
    let greeting = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    let clients: Vec<Client> = (0..50).map(|_| gateway.connect()).collect();
    for (number, client) in clients.iter().enumerate() {
        client.send(&greeting[..number % greeting.len()]);
    }
    let shaken = &dial(gateway.address(), json!({ "name": "a.test", "request": get("a.test", "/") }))[0];
    assert_eq!(shaken.status(), 200, "others are served meanwhile");
    for client in &clients {
        assert!(client.wait_end(Duration::from_secs(5)).is_some(), "a handshake is waited for without end");
    }
    gateway.stop();
}

#[test]
fn https_is_where_clients_are_sent() {
    for (setting, port) in [("true", ""), ("8443", ":8443")] {
        let site = one("", "");
        let listen = format!("listen:\n- {{ address: 127.0.0.1:0, redirect_https: {setting} }}\n");
        let gateway = Setup { yaml: site.setup.yaml.replacen("listen:\n", &listen, 1), ..site.setup }.start();
        let client = gateway.connect();
        let answer = client.ask("GET /a%20b?c=d HTTP/1.1\r\nHost: a.test:8080\r\n\r\n");
        assert!(matches!(answer.status(), 301 | 308), "{answer}");
        assert_eq!(answer.field("location"), Some(format!("https://a.test{port}/a%20b?c=d").as_str()));
        // Nothing that a client says can lead elsewhere.
        for host in ["a.test\\@evil.test", "evil.test/x", "user@evil.test"] {
            let client = gateway.connect();
            let answer = client.ask(format!("GET /x HTTP/1.1\r\nHost: {host}\r\n\r\n"));
            assert_eq!(answer.status(), 400, "{host}");
        }
        assert!(site.origin.requests().is_empty());
        gateway.stop();
    }
}

/// RFC 8470: off unless asked for, and then for safe methods only, which the service can tell.
#[test]
fn early_data() {
    for (more, accepted) in [("", false), (", early_data: true", true)] {
        let site = one(more, "\n  timeouts: { header: 2s }");
        let gateway = site.setup.start();
        let folder = gateway.folder().path();
        let connect =
            format!("openssl s_client -connect {} -servername a.test -tls1_3 -ign_eof", gateway.address());
        let shell = |script: &str| {
            let output = Command::new("sh").args(["-c", script]).current_dir(folder).output().unwrap();
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
        };
        for (method, status) in [("GET", "200"), ("POST", "425")] {
            let request = get("a.test", "/early")
                .replace("GET", method)
                .replace("\r\n\r\n", "\r\nContent-Length: 0\r\n\r\n");
            gateway.folder().write("request", &request);
            shell(&format!("{connect} -sess_out session < request"));
            let before = site.origin.count();
            let text =
                shell(&format!("{connect} -sess_in session -early_data request < /dev/null | head -c 20000"));
            assert_eq!(text.contains("Early data was accepted"), accepted, "{method}: {text}");
            if accepted {
                assert!(text.contains(&format!("HTTP/1.1 {status} ")), "{method}: {text}");
                assert_eq!(site.origin.count() - before, usize::from(method == "GET"));
            }
        }
        let early =
            site.origin.requests().iter().filter(|request| request.field("early-data") == Some("1")).count();
        assert_eq!(early > 0, accepted);
        gateway.stop();
    }
}

#[test]
fn sslyze_finds_mozillas_intermediate_configuration() {
    let Some(python) = python_with("sslyze") else {
        missing("TLS by sslyze", "the package could not be installed");
        return;
    };
    for key in [Key::Ecdsa, Key::Rsa] {
        let site = site(&[("a", &Wish::server(&["localhost"]).key(key))], "", "");
        let gateway = site.setup.start();
        let target = format!("localhost:{}{{127.0.0.1}}", gateway.address().port());
        let python = python.to_str().unwrap();
        let ca = ca(&gateway);
        let arguments =
            ["-m", "sslyze", "--mozilla_config", "intermediate", "--certinfo_ca_file", &ca, &target];
        let (well, text) = outcome_of(python, &arguments);
        assert!(well, "{key:?}: {text}");
        gateway.stop();
    }
}
