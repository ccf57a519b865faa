//! Every algorithm, with keys of each kind: what it takes, what it does not, and what it costs.

use std::time::Instant;

use super::*;
use crate::{Family, Refusal, Rules, verify, verify_signature};

#[test]
fn each_algorithm_takes_what_its_key_has_signed_and_nothing_else() {
    for algorithm in Algorithm::ALL {
        let keys = set([key(algorithm)]);
        let header = format!(r#"{{"alg":"{algorithm}"}}"#);
        let good = token(algorithm, &header, &format!(r#"{{"exp":{}}}"#, NOW + 1));
        let taken = verify(&good, &keys, &Rules::default(), NOW).unwrap();
        assert_eq!((taken.algorithm, taken.expires), (algorithm, Some(NOW + 1)));
        assert_eq!(&taken.thumbprint, key(algorithm).thumbprint());

        let signed = good.iter().rposition(|byte| *byte == b'.').unwrap();
        let signature = BASE64_URL_SAFE_NO_PAD.decode(&good[signed + 1..]).unwrap();
        let mut wrong = vec![
            signature[1..].to_vec(),
            signature[..signature.len() - 1].to_vec(),
            [&signature[..], &[0]].concat(),
            [&[0], &signature[..]].concat(),
            vec![0; signature.len()],
            vec![0xff; signature.len()],
            vec![0; 1024],
            vec![0; 1025],
            vec![0; 5000],
            vec![0],
        ];
        for bit in [0, 7, signature.len() * 4, signature.len() * 8 - 1] {
            let mut flipped = signature.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            wrong.push(flipped);
        }
        for signature in wrong {
            let bad = [&good[..=signed], encode(&signature).as_bytes()].concat();
            let refusal = verify(&bad, &keys, &Rules::default(), NOW);
            assert_eq!(refusal, Err(Refusal::BadSignature), "{algorithm} {signature:?}");
        }
    }
}

#[test]
fn the_key_and_then_the_rules_say_which_algorithms_are_allowed() {
    for of_key in Algorithm::ALL {
        let loaded = key(of_key);
        let (family, fit) = (loaded.family(), loaded.algorithms());
        assert_eq!(family, of_key.family());
        assert!(fit.contains(of_key));
        assert_eq!(
            fit.iter().count(),
            match family {
                Family::Oct => 3,
                Family::Rsa => 6,
                Family::Ec | Family::Okp => 1,
            }
        );
        let keys = set([loaded.with_id("one")]);
        for other in Algorithm::ALL {
            let named = token(other, &format!(r#"{{"alg":"{other}","kid":"one"}}"#), "{}");
            let unnamed = token(other, &format!(r#"{{"alg":"{other}"}}"#), "{}");
            let only = Some([other].into_iter().collect());
            let but: Algorithms = Algorithms::ALL.iter().filter(|algorithm| *algorithm != other).collect();
            let outcome = |token, algorithms| verify_signature(token, &keys, algorithms, None).map(|_| ());
            assert_eq!(outcome(&named, Some(but)), Err(Refusal::Algorithm), "{of_key} {other}");
            let (with, without) = if fit.contains(other) {
                (Ok(()), Ok(()))
            } else {
                (Err(Refusal::Algorithm), Err(Refusal::UnknownKey))
            };
            assert_eq!(outcome(&named, only), with, "{of_key} {other}");
            assert_eq!(outcome(&unnamed, None), without, "{of_key} {other}");
        }
    }
}

#[test]
fn a_signature_of_ecdsa_in_the_form_of_x509_is_refused() {
    let keys = set([key(Algorithm::Es256)]);
    let pkcs8 = KEYS.es256.to_pkcs8v1().unwrap();
    let asn1 = EcdsaKeyPair::from_pkcs8(&signature::ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref()).unwrap();
    let bad = jws(r#"{"alg":"ES256"}"#, "{}", |message| {
        asn1.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
    });
    assert_eq!(verify_signature(&bad, &keys, None, None), Err(Refusal::BadSignature));
}

#[test]
fn pss_and_pkcs1_are_not_mixed_and_hashes_neither() {
    let keys = set([key(Algorithm::Rs256)]);
    let of_rsa = || Algorithm::ALL.into_iter().filter(|algorithm| algorithm.family() == Family::Rsa);
    for (said, used) in of_rsa().flat_map(|said| of_rsa().map(move |used| (said, used))) {
        let token = token(used, &format!(r#"{{"alg":"{said}"}}"#), "{}");
        let accepted = verify_signature(&token, &keys, None, None).is_ok();
        assert_eq!(accepted, said == used, "{said} {used}");
    }
}

/// What a check costs, to be read with `--nocapture`; a public key that is parsed each time would cost more.
#[test]
fn the_cost_of_a_check_is_shown() {
    let payload = format!(r#"{{"iss":"https://issuer.example","sub":"1","aud":["api"],"exp":{}}}"#, NOW + 1);
    let rules = Rules { issuers: vec!["https://issuer.example".into()], ..Rules::default() };
    for algorithm in Algorithm::ALL {
        let (keys, header) = (set([key(algorithm)]), format!(r#"{{"alg":"{algorithm}","typ":"JWT"}}"#));
        let token = token(algorithm, &header, &payload);
        let check = || assert!(verify(&token, &keys, &rules, NOW).is_ok());
        check();
        let (rounds, start) = (200, Instant::now());
        (0..rounds).for_each(|_| check());
        let each = start.elapsed().as_nanos() / rounds;
        println!("{algorithm}: {:.1} us for a token of {} bytes", each as f64 / 1e3, token.len());
    }
    let (rounds, start, bytes) = (200, Instant::now(), info(Algorithm::Rs256));
    let signature = sign(Algorithm::Rs256, b"message");
    for _ in 0..rounds {
        let unparsed = signature::UnparsedPublicKey::new(&signature::RSA_PKCS1_2048_8192_SHA256, &bytes);
        assert!(unparsed.verify(b"message", &signature).is_ok());
    }
    println!("RS256, key parsed each time: {:.1} us", (start.elapsed().as_nanos() / rounds) as f64 / 1e3);
}
