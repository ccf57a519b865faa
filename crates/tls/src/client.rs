//! How a service is verified, and what is shown to it.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::fingerprint::{Digest, Fingerprint};
use crate::provider::provider;
use crate::{Authorities, Certificate, Error, Version};

/// How a service is to be verified.
#[derive(Debug, Clone, Default)]
pub struct ClientSettings {
    /// The authorities that are trusted.
    pub authorities: Authorities,
    /// The protocols that are offered (ALPN), the preferred one first.
    pub protocols: Vec<Vec<u8>>,
    /// The name that is asked for and verified; `None` for that of the endpoint.
    pub server_name: Option<Box<str>>,
    /// What is shown to a service that asks.
    pub certificate: Option<Certificate>,
    /// The oldest version that is spoken.
    pub min_version: Version,
    /// Takes any certificate; `authorities` mean nothing then.
    pub insecure_skip_verify: bool,
}

/// How a service is verified, and what is shown to it. Cheap to clone; equal by what it was made of.
#[derive(Debug, Clone)]
pub struct Client {
    config: Arc<ClientConfig>,
    /// The name that is asked for and verified; `None` for that of the endpoint.
    pub server_name: Option<Box<str>>,
    digest: Digest,
}

impl PartialEq for Client {
    fn eq(&self, other: &Client) -> bool {
        self.digest == other.digest
    }
}

impl Eq for Client {}

impl Client {
    /// From settings. It remembers sessions, for as long as it or a clone of it is kept.
    ///
    /// # Errors
    /// There is no authority, or the server name cannot be one.
    pub fn new(settings: ClientSettings) -> Result<Client, Error> {
        let wrong = |error: rustls::Error| Error::new(error.to_string());
        let digest = digest(&settings);
        if let Some(name) = &settings.server_name {
            server_name(name)?;
        }
        let builder = ClientConfig::builder_with_provider(Arc::clone(provider()))
            .with_protocol_versions(settings.min_version.and_later())
            .map_err(wrong)?;
        let verifier: Arc<dyn ServerCertVerifier> = if settings.insecure_skip_verify {
            Arc::new(Anybody)
        } else {
            WebPkiServerVerifier::builder_with_provider(settings.authorities.roots, Arc::clone(provider()))
                .build()
                .map_err(|error| Error::new(error.to_string()))?
        };
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        let mut config = match settings.certificate {
            Some(certificate) => builder
                .with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(certificate.key))),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = settings.protocols;
        Ok(Client { config: Arc::new(config), server_name: settings.server_name, digest })
    }

    /// For a handshake.
    pub fn config(&self) -> &Arc<ClientConfig> {
        &self.config
    }

    /// The name that is asked for and verified at an endpoint with this host, a name or an address without brackets.
    ///
    /// # Errors
    /// It is neither.
    pub fn name_for(&self, host: &str) -> Result<ServerName<'static>, Error> {
        server_name(self.server_name.as_deref().unwrap_or(host))
    }
}

fn server_name(name: &str) -> Result<ServerName<'static>, Error> {
    ServerName::try_from(name.to_owned()).map_err(|_| {
        Error::new("this is no name of a server")
            .help("write a name such as `ledger.internal`, or an address")
    })
}

fn digest(settings: &ClientSettings) -> Digest {
    let mut all = Fingerprint::new();
    all.add(&settings.authorities.digest).flag(settings.insecure_skip_verify);
    all.flag(settings.min_version == Version::Tls13).flag(settings.server_name.is_some());
    all.add(settings.server_name.as_deref().unwrap_or_default().as_bytes());
    let chain =
        settings.certificate.as_ref().map(|certificate| &certificate.key.cert[..]).unwrap_or_default();
    all.add(&chain.len().to_be_bytes());
    chain.iter().for_each(|one| _ = all.add(one));
    settings.protocols.iter().for_each(|protocol| _ = all.add(protocol));
    all.finish()
}

/// Takes any certificate. That its key was used is still verified: without that there is no encryption at all.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &provider().signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
