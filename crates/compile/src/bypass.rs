//! Ways around what a route demands.
//!
//! Routes are matched by more than a path, and each has policies of its own. If a request that one of them would refuse
//! gets to the same service by another one with less in front of it, the rule protects nothing. The router finds such
//! requests; here it is said which routes have less, and what was found is put into words. Where somebody has switched
//! off what is missing, with `off` on the open route, it is meant. Entry point: [`warn`].
//!
//! A fixed answer or a redirect leads to no service, so it is no way around anything; and a connection that CONNECT
//! opens has no paths.

use std::collections::{HashMap, HashSet};

use config::{Config, PolicySetting, Route as Raw};
use diagnostics::{Code, Diagnostic, Diagnostics, counted};
use policy::{Chain, Policy};
use router::reachability::{Example, How, Road, Way, Written, around};
use router::{RouteIndex, Router};
use snapshot::{Action, Piece, Route};

use crate::guards::{Guards, Lack};
use crate::reachability::hidden;

/// Ways that are told of; more are counted.
const MOST_TOLD: usize = 20;

/// Warns of routes that lead around others. `raws` are the routes as they were written, at the same positions.
pub(crate) fn warn(
    config: &Config,
    router: &Router,
    routes: &[Route],
    raws: &[&Raw],
    diagnostics: &mut Diagnostics,
) {
    let known = Known { config, routes, raws, ends: routes.iter().map(ends).collect(), hidden: hidden(raws) };
    let found = around(router, &known.roads(), MOST_TOLD, |protected, by, service| {
        known.lack(protected, by, service).map(|lack| lack.weaker())
    });
    for diagnostic in found.ways.iter().filter_map(|way| known.way(way, None)) {
        diagnostics.push(diagnostic);
    }
    if found.more > 0 {
        let least = if found.is_complete { "" } else { "at least " };
        let message = format!("{least}{} around routes that are protected", counted(found.more, "more way"));
        diagnostics.push(
            Diagnostic::warning(Code::OpenRoute, None, message)
                .help("they are shown when those that are shown now are mended"),
        );
    }
    if let Some(diagnostic) = found.letters.and_then(|way| known.way(&way, Some(found.more_letters))) {
        diagnostics.push(diagnostic);
    }
}

/// Where one of the ways of a route ends.
struct End {
    /// The service; `None` where the gateway answers by itself.
    service: Option<u32>,
    guards: Guards,
}

fn ends(route: &Route) -> Vec<End> {
    // What passes on a connection of the client's own is no request to the gateway.
    let ways = if route.connect { 0 } else { route.action.ways() };
    let end = |way| {
        let service = route.action.service(way).map(|service| service.0 as u32);
        Some(End { service, guards: Guards::of(route.action.chain(way)?) })
    };
    (0..ways).filter_map(end).collect()
}

/// What is known of all routes.
struct Known<'a> {
    config: &'a Config,
    routes: &'a [Route],
    raws: &'a [&'a Raw],
    ends: Vec<Vec<End>>,
    /// Values that are never shown.
    hidden: HashSet<&'a [u8]>,
}

impl Known<'_> {
    fn roads(&self) -> Vec<Road> {
        let mut protections: HashMap<Vec<(Option<u32>, Guards)>, u32> = HashMap::new();
        let mut road = |(route, ends): (&Route, &Vec<End>)| {
            let protection: Vec<_> = ends.iter().map(|end| (end.service, end.guards)).collect();
            let is_protected = ends.iter().any(|end| !end.guards.is_empty());
            let next = protections.len() as u32;
            Road {
                services: ends.iter().filter_map(|end| end.service).collect(),
                rewrite: rewrite(route),
                protection: is_protected.then(|| *protections.entry(protection).or_insert(next)),
            }
        };
        self.routes.iter().zip(&self.ends).map(&mut road).collect()
    }

    /// What the route `by` lacks that `protected` has, on the way to a service or to any, and nobody has said that it is
    /// meant. `None` for nothing.
    fn lack(&self, protected: RouteIndex, by: RouteIndex, service: Option<u32>) -> Option<Lack> {
        let is_meant = |end: &&End| service.is_none_or(|service| end.service == Some(service));
        let [mine, theirs] = [protected, by].map(|route| self.ends.get(route.0 as usize));
        let theirs = theirs?.iter().filter(|end| end.service.is_some()).filter(is_meant);
        let mine: Vec<&End> = mine?.iter().filter(is_meant).collect();
        theirs
            .filter_map(|end| {
                // It has to lack something whichever way the other request would have gone.
                let lacks =
                    mine.iter().map(|mine| self.unless_meant(mine.guards.lacked_by(end.guards), by, service));
                lacks.min_by_key(|lack| !lack.is_empty())
            })
            .find(|lack| !lack.is_empty())
    }

    /// Leaves out what was switched off on purpose: on the route, or on all services of it where it is about another one.
    fn unless_meant(&self, lack: Lack, by: RouteIndex, service: Option<u32>) -> Lack {
        let Some((raw, route)) = self.raws.get(by.0 as usize).zip(self.routes.get(by.0 as usize)) else {
            return lack;
        };
        if lack.is_empty() {
            return lack;
        }
        let is_off = |kind: &str| {
            let of = |policies: &config::Policies| matches!(policies.get(kind), Some(PolicySetting::Off));
            let split = raw.split.iter().flat_map(|split| split.value.iter().map(|(name, _)| name));
            let mut services = raw.service.iter().chain(split);
            let by_service = |name: &str| {
                let service = self.config.services.get(name);
                service.and_then(|service| service.policies.as_ref()).is_some_and(of)
            };
            raw.policies.as_ref().is_some_and(of)
                || (service.is_none() && services.all(|name| by_service(&name.value)))
        };
        let sets_auth = raw.policies.as_ref().is_some_and(|policies| policies.get("auth").is_some());
        let lets_anybody = |chain: &Chain| {
            chain
                .links()
                .iter()
                .any(|link| matches!(&*link.policy, Policy::Auth(auth) if auth.allows_anonymous()))
        };
        let is_asking_off = lack.asking.names().into_iter().any(is_off)
            || (sets_auth && route.action.chains().any(lets_anybody));
        let is_all_off = is_off("auth") || lack.all.names().into_iter().any(is_off);
        Lack {
            asking: lack.asking.filter(|_| !is_asking_off),
            all: lack.all.filter(|_| !is_all_off),
            rules: lack.rules.filter(|kind| !is_off(kind)),
            is_guarded: lack.is_guarded,
        }
    }

    /// A way around a route. One that exists only because other letters make another path, which a wider route takes,
    /// stands for so many more.
    fn way(&self, way: &Way, letters: Option<usize>) -> Option<Diagnostic> {
        let service = match way.how {
            How::SamePath(service) | How::OtherLetters(service) => Some(service),
            How::InPlace => None,
        };
        let (by, protected) = (self.route(way.by)?, self.route(way.protected)?);
        let lack = self.lack(way.protected, way.by, service)?;
        let what = match way.how {
            How::SamePath(_) => format!("leads to the same service as `{}`", protected.name),
            How::OtherLetters(_) => {
                format!("leads to the same service as `{}`, for its paths in other letters", protected.name)
            }
            How::InPlace => format!("takes requests that are for `{}`", protected.name),
        };
        let more = letters
            .filter(|more| *more > 0)
            .map_or_else(String::new, |more| format!(" (and {} of routes)", counted(more, "more pair")));
        let message = format!("the route `{}` {what}, {}{more}", by.name, missing(lack));
        let mend = match letters {
            Some(_) => {
                "if the service takes both for the same, protect every spelling with a regular expression that begins with `(?i)`"
            }
            None => "give both the same policies",
        };
        Some(
            Diagnostic::warning(Code::OpenRoute, by.source, message)
                .label("by this one")
                .related(protected.source, "this one is protected")
                .help(format!(
                    "`gateward explain {}` shows a request that gets around it; {mend}, or write {} on the open one if \
                     that is meant",
                    self.shown(&way.example),
                    switches(lack)
                )),
        )
    }

    fn route(&self, index: RouteIndex) -> Option<&Route> {
        self.routes.get(index.0 as usize)
    }

    fn shown(&self, example: &Example) -> Example {
        example.clone().hiding(|value| self.hidden.contains(value))
    }
}

/// The path that a route hands on, where it writes it anew.
fn rewrite(route: &Route) -> Option<Vec<Written>> {
    let Action::Forward { rewrite: Some(template), .. } = &route.action else { return None };
    let piece = |piece: &Piece| match piece {
        Piece::Literal(text) => Written::Literal(text.clone()),
        Piece::Capture(index) => Written::Capture(*index),
    };
    Some(template.pieces.iter().map(piece).collect())
}

/// `without its `ip`, and does not ask who is calling`
fn missing(lack: Lack) -> String {
    let quoted = |names: Vec<&str>, between: &str| {
        names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(between)
    };
    let mut parts = Vec::new();
    if !lack.rules.is_empty() {
        parts.push(format!("without its {}", quoted(lack.rules.names(), " and ")));
    }
    if !lack.asking.is_empty() {
        parts.push("and does not ask who is calling".to_owned());
    }
    if !lack.all.is_empty() {
        parts.push(format!("and is content with less than all of {}", quoted(lack.all.names(), ", ")));
    }
    parts.join(", ")
}

/// What would say that it is meant.
fn switches(lack: Lack) -> String {
    let asking = lack.asking.names();
    let all = if lack.all.is_empty() { None } else { Some("auth") };
    let kinds = asking.first().copied().into_iter().chain(all).chain(lack.rules.names());
    kinds.map(|kind| format!("`{kind}: off`")).collect::<Vec<_>>().join(" and ")
}
