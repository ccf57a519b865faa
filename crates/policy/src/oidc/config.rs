//! What the user writes.

use diagnostics::Spanned;
use document::{DurationValue, File, Map, OneOrMany, Secret, keywords, section};

use crate::claims::Needed;

section! {
    /// Logs people in with OpenID Connect: who opens a page without a session is sent to the provider, and comes back
    /// with one that is kept in encrypted cookies. Programs show a token of the same provider, or get a 401.
    pub struct Raw {
        /// The provider, exactly as it writes itself: the `issuer` of its discovery document.
        issuer: Spanned<String>,
        /// Who the gateway is at the provider. `https://HOST` with `callback_path` has to be registered there.
        client_id: Spanned<String>,
        /// What it proves that with. Needed unless `auth_method` is `none`.
        client_secret: Option<Spanned<Secret>>,
        /// How it proves that. Without this as the provider offers, by Basic if it takes that.
        auth_method: Option<AuthMethod>,
        /// What cookies are encrypted with: at least 32 random characters. Of a list the first one encrypts and all
        /// decrypt, so that it can be changed without a gap. Without this sessions end with the process.
        secret: Option<OneOrMany<Spanned<Secret>>>,
        /// What is asked for besides `openid`.
        scopes: Vec<Spanned<String>> = "[profile, email]",
        /// More parameters of the page to log in, such as `{ prompt: select_account }`.
        parameters: Map<String> = "{}",
        /// Where the provider sends browsers back to. A route with this policy has to match it.
        callback_path: Spanned<String> = "/.gateward/callback",
        /// Where a browser logs out. A route with this policy has to match it.
        logout_path: Spanned<String> = "/.gateward/logout",
        /// Where the provider reports that a session has ended. A route with this policy has to match it.
        backchannel_logout_path: Spanned<String> = "/.gateward/backchannel-logout",
        /// The path where a browser ends up after it has logged out. It has to be registered at the provider. Where it
        /// asks for a login, logging out ends in logging in.
        after_logout: Spanned<String> = "/",
        /// The name of the cookies. Clients that serve one host need different names.
        cookie: Spanned<String> = "gateward",
        /// Which requests from other sites carry the session.
        same_site: SameSite = "lax",
        /// A session ends after so long without a request.
        idle: DurationValue = "1h",
        /// A session ends so long after the login, whatever happens.
        lifetime: DurationValue = "12h",
        /// Claims that a session keeps, the most important first: what does not fit into 4 KiB is left out. `sub`, and what
        /// other keys here name, is kept in any case.
        claims: Vec<Spanned<String>> = "[email, email_verified, name, preferred_username]",
        /// Whether a JSON Web Token of the provider in `authorization: Bearer` is as good as a session. Otherwise that header
        /// is left to the service.
        bearer: bool = "true",
        /// Whom such a token has to be meant for: `aud` has to be or to contain one of these. Without this it is `client_id`.
        audience: Option<OneOrMany<Spanned<String>>>,
        /// The claim that says which consumer it is: it is compared with `jwt: { issuer, subject }` of consumers.
        consumer_claim: Spanned<String> = "sub",
        /// Whether it has to be a consumer of the configuration.
        consumer: Needed = "optional",
        /// The claim that holds the scopes: text with spaces between them, or a list.
        scope_claim: Spanned<String> = "scope",
        /// The claim that holds groups: a list, or text that is one group. `realm_access.roles` reaches into a claim.
        groups_claim: Spanned<String> = "groups",
        /// Claims that the service is told, by the header that it finds each in: `{ x-user: sub, x-email: email }`.
        claims_to_headers: Option<Map<Spanned<String>>>,
        /// Whether the service gets the access token, as `authorization: Bearer`. It is renewed when it ends.
        forward_access_token: bool = "false",
        /// Authorities that vouch for the servers of the provider, PEM; those of the system without it.
        ca: Option<File>,
        /// Whether the provider may be asked without encryption where it is not on this host.
        allow_http: bool = "false",
    }
}

keywords! {
    /// How the gateway proves who it is, by the names of OpenID Connect Core 1.0 §9.
    pub enum AuthMethod {
        /// In `authorization`.
        Basic = "client_secret_basic",
        /// In the form.
        Post = "client_secret_post",
        /// Not at all: only PKCE protects.
        None = "none",
    }
}

keywords! {
    /// Which requests from other sites carry a cookie.
    pub enum SameSite {
        /// Links that are followed, and nothing else.
        Lax = "lax",
        /// All, for services that other sites embed. Forged requests are the service's own concern then.
        None = "none",
    }
}
