//! How limits stand, for whoever runs the gateway.
//!
//! Entry points: [`Ready::views`], [`Ready::reset`].

use std::time::Instant;

use limits::{Key, Limit};

use super::run::{Counted, Ready, Rule};
use super::subject::Hashed;

/// A limit, and how it stands for somebody if that was asked.
#[derive(Clone, Debug)]
pub struct LimitView {
    /// How many requests in how much time.
    pub limit: String,
    /// How many at once, where the others come evenly.
    pub burst: Option<u32>,
    /// What tells those apart who have limits of their own.
    pub by: Vec<String>,
    /// Whether requests over it pass.
    pub dry_run: bool,
    /// How many have used something.
    pub keys: usize,
    /// What is left for the one who was asked for, and after how many seconds it is all of it.
    pub left: Option<(u32, u64)>,
}

impl Ready {
    /// Where it is written: `gateway`, `service orders`, `route order-by-id`, `plan gold`.
    pub fn place(&self) -> &str {
        if self.place.is_empty() { "gateway" } else { &self.place }
    }

    /// All limits. `values` are those of somebody in the order of `by`: a name, an address, the value of a header. What
    /// goes by another number of values says nothing about it.
    pub fn views(&self, values: &[&str], at: Instant) -> Vec<LimitView> {
        let now = self.nanoseconds(at);
        let view = |rule: &Rule, counted: &Counted| {
            let full = counted.limit.full();
            LimitView {
                limit: counted.rate.to_string(),
                burst: matches!(counted.limit, Limit::Bucket(_)).then_some(full),
                by: rule.by.iter().map(ToString::to_string).collect(),
                dry_run: rule.dry_run,
                keys: counted.used.keys(),
                left: rule.key_of(counted, values).map(|key| {
                    let level = counted.used.level(&counted.limit, key, now);
                    level.map_or((full, 0), |level| (level.left, level.full_after))
                }),
            }
        };
        self.rules
            .iter()
            .flat_map(|rule| rule.counted.iter().map(move |counted| view(rule, counted)))
            .collect()
    }

    /// Forgets what somebody has used; in how many limits there was something.
    pub fn reset(&self, values: &[&str]) -> usize {
        let all = self.rules.iter().flat_map(|rule| rule.counted.iter().map(move |counted| (rule, counted)));
        all.filter(|(rule, counted)| rule.key_of(counted, values).is_some_and(|key| counted.used.reset(key)))
            .count()
    }
}

impl Rule {
    /// The key of somebody with these values.
    fn key_of(&self, counted: &Counted, values: &[&str]) -> Option<Key> {
        (values.len() == self.by.len()).then(|| {
            counted.used.key(|out| {
                let mut parts = Hashed(out);
                self.by.iter().zip(values).for_each(|(by, value)| by.write_value(value, &mut parts));
            })
        })
    }
}
