//! The `plan` policy; its page is `doc.md`.

mod allowed;
mod compile;
mod config;
mod plans;
mod run;
#[cfg(test)]
mod tests;

pub use allowed::Allowed;
pub use compile::compile;
pub use config::Raw;
pub use plans::{NewPlan, Plans};
pub use run::Ready;
