//! Choosing an endpoint: balancing algorithms and the retry budget, pure.
//!
//! Entry points: [`Balancer::pick`] chooses a member of a service, [`RetryBudget::try_retry`] says whether
//! a request may be sent again. This crate must not know sockets, clocks or configuration: randomness, the
//! time, and what is known of each member are passed in.

mod balancer;
mod budget;

pub use balancer::{Algorithm, Balancer};
pub use budget::{RetryBudget, WINDOW_MS};
