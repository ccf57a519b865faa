//! What can be a key, and what can be a set of them.

use super::*;
use crate::{Family, KeyError, MAX_JWKS_BYTES, MAX_KEYS, SetError, Skipped};

fn of_pem(pem: &str) -> Result<Key, KeyError> {
    Key::from_pem(pem.as_bytes())
}

fn of_jwk(json: &str) -> Result<Key, KeyError> {
    let value: serde_json::Value = serde_json::from_str(json).unwrap();
    Key::from_jwk(value.as_object().unwrap())
}

/// A secret of so many bytes as a JWK, with more members.
fn oct(bytes: usize, members: &str) -> String {
    format!(r#"{{"kty":"oct","k":"{}"{members}}}"#, encode(vec![7; bytes]))
}

#[test]
fn keys_of_other_software_are_read() {
    for (pem, family, thumbprint) in [
        (pem::RSA, Family::Rsa, "oIuNex3jPEGetJHglS2uLwu5--SP1nxkQTArbslnl-A"),
        (pem::RSA_CERTIFICATE, Family::Rsa, "oIuNex3jPEGetJHglS2uLwu5--SP1nxkQTArbslnl-A"),
        (pem::P256, Family::Ec, "NUiMAhedXsMiFexy64K1R3lipHLz7BUnCng-gupK7nk"),
        (pem::P384, Family::Ec, "jsaB_MRWkmZ9IhA0qT3NGesz3ZrP5DTTh_P9dtycZ1c"),
        (pem::P521, Family::Ec, "MvwgVJkQ4TdrS6AN1uiR04Hu73wj9j7lTMaj_tGO8L8"),
        (pem::SECP256K1, Family::Ec, "HiDOrTJWCj-l0BMUdaiMz9mt0GorzAoBECY535lTzOA"),
        (pem::ED25519, Family::Okp, "ZET6TIDX8yr_hcmwR7V9rT_VJgDX7kuiKqDaKVVOhAw"),
        (pem::ED25519_CERTIFICATE, Family::Okp, "ZET6TIDX8yr_hcmwR7V9rT_VJgDX7kuiKqDaKVVOhAw"),
    ] {
        let key = of_pem(pem).unwrap();
        assert_eq!((key.family(), encode(key.thumbprint()).as_str(), key.id()), (family, thumbprint, None));
        assert_eq!(of_pem(&pem.replace('\n', "\r\n")).unwrap().thumbprint(), key.thumbprint());
    }
    let chain = [pem::RSA_CERTIFICATE, pem::ED25519_CERTIFICATE].concat();
    assert_eq!(of_pem(&chain).unwrap().family(), Family::Rsa, "the first certificate counts");
}

#[test]
fn what_is_no_usable_key_is_refused() {
    let private = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let marked = |info: &[u8]| public_pem(info);
    let mut trailing = info(Algorithm::Rs256);
    trailing.push(0);
    let short = &info(Algorithm::Rs256)[..200];
    let mut off_curve = info(Algorithm::Es256);
    *off_curve.last_mut().unwrap() ^= 1;
    for (pem, error) in [
        (String::new(), KeyError::NoPem),
        ("no key".to_owned(), KeyError::NoPem),
        (pem::RSA.replace("-----END PUBLIC KEY-----", ""), KeyError::NoPem),
        (pem::RSA.replacen('M', "!", 1), KeyError::NoPem),
        (pem::RSA_PKCS1.to_owned(), KeyError::NoPem),
        (private.to_owned(), KeyError::Private),
        ([pem::RSA, private].concat(), KeyError::Private),
        ([pem::RSA, pem::P256].concat(), KeyError::SeveralKeys),
        ([pem::RSA_CERTIFICATE, pem::RSA].concat(), KeyError::SeveralKeys),
        (pem::RSA_1024.to_owned(), KeyError::RsaTooShort { bits: 1024 }),
        (pem::P256_COMPRESSED.to_owned(), KeyError::Kind),
        (pem::ED448.to_owned(), KeyError::Kind),
        (marked(&trailing), KeyError::Structure),
        (marked(short), KeyError::Structure),
        (marked(&[0x30, 0]), KeyError::Structure),
        (marked(&off_curve), KeyError::Rejected),
        (pem::RSA_CERTIFICATE.replace("CERTIFICATE", "PUBLIC KEY"), KeyError::Structure),
        (pem::RSA.replace("PUBLIC KEY", "CERTIFICATE"), KeyError::Structure),
    ] {
        assert_eq!(of_pem(&pem).unwrap_err(), error, "{pem}");
    }
}

#[test]
fn a_key_is_the_same_however_it_is_written() {
    for (algorithm, kind) in
        [(Algorithm::Es384, "P-384"), (Algorithm::Es512, "P-521"), (Algorithm::Es256K, "secp256k1")]
    {
        let point = info(algorithm);
        let coordinate = match kind {
            "P-384" => 48,
            "P-521" => 66,
            _ => 32,
        };
        let (x, y) = point[point.len() - 2 * coordinate..].split_at(coordinate);
        let (x, y) = (encode(x), encode(y));
        let text = format!(r#"{{"kty":"EC","crv":"{kind}","x":"{x}","y":"{y}","use":"sig"}}"#);
        assert_eq!(jwk(&text).thumbprint(), key(algorithm).thumbprint());
        assert_eq!(jwk(&text).algorithms(), [algorithm].into_iter().collect());
    }
    // A zero before the modulus does not make it another key.
    let parts: serde_json::Value = serde_json::from_str(rfc::A2_KEY).unwrap();
    let modulus = BASE64_URL_SAFE_NO_PAD.decode(parts["n"].as_str().unwrap()).unwrap();
    let padded = format!(r#"{{"kty":"RSA","n":"{}","e":"AAEAAQ"}}"#, encode([&[0][..], &modulus].concat()));
    assert_eq!(jwk(&padded).thumbprint(), jwk(rfc::A2_KEY).thumbprint());
}

#[test]
fn members_of_a_jwk_say_what_it_is_for() {
    let sig = |members: &str| of_jwk(&oct(32, members)).map(|key| key.algorithms());
    let hs256 = Ok([Algorithm::Hs256].into_iter().collect());
    for (members, want) in [
        ("", hs256),
        (r#","use":"sig","alg":"HS256","key_ops":["sign","verify"],"ext":true"#, hs256),
        (r#","use":"enc""#, Err(KeyError::Use)),
        (r#","use":"""#, Err(KeyError::Use)),
        (r#","use":null"#, Err(KeyError::Member("use"))),
        (r#","key_ops":["sign"]"#, Err(KeyError::Use)),
        (r#","key_ops":[]"#, Err(KeyError::Use)),
        (r#","key_ops":"verify""#, Err(KeyError::Member("key_ops"))),
        (r#","alg":"none""#, Err(KeyError::Algorithm)),
        (r#","alg":"A256GCM""#, Err(KeyError::Algorithm)),
        (r#","alg":"RS256""#, Err(KeyError::Algorithm)),
        (r#","alg":256"#, Err(KeyError::Member("alg"))),
        (r#","alg":"HS512""#, Err(KeyError::SecretTooShort { bytes: 32, needed: 64 })),
        (r#","kid":7"#, Err(KeyError::Member("kid"))),
    ] {
        assert_eq!(sig(members), want, "{members}");
    }
    let with = |from: &str, to: &str| of_jwk(&rfc::A3_KEY.replace(from, to)).unwrap_err();
    assert_eq!(with("P-256", "P-224"), KeyError::Curve);
    assert_eq!(with("P-256", "P-384"), KeyError::Member("x"));
    assert_eq!(with("\"EC\"", "\"ec\""), KeyError::Kind);
    assert_eq!(with("\"kty\"", "\"KTY\""), KeyError::Member("kty"));
    assert_eq!(with("f83O", "f83P"), KeyError::Rejected, "the point is not on the curve");
    assert_eq!(with("\"x\"", "\"z\""), KeyError::Member("x"));
    assert_eq!(with("x_FEzRu9", "x+FEzRu9"), KeyError::Member("y"));
    assert_eq!(with("\"EC\"", "\"EC\",\"alg\":\"ES384\""), KeyError::Algorithm);
    let okp = |from: &str, to: &str| of_jwk(&rfc::ED25519_KEY.replace(from, to)).unwrap_err();
    assert_eq!(okp("Ed25519", "X25519"), KeyError::Curve);
    assert_eq!(okp("11qY", ""), KeyError::Member("x"));
    let rsa = |from: &str, to: &str| of_jwk(&rfc::A2_KEY.replace(from, to)).map(|key| key.algorithms());
    assert_eq!(rsa("AQAB", "AQAA"), Err(KeyError::Rejected), "an even exponent");
    assert_eq!(rsa("AQAB", "AQ"), Err(KeyError::Rejected), "an exponent of 1");
    assert_eq!(rsa("AQAB", ""), Err(KeyError::Member("e")));
    assert_eq!(rsa("AQAB", "AAAA"), Err(KeyError::Member("e")));
    assert_eq!(rsa("ofgWCuLj", ""), Err(KeyError::RsaTooShort { bits: 2000 }));
    assert_eq!(rsa(r#""e":"#, r#""alg":"PS384","e":"#), Ok([Algorithm::Ps384].into_iter().collect()));
}

#[test]
fn a_secret_is_as_long_as_its_hash_and_no_public_key() {
    let of = |algorithms: &[Algorithm]| algorithms.iter().copied().collect::<Algorithms>();
    let made = |bytes: usize, wanted: Algorithms| {
        Key::from_secret(&vec![1; bytes], wanted).map(|key| key.algorithms())
    };
    let short = |bytes: usize, needed: u32| Err(KeyError::SecretTooShort { bytes: bytes as u32, needed });
    for (bytes, wanted, want) in [
        (0, Algorithms::ALL, short(0, 32)),
        (31, Algorithms::ALL, short(31, 32)),
        (32, Algorithms::ALL, Ok(of(&[Algorithm::Hs256]))),
        (47, of(&[Algorithm::Hs384, Algorithm::Hs512]), short(47, 48)),
        (48, Algorithms::ALL, Ok(of(&[Algorithm::Hs256, Algorithm::Hs384]))),
        (63, of(&[Algorithm::Hs512]), short(63, 64)),
        (64, Algorithms::ALL, Ok(of(&[Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512]))),
        (64, of(&[Algorithm::Hs512, Algorithm::Rs256]), Ok(of(&[Algorithm::Hs512]))),
        (64, of(&[Algorithm::Rs256]), Err(KeyError::Algorithm)),
        (64, Algorithms::default(), Err(KeyError::Algorithm)),
    ] {
        assert_eq!(made(bytes, wanted), want, "{bytes} {wanted:?}");
    }
    for pem in [pem::RSA, pem::RSA_CERTIFICATE, pem::RSA_PKCS1, &format!("\r\n {}", pem::P256)] {
        assert_eq!(Key::from_secret(pem.as_bytes(), Algorithms::ALL).unwrap_err(), KeyError::PublicSecret);
    }
    let narrowed = |bytes: usize, wanted: &[Algorithm]| {
        let key = Key::from_secret(&vec![1; bytes], Algorithms::ALL).unwrap();
        key.narrowed(of(wanted)).map(|key| key.algorithms())
    };
    assert_eq!(narrowed(64, &[Algorithm::Hs384]), Ok(of(&[Algorithm::Hs384])));
    assert_eq!(narrowed(32, &[Algorithm::Hs512]), short(32, 64));
    assert_eq!(narrowed(64, &[Algorithm::Es256]), Err(KeyError::Algorithm));
    let rsa = key(Algorithm::Rs256).narrowed(of(&[Algorithm::Ps256, Algorithm::Hs256])).unwrap();
    assert_eq!(rsa.algorithms(), of(&[Algorithm::Ps256]));
    assert_eq!(key(Algorithm::Rs256).narrowed(of(&[Algorithm::Hs512])).unwrap_err(), KeyError::Algorithm);
}

#[test]
fn nothing_that_is_shown_has_a_secret_in_it() {
    let secret = b"a very secret secret of 32 bytes";
    let key = Key::from_secret(secret, Algorithms::ALL).unwrap().with_id("one");
    let thumbprint: String = key.thumbprint().iter().map(|byte| format!("{byte:02x}")).collect();
    let shown = [format!("{key:?}"), format!("{:#?}", set([key]))].concat();
    assert!(shown.contains("one") && shown.contains("Oct") && shown.contains("Hs256"), "{shown}");
    let listed = format!("{:?}", secret);
    for hidden in ["very secret", &encode(secret), &thumbprint, &listed[1..20], "6120"] {
        assert!(!shown.contains(hidden), "{hidden} in {shown}");
    }
    assert!(format!("{:?}", jwk(rfc::ED25519_KEY)).contains("thumbprint: \"90facafe"));
}

#[test]
fn one_bad_key_does_not_spoil_a_set() {
    let text = format!(
        r#"{{"other":1,"keys":[{},{},{},7,{{"kty":"X","kid":"new"}},{},{{"kid":5}}]}}"#,
        rfc::A3_KEY,
        oct(32, r#","kid":"secret""#),
        rfc::A2_KEY.replace(r#""e":"#, r#""use":"enc","kid":"rsa","e":"#),
        rfc::ED25519_KEY.replace("\"kty\"", "\"kid\":\"ed\",\"kty\"")
    );
    let skipped = |index: usize, key_id: Option<&str>, reason: KeyError| Skipped {
        index,
        key_id: key_id.map(str::to_owned),
        reason,
    };
    let loaded = KeySet::from_jwks(text.as_bytes()).unwrap();
    let ids: Vec<_> = loaded.keys.keys().iter().map(Key::id).collect();
    assert_eq!(ids, [None, Some("ed")]);
    let mut reasons = vec![
        skipped(1, Some("secret"), KeyError::SharedSecret),
        skipped(2, Some("rsa"), KeyError::Use),
        skipped(3, None, KeyError::Member("kty")),
        skipped(4, Some("new"), KeyError::Kind),
        skipped(6, None, KeyError::Member("kty")),
    ];
    assert_eq!(loaded.skipped, reasons);
    assert!(loaded.keys.contains(jwk(rfc::A3_KEY).thumbprint()));
    assert!(!loaded.keys.contains(jwk(rfc::A2_KEY).thumbprint()));
    assert_eq!(reasons[0].to_string(), "key 2 (\"secret\"): shared secrets are not taken from this key set");

    let loaded = KeySet::from_secret_jwks(text.as_bytes()).unwrap();
    assert_eq!(loaded.keys.keys().len(), 3);
    reasons.remove(0);
    assert_eq!(loaded.skipped, reasons);
}

#[test]
fn a_set_is_bounded_and_not_empty() {
    let of = |text: &str| KeySet::from_jwks(text.as_bytes()).map(|loaded| loaded.keys.keys().len());
    for text in ["", "[]", "{}", "{\"keys\":{}}", "{\"keys\":null}", "{\"keys\":[}", rfc::A3_KEY, "null"] {
        assert_eq!(of(text), Err(SetError::NotKeys), "{text}");
    }
    assert_eq!(of("{\"keys\":[]}"), Err(SetError::NoKey(Vec::new())));
    assert_eq!(KeySet::from_keys(Vec::new()).unwrap_err(), SetError::NoKey(Vec::new()));
    let only_secret = format!(r#"{{"keys":[{}]}}"#, oct(32, ""));
    let reason = Skipped { index: 0, key_id: None, reason: KeyError::SharedSecret };
    assert_eq!(of(&only_secret), Err(SetError::NoKey(vec![reason])));
    let many = |count: usize| format!(r#"{{"keys":[{}]}}"#, vec![rfc::ED25519_KEY; count].join(","));
    assert_eq!(of(&many(MAX_KEYS)), Ok(MAX_KEYS));
    assert_eq!(of(&many(MAX_KEYS + 1)), Err(SetError::TooMany));
    let keys = (0..=MAX_KEYS).map(|_| jwk(rfc::ED25519_KEY)).collect();
    assert_eq!(KeySet::from_keys(keys).unwrap_err(), SetError::TooMany);
    let filled = |length: usize| format!("{}{}", many(1), " ".repeat(length - many(1).len()));
    assert_eq!(of(&filled(MAX_JWKS_BYTES)), Ok(1));
    assert_eq!(of(&filled(MAX_JWKS_BYTES + 1)), Err(SetError::TooLong));
}
