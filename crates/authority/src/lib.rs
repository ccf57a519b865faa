//! Asking servers that vouch for callers or decide about them, and keeping what they publish.
//!
//! It knows how to ask and what an answer is worth: identity providers, introspection (RFC 7662), and servers of
//! Envoy's `ext_authz`. It must not know policies, routes or requests, nor what a key is: who keeps keys says how
//! to read them. Entry points: [`Client::ask`] puts one question; [`Keeper`] keeps a document fresh and [`Kept`]
//! is what requests see of it; [`ext_authz`] and [`introspection`] are two kinds of question; [`form`] is how
//! OAuth writes its own.

mod ask;
mod client;
pub mod ext_authz;
pub mod form;
mod freshness;
pub mod introspection;
mod keeper;
mod kept;
mod schedule;
#[cfg(test)]
mod tests;
mod trouble;

pub use ask::{Answer, Ask, Trust};
pub use client::Client;
pub use keeper::{Event, Keeper, Plan, Source};
pub use kept::{Kept, Status};
pub use schedule::Pace;
pub use trouble::Trouble;
