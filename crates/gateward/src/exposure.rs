//! `gateward check --exposure`: who can reach what, and through what.
//!
//! It reads the compiled configuration, the very chains that requests go through. Entry points: [`text()`], [`json()`].

use policy::{Chain, Link, Policy, Whom};
use serde_json::{Value, json};
use snapshot::{Action, ClientCertificates, Listener, Route, Snapshot};

/// One way of one route.
struct Row {
    route: String,
    /// Kinds of policies that know callers.
    known_by: Vec<&'static str>,
    /// Whether all of them have to.
    all: bool,
    /// Whether somebody passes who is not known.
    anonymous: bool,
    /// Who gets through, in words.
    who: String,
    guards: Vec<Guard>,
    target: String,
}

/// What else can refuse a request.
struct Guard {
    kind: &'static str,
    /// What it asks for, where it is short.
    terms: Option<String>,
}

fn rows(snapshot: &Snapshot) -> Vec<Row> {
    let of = |route: &std::sync::Arc<Route>| {
        let ways = (0..route.action.ways()).filter_map(|way| {
            let chain = route.action.chain(way)?;
            Some(Row {
                route: route.name.to_string(),
                known_by: chain.authenticators().iter().map(|link| link.policy.kind().name).collect(),
                all: chain.demands_all(),
                anonymous: !chain.demands_identity(),
                who: who(chain, snapshot),
                guards: guards(chain),
                target: target(snapshot, route, way),
            })
        });
        ways.collect::<Vec<_>>()
    };
    snapshot.routes.iter().flat_map(of).collect()
}

/// Who gets through a chain.
fn who(chain: &Chain, snapshot: &Snapshot) -> String {
    let known: Vec<Whom> =
        chain.authenticators().iter().filter_map(|link| link.policy.whom(&snapshot.consumers)).collect();
    let is_judged = chain.links().iter().any(|link| matches!(&*link.policy, Policy::ForwardAuth(_)));
    let anybody = if is_judged { "whoever `forward_auth` lets pass" } else { "anybody" };
    if known.is_empty() {
        return anybody.to_owned();
    }
    let known = if chain.demands_all() { with_all(&known) } else { with_any(&known) };
    if !chain.demands_identity() {
        return format!("{anybody}; recognises {known}");
    }
    let out = without_certificates(chain, snapshot);
    if out.is_empty() { known } else { format!("{known}; not by {}", out.join(", ")) }
}

/// `consumers with an API key (12) or a password (2), or anybody with a token`
fn with_any(known: &[Whom]) -> String {
    let (others, consumers): (Vec<&Whom>, Vec<&Whom>) = known.iter().partition(|whom| whom.others);
    let consumers: Vec<String> =
        consumers.iter().map(|whom| format!("{} ({})", whom.credential, whom.consumers)).collect();
    let others: Vec<&str> = others.iter().map(|whom| whom.credential).collect();
    let consumers = (!consumers.is_empty()).then(|| format!("consumers with {}", consumers.join(" or ")));
    let others = (!others.is_empty()).then(|| format!("anybody with {}", others.join(" or ")));
    consumers.into_iter().chain(others).collect::<Vec<_>>().join(", or ")
}

/// `consumers with a certificate and a token (3)`
fn with_all(known: &[Whom]) -> String {
    let credentials = known.iter().map(|whom| whom.credential).collect::<Vec<_>>().join(" and ");
    // Nobody has all of them who has not the rarest.
    match known.iter().filter(|whom| !whom.others).map(|whom| whom.consumers).min() {
        Some(0) => format!("consumers with {credentials} (0)"),
        Some(most) => format!("consumers with {credentials} (at most {most})"),
        None => format!("anybody with {credentials}"),
    }
}

/// The listeners by which nobody can pass, because a certificate is needed and none is asked for.
fn without_certificates(chain: &Chain, snapshot: &Snapshot) -> Vec<String> {
    let is_mtls = |link: &Link| matches!(&*link.policy, Policy::Mtls(_));
    let mut known = chain.authenticators().iter();
    let is_needed = if chain.demands_all() { known.any(is_mtls) } else { known.all(is_mtls) };
    let asks_nobody = |listener: &&Listener| {
        listener.client_certificates == ClientCertificates::Unasked && listener.redirect_https.is_none()
    };
    let out = snapshot.listeners.iter().filter(|_| is_needed).filter(asks_nobody);
    out.map(url).collect()
}

fn guards(chain: &Chain) -> Vec<Guard> {
    let others = chain.links().iter().filter(|link| is_guard(link));
    others.map(|link| Guard { kind: link.policy.kind().name, terms: link.policy.terms() }).collect()
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

fn url(listener: &Listener) -> String {
    let scheme = if listener.tls.is_some() { "https" } else { "http" };
    format!("{scheme}://{}", listener.address)
}

fn listener(listener: &Listener) -> String {
    let certificates = match listener.client_certificates {
        ClientCertificates::Unasked => "",
        ClientCertificates::Optional => " (asks for a certificate)",
        ClientCertificates::Required => " (only clients with a certificate)",
    };
    let more = if listener.redirect_https.is_some() { " (sends everybody to https)" } else { "" };
    format!("{}{certificates}{more}", url(listener))
}

impl Guard {
    fn text(&self) -> String {
        match &self.terms {
            Some(terms) => format!("{} ({terms})", self.kind),
            None => self.kind.to_owned(),
        }
    }
}

/// For people: a line for each route and service.
pub(crate) fn text(snapshot: &Snapshot) -> String {
    let listeners: Vec<String> = snapshot.listeners.iter().map(listener).collect();
    let mut out = format!("Every route can be reached by {}.\n\n", listeners.join(", "));
    let table: Vec<[String; 4]> = std::iter::once(["ROUTE", "WHO", "GUARDS", "TO"].map(str::to_owned))
        .chain(rows(snapshot).into_iter().map(|row| {
            let guards: Vec<String> = row.guards.iter().map(Guard::text).collect();
            let guards = if guards.is_empty() { "-".to_owned() } else { guards.join(", ") };
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
    let routes = rows(snapshot).into_iter().map(|row| {
        let terms =
            row.guards.iter().filter_map(|guard| Some((guard.kind.to_owned(), json!(guard.terms.as_ref()?))));
        json!({
            "route": row.route,
            "known_by": row.known_by,
            "all": row.all,
            "anonymous": row.anonymous,
            "who": row.who,
            "guards": row.guards.iter().map(|guard| guard.kind).collect::<Vec<_>>(),
            "terms": terms.collect::<serde_json::Map<_, _>>(),
            "to": row.target,
        })
    });
    json!({
        "listeners": snapshot.listeners.iter().map(listener).collect::<Vec<_>>(),
        "routes": routes.collect::<Vec<_>>(),
    })
}
