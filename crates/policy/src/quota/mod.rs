//! The `quota` policy; its page is `doc.md`.

mod charge;
mod compile;
mod config;
mod key;
mod quotas;
mod run;
#[cfg(test)]
mod shared_tests;
#[cfg(test)]
mod tests;
mod view;

pub(crate) use charge::{Owed, Waiting, charge};
pub use compile::compile;
pub use config::Raw;
pub use key::Sought;
pub use quotas::Quotas;
pub use run::Ready;
pub use view::{QuotaView, Running};
