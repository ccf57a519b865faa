//! The `concurrency` policy; its page is `doc.md`.

mod compile;
mod config;
mod run;
#[cfg(test)]
mod tests;
mod view;

pub use compile::compile;
pub use config::Raw;
pub(crate) use run::Held;
pub use run::Ready;
pub use view::ConcurrencyView;
