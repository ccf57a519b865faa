//! Canary releases that go forward by themselves, and back when the new version is worse.
//!
//! A [`Plan`] gives the canary a larger share of a route's requests step by step. Whoever counts what both versions do
//! feeds a [`Rollout`] about once per second, sends the canary its share, and tells people what happens.
//!
//! **When it goes back.** A limit is broken only when chance is ruled out: when a version that keeps the limit would
//! look like this with a chance of at most one in a hundred thousand ([`SURE`]), and at least [`MIN_BAD`] bad
//! requests were seen. One failure of three proves nothing, five of five do. That is looked at in the whole step and
//! in shorter windows, every second for hours, which is why the chance must be so small. Canaries are compared with
//! the stable version over the same time, so trouble that hits both is blamed on neither, except by limits that are
//! numbers of their own.
//!
//! **When it goes forward.** When the step has lasted, the canary had its requests, and no limit looks broken with less
//! than one chance in twenty ([`DOUBT`]).
//!
//! It must not know who counts, where a state is kept, or how requests are split. Entry points: [`Rollout::observe`]
//! and [`Rollout::share`].

mod chance;
mod counts;
mod judge;
mod latency;
mod plan;
mod saved;
mod threshold;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

pub use counts::{Counts, Sample};
pub use latency::{BOUNDS, BUCKETS, bucket};
pub use plan::{Condition, ConditionError, Measure, Plan, PlanError};
pub use saved::Saved;
pub use threshold::{Share, Threshold, ThresholdError};

use chance::Evidence;
use counts::{Seen, Tallies};
use judge::Facts;

/// A limit counts as broken if chance alone would look like this at most so often.
pub const SURE: f64 = 1e-5;
/// Bad requests that must have been seen before a limit counts as broken: they come in clusters, such as all those of
/// one connection, and are then not as independent of each other as the mathematics has it.
pub const MIN_BAD: u64 = 5;
/// A limit is in doubt if chance alone would look like this at most so often. The next step then waits.
pub const DOUBT: f64 = 0.05;

/// The longest reason that is kept, in bytes.
const LONGEST_WHY: usize = 500;

/// How a rollout stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stand {
    /// It goes forward step by step.
    Stepping,
    /// It stays at its step, because someone said so. Limits still hold.
    Paused,
    /// The canary gets all requests. Nothing is watched any more.
    Promoted,
    /// The canary gets no requests until its plan changes or someone restarts it.
    RolledBack {
        /// A sentence for people, with numbers.
        why: String,
    },
}

/// What the next step waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The step has not lasted long enough.
    Time {
        /// Milliseconds that are left.
        left_ms: u64,
    },
    /// The canary had too few requests in this step to tell anything.
    Traffic {
        /// How many it had.
        requests: u64,
        /// How many it needs.
        needed: u64,
    },
    /// A limit may be broken; it is not sure yet.
    Doubt {
        /// A sentence for people, with numbers.
        why: String,
    },
    /// The last step is not 100 %, or the rollout is paused: someone must say how it goes on.
    Operator,
}

/// Where a rollout is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State<'a> {
    /// [`Stand::Stepping`].
    Stepping(Progress<'a>),
    /// [`Stand::Paused`].
    Paused(Progress<'a>),
    /// [`Stand::Promoted`].
    Promoted,
    /// [`Stand::RolledBack`].
    RolledBack {
        /// A sentence for people, with numbers.
        why: &'a str,
    },
}

/// How far a rollout has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The step, from 0.
    pub step: usize,
    /// How many steps there are.
    pub steps: usize,
    /// What the canary gets.
    pub share: Share,
    /// How long the step has lasted, in milliseconds, without the time it was paused.
    pub lasted_ms: u64,
    /// Requests of the canary in this step.
    pub requests: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// What the next step waits for.
    pub wait: &'a Wait,
}

/// What has happened by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The canary gets a larger share.
    Stepped {
        /// The step, from 0.
        step: usize,
        /// What the canary gets.
        share: Share,
    },
    /// The step has lasted, and it waits for something else; said once in a step for each thing.
    Waits(Wait),
    /// The canary gets all requests, and the rollout is over.
    Promoted,
    /// The canary gets no requests any more.
    RolledBack {
        /// A sentence for people, with numbers.
        why: String,
    },
}

/// One canary on its way. Whoever keeps it keeps it by route and service: another service is another rollout.
#[derive(Clone, Debug)]
pub struct Rollout {
    plan: Plan,
    /// Upper bounds of the buckets of latencies, in microseconds.
    bounds: &'static [u32],
    stand: Stand,
    step: usize,
    /// Without the time it was paused.
    lasted_ms: u64,
    tallies: Tallies,
    /// What the stable version did in the last step in which it had requests: what the canary is compared with at
    /// 100 %.
    stable_before: Counts,
    seen: Option<Seen>,
    wait: Wait,
    /// How many of the things that a step can wait for were said in it.
    said: u8,
}

impl Rollout {
    /// Begins at the first step. Latencies are counted in buckets with these upper bounds in microseconds, rising,
    /// and one more for what is beyond them. [`BOUNDS`] are made for this; wider ones make limits of latencies blunt,
    /// because only whole buckets count as slower.
    #[must_use]
    pub fn new(plan: Plan, bounds: &'static [u32]) -> Rollout {
        let buckets = bounds.len() + 1;
        let wait = Wait::Time { left_ms: plan.every_ms() };
        Rollout {
            plan,
            bounds,
            stand: Stand::Stepping,
            step: 0,
            lasted_ms: 0,
            tallies: Tallies::new(buckets),
            stable_before: Counts::none(buckets),
            seen: None,
            wait,
            said: 0,
        }
    }

    /// Its plan.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The share of requests that the canary gets; the stable version gets the rest.
    #[must_use]
    pub fn share(&self) -> Share {
        match self.stand {
            Stand::Stepping | Stand::Paused => self.plan.share(self.step),
            Stand::Promoted => Share::ALL,
            Stand::RolledBack { .. } => Share::NONE,
        }
    }

    /// Where it is.
    #[must_use]
    pub fn state(&self) -> State<'_> {
        match &self.stand {
            Stand::Stepping => State::Stepping(self.progress()),
            Stand::Paused => State::Paused(self.progress()),
            Stand::Promoted => State::Promoted,
            Stand::RolledBack { why } => State::RolledBack { why },
        }
    }

    fn progress(&self) -> Progress<'_> {
        let canary = &self.tallies.step().canary;
        Progress {
            step: self.step,
            steps: self.plan.steps().len(),
            share: self.share(),
            lasted_ms: self.lasted_ms,
            requests: canary.requests,
            failed: canary.failed,
            wait: &self.wait,
        }
    }

    /// Takes note of what both versions have done up to now, and acts on it. To be called about once per second, in
    /// every state. `now_ms` is any clock in milliseconds that does not jump; if it runs backwards, no time has
    /// passed. The first call only learns where the numbers stand.
    pub fn observe(&mut self, stable: &Sample<'_>, canary: &Sample<'_>, now_ms: u64) -> Option<Event> {
        let seen = Seen::new(stable, canary, now_ms, self.bounds.len() + 1);
        let new = self.seen.as_ref().map(|before| seen.since(before));
        self.seen = Some(seen);
        let new = new?;
        match self.stand {
            Stand::Promoted | Stand::RolledBack { .. } => return None,
            Stand::Stepping => self.lasted_ms = self.lasted_ms.saturating_add(new.span_ms),
            Stand::Paused => {}
        }
        self.tallies.add(&new);
        let doubt = match self.verdict() {
            Verdict::Broken(why) => {
                self.abort(&why);
                return Some(Event::RolledBack { why });
            }
            Verdict::Doubt(why) => Some(why),
            Verdict::Fine => None,
        };
        if self.stand == Stand::Paused { None } else { self.go_on(doubt) }
    }

    /// What the counts say: over this step, and lately.
    fn verdict(&self) -> Verdict {
        let mut broken = (SURE, None);
        let mut doubt = (DOUBT, None);
        let compares_with_before = self.share() == Share::ALL;
        for window in self.tallies.windows() {
            let stable = if compares_with_before { &self.stable_before } else { &window.stable };
            let facts =
                Facts { stable, canary: &window.canary, bounds: self.bounds, span_ms: window.span_ms };
            for condition in self.plan.abort_if() {
                let Evidence { chance, bad } = judge::weigh(condition, &facts);
                let (least, why) = if bad >= MIN_BAD && chance <= SURE { &mut broken } else { &mut doubt };
                if chance <= *least && (chance < *least || why.is_none()) {
                    *least = chance;
                    *why = Some(judge::sentence(condition, &facts));
                }
            }
        }
        match (broken.1, doubt.1) {
            (Some(why), _) => Verdict::Broken(why),
            (None, Some(why)) => Verdict::Doubt(why),
            (None, None) => Verdict::Fine,
        }
    }

    /// Takes the next step if nothing is missing.
    fn go_on(&mut self, doubt: Option<String>) -> Option<Event> {
        let requests = self.tallies.step().canary.requests;
        let next = self.plan.steps().get(self.step + 1).copied();
        let is_last = next.is_none();
        self.wait = if self.lasted_ms < self.plan.every_ms() {
            self.what_first()
        } else if requests < self.plan.min_requests() {
            Wait::Traffic { requests, needed: self.plan.min_requests() }
        } else if let Some(why) = doubt {
            Wait::Doubt { why }
        } else if is_last && self.share() != Share::ALL {
            Wait::Operator
        } else if let Some(share) = next {
            self.leave();
            self.begin(self.step + 1);
            return Some(Event::Stepped { step: self.step, share });
        } else {
            self.stand = Stand::Promoted;
            return Some(Event::Promoted);
        };
        let rank = match self.wait {
            Wait::Time { .. } => 0,
            Wait::Traffic { .. } => 1,
            Wait::Doubt { .. } => 2,
            Wait::Operator => 3,
        };
        if rank <= self.said {
            return None;
        }
        self.said = rank;
        Some(Event::Waits(self.wait.clone()))
    }

    /// What it waits for before anything is seen.
    fn what_first(&self) -> Wait {
        match self.stand {
            Stand::Paused => Wait::Operator,
            _ => Wait::Time { left_ms: self.plan.every_ms().saturating_sub(self.lasted_ms) },
        }
    }

    /// Keeps what the stable version did in a step that ends.
    fn leave(&mut self) {
        if self.share() != Share::ALL {
            self.stable_before = self.tallies.step().stable.clone();
        }
    }

    fn begin(&mut self, step: usize) {
        self.step = step;
        self.lasted_ms = 0;
        self.tallies = Tallies::new(self.bounds.len() + 1);
        self.said = 0;
        self.wait = self.what_first();
    }

    /// Someone wants it to stay at this step. Returns whether it was going forward.
    pub fn pause(&mut self) -> bool {
        let was_stepping = self.stand == Stand::Stepping;
        if was_stepping {
            self.stand = Stand::Paused;
            self.wait = Wait::Operator;
        }
        was_stepping
    }

    /// Someone wants it to go on after [`Rollout::pause`]; the step lasts as long as was left of it. Returns whether
    /// it was paused.
    pub fn resume(&mut self) -> bool {
        let was_paused = self.stand == Stand::Paused;
        if was_paused {
            self.stand = Stand::Stepping;
            self.wait = self.what_first();
        }
        was_paused
    }

    /// Someone wants the canary to get all requests at once, whatever was before. Returns whether it did not yet.
    pub fn promote(&mut self) -> bool {
        let is_new = self.stand != Stand::Promoted;
        self.stand = Stand::Promoted;
        is_new
    }

    /// Someone wants the canary to get no requests any more, whatever was before. The reason is cut after 500 bytes.
    /// Returns whether it had some; if not, the first reason stays.
    pub fn abort(&mut self, why: &str) -> bool {
        if matches!(self.stand, Stand::RolledBack { .. }) {
            return false;
        }
        let why = why.get(..why.floor_char_boundary(LONGEST_WHY)).unwrap_or_default().to_owned();
        self.stand = Stand::RolledBack { why };
        true
    }

    /// Someone wants to begin again with the first step, whatever was before.
    pub fn restart(&mut self) {
        let begun = Rollout::new(self.plan.clone(), self.bounds);
        *self = Rollout { seen: self.seen.take(), ..begun };
    }
}

/// What the counts say.
enum Verdict {
    Fine,
    /// A limit looks broken.
    Doubt(String),
    /// A limit is broken.
    Broken(String),
}
