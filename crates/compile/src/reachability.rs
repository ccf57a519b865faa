//! What there is to say of routes that can never match, and of routes that overlap.
//!
//! The router finds them; here they are put into words, each with an example. It must not know how requests
//! are matched. Entry point: [`warn`].

use std::collections::{BTreeMap, HashSet};

use config::{Condition, Route as Raw};
use diagnostics::{Code, Diagnostic, Diagnostics, Span, Spanned};
use policy::Chain;
use router::reachability::{Crossing, Example, Kind, Overlap, Part, Unreachable, examine};
use router::{RouteIndex, Router};
use snapshot::{Action, Piece, Route, Template};

/// From so many on, the routes that overlap one are told of in one place.
const MANY: usize = 4;
/// Most routes that are pointed at.
const MOST_NAMED: usize = 3;

/// Warns of routes that can never match, and of those that overlap others. `raws` are the routes as they were
/// written, at the same positions. Where a route is missing because of a mistake, what overlaps is not said:
/// the missing one may be there for just that.
pub(crate) fn warn(router: &Router, routes: &[Route], raws: &[&Raw], diagnostics: &mut Diagnostics) {
    let written = Written { routes, raws, hidden: hidden(raws) };
    let report = examine(router, |crossing| written.matters(crossing));
    let mut pairs: Vec<Pair<'_>> = Vec::new();
    let mut found: Vec<Option<Diagnostic>> = Vec::new();
    for finding in &report.findings {
        match &finding.kind {
            Kind::Impossible(part) => found.push(written.impossible(finding.route, *part)),
            Kind::Unreachable(unreachable) => found.push(written.unreachable(finding.route, unreachable)),
            Kind::Overlaps(overlaps) => {
                pairs.extend(overlaps.iter().map(|overlap| Pair { route: finding.route, overlap }));
            }
        }
    }
    if !diagnostics.has_errors() {
        found.extend(written.overlaps(&pairs));
    }
    for diagnostic in found.into_iter().flatten() {
        // Why it can never match may have been said more clearly.
        if !diagnostic.span.is_some_and(|place| diagnostics.has_error_in(place)) {
            diagnostics.push(diagnostic);
        }
    }
}

/// A route, and one that takes some of its requests.
#[derive(Clone, Copy)]
struct Pair<'a> {
    route: RouteIndex,
    overlap: &'a Overlap,
}

/// Values of conditions that came from outside, and are never shown.
pub(crate) fn hidden<'a>(raws: &[&'a Raw]) -> HashSet<&'a [u8]> {
    let conditions =
        raws.iter().flat_map(|raw| raw.headers.iter().chain(&raw.query).flat_map(|all| all.iter()));
    let values = conditions.filter_map(|(_, condition)| match condition {
        Condition::Literal(text) => Some(text.as_bytes()),
        Condition::Present | Condition::Text(_) => None,
    });
    values.collect()
}

/// Where a name is written.
fn place_of<'a>(mut names: impl Iterator<Item = &'a Spanned<String>>, wanted: &str) -> Option<Span> {
    names.find(|name| name.eq_ignore_ascii_case(wanted)).map(|name| name.span)
}

/// The routes, as they were written and as they were compiled.
struct Written<'a> {
    routes: &'a [Route],
    raws: &'a [&'a Raw],
    hidden: HashSet<&'a [u8]>,
}

impl Written<'_> {
    fn route(&self, index: RouteIndex) -> Option<&Route> {
        self.routes.get(index.0 as usize)
    }

    fn place(&self, index: RouteIndex) -> Option<Span> {
        self.route(index).map(|route| route.source)
    }

    /// The command that shows what becomes of an example.
    fn try_it(&self, example: &Example) -> String {
        let example = example.clone().hiding(|value| self.hidden.contains(value));
        format!("see `gateward explain {example}`")
    }

    /// Whether it matters which of two routes takes a request. Where a narrower place takes requests of all
    /// methods, nobody is surprised; but a rule that is dodged is never expected.
    fn matters(&self, crossing: &Crossing) -> bool {
        let (Some(higher), Some(lower)) = (self.route(crossing.higher), self.route(crossing.lower)) else {
            return true;
        };
        !does_the_same(higher, lower) && (!crossing.is_by_methods || is_stricter(lower, higher))
    }

    fn impossible(&self, route: RouteIndex, part: Part<'_>) -> Option<Diagnostic> {
        let raw = self.raws.get(route.0 as usize)?;
        let (place, what, help) = match part {
            Part::Header(name) => (
                place_of(raw.headers.iter().flat_map(|all| all.iter()).map(|(name, _)| name), name),
                format!("no value of the header `{name}` can be what it asks for"),
                "values have no white space at their ends and no control characters",
            ),
            Part::Query(name) => (
                place_of(raw.query.iter().flat_map(|all| all.iter()).map(|(name, _)| name), name),
                format!("no value of the parameter `{name}` can be what it asks for"),
                "the regular expression matches nothing at all",
            ),
            Part::Path | Part::Host | Part::Method => (
                raw.path.as_ref().map(|path| path.span),
                "no path matches its regular expression".to_owned(),
                "paths begin with `/`, and hold neither `//`, nor `.` or `..` as a segment, nor escapes of letters and digits",
            ),
        };
        let message = format!("this route can never match: {what}");
        Some(Diagnostic::warning(Code::UnreachableRoute, place.unwrap_or(raw.span), message).help(help))
    }

    fn unreachable(&self, route: RouteIndex, found: &Unreachable<'_>) -> Option<Diagnostic> {
        let is_one = found.by.len() == 1;
        let hosts: Vec<String> = found.hosts.iter().map(|host| format!("`{host}`")).collect();
        let (code, message) = match (hosts.is_empty(), is_one) {
            (true, _) if found.is_duplicate => (
                Code::DuplicateRoute,
                "this route can never match: an earlier one matches the same".to_owned(),
            ),
            (true, true) => (
                Code::UnreachableRoute,
                "this route can never match: another one takes every request that it could get".to_owned(),
            ),
            (true, false) => (
                Code::UnreachableRoute,
                "this route can never match: others together take every request that it could get".to_owned(),
            ),
            (false, _) => {
                let who = if is_one { "another one takes" } else { "others take" };
                let hosts = hosts.join(", ");
                (
                    Code::UnreachableRoute,
                    format!(
                        "this route never matches for {hosts}: {who} every request that it could get there"
                    ),
                )
            }
        };
        let mut diagnostic = Diagnostic::warning(code, self.place(route)?, message);
        diagnostic = if code == Code::DuplicateRoute {
            diagnostic.help("remove one, or tell them apart by host, method, header, query or `priority`")
        } else {
            let next = if is_one { "make the other one narrower" } else { "make the others narrower" };
            diagnostic
                .label(self.try_it(&found.example))
                .help(format!("give this route a higher `priority`, {next}, or remove what never matches"))
        };
        for (&by, number) in found.by.iter().zip(0..MOST_NAMED) {
            let label = match (is_one, number) {
                (true, _) => "this one takes every request",
                (false, _) if found.is_duplicate => "this one takes some of its requests",
                (false, 0) => "this one takes that request",
                (false, _) => "this one takes others",
            };
            diagnostic = diagnostic.related(self.place(by)?, label);
        }
        Some(diagnostic)
    }

    /// One diagnostic for each route that takes requests of many others, and for each other route one.
    fn overlaps(&self, pairs: &[Pair<'_>]) -> Vec<Option<Diagnostic>> {
        let mut by_winner: BTreeMap<RouteIndex, Vec<Pair<'_>>> = BTreeMap::new();
        for &pair in pairs {
            by_winner.entry(pair.overlap.with).or_default().push(pair);
        }
        let mut found = Vec::new();
        let mut by_loser: BTreeMap<RouteIndex, Vec<Pair<'_>>> = BTreeMap::new();
        for (winner, pairs) in by_winner {
            if pairs.len() >= MANY {
                found.push(self.overlap_of_winner(winner, &pairs));
            } else {
                pairs.into_iter().for_each(|pair| by_loser.entry(pair.route).or_default().push(pair));
            }
        }
        found.extend(by_loser.into_iter().map(|(loser, pairs)| self.overlap_of_loser(loser, &pairs)));
        found
    }

    fn overlap_of_loser(&self, loser: RouteIndex, pairs: &[Pair<'_>]) -> Option<Diagnostic> {
        let message =
            "this route and another one match some requests together, and each matches others alone";
        let help = "if that is meant, give the other route a higher `priority`; if not, give it to this one, or add a route for what both match";
        let mut diagnostic = Diagnostic::warning(Code::OverlappingRoutes, self.place(loser)?, message)
            .label(self.try_it(&pairs.first()?.overlap.example))
            .help(help);
        for (Pair { overlap, .. }, number) in pairs.iter().zip(0..) {
            let label = match number {
                0 => format!("this one takes them: {}", overlap.decided_by),
                _ => format!("this one takes others: {}", overlap.decided_by),
            };
            diagnostic = diagnostic.related(self.place(overlap.with)?, label);
        }
        Some(diagnostic)
    }

    fn overlap_of_winner(&self, winner: RouteIndex, pairs: &[Pair<'_>]) -> Option<Diagnostic> {
        let first = pairs.first()?.overlap;
        let others = pairs.len();
        let message = format!(
            "this route and {others} others match some requests together, and each matches others alone"
        );
        let help = "if that is meant, give this route a higher `priority`; if not, give it to the others, or add routes for what they have in common";
        let mut diagnostic = Diagnostic::warning(Code::OverlappingRoutes, self.place(winner)?, message)
            .label(format!("takes them: {}", first.decided_by))
            .help(help);
        for (pair, number) in pairs.iter().zip(0..MOST_NAMED) {
            let label =
                if number == 0 { self.try_it(&first.example) } else { "so it is with this one".to_owned() };
            diagnostic = diagnostic.related(self.place(pair.route)?, label);
        }
        Some(diagnostic)
    }
}

/// Whether a request fares the same with either route.
fn does_the_same(one: &Route, other: &Route) -> bool {
    one.timeout == other.timeout
        && match (&one.action, &other.action) {
            (
                Action::Forward { split: one, rewrite: one_path, .. },
                Action::Forward { split: other, rewrite: other_path, .. },
            ) => {
                let (one, other) = (one.targets(), other.targets());
                let is_same_path = match (one_path, other_path) {
                    (Some(one), Some(other)) => is_same_text(one, other),
                    (None, None) => true,
                    _ => false,
                };
                is_same_path
                    && one.len() == other.len()
                    && one.iter().zip(other).all(|(one, other)| {
                        (one.service, one.weight) == (other.service, other.weight)
                            && is_same_chain(&one.chain, &other.chain)
                    })
            }
            (
                Action::Redirect { redirect: one, chain },
                Action::Redirect { redirect: other, chain: other_chain },
            ) => {
                one.status == other.status
                    && is_same_text(&one.to, &other.to)
                    && is_same_chain(chain, other_chain)
            }
            (Action::Respond { reply: one, chain }, Action::Respond { reply: other, chain: other_chain }) => {
                one == other && is_same_chain(chain, other_chain)
            }
            _ => false,
        }
}

/// Whether two templates always give the same. Captures are of different patterns, so only plain text does.
fn is_same_text(one: &Template, other: &Template) -> bool {
    one == other && one.pieces.iter().all(|piece| matches!(piece, Piece::Literal(_)))
}

/// Whether the very same policies run.
fn is_same_chain(one: &Chain, other: &Chain) -> bool {
    let (one, other) = (one.links(), other.links());
    one.len() == other.len()
        && one.iter().zip(other).all(|(one, other)| std::sync::Arc::ptr_eq(&one.policy, &other.policy))
}

/// Whether `one` may refuse what `other` lets pass: it answers with an error, or has a policy that can refuse
/// where the other has none of its kind.
fn is_stricter(one: &Route, other: &Route) -> bool {
    match (&one.action, &other.action) {
        (Action::Respond { reply, .. }, Action::Forward { .. }) if reply.status >= 400 => return true,
        _ => {}
    }
    let kinds = |route: &Route| -> HashSet<&'static str> {
        let chains: Vec<&Chain> = match &route.action {
            Action::Forward { split, .. } => split.targets().iter().map(|target| &target.chain).collect(),
            Action::Redirect { chain, .. } | Action::Respond { chain, .. } => vec![chain],
        };
        let links = chains.into_iter().flat_map(Chain::links);
        links.filter(|link| link.policy.can_refuse()).map(|link| link.policy.kind().name).collect()
    };
    !kinds(one).is_subset(&kinds(other))
}
