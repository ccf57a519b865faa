//! URLs of issuers and of other servers that are asked, as users write them, and whose word is taken for who they are.

use authority::Trust;
use diagnostics::{Code, Diagnostic, Diagnostics, Span};
use document::File;
use http::Uri;
use oidc::Plaintext;

use crate::{Digest, digest_of};

/// Whose word is taken, and what tells it from others.
pub(crate) fn trust(ca: Option<&File>, diagnostics: &mut Diagnostics) -> Option<(Trust, Digest)> {
    let Some(file) = ca else { return Some((Trust::System, [0; 32])) };
    match tls::Authorities::from_pem(file.text()) {
        Ok(authorities) => Some((Trust::These(authorities), digest_of(file.text().as_bytes()))),
        Err(error) => {
            let message = format!("`{}` cannot be used: {error}", file.path.display());
            let diagnostic = Diagnostic::error(Code::InvalidCertificate, file.span, message);
            diagnostics.push(match error.next_step() {
                Some(help) => diagnostic.help(help),
                None => diagnostic,
            });
            None
        }
    }
}

/// Whether servers may be asked without encryption.
pub(crate) fn plaintext(allow_http: bool) -> Plaintext {
    if allow_http { Plaintext::Everywhere } else { Plaintext::LoopbackOnly }
}

/// A URL that is asked. Without encryption whoever sits between could answer in its place, so that it has to be asked for.
pub(crate) fn url(text: &str, place: Span, allowed: Plaintext, diagnostics: &mut Diagnostics) -> Option<Uri> {
    let parsed: Option<Uri> = text.parse().ok();
    let uri = parsed.filter(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
            && !text.contains('#')
    });
    let Some(uri) = uri else {
        diagnostics.push(
            Diagnostic::error(Code::InvalidUrl, place, format!("`{text}` is no URL that could be asked"))
                .help("write `https://HOST/PATH`, without a user and without `#`"),
        );
        return None;
    };
    if uri.scheme_str() == Some("http") && allowed == Plaintext::LoopbackOnly && !is_loopback(&uri) {
        diagnostics.push(
            Diagnostic::error(
                Code::InvalidUrl,
                place,
                "what is answered here decides who gets in, and it is not encrypted",
            )
            .help("use https, or write `allow_http: true` if nobody can get in between"),
        );
        return None;
    }
    Some(uri)
}

/// Whether it is on this machine.
pub(crate) fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
