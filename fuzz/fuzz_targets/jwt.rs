//! Tokens: none is accepted that nobody with a key has signed, and of those that were, the ones that keep the rules.
//!
//! The first byte chooses the rules and who signs. The rest is a token as it comes over the wire, to which a signature
//! is added if it ends with a dot, or a line of JSON as header and JSON as payload. What the rules are is said here
//! once more, in few words.

#![no_main]

use std::sync::LazyLock;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use fuzz::Members;
use jose::{Algorithm, Algorithms, Key, KeySet, Rules, Token, verify, verify_signature};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};

/// A second before the tokens in RFC 7515 end.
const NOW: u64 = 1_300_819_379;
const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
/// The secret key of RFC 8037 §A.1.
const SEED: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
/// RFC 8037 §A.2, and RFC 7515 §A.2 and §A.3.
const PUBLIC: &str = concat!(
    r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"ed","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},"#,
    r#"{"kty":"RSA","kid":"rsa","e":"AQAB","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1"#,
    "Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUs",
    "LA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9",
    r#"iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"},{"kty":"EC","crv":"P-256","kid":"ec","#,
    r#""x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#
);
/// What the keys whose private half nobody has here have signed, in the RFC.
const CLAIMS: &str =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
const SIGNED: [(Algorithm, &str); 2] =
    [(Algorithm::Rs256, "eyJhbGciOiJSUzI1NiJ9"), (Algorithm::Es256, "eyJhbGciOiJFUzI1NiJ9")];

static KEYS: LazyLock<KeySet> = LazyLock::new(|| {
    let mut keys = KeySet::from_jwks(PUBLIC.as_bytes()).unwrap().keys.into_keys();
    keys.push(Key::from_secret(SECRET, Algorithms::ALL).unwrap().with_id("hs"));
    KeySet::from_keys(keys).unwrap()
});
static ED25519: LazyLock<Ed25519KeyPair> =
    LazyLock::new(|| Ed25519KeyPair::from_seed_unchecked(&decode(SEED).unwrap()).unwrap());

fuzz_target!(|bytes: &[u8]| {
    let Some((&flags, rest)) = bytes.split_first() else { return };
    let rules = rules(flags);
    let (token, expected) = match flags & 3 {
        0 => {
            let mut token = rest.to_vec();
            if let Some(signed) = rest.strip_suffix(b".") {
                token.extend_from_slice(encode(mac(hmac::HMAC_SHA256, SECRET, signed)).as_bytes());
            }
            check_signature(&token);
            let _ = verify(&token, &KEYS, &rules, NOW);
            return;
        }
        way => {
            let mut lines = rest.splitn(2, |&byte| byte == b'\n');
            let (Some(header), Some(payload)) = (lines.next(), lines.next()) else { return };
            let signed = format!("{}.{}", encode(header), encode(payload));
            let (signature, algorithm) = match way {
                1 => (mac(hmac::HMAC_SHA256, SECRET, signed.as_bytes()), Some(Algorithm::Hs256)),
                2 => (ED25519.sign(signed.as_bytes()).as_ref().to_vec(), Some(Algorithm::EdDsa)),
                // Everybody knows the public key, and none may be taken for a secret (RFC 8725 §2.1).
                _ => (mac(hmac::HMAC_SHA256, PUBLIC.as_bytes(), signed.as_bytes()), None),
            };
            let expected = algorithm
                .filter(|algorithm| header_holds(header, *algorithm, &rules))
                .and_then(|_| claims_hold(payload, &rules));
            (format!("{signed}.{}", encode(signature)).into_bytes(), expected)
        }
    };
    check_signature(&token);
    let token = verify(&token, &KEYS, &rules, NOW);
    match (&token, &expected) {
        (Ok(Token { claims, expires, .. }), Some(expected)) => {
            assert_eq!(claims, expected);
            assert_eq!(*expires, seconds(expected, "exp").flatten().map(|at| at.floor() as u64));
        }
        (Err(_), None) => {}
        _ => panic!("{token:?}, and expected was {expected:?}"),
    }
});

/// Each rule is there or not, by a bit.
fn rules(flags: u8) -> Rules {
    let bit = |at: u8| flags >> at & 1 != 0;
    let some = |is: bool, text: &str| if is { vec![text.to_owned()] } else { Vec::new() };
    Rules {
        issuers: some(bit(2), "joe"),
        audiences: some(bit(3), "api"),
        leeway: if bit(4) { 10 } else { 0 },
        required: some(bit(4), "sub"),
        algorithms: None,
        typ: bit(5).then(|| "at+jwt".to_owned()),
        max_age: bit(6).then_some(100),
        require_exp: !bit(7),
    }
}

/// Whatever a token looks like: if it is taken for genuine, somebody who has a key has signed all of it.
fn check_signature(token: &[u8]) {
    let Ok(found) = verify_signature(token, &KEYS, None, None) else { return };
    let text = str::from_utf8(token).unwrap();
    let (signed, signature) = text.rsplit_once('.').unwrap();
    let (header, payload) = signed.split_once('.').unwrap();
    let signature = decode(signature).unwrap();
    match found.algorithm {
        Algorithm::Hs256 => assert_eq!(signature, mac(hmac::HMAC_SHA256, SECRET, signed.as_bytes())),
        Algorithm::EdDsa => assert_eq!(signature, ED25519.sign(signed.as_bytes()).as_ref()),
        algorithm => assert!(
            payload == CLAIMS && SIGNED.contains(&(algorithm, header)),
            "nobody has signed {text} by {algorithm}"
        ),
    }
    assert_eq!(Some(found.payload), decode(payload));
    let members: Members = serde_json::from_slice(&decode(header).unwrap()).unwrap();
    assert_eq!(members.unique().as_ref(), Some(&found.header), "a member of the header is not what it seems");
    assert!(!found.header.contains_key("crit"));
    let name = found.header["alg"].as_str().unwrap();
    assert!(name == found.algorithm.as_str() || (name, found.algorithm) == ("Ed25519", Algorithm::EdDsa));
}

/// Whether a header names the algorithm and asks for nothing that is not done (RFC 7515 §4).
fn header_holds(json: &[u8], algorithm: Algorithm, rules: &Rules) -> bool {
    let Some(header) = object(json) else { return false };
    let (name, other, key) = match algorithm {
        Algorithm::Hs256 => ("HS256", "HS256", "hs"),
        _ => ("EdDSA", "Ed25519", "ed"),
    };
    let is = |member: &str, values: &[&str]| {
        header.get(member).is_some_and(|value| values.iter().any(|one| value == one))
    };
    let has = |member: &str| header.contains_key(member);
    let typ = header.get("typ").map_or(Some(""), Value::as_str);
    let typ_holds = typ.is_some_and(|typ| {
        let typ = typ.to_ascii_lowercase();
        rules.typ.is_none() || typ == "at+jwt" || typ == "application/at+jwt"
    });
    is("alg", &[name, other])
        && (!has("kid") || is("kid", &[key]))
        && typ_holds
        && !["crit", "b64", "enc", "zip"].into_iter().any(has)
}

/// The claims, if they keep the rules (RFC 7519 §4.1).
fn claims_hold(json: &[u8], rules: &Rules) -> Option<Map<String, Value>> {
    let claims = object(json)?;
    let text = |name: &str| claims.get(name).is_none_or(Value::is_string);
    let audiences: Option<Vec<&str>> = match claims.get("aud") {
        None => Some(Vec::new()),
        Some(Value::Array(list)) => list.iter().map(Value::as_str).collect(),
        Some(one) => one.as_str().map(|one| vec![one]),
    };
    let (now, leeway) = (NOW as f64, rules.leeway as f64);
    let (expires, begins, issued) =
        (seconds(&claims, "exp")?, seconds(&claims, "nbf")?, seconds(&claims, "iat")?);
    let holds = ["iss", "sub", "jti"].into_iter().all(text)
        && rules.required.iter().all(|name| claims.get(name).is_some_and(|value| !value.is_null()))
        && expires.map_or(!rules.require_exp, |at| now < at.floor() + leeway)
        && begins.is_none_or(|at| at.ceil() <= now + leeway)
        && rules.max_age.is_none_or(|age| {
            issued.is_some_and(|at| at.floor() <= now + leeway && now <= at.floor() + age as f64 + leeway)
        })
        && (rules.issuers.is_empty() || claims.get("iss").is_some_and(|iss| iss == "joe"))
        && (rules.audiences.is_empty() || audiences.as_ref()?.contains(&"api"));
    audiences.filter(|_| holds)?;
    Some(claims)
}

/// A time that is missing or makes sense; `None` for one that does not.
fn seconds(claims: &Map<String, Value>, name: &str) -> Option<Option<f64>> {
    const LATEST: u64 = 1 << 53;
    match claims.get(name) {
        None => Some(None),
        Some(Value::Number(number)) if number.as_u64().is_none_or(|whole| whole <= LATEST) => {
            number.as_f64().filter(|at| *at >= 0.0 && *at <= LATEST as f64).map(Some)
        }
        Some(_) => None,
    }
}

fn object(json: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice::<Members>(json).ok()?.unique()
}

fn mac(algorithm: hmac::Algorithm, secret: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(algorithm, secret), message).as_ref().to_vec()
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// Only if there is no other way to write the same.
fn decode(text: &str) -> Option<Vec<u8>> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
    (encode(&bytes) == text).then_some(bytes)
}
