//! What a worker knows of the time of day without reading a clock.
//!
//! Requests read the clock that only goes forward. Once a second it is set against the other one, which people go by.
//! Entry point: [`Clock`].

use std::cell::Cell;
use std::time::{Duration, Instant, SystemTime};

/// The time of day.
pub(crate) struct Clock {
    /// A point in time by both clocks.
    both: Cell<(Instant, SystemTime)>,
    /// The seconds since 1970 until an instant.
    second: Cell<(u64, Instant)>,
    /// The text of the Date field.
    date: Cell<[u8; 29]>,
}

impl Clock {
    /// Set to now.
    pub(crate) fn new() -> Clock {
        let both = (Instant::now(), SystemTime::now());
        Clock { both: Cell::new(both), second: Cell::new(second_of(both)), date: Cell::new(date_of(both.1)) }
    }

    /// Sets it to now: once a second.
    pub(crate) fn set(&self) {
        let both = (Instant::now(), SystemTime::now());
        self.both.set(both);
        self.second.set(second_of(both));
        self.date.set(date_of(both.1));
    }

    /// The text of the Date field.
    #[inline]
    pub(crate) fn date(&self) -> [u8; 29] {
        self.date.get()
    }

    /// The time of day at an instant, as far as the clock was not set by somebody since.
    pub(crate) fn time_of_day(&self, at: Instant) -> SystemTime {
        let (instant, time) = self.both.get();
        let shifted = match at.checked_duration_since(instant) {
            Some(later) => time.checked_add(later),
            None => time.checked_sub(instant.saturating_duration_since(at)),
        };
        shifted.unwrap_or(time)
    }

    /// The same, in seconds since 1970.
    pub(crate) fn seconds(&self, at: Instant) -> u64 {
        second_of((at, self.time_of_day(at))).0
    }

    /// The time of day in seconds since 1970 for a request that has begun at an instant: that, or a later one where it has
    /// taken its time since.
    #[inline]
    pub(crate) fn seconds_of(&self, began: Instant) -> u64 {
        let (seconds, until) = self.second.get();
        if began < until {
            return seconds;
        }
        self.second.set(second_of((began, self.time_of_day(began))));
        self.second.get().0
    }
}

/// The second that a point in time is in, and when it ends.
fn second_of((instant, time): (Instant, SystemTime)) -> (u64, Instant) {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let left = Duration::from_secs(1) - Duration::from_nanos(since.subsec_nanos().into());
    (since.as_secs(), instant.checked_add(left).unwrap_or(instant))
}

/// The text of a Date field for now.
pub(crate) fn date_now() -> [u8; 29] {
    date_of(SystemTime::now())
}

fn date_of(time: SystemTime) -> [u8; 29] {
    use std::io::Write;
    let mut text = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    // It is exactly as long; a year beyond 9999 is not our trouble.
    let _ = write!(&mut text[..], "{}", httpdate::HttpDate::from(time));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_go_on_between_settings_and_not_back_with_old_requests() {
        let clock = Clock::new();
        let (instant, time) = clock.both.get();
        let second =
            |after: Duration| (time + after).duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let first = second(Duration::ZERO);
        assert_eq!((clock.seconds_of(instant), clock.seconds(instant)), (first, first));
        for millis in (0..3000).step_by(50) {
            let after = Duration::from_millis(millis);
            let at = instant + after;
            assert_eq!((clock.seconds_of(at), clock.seconds(at)), (second(after), second(after)), "{millis}");
        }
        // The last one was three seconds later, and time has not gone back since.
        assert_eq!(clock.seconds_of(instant), second(Duration::from_millis(2950)));
        clock.set();
        assert!(clock.seconds_of(instant) >= first);
    }

    #[test]
    fn times_before_it_was_set_are_known() {
        let clock = Clock::new();
        let (instant, time) = clock.both.get();
        let before = Duration::from_millis(1500);
        if let Some(at) = instant.checked_sub(before) {
            assert_eq!(clock.time_of_day(at), time - before);
        }
    }
}
