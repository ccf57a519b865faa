//! Quotas by calendar period: when periods begin, what is used up in them, and the ledger that survives a crash.
//!
//! It must not know requests, policies, or who asks: a quota is an identity, a key is text, and both are given. It asks
//! no clock and has no thread of its own; times are milliseconds of the system's clock, since 1970 in UTC, and may step
//! back. Entry points: [`Period::bounds`] says when a period begins and ends; [`Ledger::open`] gives the [`Counters`] that
//! all workers take from, and [`Ledger::flush`] writes what has changed, which somebody calls once per second.

mod allowance;
mod counters;
mod journal;
mod ledger;
mod period;

pub use allowance::{Allowance, AllowanceError};
pub use counters::{Counter, Counters, KEY_MAX, LATE_MS, MAX_COUNT, QuotaId, Refused, Taken, Usage};
pub use durable::Error;
pub use ledger::{Finding, Flushed, Ledger, Opened};
pub use period::{Bounds, Period, UnknownZone, Zone};
