//! Choosing an endpoint: balancing algorithms, health and the retry budget, pure.
//!
//! Entry points: [`Balancer::pick`] chooses a member of a service, [`RetryBudget::try_retry`] says whether
//! a request may be sent again, [`Health::observe`] what probes say of an endpoint. This crate must not know sockets, clocks or configuration: randomness, the
//! time, and what is known of each member are passed in.

mod balancer;
mod budget;
mod health;

pub use balancer::{Algorithm, Balancer};
pub use budget::{RetryBudget, WINDOW_MS};
pub use health::{Health, PANIC_PERCENT, Standing, Thresholds, interval, is_panic, takes_requests};
