//! What a limit is at the store that gateways share, and what the store says of it.
//!
//! It says the same on every gateway, whatever runs on it. Entry points: [`at_the_store`], [`name_of`], [`judged`].

use std::num::NonZeroU32;
use std::sync::Arc;

use limits::{Judged, Level, Rate};
use store::{Known, Standing};

use crate::sharing::place_in_name;

/// The parts that a window has at the store: as many as here.
const BUCKETS: u16 = 8;

/// A limit as the store counts it.
pub(crate) fn at_the_store(rate: Rate, burst: Option<NonZeroU32>) -> store::Limit {
    let limit = rate.limit().into();
    match burst {
        Some(burst) => store::Limit::Gcra { period_ns: rate.period(), limit, burst: u64::from(burst.get()) },
        None => store::Limit::Window { period_ms: rate.period() / 1_000_000, limit, buckets: BUCKETS },
    }
}

/// What the store knows a limit by. It stays the same where only the number of the limit changes, so that a limit can
/// be raised; gateways with the same configuration say the same.
pub(crate) fn name_of(place: &str, rule: usize, position: usize, rate: Rate) -> Arc<str> {
    format!("rate_limit:{}:{rule}.{position}:{}s", place_in_name(place), rate.seconds()).into()
}

/// What the store has decided about a limit, as it is judged here.
pub(crate) fn judged(standing: &Standing, allowed: bool) -> Judged {
    let seconds = |micros: u64| micros.div_ceil(1_000_000);
    Judged {
        level: Level {
            left: u32::try_from(standing.left).unwrap_or(u32::MAX),
            full_after: seconds(standing.reset_after_us),
        },
        allowed,
        retry: standing.retry_after_us.map_or(u64::MAX, seconds),
    }
}

/// The same of what a lease says. `retry` is in milliseconds, and `None` for a request that passes.
pub(crate) fn judged_here(known: Known, retry: Option<u64>) -> Judged {
    Judged {
        level: Level {
            left: if retry.is_some() { 0 } else { known.left },
            full_after: known.full_after_s.into(),
        },
        allowed: retry.is_none(),
        retry: retry.map_or(0, |millis| millis.div_ceil(1000)),
    }
}
