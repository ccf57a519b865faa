//! Prepares the policy; there is nothing to check that the types have not checked.

use super::config::Raw;
use super::run::Ready;
use crate::Compiling;

/// The policy, ready to run.
pub fn compile(raw: &Raw, _: &mut Compiling<'_>) -> Option<Ready> {
    Some(Ready { body: raw.body.get() })
}
