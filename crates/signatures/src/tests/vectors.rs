//! The vectors of RFC 9421: appendix B.2, §3.2, §4.3 and B.4, with the keys of B.1.

use super::*;
use crate::{Algorithm, ExpectedDigest};

const ED25519: &str = "MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=";
const ECC_P256: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lf\
    w0EkjqF7xB4FivAxzic30tMM4GF+hR6Dxh71Z50VGGdldkkDXZCnTNnoXQ==";
/// An `RSAPublicKey` without what usually surrounds it.
const RSA: &str = "MIIBCgKCAQEAhAKYdtoeoy8zcAcR874L8cnZxKzAGwd7v36APp7Pv6Q2jdsPBRrw\
    WEBnez6d0UDKDwGbc6nxfEXAy5mbhgajzrw3MOEt8uA5txSKobBpKDeBLOsdJKFq\
    MGmXCQvEG7YemcxDTRPxAleIAgYYRjTSd/QBwVW9OwNFhekro3RtlinV0a75jfZg\
    kne/YiktSvLG34lw2zqXBDTC5NHROUqGTlML4PlNZS5Ri2U4aCNx2rUPRcKIlE0P\
    uKxI4T+HIaFpv8+rdV6eUgOrB2xeI1dSFFn/nnv5OoZJEIB+VmuKn3DCUcCZSFlQ\
    PSXSfBDiUGhwOw76WuSSsf1D4b/vLoJ10wIDAQAB";
const RSA_PSS: &str = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAr4tmm3r20Wd/PbqvP1s2\
    +QEtvpuRaV8Yq40gjUR8y2Rjxa6dpG2GXHbPfvMs8ct+Lh1GH45x28Rw3Ry53mm+\
    oAXjyQ86OnDkZ5N8lYbggD4O3w6M6pAvLkhk95AndTrifbIFPNU8PPMO7OyrFAHq\
    gDsznjPFmTOtCEcN2Z1FpWgchwuYLPL+Wokqltd11nqqzi+bJ9cvSKADYdUAAN5W\
    Utzdpiy6LbTgSxP7ociU4Tn0g5I6aDZJ7A8Lzo0KSyZYoA485mqcO0GVAdVw9lq4\
    aOT9v6d+nb4bnNkQVklLQ3fVAvJm+xdDOp9LCNCN48V2pnDOkFV6+U9nV5oyc6XI\
    2wIDAQAB";
const SHARED: &str =
    "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==";

const REQUEST: &str = "POST /foo?param=Value&Pet=dog HTTP/1.1
    Host: example.com
    Date: Tue, 20 Apr 2021 02:07:55 GMT
    Content-Type: application/json
    Content-Digest: sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:
    Content-Length: 18";

const B21: [&str; 2] = [
    r#"sig-b21=();created=1618884473;keyid="test-key-rsa-pss";nonce="b3k2pp5k7z-50gnwp.yemd""#,
    "sig-b21=:d2pmTvmbncD3xQm8E9ZV2828BjQWGgiwAaw5bAkgibUopem\
     LJcWDy/lkbbHAve4cRAtx31Iq786U7it++wgGxbtRxf8Udx7zFZsckzXaJMkA7ChG\
     52eSkFxykJeNqsrWH5S+oxNFlD4dzVuwe8DhTSja8xxbR/Z2cOGdCbzR72rgFWhzx\
     2VjBqJzsPLMIQKhO4DGezXehhWwE56YCE+O6c0mKZsfxVrogUvA4HELjVKWmAvtl6\
     UnCh8jYzuVG5WSb/QEVPnP5TmcAnLH1g+s++v6d4s8m0gCw1fV5/SITLq9mhho8K3\
     +7EPYTU8IU1bLhdxO5Nyt8C8ssinQ98Xw9Q==:",
];
const B22: [&str; 2] = [
    r#"sig-b22=("@authority" "content-digest" "@query-param";name="Pet");created=1618884473;keyid="test-key-rsa-pss";tag="header-example""#,
    "sig-b22=:LjbtqUbfmvjj5C5kr1Ugj4PmLYvx9wVjZvD9GsTT4F7GrcQ\
     EdJzgI9qHxICagShLRiLMlAJjtq6N4CDfKtjvuJyE5qH7KT8UCMkSowOB4+ECxCmT\
     8rtAmj/0PIXxi0A0nxKyB09RNrCQibbUjsLS/2YyFYXEu4TRJQzRw1rLEuEfY17SA\
     RYhpTlaqwZVtR8NV7+4UKkjqpcAoFqWFQh62s7Cl+H2fjBSpqfZUJcsIk4N6wiKYd\
     4je2U/lankenQ99PZfB4jY3I5rSV2DSBVkSFsURIjYErOs0tFTQosMTAoxk//0RoK\
     UqiYY8Bh0aaUEb0rQl3/XaVe4bXTugEjHSw==:",
];
const B23: [&str; 2] = [
    r#"sig-b23=("date" "@method" "@path" "@query" "@authority" "content-type" "content-digest" "content-length");created=1618884473;keyid="test-key-rsa-pss""#,
    "sig-b23=:bbN8oArOxYoyylQQUU6QYwrTuaxLwjAC9fbY2F6SVWvh0yB\
     iMIRGOnMYwZ/5MR6fb0Kh1rIRASVxFkeGt683+qRpRRU5p2voTp768ZrCUb38K0fU\
     xN0O0iC59DzYx8DFll5GmydPxSmme9v6ULbMFkl+V5B1TP/yPViV7KsLNmvKiLJH1\
     pFkh/aYA2HXXZzNBXmIkoQoLd7YfW91kE9o/CCoC1xMy7JA1ipwvKvfrs65ldmlu9\
     bpG6A9BmzhuzF8Eim5f8ui9eH8LZH896+QIF61ka39VBrohr9iyMUJpvRX2Zbhl5Z\
     JzSRxpJyoEZAFL2FUo5fTIztsDZKEgM4cUA==:",
];
const B25: [&str; 2] = [
    r#"sig-b25=("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret""#,
    "sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:",
];
const B26: [&str; 2] = [
    r#"sig-b26=("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519""#,
    "sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1\
     u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:",
];
/// §3.2.
const SIG1: [&str; 2] = [
    r#"sig1=("@method" "@authority" "@path" "content-digest" "content-length" "content-type");created=1618884473;keyid="test-key-rsa-pss""#,
    "sig1=:HIbjHC5rS0BYaa9v4QfD4193TORw7u9edguPh0AW3dMq9WImrl\
     FrCGUDih47vAxi4L2YRZ3XMJc1uOKk/J0ZmZ+wcta4nKIgBkKq0rM9hs3CQyxXGxH\
     LMCy8uqK488o+9jrptQ+xFPHK7a9sRL1IXNaagCNN3ZxJsYapFj+JXbmaI5rtAdSf\
     SvzPuBCh+ARHBmWuNo1UzVVdHXrl8ePL4cccqlazIJdC4QEjrF+Sn4IxBQzTZsL9y\
     9TP5FsZYzHvDqbInkTNigBcE9cKOYNFCn4D/WM7F6TNuZO9EgtzepLWcjTymlHzK7\
     aXq6Am6sfOrpIC49yXjj3ae6HRalVc/g==:",
];
/// §4.3: of the client, and of the proxy that it goes through.
const CLIENT: [&str; 2] = [
    r#"sig1=("@method" "@authority" "@path" "content-digest" "content-type" "content-length");created=1618884475;keyid="test-key-ecc-p256""#,
    "sig1=:X5spyd6CFnAG5QnDyHfqoSNICd+BUP4LYMz2Q0JXlb//4Ijpzp\
     +kve2w4NIyqeAuM7jTDX+sNalzA8ESSaHD3A==:",
];
const PROXY: [&str; 2] = [
    r#"proxy_sig=("@method" "@authority" "@path" "content-digest" "content-type" "content-length" "forwarded");created=1618884480;keyid="test-key-rsa";alg="rsa-v1_5-sha256";expires=1618884540"#,
    "proxy_sig=:S6ZzPXSdAMOPjN/6KXfXWNO/f7V6cHm7BXYUh3YD/fRad4BCaRZxP+\
     JH+8XY1I6+8Cy+CM5g92iHgxtRPz+MjniOaYmdkDcnL9cCpXJleXsOckpURl49G\
     wiyUpZ10KHgOEe11sx3G2gxI8S0jnxQB+Pu68U9vVcasqOWAEObtNKKZd8tSFu7\
     LB5YAv0RAGhB8tmpv7sFnIm9y+7X5kXQfi8NMaZaA8i2ZHwpBdg7a6CMfwnnrtf\
     lzvZdXAsD3LH2TwevU+/PBPv0B6NMNk93wUs/vfJvye+YuI87HU38lZHowtznbL\
     Vdp770I6VHR6WfgS9ddzirrswsE1w5o0LV/g==:",
];

fn public(algorithm: Algorithm, key: &str) -> Key {
    Key::public(algorithm, &STANDARD.decode(key).unwrap()).unwrap()
}

fn key(id: &str) -> Option<Key> {
    match id {
        "test-key-ed25519" => Some(public(Algorithm::Ed25519, ED25519)),
        "test-key-ecc-p256" => Some(public(Algorithm::EcdsaP256Sha256, ECC_P256)),
        "test-key-rsa" => Some(public(Algorithm::RsaV15Sha256, RSA)),
        "test-key-rsa-pss" => Some(public(Algorithm::RsaPssSha512, RSA_PSS)),
        "test-shared-secret" => Some(shared(&STANDARD.decode(SHARED).unwrap())),
        _ => None,
    }
}

fn with(request: &str, [input, signature]: [&str; 2]) -> RequestHead {
    head(&format!("{request}\nSignature-Input: {input}\nSignature: {signature}"))
}

fn verify(head: &RequestHead, rules: &Rules) -> Result<Accepted, Refusal> {
    let presented = parse(head, rules).expect("a signature")?;
    let (claim, key) = presented.choose(key)?;
    claim.verify(&key, &Request { head, https: true, body_length: Some(18) }, rules, CREATED)
}

#[test]
fn the_signatures_of_the_rfc_are_genuine() {
    for (vector, algorithm, covers_digest) in [
        (B21, Algorithm::RsaPssSha512, false),
        (B22, Algorithm::RsaPssSha512, true),
        (B23, Algorithm::RsaPssSha512, true),
        (B25, Algorithm::HmacSha256, false),
        (B26, Algorithm::Ed25519, false),
        (SIG1, Algorithm::RsaPssSha512, true),
        (CLIENT, Algorithm::EcdsaP256Sha256, true),
    ] {
        let accepted = verify(&with(REQUEST, vector), &lenient());
        let accepted = accepted.unwrap_or_else(|refusal| panic!("{}: {refusal}", vector[0]));
        assert_eq!(accepted.algorithm, algorithm, "{}", vector[0]);
        assert_eq!(accepted.covers_digest(), covers_digest, "{}", vector[0]);
        assert!(matches!(accepted.created, Some(1_618_884_473 | 1_618_884_475)));
        if let Some(expected) = accepted.digest {
            assert!(matches!(expected, ExpectedDigest::Sha512(_)));
            let mut check = expected.check();
            check.update(br#"{"hello": "world"}"#);
            assert!(check.finish());
        }
        let [input, signature] = vector;
        let at = signature.find(":").unwrap() + 10;
        let other = if &signature[at..=at] == "A" { "B" } else { "A" };
        let broken = format!("{}{other}{}", &signature[..at], &signature[at + 1..]);
        let broken = verify(&with(REQUEST, [input, &broken]), &lenient());
        assert_eq!(broken, Err(Refusal::WrongSignature), "{input}");
    }
    assert_eq!(verify(&with(REQUEST, B21), &lenient()).unwrap().nonce.unwrap(), "b3k2pp5k7z-50gnwp.yemd");
}

/// B.2.4 is over a response, so here is its base.
#[test]
fn the_signature_of_a_response_is_genuine() {
    let base = "\"@status\": 200\n\"content-type\": application/json\n\"content-digest\": \
        sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5aGgfLQ==:\n\
        \"content-length\": 23\n\"@signature-params\": (\"@status\" \"content-type\" \"content-digest\" \
        \"content-length\");created=1618884473;keyid=\"test-key-ecc-p256\"";
    let signature = STANDARD
        .decode("wNmSUAhwb5LxtOtOpNa6W5xj067m5hFrj0XQ4fvpaCLx0NKocgPquLgyahnzDnDAUy5eCdlYUEkLIj+32oiasw==")
        .unwrap();
    let key = key("test-key-ecc-p256").unwrap();
    assert!(key.verifies(Algorithm::EcdsaP256Sha256, base.as_bytes(), &signature));
    assert!(!key.verifies(Algorithm::EcdsaP256Sha256, base.trim_end_matches('"').as_bytes(), &signature));
    assert!(!key.verifies(Algorithm::Ed25519, base.as_bytes(), &signature));
}

/// §4.3: two signatures, of which only that of the proxy still holds.
#[test]
fn a_label_and_a_known_key_choose() {
    let request = REQUEST
        .replace("example.com", "origin.host.internal.example")
        .replace("Content-Length", "Forwarded: for=192.0.2.123;host=example.com;proto=https\nContent-Length");
    let both = [&format!("{}, {}", CLIENT[0], PROXY[0]), &format!("{}, {}", CLIENT[1], PROXY[1])];
    let head = with(&request, [both[0], both[1]]);
    assert_eq!(verify(&head, &lenient()), Err(Refusal::WrongSignature), "the first one");
    let rules = Rules { label: Some("proxy_sig".into()), ..lenient() };
    let accepted = verify(&head, &rules).unwrap();
    assert_eq!((accepted.algorithm, accepted.expires), (Algorithm::RsaV15Sha256, Some(1_618_884_540)));
    assert_eq!(accepted.until, 1_618_884_540);
    let presented = parse(&head, &lenient()).unwrap().unwrap();
    let (claim, key) = presented.choose(|id| key(id).filter(|_| id == "test-key-rsa")).unwrap();
    assert_eq!((claim.key_id(), presented.claims().len()), ("test-key-rsa", 2));
    let request = Request { head: &head, https: true, body_length: Some(18) };
    assert!(claim.verify(&key, &request, &lenient(), CREATED).is_ok());
    assert_eq!(presented.choose(|_| None::<()>).unwrap_err(), Refusal::UnknownKey);
    let none = Rules { label: Some("sig2".into()), ..lenient() };
    assert!(parse(&head, &none).is_none(), "the others are not for us");
}

/// Appendix B.4: what may happen to a message on its way, and what may not.
#[test]
fn transformations_are_told_from_tampering() {
    let signature = [
        r#"transform=("@method" "@path" "@authority" "accept");created=1618884473;keyid="test-key-ed25519""#,
        "transform=:ZT1kooQsEHpZ0I1IjCqtQppOmIqlJPeo7DHR3SoMn0s5J\
         Z1eRGS0A+vyYP9t/LXlh5QMFFQ6cpLt2m0pmj3NDA==:",
    ];
    let wrong = Err(Refusal::WrongSignature);
    for (request, want) in [
        ("GET /demo?a=1 HTTP/1.1\nHost: example.org\nAccept: application/json\nAccept: */*", Ok(())),
        ("GET /demo?b HTTP/1.1\nHost: example.org\nX: y\nAccept: application/json\nAccept: */*", Ok(())),
        ("GET /demo HTTP/1.1\nHost: Example.ORG:443\nAccept: application/json, */*", Ok(())),
        ("GET https://example.org/demo HTTP/1.1\nHost: x\nAccept: application/json, */*", Ok(())),
        ("GET /demo HTTP/1.1\nHost: example.org:80\nAccept: application/json, */*", wrong),
        ("GET /demo HTTP/1.1\nHost: example.org\nAccept: */*\nAccept: application/json", wrong),
        ("GET /demo HTTP/1.1\nHost: example.org\nAccept: application/json,*/*", wrong),
        ("GET /%64emo HTTP/1.1\nHost: example.org\nAccept: application/json, */*", wrong),
        ("POST /demo HTTP/1.1\nHost: example.org\nAccept: application/json, */*", wrong),
    ] {
        assert_eq!(verify(&with(request, signature), &lenient()).map(|_| ()), want, "{request}");
    }
}
