//! What a certificate says about who has shown it.

use rcgen::{CertificateParams, DnType, SanType};

use super::Authority;
use crate::PeerCertificate;

fn peer(change: impl FnOnce(&mut CertificateParams)) -> Result<PeerCertificate, crate::Error> {
    let made = Authority::new("ca").make_with(&[], &rcgen::PKCS_ECDSA_P256_SHA256, change);
    PeerCertificate::from_der(&made.der)
}

#[test]
fn names_numbers_and_addresses_are_read() {
    let peer = peer(|params| {
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Example, Inc.");
        params.distinguished_name.push(DnType::CommonName, " #bill+ing");
        params.distinguished_name.push(DnType::CustomDnType(vec![1, 2, 3, 4]), "x");
        params.serial_number = Some(rcgen::SerialNumber::from_slice(&[0, 0xab, 0xcd]));
        params.subject_alt_names = vec![
            SanType::DnsName("Billing.Internal".try_into().unwrap()),
            SanType::URI("spiffe://example.com/billing".try_into().unwrap()),
            SanType::Rfc822Name("Ops@example.com".try_into().unwrap()),
            SanType::IpAddress("10.0.0.1".parse().unwrap()),
            SanType::IpAddress("fd00::1".parse().unwrap()),
        ];
        params.not_after = rcgen::date_time_ymd(2030, 1, 1);
    })
    .unwrap();
    assert_eq!(&*peer.subject, "1.2.3.4=#78,CN=\\ #bill\\+ing,O=Example\\, Inc.");
    assert_eq!(&*peer.serial, "abcd");
    assert_eq!(peer.dns, ["billing.internal".into()]);
    assert_eq!(peer.uris, ["spiffe://example.com/billing".into()]);
    assert_eq!(peer.emails, ["Ops@example.com".into()]);
    assert_eq!(peer.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.1", "fd00::1"]);
    assert_eq!(peer.fingerprint.len(), 64);
    assert_eq!(peer.not_after.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs(), 1_893_456_000);
}

#[test]
fn what_is_not_what_it_seems_is_refused() {
    let san = |names: Vec<SanType>| peer(|params| params.subject_alt_names = names);
    let uri = |text: &str| SanType::URI(text.try_into().unwrap());
    assert!(san(vec![uri("spiffe://a\0.example.com")]).is_err(), "a NUL in a name");
    assert!(san(vec![uri("spiffe://a\r\nx: y")]).is_err());
    assert!(san(vec![uri(&"a".repeat(2000))]).is_err());
    assert!(san((0..65).map(|number| uri(&number.to_string())).collect()).is_err());
    assert!(san((0..64).map(|number| uri(&number.to_string())).collect()).is_ok());
    let subject = |text: &str| peer(|params| params.distinguished_name.push(DnType::CommonName, text));
    assert!(subject("a\nb").is_err() && subject("a\u{7f}b").is_err() && subject(&"a".repeat(2000)).is_err());
    assert_eq!(&*subject("Zoë").unwrap().subject, "CN=Zoë");
    for bytes in [&b""[..], b"\x30", b"\x30\x84\xff\xff\xff\xff", b"certificate"] {
        assert!(PeerCertificate::from_der(bytes).is_err());
    }
}

#[test]
fn no_cut_or_changed_certificate_does_harm() {
    let der = Authority::new("ca").make(&["a.test"]).der;
    for length in 0..der.len() {
        assert!(PeerCertificate::from_der(&der[..length]).is_err(), "{length}");
    }
    for at in 0..der.len() {
        let mut changed = der.clone();
        changed[at] ^= 0x55;
        if let Ok(peer) = PeerCertificate::from_der(&changed) {
            assert!(!peer.subject.contains(char::is_control) && peer.subject.len() <= 2048);
        }
    }
}
