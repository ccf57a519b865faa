//! How likely it is that a version which keeps a limit looks as bad as what was seen: the statistics of a rollout.
//!
//! Everything is a count of bad requests among all: failed ones, or ones slower than a limit. If a version keeps the
//! limit `p`, the chance that a share of at least `s` of `n` requests is bad is at most `exp(-n·D(s, p))`, where `D` is
//! the Kullback-Leibler divergence of two coins. This is the bound of Chernoff (1952, "A measure of asymptotic
//! efficiency"); it holds for every `n`, also for very few requests. It must not know what is counted, or what follows
//! from it. Entry points: [`alone`], [`compared_rates`], [`compared_latencies`].

use super::latency::{first_at_least, from_bucket, quantile_bucket};

/// What speaks against a version.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Evidence {
    /// At most how likely it is that a version that keeps the limit looks like this by chance, from 0 to 1.
    pub(super) chance: f64,
    /// The bad requests that were seen of it.
    pub(super) bad: u64,
}

impl Evidence {
    pub(super) const NONE: Evidence = Evidence { chance: 1.0, bad: 0 };
}

/// `D(seen, limit)`: how surprising it is, for each request, to see one share where another is true.
fn divergence(seen: f64, limit: f64) -> f64 {
    let part = |seen: f64, limit: f64| if seen > 0.0 { seen * (seen / limit).ln() } else { 0.0 };
    (part(seen, limit) + part(1.0 - seen, 1.0 - limit)).max(0.0)
}

fn share(bad: u64, all: u64) -> f64 {
    if all == 0 { 0.0 } else { (bad as f64 / all as f64).min(1.0) }
}

/// How strongly the counts say that the true share is above the limit.
fn above(bad: u64, all: u64, limit: f64) -> f64 {
    let seen = share(bad, all);
    if seen > limit { all as f64 * divergence(seen, limit) } else { 0.0 }
}

/// How strongly the counts say that the true share is below the limit.
fn below(bad: u64, all: u64, limit: f64) -> f64 {
    let seen = share(bad, all);
    if all > 0 && seen < limit { all as f64 * divergence(seen, limit) } else { 0.0 }
}

/// The chance for one version and a fixed limit.
fn chance_of_one(strength: f64) -> f64 {
    (-strength).exp()
}

/// The chance where two versions were counted: each strength is at most that of an exponential variable, and the sum
/// of two of these exceeds `t` with the chance `(1 + t)·exp(-t)`.
fn chance_of_two(strength: f64) -> f64 {
    if strength.is_finite() { (1.0 + strength) * (-strength).exp() } else { 0.0 }
}

/// Against a version of whose requests at most the share `limit` may be bad.
pub(super) fn alone(bad: u64, all: u64, limit: f64) -> Evidence {
    Evidence { chance: chance_of_one(above(bad, all, limit)), bad }
}

/// Against a version that may have at most `times` the share of bad requests of another one; each is given as `(bad,
/// all)`. What speaks for the version is the doubt about either of the two, so the true share of the other one is
/// assumed where both together are least surprising.
pub(super) fn compared_rates(version: (u64, u64), other: (u64, u64), times: f64) -> Evidence {
    let (mut low, mut high) = (share(other.0, other.1), share(version.0, version.1) / times);
    if low >= high || other.1 == 0 {
        return Evidence { bad: version.0, ..Evidence::NONE };
    }
    let surprise = |true_share: f64| {
        above(version.0, version.1, (true_share * times).min(1.0)) + below(other.0, other.1, true_share)
    };
    // The sum is convex between the two, so the middle third holds the least or borders on it.
    for _ in 0..40 {
        let third = (high - low) / 3.0;
        if surprise(low + third) <= surprise(high - third) {
            high -= third;
        } else {
            low += third;
        }
    }
    Evidence { chance: chance_of_two(surprise(f64::midpoint(low, high))), bad: version.0 }
}

/// Against a version whose latency at a quantile may be at most `times` that of another one. Both are counts in buckets
/// with these upper bounds; only `tail` of all requests (0 to 1) are slower than the quantile.
///
/// The true quantile of the other version is assumed in each bucket in turn: how surprising are then its own counts,
/// and the requests of the version that are slower than `times` the end of the bucket? The least surprising bucket
/// counts.
pub(super) fn compared_latencies(
    version: &[u64],
    other: &[u64],
    bounds: &[u32],
    tail: f64,
    times: f64,
) -> Evidence {
    let Some(seen) = quantile_bucket(other, tail) else { return Evidence::NONE };
    let (all, all_of_other) = (version.iter().sum(), other.iter().sum());
    let mut least = f64::INFINITY;
    let mut bad = None;
    for (bucket, bound) in bounds.iter().enumerate().skip(seen) {
        let slower = from_bucket(version, first_at_least(bounds, f64::from(*bound) * times));
        let bad = *bad.get_or_insert(slower);
        let of_version = above(slower, all, tail);
        let of_other = below(from_bucket(other, bucket), all_of_other, tail);
        least = least.min(of_version + of_other);
        if of_version == 0.0 {
            // Later buckets are only more surprising.
            return Evidence { chance: chance_of_two(least), bad };
        }
    }
    // It could also be beyond all bounds, and then nothing can be said of the version.
    least = least.min(below(from_bucket(other, bounds.len()), all_of_other, tail));
    Evidence { chance: chance_of_two(least), bad: bad.unwrap_or(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a chance is within the given powers of ten.
    fn within(evidence: Evidence, from: i32, to: i32) -> bool {
        (10f64.powi(from)..=10f64.powi(to)).contains(&evidence.chance)
    }

    #[test]
    fn few_requests_say_little_and_many_say_much() {
        for (bad, all, limit, from, to) in [
            (0, 0, 0.02, 0, 0),
            (0, 1000, 0.02, 0, 0),
            (1, 3, 0.02, -1, 0),
            (10, 30, 0.02, -9, -8),
            (3, 3, 0.02, -6, -5),
            (20, 1000, 0.02, 0, 0),
            (50, 1000, 0.02, -8, -7),
            (500, 10_000, 0.02, -80, -60),
            (1, 1, 0.0, -400, -300),
            (5, 5, 1.0, 0, 0),
        ] {
            let found = alone(bad, all, limit);
            assert!(
                within(found, from, to) || (found.chance == 0.0 && from == -400),
                "{bad}/{all}: {found:?}"
            );
        }
    }

    /// The bound against the exact chance, which is summed up term by term.
    #[test]
    fn the_chance_is_never_less_than_the_exact_one() {
        for (all, limit) in [(10u64, 0.02f64), (50, 0.1), (300, 0.02), (300, 0.5)] {
            let mut term = (1.0 - limit).powi(all as i32);
            let mut terms = vec![term];
            for bad in 0..all {
                term *= (all - bad) as f64 / (bad + 1) as f64 * limit / (1.0 - limit);
                terms.push(term);
            }
            for bad in 0..=all {
                let exact: f64 = terms[bad as usize..].iter().sum();
                let bound = alone(bad, all, limit).chance;
                assert!(bound >= exact * 0.999_999, "{bad}/{all} at {limit}: {bound} < {exact}");
            }
        }
    }

    #[test]
    fn both_versions_must_be_known_to_blame_one() {
        for (version, other, times, from, to) in [
            // As bad as the other one.
            ((50, 100), (5_000, 10_000), 1.0, 0, 0),
            ((50, 100), (5_000, 10_000), 1.5, 0, 0),
            ((100, 100), (10_000, 10_000), 1.0, 0, 0),
            // Nothing is known of the other one, or very little.
            ((50, 100), (0, 0), 1.5, 0, 0),
            ((50, 100), (0, 1), 1.5, -1, 0),
            // Twice as bad: in the end it shows.
            ((2, 100), (100, 10_000), 1.5, -1, 0),
            ((200, 10_000), (1_000, 100_000), 1.5, -2, -1),
            ((1_000, 50_000), (1_000, 100_000), 1.5, -8, -7),
            ((100, 100), (0, 10_000), 1.5, -250, -150),
        ] {
            let found = compared_rates(version, other, times);
            assert!(within(found, from, to), "{version:?} {other:?} {times}: {found:?}");
        }
    }

    #[test]
    fn latencies_are_blamed_beyond_what_a_bucket_can_hide() {
        let bounds = [100, 200, 400, 800, 1600];
        let stable = [9_000, 950, 50, 0, 0, 0];
        for (canary, tail, times, blamed) in [
            ([900, 95, 5, 0, 0, 0], 0.01, 1.0, false),
            // The quantile of the stable version may be 200, so three times that may be in the fourth bucket.
            ([900, 0, 0, 100, 0, 0], 0.01, 3.0, false),
            ([900, 0, 0, 0, 100, 0], 0.01, 3.0, true),
            ([900, 0, 0, 0, 0, 100], 0.01, 3.0, true),
            ([900, 0, 0, 0, 0, 100], 0.01, 16.0, false),
            // So few slow ones may be chance.
            ([90, 7, 1, 0, 2, 0], 0.01, 3.0, false),
            ([0, 0, 0, 1000, 0, 0], 0.5, 3.0, true),
        ] {
            let found = compared_latencies(&canary, &stable, &bounds, tail, times);
            assert_eq!(found.chance < 1e-5, blamed, "{canary:?} {tail} {times}: {found:?}");
        }
        assert_eq!(compared_latencies(&[0, 0, 0, 1000, 0, 0], &[0; 6], &bounds, 0.5, 1.5), Evidence::NONE);
        // Where the stable version is beyond all bounds, nothing can be worse.
        let lost = compared_latencies(&[0, 0, 0, 0, 0, 1000], &[0, 0, 0, 0, 0, 1000], &bounds, 0.5, 1.0);
        assert!(lost.chance >= 1.0, "{lost:?}");
    }
}
