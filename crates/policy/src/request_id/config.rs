//! What the user writes.

use diagnostics::Spanned;
use document::{keywords, section};

keywords! {
    /// Whose ids are taken over.
    pub enum Accept {
        /// Those of trusted proxies.
        Trusted = "trusted",
        /// Anybody's.
        Any = "any",
        /// Nobody's.
        Never = "never",
    }
}

section! {
    /// Gives every request an id, passes it to the service and returns it to the client.
    pub struct Raw {
        /// The header field that carries the id, there and back.
        header: Spanned<String> = "x-request-id",
        /// Whose ids are taken over instead of a new one being made: those of peers in `trusted_proxies`,
        /// `any`, or `never`. An id must be 1 to 128 letters, digits or `-_.:+/=@`.
        accept: Accept = "trusted",
    }
}
