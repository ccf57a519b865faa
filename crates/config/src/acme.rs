//! `acme`: certificates that are ordered and renewed by themselves, and the folder that they are kept in.
//!
//! Entry points: [`Acme`], [`StateDir`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use diagnostics::{Code, Diagnostic, Diagnostics, Span, Spanned};
use document::{Decode, File, FileText, Node, OneOrMany, Shape, keywords, section};

use crate::timeout::Timeout;

section! {
    /// Certificates that are ordered and renewed by ACME (RFC 8555). The account and the certificates are kept in
    /// the folder `state_dir`, which is needed for this.
    pub struct Acme {
        /// Where the authority writes to when something is wrong.
        email: Option<Spanned<String>>,
        /// The hosts that certificates are ordered for: names, and wildcards with `dns-01`.
        hosts: Option<OneOrMany<Spanned<String>>>,
        /// The authority: `letsencrypt`, `letsencrypt_staging` for trying out, or the URL of a directory.
        directory: AcmeDirectory = "letsencrypt",
        /// How the authority is shown that a host is yours: `http-01` by an answer at port 80, `tls-alpn-01` by a
        /// handshake at port 443, `dns-01` by a record that `hook` makes.
        challenge: Spanned<AcmeChallenge> = "http-01",
        /// The program that makes and removes DNS records, and its arguments; for `dns-01`.
        hook: Option<Spanned<Vec<String>>>,
        /// The authorities that are trusted when the directory is asked, in a PEM file; those of the system without
        /// it.
        ca: Option<File>,
        /// Orders a certificate when a client asks for a host for the first time, if a route names that host.
        on_demand: bool = "false",
        /// How long before its end a certificate is renewed; when the authority says, or after two thirds of its
        /// life, without it.
        renew_before: Option<Timeout>,
    }
    check check_acme
}

keywords! {
    /// How an authority is shown that a host is yours.
    pub enum AcmeChallenge {
        /// By an answer at port 80 (RFC 8555 section 8.3).
        Http = "http-01",
        /// By a handshake at port 443 (RFC 8737).
        TlsAlpn = "tls-alpn-01",
        /// By a DNS record (RFC 8555 section 8.4).
        Dns = "dns-01",
    }
}

/// The URL of the directory of an authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcmeDirectory(pub String);

/// Words for directories.
const DIRECTORIES: &[(&str, &str)] = &[
    ("letsencrypt", "https://acme-v02.api.letsencrypt.org/directory"),
    ("letsencrypt_staging", "https://acme-staging-v02.api.letsencrypt.org/directory"),
];

impl Decode for AcmeDirectory {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let Some(text) = node.text() else {
            diagnostics.push(node.wrong_type("`letsencrypt`, `letsencrypt_staging` or a URL"));
            return None;
        };
        if let Some((_, url)) = DIRECTORIES.iter().find(|(word, _)| *word == text) {
            return Some(Self((*url).to_owned()));
        }
        let host = text.strip_prefix("https://").and_then(|rest| rest.split(['/', '?', '#']).next());
        let plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        if plain && host.is_some_and(|host| !host.is_empty() && !host.contains('@')) {
            return Some(Self(text.to_owned()));
        }
        let message = format!("{} is no directory of an authority", node.kind());
        diagnostics.push(
            Diagnostic::error(Code::InvalidValue, node.span, message)
                .help("write `letsencrypt`, `letsencrypt_staging`, or a URL that begins with `https://`")
                .did_you_mean(text, DIRECTORIES.iter().map(|(word, _)| *word)),
        );
        None
    }

    fn shape() -> Shape {
        Shape::OneOf(vec![
            Shape::Keyword(&["letsencrypt", "letsencrypt_staging"]),
            Shape::Text { format: "URL", example: "https://ca.internal/acme/directory" },
        ])
    }
}

fn check_acme(acme: &Acme, diagnostics: &mut Diagnostics) {
    if acme.hosts.is_none() && !acme.on_demand && !diagnostics.has_error_in(acme.span) {
        diagnostics.push(
            Diagnostic::error(Code::MissingKey, acme.span, "there is no host to order a certificate for")
                .label("needs `hosts`, or `on_demand: true`")
                .help("add them: hosts: [example.com, www.example.com]"),
        );
    }
    let dns = acme.challenge.value == AcmeChallenge::Dns;
    match &acme.hook {
        None if dns => diagnostics.push(
            Diagnostic::error(Code::MissingKey, acme.challenge.span, "`dns-01` needs a `hook`")
                .help("add the program that makes the records: hook: [/usr/local/bin/dns-record]"),
        ),
        Some(hook) if dns && hook.first().is_none_or(|program| program.is_empty()) => diagnostics.push(
            Diagnostic::error(Code::InvalidValue, hook.span, "the hook names no program")
                .help("write the program and its arguments: hook: [/usr/local/bin/dns-record]"),
        ),
        Some(hook) if !dns => diagnostics.push(
            Diagnostic::error(
                Code::ConflictingKeys,
                hook.span,
                format!("`hook` is for `dns-01`, and the challenge is `{}`", acme.challenge.value),
            )
            .related(acme.challenge.span, "the challenge")
            .help("remove it, or write `challenge: dns-01`"),
        ),
        _ => {}
    }
    if let Some(email) = &acme.email
        && !is_mail_address(email)
    {
        diagnostics.push(
            Diagnostic::error(Code::InvalidValue, email.span, "this is no mail address")
                .help("write an address such as `ops@example.com`"),
        );
    }
}

fn is_mail_address(text: &str) -> bool {
    let plain =
        text.len() <= 254 && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',' && byte != b'?');
    plain && text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.'))
}

/// The folder for what must survive a restart, and the certificates in it that the configuration may use.
#[derive(Clone, Debug, PartialEq)]
pub struct StateDir {
    /// Where it is named.
    pub span: Span,
    /// The folder.
    pub path: PathBuf,
    texts: BTreeMap<PathBuf, FileText>,
}

/// A certificate that was kept, and its key, as PEM.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a> {
    /// The certificate and its chain; or in words why it cannot be read.
    pub cert: &'a FileText,
    /// Its key; or in words why it cannot be read.
    pub key: &'a FileText,
}

impl StateDir {
    /// The certificate that is kept for a host, if there is one.
    pub fn certificate(&self, host: &str) -> Option<Stored<'_>> {
        let [cert, key] = certificate_files(&self.path, host)?;
        Some(Stored { cert: self.texts.get(&cert)?, key: self.texts.get(&key)? })
    }
}

/// The folder in `state_dir` for what ACME keeps.
const ACME: &str = "acme";

/// Where the certificate of a host and its key are kept. `None` for what is no host.
pub(crate) fn certificate_files(state_dir: &Path, host: &str) -> Option<[PathBuf; 2]> {
    let folder = state_dir.join(ACME).join("certificates").join(tls::folder_of(host)?);
    Some([folder.join("cert.pem"), folder.join("key.pem")])
}

impl Decode for StateDir {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let Some(scalar) = node.scalar() else {
            diagnostics.push(node.wrong_type("the path of a folder"));
            return None;
        };
        if scalar.text.is_empty() {
            let one = Diagnostic::error(Code::InvalidValue, node.span, "the path of the folder is empty");
            diagnostics.push(one.help("write a path such as `/var/lib/gateward`"));
            return None;
        }
        let (path, texts) = match &scalar.files {
            Some(files) => (files.path.clone(), files.texts.clone()),
            None => (PathBuf::from(&scalar.text), Vec::new()),
        };
        let texts = texts.into_iter().map(|file| (file.path.clone(), file)).collect();
        Some(Self { span: node.span, path, texts })
    }

    fn shape() -> Shape {
        Shape::Text { format: "path", example: "/var/lib/gateward" }
    }
}
