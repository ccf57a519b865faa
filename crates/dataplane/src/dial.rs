//! The share of a route's requests that go to a new version, and what becomes of both.
//!
//! The control thread turns it, and reads what workers have counted; each worker has counts of its own. Entry points:
//! [`Dial`].

use std::sync::atomic::{AtomicU32, Ordering};

use balance::rollout::{BUCKETS, bucket};
use telemetry::Counter;

/// The share of a route's requests that go to a new version.
#[derive(Debug)]
pub struct Dial {
    /// In hundredths of a percent.
    share: AtomicU32,
    workers: Box<[[Tape; 2]]>,
}

/// What one worker has counted of one version.
#[derive(Debug)]
#[repr(align(128))]
struct Tape {
    requests: Counter,
    failed: Counter,
    latency: Box<[Counter]>,
}

impl Default for Tape {
    fn default() -> Tape {
        let latency = (0..BUCKETS).map(|_| Counter::default()).collect();
        Tape { requests: Counter::default(), failed: Counter::default(), latency }
    }
}

/// What all workers have counted of one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Requests that are over.
    pub requests: u64,
    /// Those that failed.
    pub failed: u64,
    /// How long answers took, by `balance::rollout::bucket`.
    pub latency: Vec<u64>,
}

impl Dial {
    /// At nothing, for so many workers.
    pub fn new(workers: usize) -> Dial {
        Dial { share: AtomicU32::new(0), workers: (0..workers).map(|_| Default::default()).collect() }
    }

    /// Gives the new version this share, in hundredths of a percent.
    pub fn turn(&self, share: u16) {
        self.share.store(share.into(), Ordering::Relaxed);
    }

    /// The version of a request, 0 or 1, by a point on the line from 0 to 2⁶⁴. A larger share takes points over and gives
    /// none away.
    #[inline]
    pub(crate) fn version(&self, point: u64) -> usize {
        let place = ((u128::from(point) * 10_000) >> 64) as u32;
        usize::from(place < self.share.load(Ordering::Relaxed))
    }

    /// A request of a version is over.
    #[inline]
    pub(crate) fn record(&self, worker: usize, version: usize, failed: bool, micros: Option<u64>) {
        let Some(tape) = self.workers.get(worker).and_then(|tapes| tapes.get(version)) else { return };
        tape.requests.add(1);
        tape.failed.add(failed.into());
        if let Some(count) = micros.and_then(|micros| tape.latency.get(bucket(micros))) {
            count.add(1);
        }
    }

    /// What all workers have counted of a version, 0 or 1.
    pub fn recorded(&self, version: usize) -> Recorded {
        let mut sum = Recorded { requests: 0, failed: 0, latency: vec![0; BUCKETS] };
        for tape in self.workers.iter().filter_map(|tapes| tapes.get(version)) {
            // Failures first: each is a request, and must not be more than those.
            sum.failed += tape.failed.get();
            sum.requests += tape.requests.get();
            for (all, own) in sum.latency.iter_mut().zip(&tape.latency) {
                *all += own.get();
            }
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_hold_and_only_grow() {
        let dial = Dial::new(1);
        let mut rng = fastrand::Rng::with_seed(1);
        let points: Vec<u64> = (0..10_000).map(|_| rng.u64(..)).collect();
        let mut before = vec![0; points.len()];
        for share in [0, 500, 2_500, 10_000] {
            dial.turn(share);
            let versions: Vec<usize> = points.iter().map(|point| dial.version(*point)).collect();
            let new = versions.iter().sum::<usize>();
            assert!(new.abs_diff(usize::from(share)) <= 200, "{new} of 10000 at {share}");
            assert!(versions.iter().zip(&before).all(|(now, before)| now >= before));
            before = versions;
        }
    }

    #[test]
    fn what_is_recorded_is_added_up() {
        let dial = Dial::new(2);
        dial.record(0, 1, false, Some(1_000));
        dial.record(1, 1, true, None);
        dial.record(2, 1, true, None);
        let recorded = dial.recorded(1);
        assert_eq!((recorded.requests, recorded.failed, recorded.latency.iter().sum::<u64>()), (2, 1, 1));
        assert_eq!(dial.recorded(0).requests, 0);
    }
}
