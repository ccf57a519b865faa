//! The `quota` policy; its page is `doc.md`.

mod compile;
mod config;
mod key;
mod quotas;
mod run;
#[cfg(test)]
mod tests;
mod view;

pub use compile::compile;
pub use config::Raw;
pub use quotas::Quotas;
pub use run::Ready;
pub(crate) use run::{Charged, Owed};
pub use view::{QuotaView, Used};
