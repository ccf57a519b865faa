//! Who calls, and what policies answer: by consumers and kinds of policies, which are those of the configuration.
//!
//! Entry points: [`ConsumerSeries`], [`PolicyCounts`].

use crate::exposition::{ANSWERS, BY_CONSUMER, CALLERS, TRIED, Text};
use crate::series::CLASSES;
use crate::{Counter, Metrics, Record};

/// The most consumers that are counted one by one: what comes after them is counted together.
pub(crate) const MOST_CONSUMERS: usize = 1000;
/// The name of those that are counted together.
pub(crate) const OTHERS: &str = "(others)";
/// The most kinds of policies.
const MOST_KINDS: usize = 64;
/// The name of callers that nobody has to know.
const ANONYMOUS: &str = "anonymous";

/// Requests of one consumer, of one worker.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct ConsumerSeries {
    requests: [Counter; CLASSES.len()],
}

impl ConsumerSeries {
    /// A request of this consumer is over.
    #[inline]
    pub fn finish(&self, record: &Record) {
        let class = usize::from(record.status / 100).clamp(1, CLASSES.len()) - 1;
        if let Some(counter) = self.requests.get(class) {
            counter.add(1);
        }
    }

    fn add_to(&self, totals: &mut [u64]) {
        self.requests.iter().zip(totals).for_each(|(own, total)| *total += own.get());
    }
}

/// What policies did, of one worker. Kinds are known by their position in the list of all.
#[derive(Debug)]
pub struct PolicyCounts {
    recognised: [Counter; MOST_KINDS],
    answered: [Counter; MOST_KINDS],
    tried: [Counter; MOST_KINDS],
    anonymous: Counter,
}

impl Default for PolicyCounts {
    fn default() -> PolicyCounts {
        let zeros = || std::array::from_fn(|_| Counter::default());
        PolicyCounts { recognised: zeros(), answered: zeros(), tried: zeros(), anonymous: Counter::default() }
    }
}

impl PolicyCounts {
    /// A policy of this kind has recognised a caller; `None` for one that nobody has to know.
    #[inline]
    pub fn recognised(&self, kind: Option<usize>) {
        match kind.map(|kind| self.recognised.get(kind)) {
            None => self.anonymous.add(1),
            Some(counter) => counter.into_iter().for_each(|counter| counter.add(1)),
        }
    }

    /// A policy of this kind has answered in the place of the service.
    #[inline]
    pub fn answered(&self, kind: usize) {
        self.answered.get(kind).into_iter().for_each(|counter| counter.add(1));
    }

    /// A policy of this kind would have answered, were it not tried only.
    #[inline]
    pub fn tried(&self, kind: usize) {
        self.tried.get(kind).into_iter().for_each(|counter| counter.add(1));
    }
}

impl Metrics {
    /// Every consumer with its requests by class of status, of all workers.
    pub fn consumers(&self) -> Vec<(Box<str>, [u64; CLASSES.len()])> {
        let tables = self.tables();
        let sum = |series: &[std::sync::Arc<ConsumerSeries>]| {
            let mut totals = [0; CLASSES.len()];
            series.iter().for_each(|own| own.add_to(&mut totals));
            totals
        };
        tables.consumers.iter().map(|(name, series)| (name.clone(), sum(series))).collect()
    }

    pub(crate) fn render_callers(&self, text: &mut Text) {
        text.family(&BY_CONSUMER);
        for (name, totals) in self.consumers() {
            for (class, count) in CLASSES.iter().zip(totals).filter(|(_, count)| *count > 0) {
                text.series(BY_CONSUMER.name, "", &[("consumer", &name), ("status", class)], count);
            }
        }
        let sum = |pick: &dyn Fn(&PolicyCounts) -> u64| -> u64 {
            self.workers.iter().map(|worker| pick(&worker.policies)).sum()
        };
        let of = |counters: &[Counter], kind: usize| counters.get(kind).map_or(0, Counter::get);
        text.family(&CALLERS);
        for (kind, name) in self.policies.iter().enumerate() {
            let count = sum(&|counts| of(&counts.recognised, kind));
            if count > 0 {
                text.series(CALLERS.name, "", &[("policy", name)], count);
            }
        }
        text.series(CALLERS.name, "", &[("policy", ANONYMOUS)], sum(&|counts| counts.anonymous.get()));
        text.family(&ANSWERS);
        for (kind, name) in self.policies.iter().enumerate() {
            let count = sum(&|counts| of(&counts.answered, kind));
            if count > 0 {
                text.series(ANSWERS.name, "", &[("policy", name)], count);
            }
        }
        text.family(&TRIED);
        for (kind, name) in self.policies.iter().enumerate() {
            let count = sum(&|counts| of(&counts.tried, kind));
            if count > 0 {
                text.series(TRIED.name, "", &[("policy", name)], count);
            }
        }
    }
}
