//! What the user writes.

use diagnostics::{Code, Diagnostic, Diagnostics, Spanned};
use document::{keywords, section};

use crate::cors::origin::WrittenOrigin;

keywords! {
    /// What becomes of requests that do not say which page they come from.
    pub enum WithoutOrigin {
        /// They pass if they carry no cookies: a program has made them, and acts for itself.
        AllowWithoutCookies = "allow_without_cookies",
        /// They are refused.
        Refuse = "refuse",
        /// They pass.
        Allow = "allow",
    }
}

section! {
    /// Refuses requests that change something and come from a page of another origin (CSRF).
    pub struct Raw {
        /// Other origins whose pages may send such requests: `https://app.example.com`, or `https://*.example.com` for
        /// those below it.
        origins: Vec<Spanned<WrittenOrigin>> = "[]",
        /// Whether pages of the same site may, such as those of `https://a.example.com` to `https://b.example.com`.
        /// Only for browsers that say so in `sec-fetch-site`.
        same_site: bool = "false",
        /// What becomes of requests that do not say which page they come from.
        without_origin: WithoutOrigin = "allow_without_cookies",
    }
    check check_origins
}

/// Origins that would let everybody in.
fn check_origins(raw: &Raw, diagnostics: &mut Diagnostics) {
    for origin in &raw.origins {
        let (message, help) = match origin.value {
            WrittenOrigin::Any => (
                "`*` would let every page on the web in",
                "list the origins whose pages you trust, or remove the policy",
            ),
            WrittenOrigin::Null => (
                "`null` would let every page on the web in: any page can put itself into a sandbox, and has it then",
                "list the origins whose pages you trust",
            ),
            WrittenOrigin::One(_) | WrittenOrigin::Below { .. } => continue,
        };
        diagnostics.push(Diagnostic::error(Code::InvalidValue, origin.span, message).help(help));
    }
}
