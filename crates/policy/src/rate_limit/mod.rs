//! The `rate_limit` policy; its page is `doc.md`.

mod charge;
mod compile;
mod config;
mod run;
mod shared;
#[cfg(test)]
pub(crate) mod shared_tests;
mod subject;
#[cfg(test)]
mod tests;
mod told;
mod view;

pub(crate) use charge::{Charged, Waiting, charge, give_back, unavailable};
pub use compile::compile;
pub(crate) use compile::{sharing, subject};
pub use config::Raw;
pub(crate) use config::{By, Cost, Mode, OnStoreFailure, Sharing};
pub use run::Ready;
pub(crate) use run::{DRY_RUN, Owed};
pub(crate) use shared::{Identity, Shared, place_in_name};
pub(crate) use subject::{Hashed, Kind as PartKind, Parts, Subject, Worded};
pub(crate) use told::Level;
pub use view::LimitView;
