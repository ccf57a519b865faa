//! What the user writes.

use diagnostics::Spanned;
use document::{DurationValue, File, Map, OneOrMany, Secret, section};

use crate::claims::Needed;

section! {
    /// Recognises callers by tokens that say nothing themselves: an authorization server is asked what each of them is
    /// worth (OAuth 2.0 Token Introspection, RFC 7662).
    pub struct Raw {
        /// Where the server answers such questions (`introspection_endpoint` in what it publishes about itself).
        url: Spanned<String>,
        /// The id by which the gateway is known to the server.
        client_id: Spanned<String>,
        /// The secret that goes with it: take it from outside, `"${env:NAME}"` or `"${file:path}"`.
        client_secret: Spanned<Secret>,
        /// Who may have issued a token: `iss` has to be one of these. Not looked at without it.
        issuer: Option<OneOrMany<Spanned<String>>>,
        /// Whom a token has to be meant for: `aud` has to be or to hold one of these. Not looked at without it.
        audience: Option<OneOrMany<Spanned<String>>>,
        /// Headers that a token may stand in: in `authorization` behind `scheme`. Without this, `query` and `cookie` it
        /// is `authorization`.
        header: Option<OneOrMany<Spanned<String>>>,
        /// Query parameters that a token may stand in. URLs get into logs and histories: a header is better.
        query: Option<OneOrMany<Spanned<String>>>,
        /// Cookies that a token may stand in. Browsers send them along whoever asks: use `csrf` besides.
        cookie: Option<OneOrMany<Spanned<String>>>,
        /// The scheme in front of the token in `authorization`.
        scheme: Spanned<String> = "Bearer",
        /// How long an answer is believed, in whole seconds, but never past the end of the token. A token that is withdrawn
        /// gets in for as long as that. An answer that keeps a token out is believed for 10 seconds at most. `0s` asks
        /// for each request.
        cache: DurationValue = "60s",
        /// How long the server may take to answer.
        timeout: Spanned<DurationValue> = "2s",
        /// The claim that says which consumer it is: it is compared with `jwt: { issuer, subject }` of consumers. Without
        /// this it is `client_id`, or `sub` where the server names no client.
        consumer_claim: Option<Spanned<String>>,
        /// Whether it has to be a consumer of the configuration.
        consumer: Needed = "optional",
        /// The claim that holds the scopes: text with spaces between them, or a list.
        scope_claim: Spanned<String> = "scope",
        /// The claim that holds groups: a list, or text that is one group. `realm_access.roles` reaches into a claim.
        groups_claim: Spanned<String> = "groups",
        /// Claims that the service is told, by the header that it finds each in: `{ x-user: sub, x-email: email }`.
        claims_to_headers: Option<Map<Spanned<String>>>,
        /// Whether the service gets the token too. It gets `x-consumer` in any case.
        forward: bool = "false",
        /// Authorities that vouch for the server, PEM; those of the system without it.
        ca: Option<File>,
        /// Whether a server that is not on this machine may be asked without encryption.
        allow_http: bool = "false",
    }
}
