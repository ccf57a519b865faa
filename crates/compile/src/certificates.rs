//! Certificates and keys: whether files hold them, and how long they are good.

use std::time::{Duration, SystemTime};

use config::CertificateFiles;
use diagnostics::{Code, Diagnostic, Diagnostics, Span};
use document::{File, OneOrMany};
use tls::{Authorities, Certificate, Chain};

/// A certificate that ends so soon is worth a warning.
const SOON: Duration = Duration::from_secs(14 * 86_400);

/// Says that what stands in a file cannot be used.
pub(crate) fn refuse(code: Code, file: &File, error: &tls::Error, diagnostics: &mut Diagnostics) {
    let message = format!("`{}` cannot be used: {error}", file.path.display());
    let one = Diagnostic::error(code, file.span, message);
    diagnostics.push(match error.next_step() {
        Some(help) => one.help(help),
        None => one,
    });
}

/// A certificate and its key.
pub(crate) fn pair(
    cert: &File,
    key: &File,
    now: SystemTime,
    diagnostics: &mut Diagnostics,
) -> Option<Certificate> {
    let chain = Chain::from_pem(cert.text())
        .map_err(|error| refuse(Code::InvalidCertificate, cert, &error, diagnostics))
        .ok()?;
    let certificate = chain
        .with_key(key.text())
        .map_err(|error| refuse(Code::InvalidKey, key, &error, diagnostics))
        .ok()?;
    warn_of_end(&format!("`{}`", cert.path.display()), &certificate, cert.span, now, diagnostics);
    Some(certificate)
}

/// The certificates of authorities.
pub(crate) fn authorities(file: &File, diagnostics: &mut Diagnostics) -> Option<Authorities> {
    Authorities::from_pem(file.text())
        .map_err(|error| refuse(Code::InvalidCertificate, file, &error, diagnostics))
        .ok()
}

/// All certificates of a listener that can be read.
pub(crate) fn all(
    files: Option<&OneOrMany<CertificateFiles>>,
    now: SystemTime,
    diagnostics: &mut Diagnostics,
) -> Vec<Certificate> {
    let mut found: Vec<(Certificate, Span)> = Vec::new();
    for files in files.into_iter().flatten() {
        let Some(certificate) = pair(&files.cert, &files.key, now, diagnostics) else { continue };
        warn_of_no_name(&files.cert, &certificate, diagnostics);
        warn_of_duplicate(&files.cert, &certificate, &found, diagnostics);
        found.push((certificate, files.cert.span));
    }
    found.into_iter().map(|(certificate, _)| certificate).collect()
}

/// A certificate that is not valid, or will soon not be.
pub(crate) fn warn_of_end(
    what: &str,
    certificate: &Certificate,
    span: Span,
    now: SystemTime,
    diagnostics: &mut Diagnostics,
) {
    let (from, to) = (certificate.not_before(), certificate.not_after());
    let (message, help) = if now > to {
        (format!("{what} has expired on {}", date(to)), "clients refuse it: put a renewed one in its place")
    } else if now < from {
        (
            format!("{what} is not valid before {}", date(from)),
            "clients refuse it until then; is the clock right?",
        )
    } else if to < now + SOON {
        let days = to.duration_since(now).unwrap_or_default().as_secs() / 86_400;
        let left = match days {
            0 => "today".to_owned(),
            1 => "in one day".to_owned(),
            days => format!("in {days} days"),
        };
        (format!("{what} expires {left}, on {}", date(to)), "put a renewed one in its place before then")
    } else {
        return;
    };
    diagnostics.push(Diagnostic::warning(Code::CertificateExpires, span, message).help(help));
}

/// Clients look at the alternative names only (RFC 9525 section 2.2).
fn warn_of_no_name(file: &File, certificate: &Certificate, diagnostics: &mut Diagnostics) {
    if !certificate.names().is_empty() || !certificate.addresses().is_empty() {
        return;
    }
    let message = format!("`{}` names no host", file.path.display());
    diagnostics.push(Diagnostic::warning(Code::CertificateWithoutName, file.span, message).help(
        "clients look at the alternative names only; with openssl they are made by \
             `-addext subjectAltName=DNS:example.com`",
    ));
}

/// A certificate that is for nothing that an earlier one is not for, with the same kind of key.
fn warn_of_duplicate(
    file: &File,
    certificate: &Certificate,
    found: &[(Certificate, Span)],
    diagnostics: &mut Diagnostics,
) {
    let mut alike = found.iter().filter(|(other, _)| other.kind() == certificate.kind());
    let taken = |name: &str| {
        let mut alike = found.iter().filter(|(other, _)| other.kind() == certificate.kind());
        alike.find(|(other, _)| other.names().iter().any(|known| **known == *name))
    };
    // For an address, or for nothing, only the very same one is one too many.
    let first = match certificate.names().first() {
        Some(name) => taken(name),
        None => alike.find(|(other, _)| other == certificate),
    };
    if let Some((_, earlier)) = first
        && certificate.names().iter().all(|name| taken(name).is_some())
    {
        let message = format!("`{}` is never shown to a client", file.path.display());
        diagnostics.push(
            Diagnostic::warning(Code::DuplicateCertificate, file.span, message)
                .label(format!(
                    "an earlier one has the same names and a key of the same kind ({})",
                    certificate.kind()
                ))
                .related(*earlier, "the earlier one")
                .help("remove one of them"),
        );
    }
}

/// The day, as ISO 8601 writes it.
fn date(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string().chars().take(10).collect()
}
