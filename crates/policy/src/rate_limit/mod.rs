//! The `rate_limit` policy; its page is `doc.md`.

mod charge;
mod compile;
mod config;
mod run;
mod shared;
#[cfg(test)]
pub(crate) mod shared_tests;
#[cfg(test)]
mod tests;
mod view;

pub(crate) use charge::{Charged, Waiting, charge, give_back};
pub use compile::compile;
pub use config::Raw;
pub(crate) use run::Owed;
pub use run::Ready;
pub use view::LimitView;
