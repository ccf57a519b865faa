//! How much may be asked for on demand: whoever connects can name any host, so this is bounded.

use std::time::{Duration, Instant, SystemTime};

use crate::{Error, moment};

/// As many hosts can wait for their first certificate.
pub(crate) const WAITING: usize = 64;
/// As many hosts are kept that came on demand.
pub(crate) const KEPT: usize = 1000;
/// So many first tries can follow each other at once.
const BURST: u32 = 20;
/// So often there is another one.
const EVERY: Duration = Duration::from_secs(60);

/// What becomes of a wish for a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// There is one in the store.
    Have,
    /// It is being obtained, or will be soon.
    Coming,
    /// It is not obtained now.
    Refused(Refusal),
}

/// Why a certificate is not obtained now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// That host can have none.
    Impossible(Error),
    /// It failed a moment ago.
    Failed {
        /// When it may be tried again.
        next: SystemTime,
    },
    /// There were too many wishes.
    TooMany,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refusal::Impossible(why) => write!(f, "{why}"),
            Refusal::Failed { next } => {
                write!(f, "it failed, and is not tried before {}", moment::written(*next))
            }
            Refusal::TooMany => f.write_str("too many hosts want their first certificate"),
        }
    }
}

/// A bucket of first tries.
#[derive(Debug)]
pub(crate) struct Bucket {
    left: u32,
    since: Instant,
}

impl Bucket {
    pub(crate) fn new(now: Instant) -> Bucket {
        Bucket { left: BURST, since: now }
    }

    /// Whether there is one more.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.since);
        let earned = u32::try_from(passed.as_secs() / EVERY.as_secs()).unwrap_or(u32::MAX);
        if earned >= BURST - self.left {
            (self.left, self.since) = (BURST, now);
        } else {
            self.left += earned;
            self.since += EVERY * earned;
        }
        let more = self.left > 0;
        self.left = self.left.saturating_sub(1);
        more
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_some_at_once_and_then_one_a_minute() {
        let start = Instant::now();
        let mut bucket = Bucket::new(start);
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut taken = |seconds, tries: u32| (0..tries).filter(|_| bucket.take(at(seconds))).count();
        assert_eq!(taken(0, 100), 20);
        assert_eq!(taken(59, 5), 0);
        assert_eq!(taken(60, 5), 1);
        // What is not a whole minute yet is not lost.
        assert_eq!(taken(179, 5), 1);
        assert_eq!(taken(180, 5), 1);
        assert_eq!(taken(100_000, 100), 20);
        assert_eq!(taken(u64::from(u32::MAX) * 120, 100), 20);
    }
}
