//! Why a handshake has failed, in words for those who run the gateway.

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};

/// Why a service is not believed or not understood, and what to do about it where that is known.
pub fn explain_service(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(wrong) => service_certificate(wrong),
        Error::NoCertificatesPresented => "the service shows no certificate".to_owned(),
        Error::AlertReceived(alert) => refused_by_service(*alert),
        Error::PeerIncompatible(why) => {
            format!("the service and the gateway have nothing in common: {why:?}")
        }
        Error::NoApplicationProtocol => "the service offers no protocol that the gateway asks for".to_owned(),
        other if speaks_no_tls(other) => "what the service answers is not TLS: is it `http`?".to_owned(),
        other => other.to_string(),
    }
}

/// Why a handshake with a client has failed.
pub fn explain_client(error: &Error) -> String {
    match error {
        Error::NoCertificatesPresented => "it shows no certificate, and one is required".to_owned(),
        Error::InvalidCertificate(wrong) => client_certificate(wrong),
        Error::InvalidCertRevocationList(wrong) => {
            format!("the list of revoked certificates cannot be used: {wrong:?}")
        }
        Error::AlertReceived(alert) => refused_by_client(*alert),
        // Who speaks older versions only has not heard of that extension.
        Error::PeerIncompatible(
            PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::SignatureAlgorithmsExtensionRequired,
        ) => "it offers no version of TLS that is spoken here".to_owned(),
        Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon) => {
            "it offers no cipher suite that is spoken here".to_owned()
        }
        Error::PeerIncompatible(why) => format!("it offers nothing that is spoken here: {why:?}"),
        Error::NoApplicationProtocol => "it offers no version of HTTP that is spoken here".to_owned(),
        Error::General(_) => "there is no certificate for it".to_owned(),
        other if speaks_no_tls(other) => "what it sends is not TLS".to_owned(),
        other => other.to_string(),
    }
}

/// Whether the first bytes cannot be a record at all.
fn speaks_no_tls(error: &Error) -> bool {
    matches!(
        error,
        Error::InvalidMessage(InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion)
    )
}

fn service_certificate(wrong: &CertificateError) -> String {
    match wrong {
        CertificateError::UnknownIssuer => {
            "its certificate comes from an authority that is not trusted: name that authority in `tls.ca`".to_owned()
        }
        CertificateError::NotValidForName => {
            "its certificate is for another name: name the one it is for in `tls.server_name`".to_owned()
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let expected = expected.to_str();
            if presented.is_empty() {
                return format!("its certificate is not for {expected}, and names no host at all: issue one with a subject alternative name");
            }
            let shown = names(presented);
            format!("its certificate is not for {expected} but for {shown}: name the right one in `tls.server_name`")
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired: renew it at the service".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet: compare the clocks of both machines".to_owned()
        }
        CertificateError::Revoked => "its certificate was revoked".to_owned(),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "its certificate is not for servers: issue one with the extended key usage `serverAuth`".to_owned()
        }
        wrong if is_authority(wrong) => "the service shows a certificate that is marked as an authority's (CA:TRUE): \
             issue a certificate for the service itself, signed by that authority, and name the authority in `tls.ca`"
            .to_owned(),
        other => format!("its certificate is not valid: {other}"),
    }
}

fn client_certificate(wrong: &CertificateError) -> String {
    match wrong {
        CertificateError::UnknownIssuer => {
            "its certificate comes from an authority that is not in `client_auth.ca`".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet".to_owned()
        }
        CertificateError::Revoked => "its certificate was revoked".to_owned(),
        CertificateError::UnknownRevocationStatus => {
            "`client_auth.crl` has no list of the authority of its certificate".to_owned()
        }
        CertificateError::ExpiredRevocationList | CertificateError::ExpiredRevocationListContext { .. } => {
            "a list in `client_auth.crl` has expired: put a newer one in its place".to_owned()
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "its certificate is not for clients: it lacks the extended key usage `clientAuth`".to_owned()
        }
        wrong if is_authority(wrong) => "its certificate is marked as an authority's (CA:TRUE)".to_owned(),
        other => format!("its certificate is not valid: {other}"),
    }
}

/// The library that verifies chains has a word for it that the one above does not pass on as a case of its own.
fn is_authority(wrong: &CertificateError) -> bool {
    matches!(wrong, CertificateError::Other(other) if other.0.to_string() == "CaUsedAsEndEntity")
}

fn refused_by_service(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateRequired => {
            "the service requires a certificate: name one in `tls.cert` and `tls.key`".to_owned()
        }
        AlertDescription::UnknownCA
        | AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateUnknown
        | AlertDescription::AccessDenied => {
            format!("the service does not take the certificate in `tls.cert` (alert {alert:?})")
        }
        AlertDescription::UnrecognisedName => {
            "the service does not know the name that it is asked for: name the right one in `tls.server_name`"
                .to_owned()
        }
        AlertDescription::ProtocolVersion => {
            "the service speaks no version of TLS that the gateway may (see `tls.min_version`)".to_owned()
        }
        alert => format!("the service has broken off (alert {alert:?})"),
    }
}

fn refused_by_client(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::UnknownCA
        | AlertDescription::CertificateUnknown
        | AlertDescription::BadCertificate => {
            format!("it does not trust the certificate that it is shown (alert {alert:?})")
        }
        AlertDescription::CertificateExpired => "it says that the certificate has expired".to_owned(),
        alert => format!("it has broken off (alert {alert:?})"),
    }
}

/// The first few of what a certificate names.
fn names(presented: &[String]) -> String {
    const MOST: usize = 4;
    let shown: Vec<&str> = presented.iter().take(MOST).map(|name| kindless(name)).collect();
    let more = presented.len().saturating_sub(MOST);
    if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
}

/// `a.test` of `DnsName("a.test")`, as the library writes names.
fn kindless(name: &str) -> &str {
    name.split_once("(\"").and_then(|(_, rest)| rest.strip_suffix("\")")).unwrap_or(name)
}
