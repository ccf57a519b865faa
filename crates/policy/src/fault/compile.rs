//! Prepares the policy; apart from the name of the field, its sections have checked themselves.

use super::config::Raw;
use super::run::{Abort, Delay, Ready};
use crate::Compiling;
use crate::field::header_name;

/// The policy, ready to run.
pub fn compile(raw: &Raw, cx: &mut Compiling<'_>) -> Option<Ready> {
    let diagnostics = &mut *cx.diagnostics;
    let header = match &raw.header {
        Some(name) => Some(header_name(name, diagnostics)?),
        None => None,
    };
    let delay =
        raw.delay.as_ref().map(|delay| Delay { length: delay.length.value.get(), share: delay.percent });
    let abort = raw.abort.as_ref().map(|abort| Abort { status: abort.status, share: abort.percent });
    Some(Ready { header, delay, abort })
}
