//! Prepares the policy.

use diagnostics::{Code, Diagnostic};

use super::config::{Needed, Raw};
use super::run::Ready;
use crate::Compiling;

/// The policy, ready to run.
pub fn compile(raw: &Raw, cx: &mut Compiling<'_>) -> Option<Ready> {
    if raw.consumer == Needed::Required && cx.consumers.certificates() == 0 {
        cx.diagnostics.push(
            Diagnostic::warning(
                Code::NoCredentials,
                raw.span,
                "no consumer has a certificate, so nobody gets in by one",
            )
            .help("add some: consumers: [{ name: acme, mtls: { san: \"DNS:acme.example.com\" } }], or write `consumer: optional`"),
        );
    }
    Some(Ready { optional: raw.consumer == Needed::Optional, scope: cx.fingerprint })
}
