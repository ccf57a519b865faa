//! The `basic` policy; its page is `doc.md`.

mod compile;
mod config;
mod password;
mod run;
#[cfg(test)]
mod tests;

pub use compile::compile;
pub use config::Raw;
pub use password::{check_password_hash, hash_password, verify_password};
pub use run::Ready;
