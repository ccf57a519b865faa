//! Key sets: which keys may have signed a token.
//!
//! It must not know where a set was fetched from, or when. Entry points: [`KeySet::from_jwks`],
//! [`KeySet::from_keys`], [`KeySet::contains`].

use std::fmt;

use serde_json::{Map, Value};

use crate::algorithm::Algorithm;
use crate::jwk;
use crate::key::{Key, KeyError};
use crate::material::Check;

/// The most keys a set may have, those that cannot be used among them.
pub const MAX_KEYS: usize = 100;

/// The most bytes a JWK set may have.
pub const MAX_JWKS_BYTES: usize = 256 * 1024;

/// Keys that are trusted, at least one.
#[derive(Debug)]
pub struct KeySet {
    keys: Vec<Key>,
    /// Whether any key has a `kid`: if none has, those of the tokens say nothing.
    named: bool,
}

/// A set that was read, and what of it cannot be used.
#[derive(Debug)]
pub struct Loaded {
    /// The keys.
    pub keys: KeySet,
    /// What was left out: an unusable key must not spoil the others (RFC 7517 §5).
    pub skipped: Vec<Skipped>,
}

/// A key of a set that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its place in the set, from 0.
    pub index: usize,
    /// Its `kid`.
    pub key_id: Option<String>,
    /// Why.
    pub reason: KeyError,
}

/// Why there is no key set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetError {
    /// It has more than [`MAX_JWKS_BYTES`].
    TooLong,
    /// It is not JSON of the form `{"keys":[...]}` (RFC 7517 §5).
    NotKeys,
    /// It has more than [`MAX_KEYS`].
    TooMany,
    /// There is no key in it that can be used; the reasons of all.
    NoKey(Vec<Skipped>),
}

impl KeySet {
    /// From keys.
    ///
    /// # Errors
    ///
    /// [`SetError::NoKey`] if there are none, [`SetError::TooMany`].
    pub fn from_keys(keys: Vec<Key>) -> Result<Self, SetError> {
        if keys.is_empty() {
            return Err(SetError::NoKey(Vec::new()));
        }
        if keys.len() > MAX_KEYS {
            return Err(SetError::TooMany);
        }
        let named = keys.iter().any(|key| key.id().is_some());
        Ok(Self { keys, named })
    }

    /// From a JWK set as it was published (RFC 7517 §5). Shared secrets are skipped: who publishes one has none.
    ///
    /// # Errors
    ///
    /// If it is malformed or too large, or if nothing in it can be used.
    pub fn from_jwks(bytes: &[u8]) -> Result<Loaded, SetError> {
        Self::load(bytes, |jwk| if jwk::is_secret(jwk) { Err(KeyError::SharedSecret) } else { Ok(()) })
    }

    /// From a JWK set that is itself secret, such as a file: shared secrets are taken, too.
    ///
    /// # Errors
    ///
    /// Those of [`Self::from_jwks`].
    pub fn from_secret_jwks(bytes: &[u8]) -> Result<Loaded, SetError> {
        Self::load(bytes, |_| Ok(()))
    }

    fn load(
        bytes: &[u8],
        admit: impl Fn(&Map<String, Value>) -> Result<(), KeyError>,
    ) -> Result<Loaded, SetError> {
        if bytes.len() > MAX_JWKS_BYTES {
            return Err(SetError::TooLong);
        }
        let set: Value = serde_json::from_slice(bytes).map_err(|_| SetError::NotKeys)?;
        let listed = set.get("keys").and_then(Value::as_array).ok_or(SetError::NotKeys)?;
        if listed.len() > MAX_KEYS {
            return Err(SetError::TooMany);
        }
        let (mut keys, mut skipped) = (Vec::new(), Vec::new());
        for (index, jwk) in listed.iter().enumerate() {
            let object = jwk.as_object().ok_or(KeyError::Member("kty"));
            match object.and_then(|jwk| admit(jwk).and_then(|()| Key::from_jwk(jwk))) {
                Ok(key) => keys.push(key),
                Err(reason) => {
                    let key_id = jwk.get("kid").and_then(Value::as_str).map(str::to_owned);
                    skipped.push(Skipped { index, key_id, reason });
                }
            }
        }
        if keys.is_empty() {
            return Err(SetError::NoKey(skipped));
        }
        Ok(Loaded { keys: Self::from_keys(keys)?, skipped })
    }

    /// The keys, to put them into another set.
    #[must_use]
    pub fn into_keys(self) -> Vec<Key> {
        self.keys
    }

    /// The keys.
    #[must_use]
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// Whether the key of this thumbprint is in the set: whether a token that it has signed may still be used.
    #[must_use]
    pub fn contains(&self, thumbprint: &[u8; 32]) -> bool {
        self.keys.iter().any(|key| key.thumbprint() == thumbprint)
    }

    /// Whether a key with this `kid` is in the set.
    pub(crate) fn has_id(&self, id: &str) -> bool {
        self.keys.iter().any(|key| key.id() == Some(id))
    }

    /// Whether a token that names this key may be signed with another one that has no name only.
    pub(crate) fn is_unknown(&self, id: &str) -> bool {
        self.named && !self.has_id(id)
    }

    /// The keys that a token with this header may be signed with: those of that name, or where there are none those
    /// without a name. Without a `kid` it is any.
    pub(crate) fn fitting<'s>(
        &'s self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = (&'s Key, &'s Check)> {
        let known = id.is_some_and(|id| self.has_id(id));
        let wanted = id.filter(|_| known);
        let fitting = self.keys.iter().filter(move |key| id.is_none() || key.id() == wanted);
        fitting.filter_map(move |key| Some((key, key.check(algorithm)?)))
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key_id {
            Some(id) => write!(out, "key {} ({id:?}): {}", self.index + 1, self.reason),
            None => write!(out, "key {}: {}", self.index + 1, self.reason),
        }
    }
}

impl fmt::Display for SetError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(out, "the key set has more than {MAX_JWKS_BYTES} bytes"),
            Self::NotKeys => out.write_str("it is not JSON of the form {\"keys\":[...]}"),
            Self::TooMany => write!(out, "the key set has more than {MAX_KEYS} keys"),
            Self::NoKey(skipped) => {
                out.write_str("no key of the set can be used")?;
                skipped.first().map_or(Ok(()), |first| write!(out, "; {first}"))
            }
        }
    }
}

impl std::error::Error for SetError {}
