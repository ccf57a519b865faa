//! Who a server is: authorities, names, versions that are agreed on in the handshake.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tls::Authorities;
use tokio::net::TcpListener;

use super::{Server, Speaks, local, say};
use crate::{Ask, Client, Trouble, Trust};

/// An authority, and the settings of a server with a certificate of it for these names.
fn authority(name: &str, names: &[&str], protocols: &[&str]) -> (Trust, ServerConfig) {
    let mut params = CertificateParams::new([]).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    (Trust::These(Authorities::from_pem(&issuer.pem()).unwrap()), config)
}

fn ask(server: &Server, trust: Trust) -> Ask {
    let uri = format!("https://{}/", server.address).parse().unwrap();
    Ask { trust, ..Ask::get(uri) }
}

#[test]
fn a_server_is_believed_if_its_authority_is_trusted() {
    local(async {
        let (trust, config) = authority("own", &["127.0.0.1"], &["http/1.1"]);
        let (strange, _) = authority("strange", &["127.0.0.1"], &[]);
        let server = Server::listen(Speaks::Http1, Some(config), |_| say(200, "vouched")).await;
        let client = Client::new();
        for _ in 0..3 {
            // That one was believed before does not matter to who does not trust its authority.
            assert_eq!(client.ask(ask(&server, trust.clone())).await.unwrap().body, "vouched");
            let trouble = client.ask(ask(&server, strange.clone())).await.unwrap_err();
            let Trouble::Tls(why) = &trouble else { panic!("{trouble:?}") };
            assert!(why.contains("authority that is not trusted"), "{why}");
        }
        assert_eq!(server.connections(), 1 + 3);
        let nobody = Trust::These(Authorities::default());
        assert!(matches!(client.ask(ask(&server, nobody)).await, Err(Trouble::Tls(_))));
        assert_eq!(server.connections(), 4, "who trusts nobody does not even connect");
    });
}

#[test]
fn a_server_has_the_name_that_was_asked_for() {
    local(async {
        let (trust, config) = authority("own", &["id.test"], &[]);
        let server = Server::listen(Speaks::Http1, Some(config), |_| say(200, "")).await;
        let trouble = Client::new().ask(ask(&server, trust)).await.unwrap_err();
        let Trouble::Tls(why) = &trouble else { panic!("{trouble:?}") };
        assert!(why.contains("id.test"), "{why}");
    });
}

#[test]
fn a_server_without_tls_is_told_from_one_that_is_not_believed() {
    local(async {
        let server = Server::start(Speaks::Http1, |_| say(200, "")).await;
        let (trust, _) = authority("own", &["127.0.0.1"], &[]);
        let trouble = Client::new().ask(ask(&server, trust)).await.unwrap_err();
        let Trouble::Tls(why) = &trouble else { panic!("{trouble:?}") };
        assert!(why.contains("is not TLS"), "{why}");
    });
}

#[test]
fn http_2_is_agreed_on_in_the_handshake() {
    local(async {
        let client = Client::new();
        let (trust, config) = authority("own", &["127.0.0.1"], &["h2", "http/1.1"]);
        let server = Server::listen(Speaks::Http2, Some(config), |request| {
            assert_eq!(request.version(), http::Version::HTTP_2);
            say(200, "second")
        })
        .await;
        for _ in 0..3 {
            let ask = Ask { http2: true, ..ask(&server, trust.clone()) };
            assert_eq!(client.ask(ask).await.unwrap().body, "second");
        }
        assert_eq!(server.connections(), 1);
        let (trust, config) = authority("own", &["127.0.0.1"], &["http/1.1"]);
        let server = Server::listen(Speaks::Http1, Some(config), |_| say(200, "")).await;
        let ask = Ask { http2: true, ..ask(&server, trust) };
        assert!(matches!(client.ask(ask).await, Err(Trouble::Tls(_))));
    });
}

/// The many authorities of configurations that are gone do not pile up, and one that is used stays.
#[test]
fn ways_are_bounded() {
    local(async {
        let (trust, config) = authority("own", &["127.0.0.1"], &[]);
        let server = Server::listen(Speaks::Http1, Some(config), |_| say(200, "")).await;
        let client = Client::new();
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        for _ in 0..40 {
            let (other, _) = authority("other", &["127.0.0.1"], &[]);
            let uri = format!("https://{closed}/").parse().unwrap();
            assert!(client.ask(Ask { trust: other, ..Ask::get(uri) }).await.is_err());
            client.ask(ask(&server, trust.clone())).await.unwrap();
        }
        assert_eq!(server.connections(), 1);
        assert_eq!(client.ways(), 32);
    });
}
