//! A key that can check tokens: which one it is, and with which algorithms, each prepared when it is loaded.
//!
//! It must not know tokens. Entry points: [`Key::from_pem`], [`Key::from_secret`], [`Key::from_jwk`].

use std::fmt;

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::algorithm::{Algorithm, Algorithms, Family};
use crate::material::{Check, Material, min_secret_bits};
use crate::{jwk, spki};

/// The shortest modulus of an RSA key that is taken, in bits (RFC 7518 §3.3).
pub const MIN_RSA_BITS: u32 = 2048;

/// A public key or a shared secret, with the algorithms it may be used with. It knows nothing of private keys:
/// what is private in a JWK is not even read.
pub struct Key {
    id: Option<Box<str>>,
    thumbprint: [u8; 32],
    family: Family,
    bits: u32,
    /// Never empty.
    checks: Vec<(Algorithm, Check)>,
}

/// Why something cannot be a key. It never repeats what was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// There is no PEM section of a public key or of a certificate, or its base64 is broken.
    NoPem,
    /// There are several public keys where one is wanted.
    SeveralKeys,
    /// It is a private key.
    Private,
    /// A public key or certificate does not have the structure of one (RFC 5280 §4.1).
    Structure,
    /// The kind of key is not supported; so are points in compressed form.
    Kind,
    /// The curve is not supported.
    Curve,
    /// A member of a JWK is missing or malformed.
    Member(&'static str),
    /// `use` of a JWK is not `sig`, or its `key_ops` lack `verify`.
    Use,
    /// The algorithm is not known, or the key is not fit for any that is wanted.
    Algorithm,
    /// The modulus of an RSA key has fewer than [`MIN_RSA_BITS`].
    RsaTooShort {
        /// The bits that it has.
        bits: u32,
    },
    /// A shared secret is shorter than the output of the hash (RFC 7518 §3.2).
    SecretTooShort {
        /// The bytes that it has.
        bytes: u32,
        /// The bytes that it must have for the least demanding of the algorithms that are wanted.
        needed: u32,
    },
    /// A public key or certificate in PEM was given as a shared secret: everybody knows it (RFC 8725 §2.1).
    PublicSecret,
    /// A shared secret is in a key set from which only public keys are taken.
    SharedSecret,
    /// The numbers are not those of a key: a point that is not on the curve, an even exponent.
    Rejected,
}

impl Key {
    /// From a public key (`PUBLIC KEY`, RFC 7468 §13), or from the first of one or more certificates
    /// (`CERTIFICATE`), in PEM. Only the key of a certificate counts: not its term, issuer or usage.
    ///
    /// # Errors
    ///
    /// Whatever it is if not that, or if the key cannot be used.
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        Self::new(&spki::material_of_pem(pem)?, Algorithms::ALL)
    }

    /// From a shared secret, for those HMAC algorithms of `wanted` that it is long enough for.
    ///
    /// # Errors
    ///
    /// [`KeyError::SecretTooShort`] if it is too short for each of them, [`KeyError::PublicSecret`] if it is no
    /// secret, [`KeyError::Algorithm`] if none of them is an HMAC algorithm.
    pub fn from_secret(secret: &[u8], wanted: Algorithms) -> Result<Self, KeyError> {
        if secret.trim_ascii_start().starts_with(b"-----BEGIN ") {
            return Err(KeyError::PublicSecret);
        }
        Self::new(&Material::Secret(Zeroizing::new(secret.to_vec())), wanted)
    }

    /// From a JWK (RFC 7517 §4). Members that are private or unknown are ignored. `alg` narrows the key to
    /// one algorithm.
    ///
    /// # Errors
    ///
    /// If it is malformed, not for checking signatures, or of a kind that is not supported.
    pub fn from_jwk(jwk: &Map<String, Value>) -> Result<Self, KeyError> {
        let (material, wanted) = jwk::material_of(jwk)?;
        Ok(Self { id: jwk::id_of(jwk)?, ..Self::new(&material, wanted)? })
    }

    fn new(material: &Material, wanted: Algorithms) -> Result<Self, KeyError> {
        Ok(Self {
            id: None,
            thumbprint: material.thumbprint(),
            family: material.family(),
            bits: material.bits(),
            checks: material.prepare(wanted)?,
        })
    }

    /// The same key with this `kid`.
    #[must_use]
    pub fn with_id(self, id: &str) -> Self {
        Self { id: Some(id.into()), ..self }
    }

    /// The same key, for no more than these algorithms.
    ///
    /// # Errors
    ///
    /// [`KeyError::Algorithm`] if none is left, [`KeyError::SecretTooShort`] if that is the reason.
    pub fn narrowed(mut self, wanted: Algorithms) -> Result<Self, KeyError> {
        self.checks.retain(|(algorithm, _)| wanted.contains(*algorithm));
        if !self.checks.is_empty() {
            return Ok(self);
        }
        let longer = wanted.iter().map(min_secret_bits).filter(|bits| *bits > self.bits).min();
        match longer {
            Some(needed) if self.family == Family::Oct => {
                Err(KeyError::SecretTooShort { bytes: self.bits / 8, needed: needed / 8 })
            }
            _ => Err(KeyError::Algorithm),
        }
    }

    /// Its `kid`.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Its SHA-256 thumbprint (RFC 7638): the same however the key was written. That of a shared secret is for
    /// comparing only: who knows it can try out guesses (§7).
    #[must_use]
    pub fn thumbprint(&self) -> &[u8; 32] {
        &self.thumbprint
    }

    /// What kind of key it is.
    #[must_use]
    pub fn family(&self) -> Family {
        self.family
    }

    /// The algorithms it may be used with; at least one.
    #[must_use]
    pub fn algorithms(&self) -> Algorithms {
        self.checks.iter().map(|(algorithm, _)| *algorithm).collect()
    }

    /// What checks signatures with this algorithm, if the key may be used with it.
    pub(crate) fn check(&self, algorithm: Algorithm) -> Option<&Check> {
        self.checks.iter().find(|(of, _)| *of == algorithm).map(|(_, check)| check)
    }
}

/// It shows no secret, and of a shared secret no thumbprint either.
impl fmt::Debug for Key {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = out.debug_struct("Key");
        shown.field("id", &self.id).field("family", &self.family).field("algorithms", &self.algorithms());
        if self.family != Family::Oct {
            let hex: String = self.thumbprint.iter().map(|byte| format!("{byte:02x}")).collect();
            shown.field("thumbprint", &hex);
        }
        shown.finish_non_exhaustive()
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPem => out.write_str("no PUBLIC KEY or CERTIFICATE section in PEM form was found"),
            Self::SeveralKeys => out.write_str("there are several keys where one is wanted"),
            Self::Private => out.write_str("it is a private key: only the public one is wanted here"),
            Self::Structure => out.write_str("it does not have the structure of a public key or certificate"),
            Self::Kind => out.write_str("keys of this kind are not supported"),
            Self::Curve => out.write_str("the curve is not supported"),
            Self::Member(name) => write!(out, "the member \"{name}\" is missing or malformed"),
            Self::Use => out.write_str("it is not meant for checking signatures (\"use\" or \"key_ops\")"),
            Self::Algorithm => out.write_str("it does not fit any of the algorithms that are wanted"),
            Self::RsaTooShort { bits } => {
                write!(out, "the RSA key has {bits} bits, and must have {MIN_RSA_BITS} at least")
            }
            Self::SecretTooShort { bytes, needed } => {
                write!(out, "the secret has {bytes} bytes, and must have {needed} at least")
            }
            Self::PublicSecret => out.write_str("a public key or certificate is not a secret"),
            Self::SharedSecret => out.write_str("shared secrets are not taken from this key set"),
            Self::Rejected => out.write_str("its numbers are not those of a valid key"),
        }
    }
}

impl std::error::Error for KeyError {}
