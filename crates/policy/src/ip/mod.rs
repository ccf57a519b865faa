//! The `ip` policy; its page is `doc.md`.

mod compile;
mod config;
mod ranges;
mod run;
#[cfg(test)]
mod tests;

pub use compile::compile;
pub use config::Raw;
pub(crate) use ranges::Ranges;
pub use run::Ready;
