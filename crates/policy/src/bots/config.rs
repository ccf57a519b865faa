//! What the user writes.

use diagnostics::{Code, Diagnostic, Diagnostics, Spanned};
use document::{keywords, section};

keywords! {
    /// What becomes of requests that do not say which program has sent them.
    pub enum Empty {
        /// They pass.
        Allow = "allow",
        /// They are refused.
        Refuse = "refuse",
    }
}

section! {
    /// Refuses requests by what `user-agent` says of the program that has sent them.
    pub struct Raw {
        /// Programs that are refused: a part of their `user-agent`, or `~` and a regular expression that matches
        /// somewhere in it; upper and lower case are the same. `ai_crawlers` stands for the well-known programs that
        /// collect pages for language models.
        deny: Vec<Spanned<String>> = "[]",
        /// Exceptions from `deny`, in the same form.
        allow: Vec<Spanned<String>> = "[]",
        /// What becomes of requests whose `user-agent` is missing or empty.
        empty: Empty = "allow",
    }
    check check_purpose
}

/// A policy that refuses nothing was meant to refuse something.
fn check_purpose(raw: &Raw, diagnostics: &mut Diagnostics) {
    if diagnostics.has_error_in(raw.span) {
        return;
    }
    if raw.deny.is_empty() && raw.empty == Empty::Allow {
        let one = Diagnostic::error(Code::MissingKey, raw.span, "the policy `bots` refuses nothing");
        diagnostics.push(if raw.allow.is_empty() {
            one.help("add `deny: [ai_crawlers]` or `empty: refuse`, or remove the policy")
        } else {
            one.label("`allow` makes exceptions from `deny`, and keeps nobody else out")
                .help("add `deny: [\"~.\"]` to refuse all others, or remove the policy")
        });
    } else if let (Some(allowed), true) = (raw.allow.first(), raw.deny.is_empty()) {
        diagnostics.push(
            Diagnostic::warning(
                Code::UnusedSetting,
                allowed.span,
                "`allow` makes exceptions from `deny`, which is empty",
            )
            .help("add `deny`, or remove `allow`"),
        );
    }
}
