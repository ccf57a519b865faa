//! What the user writes.

use diagnostics::Spanned;
use document::{Map, section};

section! {
    /// Sets, adds and removes header fields of requests and responses.
    pub struct Raw {
        /// What to do with the fields of requests, before they reach the service.
        request: Option<Direction>,
        /// What to do with the fields of responses and of the gateway's replies, before they reach the client.
        response: Option<Direction>,
    }
}

section! {
    /// What to do with the fields of one direction: first `remove`, then `set`, then `add`.
    pub struct Direction {
        /// Fields that the message has exactly once, with this value. `host` in `request` changes the Host
        /// that the service sees.
        set: Option<Map<Spanned<String>>>,
        /// Fields that are added to those that are there.
        add: Option<Map<Spanned<String>>>,
        /// Names of fields that are taken away.
        remove: Option<Vec<Spanned<String>>>,
    }
}
