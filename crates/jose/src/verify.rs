//! Whether a token is genuine, and whether it holds now.
//!
//! It must not know how the token was sent, or where keys are fetched. Entry points: [`verify`],
//! [`verify_signature`].

use serde_json::{Map, Value};

use crate::algorithm::{Algorithm, Algorithms};
use crate::compact::{self, Part};
use crate::key::Key;
use crate::refusal::Refusal;
use crate::rules::Rules;
use crate::set::KeySet;

/// The most bytes a token may have.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// The most keys that are tried for one token: checking a signature is what costs most.
pub const MAX_TRIED_KEYS: usize = 8;

/// A token that is genuine and holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// What it says.
    pub claims: Map<String, Value>,
    /// `exp`, in seconds since 1970, rounded down.
    pub expires: Option<u64>,
    /// The thumbprint of the key that has signed it (see [`KeySet::contains`]).
    pub thumbprint: [u8; 32],
    /// The algorithm it was signed with.
    pub algorithm: Algorithm,
    /// The `kid` of its header.
    pub key_id: Option<String>,
}

/// What somebody whose key is trusted has signed. Nothing is known of what it says.
#[derive(Clone, Debug, PartialEq)]
pub struct Signed {
    /// The header.
    pub header: Map<String, Value>,
    /// The payload, decoded.
    pub payload: Vec<u8>,
    /// The thumbprint of the key that has signed it (see [`KeySet::contains`]).
    pub thumbprint: [u8; 32],
    /// The algorithm it was signed with.
    pub algorithm: Algorithm,
}

/// Reads what a token says, and whether that would hold now, without looking at who has signed it: to explain a token to
/// people. Nobody is let in by it.
///
/// # Errors
///
/// The first reason to refuse it whatever its signature is.
pub fn read_unverified(token: &[u8], rules: &Rules, now: u64) -> Result<Map<String, Value>, Refusal> {
    let parts = compact::split(token)?;
    let mut decoded = Vec::new();
    compact::decode(parts.payload, &mut decoded)?;
    let claims = compact::object(&decoded, Part::Payload)?;
    rules.check(&claims, now)?;
    Ok(claims)
}

/// Checks a JSON Web Token: that one of the keys has signed it, and that its claims keep the rules now, which is
/// in seconds since 1970.
///
/// # Errors
///
/// The first reason to refuse it. Nothing is said of its claims before the signature is known to be right.
pub fn verify(token: &[u8], keys: &KeySet, rules: &Rules, now: u64) -> Result<Token, Refusal> {
    let Signed { mut header, payload, thumbprint, algorithm } =
        verify_signature(token, keys, rules.algorithms, rules.typ.as_deref())?;
    let claims = compact::object(&payload, Part::Payload)?;
    let expires = rules.check(&claims, now)?;
    let key_id = match header.remove("kid") {
        Some(Value::String(id)) => Some(id),
        _ => None,
    };
    Ok(Token { claims, expires, thumbprint, algorithm, key_id })
}

/// Checks the signature of a JWS in compact form, and its header as far as `algorithms` and `typ` of [`Rules`]
/// go, whatever the payload is.
///
/// # Errors
///
/// The first reason to refuse it.
pub fn verify_signature(
    token: &[u8],
    keys: &KeySet,
    algorithms: Option<Algorithms>,
    typ: Option<&str>,
) -> Result<Signed, Refusal> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(Refusal::Malformed("it is too long"));
    }
    let parts = compact::split(token)?;
    let mut buffer = Vec::with_capacity(parts.header.len().max(parts.payload.len()));
    compact::decode(parts.header, &mut buffer)?;
    let header = compact::object(&buffer, Part::Header)?;
    refuse_extensions(&header)?;
    let name = text(&header, "alg")?.ok_or(Refusal::Malformed("the header has no alg"))?;
    let algorithm = Algorithm::parse(name).ok_or(Refusal::Algorithm)?;
    if algorithms.is_some_and(|allowed| !allowed.contains(algorithm)) {
        return Err(Refusal::Algorithm);
    }
    Rules::check_typ(typ, text(&header, "typ")?)?;
    let id = text(&header, "kid")?;
    let mut space = [0; 1024];
    let signature = compact::decode_signature(parts.signature, &mut space)?;

    let thumbprint = *signer(keys, id, algorithm, parts.signed, signature)?.thumbprint();
    compact::decode(parts.payload, &mut buffer)?;
    Ok(Signed { header, payload: buffer, thumbprint, algorithm })
}

/// The key of the set that has signed the message.
fn signer<'k>(
    keys: &'k KeySet,
    id: Option<&str>,
    algorithm: Algorithm,
    message: &[u8],
    signature: &[u8],
) -> Result<&'k Key, Refusal> {
    let mut fitting = keys.fitting(id, algorithm).take(MAX_TRIED_KEYS).peekable();
    if fitting.peek().is_none() {
        // A key that is known, used in a way that it does not allow, is an attack: new keys would not help.
        let known = id.is_some_and(|id| keys.has_id(id));
        return Err(if known { Refusal::Algorithm } else { Refusal::UnknownKey });
    }
    let signer = fitting.find(|(_, check)| check.holds(message, signature));
    // It may be signed with a key that is new: those without a name were only tried.
    let unknown = id.is_some_and(|id| keys.is_unknown(id));
    signer.map(|(key, _)| key).ok_or(if unknown { Refusal::UnknownKey } else { Refusal::BadSignature })
}

/// What would change how the token is read. `jku`, `jwk`, `x5u` and `x5c`, with which a token would bring its own
/// key, are not looked at (RFC 8725 §3.10).
fn refuse_extensions(header: &Map<String, Value>) -> Result<(), Refusal> {
    if header.contains_key("crit") {
        return Err(Refusal::Critical);
    }
    let found = ["b64", "enc", "zip"].into_iter().find(|name| header.contains_key(*name));
    found.map_or(Ok(()), |name| Err(Refusal::Unsupported(name)))
}

/// A member of the header that must be a string if it is there.
fn text<'h>(header: &'h Map<String, Value>, name: &str) -> Result<Option<&'h str>, Refusal> {
    match header.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Refusal::Malformed("alg, kid or typ of the header is not a string")),
    }
}
