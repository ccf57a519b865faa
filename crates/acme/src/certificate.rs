//! A certificate with its key, and what can be read from it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::SystemTime;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::{Error, Facts, Host, moment};

/// A certificate with its chain, and its key, as PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Pair {
    /// The certificate first, then its chain.
    pub chain: String,
    /// The key (PKCS #8).
    pub key: String,
}

/// The key is never printed.
impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pair").field("chain", &self.chain).finish_non_exhaustive()
    }
}

/// A certificate that was read, and fits its host and its key.
pub(crate) struct Read {
    /// What the schedule needs.
    pub(crate) facts: Facts,
    /// The certificate without its chain.
    pub(crate) leaf: CertificateDer<'static>,
}

impl Pair {
    /// Reads it, and sees whether it can be used for `host`.
    ///
    /// # Errors
    /// It cannot be read, its key is another one, or it is for other hosts.
    pub(crate) fn read(&self, host: &Host) -> Result<Read, Error> {
        // The same judge as for certificates of the configuration: what passes here can be served.
        tls::Certificate::from_pem(&self.chain, &self.key).map_err(|error| Error::new(error.to_string()))?;
        let leaf = CertificateDer::pem_slice_iter(self.chain.as_bytes())
            .next()
            .and_then(Result::ok)
            .ok_or_else(|| Error::new("there is no certificate in the file"))?;
        let (_, parsed) = X509Certificate::from_der(&leaf)
            .map_err(|error| Error::new(format!("the certificate cannot be read: {error}")))?;
        if !names(&parsed).any(|name| name.eq_ignore_ascii_case(host.as_str())) {
            return Err(Error::new(format!("the certificate is not for {host}")));
        }
        let validity = parsed.validity();
        let facts = Facts {
            not_before: moment::from_unix(validity.not_before.timestamp()),
            not_after: moment::from_unix(validity.not_after.timestamp()),
            spread: spread(&leaf),
        };
        Ok(Read { facts, leaf: leaf.into_owned() })
    }

    /// As [`Pair::read`], for one that was obtained just now.
    ///
    /// # Errors
    /// As there, or it has expired.
    pub(crate) fn read_new(&self, host: &Host, now: SystemTime) -> Result<Read, Error> {
        let read = self.read(host).map_err(|why| why.after("the authority sent what cannot be used"))?;
        if read.facts.not_after <= now {
            let until = moment::written(read.facts.not_after);
            return Err(Error::new(format!(
                "the authority sent a certificate that was valid until {until}: is the clock of this machine right?"
            )));
        }
        Ok(read)
    }
}

fn names<'a>(certificate: &'a X509Certificate<'_>) -> impl Iterator<Item = &'a str> {
    let alternatives = certificate.subject_alternative_name().ok().flatten();
    alternatives.into_iter().flat_map(|names| &names.value.general_names).filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(*name),
        _ => None,
    })
}

/// A number from 0 to 1 that nobody can tell before the certificate is there, and that stays.
fn spread(leaf: &CertificateDer<'_>) -> f64 {
    let mut hasher = DefaultHasher::new();
    leaf.as_ref().hash(&mut hasher);
    f64::from(u32::try_from(hasher.finish() >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair};
    use std::time::Duration;

    /// A certificate for `names` that signs itself, valid from 2023-11-14 22:13:20 for `days`.
    pub(crate) fn pair(names: &[&str], days: u64) -> Pair {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        let start = moment::from_unix(1_700_000_000);
        params.not_before = start.into();
        params.not_after = (start + Duration::from_secs(days * 86_400)).into();
        let key = KeyPair::generate().unwrap();
        Pair { chain: params.self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
    }

    fn host(name: &str) -> Host {
        Host::parse(name).unwrap()
    }

    #[test]
    fn a_certificate_that_fits_is_read() {
        for (names, wanted) in [
            (&["a.example"][..], "a.example"),
            (&["x.example", "A.Example"][..], "a.example"),
            (&["*.a.example"][..], "*.a.example"),
        ] {
            let read = pair(names, 90).read(&host(wanted)).unwrap();
            assert_eq!(moment::written(read.facts.not_before), "2023-11-14T22:13:20Z");
            assert_eq!(moment::written(read.facts.not_after), "2024-02-12T22:13:20Z");
            assert!((0.0..=1.0).contains(&read.facts.spread));
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let (good, other) = (pair(&["a.example"], 90), pair(&["a.example"], 90));
        for (pair, words) in [
            (Pair { key: other.key.clone(), ..good.clone() }, "does not belong to the certificate"),
            (Pair { chain: String::new(), ..good.clone() }, "no certificate in the file"),
            (
                Pair { chain: "-----BEGIN CERTIFICATE-----\nAAAA".to_owned(), ..good.clone() },
                "cannot be read",
            ),
            (Pair { key: String::new(), ..good.clone() }, "no key in the file"),
            (pair(&["b.example"], 90), "not for a.example"),
            // A wildcard is another certificate, even if it would do.
            (pair(&["*.example"], 90), "not for a.example"),
        ] {
            let why = pair.read(&host("a.example")).err().map(|why| why.0).unwrap_or_default();
            assert!(why.contains(words), "{why}");
        }
        let why = good.read_new(&host("a.example"), moment::from_unix(1_800_000_000)).err().unwrap();
        assert!(why.0.contains("clock"), "{why}");
        assert!(!format!("{good:?}").contains("PRIVATE"));
    }
}
