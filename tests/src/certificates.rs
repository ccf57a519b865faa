//! Certificates for tests: authorities, what they sign, and lists of what they revoked.
//!
//! Made by `rcgen`, which shares no code with what reads them in Gateward. Entry points: [`Authority`], [`Wish`].

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevocationReason, RevokedCertParams, RsaKeySize,
    SerialNumber, date_time_ymd,
};

/// What somebody shows: PEM of the certificate and of its key.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate.
    pub cert: String,
    /// Its key, PKCS#8.
    pub key: String,
    serial: u64,
}

/// The kind of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Key {
    /// ECDSA on P-256.
    Ecdsa,
    /// RSA with 2048 bits.
    Rsa,
}

/// What a certificate is to say.
#[derive(Clone, Debug)]
pub struct Wish {
    names: Vec<String>,
    common_name: String,
    key: Key,
    days: std::ops::Range<i64>,
    usage: ExtendedKeyUsagePurpose,
}

impl Wish {
    /// Of a server with these names, or addresses.
    pub fn server(names: &[&str]) -> Wish {
        Wish {
            names: names.iter().map(ToString::to_string).collect(),
            common_name: names.first().map(ToString::to_string).unwrap_or_default(),
            key: Key::Ecdsa,
            days: -1..89,
            usage: ExtendedKeyUsagePurpose::ServerAuth,
        }
    }

    /// Of a client.
    pub fn client(common_name: &str) -> Wish {
        Wish {
            common_name: common_name.to_owned(),
            usage: ExtendedKeyUsagePurpose::ClientAuth,
            ..Wish::server(&["client.test"])
        }
    }

    /// With another kind of key.
    pub fn key(mut self, key: Key) -> Wish {
        self.key = key;
        self
    }

    /// Valid in these days, counted from today.
    pub fn days(mut self, days: std::ops::Range<i64>) -> Wish {
        self.days = days;
        self
    }
}

/// Someone who signs.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    cert: String,
    next: std::sync::atomic::AtomicU64,
}

/// How long after 1970 it is so many days from now.
fn since(days: i64) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Duration::from_secs(now.as_secs().saturating_add_signed(days * 24 * 3600))
}

impl Authority {
    /// A new one.
    pub fn new(name: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        (params.not_before, params.not_after) =
            (date_time_ymd(1970, 1, 1) + since(-2), date_time_ymd(1970, 1, 1) + since(3650));
        let key = KeyPair::generate().unwrap();
        let cert = params.self_signed(&key).unwrap().pem();
        Authority { issuer: Issuer::new(params, key), cert, next: 1.into() }
    }

    /// Its own certificate.
    pub fn cert(&self) -> &str {
        &self.cert
    }

    /// Signs.
    pub fn sign(&self, wish: &Wish) -> Identity {
        let serial = self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mut params = CertificateParams::new(wish.names.clone()).unwrap();
        params.distinguished_name.push(DnType::CommonName, wish.common_name.as_str());
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![wish.usage.clone()];
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(SerialNumber::from(serial));
        (params.not_before, params.not_after) = (
            date_time_ymd(1970, 1, 1) + since(wish.days.start),
            date_time_ymd(1970, 1, 1) + since(wish.days.end),
        );
        let key = match wish.key {
            Key::Ecdsa => KeyPair::generate(),
            Key::Rsa => KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048),
        };
        let key = key.unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap().pem();
        Identity { cert, key: key.serialize_pem(), serial }
    }

    /// A list of those that it takes back.
    pub fn revoke(&self, revoked: &[&Identity]) -> String {
        let revoked = revoked.iter().map(|identity| RevokedCertParams {
            serial_number: SerialNumber::from(identity.serial),
            revocation_time: date_time_ymd(1970, 1, 1) + since(-1),
            reason_code: Some(RevocationReason::KeyCompromise),
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(1970, 1, 1) + since(-1),
            next_update: date_time_ymd(1970, 1, 1) + since(30),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}
