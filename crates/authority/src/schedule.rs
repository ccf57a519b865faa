//! When a document is to be fetched: after success, after failure, and when somebody misses something in it.
//!
//! Pure: times are milliseconds of a clock that does not run backwards, and passed in. Entry point: [`Schedule`].

use std::time::Duration;

use fastrand::Rng;

/// How often a document is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// The shortest time between two regular fetches, even if the answer wants less.
    pub shortest: Duration,
    /// The longest time between two regular fetches, even if the answer allows more.
    pub longest: Duration,
    /// The time to the next fetch after an answer that says nothing about it.
    pub usual: Duration,
    /// The wait after the first failure. It doubles with each further one.
    pub first_retry: Duration,
    /// The longest wait after a failure.
    pub longest_retry: Duration,
    /// The shortest time from the beginning of any fetch to one that somebody asks for.
    pub between_asked: Duration,
}

impl Default for Pace {
    /// From 60 s to 1 h, usually 5 min; again after 1 s to 60 s; when asked, every 10 s at most.
    fn default() -> Pace {
        Pace {
            shortest: Duration::from_secs(60),
            longest: Duration::from_secs(3600),
            usual: Duration::from_secs(300),
            first_retry: Duration::from_secs(1),
            longest_retry: Duration::from_secs(60),
            between_asked: Duration::from_secs(10),
        }
    }
}

/// When the next fetch is due.
#[derive(Debug)]
pub(crate) struct Schedule {
    pace: Pace,
    due: u64,
    /// When the last fetch began; `None` before the first.
    began: Option<u64>,
    failures: u32,
}

impl Schedule {
    /// The first fetch is due at once.
    pub(crate) fn new(pace: Pace) -> Schedule {
        Schedule { pace, due: 0, began: None, failures: 0 }
    }

    /// When the next fetch is due.
    pub(crate) fn due(&self) -> u64 {
        self.due
    }

    /// How many fetches have failed in a row.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// A fetch begins.
    pub(crate) fn begin(&mut self, now: u64) {
        self.began = Some(now);
    }

    /// The fetch has brought a document that is fresh for so long, if it says so. The next one comes up to a tenth
    /// early, so that many gateways do not come at the same time.
    pub(crate) fn succeed(&mut self, now: u64, fresh: Option<Duration>, rng: &mut Rng) {
        self.failures = 0;
        let wait = fresh.unwrap_or(self.pace.usual).min(self.pace.longest).max(self.pace.shortest);
        let wait = millis(wait);
        self.due = now.saturating_add(rng.u64(wait - wait / 10..=wait));
    }

    /// The fetch has failed. The next one comes after a wait that doubles, up to a half early.
    pub(crate) fn fail(&mut self, now: u64, rng: &mut Rng) {
        let factor = 1_u64.checked_shl(self.failures).unwrap_or(u64::MAX);
        self.failures = self.failures.saturating_add(1);
        let wait = millis(self.pace.first_retry).saturating_mul(factor).min(millis(self.pace.longest_retry));
        self.due = now.saturating_add(rng.u64(wait - wait / 2..=wait));
    }

    /// Somebody misses something in the document: the next fetch comes as soon as it may. Asking more often
    /// changes nothing.
    pub(crate) fn ask(&mut self, now: u64) {
        let allowed = self.began.map_or(0, |began| began.saturating_add(millis(self.pace.between_asked)));
        self.due = self.due.min(allowed.max(now));
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000;

    #[test]
    fn freshness_is_kept_within_bounds() {
        let mut rng = Rng::with_seed(7);
        for (fresh, longest) in
            [(None, 300), (Some(0), 60), (Some(59), 60), (Some(600), 600), (Some(u64::MAX), 3600)]
        {
            let mut waits = Vec::new();
            for _ in 0..1_000 {
                let mut schedule = Schedule::new(Pace::default());
                schedule.begin(5);
                schedule.succeed(5 * SECOND, fresh.map(Duration::from_secs), &mut rng);
                waits.push(schedule.due() - 5 * SECOND);
            }
            let (least, most) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
            assert!(*least >= longest * 900 && *most <= longest * SECOND, "{fresh:?}: {least} to {most}");
            assert!(most - least > longest * 90, "{fresh:?}: they are spread, {least} to {most}");
        }
    }

    #[test]
    fn failures_wait_longer_each_time_and_success_forgets_them() {
        let mut rng = Rng::with_seed(7);
        let mut schedule = Schedule::new(Pace::default());
        let mut now = 0;
        for longest in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            schedule.begin(now);
            schedule.fail(now, &mut rng);
            let wait = schedule.due() - now;
            assert!((longest * 500..=longest * SECOND).contains(&wait), "{longest} s: {wait}");
            now = schedule.due();
        }
        assert_eq!(schedule.failures(), 9);
        for _ in 0..200 {
            schedule.fail(now, &mut rng);
        }
        assert!(schedule.due() - now <= 60 * SECOND, "no number of failures overflows");
        schedule.succeed(now, None, &mut rng);
        assert_eq!(schedule.failures(), 0);
        schedule.fail(now, &mut rng);
        assert!(schedule.due() - now <= SECOND);
    }

    /// Callers who show unknown keys all the time cost the server one fetch in ten seconds, no more.
    #[test]
    fn asking_is_limited_by_the_beginning_of_the_last_fetch() {
        let mut rng = Rng::with_seed(7);
        let mut schedule = Schedule::new(Pace::default());
        let mut fetches = Vec::new();
        for now in 0..600 * SECOND {
            schedule.ask(now);
            if schedule.due() <= now {
                fetches.push(now);
                schedule.begin(now);
                schedule.succeed(now, Some(Duration::from_secs(3600)), &mut rng);
            }
        }
        assert_eq!(fetches.len(), 60);
        assert!(fetches.windows(2).all(|pair| pair[1] - pair[0] == 10 * SECOND));
    }

    #[test]
    fn asking_comes_true_at_once_when_the_last_fetch_is_long_ago() {
        let mut rng = Rng::with_seed(7);
        let mut schedule = Schedule::new(Pace::default());
        schedule.begin(0);
        schedule.succeed(0, Some(Duration::from_secs(3600)), &mut rng);
        schedule.ask(100 * SECOND);
        assert_eq!(schedule.due(), 100 * SECOND);
        schedule.ask(200 * SECOND);
        assert_eq!(schedule.due(), 100 * SECOND, "what is due stays due");
    }

    /// A wait after a failure that ends earlier than asking would is not put off.
    #[test]
    fn asking_puts_nothing_off() {
        let mut rng = Rng::with_seed(7);
        let mut schedule = Schedule::new(Pace::default());
        schedule.begin(0);
        schedule.fail(0, &mut rng);
        let due = schedule.due();
        schedule.ask(1);
        assert_eq!(schedule.due(), due);
    }
}
