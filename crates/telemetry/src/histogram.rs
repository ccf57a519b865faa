//! How long something took, in fixed buckets: no allocation, no configuration, and sums over workers are exact.

use std::time::Duration;

use crate::Counter;

/// Upper bounds in microseconds. From a quarter of a millisecond, which is a service in the same rack, to half a
/// minute, where most timeouts end.
pub(crate) const BOUNDS: [u64; 16] = [
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000, 30_000_000,
];

/// Durations, counted by bucket. Written by one thread only.
#[derive(Debug, Default)]
pub struct Histogram {
    /// The last one takes what is beyond all bounds.
    buckets: [Counter; BOUNDS.len() + 1],
    /// Microseconds.
    sum: Counter,
}

impl Histogram {
    /// Counts one duration.
    #[inline]
    pub fn observe(&self, duration: Duration) {
        let micros = micros(duration);
        // What the gateway answers itself takes less than all bounds, and is known without a search.
        let bucket = if micros <= BOUNDS[0] { 0 } else { BOUNDS.partition_point(|bound| *bound < micros) };
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.add(1);
        }
        self.sum.add(micros);
    }

    /// Adds what another one has counted.
    pub(crate) fn add_to(&self, sum: &mut HistogramSum) {
        for (own, total) in self.buckets.iter().zip(&mut sum.buckets) {
            *total += own.get();
        }
        sum.micros += self.sum.get();
    }
}

/// Whole microseconds; what does not fit is as long as can be said.
pub(crate) fn micros(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000).saturating_add(u64::from(duration.subsec_micros()))
}

/// What several histograms have counted together.
#[derive(Debug, Default, Clone)]
pub(crate) struct HistogramSum {
    pub(crate) buckets: [u64; BOUNDS.len() + 1],
    pub(crate) micros: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_counted_in_the_first_bucket_that_holds_it() {
        let histogram = Histogram::default();
        for micros in [0, 250, 251, 30_000_000, 30_000_001, u64::MAX / 4] {
            histogram.observe(Duration::from_micros(micros));
        }
        let mut sum = HistogramSum::default();
        histogram.add_to(&mut sum);
        assert_eq!(sum.buckets[0], 2, "0 and 250 µs");
        assert_eq!(sum.buckets[1], 1, "251 µs");
        assert_eq!(sum.buckets[BOUNDS.len() - 1], 1, "30 s");
        assert_eq!(sum.buckets[BOUNDS.len()], 2, "beyond");
    }

    #[test]
    fn bounds_are_in_order() {
        assert!(BOUNDS.is_sorted_by(|a, b| a < b));
    }
}
