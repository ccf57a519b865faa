//! Signed tokens: keys, key sets, and whether a JSON Web Token is genuine and holds now; pure.
//!
//! It owns JWS in its compact form (RFC 7515), public keys and shared secrets as JWK and PEM (RFC 7517, 7638),
//! the algorithms (RFC 7518, 8037, 8812) and the checks of claims (RFC 7519) as RFC 8725 wants them. It must not
//! know where keys and tokens come from, who the caller is, or what time it is: bytes and `now` are passed in.
//! It cannot sign, and it cannot decrypt.
//!
//! What attacks on tokens have in common is that the token chooses how it is checked. Here a [`Key`] knows its
//! algorithms, and they are prepared when it is loaded: the header of a token can only pick one of them, or none.
//! There is no algorithm `none`, and no key is ever taken from a token.
//!
//! Entry points: [`Key::from_pem`], [`Key::from_secret`], [`KeySet::from_jwks`], [`verify()`], [`verify_signature`],
//! [`unique_members`].

mod algorithm;
mod compact;
mod der;
mod jwk;
mod key;
mod material;
mod object;
mod refusal;
mod rules;
mod set;
mod spki;
#[cfg(test)]
mod tests;
mod verify;

pub use algorithm::{Algorithm, Algorithms, Family};
pub use key::{Key, KeyError, MIN_RSA_BITS};
pub use object::{NotUnique, unique_members};
pub use refusal::Refusal;
pub use rules::Rules;
pub use set::{KeySet, Loaded, MAX_JWKS_BYTES, MAX_KEYS, SetError, Skipped};
pub use verify::{MAX_TOKEN_BYTES, MAX_TRIED_KEYS, Signed, Token, read_unverified, verify, verify_signature};
