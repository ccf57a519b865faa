//! The `rate_limit` policy; its page is `doc.md`.

mod compile;
mod config;
mod run;
mod subject;
#[cfg(test)]
mod tests;
mod told;
mod view;

pub use compile::compile;
pub use config::Raw;
pub(crate) use run::Owed;
pub use run::Ready;
pub(crate) use told::Level;
pub use view::LimitView;
