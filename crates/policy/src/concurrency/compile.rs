//! Checks and prepares the policy.

use super::config::Raw;
use super::run::{Ready, Rule};
use crate::subject::Whose;
use crate::trial::Mode;
use crate::{Compiling, digest_of};

/// The policy, ready to run.
pub fn compile(raw: &Raw, cx: &mut Compiling<'_>) -> Option<Ready> {
    let mut rules = Vec::new();
    for (at, rule) in raw.rules.iter().enumerate() {
        let Some(whose) = Whose::prepare(&rule.by.0, cx) else { continue };
        // What is under way counts across a reload, also where the limit is another one.
        let names = whose.names().join("\0");
        let id = digest_of(format!("concurrency\0{}\0{at}\0{names}", cx.place).as_bytes());
        let slots = cx.providers.slots(id);
        rules.push(Rule { most: rule.limit, whose, slots, dry_run: rule.mode == Mode::DryRun });
    }
    (rules.len() == raw.rules.len()).then(|| Ready { rules: rules.into(), place: cx.place.clone() })
}
