//! What the user writes.

use document::{keywords, section};

section! {
    /// Recognises consumers by the certificates that they show (`mtls` of a consumer). The listener has to ask for them
    /// (`tls: { client_auth: … }`), and has verified them by then.
    pub struct Raw {
        /// Whether the certificate has to be one of a consumer, or whether any that the listener has verified is enough.
        consumer: Needed = "required",
    }
}

keywords! {
    /// Whether it has to be a consumer of the configuration.
    pub enum Needed {
        /// Somebody who is not named under `consumers` is refused.
        Required = "required",
        /// Somebody who is genuine is let through, named there or not.
        Optional = "optional",
    }
}
