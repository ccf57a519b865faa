//! How long answers have taken lately: which time so many of them do not exceed.
//!
//! It asks no clock. Entry points: [`Recent::add`], [`Recent::quantile`].

use crate::outlier::{LATENCY_BUCKETS, latency_bucket, upper_bound};

/// The window: between the last and the last two of so many milliseconds.
const HALF_MS: u64 = 10_000;
/// With fewer answers nothing is said.
const LEAST: u64 = 50;

/// How long answers have taken lately, in buckets of half a power of two.
#[derive(Clone, Debug)]
pub struct Recent {
    current: [u32; LATENCY_BUCKETS],
    before: [u32; LATENCY_BUCKETS],
    half: u64,
}

impl Default for Recent {
    fn default() -> Self {
        Recent { current: [0; LATENCY_BUCKETS], before: [0; LATENCY_BUCKETS], half: 0 }
    }
}

impl Recent {
    /// Takes note of an answer that took so many microseconds.
    #[inline]
    pub fn add(&mut self, micros: u32) {
        if let Some(count) = self.current.get_mut(latency_bucket(micros)) {
            *count = count.saturating_add(1);
        }
    }

    /// Lets time pass. `now` is in milliseconds.
    pub fn turn(&mut self, now: u64) {
        let half = now / HALF_MS;
        if half > self.half {
            let current = std::mem::replace(&mut self.current, [0; LATENCY_BUCKETS]);
            self.before = if half == self.half + 1 { current } else { [0; LATENCY_BUCKETS] };
            self.half = half;
        }
    }

    /// What so many of a thousand answers did not exceed, in microseconds; `None` if there were too few.
    pub fn quantile(&self, permille: u32) -> Option<u32> {
        let counts = || self.current.iter().zip(&self.before).map(|(a, b)| u64::from(*a) + u64::from(*b));
        let all: u64 = counts().sum();
        if all < LEAST {
            return None;
        }
        let mut seen = 0;
        let bucket = counts().position(|count| {
            seen += count;
            seen * 1000 >= all * u64::from(permille)
        })?;
        u32::try_from(upper_bound(bucket)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_what_was_lately() {
        let mut recent = Recent::default();
        assert_eq!(recent.quantile(950), None);
        (0..95).for_each(|_| recent.add(1_000));
        (0..5).for_each(|_| recent.add(50_000));
        let (half, most) = (recent.quantile(500).unwrap(), recent.quantile(990).unwrap());
        assert!((1_000..1_500).contains(&half) && (50_000..75_000).contains(&most), "{half} {most}");
        assert_eq!(recent.quantile(950), Some(half));
        recent.turn(10_000);
        assert_eq!(recent.quantile(500), Some(half), "it is remembered for a while");
        recent.turn(20_000);
        assert_eq!(recent.quantile(500), None, "and then forgotten");
    }
}
