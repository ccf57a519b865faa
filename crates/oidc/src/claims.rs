//! What an `id_token` has to say before it is believed (OpenID Connect Core 1.0 §3.1.3.7), and what is kept of it.
//!
//! The signature has been checked by the caller; it must not be looked for here. Entry points: [`Verified`],
//! [`check_id_token`] and [`kept`].

use std::fmt;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::Settings;
use crate::secret::same;

/// How far clocks may be apart, in seconds.
pub(crate) const LEEWAY: u64 = 60;
/// All claims that a session keeps, as JSON, in bytes.
const MOST_CLAIMS: usize = 4096;
/// `sub` has at most 255 characters (Core §2); `sid` gets the same.
const LONGEST_NAME: usize = 255;

/// Claims of a token whose signature was checked with a key of the provider, and with an algorithm that the
/// operator allows. Who makes this vouches for it.
#[derive(Clone, Copy)]
pub struct Verified<'a> {
    /// The claims.
    pub claims: &'a Map<String, Value>,
    /// The `alg` of the token's header.
    pub algorithm: &'a str,
}

impl fmt::Debug for Verified<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Verified").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// The claim of a token for which the token is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimError {
    /// `iss` is not the issuer.
    Issuer,
    /// `aud` does not name the client.
    Audience,
    /// `azp` is not the client, or is missing although there are other audiences.
    AuthorizedParty,
    /// `exp` is missing or past.
    Expired,
    /// `iat` is missing, or in the future.
    IssuedAt,
    /// `nonce` is not the one of this login.
    Nonce,
    /// `at_hash` is not of the access token that came along, or the algorithm has no known hash.
    AccessTokenHash,
    /// `sub` is missing, too long, or somebody else.
    Subject,
    /// `sid` is too long or no text.
    SessionId,
}

impl fmt::Display for ClaimError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            ClaimError::Issuer => "`iss` is not the issuer",
            ClaimError::Audience => "`aud` does not name the client",
            ClaimError::AuthorizedParty => "`azp` is not the client",
            ClaimError::Expired => "`exp` is missing or past",
            ClaimError::IssuedAt => "`iat` is missing or in the future",
            ClaimError::Nonce => "`nonce` is not the one of this login",
            ClaimError::AccessTokenHash => "`at_hash` is not the hash of the access token",
            ClaimError::Subject => "`sub` is missing, too long, or not who logged in",
            ClaimError::SessionId => "`sid` is too long or no text",
        })
    }
}

impl std::error::Error for ClaimError {}

/// When the nonce has to be there: at the login always, in a renewed token it may be missing (Core §12.2).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum NonceRule {
    Required,
    IfPresent,
}

/// Who the token is about.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Identity<'a> {
    pub(crate) subject: &'a str,
    pub(crate) sid: Option<&'a str>,
    /// When the provider issued the token, by its clock.
    pub(crate) issued_at: u64,
}

/// Checks all claims that say for whom, by whom and for which login a token was made.
pub(crate) fn check_id_token<'a>(
    verified: Verified<'a>,
    settings: &Settings,
    (nonce, rule): (&str, NonceRule),
    access_token: &str,
    now: u64,
) -> Result<Identity<'a>, ClaimError> {
    let claims = verified.claims;
    check_origin(claims, settings)?;
    let party = claims.get("azp");
    if party.is_some_and(|party| party.as_str() != Some(settings.client_id.as_str())) {
        return Err(ClaimError::AuthorizedParty);
    }
    // A token that others accept too could have been made for them: then it has to say for whom it was.
    let others = claims.get("aud").and_then(Value::as_array).is_some_and(|all| all.len() > 1);
    if others && party.is_none() {
        return Err(ClaimError::AuthorizedParty);
    }
    let expires = seconds(claims, "exp").ok_or(ClaimError::Expired)?;
    if now >= expires.saturating_add(LEEWAY) {
        return Err(ClaimError::Expired);
    }
    let issued_at = seconds(claims, "iat").filter(|at| *at <= now.saturating_add(LEEWAY));
    match (claims.get("nonce"), rule) {
        (None, NonceRule::IfPresent) => {}
        (Some(Value::String(told)), _) if same(told, nonce) => {}
        _ => return Err(ClaimError::Nonce),
    }
    check_access_token(verified, access_token)?;
    Ok(Identity {
        subject: name(claims, "sub").ok().flatten().ok_or(ClaimError::Subject)?,
        sid: name(claims, "sid").map_err(|()| ClaimError::SessionId)?,
        issued_at: issued_at.ok_or(ClaimError::IssuedAt)?,
    })
}

/// `iss` and `aud`: made by this provider for this client.
pub(crate) fn check_origin(claims: &Map<String, Value>, settings: &Settings) -> Result<(), ClaimError> {
    if claims.get("iss").and_then(Value::as_str) != Some(settings.issuer.as_str()) {
        return Err(ClaimError::Issuer);
    }
    let is_us = |audience: &Value| audience.as_str() == Some(settings.client_id.as_str());
    let names_us = match claims.get("aud") {
        Some(Value::Array(all)) => all.iter().any(is_us),
        Some(one) => is_us(one),
        None => false,
    };
    if names_us { Ok(()) } else { Err(ClaimError::Audience) }
}

/// `at_hash` (Core §3.1.3.6): the left half of the hash that the signature uses.
fn check_access_token(verified: Verified<'_>, access_token: &str) -> Result<(), ClaimError> {
    let Some(told) = verified.claims.get("at_hash") else { return Ok(()) };
    let hash = match verified.algorithm {
        "RS256" | "PS256" | "ES256" | "ES256K" | "HS256" => &digest::SHA256,
        "RS384" | "PS384" | "ES384" | "HS384" => &digest::SHA384,
        // Ed25519 hashes with SHA-512, and providers take that for `at_hash` as well.
        "RS512" | "PS512" | "ES512" | "HS512" | "EdDSA" | "Ed25519" => &digest::SHA512,
        _ => return Err(ClaimError::AccessTokenHash),
    };
    let digest = digest::digest(hash, access_token.as_bytes());
    let (left, _) = digest.as_ref().split_at(digest.as_ref().len() / 2);
    let is_it = told.as_str().is_some_and(|told| same(told, &URL_SAFE_NO_PAD.encode(left)));
    if is_it { Ok(()) } else { Err(ClaimError::AccessTokenHash) }
}

/// A time; some providers write a fraction.
pub(crate) fn seconds(claims: &Map<String, Value>, name: &str) -> Option<u64> {
    let value = claims.get(name)?;
    // A cast of a fraction stops at the bounds of the type.
    value.as_u64().or_else(|| value.as_f64().filter(|at| *at >= 0.0).map(|at| at as u64))
}

/// A name of something: `Ok(None)` if it is missing, an error if it is empty, too long or no text.
pub(crate) fn name<'a>(claims: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, ()> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) if (1..=LONGEST_NAME).contains(&text.len()) => Ok(Some(text)),
        Some(_) => Err(()),
    }
}

/// The claims that a session keeps, and the names of those that no longer fitted.
pub(crate) fn kept(claims: &Map<String, Value>, names: &[String]) -> (Map<String, Value>, Vec<String>) {
    let (mut kept, mut left_out) = (Map::new(), Vec::new());
    let mut used = 2;
    for name in names {
        let Some(value) = claims.get(name).filter(|_| !kept.contains_key(name)) else { continue };
        // With quotes, colon and comma; escapes in a name are the operator's own.
        let length = value.to_string().len() + Value::from(name.as_str()).to_string().len() + 2;
        if used + length > MOST_CLAIMS {
            left_out.push(name.clone());
        } else {
            used += length;
            kept.insert(name.clone(), value.clone());
        }
    }
    (kept, left_out)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(members) => members,
            _ => panic!("not an object"),
        }
    }

    /// The access token and its hash are the example of Core appendix A.3.
    const ACCESS: &str = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
    const AT_HASH: &str = "77QmUPtjPfzWtF2AnpK9RQ";

    fn claims(changes: &[(&str, Value)]) -> Map<String, Value> {
        let mut all = object(json!({
            "iss": "https://idp.test", "aud": "web", "sub": "ada", "nonce": "n", "iat": 1000, "exp": 1300,
            "at_hash": AT_HASH, "sid": "s1",
        }));
        for (name, value) in changes {
            match value {
                Value::Null => all.remove(*name),
                value => all.insert((*name).to_owned(), value.clone()),
            };
        }
        all
    }

    fn check(changes: &[(&str, Value)], algorithm: &str, rule: NonceRule) -> Result<String, ClaimError> {
        let settings = Settings::new("https://idp.test", "web");
        let claims = claims(changes);
        let verified = Verified { claims: &claims, algorithm };
        check_id_token(verified, &settings, ("n", rule), ACCESS, 1010).map(|who| format!("{who:?}"))
    }

    #[test]
    fn a_token_for_this_login_is_believed() {
        let want = "Identity { subject: \"ada\", sid: Some(\"s1\"), issued_at: 1000 }";
        for changes in [
            &[][..],
            &[("aud", json!(["web"]))],
            &[("aud", json!(["api", "web"])), ("azp", json!("web"))],
            &[("at_hash", json!(null))],
            &[("exp", json!(951.5))],
            &[("iat", json!(1000.9))],
        ] {
            assert_eq!(check(changes, "RS256", NonceRule::Required).as_deref(), Ok(want), "{changes:?}");
        }
        let renewed = check(&[("nonce", json!(null))], "RS256", NonceRule::IfPresent);
        assert_eq!(renewed.as_deref(), Ok(want));
    }

    #[test]
    fn each_claim_that_is_wrong_is_named() {
        use ClaimError::{
            AccessTokenHash, Audience, AuthorizedParty, Expired, IssuedAt, Issuer, Nonce, SessionId, Subject,
        };
        let long = json!("a".repeat(256));
        for (name, value, want) in [
            ("iss", json!("https://idp.test/"), Issuer),
            ("iss", json!(null), Issuer),
            ("aud", json!("webb"), Audience),
            ("aud", json!(["api"]), Audience),
            ("aud", json!([]), Audience),
            ("aud", json!(null), Audience),
            ("aud", json!(["web", "api"]), AuthorizedParty),
            ("azp", json!("api"), AuthorizedParty),
            ("azp", json!(5), AuthorizedParty),
            ("exp", json!(950), Expired),
            ("exp", json!(null), Expired),
            ("exp", json!("1300"), Expired),
            ("exp", json!(-1), Expired),
            ("iat", json!(1071), IssuedAt),
            ("iat", json!(null), IssuedAt),
            ("nonce", json!("m"), Nonce),
            ("nonce", json!(["n"]), Nonce),
            ("nonce", json!(null), Nonce),
            ("at_hash", json!("77QmUPtjPfzWtF2AnpK9RA"), AccessTokenHash),
            ("at_hash", json!(5), AccessTokenHash),
            ("sub", json!(null), Subject),
            ("sub", json!(""), Subject),
            ("sub", long.clone(), Subject),
            ("sid", long, SessionId),
            ("sid", json!(7), SessionId),
        ] {
            assert_eq!(
                check(&[(name, value.clone())], "RS256", NonceRule::Required),
                Err(want),
                "{name}: {value}"
            );
        }
        assert_eq!(check(&[("nonce", json!("m"))], "RS256", NonceRule::IfPresent), Err(Nonce));
    }

    #[test]
    fn the_hash_of_the_access_token_is_that_of_the_signature() {
        let hash_of = |algorithm: &'static digest::Algorithm| {
            let digest = digest::digest(algorithm, ACCESS.as_bytes());
            URL_SAFE_NO_PAD.encode(&digest.as_ref()[..digest.as_ref().len() / 2])
        };
        assert_eq!(hash_of(&digest::SHA256), AT_HASH);
        for (algorithm, hash, want) in [
            ("ES384", hash_of(&digest::SHA384), true),
            ("PS512", hash_of(&digest::SHA512), true),
            ("EdDSA", hash_of(&digest::SHA512), true),
            ("ES384", AT_HASH.to_owned(), false),
            ("none", AT_HASH.to_owned(), false),
            ("XX256", AT_HASH.to_owned(), false),
        ] {
            let found = check(&[("at_hash", json!(hash))], algorithm, NonceRule::Required);
            assert_eq!(found.is_ok(), want, "{algorithm}");
        }
    }

    #[test]
    fn the_first_claims_that_fit_are_kept() {
        let names: Vec<_> = ["email", "groups", "name", "email", "none"].map(str::to_owned).to_vec();
        let all = object(json!({ "name": "Ada", "groups": "g".repeat(5000), "email": "a@b", "other": 1 }));
        let (some, left_out) = kept(&all, &names);
        assert_eq!(Value::from(some), json!({ "email": "a@b", "name": "Ada" }));
        assert_eq!(left_out, ["groups"]);
        for length in MOST_CLAIMS - 20..MOST_CLAIMS {
            let (some, left_out) = kept(&object(json!({ "name": "x".repeat(length) })), &names);
            let bytes = Value::from(some).to_string().len();
            assert!(bytes <= MOST_CLAIMS && (left_out.is_empty() == (bytes > 2)), "{length}");
        }
    }
}
