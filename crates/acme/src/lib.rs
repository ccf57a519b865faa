//! Certificates by ACME (RFC 8555): account, orders, challenges, renewal, and the folder they are kept in.
//!
//! The [`Keeper`] sees to it that every wanted host has a certificate in the [`Store`], and that it is renewed in
//! time. It knows nothing of listeners: answers to challenges go through [`Challenges`] to whoever serves them,
//! certificates are files that the configuration reads like any other, and what happened is told as an [`Event`].
//! It must never take down what works: a certificate is replaced only by a better one.
//!
//! Entry points: [`Settings`], [`Keeper::new`], [`Keeper::run`]. When something is due is decided in
//! [`next_action`], which is pure.

mod account;
mod certificate;
mod challenge;
mod demand;
mod directory;
mod error;
mod event;
mod files;
mod hook;
mod host;
mod issuer;
mod keeper;
mod moment;
mod schedule;
mod settings;
mod status;
mod store;

pub use certificate::Pair;
pub use challenge::Challenges;
pub use demand::{Refusal, Wanted};
pub use error::Error;
pub use event::{Event, What};
pub use host::Host;
pub use keeper::{Keeper, View};
pub use moment::written;
pub use schedule::{Action, Facts, Window, next_action, pause_after};
pub use settings::{Challenge, LETSENCRYPT, LETSENCRYPT_STAGING, Settings, directory_url};
pub use status::{Failure, Status};
pub use store::Store;
