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
pub(crate) use compile::subject;
pub use config::Raw;
pub(crate) use config::{By, Cost, Mode};
pub use run::Ready;
pub(crate) use run::{Charged, DRY_RUN, Owed};
pub(crate) use subject::{Hashed, Kind as PartKind, Parts, Subject, Worded};
pub(crate) use told::Level;
pub use view::LimitView;
