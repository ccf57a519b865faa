//! What the user writes.

use diagnostics::{Code, Diagnostic, Diagnostics, Spanned};
use document::{OneOrMany, section};

use crate::rule::Rule;

section! {
    /// Who may pass, of those whose caller is known: what `any`, `all` and `rule` say, all that are given. Somebody who is
    /// known and may not gets a 403.
    pub struct Raw {
        /// Conditions of which one is enough.
        any: Option<OneOrMany<Condition>>,
        /// Conditions that all have to hold.
        all: Option<OneOrMany<Condition>>,
        /// A condition in CEL over the request and its caller, such as `identity.claims.region in ["eu", "us"]`. One
        /// that fails to compute, because a claim is missing or of another type, does not hold.
        rule: Option<Rule>,
    }
    check check_purpose
}

section! {
    /// A condition about the caller: exactly one of these.
    pub struct Condition {
        /// It is this consumer.
        consumer: Option<Spanned<String>>,
        /// It belongs to this group.
        group: Option<Spanned<String>>,
        /// It was given this scope.
        scope: Option<Spanned<String>>,
        /// Its token has this claim: `{ claim: department, value: sales }`. Of a list one element has to be the value.
        claim: Option<Spanned<String>>,
        /// The value of the claim; any without it.
        value: Option<Spanned<String>>,
    }
    check check_one
}

fn check_purpose(raw: &Raw, diagnostics: &mut Diagnostics) {
    let nothing = raw.any.is_none() && raw.all.is_none() && raw.rule.is_none();
    if nothing && !diagnostics.has_error_in(raw.span) {
        diagnostics.push(
            Diagnostic::error(Code::MissingKey, raw.span, "the policy `authorize` lets everybody through")
                .label("this section needs `any`, `all` or `rule`")
                .help("write `any: [{ group: apps }]`, or remove the policy"),
        );
    }
}

fn check_one(condition: &Condition, diagnostics: &mut Diagnostics) {
    let given = [&condition.consumer, &condition.group, &condition.scope, &condition.claim];
    let count = given.iter().filter(|one| one.is_some()).count();
    if count != 1 && !diagnostics.has_error_in(condition.span) {
        diagnostics.push(
            Diagnostic::error(Code::ConflictingKeys, condition.span, "a condition is about one thing")
                .label(if count == 0 { "here it is about nothing" } else { "here it is about several" })
                .help("write one of `consumer`, `group`, `scope` and `claim`; several conditions are a list"),
        );
    }
    if let (Some(value), None) = (&condition.value, &condition.claim) {
        diagnostics.push(
            Diagnostic::error(Code::ConflictingKeys, value.span, "`value` is that of a `claim`")
                .help("add `claim`, or remove `value`"),
        );
    }
}
