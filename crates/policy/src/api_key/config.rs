//! What the user writes.

use diagnostics::Spanned;
use document::{OneOrMany, section};

section! {
    /// Recognises consumers by their API keys (`api_keys` of a consumer). The places are looked at in the order header,
    /// query, cookie; the first that holds something counts.
    pub struct Raw {
        /// Headers that a key may stand in. `authorization` holds a scheme in front of the key: see `scheme`. Without
        /// this, `query` and `cookie` it is `x-api-key`.
        header: Option<OneOrMany<Spanned<String>>>,
        /// Query parameters that a key may stand in. URLs get into logs and histories: a header is better.
        query: Option<OneOrMany<Spanned<String>>>,
        /// Cookies that a key may stand in. Browsers send them along whoever asks: use `csrf` besides.
        cookie: Option<OneOrMany<Spanned<String>>>,
        /// The scheme in front of the key in `authorization`.
        scheme: Spanned<String> = "ApiKey",
        /// Whether the service gets the key too. It gets `x-consumer` in any case.
        forward: bool = "false",
    }
}
