//! How often somebody may ask: rates, buckets and windows, and the bounded table that holds them; and how much at once. Pure.
//!
//! Time is passed in, in nanoseconds of a clock that never goes back: what the time of day does has no effect here. It
//! must not know requests, callers or configurations: who is limited is a [`Key`].
//!
//! Two ways to count. A [`Bucket`] lets requests through evenly at the rate, and a burst of them at once. A [`Window`]
//! lets through at most so many within any period, and never more, wherever the period begins. Both are judged and
//! charged in one step under the lock of a small part of a table, so all threads together let through what one would.
//!
//! Entry points: [`Rate`], [`Limit`], [`Limiter`]; [`Slots`]; [`Table`] holds other states by key in the same bounded way.

mod bucket;
mod limiter;
mod rate;
mod slots;
mod table;
mod window;

pub use bucket::Bucket;
pub use limiter::{Judged, Key, Level, Limit, Limiter, MAX_COST};
pub use rate::{Rate, RateError};
pub use slots::{Slot, Slots};
pub use table::Table;
pub use window::Window;
