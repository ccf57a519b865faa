//! A bucket: requests pass evenly at a rate, and a burst of them at once.
//!
//! It is the generic cell rate algorithm (ITU-T I.371, the virtual scheduling form): one number per key, the time at
//! which the next request would be due if they came evenly. Entry point: [`Bucket`].

use crate::limiter::{Judged, Level, Method, wait};
use crate::rate::Rate;

/// The settings of a bucket.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    burst: u32,
    /// Nanoseconds from one request to the next, and how far ahead of them one may be.
    interval: u64,
    ahead: u64,
}

/// When the next request is due, in nanoseconds; what lies in the past is a full bucket.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Due(u64);

impl Bucket {
    /// Lets through at most `burst` requests at once (at least one), and as many as the rate says in the long run: within
    /// any period no more than the rate and the burst together.
    pub fn new(rate: Rate, burst: u32) -> Bucket {
        let burst = burst.max(1);
        // Rounded up, so that never more than the rate gets through.
        let interval = rate.period().div_ceil(u64::from(rate.limit()));
        Bucket { burst, interval, ahead: interval.saturating_mul(u64::from(burst)) }
    }
}

impl Bucket {
    pub(crate) fn burst(&self) -> u32 {
        self.burst
    }
}

impl Method for Bucket {
    type State = Due;

    fn take(&self, state: &mut Due, cost: u32, now: u64) -> Judged {
        let due = state.0.max(now).saturating_add(self.interval.saturating_mul(u64::from(cost)));
        let allowed = due - now <= self.ahead;
        if allowed {
            *state = Due(due);
        }
        let over = if cost > self.burst { u64::MAX } else { (due - now).saturating_sub(self.ahead) };
        Judged { level: self.level(state, now), allowed, retry: wait(over) }
    }

    fn charge(&self, state: &mut Due, cost: u32, now: u64) {
        state.0 = state.0.max(now).saturating_add(self.interval.saturating_mul(u64::from(cost)));
    }

    fn give_back(&self, state: &mut Due, cost: u32, _now: u64) {
        state.0 = state.0.saturating_sub(self.interval.saturating_mul(u64::from(cost)));
    }

    fn level(&self, state: &Due, now: u64) -> Level {
        let ahead = state.0.saturating_sub(now);
        let left = self.ahead.saturating_sub(ahead) / self.interval;
        Level { left: u32::try_from(left).unwrap_or(u32::MAX).min(self.burst), full_after: wait(ahead) }
    }

    fn loss(&self, state: &Due, now: u64) -> u64 {
        state.0.saturating_sub(now).div_ceil(self.interval)
    }
}
