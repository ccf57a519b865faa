//! Checks and prepares the policy.

use super::config::Raw;
use super::run::{Ready, Rule};
use crate::rate_limit::{Mode, Subject, subject};
use crate::{Compiling, digest_of};

/// The policy, ready to run.
pub fn compile(raw: &Raw, cx: &mut Compiling<'_>) -> Option<Ready> {
    let mut rules = Vec::new();
    for (at, rule) in raw.rules.iter().enumerate() {
        let by: Vec<Option<Subject>> = rule.by.iter().map(|by| subject(&by.value, by.span, cx)).collect();
        let Some(by) = by.into_iter().collect::<Option<Box<[Subject]>>>() else { continue };
        // What is under way counts across a reload, also where the limit is another one.
        let whose = by.iter().map(ToString::to_string).collect::<Vec<_>>().join("\0");
        let id = digest_of(format!("concurrency\0{}\0{at}\0{whose}", cx.place).as_bytes());
        let slots = cx.providers.slots(id);
        rules.push(Rule { most: rule.limit, by, slots, dry_run: rule.mode == Mode::DryRun });
    }
    (rules.len() == raw.rules.len()).then(|| Ready { rules: rules.into(), place: cx.place.clone() })
}
