//! Counters that several gateways share through Redis or Valkey, and leases on them.
//!
//! It knows limits as numbers, how a script at the server decides about several of them at once, and what can go
//! wrong on the way. It must not know policies, requests or consumers, nor what happens to a request when there is
//! no decision: whoever asks chooses. Entry points: [`Store::start`] and [`Store::decide`]; [`Address`] is where the
//! servers are; [`Leases`] keep units that were charged ahead of need, so that nothing is asked on the way of a
//! request.

mod address;
mod ask;
mod lease;
mod leases;
mod link;
mod script;
mod store;
#[cfg(test)]
mod tests;
mod trouble;

pub use address::{Address, Malformed};
pub use ask::{Ask, Decision, Limit, OwnAsk, Standing};
pub use lease::{Lease, Plan, Taken};
pub use leases::{Drawn, Flight, Known, Landed, LeaseKey, Leases};
pub use link::Trust;
pub use store::{Settings, Status, Store};
pub use trouble::Trouble;
