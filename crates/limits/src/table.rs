//! States by key, for all threads, in bounded memory.
//!
//! It is divided into parts with a lock each: what decides about a request is larger than one word, and every thread has
//! to see it. A part is held for as long as a look into a table takes. Where it is full, a key gives way whose state is
//! worth the least of those looked at: one that has used nothing of its limit loses nothing. It must not know what a
//! state is. Entry point: [`Table`].

use std::sync::{Mutex, MutexGuard, PoisonError};

use hashbrown::HashTable;

/// Into how many parts a large table is divided.
const PARTS: usize = 256;
const _: () = assert!(PARTS.is_power_of_two(), "a key finds its part by a mask");
/// What is smaller is not divided, so that it is full when it says so.
const SMALL: usize = 4_096;
/// How many keys are looked at to find one that gives way.
const CANDIDATES: usize = 32;
/// How many keys are looked at for ones that are worth nothing, whenever one is added: twice as many as are added, so
/// the table shrinks to those in use.
const SWEPT: usize = 2;

/// States by key. Keys are hashes that nobody outside can choose.
#[derive(Debug)]
pub struct Table<S> {
    parts: Box<[Mutex<Part<S>>]>,
    /// How many keys a part holds.
    most: usize,
}

#[derive(Debug)]
struct Part<S> {
    /// Positions among the entries, by key.
    index: HashTable<u32>,
    entries: Vec<(u64, S)>,
    /// Where the search for keys that give way goes on.
    hand: usize,
}

impl<S: Default> Table<S> {
    /// For at most so many keys.
    pub fn new(keys: usize) -> Table<S> {
        let parts = if keys < SMALL { 1 } else { PARTS };
        let part = || Mutex::new(Part { index: HashTable::new(), entries: Vec::new(), hand: 0 });
        Table { parts: std::iter::repeat_with(part).take(parts).collect(), most: keys.div_ceil(parts).max(1) }
    }

    fn part(&self, key: u64) -> MutexGuard<'_, Part<S>> {
        // The upper bits; the index uses others. There is one part, or as many as a power of two.
        let position = (key >> 40) as usize & (self.parts.len() - 1);
        self.parts[position].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the state of a key and changes it. A key that is new has the state of one that has used nothing; `loss`
    /// says what a state is worth.
    #[inline]
    pub fn with<T>(&self, key: u64, loss: impl Fn(&S) -> u64, change: impl FnOnce(&mut S) -> T) -> T {
        self.with_evicted(key, loss, change).0
    }

    /// The same; says too what gave way to it, if that was worth something.
    #[inline]
    pub fn with_evicted<T>(
        &self,
        key: u64,
        loss: impl Fn(&S) -> u64,
        change: impl FnOnce(&mut S) -> T,
    ) -> (T, Option<S>) {
        let mut part = self.part(key);
        let part = &mut *part;
        let (position, evicted) = match part.find(key) {
            Some(position) => (position, None),
            None => part.add(key, self.most, loss),
        };
        (change(&mut part.entries[position].1), evicted)
    }

    /// Looks at the state of a key, if there is one.
    pub fn read<T>(&self, key: u64, look: impl FnOnce(&S) -> T) -> Option<T> {
        let part = self.part(key);
        let position = part.find(key)?;
        Some(look(&part.entries[position].1))
    }

    /// Changes the state of a key, if there is one.
    pub fn change<T>(&self, key: u64, change: impl FnOnce(&mut S) -> T) -> Option<T> {
        let mut part = self.part(key);
        let position = part.find(key)?;
        Some(change(&mut part.entries[position].1))
    }

    /// Forgets a key; what there was to forget.
    pub fn remove(&self, key: u64) -> Option<S> {
        let mut part = self.part(key);
        let position = part.find(key)?;
        Some(part.remove(position))
    }

    /// How many keys there are.
    #[allow(clippy::len_without_is_empty, reason = "nobody asks whether it is empty")]
    pub fn len(&self) -> usize {
        let lock = |part: &Mutex<Part<S>>| part.lock().unwrap_or_else(PoisonError::into_inner).entries.len();
        self.parts.iter().map(lock).sum()
    }

    /// How many bytes all of it has.
    pub fn bytes(&self) -> usize {
        let part = |part: &Mutex<Part<S>>| {
            let part = part.lock().unwrap_or_else(PoisonError::into_inner);
            part.entries.capacity() * size_of::<(u64, S)>() + part.index.allocation_size()
        };
        self.parts.len() * size_of::<Mutex<Part<S>>>() + self.parts.iter().map(part).sum::<usize>()
    }
}

impl<S: Default> Part<S> {
    fn find(&self, key: u64) -> Option<usize> {
        let position = self.index.find(key, |position| self.key_at(*position) == Some(key))?;
        Some(*position as usize)
    }

    fn key_at(&self, position: u32) -> Option<u64> {
        self.entries.get(position as usize).map(|(key, _)| *key)
    }

    /// Where a new key stands now, and what gave way to it.
    fn add(&mut self, key: u64, most: usize, loss: impl Fn(&S) -> u64) -> (usize, Option<S>) {
        let mut evicted = None;
        if self.entries.len() >= most {
            let position = self.victim(&loss);
            evicted = Some(self.remove(position)).filter(|state| loss(state) > 0);
        } else {
            for _ in 0..SWEPT {
                self.hand = if self.hand < self.entries.len() { self.hand } else { 0 };
                match self.entries.get(self.hand) {
                    Some((_, state)) if loss(state) == 0 => _ = self.remove(self.hand),
                    _ => self.hand += 1,
                }
            }
        }
        let position = self.entries.len();
        if position == self.entries.capacity() {
            // By a quarter: twice as much would be too much for a table that is large.
            self.entries.reserve_exact((position / 4).max(4).min(most - position));
        }
        self.entries.push((key, S::default()));
        let entries = &self.entries;
        let hash = |position: &u32| entries.get(*position as usize).map_or(0, |(key, _)| *key);
        // Far fewer than 2^32: a part holds `most`.
        self.index.insert_unique(key, position as u32, hash);
        (position, evicted)
    }

    /// The key that gives way: the one that is worth the least among the next ones.
    fn victim(&mut self, loss: impl Fn(&S) -> u64) -> usize {
        let (count, hand) = (self.entries.len(), self.hand);
        self.hand = (hand + CANDIDATES) % count.max(1);
        let candidates = (hand..hand + CANDIDATES.min(count)).map(|position| position % count);
        candidates.min_by_key(|position| loss(&self.entries[*position].1)).unwrap_or(0)
    }

    fn remove(&mut self, position: usize) -> S {
        let (key, state) = self.entries.swap_remove(position);
        if let Ok(found) = self.index.find_entry(key, |found| *found as usize == position) {
            found.remove();
        }
        // The last one stands there now.
        if let Some((moved, _)) = self.entries.get(position) {
            let from = self.entries.len();
            if let Some(found) = self.index.find_mut(*moved, |found| *found as usize == from) {
                *found = position as u32;
            }
        }
        state
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn it_holds_what_a_map_holds_and_never_more_than_it_may() {
        let mut rng = fastrand::Rng::with_seed(7);
        let (table, mut map) = (Table::<u32>::new(1_000), HashMap::new());
        for _ in 0..100_000 {
            let key = rng.u64(..1_500).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            match rng.u8(..4) {
                0 => assert_eq!(table.remove(key), map.remove(&key)),
                1 => assert_eq!(table.read(key, |state| *state), map.get(&key).copied()),
                // No state is worth nothing, so none is swept away.
                _ if map.len() < 1_000 || map.contains_key(&key) => {
                    let count = table.with(
                        key,
                        |_| 1,
                        |state| {
                            *state += 1;
                            *state
                        },
                    );
                    let known = map.entry(key).or_insert(0);
                    *known += 1;
                    assert_eq!(count, *known);
                }
                _ => {}
            }
            assert_eq!(table.len(), map.len());
        }
        for key in 0..50_000_u64 {
            table.with(key.wrapping_mul(0x9E37_79B9_7F4A_7C15), |_| 1, |_| ());
        }
        assert_eq!(table.len(), 1_000);
    }

    #[test]
    fn keys_in_use_stay_when_others_come() {
        let table = Table::<u64>::new(10_000);
        let spread = |key: u64| key.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let worth = |state: &u64| *state;
        for hot in 0..100 {
            table.with(spread(hot), worth, |state| *state = 50);
        }
        for cold in 100..1_000_000 {
            table.with(spread(cold), worth, |state| *state = 1);
        }
        for hot in 0..100 {
            assert_eq!(table.read(spread(hot), |state| *state), Some(50));
        }
    }

    #[test]
    fn what_is_worth_nothing_is_swept_away() {
        let table = Table::<u64>::new(100_000);
        for key in 0..90_000_u64 {
            table.with(key << 20, |_| 1, |state| *state = 1);
        }
        for key in 90_000..91_000_u64 {
            table.with(key << 20, |state| u64::from(*state > 1), |state| *state = 2);
        }
        assert!(table.len() < 90_000, "{}", table.len());
    }
}
