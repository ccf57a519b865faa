//! What the user writes.

use diagnostics::{Code, Diagnostic, Diagnostics, Spanned};
use document::{DurationValue, Percent, section};

section! {
    /// Delays or aborts a share of requests, to see what clients do about it. It needs `delay`, `abort` or both.
    pub struct Raw {
        /// Requests that wait before they go on.
        delay: Option<Delay>,
        /// Requests that the gateway answers with an error, in the place of the service.
        abort: Option<Abort>,
        /// A header field that marks requests, such as `x-fault`: only those that carry it, with any value, are
        /// delayed or aborted. Without it the shares are of all requests.
        header: Option<Spanned<String>>,
    }
    check check_purpose
}

section! {
    /// Requests that wait before they go on: to the service, or to the answer of `abort`.
    pub struct Delay {
        /// How long they wait.
        length as "for": Spanned<DurationValue>,
        /// How many of the requests.
        percent: Percent = "100%",
    }
    check check_length
}

section! {
    /// Requests that the gateway answers with an error, in the place of the service.
    pub struct Abort {
        /// The status of the answer, that of an error: 400 to 599.
        status: u16 [400..=599],
        /// How many of the requests. It is drawn apart from the one of `delay`: a request can be both delayed and
        /// aborted.
        percent: Percent = "100%",
    }
}

/// A policy that does nothing was meant to do something.
fn check_purpose(raw: &Raw, diagnostics: &mut Diagnostics) {
    // A mistyped `delay` was reported as an unknown key.
    if raw.delay.is_none() && raw.abort.is_none() && !diagnostics.has_error_in(raw.span) {
        diagnostics.push(
            Diagnostic::error(Code::MissingKey, raw.span, "the policy `fault` has nothing to do")
                .label("this section needs `delay`, `abort` or both")
                .help("add `delay: { for: 200ms }` or `abort: { status: 503 }`, or remove the policy"),
        );
    }
}

fn check_length(delay: &Delay, diagnostics: &mut Diagnostics) {
    if delay.length.value.get().is_zero() {
        diagnostics.push(
            Diagnostic::error(Code::InvalidValue, delay.length.span, "a delay of zero delays nothing")
                .help("write a longer one such as `200ms`, or remove `delay`"),
        );
    }
}
