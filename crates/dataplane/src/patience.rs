//! How long a client may keep the gateway waiting for body bytes, in either direction.
//!
//! A plain timeout between two reads lets a client hold a request for ever with a byte now and then. Here
//! waiting uses up credit, and bytes earn it back at the least acceptable rate, so the average counts.

use std::time::Duration;

use crate::timer::{TICK, Tick, ticks};

/// The credit of one direction of one request.
#[derive(Default)]
pub(crate) struct Patience {
    /// Full credit, in ticks.
    full: u64,
    credit: u64,
    /// Bytes that earn one tick; 0 where any byte earns full credit.
    bytes_per_tick: u64,
    earned: u64,
    waiting_since: Option<Tick>,
}

impl Patience {
    /// Full credit of `limit`; `min_rate` in bytes per second, 0 for none.
    pub(crate) fn new(limit: Duration, min_rate: u64) -> Patience {
        let full = ticks(limit);
        let per_tick = min_rate.saturating_mul(TICK.as_millis() as u64) / 1000;
        let bytes_per_tick = if min_rate == 0 { 0 } else { per_tick.max(1) };
        Patience { full, credit: full, bytes_per_tick, earned: 0, waiting_since: None }
    }

    /// The client is waited for from now on, if it was not already.
    pub(crate) fn wait(&mut self, now: Tick) {
        if self.waiting_since.is_none() {
            self.waiting_since = Some(now);
        }
    }

    /// The client did something: `bytes` in all so far, in this direction.
    pub(crate) fn progress(&mut self, now: Tick, bytes: u64) {
        let fresh = bytes.saturating_sub(self.earned);
        if let Some(since) = self.waiting_since {
            if fresh == 0 {
                return;
            }
            self.credit = self.credit.saturating_sub(now.0.saturating_sub(since.0));
            self.waiting_since = None;
        }
        match fresh.checked_div(self.bytes_per_tick) {
            None => {
                (self.credit, self.earned) = (self.full, bytes);
            }
            // Bytes that do not make a whole tick are kept for the next time.
            Some(earned) => {
                self.credit = self.credit.saturating_add(earned).min(self.full);
                self.earned += earned * self.bytes_per_tick;
                if self.credit == self.full {
                    self.earned = bytes;
                }
            }
        }
    }

    /// Nobody waits for the client now.
    pub(crate) fn rest(&mut self, now: Tick) {
        if let Some(since) = self.waiting_since.take() {
            self.credit = self.credit.saturating_sub(now.0.saturating_sub(since.0));
        }
    }

    /// When patience ends, as long as nothing happens.
    pub(crate) fn deadline(&self) -> Tick {
        self.waiting_since.map_or(Tick::NEVER, |since| Tick(since.0.saturating_add(self.credit)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 20;

    #[test]
    fn silence_uses_the_credit_up() {
        let mut patience = Patience::new(Duration::from_secs(10), 1000);
        assert_eq!(patience.deadline(), Tick::NEVER);
        patience.wait(Tick(5));
        assert_eq!(patience.deadline(), Tick(5 + 10 * SECOND + 1));
        patience.rest(Tick(5 + 4 * SECOND));
        assert_eq!(patience.deadline(), Tick::NEVER);
        patience.wait(Tick(1000));
        assert_eq!(patience.deadline(), Tick(1000 + 6 * SECOND + 1));
    }

    #[test]
    fn a_byte_now_and_then_does_not_help() {
        let mut patience = Patience::new(Duration::from_secs(10), 1000);
        let (mut now, mut bytes) = (0, 0);
        loop {
            patience.wait(Tick(now));
            if patience.deadline() <= Tick(now + SECOND) {
                break;
            }
            now += SECOND;
            bytes += 1;
            patience.progress(Tick(now), bytes);
            assert!(now < 12 * SECOND, "still waiting");
        }
    }

    #[test]
    fn the_least_rate_is_enough_for_ever() {
        let mut patience = Patience::new(Duration::from_secs(10), 1000);
        for second in 0..1000 {
            patience.wait(Tick(second * SECOND));
            assert!(patience.deadline() > Tick((second + 1) * SECOND));
            patience.progress(Tick((second + 1) * SECOND), (second + 1) * 1100);
        }
    }

    #[test]
    fn without_a_rate_any_byte_renews_it() {
        let mut patience = Patience::new(Duration::from_secs(1), 0);
        for second in 0..100 {
            patience.wait(Tick(second * 15));
            patience.progress(Tick(second * 15 + 15), second + 1);
        }
        patience.wait(Tick(1500));
        assert_eq!(patience.deadline(), Tick(1500 + SECOND + 1));
    }
}
