//! API keys that are made while a gateway runs: what is known of them, and the file that they are kept in.
//!
//! It must not know the configuration, requests, or who asks for a change: a consumer is a name. Nor does it keep a
//! secret: what clients send is known by its SHA-256. It asks no clock: times are seconds since 1970, and passed in. Two
//! sides meet here. A [`Store`] changes keys, on the disk first; a [`Table`] is what requests look into, without a lock.
//! Entry points: [`Store::open`], [`Table::find`].

mod checksum;
mod file;
mod journal;
mod key;
mod secret;
mod store;
mod table;

pub use file::{Error as FileError, Finding};
pub use key::{Digest, Id, Key, MOST_OLD, NAME_MOST, Old, Refused, State};
pub use secret::Secret;
pub use store::{Error, MOST, New, Opened, Store};
pub use table::{Slot, Standing, Table};
