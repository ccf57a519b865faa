//! Real handshakes in memory, with certificates that are made for them.

mod choice;
mod clients;
mod explain;
mod peers;
mod sessions;
mod texts;

use std::io;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, SignatureAlgorithm,
    date_time_ymd,
};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, ProtocolVersion, ServerConnection};

use crate::{Authorities, Certificate, Client, ClientSettings, Server, ServerSettings};

/// An authority.
pub(super) struct Authority {
    pub(super) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, as PEM.
pub(super) struct Made {
    pub(super) cert: String,
    pub(super) key: String,
    pub(super) der: Vec<u8>,
}

impl Made {
    pub(super) fn certificate(&self) -> Certificate {
        Certificate::from_pem(&self.cert, &self.key).unwrap()
    }
}

impl Authority {
    pub(super) fn new(name: &str) -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { pem, issuer: Issuer::new(params, key) }
    }

    pub(super) fn authorities(&self) -> Authorities {
        Authorities::from_pem(&self.pem).unwrap()
    }

    /// A certificate for these hosts with a P-256 key.
    pub(super) fn make(&self, hosts: &[&str]) -> Made {
        self.make_with(hosts, &rcgen::PKCS_ECDSA_P256_SHA256, |_| {})
    }

    pub(super) fn make_with(
        &self,
        hosts: &[&str],
        algorithm: &'static SignatureAlgorithm,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Made {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).unwrap();
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = KeyPair::generate_for(algorithm).unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        Made { cert: cert.pem(), key: key.serialize_pem(), der: cert.der().to_vec() }
    }

    /// A list that revokes these serial numbers, and has to be replaced at the start of this year.
    pub(super) fn revoke(&self, serials: &[u64], until: i32) -> String {
        let revoked = serials.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(until, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

/// A server with these certificates that speaks `h2` and `http/1.1`.
pub(super) fn settings(certificates: &[&Made]) -> ServerSettings {
    ServerSettings {
        certificates: certificates.iter().map(|made| made.certificate()).collect(),
        protocols: vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        ..ServerSettings::default()
    }
}

/// A client that trusts an authority.
pub(super) fn client(authority: &Authority) -> ClientSettings {
    ClientSettings { authorities: authority.authorities(), ..ClientSettings::default() }
}

/// What a handshake came to.
#[derive(Debug)]
pub(super) struct Met {
    /// The certificate that the server has shown, which is kept with a session too.
    pub(super) shown: Vec<u8>,
    pub(super) client_shown: Option<Vec<u8>>,
    pub(super) kind: HandshakeKind,
    pub(super) version: ProtocolVersion,
    pub(super) protocol: Option<Vec<u8>>,
    /// What the resolver has seen.
    pub(super) server_name: Option<Box<str>>,
}

/// A handshake. The error is that of who noticed first.
pub(super) fn meet(server: &Server, client: &Client, name: &str) -> Result<Met, rustls::Error> {
    meet_as(server, Arc::clone(client.config()), name)
}

pub(super) fn meet_as(server: &Server, client: Arc<ClientConfig>, name: &str) -> Result<Met, rustls::Error> {
    let _ = crate::take_server_name();
    let mut server = ServerConnection::new(Arc::clone(server.config())).unwrap();
    let mut client = ClientConnection::new(client, name.to_owned().try_into().unwrap()).unwrap();
    // One round more than a handshake needs: tickets come last.
    for _ in 0..5 {
        pass(&mut client, &mut server);
        server.process_new_packets()?;
        pass(&mut server, &mut client);
        client.process_new_packets()?;
    }
    assert!(!server.is_handshaking() && !client.is_handshaking());
    let first = |certificates: Option<&[rustls_pki_types::CertificateDer<'static>]>| {
        certificates.and_then(|all| all.first()).map(|certificate| certificate.to_vec())
    };
    Ok(Met {
        shown: first(client.peer_certificates()).unwrap(),
        client_shown: first(server.peer_certificates()),
        kind: server.handshake_kind().unwrap(),
        version: server.protocol_version().unwrap(),
        protocol: server.alpn_protocol().map(<[u8]>::to_vec),
        server_name: crate::take_server_name(),
    })
}

/// Moves all bytes that one side has for the other.
fn pass<A, B, C, D>(from: &mut A, to: &mut B)
where
    A: std::ops::DerefMut<Target = rustls::ConnectionCommon<C>>,
    B: std::ops::DerefMut<Target = rustls::ConnectionCommon<D>>,
    C: rustls::SideData,
    D: rustls::SideData,
{
    let mut bytes = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut bytes).unwrap();
    }
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        if to.read_tls(&mut rest as &mut dyn io::Read).unwrap() == 0 {
            break;
        }
    }
}
