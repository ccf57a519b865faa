//! The report for people, in the order in which a request meets things.
//!
//! It decides nothing, and says only what is in the report. Entry point: [`render`].

use dataplane::explain::{Answer, Decider, End, Known, Next, Reading, Said, Step, Upstream, Way};
use message::{Blame, reason_phrase};
use snapshot::{Protocol, Service};

use super::limits;
use super::page::{Page, row};
use super::report::{Report, algorithm, endpoints, kind, request_key, scheme, share, size};
use super::{fields, routes, supposed};

/// Longer bodies are shown by their beginning, in characters.
const SHOWN_BODY: usize = 60;

/// More endpoints of a service are only counted.
const MOST_ENDPOINTS: usize = 8;

/// The whole page.
pub(crate) fn render(report: &Report<'_>, all: bool, colour: bool) -> String {
    let mut page = Page::new(colour);
    page.title(&format!("{} {}", report.ask.method, report.ask.url));
    headline(report, &mut page);
    report.notes().for_each(|note| page.line(note));
    request(report, &mut page);
    routes::section(report, all, &mut page);
    let ways = report.ways();
    if let Some(answer) = report.answer() {
        page.title("Answer");
        answer_rows(report, answer, &[], &mut page);
    }
    section_per_way(report, &ways, "Policies, in the order in which they run", policies, &mut page);
    for way in &ways {
        end(report, way, ways.len() > 1, &mut page);
    }
    section_per_way(report, &ways, "Headers on the way to the service", fields::section, &mut page);
    limits::section(report, &ways, all, &mut page);
    page.into_text()
}

/// What becomes of the request, in a sentence.
fn headline(report: &Report<'_>, page: &mut Page) {
    let by_route = report.explanation.route.map_or_else(String::new, |route| {
        format!(" by route {} ({})", route.name, report.place(route.source))
    });
    if let Some(answer) = report.answer() {
        page.line(&format!("{}.", answered(report, answer, &[])));
        return;
    }
    match report.ways()[..] {
        [way] => match (&way.end, way.service) {
            (End::Forward(_), Some(service)) => {
                page.line(&format!("Forwarded to service {}{by_route}.", service.name));
            }
            (End::Forward(_), None) => {}
            (End::Answer(answer), _) => page.line(&format!("{}.", refused(report, answer, way))),
            (End::Unknown, _) => page.line(&format!("{}.", asks(&way.steps))),
        },
        ref ways => {
            page.line(&format!("Forwarded to one of {} services{by_route}:", ways.len()));
            let rows = ways.iter().map(|way| {
                let name = way.service.map_or("", |service| &service.name);
                match &way.end {
                    End::Forward(_) => row![share(way), name, ""],
                    End::Answer(answer) => row![share(way), name, refused(report, answer, way)],
                    End::Unknown => row![share(way), name, asks(&way.steps)],
                }
            });
            page.table(&rows.collect::<Vec<_>>());
        }
    }
}

/// `Policy basic would ask whether the password is right`
fn asks(steps: &[Step<'_>]) -> String {
    let asker = steps.iter().find(|step| step.said == Some(Said::Asks)).map_or("", kind);
    format!("Policy {asker} would ask somebody before it could tell, and nobody is asked to explain")
}

/// `Answered with 401 Unauthorized by policy jwt (gateward.yaml:9): mobile has no credential that this route accepts (jwt)`
fn refused(report: &Report<'_>, answer: &Answer, way: &Way<'_>) -> String {
    let answered = answered(report, answer, &way.steps);
    match report.supposed.and_then(|name| supposed::why(name, way)) {
        Some(why) => format!("{answered}: {why}"),
        None => answered,
    }
}

/// `Refused with 413 Content Too Large (body-too-large) by policy size_limit (gateward.yaml:9)`
fn answered(report: &Report<'_>, answer: &Answer, steps: &[Step<'_>]) -> String {
    let status = status(answer.status);
    let decider = report.decider(answer, steps);
    match (answer.fault, answer.by) {
        (None, _) => format!("Answered with {status} by {decider}"),
        (Some(fault), Decider::Policy(_)) => format!("Refused with {status} ({}) by {decider}", fault.code()),
        (Some(fault), _) => format!("Refused with {status} ({}) while {decider}", fault.code()),
    }
}

fn status(status: u16) -> String {
    format!("{status} {}", reason_phrase(status)).trim_end().to_owned()
}

/// What was understood of the request.
fn request(report: &Report<'_>, page: &mut Page) {
    page.title("Request");
    let (place, peer) = (report.listener.address, report.ask.peer.to_canonical());
    let others = report.snapshot.listeners.len() - 1;
    let which = if others > 0 { format!("one of {}: --listener chooses", others + 1) } else { String::new() };
    let tls = if report.listener.tls.is_some() { " (TLS)" } else { "" };
    let mut rows = vec![row!["listener", format!("{place}{tls}"), which]];
    if let Some(name) = report.server_name {
        rows.push(row!["server name", name, "asked for in the handshake"]);
    }
    let Some(understood) = &report.explanation.understood else {
        rows.push(row!["client", peer.to_string()]);
        page.table(&rows);
        return;
    };
    let claims = understood.trusted.then(|| format!("seen through the trusted proxy {peer}"));
    let claims = claims.filter(|_| understood.client != peer);
    let trusted = understood.trusted.then(|| "a trusted proxy".to_owned());
    rows.push(row!["client", understood.client.to_string(), claims.or(trusted).unwrap_or_default()]);
    rows.push(row!["host", understood.host.as_deref().unwrap_or("none")]);
    let asked = report.ask.path();
    let changed = if asked == understood.path { String::new() } else { format!("canonical form of {asked}") };
    rows.push(row!["path", understood.path.as_str(), changed]);
    if let Some(query) = &understood.query {
        rows.push(row!["query", query.as_str()]);
    }
    match understood.body {
        Some(0) => {}
        Some(length) => rows.push(row!["body", size(length)]),
        None => rows.push(row!["body", "in chunks, of unknown length"]),
    }
    page.table(&rows);
}

/// Writes a section once if it is the same for all ways, and otherwise for each.
fn section_per_way(
    report: &Report<'_>,
    ways: &[&Way<'_>],
    title: &str,
    section: fn(&Report<'_>, &Way<'_>, &mut Page) -> bool,
    page: &mut Page,
) {
    let texts = ways.iter().map(|way| {
        let mut part = Page::new(false);
        let says_something = section(report, way, &mut part);
        says_something.then(|| part.into_text())
    });
    let texts: Vec<Option<String>> = texts.collect();
    let same = texts.windows(2).all(|pair| pair.first() == pair.last());
    for (way, text) in ways.iter().zip(&texts).take(if same { 1 } else { ways.len() }) {
        let Some(text) = text else { continue };
        let to = way.service.filter(|_| !same).map(|service| format!(" ({})", service.name));
        page.title(&format!("{title}{}", to.unwrap_or_default()));
        text.lines().for_each(|line| page.line(line));
    }
}

/// The policies of a way, and what each says.
fn policies(report: &Report<'_>, way: &Way<'_>, page: &mut Page) -> bool {
    if way.steps.is_empty() {
        page.line("  none");
        return true;
    }
    let rows = way.steps.iter().map(|step| {
        let says = match step.said {
            // It draws, and what it has drawn here says nothing of the next request.
            Some(_) if kind(step) == "fault" => "delays or aborts a share of the requests".to_owned(),
            Some(Said::Stop(reason)) => match report.detail(step) {
                Some(detail) => format!("refuses: {detail}"),
                None if reason.is_empty() => "refuses".to_owned(),
                None => format!("refuses: {reason}"),
            },
            Some(Said::Answer("preflight")) => "answers the preflight".to_owned(),
            Some(Said::Answer(_)) => "answers".to_owned(),
            Some(Said::Known) => {
                let known = step.caller.as_ref().map_or_else(String::new, caller);
                let besides = report.detail(step).map_or_else(String::new, |detail| format!("; {detail}"));
                format!("knows the caller: {known}{besides}")
            }
            Some(Said::Missing) => report.detail(step).unwrap_or_else(|| "finds no credentials".to_owned()),
            Some(Said::Refused(reason)) => {
                let besides = report.detail(step).map_or_else(String::new, |detail| format!("; {detail}"));
                format!("refuses what is shown: {reason}{besides}")
            }
            Some(Said::Asks) => "would ask somebody".to_owned(),
            None => "not asked any more".to_owned(),
            Some(Said::Continue) => passes(report, step),
        };
        row![step.link.policy.stage().as_str(), kind(step), report.place(step.link.source), says]
    });
    page.table(&rows.collect::<Vec<_>>());
    if way.is_unverified {
        page.line("  The token was taken for genuine: the keys to tell are fetched when the gateway runs.");
    }
    let back: Vec<&str> = way.steps.iter().rev().map(kind).collect();
    match back[..] {
        [] | [_] => {}
        _ => page.line(&format!("  on the way back: {}", back.join(", "))),
    }
    true
}

/// `consumer mobile, groups apps, scopes orders:read`
fn caller(known: &Known) -> String {
    let name = if known.is_consumer { format!("consumer {}", known.name) } else { known.name.clone() };
    let list =
        |what: &str, texts: &[String]| (!texts.is_empty()).then(|| format!("{what} {}", texts.join(" ")));
    let claims = (known.claims != "{}").then(|| format!("claims {}", known.claims));
    let parts = [Some(name), list("groups", &known.groups), list("scopes", &known.scopes), claims];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// What a policy does to a request that it lets pass.
fn passes(report: &Report<'_>, step: &Step<'_>) -> String {
    let limit = step.body_limit.map(|limit| format!("allows bodies up to {}", size(limit)));
    let edits = Some(fields::summary(&step.changes)).filter(|edits| !edits.is_empty());
    let parts: Vec<String> = limit.into_iter().chain(edits).collect();
    match report.detail(step) {
        Some(detail) => format!("lets it pass: {detail}"),
        None if parts.is_empty() => "lets it pass".to_owned(),
        None => parts.join(", "),
    }
}

/// The service of a way, or the answer.
fn end(report: &Report<'_>, way: &Way<'_>, several: bool, page: &mut Page) {
    let name = way.service.map_or("", |service| &service.name);
    match (&way.end, way.service) {
        (End::Forward(upstream), Some(service)) => {
            let of = if several { format!(", {} of the requests", share(way)) } else { String::new() };
            page.title(&format!("Service {name}{of}"));
            let target = report.mask.hide(&upstream.target);
            let mut shown: Vec<(String, u32)> = endpoints(service).collect();
            let same = shown.iter().all(|(_, weight)| *weight == 1);
            let more = shown.len().saturating_sub(MOST_ENDPOINTS);
            shown.truncate(MOST_ENDPOINTS);
            let rows = shown.iter().map(|(authority, weight)| {
                let weight = if same { String::new() } else { format!("weight {weight}") };
                row![format!("{} {}://{authority}{target}", upstream.method, scheme(service)), weight]
            });
            page.table(&rows.collect::<Vec<_>>());
            if service.endpoints.len() > 1 {
                let others = if more > 0 { format!("and {more} more; ") } else { String::new() };
                page.line(&format!("  {others}one of them, chosen by {}", algorithm(service)));
            }
            page.line(&format!("  host: {}", report.mask.hide(&upstream.host)));
            manner(service, upstream).for_each(|line| page.line(&format!("  {line}")));
            release(report).for_each(|line| page.line(&format!("  {line}")));
        }
        (End::Forward(_), None) | (End::Unknown, _) => {}
        (End::Answer(answer), _) => {
            let of =
                if several { format!(", {}, {} of the requests", name, share(way)) } else { String::new() };
            page.title(&format!("Answer{of}"));
            answer_rows(report, answer, &way.steps, page);
        }
    }
}

/// How the service is spoken to, as far as it is not plain HTTP/1.1.
fn manner(service: &Service, upstream: &Upstream) -> impl Iterator<Item = &'static str> {
    let version = match service.protocol {
        Protocol::Http1 => None,
        Protocol::Http2 => Some("over HTTP/2: host is its :authority"),
        Protocol::Auto => Some("over HTTP/2 or HTTP/1.1, as the handshake settles"),
    };
    let lines = [
        version,
        service
            .proxy_protocol
            .map(|_| "Its connections begin with the address of the client (PROXY protocol)."),
        service.health.is_some().then_some("Endpoints are probed; those that fail get no requests."),
        upstream.grpc_web.then_some("gRPC-Web is translated to gRPC, and the answer back."),
        upstream.websocket.then_some("The client wants a WebSocket: after 101 bytes pass both ways."),
        (upstream.method == "CONNECT")
            .then_some("The client gets the connection itself: bytes pass both ways."),
    ];
    lines.into_iter().flatten()
}

/// What besides shares decides which service gets a request, and who gets a copy.
fn release(report: &Report<'_>) -> impl Iterator<Item = String> {
    let route = report.explanation.route;
    let canary = route.and_then(|route| route.canary.as_ref());
    let canary = canary.map(|plan| format!("Shares change by themselves: {plan}."));
    let by = route.and_then(|route| route.action.split_by());
    let by = by.map(|key| format!("Requests with the same {} go to the same service.", request_key(key)));
    let mirror = route.and_then(|route| route.action.mirror());
    let mirror = mirror.and_then(|mirror| {
        let service = report.snapshot.services.get(mirror.service.0)?;
        Some(format!(
            "Service {} gets copies of {}% of the requests.",
            service.name,
            f64::from(mirror.share) / 100.0
        ))
    });
    [canary, by, mirror].into_iter().flatten()
}

/// What the gateway answers, and why.
fn answer_rows(report: &Report<'_>, answer: &Answer, steps: &[Step<'_>], page: &mut Page) {
    let mut rows = vec![row!["status", status(answer.status)]];
    if let Some(fault) = answer.fault {
        rows.push(row!["code", fault.code()]);
        rows.push(row!["meaning", fault.detail()]);
        let whose = match fault.blame() {
            Blame::Client => "the client",
            Blame::Gateway => "the gateway: its configuration or its limits",
            Blame::Service => "the service",
        };
        rows.push(row!["fault of", whose]);
    }
    rows.push(row!["decided by", report.decider(answer, steps)]);
    if let Next::Ambiguous(_, reading) = &report.explanation.next {
        let other = match reading {
            Reading::Traversal => "a service could take it for a path with `..` or `.` segments".to_owned(),
            Reading::Path(path, route) => {
                let (name, place) = (&route.name, report.place(route.source));
                format!("a service could take it for {path}, where route {name} ({place}) holds")
            }
        };
        rows.push(row!["reading", other]);
    }
    for (name, value) in &answer.fields {
        rows.push(row!["header", format!("{name}: {}", report.value(value, answer.generated.as_deref()))]);
    }
    // A fault is described above, and its body says the same in JSON.
    if answer.fault.is_none() && !answer.body.is_empty() {
        let body = report.mask.hide(&String::from_utf8_lossy(&answer.body));
        let first: String = body.lines().next().unwrap_or_default().chars().take(SHOWN_BODY).collect();
        let rest = if first.len() < body.trim_end().len() { " …" } else { "" };
        rows.push(row!["body", format!("{} bytes: {first}{rest}", answer.body.len())]);
    }
    page.table(&rows);
}
