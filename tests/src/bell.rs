//! Waiting for conditions. It knows nothing of what is waited for. Entry points: [`Bell`], [`wait_until`].

use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// Rung by threads whenever something has happened; others wait at it until a condition holds.
#[derive(Clone, Default, Debug)]
pub struct Bell(Arc<(Mutex<()>, Condvar)>);

impl Bell {
    /// Wakes everybody who waits. The change must have been made before, and no lock may be held that a
    /// condition takes.
    pub fn ring(&self) {
        let (mutex, condition) = &*self.0;
        let _guard = mutex.lock().unwrap();
        condition.notify_all();
    }

    /// Waits until `find` finds something, at most for `limit`; `None` if it did not.
    pub fn wait<T>(&self, limit: Duration, mut find: impl FnMut() -> Option<T>) -> Option<T> {
        let (mutex, condition) = &*self.0;
        let deadline = Instant::now() + limit;
        let mut guard = mutex.lock().unwrap();
        loop {
            if let Some(found) = find() {
                return Some(found);
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            guard = condition.wait_timeout(guard, left).unwrap().0;
        }
    }
}

/// Waits until a condition holds that nobody reports, such as the state of another process.
///
/// # Panics
///
/// If it does not hold within `limit`; the message names `what`.
pub fn wait_until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !holds() {
        assert!(Instant::now() < deadline, "within {limit:?} it did not come true that {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}
