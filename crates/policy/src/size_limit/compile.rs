//! Prepares the policy; there is nothing to check that the types have not checked.

use diagnostics::Diagnostics;

use super::config::Raw;
use super::run::Ready;

/// The policy, ready to run.
pub fn compile(raw: &Raw, _: &mut Diagnostics) -> Option<Ready> {
    Some(Ready { body: raw.body.get() })
}
