//! What signatures of consumers are checked with, made once of what the configuration says.
//!
//! What a public key can be used for follows from its kind, never from what a request says of it. Entry points:
//! [`Signer::of`], [`Signer::verify`].

use rustls_pki_types::pem::{PemObject, SectionKind};
use signatures::{Accepted, Algorithm, Algorithms, Claim, Key, KeyError, Refusal, Request, Rules};

use crate::SignerKey;

/// The kinds of public keys, each with what it can be used for. Of RSA, a signature that does not name its algorithm has
/// the first.
const KINDS: [&[Algorithm]; 3] = [
    &[Algorithm::Ed25519],
    &[Algorithm::EcdsaP256Sha256],
    &[Algorithm::RsaPssSha512, Algorithm::RsaV15Sha256],
];

/// A consumer that signs.
#[derive(Debug)]
pub(crate) struct Signer {
    /// Which one.
    pub(crate) consumer: u32,
    /// Its key, once for each algorithm of public keys. At least one.
    keys: Vec<Key>,
}

/// Why a key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// It is broken, or of a kind that is not known: nobody could use it. With what to do about it.
    Broken(&'static str),
    /// It is for algorithms or forms that these rules do not allow. Others may.
    NotAllowed,
}

impl Signer {
    /// The signer of a key under these rules.
    pub(crate) fn of(consumer: u32, key: &SignerKey, rules: &Rules) -> Result<Signer, Unusable> {
        let keys = match key {
            SignerKey::Secret(secret) => match Key::shared(secret, rules.algorithms) {
                Ok(key) => vec![key],
                Err(KeyError::NoAlgorithm) => Vec::new(),
                Err(KeyError::EmptySecret | KeyError::Malformed) => {
                    return Err(Unusable::Broken("the secret is empty: set the variable, or fill the file"));
                }
            },
            SignerKey::Public(pem) => public_keys(&content(pem.as_bytes())?, rules.algorithms)?,
        };
        let is_of_use = |key: &Key| {
            let allowed = || rules.algorithms.iter().filter(|algorithm| key.has(*algorithm));
            (rules.header_form && allowed().any(Algorithm::is_hmac))
                || (rules.message_form && allowed().any(is_of_messages))
        };
        let keys: Vec<Key> = keys.into_iter().filter(is_of_use).collect();
        if keys.is_empty() { Err(Unusable::NotAllowed) } else { Ok(Signer { consumer, keys }) }
    }

    /// Judges a signature that claims to be of this signer.
    pub(crate) fn verify(
        &self,
        claim: &Claim,
        request: &Request<'_>,
        rules: &Rules,
        now: u64,
    ) -> Result<Accepted, Refusal> {
        let mut judged = Err(Refusal::AlgorithmMismatch);
        for key in &self.keys {
            judged = claim.verify(key, request, rules, now);
            // It names another algorithm than that of this key. Nothing else is tried a second time.
            if judged != Err(Refusal::AlgorithmMismatch) {
                break;
            }
        }
        judged
    }
}

/// Whether HTTP Message Signatures have it (RFC 9421 §6.2.2).
fn is_of_messages(algorithm: Algorithm) -> bool {
    !algorithm.is_hmac() || algorithm == Algorithm::HmacSha256
}

/// The one public key of a file.
fn content(pem: &[u8]) -> Result<Vec<u8>, Unusable> {
    let mut found = None;
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(pem) {
        let Ok((kind, content)) = section else { return Err(Unusable::Broken("the file is no PEM")) };
        match kind {
            SectionKind::PublicKey if found.is_none() => found = Some(content),
            SectionKind::PublicKey => {
                return Err(Unusable::Broken("the file holds several keys: give each an id of its own"));
            }
            SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey => {
                return Err(Unusable::Broken(
                    "the file holds a private key, which only the client should have: `openssl pkey -in key.pem -pubout` prints the public one",
                ));
            }
            SectionKind::Certificate => {
                return Err(Unusable::Broken(
                    "the file holds a certificate: `openssl x509 -in certificate.pem -noout -pubkey` prints its key",
                ));
            }
            _ => {}
        }
    }
    found.ok_or(Unusable::Broken("the file holds no `-----BEGIN PUBLIC KEY-----`"))
}

/// The key for each of its algorithms that is allowed.
fn public_keys(der: &[u8], allowed: Algorithms) -> Result<Vec<Key>, Unusable> {
    for kind in KINDS {
        let keys: Result<Vec<_>, _> =
            kind.iter().map(|algorithm| Key::public(*algorithm, der).map(|key| (*algorithm, key))).collect();
        if let Ok(keys) = keys {
            return Ok(keys.into_iter().filter(|(of, _)| allowed.has(*of)).map(|(_, key)| key).collect());
        }
    }
    Err(Unusable::Broken("use a key of Ed25519, of P-256, or of RSA with 2048 to 8192 bits"))
}
