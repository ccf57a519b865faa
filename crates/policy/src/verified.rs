//! What one worker has verified lately, so that the same credential is not verified for each request.
//!
//! It knows credentials by a digest only, mixed with a secret of the process where what is shown could be guessed. What
//! it holds ends when the credential does. Its size is bounded: what is not used makes room. Entry points:
//! [`Verified::get`], [`Verified::put`].

use std::fmt;
use std::rc::Rc;

use authority::Kept;
use jose::KeySet;
use quick_cache::Weighter;
use quick_cache::unsync::Cache;

use crate::forward_auth::Grants;
use crate::{Digest, Identity};

/// How much one worker remembers, in bytes. What is verified says how large it is, and who has many tokens could have
/// large ones.
const MOST_BYTES: u64 = 16 << 20;
/// How many credentials that are likely to be: more than these are not remembered either.
const MOST: usize = 8192;
/// What a finding takes besides what is known of the caller, in bytes.
const AROUND: u64 = MOST_BYTES / MOST as u64;

/// A credential, and the settings that it was verified by: another policy has another scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shown {
    /// The settings.
    pub scope: Digest,
    /// The credential.
    pub digest: Digest,
}

/// What was found out about a credential.
#[derive(Debug, Clone)]
pub struct Finding {
    /// Who has shown it; `None` where the credential alone says so.
    pub identity: Option<Rc<Identity>>,
    /// Until when that holds, in seconds since 1970.
    pub until: u64,
    /// The key that it was verified with, where that can be withdrawn.
    pub key: Option<Digest>,
    /// Which state of the keys was looked at last.
    pub generation: u64,
}

struct Bytes;

impl Weighter<Shown, (Finding, u64)> for Bytes {
    fn weight(&self, _: &Shown, (_, bytes): &(Finding, u64)) -> u64 {
        *bytes
    }
}

/// What one worker has verified lately.
pub struct Verified {
    cache: Cache<Shown, (Finding, u64), Bytes>,
    secret: Digest,
    /// What servers have allowed, which is not about credentials alone.
    pub(crate) grants: Grants,
}

impl Default for Verified {
    fn default() -> Self {
        let mut secret = [0; 32];
        // Without it a digest of a password could be tried out; that would take the memory of the process first.
        _ = aws_lc_rs::rand::fill(&mut secret);
        Verified { cache: Cache::with_weighter(MOST, MOST_BYTES, Bytes), secret, grants: Grants::default() }
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl Verified {
    /// What was found out about a credential, if it holds still.
    #[inline]
    pub fn get(&mut self, shown: &Shown, now: u64) -> Option<&Finding> {
        let (finding, _) = self.cache.get(shown)?;
        (now < finding.until).then_some(finding)
    }

    /// Who has shown a credential, if it and the key that it was verified with hold still. Without `keys` a key cannot be
    /// withdrawn.
    #[inline]
    pub(crate) fn identity(
        &mut self,
        shown: &Shown,
        keys: Option<&Kept<KeySet>>,
        now: u64,
    ) -> Option<Rc<Identity>> {
        let generation = keys.map_or(0, Kept::generation);
        let finding = self.get(shown, now)?;
        let identity = Rc::clone(finding.identity.as_ref()?);
        if finding.generation != generation {
            // The keys were fetched anew: is this one still among them?
            let key = finding.key?;
            if !keys?.load().as_ref().is_some_and(|keys| keys.contains(&key)) {
                self.forget(shown);
                return None;
            }
            if let Some(mut finding) = self.cache.get_mut(shown) {
                finding.0.generation = generation;
            }
        }
        Some(identity)
    }

    /// Takes note of what was found out.
    pub fn put(&mut self, shown: Shown, finding: Finding) {
        let size = finding.identity.as_ref().map_or(0, |identity| identity.size() as u64);
        self.cache.insert(shown, (finding, size.max(AROUND)));
    }

    /// Forgets a credential.
    pub fn forget(&mut self, shown: &Shown) {
        self.cache.remove(shown);
    }

    /// What digests of guessable things are mixed with: another one for each worker and each start.
    pub fn secret(&self) -> &Digest {
        &self.secret
    }

    /// How many credentials it remembers.
    pub fn len(&self) -> usize {
        self.cache.len()
    }

    /// Whether it remembers none.
    pub fn is_empty(&self) -> bool {
        self.cache.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(number: u32) -> Shown {
        let mut digest = [0; 32];
        digest[..4].copy_from_slice(&number.to_le_bytes());
        Shown { scope: [1; 32], digest }
    }

    fn until(until: u64) -> Finding {
        Finding { identity: None, until, key: None, generation: 0 }
    }

    #[test]
    fn a_finding_ends() {
        let mut verified = Verified::default();
        verified.put(shown(1), until(100));
        assert!(verified.get(&shown(1), 99).is_some());
        assert!(verified.get(&shown(1), 100).is_none());
        assert!(verified.get(&Shown { scope: [2; 32], ..shown(1) }, 0).is_none(), "another policy's");
        verified.forget(&shown(1));
        assert!(verified.get(&shown(1), 99).is_none());
    }

    #[test]
    fn it_does_not_grow() {
        let mut verified = Verified::default();
        (0..100_000).for_each(|number| verified.put(shown(number), until(u64::MAX)));
        assert!(verified.len() <= MOST, "{}", verified.len());
        // Of those that say much, there are fewer.
        let mut claims = serde_json::Map::new();
        claims.insert("text".to_owned(), "x".repeat(30_000).into());
        let identity = Some(Rc::new(Identity { claims, ..Identity::default() }));
        for number in 0..10_000 {
            verified.put(shown(number), Finding { identity: identity.clone(), ..until(u64::MAX) });
        }
        assert!((100..560).contains(&verified.len()), "{}", verified.len());
    }
}
