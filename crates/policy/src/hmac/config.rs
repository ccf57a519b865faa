//! What the user writes.

use diagnostics::Spanned;
use document::{DurationValue, OneOrMany, keywords, section};

section! {
    /// Recognises consumers by signed requests (`hmac` of a consumer): by HTTP Message Signatures (RFC 9421), and by the
    /// form of Kong's `hmac-auth`. A signature holds for one request and for a short time, so that who gets hold of one has
    /// little of it.
    pub struct Raw {
        /// The forms that are looked at.
        forms: OneOrMany<Form> = "[message, header]",
        /// The algorithms that may be used. The form `header` has those of HMAC only, the form `message` has
        /// `hmac-sha256` and those with public keys. `hmac-sha1` is for old clients of Kong.
        algorithms: OneOrMany<AlgorithmName> = "[hmac-sha256, hmac-sha384, hmac-sha512, ed25519, ecdsa-p256-sha256, rsa-pss-sha512, rsa-v1_5-sha256]",
        /// What a signature must cover, in the place of what it must cover otherwise: `"@method"`, `"@authority"`,
        /// `"@path"`, `"@query"`, `"@request-target"`, `"@target-uri"`, `"@scheme"`, `request-line`, and names of headers.
        /// Without it, method, path and query, and in the form `message` the authority. What covers the same is as good:
        /// `request-line` covers method, path and query. `[]` asks for nothing but the time; then a signature for one
        /// request is good for others.
        required: Option<Vec<Spanned<String>>>,
        /// How far the time of a signature may be from that of the gateway, in both directions: so long it is good. From
        /// `1s` to `1d`, in whole seconds.
        max_skew: Spanned<DurationValue> = "5m",
        /// Whether a signature must have a nonce. The form `header` has none.
        require_nonce: bool = "false",
        /// Whether a signature must cover a digest of the body (`Content-Digest` or `Digest`) where there is one. With
        /// `false` somebody on the way may put another body in its place. One that is covered is checked in any case.
        require_digest: bool = "true",
        /// What becomes of a signature that was used before.
        replay: Replay = "refuse",
        /// How many used signatures are remembered, each for `max_skew` and up to 100 bytes. With more than that at a time
        /// requests are refused with a 503. Policies with the same `replay_capacity` and `max_skew` remember together.
        replay_capacity: u32 [1..=100000000] = "1000000",
        /// The label of the signature to look at, in the form `message`. Others are left alone.
        label: Option<Spanned<String>>,
        /// The tag of the signatures to look at, in the form `message`. Others are left alone.
        tag: Option<Spanned<String>>,
        /// Whether the service gets the signature too. It gets `x-consumer` in any case.
        forward: bool = "false",
    }
}

keywords! {
    /// A form of signatures.
    pub enum Form {
        /// HTTP Message Signatures (RFC 9421): `Signature-Input` and `Signature`.
        Message = "message",
        /// That of Kong's `hmac-auth`: `Authorization: hmac username="…", …`.
        Header = "header",
    }
}

keywords! {
    /// An algorithm of signatures, by its name in RFC 9421 or in Kong.
    pub enum AlgorithmName {
        /// HMAC with SHA-256.
        HmacSha256 = "hmac-sha256",
        /// HMAC with SHA-384.
        HmacSha384 = "hmac-sha384",
        /// HMAC with SHA-512.
        HmacSha512 = "hmac-sha512",
        /// HMAC with SHA-1.
        HmacSha1 = "hmac-sha1",
        /// EdDSA over edwards25519.
        Ed25519 = "ed25519",
        /// ECDSA over P-256 with SHA-256.
        EcdsaP256Sha256 = "ecdsa-p256-sha256",
        /// RSASSA-PSS with SHA-512.
        RsaPssSha512 = "rsa-pss-sha512",
        /// RSASSA-PKCS1-v1_5 with SHA-256.
        RsaV15Sha256 = "rsa-v1_5-sha256",
    }
}

keywords! {
    /// What becomes of a signature that was used before.
    pub enum Replay {
        /// It is refused: each signature is good for one request.
        Refuse = "refuse",
        /// It is good again until it is too old.
        Allow = "allow",
    }
}
