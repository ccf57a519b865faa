//! What was counted of both versions: in this step, and lately.
//!
//! It must not know what the counts say. Entry points: [`Sample`] comes in, [`Tallies::add`] takes in what is new,
//! [`Tallies::windows`] gives it out.

/// What one version has done for as long as it is counted, on this route. Every number only grows; if one is smaller
/// than before, the counting has begun anew.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// Requests that are over, whatever became of them.
    pub requests: u64,
    /// Those of them that failed: answered with a 5xx, or not at all.
    pub failed: u64,
    /// How long answers took, in the buckets of the bounds that the rollout was made with; one more than these.
    pub latency: &'a [u64],
}

/// Numbers of one version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that are over.
    pub requests: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// How long answers took, in the buckets of the bounds that the rollout was made with.
    pub latency: Vec<u64>,
}

impl Counts {
    /// Nothing, in so many buckets.
    pub(super) fn none(buckets: usize) -> Counts {
        Counts { latency: vec![0; buckets], ..Counts::default() }
    }

    /// A copy of a sample in so many buckets, whatever its length.
    pub(super) fn of(sample: &Sample<'_>, buckets: usize) -> Counts {
        let mut latency: Vec<u64> = sample.latency.iter().copied().take(buckets).collect();
        latency.resize(buckets, 0);
        Counts { requests: sample.requests, failed: sample.failed.min(sample.requests), latency }
    }

    /// What is new since an earlier look.
    fn since(&self, before: &Counts) -> Counts {
        if self.requests < before.requests || self.failed < before.failed {
            return self.clone();
        }
        let requests = self.requests - before.requests;
        Counts {
            requests,
            failed: (self.failed - before.failed).min(requests),
            latency: self
                .latency
                .iter()
                .zip(&before.latency)
                .map(|(now, then)| now.saturating_sub(*then))
                .collect(),
        }
    }

    fn add(&mut self, other: &Counts) {
        self.requests = self.requests.saturating_add(other.requests);
        self.failed = self.failed.saturating_add(other.failed);
        for (own, more) in self.latency.iter_mut().zip(&other.latency) {
            *own = own.saturating_add(*more);
        }
    }
}

/// Both versions over the same time.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    /// How long, in milliseconds.
    pub(super) span_ms: u64,
    pub(super) stable: Counts,
    pub(super) canary: Counts,
}

impl Tally {
    fn none(buckets: usize) -> Tally {
        Tally { span_ms: 0, stable: Counts::none(buckets), canary: Counts::none(buckets) }
    }

    fn add(&mut self, other: &Tally) {
        self.span_ms = self.span_ms.saturating_add(other.span_ms);
        self.stable.add(&other.stable);
        self.canary.add(&other.canary);
    }
}

/// The counts of both versions at one moment.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    now_ms: u64,
    stable: Counts,
    canary: Counts,
}

impl Seen {
    pub(super) fn new(stable: &Sample<'_>, canary: &Sample<'_>, now_ms: u64, buckets: usize) -> Seen {
        Seen { now_ms, stable: Counts::of(stable, buckets), canary: Counts::of(canary, buckets) }
    }

    /// What has happened since an earlier moment.
    pub(super) fn since(&self, before: &Seen) -> Tally {
        Tally {
            span_ms: self.now_ms.saturating_sub(before.now_ms),
            stable: self.stable.since(&before.stable),
            canary: self.canary.since(&before.canary),
        }
    }
}

/// The lengths of the windows over what happened lately, in milliseconds: a version that turns bad after a long good
/// time must not live on its past. A short one finds disasters, a long one small faults.
const WINDOWS_MS: [u64; 3] = [10_000, 60_000, 600_000];

/// The last half to whole of a length of time, in two halves like the window of the retry budget.
#[derive(Clone, Debug)]
struct Window {
    half_ms: u64,
    before: Tally,
    current: Tally,
}

/// What has been counted in a step.
///
/// Nothing crosses the border of a step. Within one, both versions get the same shares of the traffic of good and of
/// bad times. Counts with different shares cannot be added up: trouble that hits both, while the canary happens to
/// have a large share, would look like the canary's (Simpson's paradox).
#[derive(Clone, Debug)]
pub(super) struct Tallies {
    step: Tally,
    lately: [Window; 3],
}

impl Tallies {
    pub(super) fn new(buckets: usize) -> Tallies {
        let none = || Tally::none(buckets);
        let window = |length: u64| Window { half_ms: length / 2, before: none(), current: none() };
        Tallies { step: none(), lately: WINDOWS_MS.map(window) }
    }

    /// With this counted in the step before the process began.
    pub(super) fn restored(span_ms: u64, stable: Counts, canary: Counts, buckets: usize) -> Tallies {
        Tallies { step: Tally { span_ms, stable, canary }, ..Tallies::new(buckets) }
    }

    pub(super) fn add(&mut self, new: &Tally) {
        self.step.add(new);
        for window in &mut self.lately {
            window.current.add(new);
            if window.current.span_ms >= window.half_ms {
                let none = Tally::none(window.current.canary.latency.len());
                window.before = std::mem::replace(&mut window.current, none);
            }
        }
    }

    /// All of this step.
    pub(super) const fn step(&self) -> &Tally {
        &self.step
    }

    /// This step, and what happened lately.
    pub(super) fn windows(&self) -> impl Iterator<Item = Tally> {
        let lately = self.lately.iter().map(|window| {
            let mut sum = window.before.clone();
            sum.add(&window.current);
            sum
        });
        std::iter::once(self.step.clone()).chain(lately)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(now_ms: u64, requests: u64, failed: u64, latency: &[u64]) -> Seen {
        let sample = Sample { requests, failed, latency };
        Seen::new(&sample, &sample, now_ms, 3)
    }

    #[test]
    fn what_is_new_is_the_difference_or_all_if_counting_began_anew() {
        let first = seen(1_000, 10, 2, &[5, 4, 1]);
        for (later, span_ms, requests, failed, latency) in [
            (seen(2_000, 15, 3, &[6, 5, 4]), 1_000, 5, 1, [1, 1, 3]),
            (seen(2_000, 10, 2, &[5, 4, 1]), 1_000, 0, 0, [0, 0, 0]),
            (seen(2_000, 3, 1, &[3, 0, 0]), 1_000, 3, 1, [3, 0, 0]),
            (seen(500, 11, 9, &[6]), 0, 1, 1, [1, 0, 0]),
            (seen(2_000, 11, 3, &[6, 4, 1, 7, 7]), 1_000, 1, 1, [1, 0, 0]),
        ] {
            let new = later.since(&first);
            assert_eq!(new.span_ms, span_ms);
            assert_eq!(new.canary, Counts { requests, failed, latency: latency.to_vec() });
            assert_eq!(new.stable, new.canary);
        }
    }

    #[test]
    fn windows_forget_what_is_older_than_they_are_long() {
        let mut tallies = Tallies::new(0);
        let second = |failed| {
            let counts = Counts { requests: 10, failed, latency: Vec::new() };
            Tally { span_ms: 1_000, stable: counts.clone(), canary: counts }
        };
        for _ in 0..20 {
            tallies.add(&second(1));
        }
        for _ in 0..1_000 {
            tallies.add(&second(0));
            for (window, length) in tallies.windows().skip(1).zip(WINDOWS_MS) {
                assert!(window.span_ms <= length && window.span_ms == window.canary.requests * 100);
            }
        }
        let failed: Vec<u64> = tallies.windows().map(|window| window.canary.failed).collect();
        assert_eq!(failed, [20, 0, 0, 0]);
        assert!(
            tallies.windows().skip(1).zip(WINDOWS_MS).all(|(window, length)| window.span_ms >= length / 2)
        );
    }
}
