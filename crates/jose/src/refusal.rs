//! Why a token is refused, exactly, and without repeating any of it.
//!
//! It must not know what is done about it. Entry points: [`Refusal`], [`Refusal::as_str`].

use std::fmt;

/// Why a token is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is not a token in the compact form of a JWS with JSON inside; what is wrong.
    Malformed(&'static str),
    /// The header has a member that changes what is signed or how, and that is not supported: its name.
    Unsupported(&'static str),
    /// The header lists extensions that must be understood (`crit`, RFC 7515 §4.1.11).
    Critical,
    /// The algorithm is not known, not allowed here, or not one of the key that the token names.
    Algorithm,
    /// The token names a key that is not in the set, or there is none for its algorithm. New keys may help.
    UnknownKey,
    /// No key that may have signed it has.
    BadSignature,
    /// The `typ` of the header is not the one that is expected, or is missing.
    WrongTokenType,
    /// A claim that must be there is not, or is null: its name.
    MissingClaim(Box<str>),
    /// A claim of RFC 7519 §4.1 is not of the type that it must have: its name.
    WrongType(&'static str),
    /// It was valid until `exp`.
    Expired,
    /// It will be valid from `nbf` on, or `iat` is in the future and matters.
    NotYetValid,
    /// It was issued (`iat`) longer ago than is allowed.
    TooOld,
    /// It is from another issuer.
    WrongIssuer,
    /// It is for somebody else.
    WrongAudience,
}

impl Refusal {
    /// A word for logs and metrics: one for each variant.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Unsupported(_) => "unsupported",
            Self::Critical => "critical",
            Self::Algorithm => "algorithm",
            Self::UnknownKey => "unknown_key",
            Self::BadSignature => "bad_signature",
            Self::WrongTokenType => "wrong_token_type",
            Self::MissingClaim(_) => "missing_claim",
            Self::WrongType(_) => "wrong_type",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::TooOld => "too_old",
            Self::WrongIssuer => "wrong_issuer",
            Self::WrongAudience => "wrong_audience",
        }
    }
}

/// A sentence for `error_description`, of the characters that RFC 6750 §3 allows there. It holds nothing that
/// was in the token.
impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(what) => write!(out, "the token is malformed: {what}"),
            Self::Unsupported(name) => write!(out, "the token header has {name}, which is not supported"),
            Self::Critical => out.write_str("the token header has crit, which is not supported"),
            Self::Algorithm => out.write_str("the token is signed with an algorithm that is not allowed"),
            Self::UnknownKey => out.write_str("the token is signed with an unknown key"),
            Self::BadSignature => out.write_str("the signature of the token is wrong"),
            Self::WrongTokenType => out.write_str("the token is of another type"),
            Self::MissingClaim(name) => {
                out.write_str("the token lacks the claim ")?;
                // The name is from the configuration, where it may be of any characters.
                let allowed = |char| matches!(char, ' '..='~' if char != '"' && char != '\\');
                name.chars().try_for_each(|char| write!(out, "{}", if allowed(char) { char } else { '?' }))
            }
            Self::WrongType(name) => write!(out, "the claim {name} of the token has the wrong type"),
            Self::Expired => out.write_str("the token has expired"),
            Self::NotYetValid => out.write_str("the token is not yet valid"),
            Self::TooOld => out.write_str("the token was issued too long ago"),
            Self::WrongIssuer => out.write_str("the token is from another issuer"),
            Self::WrongAudience => out.write_str("the token is for another audience"),
        }
    }
}

impl std::error::Error for Refusal {}
