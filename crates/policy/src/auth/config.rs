//! What the user writes.

use diagnostics::Spanned;
use document::{keywords, section};

section! {
    /// How the policies that know callers count together. Without it any one of those that hold on a route is enough,
    /// and one is needed.
    pub struct Raw {
        /// Kinds of policies that all have to recognise the caller: `[mtls, jwt]`. They have to hold where this
        /// holds, and no others may. Without it any of those that hold is enough.
        all: Vec<Spanned<String>> = "[]",
        /// Whether a request that shows no credentials may go on, as nobody in particular. One that shows wrong ones is
        /// refused in any case.
        anonymous: Anonymous = "refuse",
    }
}

keywords! {
    /// What becomes of requests that show no credentials.
    pub enum Anonymous {
        /// They are refused with 401.
        Refuse = "refuse",
        /// They go on.
        Allow = "allow",
    }
}
