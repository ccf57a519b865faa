//! Sealing: only who has the key can read or make what a browser keeps for us.
//!
//! AES-256-GCM under keys that are derived by HKDF-SHA256 (RFC 5869) from a master secret. Half of 24 random
//! bytes goes into the derivation and half is the nonce, as in XAES-256-GCM: so the number of cookies under one
//! master secret has no practical limit, which 96 random bits alone would set at 2^32 (NIST SP 800-38D §8.3).
//! It must not know what is sealed. Entry points: [`Keys::new`], [`Keys::seal`], [`Keys::open`].

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

/// Fills bytes with randomness that nobody can foresee. In production that is `&mut aws_lc_rs::rand::fill`.
pub type Random<'a> = dyn FnMut(&mut [u8]) -> Result<(), Unspecified> + 'a;

/// The system gave no randomness, or cryptography failed within. Nothing was made; the request has to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRandomness;

impl fmt::Display for NoRandomness {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("there is no randomness to make keys from")
    }
}

impl std::error::Error for NoRandomness {}

impl From<Unspecified> for NoRandomness {
    fn from(_: Unspecified) -> Self {
        Self
    }
}

/// So many random bytes as text, each 3 bytes as 4 characters.
pub(crate) fn random_text<const BYTES: usize>(random: &mut Random<'_>) -> Result<String, NoRandomness> {
    let mut bytes = Zeroizing::new([0; BYTES]);
    random(&mut *bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes.as_slice()))
}

/// What sealed text is for. One purpose cannot open what another sealed, for it has other keys.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    /// A session.
    Session,
    /// A login under way.
    Login,
}

impl Purpose {
    const fn label(self) -> &'static [u8] {
        match self {
            Purpose::Session => b"session",
            Purpose::Login => b"login",
        }
    }
}

/// What sealed text belongs to. It opens nowhere else.
#[derive(Clone, Copy)]
pub(crate) struct Binding<'a> {
    pub(crate) purpose: Purpose,
    pub(crate) issuer: &'a str,
    pub(crate) client_id: &'a str,
    /// Empty where it holds for every host of the client.
    pub(crate) host: &'a str,
}

impl Binding<'_> {
    /// Lengths stand before the texts, so that no two bindings look the same.
    fn associated_data(self) -> Vec<u8> {
        let parts =
            [self.purpose.label(), self.issuer.as_bytes(), self.client_id.as_bytes(), self.host.as_bytes()];
        let mut out = vec![VERSION];
        for part in parts {
            out.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            out.extend_from_slice(part);
        }
        out
    }
}

/// The first byte of what is sealed: another way of sealing gets another number.
const VERSION: u8 = 1;
const SALT: usize = 12;
const NONCE: usize = 12;
const TAG: usize = 16;

/// The keys that cookies are sealed with, made from master secrets.
pub struct Keys(Vec<hkdf::Prk>);

impl fmt::Debug for Keys {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Keys({})", self.0.len())
    }
}

impl Keys {
    /// No more secrets than this are taken: each costs an attempt for every cookie that is forged.
    pub const MOST: usize = 8;

    /// Makes keys from master secrets of 32 random bytes: the first seals, all open. To change the secret, put the
    /// new one in front, and take the old one away when no session can be older.
    ///
    /// `None` if there is no secret or more than [`Keys::MOST`].
    pub fn new(masters: &[&[u8; 32]]) -> Option<Self> {
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"gateward oidc cookies");
        let fits = (1..=Self::MOST).contains(&masters.len());
        fits.then(|| Self(masters.iter().map(|master| salt.extract(*master)).collect()))
    }

    /// Text for a cookie: base64url of version, salt, nonce, what was sealed, and its tag.
    pub(crate) fn seal(
        &self,
        binding: Binding<'_>,
        plain: &[u8],
        random: &mut Random<'_>,
    ) -> Result<String, NoRandomness> {
        let mut unique = [0; SALT + NONCE];
        random(&mut unique)?;
        let (salt, nonce) = unique.split_at(SALT);
        let key = derive(self.0.first().ok_or(NoRandomness)?, binding.purpose, salt)?;
        let mut text = Zeroizing::new(plain.to_vec());
        let tag = key.seal_in_place_separate_tag(
            Nonce::try_assume_unique_for_key(nonce)?,
            Aad::from(binding.associated_data()),
            &mut text,
        )?;
        let mut sealed = Vec::with_capacity(1 + unique.len() + text.len() + TAG);
        sealed.push(VERSION);
        sealed.extend_from_slice(&unique);
        sealed.extend_from_slice(&text);
        sealed.extend_from_slice(tag.as_ref());
        Ok(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// What was sealed, if it was sealed by one of the keys for just this. The caller bounds the length.
    pub(crate) fn open(&self, binding: Binding<'_>, text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (version, rest) = sealed.split_first()?;
        let (salt, rest) = rest.split_at_checked(SALT)?;
        let (nonce, rest) = rest.split_at_checked(NONCE)?;
        let (body, tag) = rest.split_at_checked(rest.len().checked_sub(TAG)?)?;
        if *version != VERSION {
            return None;
        }
        let associated = binding.associated_data();
        let mut plain = Zeroizing::new(vec![0; body.len()]);
        let opens = self.0.iter().any(|prk| {
            let nonce = Nonce::try_assume_unique_for_key(nonce);
            let key = derive(prk, binding.purpose, salt);
            nonce.is_ok_and(|nonce| {
                key.is_ok_and(|key| {
                    key.open_separate_gather(nonce, Aad::from(&associated), body, tag, &mut plain).is_ok()
                })
            })
        });
        opens.then_some(plain)
    }
}

fn derive(prk: &hkdf::Prk, purpose: Purpose, salt: &[u8]) -> Result<LessSafeKey, Unspecified> {
    let mut key = Zeroizing::new([0; 32]);
    prk.expand(&[purpose.label(), salt], &AES_256_GCM)?.fill(&mut *key)?;
    UnboundKey::new(&AES_256_GCM, &*key).map(LessSafeKey::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BINDING: Binding<'_> =
        Binding { purpose: Purpose::Login, issuer: "https://p", client_id: "web", host: "a.test" };

    fn sealed(keys: &Keys) -> String {
        keys.seal(BINDING, b"text", &mut aws_lc_rs::rand::fill).unwrap()
    }

    #[test]
    fn it_opens_only_as_it_was_sealed_and_where_it_belongs() {
        let keys = Keys::new(&[&[1; 32]]).unwrap();
        let text = sealed(&keys);
        assert_eq!(keys.open(BINDING, text.as_bytes()).unwrap().as_slice(), b"text");
        for other in [
            Binding { purpose: Purpose::Session, ..BINDING },
            Binding { issuer: "https://q", ..BINDING },
            Binding { client_id: "weba", host: ".test", ..BINDING },
            Binding { host: "b.test", ..BINDING },
        ] {
            assert!(keys.open(other, text.as_bytes()).is_none());
        }
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert!(keys.open(BINDING, &changed).is_none(), "at {at}");
            assert!(keys.open(BINDING, &text.as_bytes()[..at]).is_none(), "cut at {at}");
        }
    }

    #[test]
    fn every_sealing_has_its_own_salt_and_nonce() {
        let keys = Keys::new(&[&[1; 32]]).unwrap();
        assert_ne!(sealed(&keys), sealed(&keys));
        let failing: &mut Random<'_> = &mut |_| Err(Unspecified);
        assert_eq!(keys.seal(BINDING, b"text", failing), Err(NoRandomness));
    }

    #[test]
    fn the_first_key_seals_and_all_open() {
        let (old, new) = ([1; 32], [2; 32]);
        let before = Keys::new(&[&old]).unwrap();
        let between = Keys::new(&[&new, &old]).unwrap();
        let after = Keys::new(&[&new]).unwrap();
        let of_old = sealed(&before);
        let of_new = sealed(&between);
        assert!(between.open(BINDING, of_old.as_bytes()).is_some());
        assert!(after.open(BINDING, of_old.as_bytes()).is_none());
        assert!(after.open(BINDING, of_new.as_bytes()).is_some());
        assert!(before.open(BINDING, of_new.as_bytes()).is_none());
        assert!(Keys::new(&[]).is_none() && Keys::new(&[&old; 9]).is_none());
        assert_eq!(format!("{between:?}"), "Keys(2)");
    }

    /// The format must not change by accident: sessions would end with an update.
    #[test]
    fn with_the_same_randomness_it_is_the_same_text() {
        let keys = Keys::new(&[&[7; 32]]).unwrap();
        let mut ones = |out: &mut [u8]| {
            out.fill(1);
            Ok(())
        };
        let text = keys.seal(BINDING, b"text", &mut ones).unwrap();
        assert_eq!(text, GOLDEN);
    }

    const GOLDEN: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAbkxzjKsps_UBh7KNs8x4NnhOryZ";
}
