//! What RFC 8725 §2 warns of, and what else has been done to verifiers. The forms of the cases follow those of
//! the JSON Web Signature vectors of Project Wycheproof; keys and tokens are made here.

use super::*;
use crate::{MAX_TOKEN_BYTES, MAX_TRIED_KEYS, Refusal, Rules, verify, verify_signature};

fn outcome(token: impl AsRef<[u8]>, keys: &KeySet) -> Result<(), Refusal> {
    let rules = Rules { require_exp: false, ..Rules::default() };
    verify(token.as_ref(), keys, &rules, NOW).map(|_| ())
}

fn hs256(secret: &[u8], header: &str) -> Vec<u8> {
    jws(header, "{}", |message| mac(hmac::HMAC_SHA256, secret, message))
}

#[test]
fn a_public_key_is_never_a_secret() {
    let pem = public_pem(&info(Algorithm::Rs256));
    let der = info(Algorithm::Rs256);
    let keys = set([key(Algorithm::Rs256).with_id("one")]);
    for secret in [pem.as_bytes(), pem.trim_end().as_bytes(), &der, b""] {
        let confused = hs256(secret, r#"{"alg":"HS256","kid":"one"}"#);
        assert_eq!(outcome(confused, &keys), Err(Refusal::Algorithm));
        assert_eq!(outcome(hs256(secret, r#"{"alg":"HS256"}"#), &keys), Err(Refusal::UnknownKey));
    }
    // Nor if there is a secret in the set, too.
    let keys = set([key(Algorithm::Rs256).with_id("one"), key(Algorithm::Hs256).with_id("two")]);
    let confused = hs256(pem.as_bytes(), r#"{"alg":"HS256","kid":"one"}"#);
    assert_eq!(outcome(confused, &keys), Err(Refusal::Algorithm));
    let confused = hs256(pem.as_bytes(), r#"{"alg":"HS256"}"#);
    assert_eq!(outcome(confused, &keys), Err(Refusal::BadSignature));
}

#[test]
fn there_is_no_algorithm_none() {
    let keys = set([key(Algorithm::Hs256)]);
    for name in ["none", "None", "NONE", "nOnE", "none ", "", "HS256\\u0000", "hs256", "Hs256"] {
        let header = format!(r#"{{"alg":"{name}"}}"#);
        for signature in [&b"x"[..], &[0; 32]] {
            assert_eq!(outcome(jws(&header, "{}", |_| signature.to_vec()), &keys), Err(Refusal::Algorithm));
        }
        let empty = Err(Refusal::Malformed("one of its three parts is empty"));
        assert_eq!(outcome(jws(&header, "{}", |_| Vec::new()), &keys), empty, "{name}");
        let signed = token(Algorithm::Hs256, &header, "{}");
        assert_eq!(outcome(signed, &keys), Err(Refusal::Algorithm), "{name}");
    }
}

#[test]
fn the_algorithm_is_a_string_that_is_there() {
    let keys = set([key(Algorithm::Hs256)]);
    let no_string = Refusal::Malformed("alg, kid or typ of the header is not a string");
    for (header, refusal) in [
        ("{}", Refusal::Malformed("the header has no alg")),
        (r#"{"ALG":"HS256"}"#, Refusal::Malformed("the header has no alg")),
        (r#"{"alg":null}"#, no_string.clone()),
        (r#"{"alg":["HS256"]}"#, no_string.clone()),
        (r#"{"alg":{"HS256":1}}"#, no_string.clone()),
        (r#"{"alg":256}"#, no_string.clone()),
        (r#"{"alg":"HS256","kid":1}"#, no_string.clone()),
        (r#"{"alg":"HS256","kid":null}"#, no_string.clone()),
        (r#"{"alg":"HS256","kid":["a"]}"#, no_string.clone()),
        (r#"{"alg":"HS256","typ":7}"#, no_string),
    ] {
        let expected = if header.contains("typ") { Some("jwt") } else { None };
        let token = token(Algorithm::Hs256, header, "{}");
        let refused = verify_signature(&token, &keys, None, expected).map(|_| ());
        assert_eq!(refused, Err(refusal.clone()), "{header}");
        assert_eq!(outcome(token, &keys), Err(refusal), "{header}");
    }
}

#[test]
fn what_changes_the_meaning_of_the_header_is_refused() {
    let keys = set([key(Algorithm::Hs256)]);
    for (members, refusal) in [
        (r#""crit":["exp"],"exp":1"#, Refusal::Critical),
        (r#""crit":["b64"],"b64":false"#, Refusal::Critical),
        (r#""crit":[]"#, Refusal::Critical),
        (r#""crit":null"#, Refusal::Critical),
        (r#""cri\u0074":["alg"]"#, Refusal::Critical),
        (r#""b64":false"#, Refusal::Unsupported("b64")),
        (r#""b64":true"#, Refusal::Unsupported("b64")),
        (r#""zip":"DEF""#, Refusal::Unsupported("zip")),
        (r#""enc":"A256GCM""#, Refusal::Unsupported("enc")),
        (r#""enc":null"#, Refusal::Unsupported("enc")),
    ] {
        let token = token(Algorithm::Hs256, &format!(r#"{{"alg":"HS256",{members}}}"#), "{}");
        assert_eq!(outcome(token, &keys), Err(refusal), "{members}");
    }
}

#[test]
fn a_key_that_the_token_brings_is_not_used() {
    let attacker = Ed25519KeyPair::generate().unwrap();
    let public = encode(attacker.public_key());
    let keys = set([key(Algorithm::EdDsa).with_id("one")]);
    for bring in [
        format!(r#""jwk":{{"kty":"OKP","crv":"Ed25519","x":"{public}","kid":"one"}}"#),
        r#""jku":"https://attacker.example/jwks.json""#.to_owned(),
        r#""x5u":"https://attacker.example/chain.pem","x5c":["MIIB"],"x5t":"AA""#.to_owned(),
        r#""jwk":17,"jku":[],"x5c":{}"#.to_owned(),
    ] {
        let header = format!(r#"{{"alg":"EdDSA","kid":"one",{bring}}}"#);
        let forged = jws(&header, "{}", |message| attacker.sign(message).as_ref().to_vec());
        assert_eq!(outcome(forged, &keys), Err(Refusal::BadSignature), "{bring}");
        // It does not matter to tokens of ours either.
        assert_eq!(outcome(token(Algorithm::EdDsa, &header, "{}"), &keys), Ok(()), "{bring}");
    }
}

#[test]
fn a_kid_is_compared_and_nothing_more() {
    let keys = set([key(Algorithm::Hs256).with_id("one"), key(Algorithm::EdDsa).with_id("")]);
    for id in
        ["One", "one ", " one", "one\\u0000", "../../dev/null", "' UNION SELECT 'x", "two", "on", "*", "0"]
    {
        let header = format!(r#"{{"alg":"HS256","kid":"{id}"}}"#);
        assert_eq!(outcome(token(Algorithm::Hs256, &header, "{}"), &keys), Err(Refusal::UnknownKey), "{id}");
        assert_eq!(outcome(hs256(b"", &header), &keys), Err(Refusal::UnknownKey), "{id}");
    }
    for (algorithm, id, accepted) in [
        (Algorithm::Hs256, "one", Ok(())),
        (Algorithm::Hs256, "\\u006fne", Ok(())),
        (Algorithm::EdDsa, "", Ok(())),
        (Algorithm::EdDsa, "one", Err(Refusal::Algorithm)),
    ] {
        let token = token(algorithm, &format!(r#"{{"alg":"{algorithm}","kid":"{id}"}}"#), "{}");
        assert_eq!(outcome(token, &keys), accepted, "{algorithm} {id}");
    }
}

#[test]
fn keys_are_chosen_by_kid_and_without_one_tried() {
    let other = |number: u8| Key::from_secret(&[number; 32], Algorithms::ALL).unwrap();
    let (named, unnamed) = (r#"{"alg":"HS256","kid":"one"}"#, r#"{"alg":"HS256"}"#);
    let ours = || key(Algorithm::Hs256);
    let others = |count: usize| (0..count).map(|number| other(number as u8));
    for (keys, header, accepted) in [
        // A key without a kid may be the one that is named, and those of another name are not.
        (set(others(3).chain([ours()])), named, Ok(())),
        (set([other(0).with_id("two"), ours()]), named, Ok(())),
        (set([ours().with_id("two"), other(0)]), named, Err(Refusal::UnknownKey)),
        (set([ours().with_id("two")]), named, Err(Refusal::UnknownKey)),
        (set(others(MAX_TRIED_KEYS).chain([ours().with_id("one")])), named, Ok(())),
        (set([other(0).with_id("one"), ours()]), named, Err(Refusal::BadSignature)),
        (set([other(0).with_id("one"), ours().with_id("one")]), named, Ok(())),
        // Without a kid, all that fit.
        (set([other(0).with_id("two"), ours().with_id("one")]), unnamed, Ok(())),
        (set(others(3).chain([ours()])), unnamed, Ok(())),
        // But not more than a few, those of other kinds not counted.
        (set(others(MAX_TRIED_KEYS - 1).chain([key(Algorithm::Es256), ours()])), unnamed, Ok(())),
        (set(others(MAX_TRIED_KEYS).chain([ours()])), unnamed, Err(Refusal::BadSignature)),
        (set([key(Algorithm::Es256), key(Algorithm::EdDsa)]), unnamed, Err(Refusal::UnknownKey)),
    ] {
        assert_eq!(outcome(token(Algorithm::Hs256, header, "{}"), &keys), accepted, "{keys:?} {header}");
    }
}

#[test]
fn the_compact_form_is_strict() {
    let keys = set([key(Algorithm::Hs256)]);
    let good = String::from_utf8(plain("{}")).unwrap();
    assert_eq!(outcome(&good, &keys), Ok(()));
    let parts: Vec<&str> = good.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    assert_eq!((header, payload), ("eyJhbGciOiJIUzI1NiJ9", "e30"));
    let json = format!(r#"{{"protected":"{header}","payload":"{payload}","signature":"{signature}"}}"#);
    for bad in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        header.to_owned(),
        format!("{header}.{payload}"),
        format!("{header}.{payload}."),
        format!("{header}..{signature}"),
        format!(".{payload}.{signature}"),
        format!("{good}."),
        format!(".{good}"),
        format!("{good}.{signature}"),
        format!("{good}.a.b"),
        format!("{good} "),
        format!(" {good}"),
        format!("{good}\n"),
        format!("{good}\0"),
        format!("{good}="),
        format!("{header}=.{payload}.{signature}"),
        format!("{header} .{payload}.{signature}"),
        format!("eyJhbGci\nOiJIUzI1NiJ9.{payload}.{signature}"),
        format!("{{{header}.{payload}.{signature}"),
        format!("Bearer {good}"),
        json.replace('.', ""),
    ] {
        assert!(
            matches!(outcome(&bad, &keys), Err(Refusal::Malformed(_))),
            "{bad:?}: {:?}",
            outcome(&bad, &keys)
        );
    }
}

#[test]
fn each_part_is_written_in_one_way() {
    let keys = set([key(Algorithm::Hs256)]);
    let not_base64 = Err(Refusal::Malformed("it is not base64url without padding"));
    // The last character of 43 holds two bits, and of "e30" four, that do not count.
    let good = String::from_utf8(plain("{}")).unwrap();
    let (rest, last) = good.split_at(good.len() - 1);
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let next = ALPHABET.find(last).unwrap() + 1;
    assert_eq!(outcome(format!("{rest}{}", &ALPHABET[next..=next]), &keys), not_base64);
    // Signed as it is written, and refused all the same.
    for signed in [
        "eyJhbGciOiJIUzI1NiJ9.e31",
        "eyJhbGciOiJIUzI1NiJ9.e30=",
        "eyJhbGciOiJIUzI1NiJ9.e3 0",
        "eyJhbGciOiJIUzI1NiJ9.e",
        "eyJhbGciOiJIUzI1NiIsImEiOjF9ICA+.e30",
        "eyJhbGciOiJIUzI1NiJ.e30",
    ] {
        let signature = encode(sign(Algorithm::Hs256, signed.as_bytes()));
        assert_eq!(outcome(format!("{signed}.{signature}"), &keys), not_base64, "{signed}");
    }
    // In a signature, + and / are not - and _.
    let (mut tried, mut number) = (0, 0);
    while tried < 5 {
        let token = String::from_utf8(plain(&format!(r#"{{"jti":"{number}"}}"#))).unwrap();
        number += 1;
        let standard = token.replace('-', "+").replace('_', "/");
        if standard != token {
            assert_eq!(outcome(standard, &keys), not_base64);
            tried += 1;
        }
    }
}

#[test]
fn header_and_payload_are_objects_without_anything_twice() {
    let keys = set([key(Algorithm::Hs256)]);
    let refused = |text| Err(Refusal::Malformed(text));
    for header in
        [" ", "\0", "null", "[]", "\"a\"", "{", "{}x", "{}{}", "\u{feff}{}", "{\"alg\":\"\\ud800\"}"]
    {
        let token = token(Algorithm::Hs256, header, "{}");
        assert_eq!(outcome(token, &keys), refused("the header is not a JSON object"), "{header}");
    }
    let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(200), "]".repeat(200));
    for payload in ["null", "[]", "1", "\"{}\"", "{}}", "{'a':1}", "{\"a\":1,}", "{\"exp\":1e400}", &deep] {
        assert_eq!(outcome(plain(payload), &keys), refused("the payload is not a JSON object"), "{payload}");
    }
    for header in [r#"{"alg":"HS256","alg":"none"}"#, r#"{"alg":"none","a\u006cg":"HS256"}"#] {
        let token = token(Algorithm::Hs256, header, "{}");
        assert_eq!(outcome(token, &keys), refused("the header has a member twice"), "{header}");
    }
    let payload = plain(r#"{"sub":"a","sub":"b"}"#);
    assert_eq!(outcome(payload, &keys), refused("the payload has a claim twice"));
}

#[test]
fn a_token_has_its_limit() {
    let keys = set([key(Algorithm::Hs256)]);
    let filled = |fill: usize| plain(&format!(r#"{{"a":"{}"}}"#, "x".repeat(fill)));
    // 65 bytes are not the payload, and 8 of the payload are not the filling.
    let of_length = |length: usize| {
        let fill = (length - 65) * 3 / 4 - 8;
        (fill..fill + 4).map(filled).find(|token| token.len() >= length)
    };
    let (fits, over) = (of_length(MAX_TOKEN_BYTES - 2).unwrap(), of_length(MAX_TOKEN_BYTES + 1).unwrap());
    assert!(fits.len() <= MAX_TOKEN_BYTES, "{}", fits.len());
    assert_eq!(outcome(fits, &keys), Ok(()));
    assert_eq!(outcome(over, &keys), Err(Refusal::Malformed("it is too long")));
}
