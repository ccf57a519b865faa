//! A rollout over reloads and restarts: what is kept of it, and what becomes of it under a changed plan.
//!
//! It must not know where it is kept. Entry points: [`Rollout::change_plan`] for a reload, [`Rollout::save`] and
//! [`Rollout::restore`] for a restart.

use super::counts::{Counts, Tallies};
use super::{Plan, Rollout, Share, Stand};

/// What is kept of a rollout. It says how long a step has lasted and not when it began: clocks may be set meanwhile,
/// and time in which nothing was observed proves nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// The plan on one line, as it is shown.
    pub plan: String,
    /// The steps of the plan, in hundredths of a percent.
    pub steps: Vec<u16>,
    /// How it stood.
    pub stand: Stand,
    /// The step, from 0.
    pub step: usize,
    /// How long the step has lasted, in milliseconds.
    pub lasted_ms: u64,
    /// What the stable version did in this step; at 100 %, in the one before.
    pub stable: Counts,
    /// What the canary did in this step.
    pub canary: Counts,
}

/// No count is larger than this: a damaged file must not make sums overflow.
const MOST: u64 = 1 << 50;

/// Where it goes on.
#[derive(Clone, Copy)]
enum Place {
    /// Where it was.
    Same,
    /// At the beginning of a step.
    Begin(usize),
    /// With the first step, whatever was before.
    Anew,
}

impl Rollout {
    /// What to keep. It changes with every request; to keep it with every event and every few seconds is enough.
    #[must_use]
    pub fn save(&self) -> Saved {
        let step = self.tallies.step();
        let stable = if self.share() == Share::ALL { &self.stable_before } else { &step.stable };
        Saved {
            plan: self.plan.to_string(),
            steps: self.plan.steps().iter().map(|step| step.hundredths()).collect(),
            stand: self.stand.clone(),
            step: self.step,
            lasted_ms: self.lasted_ms,
            stable: stable.clone(),
            canary: step.canary.clone(),
        }
    }

    /// Goes on where it was, under a plan that may have changed meanwhile as in [`Rollout::change_plan`]. What was
    /// seen in shorter windows than the step is forgotten. Something that cannot have been saved begins anew.
    #[must_use]
    pub fn restore(plan: Plan, bounds: &'static [u32], saved: &Saved) -> Rollout {
        let is_same = saved.plan == plan.to_string();
        let place = place(&saved.steps, saved.step, &saved.stand, &plan, is_same);
        let mut rollout = Rollout::new(plan, bounds);
        let buckets = bounds.len() + 1;
        let restored = |counts: &Counts| {
            let capped = |count: &u64| (*count).min(MOST);
            let mut latency: Vec<u64> = counts.latency.iter().take(buckets).map(capped).collect();
            latency.resize(buckets, 0);
            let requests = capped(&counts.requests);
            Counts { requests, failed: counts.failed.min(requests), latency }
        };
        rollout.stable_before = restored(&saved.stable);
        rollout.stand = saved.stand.clone();
        rollout.step = saved.step;
        rollout.lasted_ms = saved.lasted_ms;
        let stable = rollout.stable_before.clone();
        rollout.tallies = Tallies::restored(saved.lasted_ms, stable, restored(&saved.canary), buckets);
        rollout.go_to(place);
        rollout
    }

    /// Goes on under another plan, after a reload.
    ///
    /// - If all steps up to the present one are as before, it stays where it is and keeps what it has counted, whatever
    ///   else has changed.
    /// - Otherwise it begins the largest step that gives the canary no more than it has now, or the first one.
    /// - What was promoted stays so if the new plan leads to 100 % or has the steps of the old one.
    /// - What was rolled back begins with the first step; under the same plan it stays rolled back.
    /// - What was paused stays so.
    pub fn change_plan(&mut self, plan: Plan) {
        let steps: Vec<u16> = self.plan.steps().iter().map(|step| step.hundredths()).collect();
        let place = place(&steps, self.step, &self.stand, &plan, self.plan == plan);
        self.leave();
        self.plan = plan;
        self.go_to(place);
    }

    fn go_to(&mut self, place: Place) {
        match place {
            Place::Same => self.wait = self.what_first(),
            Place::Begin(step) => {
                if self.stand == Stand::Promoted {
                    self.stand = Stand::Stepping;
                }
                self.begin(step);
            }
            Place::Anew => self.restart(),
        }
    }
}

/// Where a rollout goes on under a plan.
fn place(old: &[u16], step: usize, stand: &Stand, plan: &Plan, is_same: bool) -> Place {
    let new: Vec<u16> = plan.steps().iter().map(|step| step.hundredths()).collect();
    let all = Share::ALL.hundredths();
    let present = match stand {
        Stand::RolledBack { .. } if is_same => return Place::Same,
        Stand::RolledBack { .. } => return Place::Anew,
        Stand::Promoted if old == new || new.last() == Some(&all) => return Place::Same,
        Stand::Promoted => all,
        Stand::Stepping | Stand::Paused => match (old.get(..=step), new.get(..=step)) {
            (Some(old), Some(new)) if old == new => return Place::Same,
            (Some([.., present]), _) => *present,
            _ => return Place::Anew,
        },
    };
    Place::Begin(new.iter().rposition(|share| *share <= present).unwrap_or(0))
}
