//! Slow start: a member that has just come, or come back, gets its share of the requests little by little.
//!
//! It must not know members or clocks. Entry points: [`warmth`], [`is_passed_over`], [`in_flight_as_if_warm`].
//!
//! It is not part of the balancer. Who asks it for a choice does three things:
//!
//! - It draws, for each member that is not warm, whether the member is passed over, and lets
//!   [`Members::is_eligible`](crate::Members::is_eligible) say so. It draws once for each choice: a member that is
//!   asked for again within a choice has to get the same answer.
//! - It reports the requests in flight of such a member as [`in_flight_as_if_warm`] says. Passing over is enough
//!   while there is little to do, when whoever is drawn is taken. But where load is compared, a member that is
//!   passed over is the least busy one, and would win every time that it is not.
//! - If nobody is eligible, because all were passed over, it asks again without passing over any.

/// Warmth to begin with, in permille. Some requests must come, or nothing gets warm.
pub const MIN_WARMTH: u32 = 100;
/// A member that gets its whole share.
pub const WARM: u32 = 1000;

/// Which part of its share a member gets that has been there for `elapsed_ms`, in permille: from [`MIN_WARMTH`] in
/// a straight line up to [`WARM`] after `ramp_ms`.
#[must_use]
pub fn warmth(elapsed_ms: u64, ramp_ms: u64) -> u32 {
    if elapsed_ms >= ramp_ms {
        return WARM;
    }
    let risen = u128::from(WARM - MIN_WARMTH) * u128::from(elapsed_ms) / u128::from(ramp_ms);
    MIN_WARMTH + u32::try_from(risen).unwrap_or(0)
}

/// Whether a member of this warmth is passed over this time: never if it is warm.
#[must_use]
pub fn is_passed_over(warmth: u32, rng: &mut fastrand::Rng) -> bool {
    warmth < WARM && rng.u32(..WARM) >= warmth
}

/// How many requests a member of this warmth would have in flight if it were warm, and as busy for that as it is
/// now.
#[must_use]
pub fn in_flight_as_if_warm(in_flight: u32, warmth: u32) -> u32 {
    let warm = u64::from(in_flight) * u64::from(WARM) / u64::from(warmth.clamp(1, WARM));
    u32::try_from(warm).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warmth_rises_from_a_tenth_in_a_straight_line() {
        for (elapsed, ramp, want) in [
            (0, 30_000, 100),
            (10_000, 30_000, 400),
            (15_000, 30_000, 550),
            (29_999, 30_000, 999),
            (30_000, 30_000, 1000),
            (u64::MAX, 30_000, 1000),
            (0, 0, 1000),
            (0, 1, 100),
            (u64::MAX / 2, u64::MAX, 549),
        ] {
            assert_eq!(warmth(elapsed, ramp), want, "{elapsed} of {ramp}");
        }
    }

    #[test]
    fn members_are_passed_over_by_what_they_lack() {
        let mut rng = fastrand::Rng::with_seed(1);
        for warmth in [0, 100, 500, 900, 1000] {
            let passed = (0..100_000).filter(|_| is_passed_over(warmth, &mut rng)).count();
            assert!(passed.abs_diff(100 * (1000 - warmth as usize)) < 600, "{warmth}: {passed}");
        }
    }

    #[test]
    fn load_is_scaled_up_while_it_gets_warm() {
        for (in_flight, warmth, want) in [
            (0, 100, 0),
            (3, 100, 30),
            (3, 300, 10),
            (3, 1000, 3),
            (3, 5000, 3),
            (3, 0, 3000),
            (u32::MAX, 100, u32::MAX),
        ] {
            assert_eq!(in_flight_as_if_warm(in_flight, warmth), want, "{in_flight} {warmth}");
        }
    }
}
