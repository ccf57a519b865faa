//! What requests look into: which key a secret is of, and whether it holds.
//!
//! It is divided into parts that are replaced as a whole when something in them changes: whoever looks takes no lock,
//! allocates nothing and counts no reference, and a change copies one part. It must not know where keys are kept. Entry
//! points: [`Table::find`], [`Slot::standing`].

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use hashbrown::HashTable;

use crate::{Digest, Id, Key};

/// Into how many parts it is divided: by one byte of a digest.
const PARTS: usize = 256;
/// When a secret was seen is noted so precisely, in seconds: more often, workers would meet at one that is busy.
const SEEN: u64 = 60;

type Part = HashTable<Arc<Slot>>;

/// The secrets of all keys.
pub struct Table {
    parts: Box<[ArcSwap<Part>]>,
    /// There may be keys that are not in it, because those that are kept cannot be read.
    lacks_keys: AtomicBool,
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").finish_non_exhaustive()
    }
}

/// A secret of a key.
pub struct Slot {
    digest: Digest,
    key: Arc<Key>,
    /// Until when it holds if the key does, where it was replaced.
    until: Option<u64>,
    place: AtomicU32,
    seen: AtomicU64,
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("key", &self.key).field("until", &self.until).finish_non_exhaustive()
    }
}

/// Whether a secret holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It does.
    Holds,
    /// Its key is switched off.
    Disabled,
    /// The time of its key is over.
    Expired,
    /// Its key has another secret, and the time of grace is over.
    Replaced,
}

impl Slot {
    /// The id of its key.
    pub fn id(&self) -> Id {
        self.key.id
    }

    /// Whose it is: the name of a consumer.
    pub fn consumer(&self) -> &str {
        &self.key.consumer
    }

    /// Whether it holds.
    #[inline]
    pub fn standing(&self, now: u64) -> Standing {
        if self.key.disabled {
            Standing::Disabled
        } else if self.key.expires.is_some_and(|end| now >= end) {
            Standing::Expired
        } else if self.until.is_some_and(|until| now >= until) {
            Standing::Replaced
        } else {
            Standing::Holds
        }
    }

    /// Where its consumer was found among others the last time. That may be of another configuration: whoever uses it
    /// compares the name. It spares a search for each request.
    #[inline]
    pub fn place(&self) -> u32 {
        self.place.load(Ordering::Relaxed)
    }

    /// Takes note of where its consumer was found.
    pub fn set_place(&self, place: u32) {
        self.place.store(place, Ordering::Relaxed);
    }

    /// Takes note that somebody has shown it, to the minute.
    #[inline]
    pub fn see(&self, now: u64) {
        if now.abs_diff(self.seen.load(Ordering::Relaxed)) >= SEEN {
            self.seen.store(now, Ordering::Relaxed);
        }
    }
}

impl Default for Table {
    fn default() -> Table {
        let part = || ArcSwap::from_pointee(Part::new());
        let parts = std::iter::repeat_with(part).take(PARTS).collect();
        Table { parts, lacks_keys: AtomicBool::new(false) }
    }
}

impl Table {
    /// Looks at the secret with this SHA-256, if a key has it. One probe: the table has no more to tell by its timing
    /// than the first bits of a digest, which say nothing of the secret.
    #[inline]
    pub fn find<T>(&self, digest: &Digest, look: impl FnOnce(&Slot) -> T) -> Option<T> {
        let part = self.part(digest).load();
        part.find(hash(digest), |slot| slot.digest == *digest).map(|slot| look(slot))
    }

    /// Whether a secret that is not found could be that of a key all the same: those that are kept cannot be read.
    pub fn lacks_keys(&self) -> bool {
        self.lacks_keys.load(Ordering::Acquire)
    }

    /// Takes note of whether those that are kept can be read.
    pub fn set_lacks_keys(&self, lacks_keys: bool) {
        self.lacks_keys.store(lacks_keys, Ordering::Release);
    }

    /// When the secrets of a key were shown the last time since this process was started, in seconds since 1970: those that
    /// were replaced first; `None` for never.
    pub fn seen(&self, key: &Key) -> Vec<Option<u64>> {
        let seen = |digest: &Digest| self.find(digest, |slot| slot.seen.load(Ordering::Relaxed));
        key.secrets().map(|(digest, _)| seen(&digest).filter(|seen| *seen != 0)).collect()
    }

    fn part(&self, digest: &Digest) -> &ArcSwap<Part> {
        // There are as many parts as a byte has values.
        &self.parts[usize::from(digest[8]) % PARTS]
    }

    /// Puts a key into the place of what it was before.
    pub(crate) fn change(&self, before: Option<&Key>, after: Option<&Arc<Key>>) {
        // What is new comes first: at no moment is a secret missing that holds before and after.
        let kept: Vec<Digest> =
            after.map_or_else(Vec::new, |key| key.secrets().map(|(digest, _)| digest).collect());
        for (digest, until) in after.iter().flat_map(|key| key.secrets()) {
            let Some(key) = after else { continue };
            let slot = |old: Option<&Slot>| Slot {
                digest,
                key: Arc::clone(key),
                until,
                place: AtomicU32::new(old.map_or(0, Slot::place)),
                seen: AtomicU64::new(old.map_or(0, |old| old.seen.load(Ordering::Relaxed))),
            };
            self.replace(&digest, |old| Some(Arc::new(slot(old))));
        }
        for (digest, _) in before.iter().flat_map(|key| key.secrets()) {
            if !kept.contains(&digest) {
                self.replace(&digest, |_| None);
            }
        }
    }

    fn replace(&self, digest: &Digest, make: impl FnOnce(Option<&Slot>) -> Option<Arc<Slot>>) {
        let place = self.part(digest);
        let mut part = Part::clone(&place.load());
        let old = match part.find_entry(hash(digest), |slot| slot.digest == *digest) {
            Ok(found) => Some(found.remove().0),
            Err(_) => None,
        };
        if let Some(slot) = make(old.as_deref()) {
            part.insert_unique(hash(digest), slot, |slot| hash(&slot.digest));
        }
        place.store(Arc::new(part));
    }

    /// Holds these keys, and no others any more.
    pub fn fill(&self, keys: &BTreeMap<Id, Arc<Key>>) {
        let mut parts: Vec<Part> = std::iter::repeat_with(Part::new).take(PARTS).collect();
        for key in keys.values() {
            for (digest, until) in key.secrets() {
                let (place, seen) = (AtomicU32::new(0), AtomicU64::new(0));
                let slot = Arc::new(Slot { digest, key: Arc::clone(key), until, place, seen });
                if let Some(part) = parts.get_mut(usize::from(digest[8])) {
                    part.insert_unique(hash(&digest), slot, |slot| hash(&slot.digest));
                }
            }
        }
        for (place, part) in self.parts.iter().zip(parts) {
            place.store(Arc::new(part));
        }
    }

    /// Holds no key any more.
    pub fn clear(&self) {
        self.fill(&BTreeMap::new());
    }
}

/// A digest is as good as random, and nobody who probes can choose what is in the table.
fn hash(digest: &Digest) -> u64 {
    digest.first_chunk().map_or(0, |first| u64::from_le_bytes(*first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Secret;

    fn secret(number: u8) -> Secret {
        Secret::of(&[number; 32])
    }

    fn key(number: u8, expires: Option<u64>) -> Arc<Key> {
        Arc::new(Key::new(Id::of([number; 8]), "mobile", "", &secret(number), 1_000, expires).unwrap())
    }

    fn standing(table: &Table, number: u8, now: u64) -> Option<Standing> {
        table.find(&secret(number).digest(), |slot| slot.standing(now))
    }

    #[test]
    fn a_secret_is_found_as_long_as_its_key_has_it() {
        let table = Table::default();
        assert_eq!(standing(&table, 1, 0), None);
        let first = key(1, Some(5_000));
        table.change(None, Some(&first));
        table.change(None, Some(&key(9, None)));
        assert_eq!(
            [0, 4_999, 5_000].map(|now| standing(&table, 1, now)),
            [Some(Standing::Holds), Some(Standing::Holds), Some(Standing::Expired)]
        );
        let second = Arc::new(first.rotated(&secret(2), 2_000, 100).unwrap());
        table.change(Some(&first), Some(&second));
        assert_eq!(standing(&table, 1, 2_099), Some(Standing::Holds));
        assert_eq!(standing(&table, 1, 2_100), Some(Standing::Replaced));
        assert_eq!(standing(&table, 2, 2_100), Some(Standing::Holds));
        assert_eq!(standing(&table, 1, 5_000), Some(Standing::Expired));
        let off = Arc::new(Key { disabled: true, ..Key::clone(&second) });
        table.change(Some(&second), Some(&off));
        assert_eq!([1, 2].map(|number| standing(&table, number, 2_000)), [Some(Standing::Disabled); 2]);
        table.change(Some(&off), None);
        assert_eq!([1, 2].map(|number| standing(&table, number, 2_000)), [None; 2]);
        assert_eq!(standing(&table, 9, 2_000), Some(Standing::Holds), "that of another one stays");
        table.fill(&BTreeMap::from([(first.id, first)]));
        assert_eq!([1, 9].map(|number| standing(&table, number, 0).is_some()), [true, false]);
        table.clear();
        assert_eq!(standing(&table, 1, 0), None);
    }

    #[test]
    fn when_it_was_seen_outlives_a_change() {
        let table = Table::default();
        let first = key(1, None);
        table.change(None, Some(&first));
        let see = |number, now| table.find(&secret(number).digest(), |slot| slot.see(now)).unwrap();
        assert_eq!(table.seen(&first), [None]);
        see(1, 1_000);
        see(1, 1_030);
        assert_eq!(table.seen(&first), [Some(1_000)], "to the minute");
        table.find(&secret(1).digest(), |slot| slot.set_place(7)).unwrap();
        let second = Arc::new(first.rotated(&secret(2), 2_000, 100).unwrap());
        table.change(Some(&first), Some(&second));
        assert_eq!(table.find(&secret(1).digest(), Slot::place), Some(7));
        see(2, 2_000);
        assert_eq!(table.seen(&second), [Some(1_000), Some(2_000)]);
    }

    #[test]
    fn it_holds_what_a_map_holds() {
        let mut rng = fastrand::Rng::with_seed(5);
        let (table, mut map) = (Table::default(), BTreeMap::<u8, Arc<Key>>::new());
        for _ in 0..5_000 {
            let number = rng.u8(..);
            let before = map.get(&number).cloned();
            let after = rng.bool().then(|| key(number, None));
            table.change(before.as_deref(), after.as_ref());
            match after {
                Some(key) => drop(map.insert(number, key)),
                None => drop(map.remove(&number)),
            }
            let asked = rng.u8(..);
            assert_eq!(standing(&table, asked, 0).is_some(), map.contains_key(&asked));
        }
    }
}
