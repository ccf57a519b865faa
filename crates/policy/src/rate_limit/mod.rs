//! The `rate_limit` policy; its page is `doc.md`.

mod charge;
mod compile;
mod config;
mod run;
mod shared;
#[cfg(test)]
mod shared_tests;
mod subject;
#[cfg(test)]
mod tests;
mod told;
mod view;

pub(crate) use charge::{Charged, Waiting, charge, give_back};
pub use compile::compile;
pub(crate) use compile::subject;
pub use config::Raw;
pub(crate) use config::{By, Cost, Mode};
pub use run::Ready;
pub(crate) use run::{DRY_RUN, Owed};
pub(crate) use subject::{Hashed, Kind as PartKind, Parts, Subject, Worded};
pub(crate) use told::Level;
pub use view::LimitView;
