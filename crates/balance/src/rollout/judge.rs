//! Whether a condition has come true, how sure that is, and the sentence that says so.
//!
//! It must not know what follows from it. Entry points: [`weigh`], [`sentence`].

use super::chance::{Evidence, alone, compared_latencies, compared_rates};
use super::counts::Counts;
use super::latency::{Latency, first_at_least, from_bucket, quantile};
use super::plan::{Condition, Measure};
use super::threshold::Threshold;

/// Both versions over the same time. Where the stable one gets no requests any more, its counts are of before.
#[derive(Clone, Copy)]
pub(super) struct Facts<'a> {
    pub(super) stable: &'a Counts,
    pub(super) canary: &'a Counts,
    /// Upper bounds of the buckets, in microseconds.
    pub(super) bounds: &'a [u32],
    /// Over how long the canary was counted, in milliseconds.
    pub(super) span_ms: u64,
}

/// What speaks for a condition.
pub(super) fn weigh(condition: &Condition, facts: &Facts<'_>) -> Evidence {
    let Facts { stable, canary, bounds, .. } = *facts;
    match (condition.measure().tail(), condition.above()) {
        (None, Threshold::Share(most)) => alone(canary.failed, canary.requests, most.fraction()),
        (None, Threshold::Times(hundredths)) => compared_rates(
            (canary.failed, canary.requests),
            (stable.failed, stable.requests),
            times(hundredths),
        ),
        (Some(tail), Threshold::Micros(micros)) => {
            let slower = from_bucket(&canary.latency, first_at_least(bounds, f64::from(micros)));
            alone(slower, canary.latency.iter().sum(), tail)
        }
        (Some(tail), Threshold::Times(hundredths)) => {
            compared_latencies(&canary.latency, &stable.latency, bounds, tail, times(hundredths))
        }
        // `Condition::new` makes no others.
        (None, Threshold::Micros(_)) | (Some(_), Threshold::Share(_)) => Evidence::NONE,
    }
}

/// The condition in the numbers of a canary that has broken it.
pub(super) fn sentence(condition: &Condition, facts: &Facts<'_>) -> String {
    match condition.measure().tail() {
        None => rate_sentence(condition.above(), facts),
        Some(tail) => latency_sentence(condition.measure(), condition.above(), tail, facts),
    }
}

fn times(hundredths: u32) -> f64 {
    f64::from(hundredths) / 100.0
}

fn percent(bad: u64, all: u64) -> f64 {
    if all == 0 { 0.0 } else { bad as f64 * 100.0 / all as f64 }
}

fn rate_sentence(above: Threshold, facts: &Facts<'_>) -> String {
    let Facts { stable, canary, .. } = facts;
    let rate = percent(canary.failed, canary.requests);
    let seconds = seconds(facts.span_ms);
    let (limit, words) = match above {
        Threshold::Times(hundredths) => {
            let factor = times(hundredths);
            let of_stable = percent(stable.failed, stable.requests);
            let words = format!(
                "{factor} times the stable version's {} % ({} of {})",
                rounded(of_stable, 0.0, 1),
                stable.failed,
                stable.requests
            );
            (of_stable * factor, words)
        }
        Threshold::Share(share) => {
            let limit = share.fraction() * 100.0;
            (limit, format!("{} %", rounded(limit, 0.0, 2)))
        }
        Threshold::Micros(_) => (0.0, String::new()),
    };
    let rate = rounded(rate, limit, 1);
    format!("error rate {rate} % ({} of {} in {seconds} s) is above {words}", canary.failed, canary.requests)
}

fn latency_sentence(measure: Measure, above: Threshold, tail: f64, facts: &Facts<'_>) -> String {
    let Facts { stable, canary, bounds, .. } = *facts;
    let measured = |counts: &Counts| quantile(&counts.latency, bounds, tail).unwrap_or(Latency::About(0.0));
    let (limit, words) = match above {
        Threshold::Times(hundredths) => {
            let (factor, of_stable) = (times(hundredths), measured(stable));
            (
                of_stable.millis() * factor,
                format!("{factor} times the stable version's {}", shown(of_stable, 0.0)),
            )
        }
        Threshold::Micros(micros) => {
            let limit = f64::from(micros) / 1000.0;
            (limit, format!("{limit} ms"))
        }
        Threshold::Share(_) => (0.0, String::new()),
    };
    let (name, latency) = (measure.as_str(), shown(measured(canary), limit));
    let (answers, seconds) = (canary.latency.iter().sum::<u64>(), seconds(facts.span_ms));
    format!("{name} {latency} (of {answers} in {seconds} s) is above {words}")
}

fn seconds(millis: u64) -> u64 {
    millis.div_ceil(1000)
}

fn shown(latency: Latency, above: f64) -> String {
    match latency {
        Latency::About(millis) => {
            format!("{} ms", rounded(millis, above, if millis < 10.0 { 1 } else { 0 }))
        }
        Latency::Over(millis) => format!("over {millis:.0} ms"),
    }
}

/// With so many digits after the point, or with more where it would not look larger than `above` although it is.
fn rounded(value: f64, above: f64, digits: usize) -> String {
    let shown = |digits: usize| {
        let text = format!("{value:.digits$}");
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
    };
    let looks_larger = |text: &String| text.parse().is_ok_and(|number: f64| number > above);
    (digits..5).map(shown).find(looks_larger).unwrap_or_else(|| shown(digits))
}

#[cfg(test)]
mod tests {
    use super::super::latency::{BOUNDS, BUCKETS, bucket};
    use super::*;

    fn counts(requests: u64, failed: u64, latencies: &[(u64, u64)]) -> Counts {
        let mut counts = Counts { requests, failed, ..Counts::none(BUCKETS) };
        for (millis, answers) in latencies {
            counts.latency[bucket(millis * 1000)] += answers;
        }
        counts
    }

    #[test]
    fn sentences_say_the_numbers() {
        let usual = [(100, 9_500), (200, 500)];
        for (measure, above, canary, stable, expected) in [
            (
                Measure::ErrorRate,
                "> 2%",
                counts(250, 31, &[]),
                counts(0, 0, &[]),
                "error rate 12.4 % (31 of 250 in 42 s) is above 2 %",
            ),
            (
                Measure::ErrorRate,
                "> 0.25%",
                counts(8, 8, &[]),
                counts(0, 0, &[]),
                "error rate 100 % (8 of 8 in 42 s) is above 0.25 %",
            ),
            (
                Measure::ErrorRate,
                "> 2%",
                counts(100_000_000, 2_010_000, &[]),
                counts(0, 0, &[]),
                "error rate 2.01 % (2010000 of 100000000 in 42 s) is above 2 %",
            ),
            (
                Measure::ErrorRate,
                "> 1.5x",
                counts(250, 31, &[]),
                counts(24_750, 75, &[]),
                "error rate 12.4 % (31 of 250 in 42 s) is above 1.5 times the stable version's 0.3 % (75 of 24750)",
            ),
            (
                Measure::P99,
                "> 1.5x",
                counts(0, 0, &[(100, 200), (480, 50)]),
                counts(0, 0, &usual),
                "p99 491 ms (of 250 in 42 s) is above 1.5 times the stable version's 203 ms",
            ),
            (
                Measure::P99,
                "> 2.5ms",
                counts(0, 0, &[(4, 100)]),
                counts(0, 0, &usual),
                "p99 4.1 ms (of 100 in 42 s) is above 2.5 ms",
            ),
            (
                Measure::P95,
                "> 300ms",
                counts(0, 0, &[(60_000, 100)]),
                counts(0, 0, &usual),
                "p95 over 33554 ms (of 100 in 42 s) is above 300 ms",
            ),
        ] {
            let condition = Condition::new(measure, Threshold::parse(above).unwrap()).unwrap();
            let facts = Facts { stable: &stable, canary: &canary, bounds: &BOUNDS, span_ms: 41_500 };
            assert!(weigh(&condition, &facts).chance < 1e-5, "{condition}: {:?}", weigh(&condition, &facts));
            assert_eq!(sentence(&condition, &facts), expected);
        }
    }
}
