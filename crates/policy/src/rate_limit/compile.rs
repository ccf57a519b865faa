//! Checks and prepares the policy.

use std::num::NonZeroU32;
use std::sync::Arc;

use diagnostics::{Code, Diagnostic, Span, Spanned};
use expression::Type;
use limits::{Bucket, Limit, Rate, Window};
use store::{Leases, Plan};

use super::config::{By, Cost, Mode, OnStoreFailure, Raw, Rule as Written, Sharing};
use super::run::{Counted, Ready, Rule};
use super::shared::{Shared, at_the_store, name_of};
use super::subject::Subject;
use crate::claims::claim_name;
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
    let by: Vec<Option<Subject>> = raw.by.iter().map(|by| subject(&by.value, by.span, cx)).collect();
    let cost = match &raw.cost {
        Cost::Fixed(cost) => Ok(*cost),
        Cost::ResponseHeader(name) => {
            crate::places::check_header(name, cx.diagnostics);
            Err(name.as_bytes().into())
        }
    };
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
        if let Ok(cost) = cost
            && cost > most
        {
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
        by: by.into_iter().collect::<Option<_>>()?,
        cost,
        dry_run: raw.mode == Mode::DryRun,
        headers: raw.headers,
        on_store_failure: raw
            .on_store_failure
            .as_ref()
            .map_or(OnStoreFailure::Local, |written| written.value),
    })
}

/// How the limits or quotas of a rule are shared; `None` where each gateway counts by itself.
pub(crate) fn sharing(
    shared: Option<&Spanned<Sharing>>,
    failure: Option<&Spanned<OnStoreFailure>>,
    cx: &mut Compiling<'_>,
) -> Option<Sharing> {
    let written = shared.map(|written| written.value);
    let off = written == Some(Sharing::Off);
    let failure = failure.map(|written| ("on_store_failure", written.span));
    let shared = shared.map(|written| ("shared", written.span));
    let idle = if cx.shares_state { failure.filter(|_| off) } else { shared.filter(|_| !off).or(failure) };
    if let Some((key, place)) = idle {
        let (why, help) = if cx.shares_state {
            ("this is not shared", "remove it, or `shared: off`")
        } else {
            (
                "gateways share no state",
                "say where they do: `state: redis://HOST` beside `listen`; or remove it",
            )
        };
        cx.diagnostics.push(
            Diagnostic::warning(Code::UnusedSetting, place, format!("`{key}` has no effect: {why}"))
                .help(help),
        );
    }
    let sharing = written.unwrap_or(Sharing::Leased);
    (cx.shares_state && sharing != Sharing::Off).then_some(sharing)
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

/// What tells those apart who have limits of their own, checked.
pub(crate) fn subject(by: &By, place: Span, cx: &mut Compiling<'_>) -> Option<Subject> {
    let diagnostics = &mut *cx.diagnostics;
    let name = |name: &str| Spanned::new(name.to_owned(), place);
    Some(match by {
        By::Consumer => Subject::Consumer,
        By::ClientIp => Subject::ClientIp,
        By::Route => Subject::Route,
        By::Header(header) => {
            let errors = diagnostics.errors();
            crate::places::check_header(&name(header), diagnostics);
            if diagnostics.errors() > errors {
                return None;
            }
            Subject::Header(header.as_bytes().into())
        }
        By::Query(parameter) => Subject::Query(parameter.as_bytes().into()),
        By::Cookie(cookie) => Subject::Cookie(cookie.as_bytes().into()),
        By::Claim(path) => Subject::Claim(claim_name(&name(path), diagnostics)?),
        By::Expression(node, from) => {
            let text = node.text().unwrap_or_default().get(*from..).unwrap_or_default();
            let program = crate::rule::compile_part(node, *from, text, &Type::String, diagnostics)?;
            Subject::Expression(Box::new(program))
        }
    })
}
