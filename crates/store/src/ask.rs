//! What is asked of the store and what it answers, as values, and the arithmetic between both and the script.
//!
//! No I/O. It must not know connections. Entry points: [`Ask`], [`Limit`], [`Decision`]; [`OwnAsk`] is an ask that can
//! be kept.

use std::fmt::Write as _;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::Trouble;

/// How many limits one decision may be about.
pub(crate) const MOST_ASKS: usize = 16;
const LONGEST_NAME: usize = 128;
/// Above it, the numbers of a limit would no longer be exact in the script.
const MOST_UNITS: u64 = 1_000_000_000_000;
/// 400 days.
const LONGEST_MS: u64 = 400 * 86_400_000;
/// The longest that a bucket may take to be full again, in microseconds: 71 years.
const MOST_MICROS: u64 = 1 << 51;
const MOST_BUCKETS: u16 = 60;

/// What is limited, and how. Units are whatever the cost counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// The generic cell rate algorithm (ITU-T I.371): `limit` units in each period, evenly, and `burst` at once.
    /// Exact for every period and limit: fractions of a microsecond are kept, so there is no smallest interval.
    Gcra {
        /// The period, in nanoseconds.
        period_ns: u64,
        /// Units in a period, at most 10^12.
        limit: u64,
        /// Units at once.
        burst: u64,
    },
    /// A sliding window: never more than `limit` units in any time as long as the period. The price is that the
    /// room of a unit comes back up to one bucket later than it could: `period / buckets`.
    Window {
        /// The period, in milliseconds.
        period_ms: u64,
        /// Units in a period, at most 10^12.
        limit: u64,
        /// Parts of the period that are counted, at most 60.
        buckets: u16,
    },
    /// So many units until a moment. It is kept for 2 hours longer, for gateways whose clocks are behind; what is
    /// asked later than that is refused as a failure.
    Quota {
        /// Units in the period, at most 10^12.
        limit: u64,
        /// When the period ends, in milliseconds since 1970.
        period_end_unix_ms: u64,
        /// Which period it is: another number, another count.
        period_id: u64,
    },
}

/// One limit of a decision.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Who is limited, as a hash. In a cluster, limits of one identity are kept by one server.
    pub identity: [u8; 16],
    /// Which limit it is, for those who look at the keys; at most 128 bytes. Limits with other names are others.
    pub name: &'a str,
    /// The limit.
    pub limit: Limit,
    /// Units. With 0 nothing is charged, and what is left is told.
    pub cost: u64,
    /// Units ahead of need. They are charged too if all limits allow the costs and this one allows these besides; if
    /// not, that keeps nothing from being allowed. Only decisions have them.
    pub ahead: u64,
}

/// An ask that can be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnAsk {
    /// See [`Ask::identity`].
    pub identity: [u8; 16],
    /// See [`Ask::name`].
    pub name: Arc<str>,
    /// See [`Ask::limit`].
    pub limit: Limit,
    /// See [`Ask::cost`].
    pub cost: u64,
    /// See [`Ask::ahead`].
    pub ahead: u64,
}

impl OwnAsk {
    /// A cost that gives back, or forgets, all that was ever charged to a limit.
    pub const EVERYTHING: u64 = MOST_UNITS;

    /// As it is asked.
    pub fn ask(&self) -> Ask<'_> {
        let OwnAsk { identity, name, limit, cost, ahead } = self;
        Ask { identity: *identity, name, limit: *limit, cost: *cost, ahead: *ahead }
    }
}

/// Asks, as they are put.
pub(crate) type Asks<'a> = SmallVec<[Ask<'a>; 4]>;

/// What the store says about the limits of a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// All limits allow it, and all were charged; otherwise none was.
    pub allowed: bool,
    /// How each limit stands, in the order of the asks.
    pub each: SmallVec<[Standing; 4]>,
    /// The time of the server, in microseconds since 1970.
    pub unix_us: u64,
}

/// How a limit stands after a decision.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// This limit allows it, whatever the others say.
    pub fits: bool,
    /// The units ahead of need were charged too.
    pub ahead: bool,
    /// Units that are left.
    pub left: u64,
    /// In how many microseconds all units are there again if none is used.
    pub reset_after_us: u64,
    /// In how many microseconds the cost could fit; `None` if it fits, or if it never can.
    pub retry_after_us: Option<u64>,
}

impl Limit {
    /// A quota in the period that ends then, in seconds since 1970; another limit as it is.
    #[must_use]
    pub fn in_period(self, period_end: u32) -> Limit {
        match self {
            Limit::Quota { limit, .. } => Limit::Quota {
                limit,
                period_end_unix_ms: u64::from(period_end) * 1000,
                period_id: period_end.into(),
            },
            other => other,
        }
    }

    /// The units of a period.
    #[must_use]
    pub fn units(&self) -> u64 {
        match *self {
            Limit::Gcra { limit, .. } | Limit::Window { limit, .. } | Limit::Quota { limit, .. } => limit,
        }
    }

    /// Whether the numbers are such that the script is exact.
    ///
    /// # Errors
    /// They are not; the text says what there can be.
    pub fn check(&self) -> Result<(), Trouble> {
        let wrong = |what| Err(Trouble::Ask(what));
        let (limit, period_ms) = match *self {
            Limit::Gcra { period_ns, limit, .. } => (limit, period_ns.div_ceil(1_000_000)),
            Limit::Window { period_ms, limit, .. } => (limit, period_ms),
            Limit::Quota { limit, .. } => (limit, 1),
        };
        if !(1..=MOST_UNITS).contains(&limit) {
            return wrong("a limit is 1 to 10^12 units");
        }
        if !(1..=LONGEST_MS).contains(&period_ms) {
            return wrong("a period is longer than nothing, and at most 400 days");
        }
        match *self {
            Limit::Gcra { period_ns, limit, burst } => {
                let whole = u128::from(burst) * u128::from(period_ns) / (1000 * u128::from(limit));
                if burst == 0 || whole > u128::from(MOST_MICROS) {
                    return wrong("a burst is at least 1 unit, and what comes back within 71 years");
                }
            }
            Limit::Window { buckets, .. } if !(1..=MOST_BUCKETS).contains(&buckets) => {
                return wrong("a window has 1 to 60 buckets");
            }
            Limit::Quota { period_end_unix_ms, .. } if period_end_unix_ms > MOST_MICROS / 1000 => {
                return wrong("the end of a period is more than 71 years after 1970");
            }
            _ => {}
        }
        Ok(())
    }
}

impl Ask<'_> {
    pub(crate) fn check(&self) -> Result<(), Trouble> {
        if self.name.len() > LONGEST_NAME {
            return Err(Trouble::Ask("the name of a limit has more than 128 bytes"));
        }
        self.limit.check()
    }

    /// Writes the key. What is in braces decides which server of a cluster keeps it.
    pub(crate) fn write_key(&self, key: &mut String) {
        key.clear();
        key.push_str("gateward:{");
        for byte in self.identity {
            // Writing to a string cannot fail.
            let _ = write!(key, "{byte:02x}");
        }
        let _ = match self.limit {
            Limit::Gcra { .. } => write!(key, "}}:g:"),
            Limit::Window { .. } => write!(key, "}}:w{}:", self.bucket_us()),
            Limit::Quota { period_id, .. } => write!(key, "}}:q{period_id}:"),
        };
        key.push_str(self.name);
    }

    /// What the script is told: the kind and its numbers.
    pub(crate) fn arguments(&self) -> (&'static str, [u64; 7]) {
        let cost = self.cost.min(MOST_UNITS + 1);
        let all = if self.ahead > 0 { self.all().min(MOST_UNITS + 1) } else { 0 };
        match self.limit {
            Limit::Gcra { limit, .. } => {
                let denominator = 1000 * limit;
                let (take, take_part) = split(self.gcra_parts(self.cost), denominator);
                let (whole, whole_part) = split(self.gcra_whole(), denominator);
                let all = if self.ahead > 0 { self.gcra_parts(self.all()) } else { 0 };
                let (all, all_part) = split(all, denominator);
                ("g", [take, take_part, whole, whole_part, denominator, all, all_part])
            }
            Limit::Window { limit, buckets, .. } => {
                ("w", [cost, limit, self.bucket_us(), u64::from(buckets), 0, all, 0])
            }
            Limit::Quota { limit, period_end_unix_ms, .. } => {
                ("q", [cost, limit, period_end_unix_ms, 0, 0, all, 0])
            }
        }
    }

    /// The cost, and what is ahead of need.
    pub(crate) fn all(&self) -> u64 {
        self.cost.saturating_add(self.ahead)
    }

    /// Reads what the script says about this limit.
    pub(crate) fn standing(&self, [fits, a, b, c]: [u64; 4]) -> Standing {
        let (fits, ahead) = (fits > 0, fits == 2);
        match self.limit {
            Limit::Gcra { period_ns, limit, .. } => {
                let denominator = u128::from(1000 * limit);
                let debt = u128::from(a) * denominator + u128::from(b);
                let micros = |parts: u128| saturated(parts.div_ceil(denominator));
                let cost = self.gcra_parts(self.cost);
                let missing = (debt + cost).saturating_sub(self.gcra_whole());
                Standing {
                    fits,
                    ahead,
                    left: saturated(self.gcra_whole().saturating_sub(debt) / u128::from(period_ns)),
                    reset_after_us: micros(debt),
                    retry_after_us: (!fits && cost <= self.gcra_whole()).then(|| micros(missing)),
                }
            }
            Limit::Window { limit, .. } | Limit::Quota { limit, .. } => Standing {
                fits,
                ahead,
                left: limit.saturating_sub(a),
                reset_after_us: if a == 0 { 0 } else { b },
                retry_after_us: (!fits && self.cost <= limit).then_some(match self.limit {
                    Limit::Window { .. } => c,
                    _ => b,
                }),
            },
        }
    }

    /// What units take, in parts of a microsecond: one unit takes `period_ns` of them.
    fn gcra_parts(&self, units: u64) -> u128 {
        let Limit::Gcra { period_ns, .. } = self.limit else { return 0 };
        u128::from(units) * u128::from(period_ns)
    }

    fn gcra_whole(&self) -> u128 {
        let Limit::Gcra { period_ns, burst, .. } = self.limit else { return 0 };
        u128::from(burst) * u128::from(period_ns)
    }

    fn bucket_us(&self) -> u64 {
        let Limit::Window { period_ms, buckets, .. } = self.limit else { return 0 };
        (period_ms * 1000).div_ceil(u64::from(buckets.max(1)))
    }
}

/// Whole microseconds and the rest. A cost that is more than any bucket stays more.
fn split(parts: u128, denominator: u64) -> (u64, u64) {
    let whole = parts / u128::from(denominator);
    if whole > u128::from(MOST_MICROS) {
        return (MOST_MICROS + 1, 0);
    }
    (whole as u64, (parts % u128::from(denominator)) as u64)
}

fn saturated(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// Whether a decision can be put as it is.
pub(crate) fn check(asks: &[Ask<'_>]) -> Result<(), Trouble> {
    if asks.len() > MOST_ASKS {
        return Err(Trouble::Ask("a decision is about at most 16 limits"));
    }
    for (at, ask) in asks.iter().enumerate() {
        ask.check()?;
        // The script would charge only one of them.
        if asks.iter().take(at).any(|other| other.identity == ask.identity && other.name == ask.name) {
            return Err(Trouble::Ask("two limits of a decision have the same identity and name"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(limit: Limit, cost: u64) -> Ask<'static> {
        Ask { identity: [0xab; 16], name: "plan", limit, cost, ahead: 0 }
    }

    fn gcra(period_ns: u64, limit: u64, burst: u64) -> Limit {
        Limit::Gcra { period_ns, limit, burst }
    }

    #[test]
    fn intervals_keep_their_fractions() {
        // Three a second: 333 333 and a third microseconds; the denominator is 3000.
        let three = ask(gcra(1_000_000_000, 3, 3), 1);
        assert_eq!(three.arguments(), ("g", [333_333, 1000, 1_000_000, 0, 3000, 0, 0]));
        // Three million a second: a third of a microsecond each.
        let fast = ask(gcra(1_000_000_000, 3_000_000, 10), 1);
        assert_eq!(fast.arguments(), ("g", [0, 1_000_000_000, 3, 1_000_000_000, 3_000_000_000, 0, 0]));
        let standing = fast.standing([1, 3, 0, 0]);
        assert_eq!((standing.left, standing.reset_after_us), (1, 3));
    }

    #[test]
    fn what_never_fits_says_so() {
        let five = ask(gcra(1_000_000_000, 10, 5), 6).standing([0, 0, 0, 0]);
        assert_eq!((five.left, five.retry_after_us), (5, None));
        let huge = ask(gcra(LONGEST_MS * 1_000_000, 1, 1), u64::MAX);
        assert_eq!(huge.arguments().1[..2], [MOST_MICROS + 1, 0]);
        assert!(huge.arguments().1[0] > huge.arguments().1[2]);
        let window = Limit::Window { period_ms: 1000, limit: 5, buckets: 10 };
        assert_eq!(ask(window, 6).standing([0, 5, 100, 0]).retry_after_us, None);
        assert_eq!(ask(window, 5).standing([0, 5, 100, 70]).retry_after_us, Some(70));
    }

    #[test]
    fn what_would_not_be_exact_is_refused() {
        let window = |period_ms, limit, buckets| Limit::Window { period_ms, limit, buckets };
        for wrong in [
            gcra(0, 1, 1),
            gcra(1, 0, 1),
            gcra(1, 1, 0),
            gcra(1, MOST_UNITS + 1, 1),
            gcra(LONGEST_MS * 1_000_000, 1, 1000),
            gcra(LONGEST_MS * 1_000_000 + 1, 1, 1),
            window(0, 1, 1),
            window(1, 1, 0),
            window(1, 1, 61),
            window(LONGEST_MS + 1, 1, 1),
            Limit::Quota { limit: 0, period_end_unix_ms: 1, period_id: 1 },
            Limit::Quota { limit: 1, period_end_unix_ms: u64::MAX, period_id: 1 },
        ] {
            assert!(matches!(ask(wrong, 1).check(), Err(Trouble::Ask(_))), "{wrong:?}");
        }
        for right in [gcra(1, MOST_UNITS, MOST_UNITS), window(LONGEST_MS, MOST_UNITS, 60)] {
            assert_eq!(ask(right, u64::MAX).check(), Ok(()), "{right:?}");
        }
        let one = ask(gcra(1000, 1, 1), 1);
        assert!(check(&[one, one]).is_err());
        assert!(check(&[one, Ask { name: "other", ..one }]).is_ok());
        assert!(check(&[one; MOST_ASKS + 1]).is_err());
    }

    #[test]
    fn a_key_tells_the_identity_the_kind_and_the_name() {
        let mut key = String::new();
        ask(gcra(1000, 1, 1), 1).write_key(&mut key);
        assert_eq!(key, format!("gateward:{{{}}}:g:plan", "ab".repeat(16)));
        ask(Limit::Window { period_ms: 1000, limit: 1, buckets: 10 }, 1).write_key(&mut key);
        assert!(key.ends_with("}:w100000:plan"), "{key}");
        ask(Limit::Quota { limit: 1, period_end_unix_ms: 1, period_id: 202_611 }, 1).write_key(&mut key);
        assert!(key.ends_with("}:q202611:plan"), "{key}");
    }
}
