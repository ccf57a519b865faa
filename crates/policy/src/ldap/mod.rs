//! The `ldap` policy; its page is `doc.md`.

mod compile;
mod config;
mod directory;
mod filter;
mod run;
mod template;
#[cfg(test)]
mod tests;

pub use compile::compile;
pub use config::Raw;
pub use directory::{Account, AskDirectory, Directory, Entry, GroupSearch, Security, UserSearch, Who};
pub use run::Ready;
pub use template::Template;
