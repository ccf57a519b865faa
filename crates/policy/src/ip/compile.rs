//! Prepares the policy, and finds what contradicts itself.

use diagnostics::{Code, Diagnostic, Spanned};
use document::Cidr;

use super::config::Raw;
use super::ranges::Ranges;
use super::run::Ready;
use crate::Compiling;

/// The most contradictions that are told of: one mistake can be behind thousands.
const MOST_TOLD: usize = 5;

/// The policy, ready to run.
pub fn compile(raw: &Raw, cx: &mut Compiling<'_>) -> Option<Ready> {
    let diagnostics = &mut *cx.diagnostics;
    if diagnostics.has_error_in(raw.span) {
        return None;
    }
    let set = |networks: &[Spanned<Cidr>]| Ranges::new(networks.iter().map(|network| network.value));
    let deny = raw.deny.as_deref().map(set).unwrap_or_default();
    let never = raw.allow.iter().flatten().filter(|network| deny.covers(network.value));
    for network in never.take(MOST_TOLD) {
        let message = format!("`{}` is allowed and denied", network.value);
        diagnostics.push(
            Diagnostic::warning(Code::UnusedSetting, network.span, message)
                .label("`deny` names all of it, and wins")
                .help("remove it here, or from `deny`"),
        );
    }
    Some(Ready { allow: raw.allow.as_deref().map(set), deny, status: raw.status })
}
