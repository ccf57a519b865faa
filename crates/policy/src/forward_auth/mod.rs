//! The `forward_auth` policy; its page is `doc.md`.

mod asking;
mod compile;
mod config;
mod deciding;
mod fields;
mod grants;
mod run;
#[cfg(test)]
mod tests;

pub use compile::compile;
pub use config::Raw;
pub(crate) use grants::Grants;
pub use run::Ready;
