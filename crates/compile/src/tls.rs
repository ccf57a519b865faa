//! `tls`: of listeners and of services.

use std::time::SystemTime;

use config::{ClientAuthMode, Config, Listen, ListenTls, Service, TlsVersion};
use diagnostics::{Code, Diagnostic, Diagnostics, Spanned};
use snapshot::{Acme, Protocol, Protocols};
use tls::{
    Authorities, Client, ClientAuth, ClientSettings, OnDemand, RevocationList, Server, ServerSettings,
    Version,
};

use crate::outside::Outside;
use crate::{acme, certificates};

/// The names of versions of HTTP in handshakes (RFC 7301 section 6).
const HTTP1: &[u8] = b"http/1.1";
const HTTP2: &[u8] = b"h2";

/// Encryption of a listener, and what is ordered for it; `None` also where a mistake was found.
pub(crate) fn listener(
    listen: &Listen,
    protocols: Protocols,
    config: &Config,
    outside: &Outside,
    diagnostics: &mut Diagnostics,
) -> (Option<Server>, Option<Acme>) {
    let Some(raw) = &listen.tls else { return (None, None) };
    let before = diagnostics.errors();
    let mut all = certificates::all(raw.certificates.as_ref(), outside.now, diagnostics);
    let acme = raw.acme.as_ref().and_then(|section| {
        let kept = acme::stored(section, config, outside.now, diagnostics);
        let acme = acme::compile(section, raw, config, outside, kept.len(), diagnostics);
        all.extend(kept);
        acme
    });
    let client_auth = client_auth(raw, outside.now, diagnostics);
    if diagnostics.errors() > before {
        return (None, acme);
    }
    let on_demand = acme.as_ref().filter(|acme| !acme.on_demand.is_empty());
    let settings = ServerSettings {
        certificates: all,
        protocols: alpn(protocols.http2, protocols.http1),
        client_auth,
        min_version: version(raw.min_version.value),
        early_data: raw.early_data.value,
        challenges: acme.as_ref().and_then(|acme| acme::challenges(acme, outside)),
        on_demand: on_demand
            .map(|acme| OnDemand { hosts: acme.on_demand.clone(), wanted: outside.acme.wanted.clone() }),
    };
    let server = Server::new(settings).map_err(|error| {
        diagnostics.push(Diagnostic::error(
            Code::InvalidValue,
            raw.span,
            format!("`tls` cannot be used: {error}"),
        ));
    });
    (server.ok(), acme)
}

fn client_auth(raw: &ListenTls, now: SystemTime, diagnostics: &mut Diagnostics) -> Option<ClientAuth> {
    let section = raw.client_auth.as_ref()?;
    let authorities = certificates::authorities(&section.ca, diagnostics);
    let mut lists = Vec::new();
    let mut complete = true;
    for file in section.crl.iter().flatten() {
        match RevocationList::from_pem(file.text()) {
            Ok(list) => {
                if list.next_update().is_some_and(|end| end < now) {
                    let message =
                        format!("`{}` has expired: it should have been replaced", file.path.display());
                    diagnostics.push(
                        Diagnostic::warning(Code::CertificateExpires, file.span, message)
                            .help("no certificate of its authority is taken: put a newer list in its place"),
                    );
                }
                lists.push(list);
            }
            Err(error) => {
                certificates::refuse(Code::InvalidCertificate, file, &error, diagnostics);
                complete = false;
            }
        }
    }
    let authorities = authorities.filter(|_| complete)?;
    let required = section.mode.value == ClientAuthMode::Required;
    ClientAuth::new(&authorities, required, &lists)
        .map_err(|error| {
            let message = format!("certificates of clients cannot be verified: {error}");
            diagnostics.push(Diagnostic::error(Code::InvalidCertificate, section.span, message));
        })
        .ok()
}

/// Encryption of the connections to a service; `None` also where a mistake was found.
pub(crate) fn service(
    name: &Spanned<String>,
    raw: &Service,
    protocol: Protocol,
    outside: &Outside,
    diagnostics: &mut Diagnostics,
) -> Option<Client> {
    if !check_schemes(name, raw, diagnostics) {
        return None;
    }
    let tls = raw.tls.as_ref();
    let before = diagnostics.errors();
    let insecure = tls.is_some_and(|tls| tls.insecure_skip_verify.value);
    if let Some(tls) = tls.filter(|_| insecure) {
        let message = format!(
            "service `{}` is not verified: anybody in between can read and change everything",
            name.value
        );
        diagnostics
            .push(Diagnostic::warning(Code::VerificationOff, tls.insecure_skip_verify.span, message).help(
            if tls.ca.is_some() { "remove it: `ca` is what verifies the service" } else { "name the authority of the service with `ca`, and its name with `server_name` if it has another" },
        ));
    }
    let authorities = match tls.and_then(|tls| tls.ca.as_ref()) {
        Some(file) => certificates::authorities(file, diagnostics),
        None if insecure => None,
        None => of_system(name, raw, outside, diagnostics),
    };
    let certificate = tls
        .and_then(|tls| tls.cert.as_ref().zip(tls.key.as_ref()))
        .and_then(|(cert, key)| certificates::pair(cert, key, outside.now, diagnostics));
    if diagnostics.errors() > before {
        return None;
    }
    let server_name = tls.and_then(|tls| tls.server_name.as_ref());
    let settings = ClientSettings {
        authorities: authorities.unwrap_or_default(),
        protocols: match protocol {
            Protocol::Http1 => alpn(false, true),
            Protocol::Http2 => alpn(true, false),
            Protocol::Auto => alpn(true, true),
        },
        server_name: server_name.map(|name| name.value.as_str().into()),
        certificate,
        min_version: tls.map(|tls| version(tls.min_version)).unwrap_or_default(),
        insecure_skip_verify: insecure,
    };
    let place = server_name.map_or_else(|| tls.map_or(name.span, |tls| tls.span), |name| name.span);
    Client::new(settings)
        .map_err(|error| {
            let one = Diagnostic::error(Code::InvalidValue, place, format!("`tls` cannot be used: {error}"));
            diagnostics.push(match error.next_step() {
                Some(help) => one.help(help),
                None => one,
            });
        })
        .ok()
}

fn of_system(
    name: &Spanned<String>,
    raw: &Service,
    outside: &Outside,
    diagnostics: &mut Diagnostics,
) -> Option<Authorities> {
    let place = raw.endpoints().first().map_or(name.span, |endpoint| endpoint.url.span);
    (outside.authorities)()
        .map_err(|error| {
            let message = format!("service `{}` cannot be verified: {error}", name.value);
            diagnostics.push(Diagnostic::error(Code::NoAuthorities, place, message).help(
                "install the certificates of authorities (Debian: `apt-get install ca-certificates`), or name a file \
                 in the service: tls: { ca: certs/ca.pem }",
            ));
        })
        .ok()
}

/// Addresses that are found say nothing of encryption, so it is `tls` that does. By which name they are verified has to
/// be said where they come without one.
fn check_discovered(discover: &config::Discover, raw: &Service, diagnostics: &mut Diagnostics) -> bool {
    let Some(tls) = &raw.tls else { return false };
    if discover.dns.is_none() && tls.server_name.is_none() && !tls.insecure_skip_verify.value {
        diagnostics.push(
            Diagnostic::error(Code::MissingKey, tls.span, "what these addresses are called is not known")
                .label("this section needs `server_name`")
                .help("add `server_name`: the name that stands in the certificates of the service"),
        );
        return false;
    }
    true
}

/// Whether connections are encrypted; what stands against that is reported.
fn check_schemes(name: &Spanned<String>, raw: &Service, diagnostics: &mut Diagnostics) -> bool {
    if let Some(discover) = &raw.discover {
        return check_discovered(discover, raw, diagnostics);
    }
    let Some(first) = raw.endpoints().first() else { return false };
    let https = first.url.value.https;
    if let Some(other) = raw.endpoints().iter().find(|endpoint| endpoint.url.value.https != https) {
        diagnostics.push(
            Diagnostic::error(
                Code::MixedEndpoints,
                other.url.span,
                format!("service `{}` has `http` and `https` endpoints", name.value),
            )
            .related(first.url.span, "the first endpoint")
            .help("make two services of it, or reach all endpoints in one way"),
        );
        return false;
    }
    if let (false, Some(tls)) = (https, &raw.tls) {
        diagnostics.push(
            Diagnostic::error(
                Code::ConflictingKeys,
                tls.span,
                format!("service `{}` has `tls`, and its endpoints are `http`", name.value),
            )
            .related(first.url.span, "not encrypted")
            .help(format!("write `{}`, or remove `tls`", https_of(first))),
        );
    }
    https
}

/// The URL of an endpoint as it is written with `https`.
fn https_of(endpoint: &config::Endpoint) -> String {
    let url = &endpoint.url.value;
    if url.port == 80 {
        format!("https://{}", url.host)
    } else {
        format!("https://{}:{}", url.host, url.port)
    }
}

fn alpn(http2: bool, http1: bool) -> Vec<Vec<u8>> {
    let all = [(http2, HTTP2), (http1, HTTP1)];
    all.into_iter().filter(|(on, _)| *on).map(|(_, protocol)| protocol.to_vec()).collect()
}

fn version(version: TlsVersion) -> Version {
    match version {
        TlsVersion::Tls12 => Version::Tls12,
        TlsVersion::Tls13 => Version::Tls13,
    }
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
