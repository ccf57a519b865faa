//! Bytes of any kind: nothing panics, and nothing that was not signed is taken.

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::*;
use crate::{Rules, verify, verify_signature};

fn all() -> KeySet {
    set([Algorithm::Hs256, Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa].map(key))
}

/// Pieces that headers and claims are made of, in any order.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("{"),
        Just("}"),
        Just("["),
        Just("]"),
        Just(":"),
        Just(","),
        Just("\""),
        Just("\\"),
        Just("\\u0061"),
        Just("\"alg\""),
        Just("\"HS256\""),
        Just("\"exp\""),
        Just("\"nbf\""),
        Just("\"aud\""),
        Just("\"crit\""),
        Just("1e999"),
        Just("-1"),
        Just("1"),
        Just("null"),
        Just("\u{0}"),
        Just("\u{10ffff}"),
        Just(" "),
    ];
    vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// Values of claims, of the right type or not.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<u64>().prop_map(|number| number.to_string()),
        any::<f64>()
            .prop_filter("JSON has no others", |number| number.is_finite())
            .prop_map(|n| format!("{n:e}")),
        "[ -!#-\\[\\]-~]{0,8}".prop_map(|text| format!("\"{text}\"")),
        Just("null".to_owned()),
        Just("[]".to_owned()),
        Just("{}".to_owned()),
        Just("[\"a\"]".to_owned()),
    ]
}

proptest! {
    #[test]
    fn any_bytes_are_refused(bytes in vec(any::<u8>(), 0..600)) {
        prop_assert!(verify(&bytes, &all(), &Rules::default(), NOW).is_err());
        prop_assert!(Key::from_pem(&bytes).is_err());
        prop_assert!(KeySet::from_jwks(&bytes).is_err());
        prop_assert!(Key::from_pem(public_pem(&bytes).as_bytes()).is_err());
        let certificate = public_pem(&bytes).replace("PUBLIC KEY", "CERTIFICATE");
        prop_assert!(Key::from_pem(certificate.as_bytes()).is_err());
    }

    #[test]
    fn any_parts_are_refused(header in pieces(), payload in pieces(), signature in vec(any::<u8>(), 0..300)) {
        let token = jws(&header, &payload, |_| signature.clone());
        prop_assert!(verify(&token, &all(), &Rules::default(), NOW).is_err());
        let token = jws(r#"{"alg":"RS256"}"#, &payload, |_| signature.clone());
        prop_assert!(verify(&token, &all(), &Rules::default(), NOW).is_err());
    }

    /// With a right signature the claims are read: whatever they are, `exp` is kept to.
    #[test]
    fn any_claims_are_read_safely(
        exp in value(), nbf in value(), iat in value(), aud in value(), now in any::<u64>(), leeway in any::<u64>()
    ) {
        let payload = format!(r#"{{"exp":{exp},"nbf":{nbf},"iat":{iat},"aud":{aud}}}"#);
        let rules = Rules { leeway, max_age: Some(leeway), audiences: vec!["a".to_owned()], ..Rules::default() };
        if let Ok(token) = verify(&plain(&payload), &all(), &rules, now) {
            prop_assert!(token.expires.unwrap().saturating_add(leeway) > now);
        }
        let _ = verify(&plain(&payload), &all(), &Rules { leeway: 0, ..rules }, now);
    }

    #[test]
    fn any_payload_can_be_signed(payload in vec(any::<u8>(), 1..300)) {
        let signed = format!("{}.{}", encode(r#"{"alg":"EdDSA"}"#), encode(&payload));
        let token = format!("{signed}.{}", encode(sign(Algorithm::EdDsa, signed.as_bytes())));
        let read = verify_signature(token.as_bytes(), &all(), None, None).map(|signed| signed.payload);
        prop_assert_eq!(read, Ok(payload.clone()));
        let _ = verify(token.as_bytes(), &all(), &Rules::default(), NOW);
    }

    /// A changed byte anywhere spoils the token.
    #[test]
    fn no_byte_of_a_token_can_be_changed(at in any::<proptest::sample::Index>(), to in any::<u8>()) {
        let mut token = token(Algorithm::Es256, r#"{"alg":"ES256","typ":"JWT"}"#, r#"{"exp":9000000000}"#);
        let at = at.index(token.len());
        if token[at] != to {
            token[at] = to;
            prop_assert!(verify(&token, &all(), &Rules::default(), NOW).is_err());
        }
    }

    /// Keys whose encoding was changed somewhere are refused, or are keys.
    #[test]
    fn a_changed_key_does_no_harm(at in any::<proptest::sample::Index>(), to in any::<u8>(), which in 0..5_usize) {
        let algorithms = [Algorithm::Rs256, Algorithm::Es256, Algorithm::Es512, Algorithm::Es256K, Algorithm::EdDsa];
        let mut info = info(algorithms[which]);
        let at = at.index(info.len());
        info[at] = to;
        if let Ok(key) = Key::from_pem(public_pem(&info).as_bytes()) {
            let token = token(algorithms[which], &format!(r#"{{"alg":"{}"}}"#, algorithms[which]), "{}");
            let _ = verify_signature(&token, &set([key]), None, None);
        }
    }
}
