//! What claims must say, at which time, and of which type.

use super::*;
use crate::{Refusal, Rules, verify};

fn outcome(payload: &str, rules: &Rules, now: u64) -> Result<Option<u64>, Refusal> {
    verify(&plain(payload), &set([key(Algorithm::Hs256)]), rules, now).map(|token| token.expires)
}

fn lenient() -> Rules {
    Rules { require_exp: false, ..Rules::default() }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn times_are_kept_to_the_second() {
    let (exp, nbf) = (r#"{"exp":1000}"#, r#"{"nbf":1000}"#);
    for (payload, leeway, now, want) in [
        (exp, 0, 0, Ok(Some(1000))),
        (exp, 0, 999, Ok(Some(1000))),
        (exp, 0, 1000, Err(Refusal::Expired)),
        (exp, 60, 1059, Ok(Some(1000))),
        (exp, 60, 1060, Err(Refusal::Expired)),
        (exp, u64::MAX, u64::MAX - 1, Ok(Some(1000))),
        (exp, 0, u64::MAX, Err(Refusal::Expired)),
        (r#"{"exp":1000.9}"#, 0, 999, Ok(Some(1000))),
        (r#"{"exp":1000.9}"#, 0, 1000, Err(Refusal::Expired)),
        (r#"{"exp":1e3}"#, 0, 1000, Err(Refusal::Expired)),
        (r#"{"exp":0}"#, 0, 0, Err(Refusal::Expired)),
        (nbf, 0, 1000, Ok(None)),
        (nbf, 0, 999, Err(Refusal::NotYetValid)),
        (nbf, 60, 940, Ok(None)),
        (nbf, 60, 939, Err(Refusal::NotYetValid)),
        (nbf, u64::MAX, 1, Ok(None)),
        (r#"{"nbf":999.1}"#, 0, 999, Err(Refusal::NotYetValid)),
        (r#"{"nbf":999.1}"#, 0, 1000, Ok(None)),
        (r#"{"nbf":1000,"exp":1000}"#, 0, 1000, Err(Refusal::Expired)),
        // It matters only together with a greatest age.
        (r#"{"iat":5000}"#, 0, 1000, Ok(None)),
    ] {
        let rules = Rules { leeway, ..lenient() };
        assert_eq!(outcome(payload, &rules, now), want, "{payload} {leeway} {now}");
    }
    assert_eq!(outcome("{}", &Rules::default(), 0), Err(Refusal::MissingClaim("exp".into())));
}

#[test]
fn the_age_is_measured_from_iat() {
    let iat = r#"{"iat":1000}"#;
    for (payload, leeway, now, want) in [
        (iat, 0, 1000, Ok(None)),
        (iat, 0, 1300, Ok(None)),
        (iat, 0, 1301, Err(Refusal::TooOld)),
        (iat, 10, 1310, Ok(None)),
        (iat, 10, 1311, Err(Refusal::TooOld)),
        (iat, 10, 990, Ok(None)),
        (iat, 10, 989, Err(Refusal::NotYetValid)),
        (iat, u64::MAX, u64::MAX, Ok(None)),
        ("{}", 0, 1000, Err(Refusal::MissingClaim("iat".into()))),
    ] {
        let rules = Rules { leeway, max_age: Some(300), ..lenient() };
        assert_eq!(outcome(payload, &rules, now), want, "{payload} {leeway} {now}");
    }
}

#[test]
fn a_registered_claim_of_the_wrong_type_is_never_as_good_as_none() {
    let huge = "9007199254740993";
    for name in ["exp", "nbf", "iat"] {
        for value in [
            "null",
            "\"1000\"",
            "true",
            "[1000]",
            "{}",
            "-1",
            "-0.5",
            "1e300",
            "-1e300",
            huge,
            "18446744073709551615",
            "18446744073709551616",
            "1e17",
        ] {
            let payload = format!(r#"{{"{name}":{value}}}"#);
            assert_eq!(outcome(&payload, &lenient(), 500), Err(Refusal::WrongType(name)), "{payload}");
        }
    }
    for (name, values) in [
        ("iss", &["null", "1", "[\"a\"]", "{}", "true"][..]),
        ("sub", &["null", "1", "[]"]),
        ("jti", &["null", "1"]),
        ("aud", &["null", "1", "{}", "[1]", "[\"a\",null]", "[[\"a\"]]", "false"]),
    ] {
        for value in values {
            let payload = format!(r#"{{"{name}":{value}}}"#);
            assert_eq!(outcome(&payload, &lenient(), 500), Err(Refusal::WrongType(name)), "{payload}");
        }
    }
    assert_eq!(outcome(r#"{"nonce":1,"scope":["a"],"nested":{"exp":"x"}}"#, &lenient(), 500), Ok(None));
    assert_eq!(outcome(r#"{"exp":9007199254740992}"#, &lenient(), 500), Ok(Some(1 << 53)));
}

#[test]
fn issuer_and_audience_are_among_ours() {
    let missing = |name: &str| Err(Refusal::MissingClaim(name.into()));
    for (issuers, audiences, payload, want) in [
        (&["a", "b"][..], &[][..], r#"{"iss":"b"}"#, Ok(None)),
        (&["a", "b"], &[], r#"{"iss":"c"}"#, Err(Refusal::WrongIssuer)),
        (&["a"], &[], r#"{"iss":"a/"}"#, Err(Refusal::WrongIssuer)),
        (&["a"], &[], r#"{"iss":"A"}"#, Err(Refusal::WrongIssuer)),
        (&["a"], &[], r#"{"iss":""}"#, Err(Refusal::WrongIssuer)),
        (&["a"], &[], "{}", missing("iss")),
        (&[], &["x", "y"], r#"{"aud":"y"}"#, Ok(None)),
        (&[], &["x", "y"], r#"{"aud":["z","x"]}"#, Ok(None)),
        (&[], &["x"], r#"{"aud":"z"}"#, Err(Refusal::WrongAudience)),
        (&[], &["x"], r#"{"aud":["z","xx"]}"#, Err(Refusal::WrongAudience)),
        (&[], &["x"], r#"{"aud":[]}"#, Err(Refusal::WrongAudience)),
        (&[], &["x"], "{}", missing("aud")),
        (&[], &[], r#"{"iss":"?","aud":"?"}"#, Ok(None)),
    ] {
        let rules = Rules { issuers: names(issuers), audiences: names(audiences), ..lenient() };
        assert_eq!(outcome(payload, &rules, 500), want, "{issuers:?} {audiences:?} {payload}");
    }
}

#[test]
fn what_is_required_is_there_and_not_null() {
    let rules = Rules { required: names(&["sub", "tenant"]), ..lenient() };
    for (payload, want) in [
        (r#"{"sub":"a","tenant":""}"#, Ok(None)),
        (r#"{"sub":"a","tenant":false}"#, Ok(None)),
        (r#"{"sub":"a","tenant":null}"#, Err(Refusal::MissingClaim("tenant".into()))),
        (r#"{"tenant":"b"}"#, Err(Refusal::MissingClaim("sub".into()))),
    ] {
        assert_eq!(outcome(payload, &rules, 500), want, "{payload}");
    }
}

#[test]
fn the_type_is_compared_as_a_media_type() {
    let keys = set([key(Algorithm::Hs256)]);
    for (expected, typ, accepted) in [
        ("at+jwt", Some("at+jwt"), true),
        ("at+jwt", Some("AT+JWT"), true),
        ("at+jwt", Some("application/at+jwt"), true),
        ("application/at+jwt", Some("at+jwt"), true),
        ("Application/at+jwt", Some("APPLICATION/AT+jwt"), true),
        ("text/x", Some("text/X"), true),
        ("at+jwt", Some("JWT"), false),
        ("at+jwt", Some(""), false),
        ("at+jwt", Some("text/at+jwt"), false),
        ("at+jwt", Some("application/application/at+jwt"), false),
        ("at+jwt", Some("at+jwt "), false),
        ("at+jwt", Some("application/"), false),
        ("text/x", Some("application/text/x"), false),
        ("at+jwt", None, false),
    ] {
        let typ = typ.map_or(String::new(), |typ| format!(r#","typ":"{typ}""#));
        let token = token(Algorithm::Hs256, &format!(r#"{{"alg":"HS256"{typ}}}"#), "{}");
        let rules = Rules { typ: Some(expected.to_owned()), ..lenient() };
        let outcome = verify(&token, &keys, &rules, 0).map(|_| ());
        assert_eq!(outcome, if accepted { Ok(()) } else { Err(Refusal::WrongTokenType) }, "{expected} {typ}");
        assert!(verify(&token, &keys, &lenient(), 0).is_ok());
    }
}

#[test]
fn what_is_said_of_a_refusal_is_fit_for_a_header() {
    let all = [
        Refusal::Malformed("it is too long"),
        Refusal::Unsupported("zip"),
        Refusal::Critical,
        Refusal::Algorithm,
        Refusal::UnknownKey,
        Refusal::BadSignature,
        Refusal::WrongTokenType,
        Refusal::MissingClaim("te\"na\\nt\r\n\u{e9}".into()),
        Refusal::WrongType("aud"),
        Refusal::Expired,
        Refusal::NotYetValid,
        Refusal::TooOld,
        Refusal::WrongIssuer,
        Refusal::WrongAudience,
    ];
    let mut words: Vec<_> = all.iter().map(Refusal::as_str).collect();
    for refusal in &all {
        let text = refusal.to_string();
        assert!(text.bytes().all(|byte| matches!(byte, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e)), "{text}");
    }
    assert_eq!(all[7].to_string(), "the token lacks the claim te?na?nt???");
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), all.len());
}
