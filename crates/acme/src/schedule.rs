//! When a certificate is to be obtained: pure; the time and all that is random are passed in.
//!
//! Entry points: [`next_action`] and [`pause_after`].

use std::time::{Duration, SystemTime};

use crate::{Status, moment};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// The pause after the first failure: often something was only a moment late.
const FIRST_PAUSE: Duration = Duration::from_secs(20);
/// The longest pause: a certificate is renewed weeks before its end, so there are many tries.
pub(crate) const LONGEST_PAUSE: Duration = DAY;
/// Each pause is this many times the one before. With 4, a host has five tries in the first hour; more would meet
/// the limits of Let's Encrypt for failed validations.
const GROWTH: u32 = 4;

/// What the schedule needs to know of a certificate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Facts {
    /// From when on it is valid.
    pub not_before: SystemTime,
    /// Until when it is valid.
    pub not_after: SystemTime,
    /// A number from 0 to 1 that belongs to this certificate. It spreads renewals, and is the same after a restart.
    pub spread: f64,
}

/// When the authority wants a certificate to be renewed (RFC 9773, section 4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// From when on.
    pub start: SystemTime,
    /// Until when.
    pub end: SystemTime,
}

/// What is to be done for a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Obtain a certificate now.
    Obtain,
    /// Nothing before this moment.
    Wait(SystemTime),
}

/// What is to be done now for a host with this certificate (if it has one) and this status, which is to have its
/// certificate from `directory`.
pub fn next_action(
    now: SystemTime,
    facts: Option<&Facts>,
    status: &Status,
    directory: &str,
    window: Option<&Window>,
    renew_before: Option<Duration>,
) -> Action {
    // A certificate from another directory is used until there is one from this: so much for changing from
    // staging to production.
    let elsewhere = status.directory.as_deref().is_some_and(|from| from != directory);
    let due = match facts {
        Some(facts) if !elsewhere => renewal(facts, status.obtained, window, renew_before),
        _ => now,
    };
    let pause = status.failure.as_ref().filter(|failure| failure.directory == directory);
    // A clock that was wrong when the failure was written must not hold up things for years.
    let pause = pause.filter(|failure| {
        failure.at <= now && failure.next <= moment::later(failure.at, LONGEST_PAUSE + LONGEST_PAUSE / 2)
    });
    let at = pause.map_or(due, |failure| due.max(failure.next));
    if at <= now { Action::Obtain } else { Action::Wait(at) }
}

/// When a certificate is to be renewed.
fn renewal(
    facts: &Facts,
    obtained: Option<SystemTime>,
    window: Option<&Window>,
    renew_before: Option<Duration>,
) -> SystemTime {
    let spread = if facts.spread.is_finite() { facts.spread.clamp(0.0, 1.0) } else { 0.0 };
    let lifetime = facts.not_after.duration_since(facts.not_before).unwrap_or_default();
    let before_end = |by: Duration| facts.not_after.checked_sub(by).unwrap_or(facts.not_before);
    // Without a word of the authority: at two thirds of the lifetime. `renew_before` may say otherwise, but not so
    // that a new certificate would be due at once, for ever.
    let by_lifetime = renew_before.unwrap_or(lifetime / 3).min(lifetime / 2);
    // Up to a twentieth earlier, so that what was obtained together is not renewed together.
    let own = before_end(by_lifetime + (lifetime / 20).mul_f64(spread));
    let Some(window) = window else { return own };
    let length = window.end.duration_since(window.start).unwrap_or_default();
    let chosen = moment::later(window.start, length.mul_f64(spread));
    // A window that always lies in the past must not become a loop.
    let gap = HOUR.min(lifetime / 4);
    let chosen = obtained.map_or(chosen, |obtained| chosen.max(moment::later(obtained, gap)));
    // And one that lies too late must not let the certificate expire.
    let latest = if renew_before.is_some() { own } else { before_end(lifetime / 6) };
    chosen.min(latest)
}

/// How long to wait after this many failures in a row. `random` is a number from 0 to 1.
pub fn pause_after(failures: u32, random: f64) -> Duration {
    let pause = match failures {
        0 | 1 => FIRST_PAUSE,
        more => MINUTE.saturating_mul(GROWTH.saturating_pow(more - 2)).min(LONGEST_PAUSE),
    };
    let random = if random.is_finite() { random.clamp(0.0, 1.0) } else { 0.5 };
    pause.mul_f64(0.75 + random / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, Failure};

    const HERE: &str = "https://here.example/dir";
    const NINETY_DAYS: Duration = Duration::from_secs(90 * 86_400);

    /// A moment, in days since the certificate became valid.
    fn day(days: f64) -> SystemTime {
        moment::from_unix(1_700_000_000 + (days * 86_400.0) as i64)
    }

    fn facts(days: f64, spread: f64) -> Facts {
        Facts { not_before: day(0.0), not_after: day(days), spread }
    }

    fn failed(directory: &str, at: f64, next: f64) -> Status {
        let failure = Failure {
            directory: directory.to_owned(),
            count: 1,
            at: day(at),
            why: Error::new("no"),
            next: day(next),
        };
        Status { failure: Some(failure), ..Status::default() }
    }

    #[test]
    fn renewals_without_a_word_of_the_authority() {
        let days = |days: u64| Some(Duration::from_secs(days * 86_400));
        for (lifetime, spread, renew_before, expected) in [
            (90.0, 0.0, None, 60.0),
            (90.0, 1.0, None, 55.5),
            (6.0, 0.0, None, 4.0),
            (90.0, 0.0, days(10), 80.0),
            (90.0, 0.0, days(0), 90.0),
            // More than half of the lifetime is never thrown away.
            (6.0, 0.0, days(30), 3.0),
            (90.0, 0.0, Some(Duration::MAX), 45.0),
            (90.0, f64::NAN, None, 60.0),
            (90.0, 7.0, None, 55.5),
            // A certificate that ends before it begins.
            (-5.0, 0.0, None, -5.0),
        ] {
            let facts = facts(lifetime, spread);
            let due = renewal(&facts, None, None, renew_before);
            assert_eq!(due, day(expected), "{lifetime} {spread} {renew_before:?}");
            let before = due - Duration::from_secs(1);
            let status = Status::default();
            let act = |now| next_action(now, Some(&facts), &status, HERE, None, renew_before);
            assert_eq!(act(before), Action::Wait(due));
            assert_eq!(act(due), Action::Obtain);
            assert_eq!(act(day(1000.0)), Action::Obtain);
        }
    }

    #[test]
    fn renewals_as_the_authority_wants_them() {
        let window = |start, end| Window { start: day(start), end: day(end) };
        for (window, obtained, spread, renew_before, expected) in [
            (window(60.0, 62.0), Some(0.0), 0.0, None, 60.0),
            (window(60.0, 62.0), Some(0.0), 0.5, None, 61.0),
            (window(60.0, 62.0), Some(0.0), 1.0, None, 62.0),
            // It may be early: the authority wants to take certificates back.
            (window(1.0, 2.0), Some(0.0), 0.0, None, 1.0),
            // In the past: at once, but not in a loop.
            (window(-9.0, -8.0), Some(0.0), 0.0, None, 1.0 / 24.0),
            (window(-9.0, -8.0), None, 0.0, None, -9.0),
            // Too late, or nonsense.
            (window(89.9, 500.0), Some(0.0), 1.0, None, 75.0),
            (window(70.0, 60.0), Some(0.0), 1.0, None, 70.0),
            // What the user wants is no later.
            (window(60.0, 60.0), Some(0.0), 0.0, Some(40), 50.0),
            (window(60.0, 60.0), Some(0.0), 0.0, Some(10), 60.0),
        ] {
            let renew_before = renew_before.map(|days: u64| Duration::from_secs(days * 86_400));
            let due = renewal(&facts(90.0, spread), obtained.map(day), Some(&window), renew_before);
            assert_eq!(due, day(expected), "{window:?} {obtained:?} {spread} {renew_before:?}");
        }
    }

    #[test]
    fn what_is_missing_is_obtained_unless_it_failed_just_now() {
        for (status, now, expected) in [
            (Status::default(), 0.0, Action::Obtain),
            (failed(HERE, 0.0, 0.5), 0.1, Action::Wait(day(0.5))),
            (failed(HERE, 0.0, 0.5), 0.5, Action::Obtain),
            // What failed elsewhere says nothing about here.
            (failed("https://other.example/", 0.0, 0.5), 0.1, Action::Obtain),
            // A clock that went wrong holds up nothing.
            (failed(HERE, 0.0, 900.0), 0.1, Action::Obtain),
            (failed(HERE, 900.0, 900.5), 0.1, Action::Obtain),
        ] {
            assert_eq!(next_action(day(now), None, &status, HERE, None, None), expected, "{status:?} {now}");
        }
    }

    #[test]
    fn a_failed_renewal_waits_its_pause_and_a_pause_delays_only_what_is_due() {
        let facts = facts(90.0, 0.0);
        for (status, now, expected) in [
            (failed(HERE, 60.0, 60.5), 60.1, Action::Wait(day(60.5))),
            (failed(HERE, 60.0, 60.5), 60.6, Action::Obtain),
            (failed(HERE, 1.0, 1.5), 1.1, Action::Wait(day(60.0))),
        ] {
            assert_eq!(
                next_action(day(now), Some(&facts), &status, HERE, None, None),
                expected,
                "{status:?}"
            );
        }
    }

    #[test]
    fn another_directory_means_another_certificate() {
        let facts = facts(90.0, 0.0);
        for (directory, expected) in [
            (None, Action::Wait(day(60.0))),
            (Some(HERE), Action::Wait(day(60.0))),
            (Some("https://staging.example/"), Action::Obtain),
        ] {
            let status = Status { directory: directory.map(str::to_owned), ..Status::default() };
            assert_eq!(next_action(day(1.0), Some(&facts), &status, HERE, None, None), expected);
        }
    }

    #[test]
    fn pauses_grow_to_a_day_and_are_spread() {
        let seconds = |failures| pause_after(failures, 0.5).as_secs();
        let all: Vec<u64> = (0..9).map(seconds).collect();
        assert_eq!(all, [20, 20, 60, 240, 960, 3840, 15_360, 61_440, 86_400]);
        assert_eq!(seconds(u32::MAX), 86_400);
        assert_eq!(pause_after(2, 0.0), Duration::from_secs(45));
        assert_eq!(pause_after(2, 1.0), Duration::from_secs(75));
        assert_eq!(pause_after(2, f64::NAN), Duration::from_secs(60));
        // So a renewal that begins a third of ninety days before the end has thirty tries and more.
        let until_the_end = NINETY_DAYS / 3;
        assert!((1..30).map(|n| pause_after(n, 1.0)).take(20).sum::<Duration>() < until_the_end);
    }
}
