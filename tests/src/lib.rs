//! The harness of the end-to-end tests: the real binary, real sockets, everything on 127.0.0.1.
//!
//! It knows Gateward only from outside: its command line, what it prints, and what it does on the wire. So
//! it has its own small and strict HTTP/1.1 parser instead of using ours. Entry points: [`Gateway`] starts
//! the binary, [`Origin`] is a service that does what a test says, [`Client`] sends raw bytes, and
//! [`case::Case`] is a file under `tests/cases` (its language is described in `tests/README.md`).
//!
//! Nothing here sleeps: a test waits for a condition with a deadline ([`Bell`], [`wait_until`]).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "this crate is test support: here a failed unwrap is a failed test"
)]

mod bell;
pub mod browser;
pub mod bulk;
pub mod case;
pub mod certificates;
mod client;
pub mod failing;
pub mod fault_proxy;
mod gateway;
pub mod http2;
mod link;
mod load;
pub mod logins;
pub mod message;
pub mod oidc_provider;
mod origin;
mod pattern;
pub mod pebble;
pub mod peer;
pub mod play;
pub mod python;
pub mod redis;
pub mod slapd;
pub mod tls;

pub use bell::{Bell, wait_until};
pub use client::Client;
pub use gateway::{Folder, Gateway, LEFT_OUT, Setup, binary, check};
pub use link::{End, Link};
pub use load::Load;
pub use message::Message;
pub use origin::{Origin, free_address, refused_address};

/// How long a test waits for something that should happen at once.
pub const SOON: std::time::Duration = std::time::Duration::from_secs(8);

/// How long a test waits for something that should not happen.
pub const QUIET: std::time::Duration = std::time::Duration::from_millis(150);
