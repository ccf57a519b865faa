//! There is nothing to prepare: plans are prepared where they are written.

use diagnostics::{Code, Diagnostic};

use super::config::Raw;
use super::run::Ready;
use crate::Compiling;

/// Says that there is nothing to write.
pub fn compile(raw: &Raw, cx: &mut Compiling<'_>) -> Option<Ready> {
    cx.diagnostics.push(
        Diagnostic::error(Code::InvalidValue, raw.span, "plans hold by themselves")
            .help("remove this, or write `plan: off` where they are not to hold; a consumer has one by its own `plan: NAME`"),
    );
    None
}
