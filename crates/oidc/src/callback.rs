//! The end of a login: the provider's answer, the exchange of the code, and the session that comes of it
//! (RFC 6749 §4.1.2, RFC 9207, OpenID Connect Core 1.0 §3.1.3).
//!
//! Each step hands out the type that the next one needs, so none can be left out. It must not know how requests
//! are sent or signatures are checked. Entry point: [`callback`], then [`Pending::finish`] and
//! [`NeedsVerification::complete`].

use std::fmt;

use crate::claims::{NonceRule, check_id_token, kept};
use crate::form::Parameters;
use crate::login::{Started, redirect_uri};
use crate::session::SessionError;
use crate::tokens::{self, TokenError, Tokens};
use crate::{ClaimError, Client, FormPost, Provider, Random, RequestFacts, Secret, Session, Verified};

/// The longest query that is read, in bytes.
const LONGEST_QUERY: usize = 8 * 1024;
/// The longest code that is passed on, in bytes.
const LONGEST_CODE: usize = 4 * 1024;

/// Why the answer of the provider is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallbackError {
    /// Not a GET, a malformed host or query, or a parameter that is missing, too long or there twice: answer 400.
    Malformed,
    /// This browser has no such login under way on this host, or it took more than 10 minutes, or is complete
    /// already. It happens with the back button; the user may begin again.
    UnknownState,
    /// The answer comes from another provider (RFC 9207 §2.4).
    OtherIssuer,
    /// The provider, or the user there, refused.
    Refused {
        /// The error code (RFC 6749 §4.1.2.1): lower case letters, digits and underscores only.
        code: String,
        /// What the provider adds, for the log: printable ASCII without markup or quotes, at most 256 characters.
        description: String,
    },
}

impl fmt::Display for CallbackError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallbackError::Malformed => out.write_str("the answer of the provider is malformed"),
            CallbackError::UnknownState => out.write_str("the browser has no such login under way"),
            CallbackError::OtherIssuer => out.write_str("the answer is not from the provider that was asked"),
            CallbackError::Refused { code, .. } => write!(out, "the provider refused: {code}"),
        }
    }
}

impl std::error::Error for CallbackError {}

/// Why a login did not become a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompleteError {
    /// The `id_token` is not believed.
    Claim(ClaimError),
    /// The session cannot be kept.
    Session(SessionError),
}

impl fmt::Display for CompleteError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CompleteError::Claim(error) => write!(out, "the id_token is not believed: {error}"),
            CompleteError::Session(error) => error.fmt(out),
        }
    }
}

impl std::error::Error for CompleteError {}

/// A login whose code is to be exchanged.
pub struct Pending {
    /// The request that exchanges it.
    pub token_request: FormPost,
    started: Started,
}

impl fmt::Debug for Pending {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Pending").field("token_request", &self.token_request).finish_non_exhaustive()
    }
}

/// Reads what the provider sent the browser back with. State comes first: without it, nothing in the query is
/// worth more than what any page could link to.
pub fn callback(
    client: &Client,
    provider: &Provider,
    facts: &RequestFacts<'_>,
    now: u64,
) -> Result<Pending, CallbackError> {
    if facts.method != message::Method::Get {
        return Err(CallbackError::Malformed);
    }
    let query = Parameters::parse(facts.query(), LONGEST_QUERY).map_err(|_| CallbackError::Malformed)?;
    let find = |name| query.find(name).map_err(|_| CallbackError::Malformed);
    let (state, code, issuer) = (find("state")?, find("code")?, find("iss")?);
    let (error, description) = (find("error")?, find("error_description")?);
    let state = state.ok_or(CallbackError::Malformed)?;
    let started = Started::find(client, facts, state, now).ok_or(CallbackError::UnknownState)?;
    match issuer {
        Some(issuer) if issuer != provider.issuer => return Err(CallbackError::OtherIssuer),
        None if provider.always_names_itself => return Err(CallbackError::OtherIssuer),
        _ => {}
    }
    if let Some(error) = error {
        let description = description.unwrap_or_default();
        return Err(CallbackError::Refused {
            code: tokens::error_code(error),
            description: description.chars().filter(|c| is_harmless(*c)).take(256).collect(),
        });
    }
    let fits =
        |code: &&str| (1..=LONGEST_CODE).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_graphic());
    let code = code.filter(fits).ok_or(CallbackError::Malformed)?;
    let redirect_uri = redirect_uri(client, facts).ok_or(CallbackError::Malformed)?;
    let token_request = tokens::request(
        client,
        provider,
        &[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &redirect_uri),
            ("code_verifier", started.verifier.expose()),
        ],
    );
    Ok(Pending { token_request, started })
}

fn is_harmless(c: char) -> bool {
    (c.is_ascii_graphic() || c == ' ') && !"<>&\"'`\\".contains(c)
}

impl Pending {
    /// Takes the answer to [`Pending::token_request`]: its status and at most 64 KiB of its body.
    pub fn finish(self, status: u16, body: &[u8], now: u64) -> Result<NeedsVerification, TokenError> {
        let mut tokens = Tokens::parse(status, body, now)?;
        let id_token = tokens.id.take().ok_or(TokenError::Malformed("id_token"))?;
        Ok(NeedsVerification { started: self.started, tokens, id_token })
    }
}

/// A login whose `id_token` is to be verified.
pub struct NeedsVerification {
    started: Started,
    tokens: Tokens,
    id_token: Secret,
}

impl fmt::Debug for NeedsVerification {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("NeedsVerification").finish_non_exhaustive()
    }
}

/// A login that is complete.
#[derive(Debug)]
pub struct Completed {
    /// The session.
    pub session: Session,
    /// Where to send the browser: a path on the own host.
    pub return_to: String,
    /// Complete `Set-Cookie` values: the session, and the end of the login.
    pub set_cookies: Vec<String>,
    /// Claims that were to be kept and did not fit into 4 KiB. The operator should be told.
    pub left_out: Vec<String>,
}

impl NeedsVerification {
    /// The token whose signature is to be checked.
    pub fn id_token(&self) -> &str {
        self.id_token.expose()
    }

    /// Checks the claims of [`NeedsVerification::id_token`] and makes the session. A session that the browser had
    /// before is replaced.
    pub fn complete(
        self,
        client: &Client,
        facts: &RequestFacts<'_>,
        verified: Verified<'_>,
        now: u64,
        random: &mut Random<'_>,
    ) -> Result<Completed, CompleteError> {
        let settings = client.settings();
        let nonce = (self.started.nonce.expose(), NonceRule::Required);
        let who = check_id_token(verified, settings, nonce, self.tokens.access.expose(), now)
            .map_err(CompleteError::Claim)?;
        let (claims, left_out) = kept(verified.claims, &settings.claims);
        let end_of_login = self.started.delete(client, facts);
        let mut session = Session {
            subject: who.subject.to_owned(),
            sid: who.sid.map(str::to_owned),
            claims,
            access_token: self.tokens.access,
            refresh_token: self.tokens.refresh,
            id_token: Some(self.id_token),
            access_expires: self.tokens.expires,
            issued: now,
            renewed: now,
            authenticated: who.issued_at,
            nonce: self.started.nonce,
        };
        let mut set_cookies = session.seal(client, facts, now, random).map_err(CompleteError::Session)?;
        set_cookies.push(end_of_login);
        Ok(Completed { session, return_to: self.started.return_to, set_cookies, left_out })
    }
}

#[cfg(test)]
mod tests;
