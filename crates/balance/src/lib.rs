//! Choosing an endpoint, and judging services: balancing, health, ejection, budgets, limits, circuit breakers, canaries;
//! pure.
//!
//! Entry points: [`Balancer::pick`] chooses a member of a service, [`RetryBudget::try_retry`] says whether a request may
//! be sent again, [`Health::observe`] what probes say of an endpoint, [`Outliers::observe`] what became of requests,
//! [`AdaptiveLimit`], [`FairQueue`] and [`Breaker`] how much a service gets, [`rollout::Rollout`] what a new version gets.
//! This crate must not know sockets, clocks or configuration: randomness, the time, and what is known of each member are
//! passed in.

pub mod adaptive;
mod balancer;
pub mod breaker;
mod budget;
mod health;
mod latency;
mod maglev;
mod outage;
mod outlier;
pub mod queue;
mod recent;
pub mod rollout;
mod warmup;
mod zone;

pub use adaptive::AdaptiveLimit;
pub use balancer::key::hash_key;
pub use balancer::{Algorithm, Balancer, Members, Seat};
pub use breaker::Breaker;
pub use budget::{RetryBudget, WINDOW_MS, backoff};
pub use health::{Health, Standing, Thresholds, interval};
pub use latency::{HALF_LIFE_MS, PeakEwma};
pub use outage::{Outage, PANIC_PERCENT, is_panic, takes_requests};
pub use outlier::{Cause, Change, Ejection, LATENCY_BUCKETS, LONGEST, Out, Outliers, Tally, latency_bucket};
pub use queue::{FairQueue, Importance, expected_wait_ms};
pub use recent::Recent;
pub use warmup::{MIN_WARMTH, WARM, in_flight_as_if_warm, is_passed_over, warmth};
pub use zone::{LOCAL_PERCENT, ZoneWeight, local_share};
