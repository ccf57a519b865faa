//! Checks and prepares the policy.

use diagnostics::Diagnostics;

use super::config::{Accept, Raw};
use super::run;
use crate::field::header_name;

/// The policy, ready to run.
pub fn compile(raw: &Raw, diagnostics: &mut Diagnostics) -> Option<run::Ready> {
    let header = header_name(&raw.header, diagnostics)?;
    let accept = match raw.accept {
        Accept::Trusted => run::Accept::Trusted,
        Accept::Any => run::Accept::Any,
        Accept::Never => run::Accept::Never,
    };
    Some(run::Ready { header, accept })
}
