//! Logout that the provider reports: logout tokens (OpenID Connect Back-Channel Logout 1.0 §2.4 to §2.6).
//!
//! The caller checks the signature, and that `typ` is `logout+jwt` where the header has one. It must not know
//! which sessions there are. Entry points: [`logout_token_of`] and [`ended`].

use std::fmt;

use serde_json::Value;

use crate::claims::{LEEWAY, check_origin, name, seconds};
use crate::form::Parameters;
use crate::{ClaimError, Client, Secret, Session, Verified};

/// The member of `events` that makes a token a logout token.
pub const BACKCHANNEL_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// A token older than so many seconds is not taken. Within that time it may come again, which changes nothing: it
/// ends what began before it was issued.
const FRESH: u64 = 5 * 60;
/// The longest request that is read, in bytes.
const LONGEST_REQUEST: usize = 32 * 1024;

/// What has ended: one session, or all that a person had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The provider's name of the session.
    pub sid: Option<String>,
    /// The person. If `sid` is there, only that session of theirs has ended.
    pub sub: Option<String>,
    /// When the provider said so, by its clock: what began later goes on.
    pub at: u64,
}

impl Ended {
    /// What ends with a logout that began here, so that copies of the cookies are of no use either. `None` if the
    /// provider gave the session no name.
    pub fn of(session: &Session) -> Option<Self> {
        let sid = session.sid.clone()?;
        Some(Self { sid: Some(sid), sub: None, at: session.authenticated })
    }
}

/// Why a logout token is not taken: answer 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogoutTokenError {
    /// Not of this provider, or not for this client.
    Claim(ClaimError),
    /// `iat` is missing, more than 5 minutes old or in the future, or `exp` is past.
    NotFresh,
    /// `events` does not say that it is a logout.
    NotALogout,
    /// There is a `nonce`: it is an `id_token`.
    HasNonce,
    /// `jti` is missing.
    Unnamed,
    /// Neither `sid` nor `sub`, or one that is no name.
    NobodyNamed,
}

impl fmt::Display for LogoutTokenError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the logout token is not taken: ")?;
        match self {
            LogoutTokenError::Claim(error) => error.fmt(out),
            LogoutTokenError::NotFresh => out.write_str("it is not fresh"),
            LogoutTokenError::NotALogout => out.write_str("`events` does not say that it is a logout"),
            LogoutTokenError::HasNonce => out.write_str("it has a `nonce`"),
            LogoutTokenError::Unnamed => out.write_str("`jti` is missing"),
            LogoutTokenError::NobodyNamed => out.write_str("it names neither a session nor a person"),
        }
    }
}

impl std::error::Error for LogoutTokenError {}

/// The token in the body of a back-channel request (§2.5), of which at most 32 KiB are read.
pub fn logout_token_of(body: &[u8]) -> Option<Secret> {
    let form = Parameters::parse(body, LONGEST_REQUEST).ok()?;
    let token = form.find("logout_token").ok()??;
    Some(Secret::new(token.to_owned()))
}

/// Checks the claims of a logout token (§2.6) and says what has ended.
pub fn ended(client: &Client, verified: Verified<'_>, now: u64) -> Result<Ended, LogoutTokenError> {
    let claims = verified.claims;
    check_origin(claims, client.settings()).map_err(LogoutTokenError::Claim)?;
    let at = seconds(claims, "iat").ok_or(LogoutTokenError::NotFresh)?;
    let is_fresh = now <= at.saturating_add(FRESH) && at <= now.saturating_add(LEEWAY);
    // Providers from before the final standard send no `exp`; the age is bounded all the same.
    let has_expired = claims.contains_key("exp")
        && seconds(claims, "exp").is_none_or(|expires| now >= expires.saturating_add(LEEWAY));
    if !is_fresh || has_expired {
        return Err(LogoutTokenError::NotFresh);
    }
    let event = claims.get("events").and_then(|events| events.get(BACKCHANNEL_EVENT));
    if !event.is_some_and(Value::is_object) {
        return Err(LogoutTokenError::NotALogout);
    }
    if claims.contains_key("nonce") {
        return Err(LogoutTokenError::HasNonce);
    }
    if claims.get("jti").and_then(Value::as_str).is_none_or(str::is_empty) {
        return Err(LogoutTokenError::Unnamed);
    }
    let find = |claim| name(claims, claim).map_err(|()| LogoutTokenError::NobodyNamed);
    let (sid, sub) = (find("sid")?, find("sub")?);
    if sid.is_none() && sub.is_none() {
        return Err(LogoutTokenError::NobodyNamed);
    }
    Ok(Ended { sid: sid.map(str::to_owned), sub: sub.map(str::to_owned), at })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{World, object, session};

    /// The example of §2.4.
    fn example() -> Value {
        json!({
            "iss": "https://server.example.com",
            "sub": "248289761001",
            "aud": "s6BhdRkqt3",
            "iat": 1471566154,
            "exp": 1471569754,
            "jti": "bWJq",
            "sid": "08a5019c-17e1-4977-8f42-65a12843ea02",
            "events": { "http://schemas.openid.net/event/backchannel-logout": {} }
        })
    }

    const ISSUED: u64 = 1_471_566_154;

    fn check(changes: &[(&str, Value)], now: u64) -> Result<Ended, LogoutTokenError> {
        let world = World::with(|settings| {
            settings.issuer = "https://server.example.com".to_owned();
            settings.client_id = "s6BhdRkqt3".to_owned();
        });
        let mut claims = object(example());
        for (name, value) in changes {
            match value {
                Value::Null => claims.remove(*name),
                value => claims.insert((*name).to_owned(), value.clone()),
            };
        }
        ended(&world.client, Verified { claims: &claims, algorithm: "RS256" }, now)
    }

    #[test]
    fn the_example_of_the_standard_is_taken() {
        let want = Ended {
            sid: Some("08a5019c-17e1-4977-8f42-65a12843ea02".to_owned()),
            sub: Some("248289761001".to_owned()),
            at: ISSUED,
        };
        for now in [ISSUED - 60, ISSUED, ISSUED + 300] {
            assert_eq!(check(&[], now), Ok(want.clone()));
        }
        assert_eq!(check(&[("sub", json!(null))], ISSUED).unwrap().sub, None);
        assert_eq!(check(&[("sid", json!(null)), ("exp", json!(null))], ISSUED).unwrap().sid, None);
        assert_eq!(check(&[("aud", json!(["other", "s6BhdRkqt3"]))], ISSUED), Ok(want));
    }

    #[test]
    fn what_is_no_logout_of_now_for_us_is_refused() {
        use LogoutTokenError::{Claim, HasNonce, NobodyNamed, NotALogout, NotFresh, Unnamed};
        for (name, value, want) in [
            ("iss", json!("https://other.example.com"), Claim(ClaimError::Issuer)),
            ("aud", json!("other"), Claim(ClaimError::Audience)),
            ("iat", json!(null), NotFresh),
            ("iat", json!(ISSUED - 301), NotFresh),
            ("iat", json!(ISSUED + 61), NotFresh),
            ("exp", json!(ISSUED - 60), NotFresh),
            ("exp", json!("never"), NotFresh),
            ("events", json!(null), NotALogout),
            ("events", json!({ "other": {} }), NotALogout),
            ("events", json!([BACKCHANNEL_EVENT]), NotALogout),
            ("events", json!({ BACKCHANNEL_EVENT: true }), NotALogout),
            ("nonce", json!("n"), HasNonce),
            ("jti", json!(null), Unnamed),
            ("jti", json!(""), Unnamed),
            ("sid", json!(5), NobodyNamed),
            ("sub", json!("a".repeat(256)), NobodyNamed),
        ] {
            assert_eq!(check(&[(name, value.clone())], ISSUED), Err(want), "{name}: {value}");
        }
        assert_eq!(check(&[("sid", json!(null)), ("sub", json!(null))], ISSUED), Err(NobodyNamed));
    }

    #[test]
    fn the_token_is_found_in_the_form() {
        let found = |body: &str| logout_token_of(body.as_bytes()).map(|token| token.expose().to_owned());
        assert_eq!(found("a=b&logout_token=x.y.z").as_deref(), Some("x.y.z"));
        for bad in [
            "",
            "token=x",
            "logout_token=x&logout_token=y",
            "logout_token=%",
            &"a".repeat(LONGEST_REQUEST + 1),
        ] {
            assert_eq!(found(bad), None);
        }
    }

    #[test]
    fn a_logout_from_here_names_the_session() {
        let want = Ended { sid: Some("sid-1".to_owned()), sub: None, at: 999 };
        assert_eq!(Ended::of(&session()), Some(want));
        assert_eq!(Ended::of(&Session { sid: None, ..session() }), None);
    }
}
