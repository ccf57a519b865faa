//! `gateward check --exposure`: who can reach what, and through what.
//!
//! It reads the compiled configuration, the very chains that requests go through. Entry points: [`text()`], [`json()`].

use policy::{Chain, Link, Policy};
use serde_json::{Value, json};
use snapshot::{Action, Listener, Route, Snapshot};

/// Who gets through a chain.
fn who(chain: &Chain) -> String {
    let kinds: Vec<&str> = chain.authenticators().iter().map(|link| link.policy.kind().name).collect();
    if kinds.is_empty() {
        return "anybody".to_owned();
    }
    let by = kinds.join(if chain.demands_all() { " and " } else { " or " });
    if chain.demands_identity() { format!("known by {by}") } else { format!("anybody; known by {by}") }
}

/// What else can refuse a request.
fn guards(chain: &Chain) -> Vec<&'static str> {
    let others = chain.links().iter().filter(|link| is_guard(link));
    others.map(|link| link.policy.kind().name).collect()
}

fn is_guard(link: &Link) -> bool {
    let policy: &Policy = &link.policy;
    policy.can_refuse() && !policy.knows_callers() && !matches!(policy, Policy::Auth(_) | Policy::Fault(_))
}

/// Where a way of a route leads.
fn target(snapshot: &Snapshot, route: &Route, way: usize) -> String {
    match (&route.action, route.action.service(way)) {
        (_, Some(index)) => snapshot
            .services
            .get(index.0)
            .map_or_else(String::new, |service| format!("service {}", service.name)),
        (Action::Redirect { .. }, None) => "redirect".to_owned(),
        (Action::Respond { .. }, None) => "fixed answer".to_owned(),
        (Action::Forward { .. }, None) => String::new(),
    }
}

fn listener(listener: &Listener) -> String {
    let scheme = if listener.tls.is_some() { "https" } else { "http" };
    let more = if listener.redirect_https.is_some() { " (sends everybody to https)" } else { "" };
    format!("{scheme}://{}{more}", listener.address)
}

/// One way of one route.
struct Row {
    route: String,
    who: String,
    guards: Vec<&'static str>,
    target: String,
}

fn rows(snapshot: &Snapshot) -> Vec<Row> {
    let of = |route: &std::sync::Arc<Route>| {
        let ways = (0..route.action.ways()).filter_map(|way| {
            let chain = route.action.chain(way)?;
            Some(Row {
                route: route.name.to_string(),
                who: who(chain),
                guards: guards(chain),
                target: target(snapshot, route, way),
            })
        });
        ways.collect::<Vec<_>>()
    };
    snapshot.routes.iter().flat_map(of).collect()
}

/// For people: a line for each route and service.
pub(crate) fn text(snapshot: &Snapshot) -> String {
    let listeners: Vec<String> = snapshot.listeners.iter().map(listener).collect();
    let mut out = format!("Every route can be reached by {}.\n\n", listeners.join(", "));
    let table: Vec<[String; 4]> = std::iter::once(["ROUTE", "WHO", "GUARDS", "TO"].map(str::to_owned))
        .chain(rows(snapshot).into_iter().map(|row| {
            let guards = if row.guards.is_empty() { "-".to_owned() } else { row.guards.join(", ") };
            [row.route, row.who, guards, row.target]
        }))
        .collect();
    let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2)];
    for [route, who, guards, target] in &table {
        let line = format!(
            "{route:<a$}  {who:<b$}  {guards:<c$}  {target}",
            a = widths[0],
            b = widths[1],
            c = widths[2]
        );
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// For programs.
pub(crate) fn json(snapshot: &Snapshot) -> Value {
    let routes = snapshot.routes.iter().flat_map(|route| {
        (0..route.action.ways()).filter_map(move |way| {
            let chain = route.action.chain(way)?;
            Some(json!({
                "route": &*route.name,
                "known_by": chain.authenticators().iter().map(|link| link.policy.kind().name).collect::<Vec<_>>(),
                "all": chain.demands_all(),
                "anonymous": !chain.demands_identity(),
                "guards": guards(chain),
                "to": target(snapshot, route, way),
            }))
        })
    });
    json!({
        "listeners": snapshot.listeners.iter().map(listener).collect::<Vec<_>>(),
        "routes": routes.collect::<Vec<_>>(),
    })
}
