//! The numbers that make up a key, and what is derived from them alone: what checks signatures, and thumbprints.
//!
//! It must not know the form in which a key was written. Entry points: [`Material::prepare`],
//! [`Material::thumbprint`].

use aws_lc_rs::signature::{self, ParsedPublicKey, VerificationAlgorithm};
use aws_lc_rs::{digest, hmac};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::algorithm::{Algorithm, Algorithms, Family};
use crate::der;
use crate::key::{KeyError, MIN_RSA_BITS};

/// More than this is slow to check, and aws-lc does not do it.
const MAX_RSA_BITS: u32 = 8192;

/// A curve of RFC 7518 §6.2.1.1 or RFC 8812 §3.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Curve {
    P256,
    P384,
    P521,
    Secp256K1,
}

impl Curve {
    /// The value of `crv`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
            Self::Secp256K1 => "secp256k1",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::P256, Self::P384, Self::P521, Self::Secp256K1].into_iter().find(|curve| curve.name() == name)
    }

    /// The bytes of a coordinate.
    pub(crate) const fn coordinate(self) -> usize {
        match self {
            Self::P256 | Self::Secp256K1 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    const fn algorithm(self) -> Algorithm {
        match self {
            Self::P256 => Algorithm::Es256,
            Self::P384 => Algorithm::Es384,
            Self::P521 => Algorithm::Es512,
            Self::Secp256K1 => Algorithm::Es256K,
        }
    }
}

/// What a key consists of.
pub(crate) enum Material {
    /// A shared secret.
    Secret(Zeroizing<Vec<u8>>),
    /// Big-endian numbers without leading zeros.
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    /// A point in uncompressed form (SEC 1 §2.3.3), of the length that the curve demands.
    Ec { curve: Curve, point: Vec<u8> },
    /// A public key of RFC 8032 §5.1.5.
    Ed25519([u8; 32]),
}

/// One algorithm of a key, ready to be used.
pub(crate) enum Check {
    /// Boxed, since it is twenty times as large as the other.
    Mac(Box<hmac::Key>),
    Signature(ParsedPublicKey),
}

impl Check {
    /// Whether the signature is one of the message. MACs are compared in constant time.
    pub(crate) fn holds(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Mac(key) => hmac::verify(key, message, signature).is_ok(),
            Self::Signature(key) => key.verify_sig(message, signature).is_ok(),
        }
    }
}

impl Material {
    pub(crate) fn family(&self) -> Family {
        match self {
            Self::Secret(_) => Family::Oct,
            Self::Rsa { .. } => Family::Rsa,
            Self::Ec { .. } => Family::Ec,
            Self::Ed25519(_) => Family::Okp,
        }
    }

    /// The length of the secret or of the modulus, in bits; 0 for a curve, whose name says it.
    pub(crate) fn bits(&self) -> u32 {
        match self {
            Self::Secret(secret) => bits_of(secret.len()),
            Self::Rsa { modulus, .. } => bits_of(modulus.len())
                .saturating_sub(modulus.first().map_or(0, |first| first.leading_zeros())),
            Self::Ec { .. } | Self::Ed25519(_) => 0,
        }
    }

    /// The algorithms that the key is fit for: by its kind, its curve, and the length of its secret.
    fn algorithms(&self) -> Algorithms {
        let of_family = Algorithm::ALL.into_iter().filter(|algorithm| algorithm.family() == self.family());
        match self {
            Self::Secret(_) => {
                of_family.filter(|algorithm| self.bits() >= min_secret_bits(*algorithm)).collect()
            }
            Self::Ec { curve, .. } => of_family.filter(|algorithm| *algorithm == curve.algorithm()).collect(),
            Self::Rsa { .. } | Self::Ed25519(_) => of_family.collect(),
        }
    }

    /// Parses the key once for each algorithm that it is fit for and that is wanted.
    pub(crate) fn prepare(&self, wanted: Algorithms) -> Result<Vec<(Algorithm, Check)>, KeyError> {
        let bits = self.bits();
        match self {
            Self::Secret(_) => {
                let shortest = wanted.iter().map(min_secret_bits).filter(|bits| *bits > 0).min();
                let needed = shortest.ok_or(KeyError::Algorithm)?;
                if bits < needed {
                    return Err(KeyError::SecretTooShort { bytes: bits / 8, needed: needed / 8 });
                }
            }
            Self::Rsa { .. } if bits < MIN_RSA_BITS => return Err(KeyError::RsaTooShort { bits }),
            Self::Rsa { .. } if bits > MAX_RSA_BITS => return Err(KeyError::Rejected),
            Self::Rsa { .. } | Self::Ec { .. } | Self::Ed25519(_) => {}
        }
        let fit = self.algorithms();
        let both = wanted.iter().filter(|algorithm| fit.contains(*algorithm));
        let checks: Vec<_> =
            both.map(|algorithm| Ok((algorithm, self.check(algorithm)?))).collect::<Result<_, KeyError>>()?;
        if checks.is_empty() { Err(KeyError::Algorithm) } else { Ok(checks) }
    }

    fn check(&self, algorithm: Algorithm) -> Result<Check, KeyError> {
        let parse = |bytes: &[u8]| {
            let method = method(algorithm).ok_or(KeyError::Algorithm)?;
            ParsedPublicKey::new(method, bytes).map(Check::Signature).map_err(|_| KeyError::Rejected)
        };
        match self {
            Self::Secret(secret) => {
                let method = mac(algorithm).ok_or(KeyError::Algorithm)?;
                Ok(Check::Mac(Box::new(hmac::Key::new(method, secret))))
            }
            // By way of DER, since only then aws-lc looks at the numbers: exponents that are even, or 1.
            Self::Rsa { modulus, exponent } => parse(&der::rsa_public_key(modulus, exponent)),
            Self::Ec { point, .. } => parse(point),
            Self::Ed25519(public) => parse(public),
        }
    }

    /// The SHA-256 thumbprint (RFC 7638 §3, RFC 8037 §2): of the required members in alphabetical order.
    pub(crate) fn thumbprint(&self) -> [u8; 32] {
        let text = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let canonical = Zeroizing::new(match self {
            Self::Secret(secret) => format!(r#"{{"k":"{}","kty":"oct"}}"#, *Zeroizing::new(text(secret))),
            Self::Rsa { modulus, exponent } => {
                format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, text(exponent), text(modulus))
            }
            Self::Ec { curve, point } => {
                let coordinates = point.get(1..).unwrap_or_default();
                let (x, y) = coordinates.split_at_checked(curve.coordinate()).unwrap_or_default();
                format!(r#"{{"crv":"{}","kty":"EC","x":"{}","y":"{}"}}"#, curve.name(), text(x), text(y))
            }
            Self::Ed25519(public) => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, text(public)),
        });
        let hash = digest::digest(&digest::SHA256, canonical.as_bytes());
        let mut thumbprint = [0; 32];
        thumbprint.iter_mut().zip(hash.as_ref()).for_each(|(to, from)| *to = *from);
        thumbprint
    }
}

fn bits_of(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX).saturating_mul(8)
}

/// A secret must be as long as the output of the hash, at least (RFC 7518 §3.2). 0 for what is not a MAC.
pub(crate) const fn min_secret_bits(algorithm: Algorithm) -> u32 {
    match algorithm {
        Algorithm::Hs256 => 256,
        Algorithm::Hs384 => 384,
        Algorithm::Hs512 => 512,
        _ => 0,
    }
}

fn mac(algorithm: Algorithm) -> Option<hmac::Algorithm> {
    match algorithm {
        Algorithm::Hs256 => Some(hmac::HMAC_SHA256),
        Algorithm::Hs384 => Some(hmac::HMAC_SHA384),
        Algorithm::Hs512 => Some(hmac::HMAC_SHA512),
        _ => None,
    }
}

/// Signatures of ECDSA have the fixed form r||s (RFC 7518 §3.4), and the salt of PSS is as long as the hash
/// (§3.5): that is what `FIXED` and `RSA_PSS` mean.
fn method(algorithm: Algorithm) -> Option<&'static dyn VerificationAlgorithm> {
    Some(match algorithm {
        Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => return None,
        Algorithm::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
        Algorithm::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
        Algorithm::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
        Algorithm::Es256 => &signature::ECDSA_P256_SHA256_FIXED,
        Algorithm::Es384 => &signature::ECDSA_P384_SHA384_FIXED,
        Algorithm::Es512 => &signature::ECDSA_P521_SHA512_FIXED,
        Algorithm::Es256K => &signature::ECDSA_P256K1_SHA256_FIXED,
        Algorithm::EdDsa => &signature::ED25519,
    })
}
