//! Signed requests: HTTP Message Signatures and the header form of Kong; pure.
//!
//! Two forms are understood. `Signature-Input` and `Signature` as RFC 9421 has them, and the form of Kong's
//! `hmac-auth`: `Authorization: hmac username="…", algorithm="…", headers="…", signature="…"`, which goes back to
//! draft-cavage-http-signatures. What either promises of the body is `Content-Digest` (RFC 9530) or `Digest`.
//!
//! A signature covers what the client has sent: target, path and query as they were written, not their canonical
//! form, and fields as they stand in the head. What was removed from the head before, such as hop-by-hop fields, is
//! not there, so a signature that covers it is refused. The authority is the one exception: it is compared in lower
//! case, without trailing dot and default port, as RFC 9421 §2.2.3 asks.
//!
//! It knows no keys, no clock and no configuration file: the caller looks up keys, and passes the time in seconds
//! since 1970. Whatever the bytes, the work is bounded by [`MAX_SIGNATURES`], [`MAX_COMPONENTS`], [`MAX_FIELD`] and
//! [`MAX_BASE`]. Entry points, in the order of their use: [`parse`], [`Presented::choose`], [`Claim::verify`],
//! [`ReplayGuard::admit`], [`ExpectedDigest::check`].

mod algorithm;
mod base;
mod claim;
mod component;
mod coverage;
mod digest;
mod header_form;
mod key;
mod message_form;
mod query;
mod refusal;
mod replay;
mod rules;
mod sent;
#[cfg(test)]
mod tests;

pub use algorithm::{Algorithm, Algorithms};
pub use claim::{Accepted, Claim, Form, Presented, Request, parse};
pub use coverage::Requirement;
pub use digest::{DigestCheck, ExpectedDigest};
pub use key::{Key, KeyError};
pub use refusal::Refusal;
pub use replay::{Admit, ReplayGuard};
pub use rules::Rules;

/// The most signatures of one request whose key is looked up; further ones are not looked at.
pub const MAX_SIGNATURES: usize = 8;

/// The most components that one signature may cover.
pub const MAX_COMPONENTS: usize = 64;

/// The most bytes of a field that is parsed: `Signature-Input`, `Signature`, credentials, and covered fields that
/// are taken apart (`sf` and `key` of RFC 9421 §2.1).
pub const MAX_FIELD: usize = 32 * 1024;

/// The most bytes over which a signature is verified.
pub const MAX_BASE: usize = 64 * 1024;
