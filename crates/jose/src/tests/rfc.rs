//! The examples of the RFCs. Their tokens have expired in 2011, which is why the time is passed in.

use super::*;
use crate::{Refusal, Rules, verify, verify_signature};

const CLAIMS: &str =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

/// RFC 7515 §A.1 and RFC 7519 §3.1.
const A1_KEY: &str = r#"{"kty":"oct",
    "k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#;
const A1: (&str, &str) =
    ("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");

/// RFC 7515 §A.2. The private members are those of the example, cut short: they are not read.
pub(super) const A2_KEY: &str = concat!(
    r#"{"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1"#,
    "Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUs",
    "LA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9",
    r#"iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB","d":"Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50L","#,
    r#""p":"4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYrqBdss1l58BQ3KhooKeQTa9AB0Hw"}"#
);
const A2: (&str, &str) = (
    "eyJhbGciOiJSUzI1NiJ9",
    concat!(
        "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdb",
        "F9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383",
        "LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWy",
        "wlVmtVrBp0igcN_IoypGlUPQGe77Rw"
    ),
);

/// RFC 7515 §A.3.
pub(super) const A3_KEY: &str = r#"{"kty":"EC","crv":"P-256",
    "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    "d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}"#;
const A3: (&str, &str) = (
    "eyJhbGciOiJFUzI1NiJ9",
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
);

/// RFC 7515 §A.4.
const A4_KEY: &str = r#"{"kty":"EC","crv":"P-521",
    "x":"AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk",
    "y":"ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2"}"#;
const A4: &str = concat!(
    "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.",
    "AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2Y",
    "BJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn"
);

/// RFC 8037 §A.2 and §A.4.
pub(super) const ED25519_KEY: &str =
    r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
const ED25519: &str = concat!(
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.",
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
);

fn assembled((header, signature): (&str, &str)) -> String {
    format!("{header}.{CLAIMS}.{signature}")
}

#[test]
fn rfc_7515_a1_to_a3_and_rfc_7519_3_1() {
    for (jwk_text, example, algorithm) in
        [(A1_KEY, A1, Algorithm::Hs256), (A2_KEY, A2, Algorithm::Rs256), (A3_KEY, A3, Algorithm::Es256)]
    {
        let text = assembled(example);
        let keys = set([jwk(jwk_text)]);
        let rules = Rules { issuers: vec!["joe".to_owned()], ..Rules::default() };
        let token = verify(text.as_bytes(), &keys, &rules, RFC_EXP - 1).unwrap();
        assert_eq!(token.algorithm, algorithm);
        assert_eq!((token.expires, token.key_id), (Some(RFC_EXP), None));
        assert!(keys.contains(&token.thumbprint));
        assert_eq!(token.claims.len(), 3);
        assert_eq!(token.claims.get("http://example.com/is_root"), Some(&true.into()));

        assert_eq!(verify(text.as_bytes(), &keys, &rules, RFC_EXP), Err(Refusal::Expired));
        let other = text.replace("eyJpc3MiOiJqb2Ui", "eyJpc3MiOiJqb2Ei");
        assert_eq!(verify(other.as_bytes(), &keys, &rules, RFC_EXP - 1), Err(Refusal::BadSignature));
    }
}

#[test]
fn rfc_7515_a4_and_rfc_8037_a4_sign_what_is_no_token() {
    for (jwk_text, text, payload, algorithm) in [
        (A4_KEY, A4, "Payload", Algorithm::Es512),
        (ED25519_KEY, ED25519, "Example of Ed25519 signing", Algorithm::EdDsa),
    ] {
        let keys = set([jwk(jwk_text)]);
        let signed = verify_signature(text.as_bytes(), &keys, None, None).unwrap();
        assert_eq!((&signed.payload[..], signed.algorithm), (payload.as_bytes(), algorithm));
        assert_eq!(signed.header.get("alg").unwrap(), algorithm.as_str());
        let refusal = Err(Refusal::Malformed("the payload is not a JSON object"));
        assert_eq!(verify(text.as_bytes(), &keys, &Rules::default(), 0), refusal);
    }
}

#[test]
fn rfc_7515_a5_is_refused() {
    let text = format!("eyJhbGciOiJub25lIn0.{CLAIMS}.");
    let refusal = verify(text.as_bytes(), &set([jwk(A1_KEY)]), &Rules::default(), 0);
    assert_eq!(refusal, Err(Refusal::Malformed("one of its three parts is empty")));
}

#[test]
fn thumbprints_of_rfc_7638_3_1_and_rfc_8037_a3() {
    let rsa = concat!(
        r#"{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tS"#,
        "oc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368Q",
        "QMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPks",
        r#"INHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}"#
    );
    for (key, want) in [
        (jwk(rsa), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"),
        (jwk(ED25519_KEY), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"),
    ] {
        assert_eq!(encode(key.thumbprint()), want);
    }
    let (of_rsa, algorithms) = (jwk(rsa), [Algorithm::Rs256].into_iter().collect());
    assert_eq!((of_rsa.id(), of_rsa.algorithms()), (Some("2011-04-29"), algorithms));
}
