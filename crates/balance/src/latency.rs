//! How long a member takes to answer: an estimate that follows peaks at once and forgets them slowly.
//!
//! It must not know whose answers they are, and it asks no clock. Entry points: [`PeakEwma::observe`],
//! [`PeakEwma::value`].

/// After this time, in milliseconds, what was observed counts half. It is the time constant of 10 seconds that
/// Finagle uses. A member that was ten times slower than the others is tried again after up to 2.7 of it, 19
/// seconds. So long a single slow answer keeps a member away from little traffic, too, which is why it is not more.
pub const HALF_LIFE_MS: u64 = 7_000;

/// The longest of all response times so far, each halved every 7 seconds since it was observed.
///
/// This is the measure that Finagle's `PeakEwma` comes to (`com.twitter.finagle.loadbalancer.PeakEwma`): it moves
/// its average towards zero whenever a choice is made, so that answers which are shorter hardly count. Here
/// they do not at all, which needs no exponential function. The time is any clock in milliseconds that does
/// not run backwards; if it does, no time has passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeakEwma {
    /// The response time that counts, in microseconds; 0 if there was none.
    peak: u32,
    /// When it was observed, in milliseconds.
    at: u64,
}

impl PeakEwma {
    /// Takes note of an answer that took so many microseconds (at least 1). An attempt that failed is worth as
    /// much as what it cost the client, at least: a member that fails at once would otherwise seem fast.
    #[inline]
    pub fn observe(&mut self, rtt_micros: u32, now_ms: u64) {
        let rtt = rtt_micros.max(1);
        if rtt >= self.value(now_ms) {
            *self = Self { peak: rtt, at: now_ms.max(self.at) };
        }
    }

    /// What a request would take by now, in microseconds; 0 if nothing is known, or not any more.
    #[inline]
    #[must_use]
    pub fn value(&self, now_ms: u64) -> u32 {
        let age = now_ms.saturating_sub(self.at);
        let halvings = u32::try_from(age / HALF_LIFE_MS).unwrap_or(u32::MAX);
        let halved = u64::from(self.peak.checked_shr(halvings).unwrap_or(0));
        // Between two halvings it falls in a straight line: that is too much by up to 6 %.
        let fallen = halved * (age % HALF_LIFE_MS) / (2 * HALF_LIFE_MS);
        (halved - fallen) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_known_before_the_first_answer() {
        assert_eq!(PeakEwma::default().value(0), 0);
        assert_eq!(PeakEwma::default().value(u64::MAX), 0);
        let mut cost = PeakEwma::default();
        cost.observe(0, 5);
        assert_eq!(cost.value(5), 1, "an answer within a microsecond is one");
    }

    #[test]
    fn a_peak_counts_at_once_and_is_halved_every_half_life() {
        let mut cost = PeakEwma::default();
        cost.observe(10_000, 0);
        cost.observe(80_000, 1);
        assert_eq!(cost.value(1), 80_000);
        for halvings in 0..=16 {
            assert_eq!(cost.value(1 + halvings * HALF_LIFE_MS), 80_000 >> halvings);
        }
        assert_eq!(cost.value(1 + 17 * HALF_LIFE_MS), 0);
        assert_eq!(cost.value(u64::MAX), 0);
    }

    #[test]
    fn it_falls_all_the_time_and_keeps_close_to_the_exponential() {
        let mut cost = PeakEwma::default();
        cost.observe(u32::MAX, 1000);
        let mut before = u32::MAX;
        for age in (0..20 * HALF_LIFE_MS).step_by(10) {
            let value = cost.value(1000 + age);
            assert!(value < before || age == 0, "at {age}");
            before = value;
            let exact = f64::from(u32::MAX) * (-(age as f64) / HALF_LIFE_MS as f64).exp2();
            assert!((0.999..1.065).contains(&(f64::from(value) / exact)), "at {age}: {value}, not {exact}");
        }
    }

    /// A peak must not last longer because many short answers follow it.
    #[test]
    fn shorter_answers_do_not_hold_a_peak_up() {
        let mut busy = PeakEwma::default();
        busy.observe(100_000, 0);
        let idle = busy;
        for now in 0..60_000 {
            busy.observe(300, now);
            assert_eq!(busy.value(now), idle.value(now).max(300));
        }
    }

    #[test]
    fn steady_answers_give_their_time() {
        let mut cost = PeakEwma::default();
        for now in (0..100_000).step_by(50) {
            cost.observe(20_000, now);
            assert_eq!(cost.value(now), 20_000);
        }
    }

    #[test]
    fn a_clock_that_runs_backwards_harms_nothing() {
        let mut cost = PeakEwma::default();
        cost.observe(5_000, 10_000);
        assert_eq!(cost.value(0), 5_000);
        cost.observe(6_000, 0);
        assert_eq!(cost.value(10_000 + HALF_LIFE_MS), 3_000);
    }
}
