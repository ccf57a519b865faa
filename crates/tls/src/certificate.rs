//! A certificate with its chain and key.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::SignatureAlgorithm;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};

use crate::Error;
use crate::peer::address;
use crate::provider::provider;

/// More certificates in one chain are a mistake, and would be sent in every handshake.
const LONGEST_CHAIN: usize = 16;

/// A certificate with its chain and key, ready for handshakes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Certificate {
    pub(crate) key: Arc<CertifiedKey>,
    chain: Arc<Read>,
}

/// A certificate with the chain to an authority, without its key.
#[derive(Debug, Clone)]
pub struct Chain {
    certificates: Vec<CertificateDer<'static>>,
    read: Arc<Read>,
}

/// What a certificate says.
#[derive(Debug)]
struct Read {
    names: Vec<Box<str>>,
    addresses: Vec<Box<str>>,
    not_before: SystemTime,
    not_after: SystemTime,
}

/// The kind of a key. Clients differ in what they can verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyKind {
    /// ECDSA; the cheapest to sign with, and every client of today takes it.
    Ecdsa,
    /// Ed25519
    Ed25519,
    /// RSA
    Rsa,
    /// Something else.
    Other,
}

impl std::fmt::Display for KeyKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            KeyKind::Ecdsa => "ECDSA",
            KeyKind::Ed25519 => "Ed25519",
            KeyKind::Rsa => "RSA",
            KeyKind::Other => "another",
        })
    }
}

impl Chain {
    /// From PEM: the certificate of the server first, then those that lead to an authority.
    ///
    /// # Errors
    /// There is none, or one of them cannot be read.
    pub fn from_pem(text: &str) -> Result<Chain, Error> {
        let certificates: Result<Vec<CertificateDer<'static>>, _> =
            CertificateDer::pem_slice_iter(text.as_bytes()).collect();
        let certificates =
            certificates.map_err(|error| Error::new(format!("the certificate cannot be read: {error}")))?;
        if certificates.len() > LONGEST_CHAIN {
            let message = format!("there are {} certificates in the file", certificates.len());
            return Err(Error::new(message).help(
                "keep the certificate of the server and those that lead to its authority, at most 16; a list of \
                 authorities goes elsewhere",
            ));
        }
        let Some(first) = certificates.first() else {
            let error = Error::new("there is no certificate in the file");
            return Err(if PrivateKeyDer::from_pem_slice(text.as_bytes()).is_ok() {
                error.help("the file holds a private key: `cert` and `key` may be exchanged")
            } else {
                error.help("a certificate in PEM begins with `-----BEGIN CERTIFICATE-----`")
            });
        };
        let read = Arc::new(read(first)?);
        for (at, certificate) in certificates.iter().enumerate().skip(1) {
            X509Certificate::from_der(certificate)
                .map_err(|_| Error::new(format!("certificate {} of the file cannot be read", at + 1)))?;
        }
        Ok(Chain { certificates, read })
    }

    /// Together with its key, from PEM.
    ///
    /// # Errors
    /// The key cannot be read, or does not belong to the certificate.
    pub fn with_key(self, key: &str) -> Result<Certificate, Error> {
        let key = read_key(key)?;
        let key = CertifiedKey::from_der(self.certificates, key, provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => Error::new("the key does not belong to the certificate").help(
                "the key must be the one that the certificate was requested with; the first certificate of the file \
                 must be that of the server, not that of an authority",
            ),
            rustls::Error::General(_) => Error::new("keys of this kind or size are not supported").help(
                "make another one: RSA with 2048 to 8192 bits, ECDSA on P-256, P-384 or P-521, or Ed25519; \
                 `openssl ecparam -name prime256v1 -genkey -noout -out site.key` makes a good one",
            ),
            error => Error::new(error.to_string()),
        })?;
        Ok(Certificate { key: Arc::new(key), chain: self.read })
    }
}

impl Certificate {
    /// From PEM: the certificate first, then its chain; and its key.
    ///
    /// # Errors
    /// One of them cannot be read, or they do not belong together.
    pub fn from_pem(chain: &str, key: &str) -> Result<Certificate, Error> {
        Chain::from_pem(chain)?.with_key(key)
    }

    /// The names of hosts that it is for, in lower case; a wildcard begins with `*.`.
    pub fn names(&self) -> &[Box<str>] {
        &self.chain.names
    }

    /// The addresses that it is for.
    pub fn addresses(&self) -> &[Box<str>] {
        &self.chain.addresses
    }

    /// When it begins to be valid.
    pub fn not_before(&self) -> SystemTime {
        self.chain.not_before
    }

    /// When it ends to be valid.
    pub fn not_after(&self) -> SystemTime {
        self.chain.not_after
    }

    /// The kind of its key.
    pub fn kind(&self) -> KeyKind {
        match self.key.key.algorithm() {
            SignatureAlgorithm::ECDSA => KeyKind::Ecdsa,
            SignatureAlgorithm::ED25519 => KeyKind::Ed25519,
            SignatureAlgorithm::RSA => KeyKind::Rsa,
            _ => KeyKind::Other,
        }
    }
}

/// By content: the same certificate with the same chain. The key follows from it.
impl PartialEq for Certificate {
    fn eq(&self, other: &Certificate) -> bool {
        self.key.cert == other.key.cert
    }
}

impl Eq for Certificate {}

fn read_key(text: &str) -> Result<PrivateKeyDer<'static>, Error> {
    if text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") || text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(Error::new("the key has a passphrase").help(
            "Gateward starts without anybody to type one; take it off: `openssl pkey -in with.key -out without.key`",
        ));
    }
    PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|error| match error {
        rustls_pki_types::pem::Error::NoItemsFound if text.contains("-----BEGIN CERTIFICATE") => {
            Error::new("there is no key in the file")
                .help("the file holds a certificate: `cert` and `key` may be exchanged")
        }
        rustls_pki_types::pem::Error::NoItemsFound => Error::new("there is no key in the file")
            .help("a key in PEM begins with `-----BEGIN PRIVATE KEY-----`"),
        error => Error::new(format!("the key cannot be read: {error}")),
    })
}

fn read(certificate: &CertificateDer<'_>) -> Result<Read, Error> {
    let (_, parsed) = X509Certificate::from_der(certificate)
        .map_err(|_| Error::new("the certificate cannot be read: it is not well formed"))?;
    let (mut names, mut addresses) = (Vec::new(), Vec::new());
    if let Ok(Some(alternative)) = parsed.subject_alternative_name() {
        for name in &alternative.value.general_names {
            match name {
                GeneralName::DNSName(name) if crate::is_host(name) => {
                    names.push(name.to_ascii_lowercase().into());
                }
                GeneralName::IPAddress(bytes) => {
                    addresses.extend(address(bytes).map(|ip| ip.to_string().into()));
                }
                _ => {}
            }
        }
    }
    let validity = parsed.validity();
    Ok(Read {
        names,
        addresses,
        not_before: system_time(validity.not_before),
        not_after: system_time(validity.not_after),
    })
}

/// What lies before 1970 is 1970.
pub(crate) fn system_time(time: ASN1Time) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(time.timestamp()).unwrap_or(0))
}
