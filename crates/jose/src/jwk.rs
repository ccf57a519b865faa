//! JSON Web Keys (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2): what the members of one say.
//!
//! It must not know key sets, and it does not read what is private. Entry points: [`material_of`], [`id_of`].

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::algorithm::{Algorithm, Algorithms};
use crate::key::KeyError;
use crate::material::{Curve, Material};

/// The key itself, and the algorithms that it allows.
pub(crate) fn material_of(jwk: &Map<String, Value>) -> Result<(Material, Algorithms), KeyError> {
    check_purpose(jwk)?;
    let wanted = match text(jwk, "alg")? {
        None => Algorithms::ALL,
        Some(name) => Algorithm::parse(name).into_iter().collect(),
    };
    if wanted.is_empty() {
        return Err(KeyError::Algorithm);
    }
    let material = match text(jwk, "kty")?.ok_or(KeyError::Member("kty"))? {
        "oct" => Material::Secret(bytes(jwk, "k")?),
        "RSA" => Material::Rsa { modulus: number(jwk, "n")?, exponent: number(jwk, "e")? },
        "EC" => {
            let name = text(jwk, "crv")?.ok_or(KeyError::Member("crv"))?;
            let curve = Curve::parse(name).ok_or(KeyError::Curve)?;
            let mut point = vec![4];
            for name in ["x", "y"] {
                // RFC 7518 §6.2.1.2: leading zeros belong to it.
                let coordinate = bytes(jwk, name)?;
                if coordinate.len() != curve.coordinate() {
                    return Err(KeyError::Member(name));
                }
                point.extend_from_slice(&coordinate);
            }
            Material::Ec { curve, point }
        }
        "OKP" => {
            let curve = text(jwk, "crv")?.ok_or(KeyError::Member("crv"))?;
            if curve != "Ed25519" {
                return Err(KeyError::Curve);
            }
            let public = bytes(jwk, "x")?;
            Material::Ed25519(public.as_slice().try_into().map_err(|_| KeyError::Member("x"))?)
        }
        _ => return Err(KeyError::Kind),
    };
    Ok((material, wanted))
}

/// Its `kid`, if there is one.
pub(crate) fn id_of(jwk: &Map<String, Value>) -> Result<Option<Box<str>>, KeyError> {
    Ok(text(jwk, "kid")?.map(Into::into))
}

/// Whether it is a shared secret.
pub(crate) fn is_secret(jwk: &Map<String, Value>) -> bool {
    jwk.get("kty").is_some_and(|kind| kind == "oct")
}

/// RFC 7517 §4.2 and §4.3: who says what a key is for excludes the rest.
fn check_purpose(jwk: &Map<String, Value>) -> Result<(), KeyError> {
    if text(jwk, "use")?.is_some_and(|purpose| purpose != "sig") {
        return Err(KeyError::Use);
    }
    match jwk.get("key_ops") {
        None => Ok(()),
        Some(Value::Array(operations)) if operations.iter().any(|operation| operation == "verify") => Ok(()),
        Some(Value::Array(_)) => Err(KeyError::Use),
        Some(_) => Err(KeyError::Member("key_ops")),
    }
}

fn text<'j>(jwk: &'j Map<String, Value>, name: &'static str) -> Result<Option<&'j str>, KeyError> {
    match jwk.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(KeyError::Member(name)),
    }
}

fn bytes(jwk: &Map<String, Value>, name: &'static str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let text = text(jwk, name)?.ok_or(KeyError::Member(name))?;
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| KeyError::Member(name))?;
    Ok(Zeroizing::new(bytes))
}

/// A positive number. RFC 7518 §6.3.1.1 forbids leading zeros, and knows that there are writers that add one.
fn number(jwk: &Map<String, Value>, name: &'static str) -> Result<Vec<u8>, KeyError> {
    let number: Vec<u8> = bytes(jwk, name)?.iter().copied().skip_while(|byte| *byte == 0).collect();
    if number.is_empty() { Err(KeyError::Member(name)) } else { Ok(number) }
}
