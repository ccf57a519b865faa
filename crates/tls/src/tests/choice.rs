//! Which certificate a client is shown.

use std::sync::Arc;

use rustls::{CipherSuite, ClientConfig, SignatureScheme};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;

use super::{Authority, Made, client, meet, meet_as, settings};
use crate::provider::provider;
use crate::{
    ACME_PROTOCOL, Challenges, Client, ClientSettings, OnDemand, Server, ServerSettings, Version, Wanted,
};

/// A client that verifies nothing, so that it sees whatever it is shown.
fn anybody() -> Client {
    Client::new(ClientSettings { insecure_skip_verify: true, ..ClientSettings::default() }).unwrap()
}

/// A client that can do only what is left of the provider.
fn limited(
    suites: &[CipherSuite],
    scheme: impl Fn(SignatureScheme) -> bool,
    authority: &Authority,
) -> Arc<ClientConfig> {
    let mut provider = rustls::crypto::CryptoProvider::clone(provider());
    provider.cipher_suites.retain(|suite| suites.is_empty() || suites.contains(&suite.suite()));
    let mapping = provider.signature_verification_algorithms.mapping;
    let mapping: Vec<_> = mapping.iter().copied().filter(|(one, _)| scheme(*one)).collect();
    provider.signature_verification_algorithms.mapping = Box::leak(mapping.into());
    Arc::new(
        ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::clone(&authority.authorities().roots))
            .with_no_client_auth(),
    )
}

#[test]
fn the_name_decides_first_exactly_then_by_wildcard_then_the_first() {
    let authority = Authority::new("ca");
    let [first, exact, wildcard] =
        [&["default.test"][..], &["api.a.test", "b.test"], &["*.a.test"]].map(|hosts| authority.make(hosts));
    let server = Server::new(settings(&[&first, &exact, &wildcard])).unwrap();
    for (name, wanted) in [
        ("default.test", &first),
        ("api.a.test", &exact),
        ("API.A.test", &exact),
        ("b.test", &exact),
        ("x.a.test", &wildcard),
        ("a.test", &first),
        ("y.x.a.test", &first),
        ("unknown.test", &first),
        ("127.0.0.1", &first),
    ] {
        let met = meet(&server, &anybody(), name).unwrap();
        assert_eq!(met.shown, wanted.der, "{name}");
        let seen = (name != "127.0.0.1").then(|| name.to_ascii_lowercase().into());
        assert_eq!(met.server_name, seen, "{name}");
    }
    // A client that looks refuses the default for another name.
    let strict = Client::new(client(&authority)).unwrap();
    assert!(meet(&server, &strict, "api.a.test").is_ok());
    assert!(meet(&server, &strict, "unknown.test").is_err());
}

#[test]
fn of_several_for_one_name_the_client_gets_what_it_can_verify() {
    let authority = Authority::new("ca");
    let rsa = authority.make_with(&["a.test"], &rcgen::PKCS_RSA_SHA256, |_| {});
    let p384 = authority.make_with(&["a.test"], &rcgen::PKCS_ECDSA_P384_SHA384, |_| {});
    let ecdsa = authority.make(&["a.test"]);
    let server = Server::new(settings(&[&rsa, &p384, &ecdsa])).unwrap();
    let shown = |config: Arc<ClientConfig>, name: &str| meet_as(&server, config, name).map(|met| met.shown);
    // Everybody can: the cheapest, and of two such the first of the configuration.
    assert_eq!(shown(limited(&[], |_| true, &authority), "a.test").unwrap(), p384.der);
    let both = |one: SignatureScheme| {
        move |scheme: SignatureScheme| scheme == one || scheme == SignatureScheme::ECDSA_NISTP256_SHA256
    };
    assert_eq!(
        shown(limited(&[], both(SignatureScheme::RSA_PSS_SHA256), &authority), "a.test").unwrap(),
        ecdsa.der
    );
    // The suites of TLS 1.2 are for one kind of key.
    let old = [CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256];
    assert_eq!(shown(limited(&old, |_| true, &authority), "a.test").unwrap(), rsa.der);
    let old = [CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256];
    assert_eq!(shown(limited(&old, |_| true, &authority), "a.test").unwrap(), p384.der);
    // For who names no host, or another one, the same.
    let old = [CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256];
    let mut config = ClientConfig::clone(&limited(&old, |_| true, &authority));
    config.enable_sni = false;
    assert_eq!(shown(Arc::new(config), "a.test").unwrap(), rsa.der);
}

#[test]
fn protocols_are_agreed_on_by_the_order_of_the_server() {
    let authority = Authority::new("ca");
    let made = authority.make(&["a.test"]);
    let server = Server::new(settings(&[&made])).unwrap();
    let offer = |protocols: &[&str]| {
        let protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let client = Client::new(ClientSettings { protocols, ..client(&authority) }).unwrap();
        meet(&server, &client, "a.test").map(|met| met.protocol)
    };
    assert_eq!(offer(&["http/1.1", "h2"]).unwrap().as_deref(), Some(&b"h2"[..]));
    assert_eq!(offer(&["http/1.1"]).unwrap().as_deref(), Some(&b"http/1.1"[..]));
    assert_eq!(offer(&[]).unwrap(), None);
    // RFC 7301 section 3.2: no common one is an alert, not a guess.
    assert!(offer(&["h3"]).is_err());
}

#[test]
fn challenges_are_answered_and_nothing_else_is_shown_for_them() {
    let authority = Authority::new("ca");
    let (made, proof) = (authority.make(&["a.test"]), authority.make(&["new.test"]));
    let challenges = Challenges::default();
    let settings = ServerSettings { challenges: Some(challenges.clone()), ..settings(&[&made]) };
    let server = Server::new(settings).unwrap();
    let protocols = vec![ACME_PROTOCOL.to_vec()];
    let prover =
        Client::new(ClientSettings { protocols, insecure_skip_verify: true, ..client(&authority) }).unwrap();
    assert!(meet(&server, &prover, "new.test").is_err(), "no challenge is under way");
    let key = PrivatePkcs8KeyDer::from_pem_slice(proof.key.as_bytes()).unwrap();
    challenges.put_proof("New.test", &proof.der, key.secret_pkcs8_der()).unwrap();
    assert!(challenges.put_proof("new.test", &proof.der, b"no key").is_err());
    let met = meet(&server, &prover, "new.test").unwrap();
    assert_eq!((met.shown, met.protocol.as_deref()), (proof.der.clone(), Some(ACME_PROTOCOL)));
    assert!(meet(&server, &prover, "a.test").is_err(), "a certificate of ours is no proof");
    assert_eq!(meet(&server, &anybody(), "new.test").unwrap().shown, made.der, "clients do not see it");
    challenges.remove_proof("new.test");
    assert!(meet(&server, &prover, "new.test").is_err());
    // Without such challenges the protocol is not spoken.
    let plain = Server::new(super::settings(&[&made])).unwrap();
    assert!(meet(&plain, &prover, "a.test").is_err());
}

#[test]
fn hosts_on_demand_are_asked_for_and_no_others() {
    let authority = Authority::new("ca");
    let made = authority.make(&["a.test"]);
    let wanted = Wanted::default();
    let hosts = ["a.test", "b.test"].into_iter().map(Box::from).collect();
    let on_demand = Some(OnDemand { hosts: Arc::new(hosts), wanted: wanted.clone() });
    let server = Server::new(ServerSettings { on_demand, ..settings(&[&made]) }).unwrap();
    for name in ["a.test", "b.test", "B.test", "c.test"] {
        assert_eq!(meet(&server, &anybody(), name).unwrap().shown, made.der);
    }
    assert_eq!(wanted.take(), ["b.test".into()]);
}

#[test]
fn without_any_certificate_handshakes_fail_and_nothing_else_does() {
    let server = Server::new(ServerSettings { min_version: Version::Tls13, ..settings(&[]) }).unwrap();
    assert!(meet(&server, &anybody(), "a.test").is_err());
    assert_eq!(server.certificates().count(), 0);
}

#[test]
fn names_and_ends_of_certificates_are_told() {
    let authority = Authority::new("ca");
    let made: Made =
        authority.make_with(&["A.test", "*.b.test", "127.0.0.1"], &rcgen::PKCS_ED25519, |params| {
            params.not_after = rcgen::date_time_ymd(2030, 1, 1);
        });
    let server = Server::new(settings(&[&made])).unwrap();
    let [(names, end)] = &server.certificates().collect::<Vec<_>>()[..] else { panic!("one certificate") };
    assert_eq!(names, &["a.test".into(), "*.b.test".into()]);
    let end = end.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert_eq!(end, 1_893_456_000);
    assert_eq!(made.certificate().addresses(), &["127.0.0.1".into()]);
}
