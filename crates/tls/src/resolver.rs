//! Which certificate a client is shown.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::provider::provider;
use crate::{Certificate, Challenges, Wanted};

/// The protocol of a handshake that proves a host (RFC 8737 section 3). Nothing else is spoken on its connection.
pub const ACME_PROTOCOL: &[u8] = b"acme-tls/1";

/// Hosts that get a certificate once somebody asks for them.
#[derive(Debug, Clone, Default)]
pub struct OnDemand {
    /// The hosts, in lower case. For no other one anything is ordered.
    pub hosts: Arc<HashSet<Box<str>>>,
    /// Where they are asked for.
    pub wanted: Wanted,
}

thread_local! {
    static SERVER_NAME: RefCell<Option<Box<str>>> = const { RefCell::new(None) };
}

/// The server name of the handshake in which a certificate was chosen last on this thread, in lower case. The
/// interface of the library that works on borrowed buffers does not tell it; it chooses a certificate in every
/// handshake, resumed ones too, while it reads the first message of the client. Call it right after that.
pub fn take_server_name() -> Option<Box<str>> {
    SERVER_NAME.take()
}

#[derive(Debug)]
pub(crate) struct Resolver {
    /// By name.
    exact: HashMap<Box<str>, Vec<Arc<CertifiedKey>>>,
    /// By what follows the leftmost label.
    wildcard: HashMap<Box<str>, Vec<Arc<CertifiedKey>>>,
    /// For clients that name no host, or one that nothing else is for.
    default: Vec<Arc<CertifiedKey>>,
    challenges: Option<Challenges>,
    on_demand: Option<OnDemand>,
}

impl Resolver {
    pub(crate) fn new(
        certificates: &[Certificate],
        challenges: Option<Challenges>,
        on_demand: Option<OnDemand>,
    ) -> Resolver {
        let mut resolver = Resolver {
            exact: HashMap::new(),
            wildcard: HashMap::new(),
            default: Vec::new(),
            challenges,
            on_demand,
        };
        // Of several for one name the cheapest comes first, and then the first of the configuration.
        let mut sorted: Vec<&Certificate> = certificates.iter().collect();
        sorted.sort_by_key(|certificate| certificate.kind());
        for certificate in sorted {
            for name in certificate.names() {
                let (map, key) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut resolver.wildcard, parent),
                    None => (&mut resolver.exact, &**name),
                };
                map.entry(key.into()).or_default().push(Arc::clone(&certificate.key));
            }
        }
        if let Some(first) = certificates.first() {
            // Its siblings with other kinds of keys are as good for a client that names no host.
            let same = |other: &&Certificate| other.names() == first.names() && !first.names().is_empty();
            let mut all: Vec<&Certificate> = certificates.iter().skip(1).filter(same).collect();
            all.insert(0, first);
            all.sort_by_key(|certificate| certificate.kind());
            resolver.default = all.into_iter().map(|certificate| Arc::clone(&certificate.key)).collect();
        }
        resolver
    }

    /// The certificates for a name, or none.
    fn named(&self, name: &str) -> &[Arc<CertifiedKey>] {
        let exact = self.exact.get(name);
        // A wildcard stands for exactly one label (RFC 9525 section 6.3).
        let parent = || self.wildcard.get(name.split_once('.')?.1);
        exact.or_else(parent).map(Vec::as_slice).unwrap_or_default()
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(str::to_ascii_lowercase);
        SERVER_NAME.set(name.as_deref().map(Into::into));
        if let Some(challenges) = &self.challenges
            && hello.alpn().is_some_and(|mut offered| offered.any(|protocol| protocol == ACME_PROTOCOL))
        {
            return challenges.proof(name.as_deref()?);
        }
        let named = name.as_deref().map(|name| self.named(name)).unwrap_or_default();
        if named.is_empty()
            && let (Some(on_demand), Some(name)) = (&self.on_demand, &name)
            && on_demand.hosts.contains(name.as_str())
        {
            on_demand.wanted.ask(name);
        }
        let candidates = if named.is_empty() { &self.default } else { named };
        // Without one that fits, the handshake fails with the alert that says so.
        candidates.iter().find(|key| fits(key, &hello)).or_else(|| candidates.first()).cloned()
    }
}

/// Whether a client can verify what is signed with this key, and can use it with one of its suites.
fn fits(key: &CertifiedKey, hello: &ClientHello<'_>) -> bool {
    let algorithm = key.key.algorithm();
    let usable = |suite: &rustls::SupportedCipherSuite| {
        hello.cipher_suites().contains(&suite.suite()) && suite.usable_for_signature_algorithm(algorithm)
    };
    key.key.choose_scheme(hello.signature_schemes()).is_some() && provider().cipher_suites.iter().any(usable)
}
