//! Sessions that go on: within what, and never across what.

use std::sync::Arc;

use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Resumption, Tls12ClientSessionValue,
    Tls13ClientSessionValue,
};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, HandshakeKind, NamedGroup, ProtocolVersion};

use super::{Authority, Made, client, meet, meet_as, settings};
use crate::{Client, ClientAuth, ClientSettings, Server, ServerSettings, Version};

/// A client as an attacker would have it: it offers each session to every server name.
#[derive(Debug)]
struct Careless(ClientSessionMemoryCache);

fn one_name() -> ServerName<'static> {
    ServerName::try_from("all.test").unwrap()
}

impl ClientSessionStore for Careless {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        self.0.set_kx_hint(one_name(), group);
    }
    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        self.0.kx_hint(&one_name())
    }
    fn set_tls12_session(&self, _: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.0.set_tls12_session(one_name(), value);
    }
    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.0.tls12_session(&one_name())
    }
    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        self.0.remove_tls12_session(&one_name());
    }
    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.0.insert_tls13_ticket(one_name(), value);
    }
    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.0.take_tls13_ticket(&one_name())
    }
}

/// Such a client, with one version of TLS.
fn careless(
    settings: ClientSettings,
    version: &'static rustls::SupportedProtocolVersion,
) -> Arc<ClientConfig> {
    let (roots, certificate) = (settings.authorities.roots, settings.certificate);
    let builder = ClientConfig::builder_with_provider(Arc::clone(crate::provider::provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match certificate {
        Some(made) => builder
            .with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(Arc::clone(&made.key)))),
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::store(Arc::new(Careless(ClientSessionMemoryCache::new(8))));
    Arc::new(config)
}

fn resumes(server: &Server, client: &Arc<ClientConfig>, name: &str) -> bool {
    let met = meet_as(server, Arc::clone(client), name).unwrap();
    assert_eq!(met.server_name.as_deref(), Some(name), "the resolver is asked for resumed ones too");
    met.kind == HandshakeKind::Resumed
}

const BOTH: [&rustls::SupportedProtocolVersion; 2] = [&rustls::version::TLS12, &rustls::version::TLS13];

#[test]
fn a_session_goes_on_for_its_name_only() {
    let authority = Authority::new("ca");
    let (a, b) = (authority.make(&["a.test", "c.test"]), authority.make(&["b.test"]));
    for early_data in [false, true] {
        let server = Server::new(ServerSettings { early_data, ..settings(&[&a, &b]) }).unwrap();
        for version in BOTH {
            let client = careless(client(&authority), version);
            assert!(!resumes(&server, &client, "a.test"), "the first one");
            assert!(resumes(&server, &client, "a.test"), "{version:?} early data {early_data}");
            assert!(!resumes(&server, &client, "b.test"), "{version:?} early data {early_data}");
            assert!(resumes(&server, &client, "b.test"));
            assert!(!resumes(&server, &client, "c.test"), "the same certificate, another name");
        }
    }
}

#[test]
fn a_client_that_knows_us_takes_the_short_way_and_two_listeners_are_two() {
    let authority = Authority::new("ca");
    let made = authority.make(&["a.test"]);
    let (one, other) = (Server::new(settings(&[&made])).unwrap(), Server::new(settings(&[&made])).unwrap());
    let client = Client::new(client(&authority)).unwrap();
    let kind = |server: &Server| meet(server, &client, "a.test").unwrap().kind;
    assert_ne!(kind(&one), HandshakeKind::Resumed);
    assert_eq!(kind(&one), HandshakeKind::Resumed);
    assert_ne!(kind(&other), HandshakeKind::Resumed, "a ticket of another listener is worth nothing");
}

#[test]
fn a_successor_knows_sessions_unless_demands_have_changed() {
    let authority = Authority::new("ca");
    let (old, new, shown) =
        (authority.make(&["a.test"]), authority.make(&["a.test"]), authority.make(&["me.test"]));
    let auth = |required: bool, lists: &[u64]| {
        let lists = if lists.is_empty() { Vec::new() } else { vec![authority.revoke(lists, 2100)] };
        let lists: Vec<_> = lists.iter().map(|list| crate::RevocationList::from_pem(list).unwrap()).collect();
        Some(ClientAuth::new(&authority.authorities(), required, &lists).unwrap())
    };
    let with = |made: &Made, change: &dyn Fn(&mut ServerSettings)| {
        let mut settings = ServerSettings { client_auth: auth(false, &[]), ..settings(&[made]) };
        change(&mut settings);
        Server::new(settings).unwrap()
    };
    let before = with(&old, &|_| {});
    for (what, after, keeps) in [
        ("nothing", with(&old, &|_| {}), true),
        ("a rotated certificate", with(&new, &|_| {}), true),
        ("other protocols", with(&old, &|settings| settings.protocols = Vec::new()), true),
        ("required now", with(&old, &|settings| settings.client_auth = auth(true, &[])), false),
        ("no longer asked for", with(&old, &|settings| settings.client_auth = None), false),
        ("a list of revoked ones", with(&old, &|settings| settings.client_auth = auth(false, &[7])), false),
        ("TLS 1.3 only", with(&old, &|settings| settings.min_version = Version::Tls13), false),
        ("early data", with(&old, &|settings| settings.early_data = true), false),
    ] {
        let after = after.successor(&before);
        for version in BOTH {
            let settings = ClientSettings { certificate: Some(shown.certificate()), ..client(&authority) };
            let client = careless(settings, version);
            assert!(!resumes(&before, &client, "a.test"));
            if what == "TLS 1.3 only" && version.version == ProtocolVersion::TLSv1_2 {
                assert!(meet_as(&after, client, "a.test").is_err());
                continue;
            }
            assert_eq!(resumes(&after, &client, "a.test"), keeps, "{what} {version:?}");
        }
        assert_eq!(after == before, what == "nothing", "{what}");
    }
}

#[test]
fn equal_is_what_was_made_of_the_same() {
    let authority = Authority::new("ca");
    let (a, b) = (authority.make(&["a.test"]), authority.make(&["b.test"]));
    let server = |made: &[&Made]| Server::new(settings(made)).unwrap();
    assert_eq!(server(&[&a, &b]), server(&[&a, &b]));
    assert_ne!(server(&[&a, &b]), server(&[&b, &a]), "the first one is for everybody else");
    assert_ne!(server(&[&a]), server(&[&a, &b]));
    let one = Client::new(client(&authority)).unwrap();
    assert_eq!(one, Client::new(client(&authority)).unwrap());
    for settings in [
        ClientSettings { server_name: Some("x.test".into()), ..client(&authority) },
        ClientSettings { protocols: vec![b"h2".to_vec()], ..client(&authority) },
        ClientSettings { certificate: Some(a.certificate()), ..client(&authority) },
        ClientSettings { min_version: Version::Tls13, ..client(&authority) },
        ClientSettings { insecure_skip_verify: true, ..client(&authority) },
        client(&Authority::new("another")),
    ] {
        assert_ne!(one, Client::new(settings).unwrap());
    }
}

#[test]
fn versions_are_kept_to() {
    let authority = Authority::new("ca");
    let made = authority.make(&["a.test"]);
    let server = |min_version| Server::new(ServerSettings { min_version, ..settings(&[&made]) }).unwrap();
    let old = || careless(client(&authority), &rustls::version::TLS12);
    assert_eq!(meet_as(&server(Version::Tls12), old(), "a.test").unwrap().version, ProtocolVersion::TLSv1_2);
    assert!(meet_as(&server(Version::Tls13), old(), "a.test").is_err());
    let new = Client::new(client(&authority)).unwrap();
    assert_eq!(meet(&server(Version::Tls12), &new, "a.test").unwrap().version, ProtocolVersion::TLSv1_3);
    assert_eq!(meet(&server(Version::Tls13), &new, "a.test").unwrap().version, ProtocolVersion::TLSv1_3);
}

#[test]
fn early_data_is_off_unless_asked_for_and_then_comes_once() {
    use std::io::{Read, Write};
    let authority = Authority::new("ca");
    let made = authority.make(&["a.test"]);
    for early_data in [false, true] {
        let server = Server::new(ServerSettings { early_data, ..settings(&[&made]) }).unwrap();
        assert_ne!(server.quic_config().ticketer.enabled(), early_data);
        assert_eq!(server.quic_config().max_early_data_size, 0);
        let mut config = ClientConfig::clone(&careless(client(&authority), &rustls::version::TLS13));
        config.enable_early_data = true;
        let config = Arc::new(config);
        meet_as(&server, Arc::clone(&config), "a.test").unwrap();
        let mut client = rustls::ClientConnection::new(config, "a.test".try_into().unwrap()).unwrap();
        assert_eq!(client.early_data().is_some(), early_data);
        if let Some(mut early) = client.early_data() {
            early.write_all(b"GET /").unwrap();
        }
        let mut first_flight = Vec::new();
        client.write_tls(&mut first_flight).unwrap();
        // What was recorded is sent again, to the same server.
        for (time, takes) in [("first", early_data), ("again", false)] {
            let mut connection = rustls::ServerConnection::new(Arc::clone(server.config())).unwrap();
            connection.read_tls(&mut &first_flight[..]).unwrap();
            connection.process_new_packets().unwrap();
            let mut text = String::new();
            if let Some(mut early) = connection.early_data() {
                let _ = early.read_to_string(&mut text);
            }
            assert_eq!(text == "GET /", takes, "{time}: {text}");
        }
    }
}
