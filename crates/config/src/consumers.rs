//! `consumers`: who is calling, and how each of them is recognised.

use diagnostics::{Code, Diagnostic, Diagnostics, Spanned};
use document::{OneOrMany, Secret, section};

section! {
    /// Somebody who calls, and how it is recognised. It gets in only where a policy looks at what it shows: `api_key`,
    /// `basic`, `jwt`, `hmac`, `mtls`.
    pub struct Consumer {
        /// Its name in logs and metrics, and in `x-consumer` for services. A metric has it as a label.
        name: Spanned<String>,
        /// Groups that it belongs to, for `authorize`.
        groups: Vec<Spanned<String>> = "[]",
        /// Its API keys. Several can hold at a time, so that they can be changed without a gap.
        api_keys: Vec<ApiKey> = "[]",
        /// Its users with their passwords.
        basic: Option<OneOrMany<User>>,
        /// Its tokens, by what an issuer says of them.
        jwt: Option<OneOrMany<TokenOf>>,
        /// What it signs requests with.
        hmac: Option<OneOrMany<Signer>>,
        /// Its certificates.
        mtls: Option<OneOrMany<CertificateOf>>,
        /// What it may use: the name of one of `plans`. Without it nothing limits it but the policies.
        plan: Option<Spanned<String>>,
    }
    check check_consumer
}

section! {
    /// A key that is sent along with requests: `key` or `sha256`.
    pub struct ApiKey {
        /// The key itself: take it from outside, `"${env:NAME}"` or `"${file:path}"`. Only its SHA-256 is kept.
        key: Option<Spanned<Secret>>,
        /// The SHA-256 of the key, in hexadecimal digits.
        sha256: Option<Spanned<String>>,
        /// What people call it, such as `ci` or `2026-11`. The access log has it, so that it can be seen which keys are in
        /// use.
        name: Option<String>,
        /// When it ends: `2027-01-31` (at the begin of that day, UTC) or `2027-01-31T12:00:00Z`.
        expires: Option<Spanned<String>>,
    }
    short key
    check check_key
}

section! {
    /// A user name with the hash of a password.
    pub struct User {
        /// The name of the user.
        username: Spanned<String>,
        /// The hash of the password: argon2 (`$argon2id$…`, as `gateward hash-password` prints it) or bcrypt (`$2b$…`).
        password: Spanned<Secret>,
    }
}

section! {
    /// Which tokens belong to a consumer.
    pub struct TokenOf {
        /// The issuer; any that a policy believes without it.
        issuer: Option<Spanned<String>>,
        /// The subject, or what else the policy goes by (`consumer_claim`).
        subject: Spanned<String>,
    }
}

section! {
    /// What requests are signed with: `secret` or `public_key`.
    pub struct Signer {
        /// By what requests name it: the `keyid`, or `username` in the older form.
        id: Spanned<String>,
        /// The secret that both sides know: take it from outside, `"${env:NAME}"` or `"${file:path}"`.
        secret: Option<Spanned<Secret>>,
        /// A file with a public key, PEM.
        public_key: Option<document::File>,
    }
    check check_signer
}

section! {
    /// Which certificates belong to a consumer: by `subject` or by `san`.
    pub struct CertificateOf {
        /// The subject, as RFC 4514 writes it: `CN=acme,O=Acme Inc`.
        subject: Option<Spanned<String>>,
        /// An alternative name with its kind in front: `DNS:acme.example.com`, `URI:spiffe://example.com/acme`.
        san: Option<Spanned<String>>,
    }
    check check_certificate
}

fn check_consumer(consumer: &Consumer, diagnostics: &mut Diagnostics) {
    if !is_name(&consumer.name) {
        diagnostics.push(
            Diagnostic::error(Code::InvalidValue, consumer.name.span, "this is no name for a consumer")
                .help("1 to 128 visible characters of ASCII: it stands in a header"),
        );
    }
    for group in consumer.groups.iter().filter(|group| !is_name(group)) {
        diagnostics.push(
            Diagnostic::error(Code::InvalidValue, group.span, "this is no name for a group")
                .help("1 to 128 visible characters of ASCII"),
        );
    }
}

fn is_name(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        && text.trim() == text
}

/// Exactly one of two keys has to be there.
fn one_of(
    given: [(&str, Option<diagnostics::Span>); 2],
    whole: diagnostics::Span,
    what: &str,
    diagnostics: &mut Diagnostics,
) {
    let [(one, first), (other, second)] = given;
    match (first, second) {
        (Some(_), Some(second)) => diagnostics.push(
            Diagnostic::error(
                Code::ConflictingKeys,
                second,
                format!("{what} has either `{one}` or `{other}`"),
            )
            .help("keep one of them"),
        ),
        (None, None) if !diagnostics.has_error_in(whole) => diagnostics.push(
            Diagnostic::error(Code::MissingKey, whole, format!("{what} needs `{one}` or `{other}`"))
                .help("add one of them"),
        ),
        _ => {}
    }
}

fn check_key(key: &ApiKey, diagnostics: &mut Diagnostics) {
    let given = [
        ("key", key.key.as_ref().map(|key| key.span)),
        ("sha256", key.sha256.as_ref().map(|hash| hash.span)),
    ];
    one_of(given, key.span, "an API key", diagnostics);
}

fn check_signer(signer: &Signer, diagnostics: &mut Diagnostics) {
    let given = [
        ("secret", signer.secret.as_ref().map(|secret| secret.span)),
        ("public_key", signer.public_key.as_ref().map(|file| file.span)),
    ];
    one_of(given, signer.span, "a signer", diagnostics);
}

fn check_certificate(certificate: &CertificateOf, diagnostics: &mut Diagnostics) {
    let given = [
        ("subject", certificate.subject.as_ref().map(|subject| subject.span)),
        ("san", certificate.san.as_ref().map(|san| san.span)),
    ];
    one_of(given, certificate.span, "a certificate", diagnostics);
}
