//! Certificates that are ordered by ACME: what to order, and where answers to challenges are found.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What is shared by all snapshots of a process, so that an order goes on over a reload. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct AcmeShared {
    /// What authorities look for while an order is under way. `/.well-known/acme-challenge/TOKEN` is answered from
    /// it on listeners without encryption.
    pub challenges: tls::Challenges,
    /// Hosts that clients have asked for, which have no certificate yet.
    pub wanted: tls::Wanted,
}

/// Certificates that are ordered for a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acme {
    /// The URL of the directory of the authority.
    pub directory: Box<str>,
    /// Whom the directory is believed for.
    pub authorities: tls::Authorities,
    /// Where the authority writes to.
    pub email: Option<Box<str>>,
    /// The hosts that certificates are ordered for, in lower case; a wildcard begins with `*.`.
    pub hosts: Vec<Box<str>>,
    /// Hosts that a certificate is ordered for once somebody asks for them; none without `on_demand`.
    pub on_demand: Arc<HashSet<Box<str>>>,
    /// How a host is proved.
    pub challenge: AcmeChallenge,
    /// The program that makes and removes DNS records, and its arguments; empty for other challenges.
    pub hook: Vec<Box<str>>,
    /// How long before its end a certificate is renewed; `None` for when the authority says.
    pub renew_before: Option<Duration>,
    /// The folder for what must survive a restart. `acme/certificates/HOST/{cert.pem,key.pem}` in it is read with
    /// the configuration, where HOST is what [`tls::folder_of`] says.
    pub state_dir: PathBuf,
    /// How many certificates were found there: they are the last ones of the listener, behind those that the
    /// configuration names.
    pub kept: usize,
}

impl Acme {
    /// Whether both are ordered in the same way, whatever their hosts: by one account, with one kind of proof.
    pub fn in_the_same_way(&self, other: &Acme) -> bool {
        let Acme { directory, authorities, email, challenge, hook, renew_before, state_dir, .. } = self;
        *directory == other.directory
            && *authorities == other.authorities
            && *email == other.email
            && *challenge == other.challenge
            && *hook == other.hook
            && *renew_before == other.renew_before
            && *state_dir == other.state_dir
    }
}

/// How a host is proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AcmeChallenge {
    /// By an answer at port 80 (RFC 8555 section 8.3).
    Http,
    /// By a handshake at port 443 (RFC 8737).
    TlsAlpn,
    /// By a DNS record (RFC 8555 section 8.4).
    Dns,
}
