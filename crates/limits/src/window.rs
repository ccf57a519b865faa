//! A window: at most so many requests within any period, wherever it begins.
//!
//! The period is divided into [`PARTS`], and a request counts until the whole of the period has passed since the end of
//! the part it fell into. So no period ever has more than the limit, however its edges lie, and a request is forgotten at
//! most one part too late. Two counters and a weighted mean, which others use, let nearly twice the limit through
//! within less than a period. Entry point: [`Window`].

use crate::limiter::{Judged, Level, Method, wait};
use crate::rate::Rate;

/// Into how many parts a period is divided.
const PARTS: u64 = 8;
/// The parts of a period, and the one that is not over.
const COUNTS: usize = PARTS as usize + 1;

/// The settings of a window.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    limit: u32,
    /// The length of a part in nanoseconds.
    part: u64,
}

/// How many requests each part had. Of parts before the newest, those that lie too far back are not counted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// The number of the newest part, counted from the beginning of time.
    newest: u64,
    /// That of a part stands at its number modulo their count.
    counts: [u32; COUNTS],
}

impl Counts {
    fn count(&mut self, part: u64) -> &mut u32 {
        // The remainder is a position for certain.
        &mut self.counts[(part % COUNTS as u64) as usize]
    }

    /// Forgets what is over at the time of a part.
    fn advance(&mut self, to: u64) {
        let passed = to.saturating_sub(self.newest).min(COUNTS as u64);
        for part in 0..passed {
            *self.count(to - part) = 0;
        }
        self.newest = self.newest.max(to);
    }

    /// Of all parts.
    fn used(&self) -> u64 {
        self.counts.iter().map(|count| u64::from(*count)).sum()
    }

    /// Each part with its number, the oldest first.
    fn parts(&self) -> impl Iterator<Item = (u64, u32)> {
        let first = self.newest.saturating_sub(PARTS);
        // The remainder is a position for certain.
        let (later, earlier) = self.counts.split_at((first % COUNTS as u64) as usize);
        (first..).zip(earlier.iter().chain(later).copied())
    }
}

impl Window {
    /// Lets through at most the limit of the rate within any period.
    pub fn new(rate: Rate) -> Window {
        // Rounded up, so that all parts together are no shorter than the period.
        Window { limit: rate.limit(), part: rate.period().div_ceil(PARTS) }
    }

    pub(crate) fn limit(&self) -> u32 {
        self.limit
    }

    /// How long until `room` requests fit where so many are used, in nanoseconds; `u64::MAX` if they never do.
    fn until(&self, counts: &Counts, used: u64, room: u32, now: u64) -> u64 {
        let mut over = (used + u64::from(room)).saturating_sub(self.limit.into());
        if over == 0 {
            return 0;
        }
        for (part, count) in counts.parts() {
            over = over.saturating_sub(count.into());
            if over == 0 {
                return (part + COUNTS as u64).saturating_mul(self.part).saturating_sub(now);
            }
        }
        u64::MAX
    }

    /// What is left where so many are used, at the time of the newest part.
    fn left(&self, counts: &Counts, used: u64, now: u64) -> Level {
        let left = u64::from(self.limit).saturating_sub(used);
        let full_after = self.until(counts, used, self.limit, now);
        Level { left: u32::try_from(left).unwrap_or(u32::MAX), full_after: wait(full_after) }
    }
}

impl Method for Window {
    type State = Counts;

    fn take(&self, state: &mut Counts, cost: u32, now: u64) -> Judged {
        state.advance(now / self.part);
        let (before, after) = (state.used(), state.used() + u64::from(cost));
        if after > self.limit.into() {
            let retry = wait(self.until(state, before, cost, now));
            return Judged { level: self.left(state, before, now), allowed: false, retry };
        }
        let newest = state.newest;
        *state.count(newest) += cost;
        Judged { level: self.left(state, after, now), allowed: true, retry: 0 }
    }

    fn charge(&self, state: &mut Counts, cost: u32, now: u64) {
        state.advance(now / self.part);
        let newest = state.newest;
        let count = state.count(newest);
        *count = count.saturating_add(cost);
    }

    fn give_back(&self, state: &mut Counts, cost: u32, now: u64) {
        state.advance(now / self.part);
        // From the newest parts: it was taken a moment ago.
        let mut left = cost;
        for back in 0..COUNTS as u64 {
            let Some(part) = state.newest.checked_sub(back) else { return };
            let count = state.count(part);
            let given = left.min(*count);
            *count -= given;
            left -= given;
        }
    }

    fn level(&self, state: &Counts, now: u64) -> Level {
        let mut state = *state;
        state.advance(now / self.part);
        self.left(&state, state.used(), now)
    }

    fn loss(&self, state: &Counts, now: u64) -> u64 {
        let mut state = *state;
        state.advance(now / self.part);
        state.used()
    }
}
