//! Whether logins can come to their end: the paths that `oidc` answers itself have to lead to a route on which it holds.

use std::sync::Arc;

use config::Route as Raw;
use diagnostics::{Code, Diagnostic, Diagnostics};
use policy::{Chain, Policy};
use router::{Captures, Router, Subject};
use snapshot::Route;

/// A request for a path of a login.
struct Step<'a> {
    method: &'static str,
    host: Option<&'a str>,
    path: &'a str,
}

impl Subject for Step<'_> {
    fn host(&self) -> Option<&str> {
        self.host
    }

    fn path(&self) -> &[u8] {
        self.path.as_bytes()
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

/// Warns of logins that cannot come to their end. `raws` are the routes as they were written, at the same positions.
pub(crate) fn warn(router: &Router, routes: &[Route], raws: &[&Raw], diagnostics: &mut Diagnostics) {
    let mut told: Vec<*const Policy> = Vec::new();
    for (route, raw) in routes.iter().zip(raws) {
        for chain in route.action.chains() {
            for link in chain.links() {
                let Policy::Oidc(oidc) = &*link.policy else { continue };
                if told.contains(&Arc::as_ptr(&link.policy)) {
                    continue;
                }
                let host = raw
                    .hosts
                    .iter()
                    .flatten()
                    .next()
                    .map(|host| host.value.replace('*', "x").to_ascii_lowercase());
                let [callback, logout, backchannel] = oidc.own_paths();
                let steps = [("GET", callback), ("GET", logout), ("POST", backchannel)];
                let places = steps.map(|(method, path)| {
                    let step = Step { method, host: host.as_deref(), path };
                    (method, path, leads_to(router, routes, &step, &link.policy))
                });
                let lost = places.iter().find(|(_, _, place)| place.is_none());
                let demands_all = |route: &Route| route.action.chains().any(Chain::demands_all);
                if let Some((method, path, _)) = lost {
                    told.push(Arc::as_ptr(&link.policy));
                    diagnostics.push(
                        Diagnostic::warning(
                            Code::LoginUnreachable,
                            link.source,
                            format!("`{method} {path}` does not lead to a route with this policy, so logins or logouts do not come to their end"),
                        )
                        .related(route.source, "on this route it holds")
                        .help("add a route for `/.gateward/*` on the same host with the same policy, or set the policy at the gateway or service"),
                    );
                } else if places.iter().any(|(_, _, place)| place.is_some_and(demands_all)) {
                    told.push(Arc::as_ptr(&link.policy));
                    diagnostics.push(
                        Diagnostic::warning(
                            Code::LoginUnreachable,
                            link.source,
                            "a login needs requests that show nothing else, and `auth: { all: … }` refuses these",
                        )
                        .related(route.source, "on this route")
                        .help("give the paths of the login a route of their own, on which `oidc` alone holds"),
                    );
                }
            }
        }
    }
}

/// The route that a request comes to, if a policy holds there, the very same one.
fn leads_to<'r>(
    router: &Router,
    routes: &'r [Route],
    step: &Step<'_>,
    policy: &Arc<Policy>,
) -> Option<&'r Route> {
    let found = router.find(step, &mut Captures::default())?;
    let route = routes.get(found.0 as usize)?;
    let holds = |chain: &Chain| chain.links().iter().any(|link| Arc::ptr_eq(&link.policy, policy));
    (0..route.action.ways()).filter_map(|way| route.action.chain(way)).all(holds).then_some(route)
}
