//! Prepares the policy; its section has checked itself.

use super::config::Raw;
use super::run::Ready;
use crate::Compiling;
use crate::cors::origin::Origins;

/// The policy, ready to run.
pub fn compile(raw: &Raw, cx: &mut Compiling<'_>) -> Option<Ready> {
    let diagnostics = &mut *cx.diagnostics;
    if diagnostics.has_error_in(raw.span) {
        return None;
    }
    Some(Ready {
        origins: Origins::new(&raw.origins),
        same_site: raw.same_site,
        without_origin: raw.without_origin,
    })
}
