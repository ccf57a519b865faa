//! Keys that signatures are verified with.
//!
//! A key says by which algorithms it may be used, so that a public key can never be taken for the secret of an HMAC.
//! Neither secrets nor keys are ever shown. Entry points: [`Key::shared`], [`Key::public`].

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{self, ParsedPublicKey, VerificationAlgorithm};
use subtle::ConstantTimeEq;

use crate::{Algorithm, Algorithms};

/// A key to verify signatures with. Its `Debug` shows nothing of it.
pub struct Key(Material);

enum Material {
    /// One secret, prepared for each algorithm that it may be used with.
    Shared(Vec<(Algorithm, hmac::Key)>),
    Public(Algorithm, Box<ParsedPublicKey>),
}

/// Why a key cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// The secret is empty.
    EmptySecret,
    /// No algorithm is allowed that the key could be used with.
    NoAlgorithm,
    /// The bytes are no public key of this algorithm, or of less than 2048 bits of RSA.
    Malformed,
}

impl std::fmt::Display for KeyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            KeyError::EmptySecret => "the secret is empty",
            KeyError::NoAlgorithm => "no algorithm is allowed that this key could be used with",
            KeyError::Malformed => "this is no public key of the algorithm",
        })
    }
}

impl std::error::Error for KeyError {}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

impl Key {
    /// A shared secret, for those of the algorithms that are HMAC. In the header form the client chooses one of
    /// them; HTTP Message Signatures know `hmac-sha256` alone.
    ///
    /// Errors: an empty secret, and a set without HMAC. That a secret can be guessed is not seen here: it should
    /// have 32 random bytes (RFC 2104 §3).
    pub fn shared(secret: &[u8], algorithms: Algorithms) -> Result<Key, KeyError> {
        if secret.is_empty() {
            return Err(KeyError::EmptySecret);
        }
        let keys: Vec<_> = algorithms
            .iter()
            .filter_map(|algorithm| Some((algorithm, hmac::Key::new(hmac_of(algorithm)?, secret))))
            .collect();
        if keys.is_empty() { Err(KeyError::NoAlgorithm) } else { Ok(Key(Material::Shared(keys))) }
    }

    /// A public key: a `SubjectPublicKeyInfo` in DER (RFC 5280 §4.1), or what stands in it: the 32 bytes of an
    /// Ed25519 key, the point of an EC key, the `RSAPublicKey` of RFC 8017.
    ///
    /// Errors: an algorithm that is HMAC, and bytes that are no such key.
    pub fn public(algorithm: Algorithm, der: &[u8]) -> Result<Key, KeyError> {
        let verifier: &'static dyn VerificationAlgorithm = match algorithm {
            Algorithm::Ed25519 => &signature::ED25519,
            Algorithm::EcdsaP256Sha256 => &signature::ECDSA_P256_SHA256_FIXED,
            Algorithm::RsaPssSha512 => &signature::RSA_PSS_2048_8192_SHA512,
            Algorithm::RsaV15Sha256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Algorithm::HmacSha256 | Algorithm::HmacSha384 | Algorithm::HmacSha512 | Algorithm::HmacSha1 => {
                return Err(KeyError::NoAlgorithm);
            }
        };
        let key = ParsedPublicKey::new(verifier, der).map_err(|_| KeyError::Malformed)?;
        Ok(Key(Material::Public(algorithm, Box::new(key))))
    }

    /// Whether the key may be used with an algorithm.
    #[must_use]
    pub fn has(&self, algorithm: Algorithm) -> bool {
        match &self.0 {
            Material::Shared(keys) => keys.iter().any(|(own, _)| *own == algorithm),
            Material::Public(own, _) => *own == algorithm,
        }
    }

    /// The one algorithm that HTTP Message Signatures have for this key (RFC 9421 §6.2.2).
    pub(crate) fn message_algorithm(&self) -> Option<Algorithm> {
        match &self.0 {
            Material::Shared(_) => Some(Algorithm::HmacSha256).filter(|&algorithm| self.has(algorithm)),
            Material::Public(own, _) => Some(*own),
        }
    }

    /// Whether this is a signature of the key over these bytes. A MAC is compared in constant time.
    pub(crate) fn verifies(&self, algorithm: Algorithm, base: &[u8], signature: &[u8]) -> bool {
        match &self.0 {
            Material::Shared(keys) => keys
                .iter()
                .find(|(own, _)| *own == algorithm)
                .is_some_and(|(_, key)| hmac::sign(key, base).as_ref().ct_eq(signature).into()),
            Material::Public(own, key) => *own == algorithm && key.verify_sig(base, signature).is_ok(),
        }
    }
}

/// The HMAC of an algorithm, if it is one.
fn hmac_of(algorithm: Algorithm) -> Option<hmac::Algorithm> {
    match algorithm {
        Algorithm::HmacSha256 => Some(hmac::HMAC_SHA256),
        Algorithm::HmacSha384 => Some(hmac::HMAC_SHA384),
        Algorithm::HmacSha512 => Some(hmac::HMAC_SHA512),
        Algorithm::HmacSha1 => Some(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
        Algorithm::Ed25519
        | Algorithm::EcdsaP256Sha256
        | Algorithm::RsaPssSha512
        | Algorithm::RsaV15Sha256 => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_for_its_algorithms_and_shows_nothing() {
        let key = Key::shared(b"hidden", Algorithms::default()).unwrap();
        assert_eq!(format!("{key:?}"), "Key");
        assert!(
            key.has(Algorithm::HmacSha512) && !key.has(Algorithm::HmacSha1) && !key.has(Algorithm::Ed25519)
        );
        assert_eq!(key.message_algorithm(), Some(Algorithm::HmacSha256));
        let other = Key::shared(b"hidden", Algorithms::NONE.with(Algorithm::HmacSha512)).unwrap();
        assert_eq!(other.message_algorithm(), None);
        assert!(!other.verifies(Algorithm::HmacSha256, b"", b""));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let shared = |secret: &[u8], algorithms| Key::shared(secret, algorithms).unwrap_err();
        assert_eq!(shared(b"", Algorithms::default()), KeyError::EmptySecret);
        assert_eq!(shared(b"x", Algorithms::NONE.with(Algorithm::Ed25519)), KeyError::NoAlgorithm);
        for algorithm in Algorithm::ALL {
            let want = if algorithm.is_hmac() { KeyError::NoAlgorithm } else { KeyError::Malformed };
            for bytes in [&b""[..], b"x", &[0; 31], &[0x30; 64]] {
                assert_eq!(Key::public(algorithm, bytes).unwrap_err(), want, "{algorithm:?} {bytes:?}");
            }
        }
    }
}
