//! The `oidc` policy; its page is `doc.md`.

mod bearer;
mod compile;
mod config;
mod login;
mod logins;
mod logout;
mod run;
mod session;
#[cfg(test)]
mod tests;

pub use compile::compile;
pub use config::Raw;
pub(crate) use logins::Logins;
pub use run::Ready;
