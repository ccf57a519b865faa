//! What requests and the admin page see of a document that is kept fresh.
//!
//! It must not know where the document comes from. Reading takes no lock. Entry point: [`Kept`].

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwapOption, Guard};
use tokio::sync::{mpsc, watch};

/// How keeping a document fresh goes, for whoever runs the gateway. Times are seconds since 1970.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// When the document was fetched and accepted the last time.
    pub last_success: Option<u64>,
    /// Why the last fetch has failed, if it has.
    pub last_error: Option<String>,
    /// Since when no fetch has succeeded, if the last one has failed.
    pub failing_since: Option<u64>,
    /// How many fetches have failed in a row.
    pub failures: u32,
    /// When the next fetch is due; `None` while one is under way.
    pub next: Option<u64>,
}

/// A document that is kept fresh, as its readers see it. Cheap to clone. When the last clone is dropped, fetching
/// ends.
pub struct Kept<K> {
    pub(crate) shared: Arc<Shared<K>>,
    pub(crate) asked: mpsc::Sender<()>,
}

pub(crate) struct Shared<K> {
    current: ArcSwapOption<K>,
    generation: AtomicU64,
    status: Mutex<Status>,
    /// Counts what has happened: a document that was taken over, a fetch that has ended.
    happened: watch::Sender<u64>,
}

impl<K> Clone for Kept<K> {
    fn clone(&self) -> Kept<K> {
        Kept { shared: Arc::clone(&self.shared), asked: self.asked.clone() }
    }
}

impl<K> Kept<K> {
    /// The last good document; `None` before the first.
    #[must_use]
    pub fn current(&self) -> Option<Arc<K>> {
        self.shared.current.load_full()
    }

    /// Like [`Kept::current`], for a moment: without a write to memory that is shared between threads. Not to be
    /// held while waiting.
    #[must_use]
    pub fn load(&self) -> Guard<Option<Arc<K>>> {
        self.shared.current.load()
    }

    /// Another number whenever the document has changed; 0 before the first. It begins anywhere, so that what was cached
    /// of an earlier keeper of the same document does not count. Who caches what follows from a document reads this
    /// first and the document then: what is cached is never older than its number says.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.shared.generation.load(Ordering::Acquire)
    }

    /// Something is missing in the document: it may have changed. It is fetched again as soon as the pace allows;
    /// asking often costs nothing and changes nothing.
    pub fn ask_for_refresh(&self) {
        // There is room for one, and one that is there already is as good.
        let _ = self.asked.try_send(());
    }

    /// How it goes.
    #[must_use]
    pub fn status(&self) -> Status {
        self.shared.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until there is a document. That can be for ever: limit it.
    pub async fn ready(&self) {
        // The sender is kept beside, so this ends only with a document.
        let _ = self.shared.happened.subscribe().wait_for(|_| self.load().is_some()).await;
    }

    /// Asks for a fetch as [`Kept::ask_for_refresh`], and waits until one has ended, however. That can be for ever:
    /// limit it.
    pub async fn refreshed(&self) {
        let mut happened = self.shared.happened.subscribe();
        self.ask_for_refresh();
        let _ = happened.changed().await;
    }
}

impl<K> Shared<K> {
    pub(crate) fn new() -> Shared<K> {
        Shared {
            current: ArcSwapOption::empty(),
            generation: AtomicU64::new(0),
            status: Mutex::default(),
            happened: watch::Sender::new(0),
        }
    }

    pub(crate) fn publish(&self, document: Arc<K>) {
        self.current.store(Some(document));
        let next = match self.generation.load(Ordering::Relaxed) {
            0 => RandomState::new().build_hasher().finish() | 1,
            earlier => earlier.wrapping_add(1).max(1),
        };
        self.generation.store(next, Ordering::Release);
        self.tell();
    }

    pub(crate) fn current(&self) -> Option<Arc<K>> {
        self.current.load_full()
    }

    /// Says to those who wait that something has happened.
    pub(crate) fn tell(&self) {
        self.happened.send_modify(|count| *count = count.wrapping_add(1));
    }

    pub(crate) fn note(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
