//! What the user writes.

use document::{DurationValue, section};

section! {
    /// Recognises consumers by user names and passwords (HTTP Basic, RFC 7617). Use it with HTTPS only: the password is
    /// sent along with each request.
    pub struct Raw {
        /// What browsers show when they ask for a password.
        realm: String = "gateward",
        /// How long a password that was right is believed without another look. Looking takes long on purpose.
        cache: DurationValue = "5m",
        /// Whether the service gets the password too. It gets `x-consumer` in any case.
        forward: bool = "false",
    }
}
