//! Certificates that clients show.

use std::sync::Arc;
use std::time::SystemTime;

use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::CertificateRevocationListDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::prelude::{CertificateRevocationList, FromDer};

use crate::certificate::system_time;
use crate::fingerprint::{Digest, Fingerprint};
use crate::provider::provider;
use crate::{Authorities, Error};

/// A list of revoked certificates, or several from one file.
#[derive(Debug, Clone)]
pub struct RevocationList {
    lists: Vec<CertificateRevocationListDer<'static>>,
    next_update: Option<SystemTime>,
}

impl RevocationList {
    /// From PEM.
    ///
    /// # Errors
    /// There is none, or one of them cannot be read.
    pub fn from_pem(text: &str) -> Result<RevocationList, Error> {
        let lists: Result<Vec<CertificateRevocationListDer<'static>>, _> =
            CertificateRevocationListDer::pem_slice_iter(text.as_bytes()).collect();
        let lists = lists.map_err(|error| Error::new(format!("the list cannot be read: {error}")))?;
        if lists.is_empty() {
            return Err(Error::new("there is no list of revoked certificates in the file").help(
                "a list in PEM begins with `-----BEGIN X509 CRL-----`; one in DER is turned into it by \
                 `openssl crl -inform der -in list.crl -out list.pem`",
            ));
        }
        let mut next_update = None;
        for list in &lists {
            let (_, parsed) = CertificateRevocationList::from_der(list)
                .map_err(|_| Error::new("the list cannot be read: it is not well formed"))?;
            let end = parsed.next_update().map(system_time);
            next_update = [next_update, end].into_iter().flatten().min();
        }
        Ok(RevocationList { lists, next_update })
    }

    /// When it has to be replaced. Later, no certificate of its authority is taken.
    pub fn next_update(&self) -> Option<SystemTime> {
        self.next_update
    }
}

/// What is demanded of clients. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ClientAuth {
    pub(crate) verifier: Arc<dyn ClientCertVerifier>,
    pub(crate) digest: Digest,
}

impl ClientAuth {
    /// Certificates of these authorities are taken, unless a list revokes them. If they are not `required`, a client
    /// may show none.
    ///
    /// With a list, each authority of a chain needs one that has not expired: what cannot be known is refused.
    ///
    /// # Errors
    /// A list cannot be used.
    pub fn new(
        authorities: &Authorities,
        required: bool,
        lists: &[RevocationList],
    ) -> Result<ClientAuth, Error> {
        let mut fingerprint = Fingerprint::new();
        fingerprint.add(&authorities.digest).flag(required);
        let all: Vec<_> = lists.iter().flat_map(|list| list.lists.iter().cloned()).collect();
        all.iter().for_each(|list| _ = fingerprint.add(list));
        let builder = WebPkiClientVerifier::builder_with_provider(
            Arc::clone(&authorities.roots),
            Arc::clone(provider()),
        );
        let builder = builder.with_crls(all).enforce_revocation_expiration();
        let builder = if required { builder } else { builder.allow_unauthenticated() };
        let verifier = builder.build().map_err(|error| Error::new(error.to_string()))?;
        Ok(ClientAuth { verifier, digest: fingerprint.finish() })
    }
}
