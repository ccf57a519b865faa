//! The keys that are made while the gateway runs: whoever may change them asks here.
//!
//! They are kept in the state folder, and change on a thread that may wait for the disk; requests look into a table that
//! every configuration shares. While the folder cannot be used, because another gateway has it or the disk fails, no key
//! of it lets anybody in; that is said, and tried again. It must not know who may ask. Entry points: [`Keys::adopt`],
//! [`Keys::change`], [`Keys::look`].

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use keys::{FileError, Finding, Opened, Store, Table};

use crate::gateway::Report;

/// The folder of the keys, in the state folder.
const FOLDER: &str = "api-keys";
/// How often a folder that could not be used is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// Why keys cannot be had or changed.
#[derive(Debug)]
pub enum KeysError {
    /// There is no state folder to keep them in.
    NoFolder,
    /// What the store says.
    Store(keys::Error),
    /// The thread for it has failed, which is a bug.
    Thread,
}

/// The keys that are made while the gateway runs.
pub struct Keys {
    place: Arc<Mutex<Place>>,
    table: Arc<Table>,
    report: Report,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

/// Where they are kept.
#[derive(Default)]
struct Place {
    folder: Option<PathBuf>,
    /// `None` as long as there are none, or the folder cannot be used.
    store: Option<Store>,
}

impl Keys {
    pub(crate) fn new(table: &Arc<Table>, report: &Report) -> Keys {
        Keys { place: Arc::default(), table: Arc::clone(table), report: report.clone() }
    }

    /// Takes over what a state folder has. One that it has already stays as it is.
    pub(crate) async fn adopt(&self, state: Option<&Path>) {
        let folder = state.map(|state| state.join(FOLDER));
        if lock(&self.place).folder == folder {
            return;
        }
        let (place, table) = (Arc::clone(&self.place), Arc::clone(&self.table));
        let (wanted, path) = (folder.clone(), folder.clone());
        let opened = tokio::task::spawn_blocking(move || {
            let mut place = lock(&place);
            // The old one goes first: it may be the same folder by another name.
            *place = Place { folder, store: None };
            // Those of the new one take a while to read.
            table.set_lacks_keys(true);
            table.clear();
            place.open_if_there(&table)
        });
        let (Ok(opened), Some(path)) = (opened.await, path) else { return };
        match opened {
            Ok(finding) => self.tell(finding.as_ref()),
            Err(error) => {
                (self.report)(format!(
                    "the API keys of {} cannot be used, and whoever shows one is refused until they can: {error}",
                    path.display()
                ));
                self.try_again(wanted);
            }
        }
    }

    /// Tries a folder until it can be used, or is not wanted any more.
    fn try_again(&self, wanted: Option<PathBuf>) {
        let (place, table, report) = (Arc::clone(&self.place), Arc::clone(&self.table), self.report.clone());
        tokio::task::spawn_local(async move {
            loop {
                tokio::time::sleep(AGAIN).await;
                let (place, table, wanted) = (Arc::clone(&place), Arc::clone(&table), wanted.clone());
                let tried = tokio::task::spawn_blocking(move || {
                    let mut place = lock(&place);
                    // Somebody may have named another folder by now.
                    (place.folder == wanted).then(|| place.open_if_there(&table))
                });
                match tried.await {
                    Ok(Some(Ok(finding))) => {
                        finding.iter().for_each(|finding| report(format!("API keys: {finding}")));
                        return report("the API keys of the state folder can be used".to_owned());
                    }
                    Ok(Some(Err(_))) => {}
                    Ok(None) | Err(_) => return,
                }
            }
        });
    }

    fn tell(&self, finding: Option<&Finding>) {
        if let Some(finding) = finding {
            (self.report)(format!("API keys: {finding}"));
        }
    }

    /// Says something to the operator.
    pub fn report(&self, line: String) {
        (self.report)(line);
    }

    /// Changes something, in seconds since 1970. The folder is made if need be.
    ///
    /// # Errors
    /// There is nowhere to keep it, or the store says no. Then nothing has changed.
    pub async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Store, u64) -> Result<T, keys::Error> + Send + 'static,
    ) -> Result<T, KeysError> {
        let (place, table) = (Arc::clone(&self.place), Arc::clone(&self.table));
        let changed = tokio::task::spawn_blocking(move || {
            let mut place = lock(&place);
            let finding = place.open(&table)?;
            let Some(store) = &mut place.store else { return Err(KeysError::NoFolder) };
            Ok((finding, change(store, now()).map_err(KeysError::Store)))
        });
        let (finding, changed) = changed.await.unwrap_or(Err(KeysError::Thread))?;
        self.tell(finding.as_ref());
        changed
    }

    /// Looks at something, where there may be no store because there was never a key.
    ///
    /// # Errors
    /// There is nowhere to keep keys, or they cannot be used.
    pub async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(Option<&Store>) -> T + Send + 'static,
    ) -> Result<T, KeysError> {
        let (place, table) = (Arc::clone(&self.place), Arc::clone(&self.table));
        let seen = tokio::task::spawn_blocking(move || {
            let mut place = lock(&place);
            let finding = match place.folder {
                Some(_) => {
                    place.open_if_there(&table).map_err(|error| KeysError::Store(keys::Error::File(error)))?
                }
                None => return Err(KeysError::NoFolder),
            };
            Ok((finding, look(place.store.as_ref())))
        });
        let (finding, seen) = seen.await.unwrap_or(Err(KeysError::Thread))?;
        self.tell(finding.as_ref());
        Ok(seen)
    }

    /// When secrets of a key were shown the last time: see [`Table::seen`].
    pub fn seen(&self, key: &keys::Key) -> Vec<Option<u64>> {
        self.table.seen(key)
    }
}

impl Place {
    /// Opens the folder if keys were ever kept there. As long as they cannot be read, nobody knows whose a key is that the
    /// table does not have.
    fn open_if_there(&mut self, table: &Arc<Table>) -> Result<Option<Finding>, FileError> {
        let opened = match &self.folder {
            Some(folder) if self.store.is_none() && Store::exists(folder) => {
                Some(Store::open(folder, Arc::clone(table), now()))
            }
            _ => None,
        };
        table.set_lacks_keys(matches!(opened, Some(Err(_))));
        let Some(Opened { store, finding }) = opened.transpose()? else { return Ok(None) };
        self.store = Some(store);
        Ok(finding)
    }

    /// Opens the folder, which is made if need be.
    fn open(&mut self, table: &Arc<Table>) -> Result<Option<Finding>, KeysError> {
        let Some(folder) = &self.folder else { return Err(KeysError::NoFolder) };
        if self.store.is_some() {
            return Ok(None);
        }
        let opened = Store::open(folder, Arc::clone(table), now());
        let Opened { store, finding } = opened.map_err(|error| KeysError::Store(keys::Error::File(error)))?;
        table.set_lacks_keys(false);
        self.store = Some(store);
        Ok(finding)
    }
}

/// What a thread that has failed has left is whole: a change takes effect at its end.
fn lock(place: &Mutex<Place>) -> MutexGuard<'_, Place> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
