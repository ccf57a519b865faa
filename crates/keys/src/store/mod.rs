//! Keys that are made and changed: on the disk first, then for requests, then for whoever has asked.
//!
//! It must not know who may ask, or which consumers there are. All of it is synchronous, and waits for the disk: it is
//! for a thread that may wait. Entry points: [`Store::open`], [`Store::create`].

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use zeroize::Zeroizing;

use durable::Disk;

use crate::file::{self, Finding, JournalFile};
use crate::journal::Entry;
use crate::{Id, Key, Refused, Secret, Table};

/// So many keys there may be: each takes about half a KiB of memory and of the disk.
pub const MOST: usize = 1_000_000;
/// How often another id is tried where there is a key with one: with so many keys, one of 2^44 is taken.
const TRIES: usize = 4;

/// Why a key was not made, changed or found. Then nothing has changed.
#[derive(Debug)]
pub enum Error {
    /// There is no such key.
    NoKey(Id),
    /// There are as many keys as there may be.
    Full,
    /// It cannot be like this.
    Refused(Refused),
    /// The system gives no randomness.
    Random,
    /// It could not be written.
    File(file::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NoKey(id) => write!(f, "there is no key {id}"),
            Error::Full => write!(f, "there are {MOST} keys, and there may not be more"),
            Error::Refused(Refused::Name) => write!(f, "this is no name for a key"),
            Error::Refused(Refused::OldSecrets(_)) => {
                write!(f, "{} secrets of this key before its last one still hold", crate::MOST_OLD)
            }
            Error::Random => f.write_str("the system gives no randomness"),
            Error::File(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

/// What a key is made with.
#[derive(Debug, Clone, Copy)]
pub struct New<'a> {
    /// Whose it is: the name of a consumer.
    pub consumer: &'a str,
    /// What people call it; empty for nothing.
    pub name: &'a str,
    /// From when on it does not hold any more, in seconds since 1970; `None` for never.
    pub expires: Option<u64>,
}

/// The keys of a folder, and what was wrong with it.
#[derive(Debug)]
pub struct Opened {
    /// Changes them.
    pub store: Store,
    /// What was wrong.
    pub finding: Option<Finding>,
}

/// The keys of a folder.
#[derive(Debug)]
pub struct Store {
    keys: BTreeMap<Id, Arc<Key>>,
    file: JournalFile,
    table: Arc<Table>,
    most: usize,
}

impl Store {
    /// Whether keys were ever kept in a folder.
    pub fn exists(folder: &Path) -> bool {
        JournalFile::exists(folder)
    }

    /// Takes over the keys of a folder, which is made if need be. Requests find them in `table` from now on, and no
    /// others. `now` is in seconds since 1970.
    ///
    /// # Errors
    /// Another process has the folder, the file is of a later version, or cannot be read or written. Then nothing is lost,
    /// and `table` is as it was.
    pub fn open(folder: &Path, table: Arc<Table>, now: u64) -> Result<Opened, file::Error> {
        Store::open_on(durable::disk(), folder, table, now)
    }

    fn open_on(disk: Disk, folder: &Path, table: Arc<Table>, now: u64) -> Result<Opened, file::Error> {
        let (file, keys, finding) = JournalFile::open(disk, folder, now)?;
        table.fill(&keys);
        Ok(Opened { store: Store { keys, file, table, most: MOST }, finding })
    }

    /// Makes a key. Its secret is told here and nowhere else.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn create(&mut self, new: New<'_>, now: u64) -> Result<(Arc<Key>, Secret), Error> {
        if self.keys.len() >= self.most {
            return Err(Error::Full);
        }
        let secret = secret()?;
        let id = self.free_id()?;
        let key = Key::new(id, new.consumer, new.name, &secret, now, new.expires).map_err(Error::Refused)?;
        Ok((self.put(key)?, secret))
    }

    /// Gives a key another secret. Those before hold for so many seconds more; without `grace` none does.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn rotate(&mut self, id: Id, grace: u64, now: u64) -> Result<(Arc<Key>, Secret), Error> {
        let secret = secret()?;
        let key = self.key(id)?.rotated(&secret, now, grace).map_err(Error::Refused)?;
        Ok((self.put(key)?, secret))
    }

    /// Switches a key off.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn disable(&mut self, id: Id) -> Result<Arc<Key>, Error> {
        let key = self.key(id)?;
        self.put(Key { disabled: true, ..Key::clone(&key) })
    }

    /// Switches a key on again.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn enable(&mut self, id: Id) -> Result<Arc<Key>, Error> {
        let key = self.key(id)?;
        self.put(Key { disabled: false, ..Key::clone(&key) })
    }

    /// Says when a key ends, in seconds since 1970; `None` for never.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn expire(&mut self, id: Id, at: Option<u64>) -> Result<Arc<Key>, Error> {
        let key = self.key(id)?;
        self.put(Key { expires: at, ..Key::clone(&key) })
    }

    /// Forgets a key. Says what it was.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn delete(&mut self, id: Id) -> Result<Arc<Key>, Error> {
        let key = self.key(id)?;
        self.file.append(&Entry::Delete(id), &self.keys).map_err(Error::File)?;
        self.keys.remove(&id);
        self.table.change(Some(&key), None);
        self.file.tidy(&self.keys);
        Ok(key)
    }

    /// A key.
    ///
    /// # Errors
    /// There is none.
    pub fn key(&self, id: Id) -> Result<Arc<Key>, Error> {
        self.keys.get(&id).cloned().ok_or(Error::NoKey(id))
    }

    /// At most so many keys in the order of their ids: those behind `after`, and of a consumer if one is named.
    pub fn list(&self, consumer: Option<&str>, after: Option<Id>, most: usize) -> Vec<Arc<Key>> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let keys = self.keys.range((from, Bound::Unbounded)).map(|(_, key)| key);
        keys.filter(|key| consumer.is_none_or(|name| *key.consumer == *name)).take(most).cloned().collect()
    }

    /// Puts a key into the place of what it was before, if that is something else.
    fn put(&mut self, key: Key) -> Result<Arc<Key>, Error> {
        let before = self.keys.get(&key.id).cloned();
        if let Some(before) = before.as_ref().filter(|before| ***before == key) {
            return Ok(Arc::clone(before));
        }
        let key = Arc::new(key);
        self.file.append(&Entry::Put(Arc::clone(&key)), &self.keys).map_err(Error::File)?;
        self.keys.insert(key.id, Arc::clone(&key));
        self.table.change(before.as_deref(), Some(&key));
        self.file.tidy(&self.keys);
        Ok(key)
    }

    fn free_id(&self) -> Result<Id, Error> {
        for _ in 0..TRIES {
            let mut bytes = [0; 8];
            aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Error::Random)?;
            let id = Id::of(bytes);
            if !self.keys.contains_key(&id) {
                return Ok(id);
            }
        }
        Err(Error::Random)
    }
}

fn secret() -> Result<Secret, Error> {
    let mut bytes = Zeroizing::new([0; 32]);
    aws_lc_rs::rand::fill(bytes.as_mut()).map_err(|_| Error::Random)?;
    Ok(Secret::of(&bytes))
}
