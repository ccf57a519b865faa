//! What the claims of a token must say for it to be accepted here and now (RFC 7519 §4.1).
//!
//! It must not know signatures. Entry points: [`Rules`], [`Rules::check`].

use serde_json::{Map, Value};

use crate::algorithm::Algorithms;
use crate::refusal::Refusal;

/// Times beyond this are mistakes: the largest number up to which JSON readers agree on integers (RFC 7493 §2.2).
const MAX_TIME: u64 = 1 << 53;

/// What is demanded of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// `iss` must be one of these; empty: it is not looked at.
    pub issuers: Vec<String>,
    /// `aud` must be or contain one of these; empty: it is not looked at.
    pub audiences: Vec<String>,
    /// By how much clocks may differ, in seconds.
    pub leeway: u64,
    /// Claims that must be there, and not be null.
    pub required: Vec<String>,
    /// The algorithms that are allowed; none: whatever the key allows.
    pub algorithms: Option<Algorithms>,
    /// What `typ` of the header must be, as a media type: `at+jwt` and `application/at+jwt` are the same
    /// (RFC 7515 §4.1.9). None: it is not looked at.
    pub typ: Option<String>,
    /// How long ago `iat` may be, in seconds; then it must be there, and must not be in the future.
    pub max_age: Option<u64>,
    /// Whether `exp` must be there. If it is there, it counts in any case.
    pub require_exp: bool,
}

/// Nothing is demanded but `exp`, and no difference of clocks is forgiven.
impl Default for Rules {
    fn default() -> Self {
        Self {
            issuers: Vec::new(),
            audiences: Vec::new(),
            leeway: 0,
            required: Vec::new(),
            algorithms: None,
            typ: None,
            max_age: None,
            require_exp: true,
        }
    }
}

impl Rules {
    /// Checks claims whose origin is known, and returns `exp` in seconds since 1970, rounded down. `now` is in
    /// the same unit.
    ///
    /// # Errors
    ///
    /// The first rule that they break.
    pub fn check(&self, claims: &Map<String, Value>, now: u64) -> Result<Option<u64>, Refusal> {
        check_types(claims)?;
        let missing = |name: &&String| claims.get(name.as_str()).is_none_or(Value::is_null);
        if let Some(name) = self.required.iter().find(missing) {
            return Err(Refusal::MissingClaim(name.as_str().into()));
        }
        let expires = self.check_times(claims, now)?;
        self.check_issuer(claims)?;
        self.check_audience(claims)?;
        Ok(expires)
    }

    fn check_times(&self, claims: &Map<String, Value>, now: u64) -> Result<Option<u64>, Refusal> {
        let expires = time(claims, "exp", f64::floor)?;
        if expires.is_none() && self.require_exp {
            return Err(Refusal::MissingClaim("exp".into()));
        }
        if expires.is_some_and(|expires| now >= expires.saturating_add(self.leeway)) {
            return Err(Refusal::Expired);
        }
        let latest = now.saturating_add(self.leeway);
        if time(claims, "nbf", f64::ceil)?.is_some_and(|begins| begins > latest) {
            return Err(Refusal::NotYetValid);
        }
        let issued = time(claims, "iat", f64::floor)?;
        if let Some(max_age) = self.max_age {
            let issued = issued.ok_or_else(|| Refusal::MissingClaim("iat".into()))?;
            if issued > latest {
                return Err(Refusal::NotYetValid);
            }
            if now > issued.saturating_add(max_age).saturating_add(self.leeway) {
                return Err(Refusal::TooOld);
            }
        }
        Ok(expires)
    }

    fn check_issuer(&self, claims: &Map<String, Value>) -> Result<(), Refusal> {
        if self.issuers.is_empty() {
            return Ok(());
        }
        let issuer = claims.get("iss").ok_or_else(|| Refusal::MissingClaim("iss".into()))?;
        let ours = self.issuers.iter().any(|ours| issuer == ours.as_str());
        if ours { Ok(()) } else { Err(Refusal::WrongIssuer) }
    }

    fn check_audience(&self, claims: &Map<String, Value>) -> Result<(), Refusal> {
        if self.audiences.is_empty() {
            return Ok(());
        }
        let ours = |audience: &Value| self.audiences.iter().any(|ours| audience == ours.as_str());
        let found = match claims.get("aud") {
            None => return Err(Refusal::MissingClaim("aud".into())),
            Some(Value::Array(audiences)) => audiences.iter().any(ours),
            Some(audience) => ours(audience),
        };
        if found { Ok(()) } else { Err(Refusal::WrongAudience) }
    }

    /// Whether the `typ` of a header is the one that is expected.
    pub(crate) fn check_typ(expected: Option<&str>, typ: Option<&str>) -> Result<(), Refusal> {
        let Some(expected) = expected else { return Ok(()) };
        let same = typ.is_some_and(|typ| short(typ).eq_ignore_ascii_case(short(expected)));
        if same { Ok(()) } else { Err(Refusal::WrongTokenType) }
    }
}

/// A media type without `application/`, which may be left away if there is no other `/` (RFC 7515 §4.1.9).
fn short(typ: &str) -> &str {
    const PREFIX: &str = "application/";
    match typ.split_at_checked(PREFIX.len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case(PREFIX) && !rest.contains('/') => rest,
        _ => typ,
    }
}

/// A claim of the wrong type is never as good as none, whether it matters here or not.
fn check_types(claims: &Map<String, Value>) -> Result<(), Refusal> {
    for name in ["iss", "sub", "jti"] {
        if claims.get(name).is_some_and(|value| !value.is_string()) {
            return Err(Refusal::WrongType(name));
        }
    }
    match claims.get("aud") {
        None | Some(Value::String(_)) => Ok(()),
        Some(Value::Array(audiences)) if audiences.iter().all(Value::is_string) => Ok(()),
        Some(_) => Err(Refusal::WrongType("aud")),
    }
}

/// A `NumericDate` (RFC 7519 §2) in whole seconds: a fraction is rounded to where the token is valid for less.
fn time(
    claims: &Map<String, Value>,
    name: &'static str,
    round: fn(f64) -> f64,
) -> Result<Option<u64>, Refusal> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let seconds = value.as_u64().or_else(|| {
        let seconds = value.as_f64().filter(|seconds| (0.0..=MAX_TIME as f64).contains(seconds))?;
        Some(round(seconds) as u64)
    });
    let sane = seconds.filter(|seconds| *seconds <= MAX_TIME);
    sane.map(Some).ok_or(Refusal::WrongType(name))
}
