//! Whether a service is sent requests at all: not for a while if too many have failed, then a few to try.
//!
//! It must not know what a failure is, nor who sends: it is told sums, and says what may be sent. Entry points:
//! [`Breaker::observe`], [`Breaker::state`].

/// The window moves by so many parts.
const BUCKETS: usize = 10;
/// It is open at most so many times as long as the first time, and that it has been is forgotten after it was closed for
/// as long.
const LONGEST: u64 = 10;

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Settings {
    /// It opens if at least so many percent of the requests in the window have failed. More than 100: never.
    pub failures_percent: u32,
    /// It does not open if fewer requests were made in the window.
    pub min_requests: u64,
    /// How far back requests count, in milliseconds, less up to a tenth.
    pub window_ms: u64,
    /// How long it is open the first time, in milliseconds. Each time that follows soon takes twice as long, up to ten
    /// times.
    pub open_ms: u64,
    /// Requests that must be answered, and none fail, before it closes again. At least 1.
    pub probes: u64,
}

/// What may be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Every request.
    Closed,
    /// None before this time in milliseconds.
    Open {
        /// When that ends.
        until_ms: u64,
    },
    /// So many requests, by all who send together.
    HalfOpen {
        /// The probes that are left. With 0, all have been sent.
        left: u64,
    },
}

/// What may be sent has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transition {
    /// Too many have failed, or a probe has, or probes have not come back.
    Opened {
        /// Until this time, in milliseconds.
        until_ms: u64,
    },
    /// It was open long enough: probes may be sent.
    HalfOpened,
    /// All probes were answered.
    Closed,
}

/// A circuit breaker, for one service.
///
/// Closed, it counts requests in a sliding window. Open, nothing counts that it is told: it was sent before. Half-open,
/// it waits for requests that can be sent as probes, as long as it takes. Those that were sent must be answered: if one
/// fails, or nothing comes back for as long as it had been open, it is open again.
///
/// It asks to be told again and again, about ten times a second, also that there was nothing: so time passes for it.
/// The time is any clock in milliseconds that does not run backwards.
#[derive(Clone, Debug)]
pub struct Breaker {
    settings: Settings,
    state: State,
    window: Window,
    /// Half-open: probes that were answered.
    passed: u64,
    /// Half-open: when a probe was sent or answered last.
    moved_ms: u64,
    /// How long it was open the last time, or 0 if that is forgotten.
    open_ms: u64,
    /// When it was closed.
    closed_ms: u64,
}

impl Breaker {
    /// A closed one.
    #[must_use]
    pub fn new(mut settings: Settings) -> Self {
        settings.probes = settings.probes.max(1);
        settings.open_ms = settings.open_ms.max(1);
        let window = Window::new(settings.window_ms);
        Self { settings, state: State::Closed, window, passed: 0, moved_ms: 0, open_ms: 0, closed_ms: 0 }
    }

    /// What may be sent.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// Takes note of the requests that have ended since the last time: those that were answered well, and those that
    /// failed. While it is half-open, tell only of those that were sent as probes: others were sent long before.
    pub fn observe(&mut self, answered: u64, failed: u64, now_ms: u64) -> Option<Transition> {
        match self.state {
            State::Closed => {
                self.window.add(answered, failed, now_ms);
                self.window.is_bad(&self.settings).then(|| self.open(now_ms))
            }
            State::Open { until_ms } => (now_ms >= until_ms).then(|| {
                (self.passed, self.moved_ms) = (0, now_ms);
                self.state = State::HalfOpen { left: self.settings.probes };
                Transition::HalfOpened
            }),
            State::HalfOpen { left } => self.try_out(left, answered, failed, now_ms),
        }
    }

    /// So many of the probes that were left have been sent. Does nothing if it is not half-open.
    pub fn probes_sent(&mut self, count: u64, now_ms: u64) {
        if let State::HalfOpen { left } = &mut self.state
            && count > 0
        {
            *left = left.saturating_sub(count);
            self.moved_ms = now_ms;
        }
    }

    /// So many of the probes that were sent will never say anything, because who asked has left: others can be sent
    /// instead. Does nothing if it is not half-open.
    pub fn probes_abandoned(&mut self, count: u64) {
        if let State::HalfOpen { left } = &mut self.state {
            *left = left.saturating_add(count).min(self.settings.probes.saturating_sub(self.passed));
        }
    }

    fn try_out(&mut self, left: u64, answered: u64, failed: u64, now_ms: u64) -> Option<Transition> {
        if answered > 0 {
            self.passed = self.passed.saturating_add(answered);
            self.moved_ms = now_ms;
        }
        let missing = self.settings.probes.saturating_sub(self.passed);
        // Those that were answered have been sent, whether we were told or not.
        self.state = State::HalfOpen { left: left.min(missing) };
        let is_lost = missing > left && now_ms.saturating_sub(self.moved_ms) >= self.open_ms;
        if failed > 0 || is_lost {
            return Some(self.open(now_ms));
        }
        (missing == 0).then(|| {
            self.state = State::Closed;
            self.closed_ms = now_ms;
            self.window = Window::new(self.settings.window_ms);
            Transition::Closed
        })
    }

    fn open(&mut self, now_ms: u64) -> Transition {
        let longest = self.settings.open_ms.saturating_mul(LONGEST);
        let was_closed = matches!(self.state, State::Closed);
        if was_closed && now_ms.saturating_sub(self.closed_ms) >= longest {
            self.open_ms = 0;
        }
        self.open_ms = self.open_ms.saturating_mul(2).clamp(self.settings.open_ms, longest);
        let until_ms = now_ms.saturating_add(self.open_ms);
        self.state = State::Open { until_ms };
        Transition::Opened { until_ms }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    answered: u64,
    failed: u64,
}

/// Counts of the last time, in a ring of parts of it.
#[derive(Clone, Debug)]
struct Window {
    buckets: [Counts; BUCKETS],
    bucket_ms: u64,
    /// Number of the current part since time 0.
    epoch: u64,
}

impl Window {
    fn new(window_ms: u64) -> Self {
        let bucket_ms = (window_ms / BUCKETS as u64).max(1);
        Self { buckets: Default::default(), bucket_ms, epoch: 0 }
    }

    fn add(&mut self, answered: u64, failed: u64, now_ms: u64) {
        let epoch = now_ms / self.bucket_ms;
        let passed = epoch.saturating_sub(self.epoch).min(BUCKETS as u64);
        for _ in 0..passed {
            self.buckets.rotate_right(1);
            let [first, ..] = &mut self.buckets;
            *first = Counts::default();
        }
        self.epoch = self.epoch.max(epoch);
        let [current, ..] = &mut self.buckets;
        current.answered = current.answered.saturating_add(answered);
        current.failed = current.failed.saturating_add(failed);
    }

    fn is_bad(&self, settings: &Settings) -> bool {
        let failed = self.buckets.iter().fold(0, |sum: u64, part| sum.saturating_add(part.failed));
        let answered = self.buckets.iter().fold(0, |sum: u64, part| sum.saturating_add(part.answered));
        let all = failed.saturating_add(answered);
        failed > 0
            && all >= settings.min_requests
            && u128::from(failed) * 100 >= u128::from(all) * u128::from(settings.failures_percent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Opens if half of at least ten requests in a second have failed, for half a second, and closes after three probes.
    const SETTINGS: Settings =
        Settings { failures_percent: 50, min_requests: 10, window_ms: 1_000, open_ms: 500, probes: 3 };

    /// What happens at a time, and what that leads to.
    enum Step {
        /// Requests were answered, and failed.
        Ended(u64, u64),
        Sent(u64),
        Abandoned(u64),
    }
    use Step::{Abandoned, Ended, Sent};

    /// Follows a script, and compares the state after each step. A transition is told exactly when the kind of state
    /// changes.
    fn follow(settings: Settings, script: &[(u64, Step, State)]) -> Breaker {
        let mut breaker = Breaker::new(settings);
        for (number, (now, step, wanted)) in script.iter().enumerate() {
            let before = breaker.state();
            let transition = match *step {
                Ended(answered, failed) => breaker.observe(answered, failed, *now),
                Sent(count) => {
                    breaker.probes_sent(count, *now);
                    None
                }
                Abandoned(count) => {
                    breaker.probes_abandoned(count);
                    None
                }
            };
            assert_eq!(breaker.state(), *wanted, "after step {number}, at {now}");
            let is_other = std::mem::discriminant(&before) != std::mem::discriminant(wanted);
            let told = is_other.then_some(match *wanted {
                Closed => Transition::Closed,
                State::Open { until_ms } => Transition::Opened { until_ms },
                State::HalfOpen { .. } => Transition::HalfOpened,
            });
            assert_eq!(transition, told, "after step {number}, at {now}");
        }
        breaker
    }

    const fn open(until_ms: u64) -> State {
        State::Open { until_ms }
    }

    const fn half(left: u64) -> State {
        State::HalfOpen { left }
    }

    use State::Closed;

    #[test]
    fn it_opens_when_enough_have_failed_of_enough() {
        for (answered, failed, opens) in [
            (0, 0, false),
            (0, 9, false),
            (0, 10, true),
            (5, 5, true),
            (6, 5, false),
            (1_000_000, 1_000_000, true),
            (1_000_000, 999_999, false),
            (u64::MAX, u64::MAX, true),
            (100, 0, false),
        ] {
            let wanted = if opens { open(7_500) } else { Closed };
            follow(SETTINGS, &[(7_000, Ended(answered, failed), wanted)]);
        }
        // Without failures it never opens, and above 100 percent it never does.
        let any = Settings { failures_percent: 0, min_requests: 0, ..SETTINGS };
        follow(any, &[(0, Ended(0, 0), Closed), (1, Ended(9, 0), Closed), (2, Ended(9_999, 1), open(502))]);
        let never = Settings { failures_percent: 101, ..SETTINGS };
        follow(never, &[(0, Ended(0, 1_000), Closed)]);
    }

    #[test]
    fn the_window_slides() {
        // What lies further back than a second does not count.
        follow(
            SETTINGS,
            &[(0, Ended(0, 5), Closed), (900, Ended(0, 4), Closed), (999, Ended(0, 1), open(1_499))],
        );
        follow(
            SETTINGS,
            &[(0, Ended(0, 9), Closed), (1_000, Ended(0, 9), Closed), (1_900, Ended(0, 1), open(2_400))],
        );
        follow(
            SETTINGS,
            &[(0, Ended(0, 9), Closed), (1_000, Ended(0, 5), Closed), (60_000, Ended(0, 9), Closed)],
        );
        // Nor does the success of yesterday hide the failures of today.
        follow(
            SETTINGS,
            &[(0, Ended(9_999, 0), Closed), (500, Ended(0, 999), Closed), (1_000, Ended(0, 0), open(1_500))],
        );
    }

    #[test]
    fn probes_close_it_again() {
        follow(
            SETTINGS,
            &[
                (1_000, Ended(0, 10), open(1_500)),
                // Requests that were sent before say nothing.
                (1_100, Ended(50, 50), open(1_500)),
                (1_499, Ended(0, 0), open(1_500)),
                (1_500, Ended(7, 7), half(3)),
                (1_600, Sent(2), half(1)),
                (1_700, Ended(1, 0), half(1)),
                (1_800, Sent(1), half(0)),
                (1_900, Ended(1, 0), half(0)),
                (2_000, Ended(1, 0), Closed),
                // And all is forgotten that was before.
                (2_100, Ended(0, 9), Closed),
                (2_200, Ended(0, 1), open(3_200)),
            ],
        );
        // Also while it has just happened.
        follow(
            SETTINGS,
            &[
                (0, Ended(0, 10), open(500)),
                (500, Ended(0, 0), half(3)),
                (550, Ended(3, 0), Closed),
                (600, Ended(1, 0), Closed),
            ],
        );
        // Also if nobody tells how many were sent, or more were than asked for.
        let script = [(0, Ended(0, 10), open(500)), (500, Ended(0, 0), half(3)), (600, Ended(2, 0), half(1))];
        let mut breaker = follow(SETTINGS, &script);
        breaker.probes_sent(9, 700);
        assert_eq!((breaker.state(), breaker.observe(9, 0, 800)), (half(0), Some(Transition::Closed)));
    }

    #[test]
    fn a_probe_that_fails_or_is_lost_opens_it() {
        let opened = [(0, Ended(0, 10), open(500)), (500, Ended(0, 0), half(3))];
        let mut failed = follow(SETTINGS, &opened);
        assert_eq!(failed.observe(2, 1, 600), Some(Transition::Opened { until_ms: 1_600 }));
        follow(
            SETTINGS,
            &[
                (0, Ended(0, 10), open(500)),
                // Nobody asks: it waits as long as it takes.
                (500, Ended(0, 0), half(3)),
                (90_000, Ended(0, 0), half(3)),
                (90_000, Sent(1), half(2)),
                (90_499, Ended(0, 0), half(2)),
                // Answers show that it is not lost yet.
                (90_499, Sent(1), half(1)),
                (90_900, Ended(1, 0), half(1)),
                (91_399, Ended(0, 0), half(1)),
                (91_400, Ended(0, 0), open(92_400)),
            ],
        );
        follow(
            SETTINGS,
            &[
                (0, Ended(0, 10), open(500)),
                (500, Ended(0, 0), half(3)),
                (500, Sent(3), half(0)),
                (600, Ended(1, 0), half(0)),
                // Who asked has left. Others may be sent instead, but no more than are missing.
                (700, Abandoned(1), half(1)),
                (700, Abandoned(9), half(2)),
                (5_000, Ended(0, 0), half(2)),
                (5_000, Sent(2), half(0)),
                (5_100, Ended(2, 0), Closed),
            ],
        );
    }

    #[test]
    fn each_time_it_is_open_for_twice_as_long_until_that_is_forgotten() {
        let mut breaker = Breaker::new(SETTINGS);
        let mut now = 10_000;
        let mut lengths = Vec::new();
        breaker.observe(0, 10, now);
        for _ in 0..6 {
            let State::Open { until_ms } = breaker.state() else { panic!("{:?}", breaker.state()) };
            lengths.push(until_ms - now);
            now = until_ms;
            assert_eq!(breaker.observe(0, 0, now), Some(Transition::HalfOpened));
            breaker.observe(0, 1, now);
        }
        assert_eq!(lengths, [500, 1_000, 2_000, 4_000, 5_000, 5_000]);
        // It closes, and opens again: soon for as long, later like the first time.
        for (closed_for, wanted) in [(4_999, 5_000), (5_000, 500), (4_999, 1_000)] {
            let State::Open { until_ms } = breaker.state() else { panic!("{:?}", breaker.state()) };
            breaker.observe(0, 0, until_ms);
            assert_eq!(breaker.observe(3, 0, until_ms), Some(Transition::Closed));
            now = until_ms + closed_for;
            assert_eq!(breaker.observe(0, 10, now), Some(Transition::Opened { until_ms: now + wanted }));
        }
    }

    #[test]
    fn odd_settings_and_times_do_no_harm() {
        let mut rng = fastrand::Rng::with_seed(1);
        for _ in 0..2_000 {
            let mut number = || rng.u64(..) >> rng.u32(..64);
            let mut breaker = Breaker::new(Settings {
                failures_percent: number() as u32,
                min_requests: number(),
                window_ms: number(),
                open_ms: number(),
                probes: number(),
            });
            for _ in 0..20 {
                breaker.observe(number(), number(), number());
                breaker.probes_sent(number(), number());
                breaker.probes_abandoned(number());
            }
        }
    }
}
