//! The `cors` policy; its page is `doc.md`. What origins are stands in `origin.rs`, which `csrf` uses too.

mod compile;
mod config;
mod memory;
pub(crate) mod origin;
mod run;
#[cfg(test)]
mod tests;

pub use compile::compile;
pub use config::Raw;
pub use memory::CorsMemory;
pub use run::Ready;
