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

pub(crate) use charge::{Pending, charge};
pub use compile::compile;
pub use config::Raw;
pub(crate) use run::Owed;
pub use run::Ready;
pub(crate) use told::Level;
pub use view::LimitView;
