//! Checks and prepares the policy.

use std::num::NonZeroU32;
use std::sync::Arc;

use diagnostics::{Code, Diagnostic, Span};
use limits::{Bucket, Limit, Rate, Window};
use store::{Leases, Plan};

use super::config::{Raw, Rule as Written};
use super::run::{Counted, Ready, Rule};
use super::shared::{at_the_store, name_of};
use crate::sharing::{OnStoreFailure, Shared, Sharing, sharing};
use crate::subject::Whose;
use crate::trial::Mode;
use crate::{Compiling, digest_of};

/// The most limits at once: each of them is looked at for each request, which has a bit for each.
const MOST_RULES: usize = 8;

/// The policy, ready to run.
pub fn compile(raw: &Raw, cx: &mut Compiling<'_>) -> Option<Ready> {
    let before = cx.diagnostics.errors();
    let count: usize = raw.rules.iter().map(|rule| rule.limit.0.len()).sum();
    if count > MOST_RULES {
        cx.diagnostics.push(
            Diagnostic::error(Code::InvalidValue, raw.span, format!("{count} limits hold at once"))
                .help(format!("each of them costs each request: keep at most {MOST_RULES}")),
        );
    }
    let rules: Vec<Rule> =
        raw.rules.iter().enumerate().filter_map(|(at, rule)| prepare(rule, at, cx)).collect();
    let epoch = cx.providers.epoch();
    (cx.diagnostics.errors() == before).then(|| Ready { rules: rules.into(), epoch, place: cx.place.clone() })
}

fn prepare(raw: &Written, at: usize, cx: &mut Compiling<'_>) -> Option<Rule> {
    let whose = Whose::prepare(&raw.by.0, cx);
    let cost = raw.cost.prepare(cx.diagnostics);
    let burst = raw.burst.as_ref().and_then(|burst| NonZeroU32::new(burst.value));
    let sharing = sharing(raw.shared.as_ref(), raw.on_store_failure.as_ref(), cx);
    let mut counted = Vec::new();
    for (position, rate) in raw.limit.iter().enumerate() {
        let (own, place) = (rate.value.0, rate.span);
        let limit = match burst {
            Some(burst) => Limit::Bucket(Bucket::new(own, burst.get())),
            None => Limit::Window(Window::new(own)),
        };
        let most = burst.map_or(own.limit(), NonZeroU32::get);
        if cost.before() > most {
            let cost = cost.before();
            cx.diagnostics.push(
                Diagnostic::error(
                    Code::InvalidValue,
                    place,
                    format!(
                        "no request would pass: it costs {cost}, and at most {most} can be spent at once"
                    ),
                )
                .help("raise the limit or `burst`, or lower `cost`"),
            );
        }
        // What changes the meaning of what was counted; a limit that is only raised keeps it.
        let kind = if burst.is_some() { "bucket" } else { "window" };
        let id =
            format!("rate_limit\0{}\0{at}\0{position}\0{kind}\0{}\0{}", cx.place, own.period(), raw.keys);
        let used = cx.providers.limiter(digest_of(id.as_bytes()), &limit, raw.keys as usize);
        let shared = sharing.and_then(|sharing| {
            let name = name_of(&cx.place, at, position, own);
            share(sharing, name, own, burst, (raw.keys as usize, place), cx)
        });
        counted.push(Counted { rate: own, limit, used, shared });
    }
    Some(Rule {
        counted: counted.into(),
        whose: whose?,
        cost,
        dry_run: raw.mode == Mode::DryRun,
        headers: raw.headers,
        on_store_failure: raw
            .on_store_failure
            .as_ref()
            .map_or(OnStoreFailure::Local, |written| written.value),
    })
}

fn share(
    sharing: Sharing,
    name: Arc<str>,
    rate: Rate,
    burst: Option<NonZeroU32>,
    (keys, place): (usize, Span),
    cx: &mut Compiling<'_>,
) -> Option<Shared> {
    let limit = at_the_store(rate, burst);
    if let Err(why) = limit.check() {
        let message = format!("this limit cannot be shared: {why}");
        cx.diagnostics.push(
            Diagnostic::error(Code::InvalidValue, place, message).help("change it, or write `shared: off`"),
        );
        return None;
    }
    let leases = (sharing == Sharing::Leased).then(|| {
        let plan = Plan::new(burst.map_or(rate.limit(), NonZeroU32::get).into(), rate.period() / 1_000_000);
        // Those of a limit that was another one would ask for another one.
        let id = digest_of(format!("leases\0{name}\0{limit:?}\0{keys}").as_bytes());
        cx.providers.leases_of(id, |epoch| Leases::new(Arc::clone(&name), limit, plan, keys, epoch))
    });
    Some(Shared { name, limit, leases })
}
