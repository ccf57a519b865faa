//! What a listener presents and demands in handshakes.

use std::sync::Arc;
use std::time::SystemTime;

use rustls::ServerConfig;
use rustls::server::{NoServerSessionStorage, ServerSessionMemoryCache, WebPkiClientVerifier};

use crate::fingerprint::{Digest, Fingerprint};
use crate::provider::provider;
use crate::resolver::Resolver;
use crate::{ACME_PROTOCOL, Certificate, Challenges, ClientAuth, Error, OnDemand, Version};

/// Sessions that are remembered here, for clients that take no tickets or may send early data. Each takes up to a
/// few KiB where clients show certificates.
const SESSIONS: usize = 4096;

/// How much a client may send before the handshake is complete, if it may at all.
const EARLY_DATA: u32 = 16 << 10;

/// The name of HTTP/3 in handshakes (RFC 9114 section 3.1).
const HTTP3: &[u8] = b"h3";

/// What a listener is to present and demand.
#[derive(Debug, Clone, Default)]
pub struct ServerSettings {
    /// The certificates; the first one is for clients that name no server, or an unknown one.
    pub certificates: Vec<Certificate>,
    /// The protocols that are offered (ALPN), the preferred one first.
    pub protocols: Vec<Vec<u8>>,
    /// Certificates that clients show; `None` for not asking.
    pub client_auth: Option<ClientAuth>,
    /// The oldest version that is spoken.
    pub min_version: Version,
    /// Whether clients that come back may send a request before the handshake is complete.
    pub early_data: bool,
    /// Answers handshakes that prove a host, and offers their protocol.
    pub challenges: Option<Challenges>,
    /// Hosts that get a certificate once somebody asks for them.
    pub on_demand: Option<OnDemand>,
}

/// What a listener presents and demands in handshakes. Cheap to clone; equal by what it was made of.
#[derive(Debug, Clone)]
pub struct Server {
    config: Arc<ServerConfig>,
    certificates: Arc<[Certificate]>,
    /// Of everything that it was made of.
    digest: Digest,
    /// Of what a session relies on: a ticket is worth something only where this is the same.
    scope: Digest,
}

impl PartialEq for Server {
    fn eq(&self, other: &Server) -> bool {
        self.digest == other.digest
    }
}

impl Eq for Server {}

impl Server {
    /// From settings, with new keys for tickets.
    ///
    /// # Errors
    /// The settings contradict each other.
    pub fn new(settings: ServerSettings) -> Result<Server, Error> {
        let wrong = |error: rustls::Error| Error::new(error.to_string());
        let (digest, scope) = digests(&settings);
        let resolver = Resolver::new(&settings.certificates, settings.challenges.clone(), settings.on_demand);
        let verifier = match settings.client_auth {
            Some(client_auth) => client_auth.verifier,
            None => WebPkiClientVerifier::no_client_auth(),
        };
        let mut config = ServerConfig::builder_with_provider(Arc::clone(provider()))
            .with_protocol_versions(settings.min_version.and_later())
            .map_err(wrong)?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = settings.protocols;
        if settings.challenges.is_some() {
            config.alpn_protocols.push(ACME_PROTOCOL.to_vec());
        }
        config.session_storage = ServerSessionMemoryCache::new(SESSIONS);
        if settings.early_data {
            // Only a session that is remembered here can be used once and no more (RFC 8446 section 8.1).
            config.max_early_data_size = EARLY_DATA;
            // Otherwise its answer would have to wait for the rest of the handshake, and nothing were gained.
            config.send_half_rtt_data = true;
        } else {
            // Keys that change every six hours and are kept for six more.
            config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().map_err(wrong)?;
        }
        Ok(Server { config: Arc::new(config), certificates: settings.certificates.into(), digest, scope })
    }

    /// For a handshake.
    pub fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }

    /// For handshakes of HTTP/3: the same with TLS 1.3 and `h3` alone, and without early data.
    pub fn quic_config(&self) -> Arc<ServerConfig> {
        let mut config = ServerConfig::clone(&self.config);
        config.alpn_protocols = vec![HTTP3.to_vec()];
        config.max_early_data_size = 0;
        config.send_half_rtt_data = false;
        if !config.ticketer.enabled() {
            config.session_storage = Arc::new(NoServerSessionStorage {});
        }
        Arc::new(config)
    }

    /// What takes the place of `old`: this one, in which the sessions of `old` go on where they rely on the same
    /// demands. So a certificate can be replaced without costing every client a full handshake, and no ticket
    /// outlives a change of what is demanded from clients.
    #[must_use]
    pub fn successor(&self, old: &Server) -> Server {
        if self == old {
            return old.clone();
        }
        if self.scope != old.scope {
            return self.clone();
        }
        let mut config = ServerConfig::clone(&self.config);
        config.ticketer = Arc::clone(&old.config.ticketer);
        config.session_storage = Arc::clone(&old.config.session_storage);
        Server { config: Arc::new(config), ..self.clone() }
    }

    /// The certificates: the names that each is for, and when it ends.
    pub fn certificates(&self) -> impl Iterator<Item = (&[Box<str>], SystemTime)> {
        self.certificates.iter().map(|certificate| (certificate.names(), certificate.not_after()))
    }
}

fn digests(settings: &ServerSettings) -> (Digest, Digest) {
    let mut scope = Fingerprint::new();
    scope.add(settings.client_auth.as_ref().map(|auth| &auth.digest[..]).unwrap_or_default());
    scope.flag(settings.min_version == Version::Tls13).flag(settings.early_data);
    let scope = scope.finish();
    let mut all = Fingerprint::new();
    all.add(&scope).add(&settings.certificates.len().to_be_bytes());
    for certificate in &settings.certificates {
        all.add(&certificate.key.cert.len().to_be_bytes());
        certificate.key.cert.iter().for_each(|one| _ = all.add(one));
    }
    settings.protocols.iter().for_each(|protocol| _ = all.add(protocol));
    all.flag(settings.challenges.is_some()).flag(settings.on_demand.is_some());
    if let Some(on_demand) = &settings.on_demand {
        let mut hosts: Vec<&str> = on_demand.hosts.iter().map(|host| &**host).collect();
        hosts.sort_unstable();
        hosts.iter().for_each(|host| _ = all.add(host.as_bytes()));
    }
    (all.finish(), scope)
}
