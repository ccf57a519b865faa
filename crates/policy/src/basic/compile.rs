//! Prepares the policy.

use diagnostics::{Code, Diagnostic};

use super::config::Raw;
use super::run::Ready;
use crate::Compiling;

/// The policy, ready to run.
pub fn compile(raw: &Raw, cx: &mut Compiling<'_>) -> Option<Ready> {
    if raw.realm.bytes().any(|byte| !(b' '..=b'~').contains(&byte) || byte == b'"' || byte == b'\\') {
        cx.diagnostics.push(
            Diagnostic::error(Code::InvalidValue, raw.span, "the realm cannot stand in a header")
                .help("use visible characters of ASCII, without quotes and backslashes"),
        );
        return None;
    }
    if cx.consumers.users() == 0 {
        cx.diagnostics.push(
            Diagnostic::warning(Code::NoCredentials, raw.span, "no consumer has a password, so nobody gets in by one")
                .help("add some: consumers: [{ name: ops, basic: { username: ops, password: \"$argon2id$…\" } }]; `gateward hash-password` makes the hash"),
        );
    }
    Some(Ready {
        challenge: format!("Basic realm=\"{}\", charset=\"UTF-8\"", raw.realm).into(),
        cache: raw.cache.get().as_secs(),
        forward: raw.forward,
    })
}
