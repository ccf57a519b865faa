//! Encryption, compiled: what becomes of files, and what is said about them.

use std::time::{Duration, SystemTime};

use config::load_text;
use diagnostics::render_text;
use document::MemoryEnvironment;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use snapshot::{AcmeChallenge, ProxyProtocol, Snapshot};

use crate::Outside;

/// The 14th of November 2023.
fn outside() -> Outside {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    Outside { authorities: || Err(none()), ..Outside::new(now) }
}

/// Of a system that trusts nobody.
fn none() -> tls::Error {
    tls::Authorities::from_pem("").unwrap_err()
}

fn made(hosts: &[&str], change: impl FnOnce(&mut CertificateParams)) -> (String, String) {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut params = CertificateParams::new(hosts).unwrap();
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

/// Certificates for every case.
fn environment() -> MemoryEnvironment {
    let mut environment = MemoryEnvironment::new().with_file("text", "nothing");
    let ends = |year, month, day| {
        move |params: &mut CertificateParams| params.not_after = date_time_ymd(year, month, day)
    };
    for (name, (cert, key)) in [
        ("a", made(&["a.test"], |_| {})),
        ("again", made(&["A.test"], |_| {})),
        ("wider", made(&["a.test", "w.test"], |_| {})),
        ("over", made(&["o.test"], ends(2023, 11, 1))),
        ("soon", made(&["s.test"], ends(2023, 11, 20))),
        ("later", made(&["l.test"], ends(2023, 12, 1))),
        ("early", made(&["e.test"], |params| params.not_before = date_time_ymd(2024, 1, 1))),
        ("nameless", made(&[], |_| {})),
        ("address", made(&["127.0.0.1"], |_| {})),
    ] {
        environment =
            environment.with_file(format!("{name}.pem"), &cert).with_file(format!("{name}.key"), &key);
        environment = environment
            .with_file(format!("state/acme/certificates/{name}.test/cert.pem"), &cert)
            .with_file(format!("state/acme/certificates/{name}.test/key.pem"), &key);
    }
    let (cert, _) = made(&["broken.test"], |_| {});
    environment
        .with_file("state/acme/certificates/broken.test/cert.pem", &cert)
        .with_file("state/acme/certificates/broken.test/key.pem", "S3CRET")
}

/// What is said, as `warning certificate-expires "over.pem"`, and what comes of it.
fn compile(text: &str) -> (Option<Snapshot>, Vec<String>, String) {
    let loaded = load_text("gateward.yaml", text, &environment());
    let mut diagnostics = loaded.diagnostics;
    let snapshot = loaded.config.and_then(|config| crate::compile(&config, &outside(), &mut diagnostics));
    let place = |span| loaded.sources.slice(span).to_owned();
    let found = diagnostics.sorted();
    let found = found.iter().map(|one| {
        let place = one.span.map(place).unwrap_or_default();
        format!("{} {} {place}", one.severity.as_str(), one.code.name())
    });
    let found = found.collect();
    let rendered = render_text(&diagnostics, &loaded.sources, false);
    assert!(!rendered.contains("S3CRET") && !rendered.contains("BEGIN PRIVATE"), "{rendered}");
    assert!(diagnostics.iter().all(|one| one.help.is_some()), "{rendered}");
    (snapshot, found, rendered)
}

fn fine(text: &str) -> Snapshot {
    let (snapshot, _, rendered) = compile(text);
    snapshot.unwrap_or_else(|| panic!("{rendered}"))
}

/// A configuration with this listener and this service.
fn with(listen: &str, service: &str) -> String {
    format!(
        "listen: {listen}\nservices: {{ s: {{ {service} }} }}\nstate_dir: state\nroutes: [{{ hosts: [r.test, \"*.q.test\"], service: s }}, {{ path: /x, service: s }}]\n"
    )
}

const PLAIN: &str = "endpoints: [http://s]";

fn listening(tls: &str) -> String {
    with(&format!("[127.0.0.1:0, {{ address: 127.0.0.1:0, tls: {{ {tls} }} }}]"), PLAIN)
}

#[test]
fn files_of_listeners_are_looked_into() {
    let pairs = |names: &[&str]| {
        let all: Vec<String> =
            names.iter().map(|name| format!("{{ cert: {name}.pem, key: {name}.key }}")).collect();
        listening(&format!("certificates: [{}]", all.join(", ")))
    };
    let auth = |auth: &str| {
        listening(&format!("certificates: [{{ cert: a.pem, key: a.key }}], client_auth: {{ {auth} }}"))
    };
    for (text, wanted) in [
        (pairs(&["a", "later", "address"]), &[][..]),
        (pairs(&["over"]), &["warning certificate-expires over.pem"]),
        (
            pairs(&["soon", "early"]),
            &["warning certificate-expires soon.pem", "warning certificate-expires early.pem"],
        ),
        (pairs(&["nameless"]), &["warning certificate-without-name nameless.pem"]),
        (pairs(&["a", "again", "wider"]), &["warning duplicate-certificate again.pem"]),
        (pairs(&["wider", "a"]), &["warning duplicate-certificate a.pem"]),
        (listening("certificates: [{ cert: a.pem, key: again.key }]"), &["error invalid-key again.key"]),
        (listening("certificates: [{ cert: a.key, key: a.pem }]"), &["error invalid-certificate a.key"]),
        (listening("certificates: [{ cert: text, key: a.key }]"), &["error invalid-certificate text"]),
        (auth("ca: a.pem"), &[]),
        (auth("ca: text"), &["error invalid-certificate text"]),
        (auth("ca: a.pem, crl: a.pem"), &["error invalid-certificate a.pem"]),
    ] {
        let (snapshot, found, rendered) = compile(&text);
        assert_eq!(found, wanted, "{rendered}");
        assert_eq!(snapshot.is_some(), !rendered.contains("error["), "{rendered}");
    }
    let (_, _, rendered) = compile(&pairs(&["over"]));
    assert!(rendered.contains("`over.pem` has expired on 2023-11-01"), "{rendered}");
    let (_, _, rendered) = compile(&pairs(&["soon"]));
    assert!(rendered.contains("`soon.pem` expires in 5 days, on 2023-11-20"), "{rendered}");
}

#[test]
fn listeners_get_what_they_ask_for() {
    let snapshot = fine(&format!(
        "{}trusted_proxies: [10.0.0.0/8]\n",
        with(
            "[{ address: 127.0.0.1:1, redirect_https: true, proxy_protocol: true, limits: { streams: 7 } }, \
              { address: 127.0.0.1:2, redirect_https: 444, protocols: [http2] }, \
              { address: 127.0.0.1:3, tls: { certificates: [{ cert: a.pem, key: a.key }], early_data: true } }]",
            PLAIN
        )
    ));
    let [one, two, three] = &snapshot.listeners[..] else { panic!("three listeners") };
    assert_eq!((one.redirect_https, one.proxy_protocol, one.limits.streams), (Some(3), true, 7));
    assert_eq!((two.redirect_https, two.protocols.http1, two.protocols.http2), (Some(444), false, true));
    assert_eq!((one.limits.streams, two.limits.streams), (7, 128));
    let config = three.tls.as_ref().unwrap().config();
    assert_eq!(config.alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
    assert!(config.max_early_data_size > 0 && one.tls.is_none());
    let two = with(
        "[{ address: 127.0.0.1:1, redirect_https: true }, { address: 127.0.0.1:2, tls: { certificates: [{ cert: a.pem, key: a.key }] } }, \
          { address: 127.0.0.1:3, tls: { certificates: [{ cert: a.pem, key: a.key }] } }]",
        PLAIN,
    );
    assert_eq!(fine(&two).listeners[0].redirect_https, Some(443), "which of the two is not known");
    let (_, found, _) = compile(&with("{ address: 127.0.0.1:0, proxy_protocol: true }", PLAIN));
    assert_eq!(found, ["error missing-key true"]);
}

#[test]
fn services_are_reached_as_they_say() {
    let service = |service: &str| with("127.0.0.1:0", service);
    for (text, wanted) in [
        (service("endpoints: [https://a, http://b]"), &["error mixed-endpoints http://b"][..]),
        (service("endpoints: [http://a:81], tls: {}"), &["error conflicting-keys {}"]),
        (service("endpoints: [https://a]"), &["error no-authorities https://a"]),
        (service("endpoints: [https://a], tls: { ca: text }"), &["error invalid-certificate text"]),
        (
            service("endpoints: [https://a], tls: { ca: a.pem, cert: a.pem, key: over.key }"),
            &["error invalid-key over.key"],
        ),
        (
            service("endpoints: [https://a], tls: { ca: a.pem, cert: over.pem, key: over.key }"),
            &["warning certificate-expires over.pem"],
        ),
        (
            service("endpoints: [https://a], tls: { ca: a.pem, server_name: \"a b\" }"),
            &["error invalid-value \"a b\""],
        ),
        (
            service("endpoints: [https://a], tls: { insecure_skip_verify: true }"),
            &["warning verification-off true"],
        ),
        (service("endpoints: [http://a], protocol: auto"), &["warning unused-setting auto"]),
        (service("endpoints: [https://a], protocol: auto, tls: { ca: a.pem }"), &[]),
    ] {
        let (_, found, rendered) = compile(&text);
        assert_eq!(found, wanted, "{rendered}");
    }
    let (_, _, rendered) = compile(&service("endpoints: [http://a:81], tls: {}"));
    assert!(rendered.contains("write `https://a:81`, or remove `tls`"), "{rendered}");
    let snapshot = fine(&service(
        "endpoints: [https://a, https://b:8443], tls: { ca: a.pem, server_name: x.test }, protocol: auto",
    ));
    let [only] = &snapshot.services[..] else { panic!("one service") };
    let ports: Vec<_> = only.endpoints.iter().map(|endpoint| (endpoint.port, &*endpoint.authority)).collect();
    assert_eq!(ports, [(443, "a"), (8443, "b:8443")]);
    let client = only.tls.as_ref().unwrap();
    assert_eq!(client.server_name.as_deref(), Some("x.test"));
    assert_eq!(client.config().alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
    // A version that shares a connection among clients is refused beside it.
    let snapshot = fine(&service("endpoints: [http://a], proxy_protocol: v2"));
    assert_eq!(snapshot.services[0].proxy_protocol, Some(ProxyProtocol::V2));
}

#[test]
fn acme_arrives_with_what_was_kept() {
    let snapshot = fine(&listening(
        "acme: { email: o@e.test, hosts: [A.test, new.test], ca: a.pem, directory: \"https://ca.test/d\", challenge: tls-alpn-01, on_demand: true, renew_before: 10d }",
    ));
    let listener = &snapshot.listeners[1];
    let acme = listener.acme.as_ref().unwrap();
    assert_eq!(acme.hosts.iter().map(|host| &**host).collect::<Vec<_>>(), ["a.test", "new.test"]);
    assert_eq!(acme.on_demand.iter().map(|host| &**host).collect::<Vec<_>>(), ["r.test"]);
    assert_eq!((&*acme.directory, acme.challenge), ("https://ca.test/d", AcmeChallenge::TlsAlpn));
    assert_eq!((&*acme.state_dir, acme.kept), (std::path::Path::new("state"), 1));
    assert_eq!(acme.renew_before, Some(Duration::from_secs(864_000)));
    let server = listener.tls.as_ref().unwrap();
    let names: Vec<_> = server.certificates().map(|(names, _)| names[0].to_string()).collect();
    assert_eq!(names, ["a.test"], "the one that was kept; that another is missing is no mistake");
    assert_eq!(server.config().alpn_protocols.last().unwrap(), tls::ACME_PROTOCOL);
}

#[test]
fn mistakes_about_acme_are_found() {
    let acme = |rest: &str| listening(&format!("acme: {{ ca: a.pem, {rest} }}"));
    for (text, wanted) in [
        (acme("hosts: a.test"), &[][..]),
        (acme("hosts: [\"*.a.test\"]"), &["error invalid-host \"*.a.test\""]),
        (
            acme("hosts: [\"*.a.test\", 10.0.0.1], challenge: dns-01, hook: [h]"),
            &["error invalid-host 10.0.0.1"],
        ),
        (acme("hosts: [a_b.test]"), &["error invalid-host a_b.test"]),
        (
            acme("hosts: b.test").replace("127.0.0.1:0, {", "{ address: 127.0.0.1:2, tls: { acme: { ca: a.pem, hosts: [c.test, B.test], email: o@o.test } } }, 127.0.0.1:0, {"),
            &["error conflicting-keys b.test"],
        ),
        (
            acme("hosts: b.test").replace("127.0.0.1:0, {", "{ address: 127.0.0.1:2, tls: { acme: { ca: a.pem, hosts: [c.test, B.test] } } }, 127.0.0.1:0, {"),
            &[],
        ),
        (acme("hosts: soon.test"), &[]),
        (acme("hosts: over.test"), &["warning certificate-expires { ca: a.pem, hosts: over.test }"]),
        (acme("hosts: broken.test"), &["warning stored-certificate { ca: a.pem, hosts: broken.test }"]),
        (
            acme("hosts: [\"*.a.test\"]").replace("state_dir: state\n", ""),
            &["error missing-key { ca: a.pem, hosts: [\"*.a.test\"] }", "error invalid-host \"*.a.test\""],
        ),
        (listening("acme: { hosts: a.test }"), &["error no-authorities { hosts: a.test }"]),
        (
            acme("hosts: a.test").replace("state_dir: state\n", ""),
            &["error missing-key { ca: a.pem, hosts: a.test }"],
        ),
        (
            acme("hosts: a.test").replace("127.0.0.1:0, {", "{"),
            &["warning challenge-unanswered { ca: a.pem, hosts: a.test }"],
        ),
        (
            listening(
                "client_auth: { ca: a.pem }, acme: { ca: a.pem, hosts: a.test, challenge: tls-alpn-01 }",
            ),
            &["error conflicting-keys tls-alpn-01"],
        ),
    ] {
        let (_, found, rendered) = compile(&text);
        assert_eq!(found, wanted, "{rendered}");
    }
}

#[test]
fn a_snapshot_takes_over_what_lives_longer() {
    let text = |listen: &str, service: &str| {
        fine(&with(
            &format!(
                "{{ address: 127.0.0.1:1, tls: {{ certificates: [{{ cert: {listen}.pem, key: {listen}.key }}] }} }}"
            ),
            &format!("endpoints: [https://s], tls: {{ ca: {service}.pem }}"),
        ))
    };
    // Certificates are made anew by each environment, so one is kept for all.
    let (cert, key) = made(&["a.test"], |_| {});
    let environment = MemoryEnvironment::new().with_file("a.pem", &cert).with_file("a.key", &key);
    let yaml = with(
        "{ address: 127.0.0.1:1, tls: { certificates: [{ cert: a.pem, key: a.key }] } }",
        "endpoints: [https://s], tls: { ca: a.pem }",
    );
    let same = || {
        let loaded = load_text("gateward.yaml", &yaml, &environment);
        let mut diagnostics = loaded.diagnostics;
        crate::compile(&loaded.config.unwrap(), &outside(), &mut diagnostics).unwrap()
    };
    let server = |snapshot: &Snapshot| snapshot.listeners[0].tls.clone().unwrap();
    let client = |snapshot: &Snapshot| snapshot.services[0].tls.clone().unwrap();
    let is_same = |one: &Snapshot, other: &Snapshot| {
        let ticketer =
            std::sync::Arc::ptr_eq(&server(one).config().ticketer, &server(other).config().ticketer);
        (ticketer, std::sync::Arc::ptr_eq(client(one).config(), client(other).config()))
    };
    let (old, mut new) = (same(), same());
    assert_eq!(old.listeners, new.listeners);
    assert_eq!(is_same(&old, &new), (false, false));
    new.succeed(&old);
    assert_eq!(is_same(&old, &new), (true, true));
    let mut rotated = text("a", "over");
    rotated.succeed(&old);
    assert_eq!(is_same(&old, &rotated), (true, false), "tickets stay, another authority is another client");
    assert_ne!(old.listeners, rotated.listeners);
}
