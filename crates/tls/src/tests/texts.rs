//! What is said about files that are not what they should be.

use super::Authority;
use crate::{Authorities, Certificate, Chain, KeyKind, RevocationList};

#[test]
fn what_is_wrong_with_a_pair_is_said() {
    let authority = Authority::new("ca");
    let (one, other) = (authority.make(&["a.test"]), authority.make(&["a.test"]));
    let wrong = |cert: &str, key: &str| {
        let error = Certificate::from_pem(cert, key).unwrap_err();
        format!("{error} / {}", error.next_step().unwrap_or("-"))
    };
    let cut = one.cert.replace("-----END CERTIFICATE-----", "");
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let locked = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let bad_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let chained = format!("{}{}", authority.pem, one.cert);
    for (cert, key, wanted) in [
        ("", one.key.as_str(), "there is no certificate in the file / a certificate in PEM begins"),
        (&one.key, &one.key, "there is no certificate in the file / the file holds a private key"),
        (&cut, &one.key, "the certificate cannot be read"),
        (garbage, &one.key, "the certificate cannot be read: it is not well formed"),
        (&one.cert, "", "there is no key in the file / a key in PEM begins"),
        (&one.cert, &one.cert, "there is no key in the file / the file holds a certificate"),
        (&one.cert, locked, "the key has a passphrase / Gateward starts without"),
        (&one.cert, bad_key, "keys of this kind or size are not supported / make another one"),
        (&one.cert, &other.key, "the key does not belong to the certificate / the key must be"),
        (&chained, &one.key, "the key does not belong to the certificate / the key must be"),
        (&one.cert.repeat(17), &one.key, "there are 17 certificates in the file / keep"),
    ] {
        let said = wrong(cert, key);
        assert!(said.starts_with(wanted), "{said}");
        assert!(!said.contains("AAAA"), "{said}");
    }
    let chain = Chain::from_pem(&format!("{}{}", one.cert, authority.pem)).unwrap();
    assert_eq!(chain.with_key(&one.key).unwrap().kind(), KeyKind::Ecdsa);
    assert!(!format!("{:?}", one.certificate()).contains("PRIVATE"));
}

#[test]
fn lists_of_authorities_and_of_revoked_certificates_are_read() {
    let (one, other) = (Authority::new("one"), Authority::new("other"));
    let both = format!("{}{}", one.pem, other.pem);
    assert_ne!(Authorities::from_pem(&both).unwrap(), one.authorities());
    assert_eq!(Authorities::from_pem(&one.pem).unwrap(), one.authorities());
    let said = |text: &str| Authorities::from_pem(text).unwrap_err().to_string();
    assert_eq!(said("nothing"), "there is no certificate in the file");
    let broken = format!("{}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", one.pem);
    assert!(said(&broken).starts_with("certificate 2 of the file cannot be read"), "{}", said(&broken));
    let wrong = |text: &str| RevocationList::from_pem(text).unwrap_err().to_string();
    assert_eq!(wrong(&one.pem), "there is no list of revoked certificates in the file");
    assert!(wrong("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n").ends_with("not well formed"));
}
