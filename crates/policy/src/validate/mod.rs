//! The `validate` policy; its page is `doc.md`.

mod compile;
mod config;
mod documents;
mod response;
mod run;
#[cfg(test)]
mod tests;

pub use compile::compile;
pub(crate) use compile::most_of;
pub use config::Raw;
pub use response::{ResponseBody, ResponseCheck};
pub use run::Ready;
