//! Checks and prepares the policy.

use schema::Limits;

use super::config::{Bodies, Duplicates, Raw};
use super::run::Ready;
use crate::Compiling;
use crate::validate::most_of;

/// The policy, ready to run.
pub fn compile(raw: &Raw, cx: &mut Compiling<'_>) -> Option<Ready> {
    let most = most_of(&raw.max_body, cx.diagnostics)?;
    Some(Ready {
        limits: Limits {
            depth: raw.depth as usize,
            members: raw.keys,
            elements: raw.items,
            values: u64::from(raw.values),
            name_bytes: raw.key_length.size(),
            string_bytes: raw.string_length.size(),
            number_bytes: raw.number_length as usize,
        },
        refuses_twice: raw.duplicate_keys == Duplicates::Refuse,
        most,
        all: raw.bodies == Bodies::All,
        mode: raw.mode,
    })
}
