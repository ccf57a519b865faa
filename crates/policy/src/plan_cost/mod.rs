//! The `plan_cost` policy; its page is `doc.md`.

mod compile;
mod config;
mod run;
#[cfg(test)]
mod tests;

pub use compile::compile;
pub use config::Raw;
pub use run::Ready;
