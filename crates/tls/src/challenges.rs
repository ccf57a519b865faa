//! What an authority that proves a host looks for, while an order is under way.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use crate::Error;
use crate::provider::provider;

/// Challenges at a time: far more than orders that can be under way.
const MOST: usize = 1000;

/// What an authority that proves a host looks for (RFC 8555 section 8.3, RFC 8737). Every clone is the same store:
/// who orders certificates fills it, and the data plane answers from it.
#[derive(Debug, Clone, Default)]
pub struct Challenges(Arc<RwLock<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    tokens: HashMap<Box<str>, Arc<str>>,
    proofs: HashMap<Box<str>, Arc<CertifiedKey>>,
}

/// There are too many challenges already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

impl Challenges {
    /// Answers `/.well-known/acme-challenge/TOKEN` from now on.
    ///
    /// # Errors
    /// There are too many.
    pub fn put_token(&self, token: &str, key_authorization: &str) -> Result<(), Full> {
        put(&mut self.write().tokens, token.into(), key_authorization.into())
    }

    /// What is answered to `/.well-known/acme-challenge/TOKEN`.
    pub fn token(&self, token: &str) -> Option<Arc<str>> {
        self.read().tokens.get(token).cloned()
    }

    /// The challenge is over.
    pub fn remove_token(&self, token: &str) {
        self.write().tokens.remove(token);
    }

    /// Presents a certificate to who asks for this host with the protocol `acme-tls/1`, from now on. It comes as
    /// DER, with its key as PKCS #8, and is not looked at: it carries an extension that only the authority knows
    /// (RFC 8737 section 3).
    ///
    /// # Errors
    /// The key cannot be read, or there are too many.
    pub fn put_proof(&self, host: &str, certificate: &[u8], key: &[u8]) -> Result<(), Error> {
        let key = PrivatePkcs8KeyDer::from(key.to_vec()).into();
        let key = provider().key_provider.load_private_key(key);
        let key = key.map_err(|error| Error::new(error.to_string()))?;
        let proof = CertifiedKey::new(vec![CertificateDer::from(certificate.to_vec())], key);
        put(&mut self.write().proofs, host.to_ascii_lowercase().into(), Arc::new(proof))
            .map_err(|Full| Error::new("too many hosts are being proved"))
    }

    /// The challenge is over.
    pub fn remove_proof(&self, host: &str) {
        self.write().proofs.remove(host.to_ascii_lowercase().as_str());
    }

    pub(crate) fn proof(&self, host: &str) -> Option<Arc<CertifiedKey>> {
        self.read().proofs.get(host).cloned()
    }

    // Nothing that holds the lock can leave the maps half changed, so a thread that died does no harm.
    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn put<T>(map: &mut HashMap<Box<str>, T>, key: Box<str>, value: T) -> Result<(), Full> {
    if map.len() >= MOST && !map.contains_key(&key) {
        return Err(Full);
    }
    map.insert(key, value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Challenges, Full, MOST};

    #[test]
    fn tokens_come_and_go_and_are_bounded() {
        let challenges = Challenges::default();
        let same = challenges.clone();
        for number in 0..MOST {
            challenges.put_token(&number.to_string(), "a").unwrap();
        }
        assert_eq!(challenges.put_token("more", "a"), Err(Full));
        assert_eq!(challenges.put_token("7", "b"), Ok(()), "one that is there can change");
        assert_eq!(same.token("7").as_deref(), Some("b"));
        same.remove_token("7");
        assert_eq!(challenges.token("7"), None);
        assert_eq!(challenges.put_token("more", "a"), Ok(()));
    }
}
