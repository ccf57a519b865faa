//! What the user writes.

use diagnostics::{Code, Diagnostic, Diagnostics, Spanned};
use document::{Decode, DurationValue, File, Map, Node, OneOrMany, Secret, Shape, section};

use crate::claims::Needed;

section! {
    /// Recognises callers by JSON Web Tokens (RFC 7519). Whose signature is right is settled by `jwks`, `keys`, or what
    /// the issuer publishes about itself; a token has to hold now, and to be meant for this API.
    pub struct Raw {
        /// Who may have issued a token: `iss` has to be one of these. Without `jwks` and `keys` the keys of the (only)
        /// one are found by OpenID Connect discovery.
        issuer: Option<OneOrMany<Spanned<String>>>,
        /// Whom a token has to be meant for: `aud` has to be or to contain one of these.
        audience: Option<OneOrMany<Spanned<String>>>,
        /// Where the keys are: a URL, whose answer is kept fresh, or a file.
        jwks: Option<Spanned<Jwks>>,
        /// Keys that are written here.
        keys: Option<OneOrMany<KeyOf>>,
        /// Algorithms that are allowed, of those that the keys are for: `[RS256, ES256]`. All of these without it.
        algorithms: Option<OneOrMany<Spanned<String>>>,
        /// By how much clocks may differ.
        leeway: DurationValue = "30s",
        /// Claims that have to be there.
        required: Vec<Spanned<String>> = "[]",
        /// Whether a token has to end some time (`exp`).
        expires: bool = "true",
        /// How long ago a token may have been issued (`iat`); no limit without it.
        max_age: Option<DurationValue>,
        /// What `typ` in the header of a token has to be, such as `at+jwt` (RFC 9068); not looked at without it.
        typ: Option<Spanned<String>>,
        /// Headers that a token may stand in: in `authorization` behind `scheme`. Without this, `query` and `cookie` it
        /// is `authorization`.
        header: Option<OneOrMany<Spanned<String>>>,
        /// Query parameters that a token may stand in. URLs get into logs and histories: a header is better.
        query: Option<OneOrMany<Spanned<String>>>,
        /// Cookies that a token may stand in. Browsers send them along whoever asks: use `csrf` besides.
        cookie: Option<OneOrMany<Spanned<String>>>,
        /// The scheme in front of the token in `authorization`.
        scheme: Option<Spanned<String>>,
        /// The claim that says which consumer it is: it is compared with `jwt: { issuer, subject }` of consumers.
        consumer_claim: Spanned<String> = "sub",
        /// Whether it has to be a consumer of the configuration.
        consumer: Needed = "optional",
        /// The claim that holds the scopes: text with spaces between them, or a list.
        scope_claim: Spanned<String> = "scope",
        /// The claim that holds groups: a list, or text for a single one. `realm_access.roles` reaches into a claim.
        groups_claim: Spanned<String> = "groups",
        /// Claims that the service is told, by the header that it finds each in: `{ x-user: sub, x-email: email }`.
        claims_to_headers: Option<Map<Spanned<String>>>,
        /// Whether the service gets the token too.
        forward: bool = "false",
        /// Authorities that vouch for the servers of the issuer, PEM; those of the system without it.
        ca: Option<File>,
        /// Whether keys may be fetched without encryption from other hosts than this one.
        allow_http: bool = "false",
    }
}

section! {
    /// A key that is written down: exactly one of `pem`, `secret` and `jwks`.
    pub struct KeyOf {
        /// A file with a public key or a certificate, PEM.
        pem: Option<File>,
        /// A secret that the issuer knows too, for HS256, HS384 or HS512: take it from outside, `"${env:NAME}"`.
        secret: Option<Spanned<Secret>>,
        /// A file with a set of keys (JWKS), which have their own ids. It may hold secrets.
        jwks: Option<File>,
        /// The id by which tokens name it (`kid`); without it, it is tried for every token.
        id: Option<Spanned<String>>,
        /// Algorithms that this key is for; without it all that its kind allows, and HS256 for a secret.
        algorithms: Option<OneOrMany<Spanned<String>>>,
    }
    check check_key
}

/// Where a set of keys is.
#[derive(Clone, Debug)]
pub enum Jwks {
    /// At a URL.
    Url(String),
    /// In a file.
    File(File),
}

impl Decode for Jwks {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        match node.text() {
            Some(text) if text.starts_with("http://") || text.starts_with("https://") => {
                Some(Jwks::Url(text.to_owned()))
            }
            _ => File::decode(node, diagnostics).map(Jwks::File),
        }
    }

    fn shape() -> Shape {
        Shape::OneOf(vec![File::shape(), Shape::TEXT])
    }
}

fn check_key(key: &KeyOf, diagnostics: &mut Diagnostics) {
    let given = [key.pem.is_some(), key.secret.is_some(), key.jwks.is_some()];
    if given.iter().filter(|given| **given).count() != 1 && !diagnostics.has_error_in(key.span) {
        diagnostics.push(
            Diagnostic::error(Code::ConflictingKeys, key.span, "a key is one of `pem`, `secret` and `jwks`")
                .help("write `keys: [{ pem: issuer.pem }]`"),
        );
    }
    if let (Some(_), Some(id)) = (&key.jwks, &key.id) {
        diagnostics.push(
            Diagnostic::error(Code::ConflictingKeys, id.span, "the keys of a set have ids of their own")
                .help("remove `id`, or take one key out of the set: `pem`"),
        );
    }
}
