//! The cryptography that is used, and the versions of TLS.

use std::sync::{Arc, OnceLock};

use rustls::SupportedProtocolVersion;
use rustls::crypto::CryptoProvider;

/// The oldest version of TLS that is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// TLS 1.2, and 1.3 where both sides can.
    #[default]
    Tls12,
    /// TLS 1.3 only.
    Tls13,
}

impl Version {
    /// This version and those after it.
    pub(crate) fn and_later(self) -> &'static [&'static SupportedProtocolVersion] {
        match self {
            Version::Tls12 => rustls::ALL_VERSIONS,
            Version::Tls13 => TLS13,
        }
    }
}

static TLS13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];

/// Made once: everything that is configured shares it.
pub(crate) fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
}
