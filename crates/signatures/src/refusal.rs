//! Why a signature was refused.
//!
//! One closed enum, whose texts are for logs: they hold nothing that the client has sent, so no secret, no signature
//! and no key id can get into a log with them. Entry point: [`Refusal`].

/// Why a signature was refused. Clients are told nothing but that it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// `Signature-Input` or `Signature` is not what RFC 9421 §4 asks for.
    MalformedFields,
    /// The credentials of the header form cannot be read.
    MalformedCredentials,
    /// A field, the number of components, or the signature base is larger than the limits of this crate.
    TooLarge,
    /// `Signature-Input` describes a signature that `Signature` does not have.
    NoSignature,
    /// No signature names its key.
    NoKeyId,
    /// No signature names a key that is known.
    UnknownKey,
    /// The algorithm is not among those that are allowed.
    AlgorithmNotAllowed,
    /// The signature names another algorithm than that of its key.
    AlgorithmMismatch,
    /// A component is covered twice.
    RepeatedComponent,
    /// A component or a parameter of it is unknown, or makes no sense in a request.
    UnsupportedComponent,
    /// The request does not have what the signature covers.
    MissingComponent,
    /// What the signature covers has no one value: a query parameter occurs twice, or a field is not text.
    AmbiguousComponent,
    /// The signature does not cover all that it must.
    NotCovered,
    /// A time is missing: of its creation, or of its end.
    NoTime,
    /// A time cannot be read.
    BadTime,
    /// It is from the future.
    NotYetValid,
    /// It was created too long ago.
    TooOld,
    /// It has ended, or ends before it begins.
    Expired,
    /// It says nothing of its creation, and ends too far in the future.
    EndsTooLate,
    /// It has no nonce.
    NoNonce,
    /// The header form covers neither `X-Date` nor `Date`.
    DateNotCovered,
    /// There is a body, and the signature does not cover a digest of it.
    DigestNotCovered,
    /// The digest that it covers cannot be read.
    BadDigest,
    /// The signature is not of this key over this request.
    WrongSignature,
}

impl Refusal {
    /// The reason in words, for logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Refusal::MalformedFields => "Signature-Input or Signature is malformed",
            Refusal::MalformedCredentials => "the hmac credentials are malformed",
            Refusal::TooLarge => "the signature covers too much",
            Refusal::NoSignature => "Signature-Input describes a signature that is not there",
            Refusal::NoKeyId => "the signature does not name its key",
            Refusal::UnknownKey => "the key of the signature is not known",
            Refusal::AlgorithmNotAllowed => "the algorithm of the signature is not allowed",
            Refusal::AlgorithmMismatch => "the algorithm of the signature is not that of its key",
            Refusal::RepeatedComponent => "the signature covers a component twice",
            Refusal::UnsupportedComponent => "the signature covers a component that is not supported",
            Refusal::MissingComponent => "the signature covers a component that the request does not have",
            Refusal::AmbiguousComponent => "the signature covers a component that has no single value",
            Refusal::NotCovered => "the signature does not cover what it must",
            Refusal::NoTime => "the signature does not say when it was created",
            Refusal::BadTime => "a time of the signature cannot be read",
            Refusal::NotYetValid => "the signature is from the future",
            Refusal::TooOld => "the signature is too old",
            Refusal::Expired => "the signature has expired",
            Refusal::EndsTooLate => "the signature ends too far in the future",
            Refusal::NoNonce => "the signature has no nonce",
            Refusal::DateNotCovered => "the signature covers neither X-Date nor Date",
            Refusal::DigestNotCovered => "the signature does not cover a digest of the body",
            Refusal::BadDigest => "the digest of the body cannot be read",
            Refusal::WrongSignature => "the signature does not match",
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::error::Error for Refusal {}
