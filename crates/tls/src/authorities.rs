//! Authorities whose certificates are believed.

use std::sync::{Arc, OnceLock};

use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::Error;
use crate::fingerprint::{Digest, Fingerprint};

/// Authorities whose certificates are believed. Cheap to clone; none by default.
#[derive(Debug, Clone)]
pub struct Authorities {
    pub(crate) roots: Arc<RootCertStore>,
    pub(crate) digest: Digest,
}

/// By content.
impl PartialEq for Authorities {
    fn eq(&self, other: &Authorities) -> bool {
        self.digest == other.digest
    }
}

impl Eq for Authorities {}

impl Default for Authorities {
    fn default() -> Authorities {
        Authorities { roots: Arc::new(RootCertStore::empty()), digest: Digest::default() }
    }
}

impl Authorities {
    /// From PEM: one certificate or several.
    ///
    /// # Errors
    /// One of them cannot be read, or there is none.
    pub fn from_pem(text: &str) -> Result<Authorities, Error> {
        let (mut roots, mut fingerprint) = (RootCertStore::empty(), Fingerprint::new());
        for (at, certificate) in CertificateDer::pem_slice_iter(text.as_bytes()).enumerate() {
            let cannot = |why: &dyn std::fmt::Display| {
                Error::new(format!("certificate {} of the file cannot be read: {why}", at + 1))
            };
            let certificate = certificate.map_err(|error| cannot(&error))?;
            fingerprint.add(&certificate);
            roots.add(certificate).map_err(|error| cannot(&error))?;
        }
        if roots.is_empty() {
            return Err(Error::new("there is no certificate in the file").help(
                "the file holds the certificates of the authorities, each from `-----BEGIN CERTIFICATE-----` on",
            ));
        }
        Ok(Authorities { roots: Arc::new(roots), digest: fingerprint.finish() })
    }

    /// For whoever speaks TLS by a library of its own.
    pub fn roots(&self) -> &Arc<RootCertStore> {
        &self.roots
    }

    /// Those that the system trusts. Reads files the first time, and knows them from then on.
    ///
    /// # Errors
    /// There are none.
    pub fn of_system() -> Result<Authorities, Error> {
        static SYSTEM: OnceLock<Result<Authorities, Error>> = OnceLock::new();
        SYSTEM.get_or_init(load).clone()
    }
}

fn load() -> Result<Authorities, Error> {
    let (mut roots, mut fingerprint) = (RootCertStore::empty(), Fingerprint::new());
    let found = rustls_native_certs::load_native_certs();
    for certificate in found.certs {
        fingerprint.add(&certificate);
        // Systems carry odd old ones; one that cannot be read is not trusted, and that is all.
        let _ = roots.add(certificate);
    }
    if roots.is_empty() {
        let why = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
        return Err(Error::new(format!("this system trusts no authority{why}")));
    }
    Ok(Authorities { roots: Arc::new(roots), digest: fingerprint.finish() })
}
