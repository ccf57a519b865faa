//! The plan of a rollout: its steps, how long each lasts, and what ends it.
//!
//! It must not know how a rollout goes. Entry points: [`Plan::new`], [`Condition::new`].

use std::fmt;

use super::threshold::{Share, Threshold};

/// What a condition is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Measure {
    /// The share of requests that failed.
    ErrorRate,
    /// The latency that half of the answers do not exceed.
    P50,
    /// The latency that 95 of 100 answers do not exceed.
    P95,
    /// The latency that 99 of 100 answers do not exceed.
    P99,
}

impl Measure {
    /// All there are.
    pub const ALL: [Measure; 4] = [Measure::ErrorRate, Measure::P50, Measure::P95, Measure::P99];

    /// As it is written in a configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Measure::ErrorRate => "error_rate",
            Measure::P50 => "p50",
            Measure::P95 => "p95",
            Measure::P99 => "p99",
        }
    }

    /// The share of answers that may be slower than this quantile, from 0 to 1. `None` if it is none.
    pub(super) const fn tail(self) -> Option<f64> {
        match self {
            Measure::ErrorRate => None,
            Measure::P50 => Some(0.5),
            Measure::P95 => Some(0.05),
            Measure::P99 => Some(0.01),
        }
    }
}

/// Something that ends a rollout: a measure of the canary that is above a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Condition {
    measure: Measure,
    above: Threshold,
}

impl Condition {
    /// # Errors
    ///
    /// An error rate is not compared with a time, nor a latency with a share.
    pub const fn new(measure: Measure, above: Threshold) -> Result<Condition, ConditionError> {
        match (measure, above) {
            (Measure::ErrorRate, Threshold::Micros(_)) => Err(ConditionError::RateAboveTime),
            (Measure::P50 | Measure::P95 | Measure::P99, Threshold::Share(_)) => {
                Err(ConditionError::TimeAboveShare(measure))
            }
            _ => Ok(Condition { measure, above }),
        }
    }

    /// What it is about.
    #[must_use]
    pub const fn measure(&self) -> Measure {
        self.measure
    }

    /// The limit.
    #[must_use]
    pub const fn above(&self) -> Threshold {
        self.above
    }
}

/// As in a configuration, on one line.
impl fmt::Display for Condition {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.measure.as_str(), self.above)
    }
}

/// Why a measure and a threshold make no condition. Its text says what to write instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionError {
    /// An error rate was to be compared with a time.
    RateAboveTime,
    /// This latency was to be compared with a share.
    TimeAboveShare(Measure),
}

impl fmt::Display for ConditionError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RateAboveTime => out.write_str(
                "an error rate is a share, not a time: write `> 2%`, or `> 1.5x` for 1.5 times the stable version's",
            ),
            Self::TimeAboveShare(measure) => write!(
                out,
                "{} is a time, not a share: write `> 300ms`, or `> 1.5x` for 1.5 times the stable version's",
                measure.as_str()
            ),
        }
    }
}

impl std::error::Error for ConditionError {}

/// How a rollout is to go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Plan {
    steps: Vec<Share>,
    every_ms: u64,
    abort_if: Vec<Condition>,
    min_requests: u64,
}

impl Plan {
    /// Requests that the canary must have had in a step before the next one, where nothing else is said. Of a canary
    /// that fails one request in twenty, so many show at least one failure with 92 %.
    pub const MIN_REQUESTS: u64 = 50;
    /// The most steps.
    pub const MOST_STEPS: usize = 100;

    /// The canary gets the share of the first step at once, and of each further one `every_ms` later, if it has had
    /// `min_requests` by then and none of `abort_if` has come true. If the last step is not 100 %, it stays there until
    /// someone promotes or aborts it.
    ///
    /// # Errors
    ///
    /// The first thing that makes it no plan.
    pub fn new(
        steps: Vec<Share>,
        every_ms: u64,
        abort_if: Vec<Condition>,
        min_requests: u64,
    ) -> Result<Plan, PlanError> {
        if steps.len() > Plan::MOST_STEPS {
            return Err(PlanError::TooManySteps);
        }
        match steps.first() {
            None => return Err(PlanError::NoSteps),
            Some(&Share::NONE) => return Err(PlanError::NoShare),
            Some(&Share::ALL) => {
                let compares = |condition: &Condition| matches!(condition.above, Threshold::Times(_));
                if let Some(condition) = abort_if.iter().position(compares) {
                    return Err(PlanError::NothingToCompare { condition });
                }
            }
            Some(_) => {}
        }
        if let Some(before) = steps.iter().zip(steps.iter().skip(1)).position(|(step, next)| next <= step) {
            return Err(PlanError::NotRising { step: before + 1 });
        }
        if every_ms == 0 {
            return Err(PlanError::NoTime);
        }
        Ok(Plan { steps, every_ms, abort_if, min_requests })
    }

    /// The shares of the steps, each more than the one before; at least one.
    #[must_use]
    pub fn steps(&self) -> &[Share] {
        &self.steps
    }

    /// How long a step lasts at least, in milliseconds; more than 0.
    #[must_use]
    pub const fn every_ms(&self) -> u64 {
        self.every_ms
    }

    /// What ends the rollout.
    #[must_use]
    pub fn abort_if(&self) -> &[Condition] {
        &self.abort_if
    }

    /// Requests that the canary must have had in a step before the next one.
    #[must_use]
    pub const fn min_requests(&self) -> u64 {
        self.min_requests
    }

    /// The share of a step; of one that is not there, none.
    pub(super) fn share(&self, step: usize) -> Share {
        self.steps.get(step).copied().unwrap_or(Share::NONE)
    }
}

/// On one line. Two plans are the same if and only if this is.
impl fmt::Display for Plan {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            write!(out, "{step}, ")?;
        }
        write!(out, "every {}ms, {} requests", self.every_ms, self.min_requests)?;
        self.abort_if.iter().try_for_each(|condition| write!(out, ", {condition}"))
    }
}

/// What makes it no plan. Its text says what to write instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanError {
    /// There are no steps.
    NoSteps,
    /// More than [`Plan::MOST_STEPS`].
    TooManySteps,
    /// The first step is 0 %.
    NoShare,
    /// This step, counted from 0, is not more than the one before.
    NotRising {
        /// Its position.
        step: usize,
    },
    /// A step lasts no time.
    NoTime,
    /// It begins at 100 %, and this condition, counted from 0, compares with the stable version.
    NothingToCompare {
        /// Its position.
        condition: usize,
    },
}

impl fmt::Display for PlanError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::NoSteps => "a rollout needs steps: `[1%, 5%, 25%, 100%]`",
            Self::TooManySteps => "a rollout has at most 100 steps",
            Self::NoShare => "the first step must give the canary some requests: `1%`",
            Self::NotRising { .. } => "each step must be more than the one before",
            Self::NoTime => "a step must last some time: `5m`",
            Self::NothingToCompare { .. } => {
                "at 100% from the start there is no stable version to compare with: begin with less, or write a limit \
                 such as `> 2%` or `> 300ms`"
            }
        })
    }
}

impl std::error::Error for PlanError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(hundredths: &[u16]) -> Vec<Share> {
        hundredths.iter().filter_map(|&share| Share::new(share)).collect()
    }

    #[test]
    fn conditions_compare_like_with_like() {
        for measure in Measure::ALL {
            for text in ["> 2%", "> 1.5x", "> 300ms"] {
                let is_rate = measure == Measure::ErrorRate;
                let fits = text.contains('x') || is_rate == text.contains('%');
                let condition = Condition::new(measure, Threshold::parse(text).unwrap());
                assert_eq!(condition.is_ok(), fits, "{measure:?} {text}");
                if let Ok(condition) = condition {
                    assert_eq!(condition.to_string(), format!("{} {text}", measure.as_str()));
                }
            }
        }
        let error = Condition::new(Measure::P99, Threshold::Share(Share::ALL)).unwrap_err();
        assert!(error.to_string().starts_with("p99 is a time, not a share: write `> 300ms`"));
    }

    #[test]
    fn what_is_no_plan() {
        let relative = Condition::new(Measure::P99, Threshold::Times(150)).unwrap();
        let absolute = Condition::new(Measure::P99, Threshold::Micros(300_000)).unwrap();
        for (shares, every_ms, abort_if, expected) in [
            (vec![], 1, vec![], Err(PlanError::NoSteps)),
            (vec![100; 101], 1, vec![], Err(PlanError::TooManySteps)),
            (vec![0, 100], 1, vec![], Err(PlanError::NoShare)),
            (vec![100, 500, 500], 1, vec![], Err(PlanError::NotRising { step: 2 })),
            (vec![500, 100], 1, vec![], Err(PlanError::NotRising { step: 1 })),
            (vec![100], 0, vec![], Err(PlanError::NoTime)),
            (vec![10_000], 1, vec![absolute, relative], Err(PlanError::NothingToCompare { condition: 1 })),
            (vec![10_000], 1, vec![absolute], Ok("100%, every 1ms, 50 requests, p99 > 300ms")),
            (
                vec![100, 10_000],
                1,
                vec![absolute, relative],
                Ok("1%, 100%, every 1ms, 50 requests, p99 > 300ms, p99 > 1.5x"),
            ),
        ] {
            let plan = Plan::new(steps(&shares), every_ms, abort_if, Plan::MIN_REQUESTS);
            assert_eq!(plan.map(|plan| plan.to_string()), expected.map(str::to_owned), "{shares:?}");
        }
    }
}
