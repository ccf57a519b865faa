//! Plans, and who has which.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use config::{Config, PlanOfService};
use diagnostics::{Code, Diagnostic, Diagnostics, Span, Spanned};
use document::Node;
use policy::{Compiling, NewPlan, Plans, Policy};
use snapshot::Route;

/// The plans, and where they are written; `None` where there are none.
pub(crate) fn compile(config: &Config, cx: &mut Compiling<'_>) -> Option<(Arc<Plans>, Span)> {
    let mut list = Vec::new();
    cx.of_plan = true;
    for (name, raw) in config.plans.iter() {
        let allowed = |all: &mut dyn Iterator<Item = (&'static str, &Node)>, cx: &mut Compiling<'_>| {
            all.filter_map(|(kind, node)| prepare(kind, node, cx)).collect::<Vec<_>>()
        };
        cx.place = format!("plan {}", name.value);
        let everywhere = allowed(&mut raw.allowed(), cx);
        let mut services = Vec::new();
        for (service, raw) in raw.services.iter() {
            check_service(config, service, raw, cx);
            cx.place = format!("plan {} service {}", name.value, service.value);
            services.push((service.as_str().into(), allowed(&mut raw.allowed(), cx)));
        }
        if raw.allowed().next().is_none() && raw.services.is_empty() {
            cx.diagnostics.push(
                Diagnostic::warning(
                    Code::UnusedSetting,
                    name.span,
                    format!("the plan `{}` limits nothing", name.value),
                )
                .help("write what it allows: `rate_limit: 60/min`, `quota: 10000/day`"),
            );
        }
        list.push(NewPlan { everywhere, services });
    }
    cx.of_plan = false;
    let of = config.consumers.iter().map(|consumer| {
        let name = consumer.plan.as_ref()?;
        let found = config.plans.iter().position(|(plan, _)| plan.value == name.value);
        if found.is_none() {
            let known = config.plans.iter().map(|(plan, _)| plan.value.as_str());
            cx.diagnostics.push(
                Diagnostic::error(Code::UnknownPlan, name.span, format!("there is no plan `{}`", name.value))
                    .help(if config.plans.is_empty() {
                        "write it: `plans: { NAME: { rate_limit: 60/min } }`".to_owned()
                    } else {
                        format!("name one of `plans`: {}", listed(config))
                    })
                    .did_you_mean(&name.value, known),
            );
        }
        found.and_then(|at| u32::try_from(at).ok())
    });
    let of: Vec<Option<u32>> = of.collect();
    for (at, (name, _)) in (0..).zip(config.plans.iter()) {
        if !of.contains(&Some(at)) {
            let message = format!("no consumer has the plan `{}`", name.value);
            cx.diagnostics.push(
                Diagnostic::warning(Code::UnusedSetting, name.span, message)
                    .help("give it to one: `consumers: [{ name: …, plan: … }]`, or remove it"),
            );
        }
    }
    let (first, _) = config.plans.iter().next()?;
    Some((Plans::new(list, of), first.span))
}

/// Whether plans hold anywhere, and can bear what requests cost.
pub(crate) fn check(config: &Config, routes: &[Route], diagnostics: &mut Diagnostics) {
    let mut holds = false;
    // Of each cost, however many routes inherit it: whether it is of a plan anywhere, and the limits that cannot bear it.
    let mut costs: BTreeMap<Span, (u32, bool, BTreeSet<String>)> = BTreeMap::new();
    let chains = routes.iter().flat_map(|route| route.action.chains());
    for chain in chains {
        let plan = chain.links().iter().find_map(|link| match &*link.policy {
            Policy::Plan(plan) => Some(plan),
            _ => None,
        });
        holds |= plan.is_some() && !chain.authenticators().is_empty();
        for link in chain.links() {
            let Policy::PlanCost(ready) = &*link.policy else { continue };
            let (_, is_of_a_plan, limits) =
                costs.entry(link.source).or_insert((ready.cost(), false, BTreeSet::new()));
            *is_of_a_plan |= plan.is_some();
            limits.extend(plan.iter().flat_map(|plan| plan.never_bear(ready.cost())));
        }
    }
    for (span, (cost, is_of_a_plan, limits)) in costs {
        for limit in limits {
            let message = format!("no request would pass: it counts as {cost}, and {limit} is less");
            diagnostics.push(
                Diagnostic::error(Code::InvalidValue, span, message)
                    .help("lower the cost, or raise the limit"),
            );
        }
        if !is_of_a_plan {
            let message = "no plan holds here that this could be the cost of";
            diagnostics.push(
                Diagnostic::warning(Code::UnusedSetting, span, message)
                    .help("write `plans`, or the `cost` of the policies `rate_limit` and `quota`"),
            );
        }
    }
    if let Some((name, _)) = config.plans.iter().next().filter(|_| !holds && !routes.is_empty()) {
        diagnostics.push(
            Diagnostic::warning(
                Code::UnusedSetting,
                name.span,
                "plans hold nowhere: no route with a plan has a policy that says who is calling",
            )
            .help("add one, such as `policies: { api_key: {} }`, and see that `plan` is not `off`"),
        );
    }
}

/// The names of plans, as many as can be read at once.
fn listed(config: &Config) -> String {
    const MOST: usize = 10;
    let names: Vec<&str> = config.plans.iter().take(MOST).map(|(name, _)| name.as_str()).collect();
    let more = if config.plans.iter().count() > MOST { ", …" } else { "" };
    format!("{}{more}", names.join(", "))
}

fn check_service(config: &Config, name: &Spanned<String>, raw: &PlanOfService, cx: &mut Compiling<'_>) {
    if config.services.get(&name.value).is_none() {
        let known = config.services.iter().map(|(known, _)| known.value.as_str());
        cx.diagnostics.push(
            Diagnostic::error(
                Code::UnknownService,
                name.span,
                format!("there is no service `{}`", name.value),
            )
            .help("name one of `services`")
            .did_you_mean(&name.value, known),
        );
    }
    if raw.allowed().next().is_none() {
        cx.diagnostics.push(
            Diagnostic::warning(Code::UnusedSetting, name.span, "the plan says nothing about this service")
                .help("write `rate_limit: 5/min`, or remove it"),
        );
    }
}

/// What a service says afterwards is charged by the policy of a route, and not by a plan.
fn prepare(kind: &'static str, node: &Node, cx: &mut Compiling<'_>) -> Option<Policy> {
    let policy = policy::compile(kind, node, cx)?;
    let is_told_costs = match &policy {
        Policy::RateLimit(limits) => limits.is_told_costs(),
        Policy::Quota(quota) => quota.is_told_costs(),
        _ => false,
    };
    if is_told_costs {
        cx.diagnostics.push(
            Diagnostic::error(Code::InvalidValue, node.span, "in a plan the cost of a request is a number")
                .help(format!("use the policy `{kind}` for costs that a service says")),
        );
    }
    Some(policy)
}
