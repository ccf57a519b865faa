//! Keys: none is taken that is too weak or no public one, each is the key that was written, and one that is bad spoils
//! no other.
//!
//! The bytes are a key set, a key in PEM, and a text that is put around one.

#![no_main]

use aws_lc_rs::digest;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jose::{Family, Key, KeyError, KeySet, Loaded, MAX_JWKS_BYTES, MAX_KEYS, SetError};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};

/// The key that stands behind those of the input (RFC 8037 §A.2).
const GOOD: &str =
    r#"{"kty":"OKP","crv":"Ed25519","kid":"good","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

fuzz_target!(|bytes: &[u8]| {
    check_set(bytes);
    check_pem(bytes);
});

fn check_set(bytes: &[u8]) {
    let (public, secret) = (KeySet::from_jwks(bytes), KeySet::from_secret_jwks(bytes));
    let set = serde_json::from_slice::<Value>(bytes).ok();
    let Some(listed) = set.as_ref().and_then(|set| set.get("keys")?.as_array()) else {
        assert!(matches!((public, secret), (Err(SetError::NotKeys), Err(SetError::NotKeys))));
        return;
    };
    if listed.len() > MAX_KEYS || bytes.len() > MAX_JWKS_BYTES {
        assert!(public.is_err() && secret.is_err());
        return;
    }
    let is_secret = |key: &Key| key.family() == Family::Oct;
    let of_secret = check_loaded(listed, secret);
    let of_public = check_loaded(listed, public);
    assert!(!of_public.iter().any(is_secret), "a secret that was published");
    let others = of_secret.iter().filter(|key| !is_secret(key)).map(Key::thumbprint);
    assert!(others.eq(of_public.iter().map(Key::thumbprint)), "secrets change what else is taken");

    if listed.len() < MAX_KEYS {
        let mut more = listed.clone();
        more.push(serde_json::from_str(GOOD).unwrap());
        let more = Value::Object(Map::from_iter([("keys".to_owned(), Value::Array(more))])).to_string();
        let last = KeySet::from_jwks(more.as_bytes()).map(|loaded| loaded.keys.into_keys().pop());
        assert_eq!(last.unwrap().unwrap().id(), Some("good"), "a key spoils another one");
    }
}

/// What holds for every set that was read. Returns its keys.
fn check_loaded(listed: &[Value], loaded: Result<Loaded, SetError>) -> Vec<Key> {
    let (keys, skipped) = match loaded {
        Ok(Loaded { keys, skipped }) => (keys.into_keys(), skipped),
        Err(SetError::NoKey(skipped)) => (Vec::new(), skipped),
        Err(other) => panic!("{other}"),
    };
    assert_eq!(keys.len() + skipped.len(), listed.len(), "a key is neither taken nor told of");
    let taken = listed.iter().enumerate().filter(|(at, _)| !skipped.iter().any(|one| one.index == *at));
    for (key, (_, jwk)) in keys.iter().zip(taken) {
        let jwk = jwk.as_object().unwrap();
        check_key(key);
        assert_eq!(Some(*key.thumbprint()), thumbprint(jwk), "another key than {jwk:?}");
        assert_eq!(key.id(), jwk.get("kid").and_then(Value::as_str));
        assert!(jwk.get("alg").is_none_or(|name| {
            let name = if name == "Ed25519" { "EdDSA" } else { name.as_str().unwrap() };
            key.algorithms().iter().all(|algorithm| algorithm.as_str() == name)
        }));
        assert!(jwk.get("use").is_none_or(|purpose| purpose == "sig"));
    }
    keys
}

/// What holds for every key.
fn check_key(key: &Key) {
    assert!(!key.algorithms().is_empty());
    assert!(key.algorithms().iter().all(|algorithm| algorithm.family() == key.family()));
}

/// The SHA-256 of the members that make the key, in order (RFC 7638 §3).
fn thumbprint(jwk: &Map<String, Value>) -> Option<[u8; 32]> {
    let member = |name: &str| jwk.get(name)?.as_str();
    // There are writers that add a zero in front.
    let number = |name: &str| {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(member(name)?).ok()?;
        let first = bytes.iter().position(|&byte| byte != 0)?;
        Some(BASE64_URL_SAFE_NO_PAD.encode(&bytes[first..]))
    };
    let text = match member("kty")? {
        "oct" => format!(r#"{{"k":"{}","kty":"oct"}}"#, member("k")?),
        "OKP" => format!(r#"{{"crv":"{}","kty":"OKP","x":"{}"}}"#, member("crv")?, member("x")?),
        "EC" => {
            format!(
                r#"{{"crv":"{}","kty":"EC","x":"{}","y":"{}"}}"#,
                member("crv")?,
                member("x")?,
                member("y")?
            )
        }
        "RSA" => {
            let (n, e) = (number("n")?, number("e")?);
            let bits = BASE64_URL_SAFE_NO_PAD.decode(&n).ok()?.len() * 8;
            assert!(bits >= 2048, "a short key was taken");
            format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#)
        }
        _ => return None,
    };
    digest::digest(&digest::SHA256, text.as_bytes()).as_ref().try_into().ok()
}

/// What stands around a key in PEM does not matter, and a private one is never taken.
fn check_pem(bytes: &[u8]) {
    let read = |text: &[u8]| Key::from_pem(text).map(|key| (*key.thumbprint(), key.algorithms()));
    let key = read(bytes);
    if let Ok(loaded) = Key::from_pem(bytes) {
        check_key(&loaded);
        assert_ne!(loaded.family(), Family::Oct);
        assert_eq!(loaded.id(), None);
    }
    if key != Err(KeyError::NoPem) {
        let around = [b"subject=/CN=a\n\n", bytes, b"\nend\n"].concat();
        assert_eq!(read(&around), key, "a text around it changes the key");
    }
}
