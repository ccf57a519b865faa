//! The algorithms of signatures, and sets of them.
//!
//! Entry points: [`Algorithm::of`], [`Algorithms`].

/// An algorithm of signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// `hmac-sha256`: HMAC with SHA-256 (RFC 9421 §3.3.3, and the header form).
    HmacSha256,
    /// `hmac-sha384`: HMAC with SHA-384, in the header form only.
    HmacSha384,
    /// `hmac-sha512`: HMAC with SHA-512, in the header form only.
    HmacSha512,
    /// `hmac-sha1`: HMAC with SHA-1, in the header form only, for old clients.
    HmacSha1,
    /// `ed25519`: EdDSA over edwards25519 (RFC 9421 §3.3.6).
    Ed25519,
    /// `ecdsa-p256-sha256`: ECDSA over P-256 with SHA-256; the signature is r and s (RFC 9421 §3.3.4).
    EcdsaP256Sha256,
    /// `rsa-pss-sha512`: RSASSA-PSS with SHA-512 and a salt of 64 bytes (RFC 9421 §3.3.1).
    RsaPssSha512,
    /// `rsa-v1_5-sha256`: RSASSA-PKCS1-v1_5 with SHA-256 (RFC 9421 §3.3.2).
    RsaV15Sha256,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Algorithm; 8] = [
        Algorithm::HmacSha256,
        Algorithm::HmacSha384,
        Algorithm::HmacSha512,
        Algorithm::HmacSha1,
        Algorithm::Ed25519,
        Algorithm::EcdsaP256Sha256,
        Algorithm::RsaPssSha512,
        Algorithm::RsaV15Sha256,
    ];

    /// The name in the registry of RFC 9421 §6.2, or in Kong's form.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Algorithm::HmacSha256 => "hmac-sha256",
            Algorithm::HmacSha384 => "hmac-sha384",
            Algorithm::HmacSha512 => "hmac-sha512",
            Algorithm::HmacSha1 => "hmac-sha1",
            Algorithm::Ed25519 => "ed25519",
            Algorithm::EcdsaP256Sha256 => "ecdsa-p256-sha256",
            Algorithm::RsaPssSha512 => "rsa-pss-sha512",
            Algorithm::RsaV15Sha256 => "rsa-v1_5-sha256",
        }
    }

    /// The algorithm of a name; names are case-sensitive.
    #[must_use]
    pub fn of(name: &str) -> Option<Algorithm> {
        Algorithm::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }

    /// Whether both sides share one secret.
    #[must_use]
    pub const fn is_hmac(self) -> bool {
        matches!(
            self,
            Algorithm::HmacSha256 | Algorithm::HmacSha384 | Algorithm::HmacSha512 | Algorithm::HmacSha1
        )
    }
}

/// A set of algorithms. The default has all but `hmac-sha1`, which has to be added explicitly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Algorithms(u16);

impl Algorithms {
    /// The empty set.
    pub const NONE: Algorithms = Algorithms(0);

    /// The set with one more.
    #[must_use]
    pub const fn with(self, algorithm: Algorithm) -> Algorithms {
        Algorithms(self.0 | 1 << algorithm as u16)
    }

    /// The set without one.
    #[must_use]
    pub const fn without(self, algorithm: Algorithm) -> Algorithms {
        Algorithms(self.0 & !(1 << algorithm as u16))
    }

    /// Whether an algorithm is in the set.
    #[must_use]
    pub const fn has(self, algorithm: Algorithm) -> bool {
        self.0 & 1 << algorithm as u16 != 0
    }

    /// Those of the set, in the order of [`Algorithm::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Algorithm> {
        Algorithm::ALL.into_iter().filter(move |&algorithm| self.has(algorithm))
    }
}

impl Default for Algorithms {
    fn default() -> Self {
        Algorithm::ALL.into_iter().fold(Algorithms::NONE, Algorithms::with).without(Algorithm::HmacSha1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_again_and_sha1_is_off() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::of(algorithm.as_str()), Some(algorithm));
            assert_eq!(
                Algorithms::default().has(algorithm),
                algorithm != Algorithm::HmacSha1,
                "{algorithm:?}"
            );
            assert!(Algorithms::NONE.with(algorithm).iter().eq([algorithm]));
        }
        assert_eq!(Algorithm::of("HMAC-SHA256"), None);
        assert_eq!(Algorithm::of(""), None);
    }
}
