//! The circuit breaker of a service, as workers see it: one number to read, and a few probes to send.
//!
//! Whether it is open is decided by the control thread, from what all workers have counted. Entry points:
//! [`Fuse::admit`] for requests, [`Fuse::set`] and [`Fuse::take_probes`] for who decides.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use balance::breaker::State;

/// The circuit breaker of a service, shared by all workers. Written rarely, so that reading costs nothing.
#[derive(Debug, Default)]
pub struct Fuse {
    state: AtomicU8,
    /// Probes that may still be sent.
    left: AtomicU64,
    sent: AtomicU64,
    passed: AtomicU64,
    failed: AtomicU64,
    abandoned: AtomicU64,
}

const CLOSED: u8 = 0;
const OPEN: u8 = 1;
const HALF_OPEN: u8 = 2;

/// What has become of probes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Probes {
    /// Sent.
    pub sent: u64,
    /// Answered well.
    pub passed: u64,
    /// Failed.
    pub failed: u64,
    /// Nothing will be heard of them.
    pub abandoned: u64,
}

/// A request that shows whether a service works again.
pub(crate) struct Probe(Option<Arc<Fuse>>);

impl Fuse {
    /// What may be sent from now on.
    pub fn set(&self, state: State) {
        let (state, left) = match state {
            State::Closed => (CLOSED, 0),
            State::Open { .. } => (OPEN, 0),
            State::HalfOpen { left } => (HALF_OPEN, left),
        };
        self.left.store(left, Ordering::Relaxed);
        self.state.store(state, Ordering::Relaxed);
    }

    /// What has become of probes since the last time.
    pub fn take_probes(&self) -> Probes {
        let take = |count: &AtomicU64| count.swap(0, Ordering::Relaxed);
        Probes {
            sent: take(&self.sent),
            passed: take(&self.passed),
            failed: take(&self.failed),
            abandoned: take(&self.abandoned),
        }
    }

    /// So many more probes may be sent.
    pub fn give_back(&self, probes: u64) {
        self.left.fetch_add(probes, Ordering::Relaxed);
    }

    /// Whether a request may be sent; and if it is a probe, whom it has to tell. `Err` if it may not.
    #[inline]
    pub(crate) fn admit(self: &Arc<Self>) -> Result<Option<Probe>, ()> {
        match self.state.load(Ordering::Relaxed) {
            CLOSED => Ok(None),
            HALF_OPEN => {
                let one_less = |left: u64| left.checked_sub(1);
                self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).map_err(|_| ())?;
                self.sent.fetch_add(1, Ordering::Relaxed);
                Ok(Some(Probe(Some(Arc::clone(self)))))
            }
            _ => Err(()),
        }
    }
}

impl Probe {
    /// It was answered, well or not.
    pub(crate) fn settle(mut self, is_good: bool) {
        if let Some(fuse) = self.0.take() {
            let count = if is_good { &fuse.passed } else { &fuse.failed };
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        if let Some(fuse) = self.0.take() {
            fuse.abandoned.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_probes_pass_and_tell() {
        let fuse = Arc::new(Fuse::default());
        assert!(matches!(fuse.admit(), Ok(None)));
        fuse.set(State::Open { until_ms: 1 });
        assert!(fuse.admit().is_err());
        fuse.set(State::HalfOpen { left: 3 });
        let probes: Vec<_> = (0..4).map(|_| fuse.admit()).collect();
        assert!(probes[3].is_err());
        let mut probes = probes.into_iter().filter_map(|probe| probe.ok().flatten());
        probes.next().unwrap().settle(true);
        probes.next().unwrap().settle(false);
        drop(probes);
        assert_eq!(fuse.take_probes(), Probes { sent: 3, passed: 1, failed: 1, abandoned: 1 });
        assert_eq!(fuse.take_probes(), Probes::default());
    }
}
