//! Checks and prepares the policy.

use super::config::{Accept, Raw};
use super::run;
use crate::Compiling;
use crate::field::header_name;

/// The policy, ready to run.
pub fn compile(raw: &Raw, cx: &mut Compiling<'_>) -> Option<run::Ready> {
    let diagnostics = &mut *cx.diagnostics;
    let header = header_name(&raw.header, diagnostics)?;
    let accept = match raw.accept {
        Accept::Trusted => run::Accept::Trusted,
        Accept::Any => run::Accept::Any,
        Accept::Never => run::Accept::Never,
    };
    Some(run::Ready { header, accept })
}
