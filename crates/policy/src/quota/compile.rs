//! Checks and prepares the policy.

use std::collections::HashSet;
use std::sync::Arc;

use arc_swap::ArcSwap;
use diagnostics::{Code, Diagnostic};
use quota::{Allowance, Bounds, QuotaId};
use store::{Leases, Plan};

use super::config::{Raw, Rule as Written};
use super::run::{Counted, MOST_RULES, Ready, Rule};
use crate::sharing::{OnStoreFailure, Shared, Sharing, place_in_name, sharing};
use crate::subject::Whose;
use crate::trial::Mode;
use crate::{Compiling, digest_of};

/// Of how many keys of a shared quota units are held; the units of others give way.
const LEASED_KEYS: usize = 100_000;
/// No period is shorter, in milliseconds.
const SHORTEST_MS: u64 = 23 * 3_600_000;

/// The policy, ready to run.
pub fn compile(raw: &Raw, cx: &mut Compiling<'_>) -> Option<Ready> {
    let before = cx.diagnostics.errors();
    let count: usize = raw.rules.iter().map(|rule| rule.limit.0.len()).sum();
    if count > MOST_RULES {
        cx.diagnostics.push(
            Diagnostic::error(Code::InvalidValue, raw.span, format!("{count} quotas hold at once"))
                .help(format!("each of them costs each request: keep at most {MOST_RULES}")),
        );
    }
    let mut known = HashSet::new();
    let rules: Vec<Rule> = raw.rules.iter().filter_map(|rule| prepare(rule, &mut known, cx)).collect();
    let quotas = Arc::clone(cx.providers.quotas());
    (cx.diagnostics.errors() == before).then(|| Ready {
        rules: rules.into(),
        quotas,
        place: cx.place.clone(),
    })
}

fn prepare(raw: &Written, known: &mut HashSet<u128>, cx: &mut Compiling<'_>) -> Option<Rule> {
    let whose = Whose::prepare(&raw.by.0, cx)?;
    let cost = raw.cost.prepare(cx.diagnostics);
    let names = whose.names().join("\0");
    let sharing = sharing(raw.shared.as_ref(), raw.on_store_failure.as_ref(), cx);
    let mut counted = Vec::new();
    for allowance in raw.limit.iter() {
        let (own, span) = (allowance.value.0, allowance.span);
        if u64::from(cost.before()) > own.limit {
            let message = format!("no request would pass: it costs {}, and {own} is less", cost.before());
            cx.diagnostics.push(
                Diagnostic::error(Code::InvalidValue, span, message).help("raise the quota, or lower `cost`"),
            );
        }
        // What makes it this one; a quota that is only raised keeps what was counted, and so does one that moves in a list.
        let zone = &raw.time_zone.name;
        let id = format!("quota\0{}\0{}\0{zone}\0{names}", cx.place, own.period.as_str());
        let id = digest_of(id.as_bytes()).iter().take(16).fold(0, |id, byte| id << 8 | u128::from(*byte));
        if !known.insert(id) {
            let message = format!("there is another quota of the same ones by {}", own.period.as_str());
            cx.diagnostics.push(
                Diagnostic::error(Code::ConflictingKeys, span, message).help("keep the smaller of the two"),
            );
        }
        counted.push(Counted {
            allowance: own,
            id: QuotaId(id),
            bounds: ArcSwap::from_pointee(Bounds::default()),
            shared: sharing.map(|sharing| share(sharing, own, id, cx)),
        });
    }
    Some(Rule {
        counted: counted.into(),
        whose,
        zone: raw.time_zone.zone.clone(),
        zone_name: raw.time_zone.name.as_str().into(),
        cost,
        dry_run: raw.mode == Mode::DryRun,
        headers: raw.headers,
        on_store_failure: raw
            .on_store_failure
            .as_ref()
            .map_or(OnStoreFailure::Local, |written| written.value),
    })
}

/// What a quota is at the store. It has another name where what was counted means something else; gateways with the
/// same configuration say the same.
fn share(sharing: Sharing, own: Allowance, id: u128, cx: &mut Compiling<'_>) -> Shared {
    let name = format!("quota:{}:{}:{:08x}", place_in_name(&cx.place), own.period.as_str(), id >> 96);
    let name: Arc<str> = name.into();
    // Of which period, each question says.
    let limit = store::Limit::Quota { limit: own.limit, period_end_unix_ms: 0, period_id: 0 };
    let leases = (sharing == Sharing::Leased).then(|| {
        let id = digest_of(format!("leases\0{name}\0{}", own.limit).as_bytes());
        let plan = Plan::new(own.limit, SHORTEST_MS);
        cx.providers.leases_of(id, |epoch| Leases::new(Arc::clone(&name), limit, plan, LEASED_KEYS, epoch))
    });
    Shared { name, limit, leases }
}
