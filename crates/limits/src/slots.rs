//! How many requests somebody may have under way at once.
//!
//! A key is known only while it has requests under way, so there are no more of them than requests. Entry points:
//! [`Slots::take`]; a [`Slot`] gives its place back when it is dropped.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashTable;

use crate::Key;

/// Into how many parts it is divided, so that threads rarely want the same one at a time.
const PARTS: usize = 64;

/// Keys, and how many requests each of them has under way.
type Part = HashTable<(u64, NonZeroU32)>;

/// Who has how many requests under way.
#[derive(Debug)]
pub struct Slots {
    hasher: RandomState,
    parts: Box<[Mutex<Part>]>,
}

impl Default for Slots {
    fn default() -> Self {
        let parts = std::iter::repeat_with(Mutex::default).take(PARTS).collect();
        Slots { hasher: RandomState::new(), parts }
    }
}

/// A request that is under way.
#[derive(Debug)]
#[must_use = "it is over when this is dropped"]
pub struct Slot {
    of: Arc<Slots>,
    key: Key,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.of.release(self.key);
    }
}

impl Slots {
    /// The key of somebody, from all that tells it from others.
    #[inline]
    pub fn key(&self, write: impl FnOnce(&mut dyn Hasher)) -> Key {
        let mut hasher = self.hasher.build_hasher();
        write(&mut hasher);
        Key(hasher.finish())
    }

    /// A place for one more request, if there are fewer than `most` under way.
    pub fn take(self: &Arc<Self>, key: Key, most: u32) -> Option<Slot> {
        let mut part = self.part(key);
        match part.find_mut(key.0, |(known, _)| *known == key.0) {
            Some((_, count)) => {
                *count = count.checked_add(1).filter(|count| count.get() <= most)?;
            }
            None if most == 0 => return None,
            None => _ = part.insert_unique(key.0, (key.0, NonZeroU32::MIN), |(known, _)| *known),
        }
        Some(Slot { of: Arc::clone(self), key })
    }

    /// How many requests somebody has under way.
    pub fn count(&self, key: Key) -> u32 {
        self.part(key).find(key.0, |(known, _)| *known == key.0).map_or(0, |(_, count)| count.get())
    }

    /// How many have requests under way.
    pub fn keys(&self) -> usize {
        self.parts.iter().map(|part| lock(part).len()).sum()
    }

    fn release(&self, key: Key) {
        let mut part = self.part(key);
        let Ok(mut entry) = part.find_entry(key.0, |(known, _)| *known == key.0) else { return };
        match NonZeroU32::new(entry.get().1.get() - 1) {
            Some(fewer) => entry.get_mut().1 = fewer,
            None => _ = entry.remove(),
        }
    }

    fn part(&self, key: Key) -> MutexGuard<'_, Part> {
        // The table uses the lowest and highest bits.
        let at = (key.0 >> 32) as usize % PARTS;
        lock(&self.parts[at])
    }
}

/// What a thread that has panicked left behind is good: nothing is done by halves under these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn there_are_so_many_places_and_those_that_are_left_can_be_taken() {
        let slots = Arc::new(Slots::default());
        let (one, other) = (slots.key(|out| out.write(b"one")), slots.key(|out| out.write(b"other")));
        let held: Vec<_> = (0..5).filter_map(|_| slots.take(one, 3)).collect();
        assert_eq!((held.len(), slots.count(one), slots.take(other, 0).is_none()), (3, 3, true));
        let another = slots.take(other, 1).unwrap();
        assert_eq!((slots.keys(), slots.take(other, 1).is_none()), (2, true));
        drop((held, another));
        assert_eq!((slots.keys(), slots.count(one)), (0, 0), "nothing is kept of who is gone");
        assert!(slots.take(one, 1).is_some());
    }

    #[test]
    fn threads_together_have_no_more_than_there_may_be() {
        let slots = Arc::new(Slots::default());
        let key = slots.key(|out| out.write(b"one"));
        let (now, barrier) = (AtomicU32::new(0), Barrier::new(4));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    barrier.wait();
                    for _ in 0..20_000 {
                        let Some(slot) = slots.take(key, 2) else { continue };
                        assert!(now.fetch_add(1, Ordering::SeqCst) < 2);
                        now.fetch_sub(1, Ordering::SeqCst);
                        drop(slot);
                    }
                });
            }
        });
        assert_eq!(slots.keys(), 0);
    }
}
