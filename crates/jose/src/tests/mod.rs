//! Tests over the whole of the crate, and what they share: keys that can sign.
//!
//! The keys are made anew for each run, so that no private key lies in the repository.

mod algorithms;
mod attacks;
mod claims;
mod hostile;
mod keys;
mod pem;
mod rfc;

use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaEncoding};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};

use crate::{Algorithm, Algorithms, Key, KeySet};

/// Of the examples of RFC 7515: 2011-03-22T18:43:00Z.
const RFC_EXP: u64 = 1_300_819_380;

/// A time for tokens that are made here.
const NOW: u64 = 2_000_000_000;

/// Long enough for each HMAC algorithm.
const SECRET: &[u8; 64] = b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

struct Keys {
    rsa: RsaKeyPair,
    es256: EcdsaKeyPair,
    es384: EcdsaKeyPair,
    es512: EcdsaKeyPair,
    es256k: EcdsaKeyPair,
    ed25519: Ed25519KeyPair,
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys {
    rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
    es256: EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
    es384: EcdsaKeyPair::generate(&signature::ECDSA_P384_SHA384_FIXED_SIGNING).unwrap(),
    es512: EcdsaKeyPair::generate(&signature::ECDSA_P521_SHA512_FIXED_SIGNING).unwrap(),
    es256k: EcdsaKeyPair::generate(&signature::ECDSA_P256K1_SHA256_FIXED_SIGNING).unwrap(),
    ed25519: Ed25519KeyPair::generate().unwrap(),
});

/// Signs with our key for the algorithm.
fn sign(algorithm: Algorithm, message: &[u8]) -> Vec<u8> {
    let rsa = |encoding: &'static dyn RsaEncoding| {
        let mut out = vec![0; KEYS.rsa.public_modulus_len()];
        KEYS.rsa.sign(encoding, &SystemRandom::new(), message, &mut out).unwrap();
        out
    };
    let ec = |key: &EcdsaKeyPair| key.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec();
    match algorithm {
        Algorithm::Hs256 => mac(hmac::HMAC_SHA256, SECRET, message),
        Algorithm::Hs384 => mac(hmac::HMAC_SHA384, SECRET, message),
        Algorithm::Hs512 => mac(hmac::HMAC_SHA512, SECRET, message),
        Algorithm::Rs256 => rsa(&signature::RSA_PKCS1_SHA256),
        Algorithm::Rs384 => rsa(&signature::RSA_PKCS1_SHA384),
        Algorithm::Rs512 => rsa(&signature::RSA_PKCS1_SHA512),
        Algorithm::Ps256 => rsa(&signature::RSA_PSS_SHA256),
        Algorithm::Ps384 => rsa(&signature::RSA_PSS_SHA384),
        Algorithm::Ps512 => rsa(&signature::RSA_PSS_SHA512),
        Algorithm::Es256 => ec(&KEYS.es256),
        Algorithm::Es384 => ec(&KEYS.es384),
        Algorithm::Es512 => ec(&KEYS.es512),
        Algorithm::Es256K => ec(&KEYS.es256k),
        Algorithm::EdDsa => KEYS.ed25519.sign(message).as_ref().to_vec(),
    }
}

fn mac(algorithm: hmac::Algorithm, secret: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(algorithm, secret), message).as_ref().to_vec()
}

/// The `SubjectPublicKeyInfo` of our key for the algorithm.
fn info(algorithm: Algorithm) -> Vec<u8> {
    fn der(key: &impl AsDer<PublicKeyX509Der<'static>>) -> Vec<u8> {
        key.as_der().unwrap().as_ref().to_vec()
    }
    match algorithm {
        Algorithm::Es256 => der(KEYS.es256.public_key()),
        Algorithm::Es384 => der(KEYS.es384.public_key()),
        Algorithm::Es512 => der(KEYS.es512.public_key()),
        Algorithm::Es256K => der(KEYS.es256k.public_key()),
        Algorithm::EdDsa => der(KEYS.ed25519.public_key()),
        _ => der(KEYS.rsa.public_key()),
    }
}

fn public_pem(info: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(info);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
}

/// Our key for the algorithm, for whatever else it is fit for, too.
fn key(algorithm: Algorithm) -> Key {
    match algorithm {
        Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => {
            Key::from_secret(SECRET, Algorithms::ALL).unwrap()
        }
        _ => Key::from_pem(public_pem(&info(algorithm)).as_bytes()).unwrap(),
    }
}

fn set(keys: impl IntoIterator<Item = Key>) -> KeySet {
    KeySet::from_keys(keys.into_iter().collect()).unwrap()
}

fn jwk(json: &str) -> Key {
    Key::from_jwk(serde_json::from_str::<serde_json::Value>(json).unwrap().as_object().unwrap()).unwrap()
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// A token, signed with whatever is given.
fn jws(header: &str, payload: &str, sign: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let signed = format!("{}.{}", encode(header), encode(payload));
    let signature = encode(sign(signed.as_bytes()));
    format!("{signed}.{signature}").into_bytes()
}

/// A token with our key for the algorithm.
fn token(algorithm: Algorithm, header: &str, payload: &str) -> Vec<u8> {
    jws(header, payload, |message| sign(algorithm, message))
}

/// A token with nothing unusual in its header, HS256.
fn plain(payload: &str) -> Vec<u8> {
    token(Algorithm::Hs256, r#"{"alg":"HS256"}"#, payload)
}
