//! `tls`: encryption of listeners and of connections to services.
//!
//! Files are read, but what stands in them is not understood here: that is for the crates above. Entry points:
//! [`ListenTls`], [`ServiceTls`].

use diagnostics::{Code, Diagnostic, Diagnostics, Spanned};
use document::{File, OneOrMany, keywords, section};

use crate::acme::Acme;

section! {
    /// Encryption of the connections of a listener. Its files are read again when they change, and no connection
    /// ends because of that.
    pub struct ListenTls {
        /// Certificates with their keys. The name that a client asks for (SNI) picks one: first exactly, then by a
        /// wildcard for its leftmost label, then the first of the list. For one name there may be several with
        /// different kinds of keys.
        certificates: Option<OneOrMany<CertificateFiles>>,
        /// Certificates that clients show (mTLS).
        client_auth: Option<ClientAuth>,
        /// The oldest version of TLS that is spoken.
        min_version: Spanned<TlsVersion> = "1.2",
        /// Whether clients that come back may send a request before the handshake is complete (0-RTT). Such a
        /// request can be recorded and repeated by others, so only safe methods are served then.
        early_data: Spanned<bool> = "false",
        /// Certificates that are ordered and renewed by ACME.
        acme: Option<Acme>,
    }
    check check_listen_tls
}

section! {
    /// A certificate and its key.
    pub struct CertificateFiles {
        /// The certificate and its chain, in a PEM file: that of the server first.
        cert: File,
        /// The private key of the certificate, in a PEM file without a passphrase.
        key: File,
    }
}

section! {
    /// Certificates that clients show (mTLS).
    pub struct ClientAuth {
        /// The authorities that issue them, in a PEM file.
        ca: File,
        /// `required`: who shows none is not served. `optional`: who shows none is served as somebody unknown. A
        /// certificate that is shown and not valid is refused in both.
        mode: Spanned<ClientAuthMode> = "required",
        /// Whether services are told of the certificate, in `x-client-cert-subject`, `x-client-cert-san` and
        /// `x-client-cert-fingerprint`. What clients send under names that begin with `x-client-cert-` never reaches a
        /// service, whatever stands here.
        forward: Spanned<bool> = "false",
        /// Lists of revoked certificates (CRL), in PEM files. With one, every authority in the chain of a client
        /// needs a list that has not expired.
        crl: Option<OneOrMany<File>>,
    }
}

keywords! {
    /// Whether clients must show a certificate.
    pub enum ClientAuthMode {
        /// They must.
        Required = "required",
        /// They may.
        Optional = "optional",
    }
}

keywords! {
    /// A version of TLS.
    pub enum TlsVersion {
        /// TLS 1.2
        Tls12 = "1.2",
        /// TLS 1.3
        Tls13 = "1.3",
    }
}

section! {
    /// Encryption of the connections to a service whose endpoints are `https`.
    pub struct ServiceTls {
        /// The name that is asked for and that the certificate must be for, in place of the host of the endpoint.
        server_name: Option<Spanned<String>>,
        /// The authorities that are trusted, in a PEM file; those of the system without it.
        ca: Option<File>,
        /// The certificate that is shown to the service, with its chain, in a PEM file.
        cert: Option<File>,
        /// The private key of `cert`, in a PEM file without a passphrase.
        key: Option<File>,
        /// The oldest version of TLS that is spoken.
        min_version: TlsVersion = "1.2",
        /// Takes any certificate, so that anybody in between can read and change everything. For tests only.
        insecure_skip_verify: Spanned<bool> = "false",
    }
    check check_service_tls
}

fn check_listen_tls(tls: &ListenTls, diagnostics: &mut Diagnostics) {
    if tls.certificates.is_none() && tls.acme.is_none() && !diagnostics.has_error_in(tls.span) {
        diagnostics.push(
            Diagnostic::error(Code::MissingKey, tls.span, "there is no certificate")
                .label("needs `certificates` or `acme`")
                .help("add one: certificates: [{ cert: certs/site.pem, key: certs/site.key }]"),
        );
    }
}

fn check_service_tls(tls: &ServiceTls, diagnostics: &mut Diagnostics) {
    let lonely = match (&tls.cert, &tls.key) {
        (Some(cert), None) => {
            Some((cert.span, "`cert` needs its `key`", "add `key`: the file of its private key"))
        }
        (None, Some(key)) => {
            Some((key.span, "`key` needs its `cert`", "add `cert`: the file of its certificate"))
        }
        _ => None,
    };
    if let Some((span, message, help)) = lonely
        && !diagnostics.has_error_in(tls.span)
    {
        diagnostics.push(Diagnostic::error(Code::MissingKey, span, message).help(help));
    }
}
