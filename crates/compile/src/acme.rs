//! `acme`: what is ordered, and what was kept from earlier orders.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::SystemTime;

use config::{Acme as Raw, AcmeChallenge as RawChallenge, ClientAuthMode, Config, ListenTls, Stored};
use diagnostics::{Code, Diagnostic, Diagnostics, Span};
use snapshot::{Acme, AcmeChallenge, Listener};
use tls::Certificate;

use crate::certificates;
use crate::outside::Outside;

/// The most hosts of a listener. Each has an order of its own, and two files that are looked at all the time.
const MOST_HOSTS: usize = 1000;

/// What is ordered for a listener.
pub(crate) fn compile(
    raw: &Raw,
    tls: &ListenTls,
    config: &Config,
    outside: &Outside,
    kept: usize,
    diagnostics: &mut Diagnostics,
) -> Option<Acme> {
    let state_dir = config.state_dir.as_ref();
    if state_dir.is_none() && !diagnostics.has_errors() {
        diagnostics.push(
            Diagnostic::error(
                Code::MissingKey,
                raw.span,
                "`acme` needs a folder for the account and the certificates",
            )
            .help("add it at the top of the configuration: state_dir: /var/lib/gateward"),
        );
    }
    check(raw, tls, config, diagnostics);
    let authorities = match &raw.ca {
        Some(file) => certificates::authorities(file, diagnostics),
        None => (outside.authorities)()
            .map_err(|error| {
                let message = format!("the directory of the authority cannot be verified: {error}");
                diagnostics.push(Diagnostic::error(Code::NoAuthorities, raw.span, message).help(
                    "install the certificates of authorities (Debian: `apt-get install ca-certificates`), or name a \
                     file with `ca`",
                ));
            })
            .ok(),
    };
    let mut hosts: Vec<Box<str>> = Vec::new();
    for host in names(raw) {
        if !hosts.iter().any(|known| **known == *host) {
            hosts.push(host.into());
        }
    }
    let on_demand = on_demand(raw, config, &hosts);
    if hosts.len() + on_demand.len() > MOST_HOSTS {
        let message = format!("`acme` has more than {MOST_HOSTS} hosts");
        diagnostics.push(
            Diagnostic::error(Code::TooLarge, raw.span, message)
                .help("order certificates with wildcards, or part the hosts among several listeners"),
        );
    }
    Some(Acme {
        directory: raw.directory.0.as_str().into(),
        authorities: authorities?,
        email: raw.email.as_ref().map(|email| email.as_str().into()),
        on_demand,
        hosts,
        challenge: match raw.challenge.value {
            RawChallenge::Http => AcmeChallenge::Http,
            RawChallenge::TlsAlpn => AcmeChallenge::TlsAlpn,
            RawChallenge::Dns => AcmeChallenge::Dns,
        },
        hook: raw.hook.iter().flat_map(|hook| &hook.value).map(|part| part.as_str().into()).collect(),
        renew_before: raw.renew_before.as_ref().map(|before| before.get()),
        state_dir: state_dir?.path.clone(),
        kept,
    })
}

/// Where challenges are answered in handshakes, if they are.
pub(crate) fn challenges(acme: &Acme, outside: &Outside) -> Option<tls::Challenges> {
    (acme.challenge == AcmeChallenge::TlsAlpn).then(|| outside.acme.challenges.clone())
}

fn check(raw: &Raw, tls: &ListenTls, config: &Config, diagnostics: &mut Diagnostics) {
    for host in raw.hosts.iter().flatten() {
        let (message, help) = if !can_be_ordered(&host.value) {
            ("is no host that a certificate can be for", "write a name such as `api.example.com`")
        } else if host.value.starts_with("*.") && raw.challenge.value != RawChallenge::Dns {
            (
                "can be proved by a DNS record only",
                "write `challenge: dns-01` with a `hook`, or name each host",
            )
        } else {
            continue;
        };
        let message = format!("`{}` {message}", host.value);
        diagnostics.push(Diagnostic::error(Code::InvalidHost, host.span, message).help(help));
    }
    let strict = tls.client_auth.as_ref().filter(|auth| auth.mode.value == ClientAuthMode::Required);
    if let (RawChallenge::TlsAlpn, Some(auth)) = (raw.challenge.value, strict) {
        diagnostics.push(
            Diagnostic::error(
                Code::ConflictingKeys,
                raw.challenge.span,
                "the authority that proves a host by a handshake shows no certificate of a client",
            )
            .related(auth.span, "required here")
            .help("write `challenge: http-01`"),
        );
    }
    let plain = config.listen.iter().any(|listen| listen.tls.is_none());
    if raw.challenge.value == RawChallenge::Http && !plain && !diagnostics.has_errors() {
        diagnostics.push(
            Diagnostic::warning(
                Code::ChallengeUnanswered,
                raw.challenge.span,
                "`http-01` is answered by a listener without `tls`, and there is none",
            )
            .help(
                "add one: { address: 0.0.0.0:80, redirect_https: true }; or write `challenge: tls-alpn-01`",
            ),
        );
    }
}

/// Authorities sign for no name with an underscore.
fn can_be_ordered(host: &str) -> bool {
    tls::is_host(host) && !host.contains('_')
}

/// A host is ordered in one way only: two who both renew it would replace each other's certificates.
pub(crate) fn check_each_other(config: &Config, listeners: &[Listener], diagnostics: &mut Diagnostics) {
    let all = config.listen.iter().zip(listeners).filter_map(|(listen, listener)| {
        Some((listen.tls.as_ref()?.acme.as_ref()?, listener.acme.as_ref()?))
    });
    let mut taken: HashMap<String, (&Raw, &Acme)> = HashMap::new();
    for (raw, acme) in all {
        for host in raw.hosts.iter().flatten() {
            let (other_raw, other) =
                *taken.entry(host.value.to_ascii_lowercase()).or_insert_with(|| (raw, acme));
            if other.in_the_same_way(acme) {
                continue;
            }
            let message = format!("`{}` is ordered by two listeners in different ways", host.value);
            diagnostics.push(
                Diagnostic::error(Code::ConflictingKeys, host.span, message)
                    .related(other_raw.span, "the other one")
                    .help("give both the same `acme`, but for its hosts"),
            );
            break;
        }
    }
}

/// The hosts that are named, in lower case.
fn names(raw: &Raw) -> impl Iterator<Item = String> {
    raw.hosts.iter().flatten().map(|host| host.value.to_ascii_lowercase())
}

/// The hosts of routes, if they are to be served on demand; those that are ordered anyway are not among them.
fn on_demand(raw: &Raw, config: &Config, ordered: &[Box<str>]) -> Arc<HashSet<Box<str>>> {
    if !raw.on_demand {
        return Arc::default();
    }
    let fits = |host: &String| {
        can_be_ordered(host) && !host.starts_with('*') && !ordered.iter().any(|known| **known == **host)
    };
    Arc::new(routed(config).filter(fits).map(Into::into).collect())
}

/// The hosts that routes name, in lower case.
fn routed(config: &Config) -> impl Iterator<Item = String> {
    config
        .routes
        .iter()
        .flat_map(|route| route.hosts.iter().flatten())
        .map(|host| host.value.to_ascii_lowercase())
}

/// The certificates that were kept. What cannot be used is left out, and ordered again: it does not stop the rest.
pub(crate) fn stored(
    raw: &Raw,
    config: &Config,
    now: SystemTime,
    diagnostics: &mut Diagnostics,
) -> Vec<Certificate> {
    let Some(state_dir) = &config.state_dir else { return Vec::new() };
    let mut hosts: Vec<String> = names(raw).collect();
    if raw.on_demand {
        hosts.extend(routed(config));
    }
    hosts.sort_unstable();
    hosts.dedup();
    let mut found = Vec::new();
    for host in hosts {
        let Some(stored) = state_dir.certificate(&host) else { continue };
        match read(stored) {
            Ok(certificate) => {
                // One that ends soon is renewed in time, and some live for a few days only.
                if certificate.not_after() < now {
                    let message = format!("the certificate for `{host}` that was kept has expired");
                    diagnostics.push(
                        Diagnostic::warning(Code::CertificateExpires, raw.span, message)
                            .help("another one is ordered; clients refuse this one until it is there"),
                    );
                }
                found.push(certificate);
            }
            Err(why) => diagnostics.push(unusable(&host, stored, &why, raw.span)),
        }
    }
    found
}

fn read(stored: Stored<'_>) -> Result<Certificate, String> {
    let text = |file: &document::FileText| file.text.clone();
    let (cert, key) = (text(stored.cert)?, text(stored.key)?);
    Certificate::from_pem(cert.expose(), key.expose()).map_err(|error| error.to_string())
}

fn unusable(host: &str, stored: Stored<'_>, why: &str, span: Span) -> Diagnostic {
    let message = format!("the certificate for `{host}` that was kept cannot be used: {why}");
    Diagnostic::warning(Code::StoredCertificate, span, message)
        .help(format!("another one is ordered; it stands in `{}`", stored.cert.path.display()))
}
