//! The retry budget: retries are a share of the requests, so that they cannot multiply an overload.
//!
//! It must not know why something is retried. Entry points: [`RetryBudget::on_request`],
//! [`RetryBudget::try_retry`].

use std::time::Duration;

/// Length of the window over which requests and retries are counted, in milliseconds.
pub const WINDOW_MS: u64 = 10_000;
/// The window moves by halves.
const HALF_MS: u64 = WINDOW_MS / 2;

/// Counts of one half of the window.
#[derive(Clone, Copy, Debug, Default)]
struct Half {
    requests: u64,
    retries: u64,
}

/// Allows retries up to a share of the requests of the last 10 seconds, and a few per second in any case,
/// so that a service with little traffic is not left without.
///
/// The window is made of two halves: the current one, which fills, and the one before. It so covers
/// between 5 and 10 seconds, and forgets 5 seconds at once. What is allowed over the window is
/// `share × requests + minimum × 10`; retries count against it when they are granted, and are not
/// requests themselves.
///
/// The time is any clock in milliseconds that does not run backwards; if it does, the current half goes on.
#[derive(Clone, Debug)]
pub struct RetryBudget {
    percent: u32,
    /// Retries that the minimum allows over the window.
    floor: u64,
    current: Half,
    before: Half,
    /// Number of the current half since time 0.
    epoch: u64,
}

impl RetryBudget {
    /// Retries per second that are always allowed, on average over the window.
    pub const MIN_PER_SECOND: u32 = 3;

    /// `percent` of the requests may be retried (20 means one in five), and
    /// [`RetryBudget::MIN_PER_SECOND`] in any case.
    #[must_use]
    pub fn new(percent: u32) -> Self {
        Self::with_minimum(percent, Self::MIN_PER_SECOND)
    }

    /// As [`RetryBudget::new`] with another minimum; 0 percent and 0 per second allow none at all.
    #[must_use]
    pub fn with_minimum(percent: u32, min_per_second: u32) -> Self {
        let floor = u64::from(min_per_second) * (WINDOW_MS / 1000);
        Self { percent, floor, current: Half::default(), before: Half::default(), epoch: 0 }
    }

    /// Counts a request (not its retries). `now` is in milliseconds.
    pub fn on_request(&mut self, now: u64) {
        self.advance(now);
        self.current.requests = self.current.requests.saturating_add(1);
    }

    /// Whether one more retry fits; if so it is counted. `now` is in milliseconds.
    pub fn try_retry(&mut self, now: u64) -> bool {
        self.advance(now);
        let requests = self.current.requests.saturating_add(self.before.requests);
        let share = u128::from(requests) * u128::from(self.percent) / 100;
        let retries = u128::from(self.current.retries) + u128::from(self.before.retries);
        if retries >= share + u128::from(self.floor) {
            return false;
        }
        self.current.retries += 1;
        true
    }

    fn advance(&mut self, now: u64) {
        let epoch = now / HALF_MS;
        if epoch <= self.epoch {
            return;
        }
        self.before = if epoch == self.epoch + 1 { self.current } else { Half::default() };
        self.current = Half::default();
        self.epoch = epoch;
    }
}

/// The longest pause is so many times the first.
const LONGEST_PAUSE: u32 = 10;

/// How long to wait before the same member is asked again, after so many failures, at least one: up to `base` the first
/// time, then up to twice as long each time, at most ten times. Drawn at random, so that requests that failed together
/// do not come back together.
pub fn backoff(base: Duration, failures: u32, rng: &mut fastrand::Rng) -> Duration {
    let most = base * (1 << failures.saturating_sub(1).min(4)).min(LONGEST_PAUSE);
    most.mul_f64(rng.f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_differ() {
        let mut rng = fastrand::Rng::with_seed(1);
        for (failures, most) in [(0, 25), (1, 25), (2, 50), (3, 100), (4, 200), (5, 250), (50, 250)] {
            let drawn: Vec<Duration> =
                (0..100).map(|_| backoff(Duration::from_millis(25), failures, &mut rng)).collect();
            let (least, longest) = (drawn.iter().min().unwrap(), drawn.iter().max().unwrap());
            assert!(longest.as_millis() <= most && longest.as_millis() > most / 2, "{failures}: {longest:?}");
            assert!(least.as_millis() < most / 4, "{failures}: {least:?}");
        }
    }

    fn granted(budget: &mut RetryBudget, tries: u32, now: u64) -> u32 {
        (0..tries).map(|_| u32::from(budget.try_retry(now))).sum()
    }

    #[test]
    fn minimum_without_traffic() {
        let mut budget = RetryBudget::new(20);
        assert_eq!(granted(&mut budget, 100, 1_000), 30);
        assert_eq!(granted(&mut budget, 100, 4_999), 0);
        // The half in which they were granted is still in the window.
        assert_eq!(granted(&mut budget, 100, 5_000), 0);
        assert_eq!(granted(&mut budget, 100, 10_000), 30);
    }

    #[test]
    fn share_of_the_requests() {
        let mut budget = RetryBudget::with_minimum(20, 0);
        assert_eq!(granted(&mut budget, 1, 0), 0);
        for i in 0..1000 {
            budget.on_request(i * 4);
        }
        assert_eq!(granted(&mut budget, 1000, 4_000), 200);
        for i in 0..500 {
            budget.on_request(5_000 + i);
        }
        assert_eq!(granted(&mut budget, 1000, 6_000), 100);
        // The first half is forgotten with its 1000 requests and 200 retries.
        assert_eq!(granted(&mut budget, 1000, 10_000), 0);
        assert_eq!(granted(&mut budget, 1000, 15_000), 0);
    }

    #[test]
    fn steady_state_keeps_to_the_share() {
        // 100 requests per second of which every one wants a retry, over two minutes.
        let mut budget = RetryBudget::with_minimum(20, 0);
        let mut retries = 0;
        for now in (0..120_000).step_by(10) {
            budget.on_request(now);
            retries += u32::from(budget.try_retry(now));
        }
        assert!((2300..=2400).contains(&retries), "{retries} of 12000");
    }

    #[test]
    fn nothing_is_allowed_when_nothing_is_configured() {
        let mut budget = RetryBudget::with_minimum(0, 0);
        for now in 0..1000 {
            budget.on_request(now);
        }
        assert_eq!(granted(&mut budget, 10, 1000), 0);
    }

    #[test]
    fn a_pause_or_a_clock_that_jumps_harms_nothing() {
        let mut budget = RetryBudget::with_minimum(100, 0);
        budget.on_request(0);
        assert!(budget.try_retry(0) && !budget.try_retry(0));
        assert!(!budget.try_retry(u64::MAX));
        budget.on_request(u64::MAX);
        assert!(budget.try_retry(0), "an earlier time belongs to the current half");
        assert!(!budget.try_retry(u64::MAX));
    }
}
