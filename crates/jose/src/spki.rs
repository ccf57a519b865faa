//! Public keys from PEM: `SubjectPublicKeyInfo`, by itself or in a certificate (RFC 5280 §4.1).
//!
//! It must not know what a key is used for, and it judges no certificate. Entry point: [`material_of_pem`].

use rustls_pki_types::pem::{PemObject, SectionKind};

use crate::der::{self, BIT_STRING, OID, SEQUENCE};
use crate::key::KeyError;
use crate::material::{Curve, Material};

/// 1.2.840.113549.1.1.1 (RFC 8017 §A.1).
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
/// 1.2.840.10045.2.1 (RFC 5480 §2.1.1).
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
/// 1.3.101.112 (RFC 8410 §3).
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
/// 1.2.840.10045.3.1.7, 1.3.132.0.34, 1.3.132.0.35 (RFC 5480 §2.1.1.1), 1.3.132.0.10 (SEC 2 §A.2.1).
const CURVES: [(&[u8], Curve); 4] = [
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07], Curve::P256),
    (&[0x2b, 0x81, 0x04, 0x00, 0x22], Curve::P384),
    (&[0x2b, 0x81, 0x04, 0x00, 0x23], Curve::P521),
    (&[0x2b, 0x81, 0x04, 0x00, 0x0a], Curve::Secp256K1),
];

/// The key of the one public key, or of the first of the certificates, in the text.
pub(crate) fn material_of_pem(pem: &[u8]) -> Result<Material, KeyError> {
    let mut first = None;
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(pem) {
        let (kind, content) = section.map_err(|_| KeyError::NoPem)?;
        match (kind, &first) {
            (SectionKind::RsaPrivateKey | SectionKind::PrivateKey | SectionKind::EcPrivateKey, _) => {
                return Err(KeyError::Private);
            }
            (SectionKind::PublicKey | SectionKind::Certificate, None) => first = Some((kind, content)),
            // A certificate comes with those of its issuers.
            (SectionKind::Certificate, Some((SectionKind::Certificate, _))) => {}
            (SectionKind::PublicKey | SectionKind::Certificate, Some(_)) => {
                return Err(KeyError::SeveralKeys);
            }
            _ => {}
        }
    }
    match first {
        Some((SectionKind::PublicKey, info)) => material_of_info(&info),
        Some((_, certificate)) => material_of_info(info_of(&certificate).ok_or(KeyError::Structure)?),
        None => Err(KeyError::NoPem),
    }
}

/// The `SubjectPublicKeyInfo` of a `Certificate`.
fn info_of(certificate: &[u8]) -> Option<&[u8]> {
    let (signed, _) = whole(certificate, SEQUENCE).and_then(|content| der::take(content, SEQUENCE))?;
    // The version is absent from certificates of version 1.
    let mut rest = der::take(signed, 0xa0).map_or(signed, |(_, rest)| rest);
    // The serial number, signature algorithm, issuer, term and subject.
    for tag in [der::INTEGER, SEQUENCE, SEQUENCE, SEQUENCE, SEQUENCE] {
        rest = der::take(rest, tag)?.1;
    }
    let (_, after) = der::take(rest, SEQUENCE)?;
    rest.get(..rest.len() - after.len())
}

fn material_of_info(info: &[u8]) -> Result<Material, KeyError> {
    let (kind, parameters, key) = parts_of(info).ok_or(KeyError::Structure)?;
    if kind == RSA {
        let numbers = whole(key, SEQUENCE).and_then(der::take_positive);
        let (modulus, rest) = numbers.ok_or(KeyError::Structure)?;
        let (exponent, rest) = der::take_positive(rest).ok_or(KeyError::Structure)?;
        // RFC 3279 §2.3.1 demands NULL, and some leave it away.
        if !rest.is_empty() || !matches!(parameters, [] | [5, 0]) {
            return Err(KeyError::Structure);
        }
        return Ok(Material::Rsa { modulus: modulus.to_vec(), exponent: exponent.to_vec() });
    }
    if kind == EC {
        let oid = whole(parameters, OID).ok_or(KeyError::Curve)?;
        let (_, curve) = CURVES.into_iter().find(|(of, _)| *of == oid).ok_or(KeyError::Curve)?;
        if key.first() != Some(&4) || key.len() != 1 + 2 * curve.coordinate() {
            return Err(KeyError::Kind);
        }
        return Ok(Material::Ec { curve, point: key.to_vec() });
    }
    if kind == ED25519 {
        let key = key.try_into().map_err(|_| KeyError::Structure)?;
        return if parameters.is_empty() { Ok(Material::Ed25519(key)) } else { Err(KeyError::Structure) };
    }
    Err(KeyError::Kind)
}

/// The algorithm, its parameters, and the key itself.
fn parts_of(info: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (algorithm, rest) = der::take(whole(info, SEQUENCE)?, SEQUENCE)?;
    let (kind, parameters) = der::take(algorithm, OID)?;
    // The first byte of a BIT STRING says how many bits of the last one do not count.
    let key = whole(rest, BIT_STRING)?.strip_prefix(&[0])?;
    Some((kind, parameters, key))
}

/// The content of the only element.
fn whole(input: &[u8], tag: u8) -> Option<&[u8]> {
    der::take(input, tag).filter(|(_, rest)| rest.is_empty()).map(|(content, _)| content)
}
