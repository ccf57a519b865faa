//! What a limit is at the store that gateways share, and who somebody is there.
//!
//! It says the same on every gateway, whatever runs on it. Entry points: [`Shared`], [`at_the_store`], [`name_of`].

use std::hash::Hasher;
use std::num::NonZeroU32;
use std::sync::Arc;

use aws_lc_rs::digest;
use limits::{Judged, Level, Rate};
use store::{Known, Leases, OwnAsk, Standing};

use crate::digest_of;

/// How many bytes of a place are in the name of a limit.
const PLACE: usize = 64;
/// The parts that a window has at the store: as many as here.
const BUCKETS: u16 = 8;

/// A limit that gateways share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// What the store knows it by.
    pub(crate) name: Arc<str>,
    pub(crate) limit: store::Limit,
    /// Where not each request is asked about.
    pub(crate) leases: Option<Arc<Leases>>,
}

impl Shared {
    /// What is asked about somebody.
    pub(crate) fn ask(&self, identity: [u8; 16], cost: u32) -> OwnAsk {
        let Shared { name, limit, .. } = self;
        OwnAsk { identity, name: Arc::clone(name), limit: *limit, cost: cost.into(), ahead: 0 }
    }
}

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

/// A place as it stands in the names of limits.
pub(crate) fn place_in_name(place: &str) -> String {
    let plain: String = place
        .chars()
        .map(|c| if c.is_ascii_graphic() && !"{}".contains(c) { c } else { '_' })
        .take(PLACE)
        .collect();
    let whole = plain == place.replace(' ', "_");
    // What was left out tells some from others.
    let digest = digest_of(place.as_bytes());
    let rest = if whole {
        String::new()
    } else {
        format!("~{:02x}{:02x}{:02x}{:02x}", digest[0], digest[1], digest[2], digest[3])
    };
    let plain = if plain.is_empty() { "gateway" } else { &plain };
    format!("{plain}{rest}")
}

/// Who somebody is at the store: a hash that nobody can find another text for.
pub(crate) struct Identity(digest::Context);

impl Identity {
    pub(crate) fn of(write: impl FnOnce(&mut dyn Hasher)) -> [u8; 16] {
        let mut identity = Identity(digest::Context::new(&digest::SHA256));
        write(&mut identity);
        let whole = identity.0.finish();
        let mut out = [0; 16];
        out.iter_mut().zip(whole.as_ref()).for_each(|(to, from)| *to = *from);
        out
    }
}

/// Numbers are written in one order of bytes on every machine.
impl Hasher for Identity {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn write_u32(&mut self, number: u32) {
        self.0.update(&number.to_le_bytes());
    }

    fn write_u128(&mut self, number: u128) {
        self.0.update(&number.to_le_bytes());
    }

    fn write_usize(&mut self, number: usize) {
        self.0.update(&(number as u64).to_le_bytes());
    }

    fn finish(&self) -> u64 {
        0
    }
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
