//! The buckets in which a rollout wants latencies counted, and what can be read from such counts.
//!
//! A bucket ends at most a sixteenth after where it begins: fine enough to tell 1.5 times from twice as slow. It must
//! not know versions or conditions. Entry points: [`bucket`] for who counts, [`quantile`] for who reads.

/// How many counters a histogram over [`BOUNDS`] has; the last one takes what is beyond all bounds.
pub const BUCKETS: usize = 306;

/// Upper bounds of all buckets but the last, in microseconds: sixteen for each power of two, from 64 µs to 34 s. A
/// latency belongs to the first bucket whose bound is not below it.
pub const BOUNDS: [u32; BUCKETS - 1] = bounds();

/// The first bound is two to the power of this.
const FIRST_POWER: u32 = 6;
/// Buckets for each power of two, as a power of two.
const FINENESS: u32 = 4;

const fn bounds() -> [u32; BUCKETS - 1] {
    let mut bounds = [1 << FIRST_POWER; BUCKETS - 1];
    let parts = 1 << FINENESS;
    let mut at = 1;
    while at < bounds.len() {
        let (power, part) = ((at - 1) / parts, (at - 1) % parts);
        bounds[at] = ((parts + part + 1) as u32) << (FIRST_POWER - FINENESS + power as u32);
        at += 1;
    }
    bounds
}

/// The bucket of [`BOUNDS`] that a latency of so many microseconds is counted in; less than [`BUCKETS`].
#[inline]
#[must_use]
pub const fn bucket(micros: u64) -> usize {
    // Bounds belong to the bucket below them.
    let before = micros.saturating_sub(1);
    if before < 1 << FIRST_POWER {
        return 0;
    }
    let power = before.ilog2();
    let part = (before >> (power - FINENESS)) & ((1 << FINENESS) - 1);
    let bucket = 1 + (((power - FIRST_POWER) << FINENESS) as usize) + part as usize;
    if bucket < BUCKETS { bucket } else { BUCKETS - 1 }
}

/// How many latencies are in this bucket and those after it.
pub(super) fn from_bucket(counts: &[u64], first: usize) -> u64 {
    counts.iter().skip(first).sum()
}

/// The first bucket of which all latencies are at least so long. With one that does not begin there, up to a bucket
/// of slower ones goes uncounted, which speaks for the version.
pub(super) fn first_at_least(bounds: &[u32], micros: f64) -> usize {
    bounds.partition_point(|bound| f64::from(*bound) < micros) + 1
}

/// The bucket with the latency that only `tail` of all (0 to 1) exceed. `None` if there are none.
pub(super) fn quantile_bucket(counts: &[u64], tail: f64) -> Option<usize> {
    let all: u64 = counts.iter().sum();
    let most = tail * all as f64;
    let mut above = all;
    counts.iter().position(|count| {
        above -= count;
        all > 0 && above as f64 <= most
    })
}

/// A latency for people to read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Latency {
    /// In milliseconds, interpolated within its bucket.
    About(f64),
    /// More than this, in milliseconds: beyond all bounds.
    Over(f64),
}

impl Latency {
    pub(super) const fn millis(self) -> f64 {
        match self {
            Latency::About(millis) | Latency::Over(millis) => millis,
        }
    }
}

/// The latency that only `tail` of all (0 to 1) exceed. `None` if there are none.
pub(super) fn quantile(counts: &[u64], bounds: &[u32], tail: f64) -> Option<Latency> {
    let bucket = quantile_bucket(counts, tail)?;
    let millis = |bound: Option<&u32>| bound.map_or(0.0, |micros| f64::from(*micros) / 1000.0);
    let lower = millis(bucket.checked_sub(1).and_then(|before| bounds.get(before)));
    if bucket >= bounds.len() {
        return Some(Latency::Over(lower));
    }
    let all: u64 = counts.iter().sum();
    let above = from_bucket(counts, bucket) as f64;
    let within = counts.get(bucket).map_or(1.0, |count| *count as f64);
    let part = ((above - tail * all as f64) / within).clamp(0.0, 1.0);
    Some(Latency::About(lower + (millis(bounds.get(bucket)) - lower) * part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_those_of_the_bounds() {
        assert!(BOUNDS.is_sorted_by(|a, b| a < b));
        let ends = BOUNDS.into_iter().flat_map(|bound| [bound - 1, bound, bound + 1]).map(u64::from);
        for micros in ends.chain([0, 1, 1_000, 12_345, u64::MAX]) {
            let expected = BOUNDS.partition_point(|bound| u64::from(*bound) < micros);
            assert_eq!(bucket(micros), expected, "{micros} µs");
        }
        assert_eq!(BOUNDS[BUCKETS - 2], 1 << 25);
        for pair in BOUNDS.windows(2) {
            assert!(f64::from(pair[1]) / f64::from(pair[0]) <= 1.0625, "{pair:?}");
        }
    }

    #[test]
    fn quantiles_lie_where_so_many_are_above() {
        let bounds = [10_000, 20_000, 40_000];
        for (counts, tail, bucket, latency) in [
            ([100, 0, 0, 0], 0.5, 0, Latency::About(5.0)),
            ([50, 50, 0, 0], 0.5, 0, Latency::About(10.0)),
            ([49, 51, 0, 0], 0.5, 1, Latency::About(10.0 + 10.0 / 51.0)),
            ([90, 5, 5, 0], 0.05, 1, Latency::About(20.0)),
            ([98, 0, 0, 2], 0.01, 3, Latency::Over(40.0)),
            ([98, 0, 2, 0], 0.01, 2, Latency::About(30.0)),
        ] {
            assert_eq!(quantile_bucket(&counts, tail), Some(bucket), "{counts:?} {tail}");
            let found = quantile(&counts, &bounds, tail).unwrap();
            assert!((found.millis() - latency.millis()).abs() < 1e-9, "{counts:?} {tail}: {found:?}");
            assert_eq!(matches!(found, Latency::Over(_)), matches!(latency, Latency::Over(_)));
        }
        assert_eq!(quantile(&[0, 0, 0, 0], &bounds, 0.01), None);
        assert_eq!(quantile(&[], &bounds, 0.01), None);
    }

    #[test]
    fn only_whole_buckets_count_as_slower() {
        let bounds = [10_000, 20_000, 40_000];
        for (micros, bucket) in [(1.0, 1), (10_000.0, 1), (10_001.0, 2), (20_000.0, 2), (40_001.0, 4)] {
            assert_eq!(first_at_least(&bounds, micros), bucket, "{micros}");
        }
    }
}
