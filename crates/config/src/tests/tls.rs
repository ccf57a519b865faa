//! Encryption: what is read from where, and what is said about mistakes.

use std::path::Path;

use diagnostics::render_text;
use document::MemoryEnvironment;

use super::said;
use crate::{Config, HttpVersion, Loaded, RedirectHttps, TlsVersion, load, load_text};

fn environment() -> MemoryEnvironment {
    MemoryEnvironment::new()
        .with_file("a.pem", "A CERTIFICATE")
        .with_file("a.key", "S3CRET KEY")
        .with_var("DIR", ".")
}

fn fine(loaded: Loaded) -> Config {
    let Loaded { sources, config, diagnostics, .. } = loaded;
    assert!(diagnostics.is_empty(), "{}", render_text(&diagnostics, &sources, false));
    config.unwrap()
}

#[test]
fn files_are_read_from_beside_the_file_that_names_them() {
    let environment = MemoryEnvironment::new()
        .with_file("etc/gateward.yaml", "include: [tls/*.yaml]\nroutes: [{ respond: {} }]")
        .with_file(
            "etc/tls/listen.yaml",
            "listen: { address: \"[::]:443\", tls: { certificates: [{ cert: a.pem, key: ../a.key }] } }",
        )
        .with_file("etc/tls/a.pem", "THE CERTIFICATE")
        .with_file("etc/a.key", "S3CRET KEY");
    let config = fine(load(Path::new("etc/gateward.yaml"), &environment, |_| None));
    let [listen] = &config.listen.iter().collect::<Vec<_>>()[..] else { panic!("one listener") };
    let tls = listen.tls.as_ref().unwrap();
    let [files] = &tls.certificates.as_ref().unwrap().0[..] else { panic!("one certificate") };
    assert_eq!(
        (files.cert.text(), files.cert.path.as_path()),
        ("THE CERTIFICATE", Path::new("etc/tls/a.pem"))
    );
    assert_eq!((files.key.text(), files.key.path.as_path()), ("S3CRET KEY", Path::new("etc/a.key")));
    assert_eq!((tls.min_version.value, tls.early_data.value), (TlsVersion::Tls12, false));
    assert!(!format!("{config:?}").contains("S3CRET"), "{config:?}");
}

#[test]
fn a_changed_file_is_a_changed_tree() {
    let text = "listen: { address: 127.0.0.1:0, tls: { certificates: [{ cert: a.pem, key: a.key }] } }";
    let tree = |environment: &MemoryEnvironment| load_text("gateward.yaml", text, environment).tree.unwrap();
    let before = tree(&environment());
    assert_eq!(before, tree(&environment()));
    assert_ne!(before, tree(&environment().with_file("a.pem", "ANOTHER")));
    assert!(!format!("{before:?}").contains("S3CRET"));
}

#[test]
fn the_forms_of_a_listener() {
    let config = fine(load_text(
        "gateward.yaml",
        "listen:\n  - 127.0.0.1:1\n  - { address: 127.0.0.1:2, protocols: http2, redirect_https: true }\n  - { address: 127.0.0.1:3, redirect_https: 8443, proxy_protocol: true }\n",
        &environment(),
    ));
    let all: Vec<_> = config.listen.iter().collect();
    let versions = |at: usize| all[at].protocols.iter().map(|version| version.value).collect::<Vec<_>>();
    assert_eq!(versions(0), [HttpVersion::Http1, HttpVersion::Http2]);
    assert_eq!(versions(1), [HttpVersion::Http2]);
    let redirects: Vec<_> = all.iter().map(|listen| listen.redirect_https.value).collect();
    assert_eq!(redirects, [RedirectHttps::Off, RedirectHttps::On, RedirectHttps::Port(8443)]);
}

#[test]
fn certificates_of_acme_are_found_in_the_state_folder() {
    let text = "\
state_dir: ${env:DIR}/state
listen: { address: 127.0.0.1:0, tls: { acme: { hosts: [A.test, \"*.b.test\"], on_demand: true, challenge: dns-01, hook: [h] } } }
routes: [{ hosts: [c.test, \"*.d.test\"], respond: {} }]
";
    let mut environment = environment();
    for host in ["a.test", "_wildcard.b.test", "c.test", "d.test"] {
        let folder = format!("state/acme/certificates/{host}");
        environment = environment
            .with_file(format!("{folder}/cert.pem"), host)
            .with_file(format!("{folder}/key.pem"), "S3CRET");
    }
    let config = fine(load_text("gateward.yaml", text, &environment));
    let state = config.state_dir.as_ref().unwrap();
    assert_eq!(state.path, Path::new("state"));
    for (host, kept) in [
        ("a.test", true),
        ("*.b.test", true),
        ("c.test", true),
        ("d.test", false),
        ("e.test", false),
        ("../x", false),
    ] {
        assert_eq!(state.certificate(host).is_some(), kept, "{host}");
    }
    assert!(!format!("{config:?}").contains("S3CRET"));
    // Half of a pair is none.
    let half = MemoryEnvironment::new()
        .with_var("DIR", ".")
        .with_file("state/acme/certificates/a.test/cert.pem", "x");
    assert!(fine(load_text("gateward.yaml", text, &half)).state_dir.unwrap().certificate("a.test").is_none());
}

#[test]
fn mistakes_are_said_at_their_place() {
    let listen = |rest: &str| format!("listen: {{ address: 127.0.0.1:0, {rest} }}");
    let tls =
        |rest: &str| listen(&format!("tls: {{ certificates: [{{ cert: a.pem, key: a.key }}], {rest} }}"));
    let acme = |rest: &str| listen(&format!("tls: {{ acme: {{ {rest} }} }}"));
    let service = |rest: &str| format!("services: {{ s: {{ endpoints: [https://a], {rest} }} }}");
    for (text, wanted) in [
        (listen("tls: { certificates: [{ cert: none.pem, key: a.key }] }"), &["GW0306 none.pem"][..]),
        (listen("tls: { certificates: [{ cert: a.pem }] }"), &["GW0102 { cert: a.pem }"]),
        (listen("tls: { certificates: [{ cert: [a.pem], key: \"\" }] }"), &["GW0103 [a.pem]", "GW0201 \"\""]),
        (listen("tls: { certificates: [{ cert: a.pem, key: \"-----BEGIN\" }] }"), &["GW0201 \"-----BEGIN\""]),
        (listen("tls: { certificates: [{ cert: '${env:NONE}', key: a.key }] }"), &["GW0305 ${env:NONE}"]),
        (listen("tls: { certificates: [] }"), &["GW0201 []"]),
        (tls("min_version: 1.1"), &["GW0201 1.1"]),
        (tls("client_auth: { mode: optional }"), &["GW0102 { mode: optional }"]),
        (tls("client_auth: { ca: a.pem, mode: on }"), &["GW0201 on"]),
        (tls("client_auth: { ca: a.pem, crl: [none.pem] }"), &["GW0306 none.pem"]),
        (tls("early_data: 1"), &["GW0103 1"]),
        (listen("protocols: [http1, http1]"), &["GW0201 http1"]),
        (listen("protocols: [http1, http4]"), &["GW0201 http4"]),
        (listen("protocols: [http1, http3]"), &["GW0102 http3"]),
        (listen("redirect_https: 0"), &["GW0103 0"]),
        (listen("redirect_https: yes"), &["GW0103 yes"]),
        (
            listen("redirect_https: true, tls: { certificates: [{ cert: a.pem, key: a.key }] }"),
            &["GW0105 true"],
        ),
        (acme("email: a@b.test"), &["GW0102 { email: a@b.test }"]),
        (acme("hosts: [a.test], email: ops"), &["GW0201 ops"]),
        (acme("hosts: a.test, directory: letsencrypt_stagin"), &["GW0201 letsencrypt_stagin"]),
        (acme("hosts: a.test, directory: \"http://ca.test/\""), &["GW0201 \"http://ca.test/\""]),
        (acme("hosts: a.test, challenge: dns-01"), &["GW0102 dns-01"]),
        (acme("hosts: a.test, hook: [h]"), &["GW0105 [h]"]),
        (acme("hosts: a.test, challenge: dns-01, hook: []"), &["GW0201 []"]),
        (service("tls: { cert: a.pem }"), &["GW0102 a.pem"]),
        (service("tls: { key: a.key }"), &["GW0102 a.key"]),
        (service("tls: { ca: none.pem }"), &["GW0306 none.pem"]),
        (service("protocol: h2"), &["GW0201 h2"]),
        (service("proxy_protocol: true"), &["GW0201 true"]),
        ("state_dir: \"\"".to_owned(), &["GW0201 \"\""]),
    ] {
        let loaded = load_text("gateward.yaml", &text, &environment());
        let rendered = render_text(&loaded.diagnostics, &loaded.sources, false);
        assert_eq!(said(&loaded.diagnostics, &loaded.sources), wanted, "{text}\n{rendered}");
        assert!(!rendered.contains("S3CRET"), "{rendered}");
        assert!(loaded.diagnostics.iter().all(|one| one.help.is_some() || one.label.is_some()), "{rendered}");
    }
}
