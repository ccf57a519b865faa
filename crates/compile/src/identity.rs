//! Whether what routes demand of callers fits together.

use std::collections::{BTreeMap, BTreeSet};

use config::Config;
use diagnostics::{Code, Diagnostic, Diagnostics, Span};
use policy::authorize::Never;
use policy::{Chain, Policy, Reserved};
use snapshot::Route;

/// Reports where policies that know callers, and what builds on them, do not fit together. The same mistake of the same
/// policy is told once, however many routes inherit it.
pub(crate) fn check(config: &Config, routes: &[Route], diagnostics: &mut Diagnostics) {
    let asks = |listen: &config::Listen| listen.tls.as_ref().is_some_and(|tls| tls.client_auth.is_some());
    let anybody_asks = config.listen.is_empty() || config.listen.iter().any(asks);
    let mut told: BTreeSet<(Span, String)> = BTreeSet::new();
    for route in routes {
        for chain in route.action.chains() {
            let unasked =
                chain.links().iter().find(|link| !anybody_asks && matches!(&*link.policy, Policy::Mtls(_)));
            let unasked = unasked.map(|link| (link.source, never_asked(link.source)));
            for (span, diagnostic) in mistakes(route, chain).into_iter().chain(unasked) {
                if told.insert((span, diagnostic.message.clone())) {
                    diagnostics.push(diagnostic);
                }
            }
        }
    }
    look_at_conditions(routes, diagnostics);
}

/// What the routes on which an `authorize` holds say of its conditions.
#[derive(Default)]
struct Judged<'r> {
    /// On how many chains it holds.
    chains: usize,
    /// Conditions that hold for nobody, and on how many chains.
    never: BTreeMap<Span, (Option<Never>, usize)>,
    /// Routes that nobody gets through to, with the conditions because of which.
    closed: Vec<(&'r Route, Vec<Never>)>,
}

/// Warns of conditions that hold for nobody: on no route at all, or on one that nobody gets through to because of that.
/// One of several alternatives may well hold elsewhere only.
fn look_at_conditions(routes: &[Route], diagnostics: &mut Diagnostics) {
    let mut all: BTreeMap<Span, Judged<'_>> = BTreeMap::new();
    for route in routes {
        for chain in route.action.chains().filter(|chain| !chain.authenticators().is_empty()) {
            for link in chain.links() {
                let Policy::Authorize(authorize) = &*link.policy else { continue };
                let judged = all.entry(link.source).or_default();
                judged.chains += 1;
                let (never, is_closed) = authorize.never(chain, &route.consumers);
                for one in &never {
                    let (first, times) = judged.never.entry(one.place).or_default();
                    first.get_or_insert_with(|| one.clone());
                    *times += 1;
                }
                if is_closed {
                    judged.closed.push((route, never));
                }
            }
        }
    }
    for (source, Judged { chains, never, closed }) in all {
        let is_dead = |one: &Never| never.get(&one.place).is_some_and(|(_, times)| *times == chains);
        for one in never.values().filter_map(|(one, _)| one.as_ref()).filter(|one| is_dead(one)) {
            diagnostics.push(
                Diagnostic::warning(
                    Code::UnusedSetting,
                    one.place,
                    format!("`{}` holds for nobody: {}", one.condition, one.why),
                )
                .help("correct it, or add what tells it: tokens (`jwt`, `introspection`, `oidc`) have scopes, claims and groups, consumers have `groups`"),
            );
        }
        let here =
            closed.iter().find_map(|(route, never)| Some((route, never.iter().find(|one| !is_dead(one))?)));
        if let Some((route, one)) = here {
            diagnostics.push(
                Diagnostic::warning(
                    Code::UnusedSetting,
                    source,
                    format!(
                        "nobody gets through to the route `{}`: `{}` holds for nobody there, because {}",
                        route.name, one.condition, one.why
                    ),
                )
                .related(route.source, "this route")
                .help("set another `authorize` on that route, or a policy that tells what it asks for"),
            );
        }
    }
}

fn never_asked(place: Span) -> Diagnostic {
    Diagnostic::warning(
        Code::NoCredentials,
        place,
        "no listener asks clients for certificates, so `mtls` knows nobody",
    )
    .help("add `client_auth: { ca: clients.pem, mode: optional }` to the `tls` of a listener")
}

fn mistakes(route: &Route, chain: &Chain) -> Vec<(Span, Diagnostic)> {
    let mut found = Vec::new();
    let held: Vec<&str> = chain.authenticators().iter().map(|link| link.policy.kind().name).collect();
    for link in chain.links() {
        match &*link.policy {
            Policy::Auth(auth) => {
                let absent = auth.demanded().iter().find(|kind| !held.contains(kind));
                let surplus =
                    held.iter().find(|kind| !auth.demanded().is_empty() && !auth.demanded().contains(kind));
                if let Some(kind) = absent {
                    let diagnostic = Diagnostic::error(
                        Code::NobodyKnown,
                        link.source,
                        format!("`auth` demands `{kind}`, which does not hold on the route `{}`", route.name),
                    )
                    .related(route.source, "this route")
                    .help(format!("set `{kind}` on the route or further out, or take it out of `all`"));
                    found.push((link.source, diagnostic));
                } else if let Some(kind) = surplus {
                    let diagnostic = Diagnostic::error(
                        Code::ConflictingKeys,
                        link.source,
                        format!("`{kind}` holds on the route `{}`, and `auth` does not name it", route.name),
                    )
                    .related(route.source, "this route")
                    .help(format!("add `{kind}` to `all`, or switch it `off` on this route"));
                    found.push((link.source, diagnostic));
                } else if held.is_empty() {
                    let diagnostic = Diagnostic::warning(
                        Code::UnusedSetting,
                        link.source,
                        format!(
                            "`auth` has no effect on the route `{}`: no policy there knows callers",
                            route.name
                        ),
                    )
                    .help("add one, such as `api_key` or `jwt`, or remove `auth`");
                    found.push((link.source, diagnostic));
                }
            }
            policy if held.is_empty() && policy.needs_identity() => {
                let kind = policy.kind().name;
                let diagnostic = Diagnostic::error(
                    Code::NobodyKnown,
                    link.source,
                    format!(
                        "`{kind}` depends on who is calling, and on the route `{}` nothing says who that is",
                        route.name
                    ),
                )
                .related(route.source, "this route")
                .help("add a policy that knows callers, such as `api_key` or `jwt`");
                found.push((link.source, diagnostic));
            }
            _ => {}
        }
    }
    found
}

/// Names that belong to the gateway: what policies of any route say of callers, and their sessions.
pub(crate) fn reserved(routes: &[Route]) -> Reserved {
    let links = routes.iter().flat_map(|route| route.action.chains()).flat_map(|chain| chain.links());
    Reserved::of(links.map(|link| &*link.policy))
}
