//! Hosts that somebody has asked for and that have no certificate yet.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Hosts that may wait: whoever asks again is heard again.
const MOST: usize = 64;

/// Hosts that somebody has asked for and that have no certificate yet. Every clone is the same queue: handshakes
/// fill it, and who orders certificates empties it. It is bounded, and holds each host once.
#[derive(Debug, Clone, Default)]
pub struct Wanted(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    hosts: Vec<Box<str>>,
    waker: Option<Waker>,
}

impl Wanted {
    /// Somebody wants this host. Returns whether that is news.
    pub fn ask(&self, host: &str) -> bool {
        let mut inner = self.lock();
        if inner.hosts.len() >= MOST || inner.hosts.iter().any(|known| &**known == host) {
            return false;
        }
        inner.hosts.push(host.into());
        let waker = inner.waker.take();
        drop(inner);
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    /// All that was asked for since the last time; for one that waits, with [`std::future::poll_fn`].
    pub fn poll_take(&self, context: &mut Context<'_>) -> Poll<Vec<Box<str>>> {
        let mut inner = self.lock();
        if inner.hosts.is_empty() {
            inner.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(std::mem::take(&mut inner.hosts))
    }

    /// All that was asked for since the last time.
    pub fn take(&self) -> Vec<Box<str>> {
        std::mem::take(&mut self.lock().hosts)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A push or a take cannot be left half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll, Wake, Waker};

    use super::{MOST, Wanted};

    #[derive(Default)]
    struct Bell(AtomicUsize);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn hosts_wait_once_and_are_bounded_and_the_one_who_waits_is_woken() {
        let (wanted, bell) = (Wanted::default(), Arc::new(Bell::default()));
        let waker = Waker::from(Arc::clone(&bell));
        let mut context = Context::from_waker(&waker);
        assert_eq!(wanted.poll_take(&mut context), Poll::Pending);
        assert!(wanted.ask("a.test") && !wanted.ask("a.test") && wanted.clone().ask("b.test"));
        assert_eq!(bell.0.load(Ordering::Relaxed), 1);
        assert_eq!(wanted.poll_take(&mut context), Poll::Ready(vec!["a.test".into(), "b.test".into()]));
        (0..2 * MOST).for_each(|number| _ = wanted.ask(&number.to_string()));
        assert_eq!(wanted.take().len(), MOST);
    }
}
