//! Prepares the policy.

use std::sync::Arc;

use diagnostics::{Code, Diagnostic};

use super::config::Raw;
use super::run::Ready;
use crate::Compiling;
use crate::places::Written;

/// The policy, ready to run.
pub fn compile(raw: &Raw, cx: &mut Compiling<'_>) -> Option<Ready> {
    let written = Written {
        header: raw.header.as_ref(),
        query: raw.query.as_ref(),
        cookie: raw.cookie.as_ref(),
        scheme: Some(&raw.scheme),
    };
    let places = written.compile("x-api-key", cx.diagnostics)?;
    let may_get_some = cx.consumers.have_stored_keys() && !cx.consumers.is_empty();
    if cx.consumers.api_keys() == 0 && !may_get_some {
        cx.diagnostics.push(
            Diagnostic::warning(
                Code::NoCredentials,
                raw.span,
                "no consumer has an API key, so nobody gets in by one",
            )
            .help(
                "add some: consumers: [{ name: mobile, api_keys: [\"${env:MOBILE_KEY}\"] }]; with `state_dir`, \
                 `gateward keys` makes keys for consumers while the gateway runs",
            ),
        );
    }
    let stored = Arc::clone(cx.providers.stored_keys());
    Some(Ready { places, forward: raw.forward, stored })
}
