//! What the user writes.

use diagnostics::{Code, Diagnostic, Diagnostics, Spanned};
use document::{Cidr, section};

section! {
    /// Lets requests in or keeps them out by the address of the client. It needs `allow`, `deny` or both.
    pub struct Raw {
        /// Networks and addresses that may come; all others may not. Without it, all may that `deny` does not name.
        allow: Option<Vec<Spanned<Cidr>>>,
        /// Networks and addresses that may not come, even if `allow` names them.
        deny: Option<Vec<Spanned<Cidr>>>,
        /// The status of refusals.
        status: u16 [400..=499] = "403",
    }
    check check_purpose
}

/// A policy that says nothing was meant to say something.
fn check_purpose(raw: &Raw, diagnostics: &mut Diagnostics) {
    if diagnostics.has_error_in(raw.span) {
        return;
    }
    match (&raw.allow, &raw.deny) {
        (None, None) => diagnostics.push(
            Diagnostic::error(Code::MissingKey, raw.span, "the policy `ip` has no addresses")
                .label("this section needs `allow`, `deny` or both")
                .help("add `allow: [10.0.0.0/8]` or `deny: [203.0.113.0/24]`, or remove the policy"),
        ),
        (Some(allow), _) if allow.is_empty() => diagnostics.push(
            Diagnostic::error(Code::InvalidValue, raw.span, "`allow` is empty, so nobody could come")
                .help("add an address, or remove the key"),
        ),
        (None, Some(deny)) if deny.is_empty() => diagnostics.push(
            Diagnostic::error(Code::InvalidValue, raw.span, "`deny` is empty, so nobody is kept out")
                .help("add an address, or remove the policy"),
        ),
        _ => {}
    }
}
