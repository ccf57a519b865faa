//! Prepares the policy.

use diagnostics::{Code, Diagnostic};

use super::config::Raw;
use super::run::Ready;
use crate::Compiling;
use crate::userpass::challenge;

/// The policy, ready to run.
pub fn compile(raw: &Raw, cx: &mut Compiling<'_>) -> Option<Ready> {
    let challenge = challenge(&raw.realm, raw.span, cx.diagnostics)?;
    if cx.consumers.users() == 0 {
        cx.diagnostics.push(
            Diagnostic::warning(Code::NoCredentials, raw.span, "no consumer has a password, so nobody gets in by one")
                .help("add some: consumers: [{ name: ops, basic: { username: ops, password: \"$argon2id$…\" } }]; `gateward hash-password` makes the hash"),
        );
    }
    Some(Ready { challenge, cache: raw.cache.get().as_secs(), forward: raw.forward })
}
