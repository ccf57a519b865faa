//! Ways around a route that demands to know who is calling.
//!
//! Routes are matched by more than a path: a route that is for one host, for some methods or for a header leaves all
//! other requests to others. If one of those leads to the same service without asking who is calling, the rule protects
//! nothing. What is tried are requests as somebody would send who wants to get around it, and the router itself says
//! what becomes of them. Entry point: [`warn`].

use std::collections::BTreeSet;

use config::{PolicySetting, Route as Raw};
use diagnostics::{Code, Diagnostic, Diagnostics};
use policy::Chain;
use router::{Captures, Router, Subject};
use snapshot::{Action, Route, ServiceIndex};

/// Methods that are tried.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
/// Routes that are told of; more are counted.
const MOST_TOLD: usize = 20;

/// Warns of routes that lead around others. `raws` are the routes as they were written, at the same positions.
pub(crate) fn warn(router: &Router, routes: &[Route], raws: &[&Raw], diagnostics: &mut Diagnostics) {
    let mut told: BTreeSet<usize> = BTreeSet::new();
    for (route, raw) in routes.iter().zip(raws) {
        let guarded = guarded_services(route);
        if guarded.is_empty() {
            continue;
        }
        for probe in probes(raw) {
            let Some(found) = router.find(&probe, &mut Captures::default()) else { continue };
            let position = found.0 as usize;
            let (Some(other), Some(other_raw)) = (routes.get(position), raws.get(position)) else { continue };
            if std::ptr::eq(other, route) || told.contains(&position) || says_so(other_raw) {
                continue;
            }
            let around = open_services(other).into_iter().any(|service| guarded.contains(&service));
            if !around || told.len() >= MOST_TOLD {
                continue;
            }
            told.insert(position);
            diagnostics.push(
                Diagnostic::warning(
                    Code::OpenRoute,
                    other.source,
                    format!(
                        "the route `{}` leads to the same service as `{}`, and does not ask who is calling",
                        other.name, route.name
                    ),
                )
                .label("by this one")
                .related(route.source, "this one asks")
                .help(format!(
                    "`gateward explain {probe}` shows a request that gets around it; give both the same policies, or \
                     write the policy with `off` on the open one if that is meant"
                )),
            );
        }
    }
}

/// Services that a route leads to only for callers that are known.
fn guarded_services(route: &Route) -> BTreeSet<ServiceIndex> {
    services(route, |chain| chain.demands_identity())
}

/// Services that a route leads to for anybody.
fn open_services(route: &Route) -> BTreeSet<ServiceIndex> {
    services(route, |chain| !chain.demands_identity())
}

fn services(route: &Route, of: impl Fn(&Chain) -> bool) -> BTreeSet<ServiceIndex> {
    let Action::Forward { split, .. } = &route.action else { return BTreeSet::new() };
    split.targets().iter().filter(|target| of(&target.chain)).map(|target| target.service).collect()
}

/// Whether somebody has switched off what would ask.
fn says_so(raw: &Raw) -> bool {
    let mut settings = raw.policies.iter().flat_map(|policies| policies.iter());
    let knows_callers =
        |kind: &str| policy::KINDS.iter().any(|known| known.name == kind && known.knows_callers);
    settings.any(|(kind, setting)| matches!(setting, PolicySetting::Off) && knows_callers(&kind.value))
}

/// A request that somebody would try.
struct Probe {
    method: &'static str,
    host: Option<String>,
    path: Vec<u8>,
}

impl std::fmt::Display for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = String::from_utf8_lossy(&self.path);
        match &self.host {
            Some(host) => write!(f, "{} http://{host}{path}", self.method),
            None => write!(f, "{} {path}", self.method),
        }
    }
}

impl Subject for Probe {
    fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    fn path(&self) -> &[u8] {
        &self.path
    }

    fn method(&self) -> &[u8] {
        self.method.as_bytes()
    }

    fn header(&self, _: &str, _: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        false
    }

    fn query(&self) -> Option<&[u8]> {
        None
    }
}

/// Requests for what a route is for, by other hosts, without any (HTTP/1.0), by other methods, without headers.
fn probes(raw: &Raw) -> Vec<Probe> {
    let Some(path) = raw.path.as_ref().map_or(Some(b"/".to_vec()), |path| example(path)) else {
        return Vec::new();
    };
    let own = raw.hosts.iter().flatten().next().map(|host| host.value.replace('*', "x").to_ascii_lowercase());
    let hosts = [own, Some("other.invalid".to_owned()), None];
    let narrow = raw.methods.is_some() || raw.headers.is_some() || raw.query.is_some();
    let methods = if narrow { &METHODS[..] } else { &METHODS[..1] };
    let each = |host: &Option<String>| {
        methods
            .iter()
            .map(|method| Probe { method, host: host.clone(), path: path.clone() })
            .collect::<Vec<_>>()
    };
    hosts.iter().flat_map(each).collect()
}

/// A path that a pattern matches; `None` for a regular expression, which may match anything.
fn example(pattern: &str) -> Option<Vec<u8>> {
    if pattern.starts_with('~') {
        return None;
    }
    let segments = pattern.split('/').map(|segment| {
        if segment == "*" || (segment.starts_with('{') && segment.ends_with('}')) { "x" } else { segment }
    });
    Some(segments.collect::<Vec<_>>().join("/").into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_have_an_example() {
        let example = |pattern| example(pattern).map(|path| String::from_utf8(path).unwrap());
        assert_eq!(example("/a/*").as_deref(), Some("/a/x"));
        assert_eq!(example("/a/{id}/b/{rest...}").as_deref(), Some("/a/x/b/x"));
        assert_eq!(example("/a").as_deref(), Some("/a"));
        assert_eq!(example("~^/a"), None);
    }
}
