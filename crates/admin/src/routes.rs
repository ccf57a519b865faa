//! `/routes`: where requests can go.

use std::collections::HashMap;

use control::{Active, View};
use serde_json::{Map, Value, json};
use snapshot::{Action, Route};
use telemetry::{RouteKey, RouteTotals};

use crate::pages::effective;

/// Every route in the order of the configuration.
pub(crate) fn page(view: &View) -> Value {
    let active = view.active();
    let written = effective(view);
    let totals: HashMap<RouteKey, RouteTotals> = view.metrics.routes().into_iter().collect();
    let routes = active.snapshot.routes.iter().enumerate();
    let routes = routes.map(|(position, route)| one(&active, route, &written["routes"][position], &totals));
    json!({ "routes": routes.collect::<Vec<_>>() })
}

fn one(active: &Active, route: &Route, written: &Value, totals: &HashMap<RouteKey, RouteTotals>) -> Value {
    let matches: Map<String, Value> = ["hosts", "path", "methods", "headers", "query", "priority"]
        .into_iter()
        .filter_map(|key| Some((key.to_owned(), written.get(key)?.clone())))
        .collect();
    let (does, more) = match &route.action {
        Action::Forward { split, .. } => ("forward", json!(split.targets().len())),
        Action::Redirect { redirect, .. } => ("redirect", json!(redirect.status)),
        Action::Respond { reply, .. } => ("respond", json!(reply.status)),
    };
    let ways = (0..route.action.ways()).map(|way| one_way(active, route, way, totals));
    let mut shown = json!({
        "name": route.name,
        "source": active.sources.place(route.source),
        "match": matches,
        "action": does,
        "ways": ways.collect::<Vec<_>>(),
    });
    if does != "forward" {
        shown["status"] = more;
    }
    if let Some(rewrite) = written.get("rewrite") {
        shown["rewrite"] = rewrite.clone();
    }
    if let Some(timeout) = route.timeout {
        shown["timeout_ms"] = json!(timeout.as_millis() as u64);
    }
    shown
}

/// One way to go on: a service of a split, or the answer of the gateway.
fn one_way(active: &Active, route: &Route, way: usize, totals: &HashMap<RouteKey, RouteTotals>) -> Value {
    let service = route.action.service(way).and_then(|index| active.snapshot.services.get(index.0));
    let name = service.map_or("", |service| &*service.name);
    let links = route.action.chain(way).map(policy::Chain::links).unwrap_or_default();
    let policies = links.iter().map(|link| {
        json!({
            "kind": link.policy.kind().name,
            "stage": link.policy.stage().as_str(),
            "source": active.sources.place(link.source),
        })
    });
    let totals = totals.get(&RouteKey::new(&route.name, name)).cloned().unwrap_or_default();
    let by_class = (1..=5).map(|class| (format!("{class}xx"), json!(totals.of_class(class))));
    let mut shown = json!({
        "policies": policies.collect::<Vec<_>>(),
        "requests": by_class.collect::<Map<String, Value>>(),
        "in_flight": totals.in_flight,
    });
    if let Some(service) = service {
        shown["service"] = json!(service.name);
        if let Action::Forward { split, .. } = &route.action
            && split.targets().len() > 1
        {
            shown["weight"] = json!(split.targets().get(way).map(|target| target.weight));
        }
    }
    shown
}
