//! The algorithms a token may be signed with, and sets of them. `none` is not among them.
//!
//! It must not know keys. Entry points: [`Algorithm::parse`], [`Algorithms`].

use std::fmt;

/// A signature or MAC algorithm (RFC 7518 §3.1, RFC 8037 §3.1, RFC 8812 §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// ECDSA over P-256 with SHA-256.
    Es256,
    /// ECDSA over P-384 with SHA-384.
    Es384,
    /// ECDSA over P-521 with SHA-512.
    Es512,
    /// ECDSA over secp256k1 with SHA-256.
    Es256K,
    /// EdDSA over Ed25519; Ed448 is not supported.
    EdDsa,
}

/// What kind of key an algorithm needs: the `kty` of RFC 7518 §6.1 and RFC 8037 §2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// A shared secret: who can check a token can make one.
    Oct,
    /// An RSA public key.
    Rsa,
    /// A public key on an elliptic curve in Weierstrass form.
    Ec,
    /// An octet key pair: Ed25519.
    Okp,
}

impl Algorithm {
    /// Every algorithm there is.
    pub const ALL: [Self; 14] = [
        Self::Hs256,
        Self::Hs384,
        Self::Hs512,
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::Es512,
        Self::Es256K,
        Self::EdDsa,
    ];

    /// The value of `alg`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::Es256K => "ES256K",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The algorithm of that name; names are case-sensitive (RFC 7515 §4.1.1). `Ed25519` is the newer name of
    /// what `EdDSA` means here (RFC 9864 §2.2).
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        if name == "Ed25519" {
            return Some(Self::EdDsa);
        }
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }

    /// The kind of key it needs.
    #[must_use]
    pub const fn family(self) -> Family {
        match self {
            Self::Hs256 | Self::Hs384 | Self::Hs512 => Family::Oct,
            Self::Rs256 | Self::Rs384 | Self::Rs512 | Self::Ps256 | Self::Ps384 | Self::Ps512 => Family::Rsa,
            Self::Es256 | Self::Es384 | Self::Es512 | Self::Es256K => Family::Ec,
            Self::EdDsa => Family::Okp,
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// A set of algorithms.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Algorithms(u16);

impl Algorithms {
    /// Every algorithm there is.
    pub const ALL: Self = Self((1 << Algorithm::ALL.len()) - 1);

    /// Whether the algorithm is in the set.
    #[must_use]
    pub const fn contains(self, algorithm: Algorithm) -> bool {
        self.0 & algorithm.bit() != 0
    }

    /// Whether the set is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The algorithms of the set, in the order of [`Algorithm::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Algorithm> {
        Algorithm::ALL.into_iter().filter(move |algorithm| self.contains(*algorithm))
    }
}

impl FromIterator<Algorithm> for Algorithms {
    fn from_iter<I: IntoIterator<Item = Algorithm>>(algorithms: I) -> Self {
        Self(algorithms.into_iter().fold(0, |bits, algorithm| bits | algorithm.bit()))
    }
}

impl fmt::Debug for Algorithms {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_forth_and_back_and_no_others_are_known() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::parse(algorithm.as_str()), Some(algorithm));
        }
        assert_eq!(Algorithm::parse("Ed25519"), Some(Algorithm::EdDsa));
        for name in ["none", "None", "NONE", "nOnE", "", "hs256", "HS256 ", "HS1", "Ed448", "RSA-OAEP", "dir"]
        {
            assert_eq!(Algorithm::parse(name), None, "{name}");
        }
    }

    #[test]
    fn a_set_holds_what_it_was_made_of() {
        let set: Algorithms = [Algorithm::EdDsa, Algorithm::Hs256].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [Algorithm::Hs256, Algorithm::EdDsa]);
        assert_eq!(format!("{set:?}"), "{Hs256, EdDsa}");
        assert_eq!(Algorithms::ALL.iter().count(), Algorithm::ALL.len());
        assert!(Algorithms::default().is_empty() && !set.is_empty());
        assert!(!set.contains(Algorithm::Rs256));
    }
}
