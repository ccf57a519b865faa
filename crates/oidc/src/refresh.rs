//! New access tokens for a session that goes on (RFC 6749 §6, OpenID Connect Core 1.0 §12).
//!
//! It must not know how requests are sent, nor that several requests of one session could ask at the same time:
//! the caller lets one ask and the others wait, because a provider may take a refresh token only once. Entry
//! points: [`Session::needs_refresh`], [`Session::refresh_request`], [`Refresh::parse`], [`Refresh::apply`].

use std::fmt;

use crate::claims::{NonceRule, check_id_token, kept};
use crate::tokens::{self, TokenError, Tokens};
use crate::{ClaimError, Client, FormPost, Provider, Secret, Session, Verified};

/// An access token is renewed so many seconds before it ends, so that it is still good when it arrives.
const AHEAD: u64 = 30;

/// Why there are no new tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefreshError {
    /// The provider gave none.
    Token(TokenError),
    /// The new `id_token` is not believed.
    Claim(ClaimError),
    /// There is a new `id_token`, and nobody has verified it.
    Unverified,
}

impl fmt::Display for RefreshError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RefreshError::Token(error) => error.fmt(out),
            RefreshError::Claim(error) => write!(out, "the renewed id_token is not believed: {error}"),
            RefreshError::Unverified => out.write_str("the renewed id_token was not verified"),
        }
    }
}

impl std::error::Error for RefreshError {}

impl RefreshError {
    /// Whether the session ends by this: the provider says that the refresh token is of no use, or what it says is
    /// not believed. Anything else is trouble, which a session survives for as long as
    /// [`Session::survives_trouble`] says.
    pub fn ends_session(&self) -> bool {
        match self {
            RefreshError::Token(error) => error.is_final(),
            RefreshError::Claim(_) | RefreshError::Unverified => true,
        }
    }
}

impl Session {
    /// Whether the access token ends within 30 seconds and there is something to renew it with.
    pub fn needs_refresh(&self, now: u64) -> bool {
        self.refresh_token.is_some() && self.access_expires.is_some_and(|at| now.saturating_add(AHEAD) >= at)
    }

    /// Whether the session goes on although the provider cannot be reached or is in trouble: until the access
    /// token really ends.
    pub fn survives_trouble(&self, now: u64) -> bool {
        self.access_expires.is_none_or(|at| now < at)
    }

    /// The request for new tokens; `None` without a refresh token.
    pub fn refresh_request(&self, client: &Client, provider: &Provider) -> Option<FormPost> {
        let token = self.refresh_token.as_ref()?.expose();
        Some(tokens::request(client, provider, &[("grant_type", "refresh_token"), ("refresh_token", token)]))
    }
}

/// New tokens.
#[derive(Debug)]
pub struct Refresh(Tokens);

impl Refresh {
    /// Reads the answer to [`Session::refresh_request`]: its status and at most 64 KiB of its body.
    pub fn parse(status: u16, body: &[u8], now: u64) -> Result<Self, RefreshError> {
        Tokens::parse(status, body, now).map(Self).map_err(RefreshError::Token)
    }

    /// The token whose signature is to be checked, if there is a new one.
    pub fn id_token(&self) -> Option<&str> {
        self.0.id.as_ref().map(Secret::expose)
    }

    /// The session with its new tokens, which is to be sealed again. `verified` is what the new `id_token` says, if
    /// there is one: it has to be about the same person, and its claims replace those of the session. A refresh
    /// token that is not renewed stays good.
    pub fn apply(
        self,
        session: &Session,
        client: &Client,
        verified: Option<Verified<'_>>,
        now: u64,
    ) -> Result<Session, RefreshError> {
        let mut next = session.clone();
        match (self.0.id, verified) {
            (None, _) => {}
            (Some(_), None) => return Err(RefreshError::Unverified),
            (Some(id_token), Some(verified)) => {
                let nonce = (session.nonce.expose(), NonceRule::IfPresent);
                let access = self.0.access.expose();
                let who = check_id_token(verified, client.settings(), nonce, access, now);
                let who = who.map_err(RefreshError::Claim)?;
                if who.subject != session.subject {
                    return Err(RefreshError::Claim(ClaimError::Subject));
                }
                next.sid = who.sid.map(str::to_owned).or(next.sid);
                (next.claims, _) = kept(verified.claims, &client.settings().claims);
                next.id_token = Some(id_token);
            }
        }
        next.access_token = self.0.access;
        next.access_expires = self.0.expires;
        next.refresh_token = self.0.refresh.or(next.refresh_token);
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{World, object, session};

    fn apply(answer: &Value, claims: Option<Value>) -> Result<Session, RefreshError> {
        let world = World::new();
        let refresh = Refresh::parse(200, answer.to_string().as_bytes(), 2000).unwrap();
        assert_eq!(refresh.id_token(), answer["id_token"].as_str());
        let claims = claims.map(object);
        let verified = claims.as_ref().map(|claims| Verified { claims, algorithm: "RS256" });
        refresh.apply(&session(), &world.client, verified, 2000)
    }

    fn claims(changes: Value) -> Option<Value> {
        let mut all = json!({
            "iss": "https://idp.test", "aud": "web", "sub": "ada", "iat": 2000, "exp": 2300, "email": "new@idp.test"
        });
        object(changes).into_iter().for_each(|(name, value)| all[name] = value);
        Some(all)
    }

    #[test]
    fn tokens_are_renewed_shortly_before_they_end_and_trouble_is_survived_until_then() {
        let some = session();
        let forever = Session { access_expires: None, ..session() };
        let alone = Session { refresh_token: None, ..session() };
        let at = some.access_expires.unwrap();
        for (now, want, survives) in [(at - 31, false, true), (at - 30, true, true), (at, true, false)] {
            assert_eq!((some.needs_refresh(now), some.survives_trouble(now)), (want, survives), "{now}");
            assert!(
                !alone.needs_refresh(now) && !forever.needs_refresh(now) && forever.survives_trouble(now)
            );
        }
    }

    #[test]
    fn the_request_is_made_of_the_refresh_token() {
        let world = World::new();
        let post = session().refresh_request(&world.client, &world.provider).unwrap();
        assert_eq!(post.body.expose(), "grant_type=refresh_token&refresh_token=refresh");
        let alone = Session { refresh_token: None, ..session() };
        assert!(alone.refresh_request(&world.client, &world.provider).is_none());
    }

    #[test]
    fn new_tokens_take_the_place_of_old_ones() {
        let old = session();
        let next =
            apply(&json!({ "access_token": "a2", "token_type": "Bearer", "expires_in": 60 }), None).unwrap();
        assert_eq!((next.access_token.expose(), next.access_expires), ("a2", Some(2060)));
        assert_eq!(
            (&next.refresh_token, &next.id_token, &next.claims),
            (&old.refresh_token, &old.id_token, &old.claims)
        );
        assert_eq!(
            (next.issued, next.authenticated),
            (old.issued, old.authenticated),
            "the lifetime goes on"
        );

        let answer =
            json!({ "access_token": "a2", "token_type": "Bearer", "refresh_token": "r2", "id_token": "i2" });
        let next = apply(&answer, claims(json!({ "sid": "s2" }))).unwrap();
        assert_eq!(next.refresh_token.as_ref().unwrap().expose(), "r2");
        assert_eq!(next.id_token.as_ref().unwrap().expose(), "i2");
        assert_eq!(next.sid.as_deref(), Some("s2"));
        assert_eq!(Value::from(next.claims), json!({ "email": "new@idp.test" }));
        assert_eq!(next.access_expires, None);
        assert_eq!(apply(&answer, claims(json!({}))).unwrap().sid, old.sid);
        assert!(apply(&answer, claims(json!({ "nonce": "nonce" }))).is_ok());
    }

    #[test]
    fn what_is_not_believed_ends_the_session() {
        let answer = json!({ "access_token": "a2", "token_type": "Bearer", "id_token": "i2" });
        for (changes, want) in [
            (json!({ "sub": "eve" }), ClaimError::Subject),
            (json!({ "iss": "https://other.test" }), ClaimError::Issuer),
            (json!({ "nonce": "other" }), ClaimError::Nonce),
            (json!({ "exp": 1900 }), ClaimError::Expired),
        ] {
            let error = apply(&answer, claims(changes)).unwrap_err();
            assert_eq!((&error, error.ends_session()), (&RefreshError::Claim(want), true));
        }
        assert_eq!(apply(&answer, None), Err(RefreshError::Unverified));
    }

    #[test]
    fn only_a_refusal_of_the_token_ends_the_session_at_once() {
        for (status, body, want) in [
            (400, "{\"error\":\"invalid_grant\"}", true),
            (400, "{\"error\":\"temporarily_unavailable\"}", false),
            (401, "{\"error\":\"invalid_client\"}", false),
            (500, "{\"error\":\"invalid_grant\"}", false),
            (503, "", false),
            (200, "<html>", false),
        ] {
            let error = Refresh::parse(status, body.as_bytes(), 0).unwrap_err();
            assert_eq!(error.ends_session(), want, "{status} {body}");
        }
    }
}
