//! What the admin listener answers.
//!
//! Every page is a function from the view to a text. Entry point: [`answer`].

use std::net::IpAddr;
use std::time::SystemTime;

use control::{Phase, View};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use telemetry::Metrics;

use crate::access::{self, Denied};
use crate::limits::{Asked, Refused};
use crate::{canaries, certificates, drain, issuers, keys, limits, routes, services};

/// What there is, and what it says.
const PAGES: &[(&str, &str)] = &[
    ("/livez", "200 while every worker lives; needs no token"),
    ("/readyz", "200 while it serves, 503 from the moment it is told to stop; needs no token"),
    ("/metrics", "all numbers, in the Prometheus text format"),
    ("/config", "the configuration in use, with defaults and without secrets, and how the last reload went"),
    ("/routes", "the routes in use, where they lead and what they have counted"),
    ("/services", "the services in use, their endpoints, connections and counts"),
    (
        "/services/NAME/endpoints/ADDRESS/drain",
        "POST: this address gets no new requests; `undrain` takes that back",
    ),
    ("/canaries", "new versions on their way: the share of each, and why it goes on or not"),
    (
        "/canaries/ROUTE/ORDER",
        "POST: `pause`, `resume`, `promote`, `abort` or `restart` the canary of a route",
    ),
    (
        "/limits",
        "the limits in use, and the store that shares them; with `?key=CONSUMER` how they stand for somebody",
    ),
    ("/limits/reset", "POST with `?key=CONSUMER`: forgets what somebody has used"),
    (
        "/usage",
        "who has used what of quotas in the periods that run; with `?key=CONSUMER` of one, with `?at=PLACE` of one place",
    ),
    ("/keys", "API keys made while it runs; POST makes one for a consumer and tells its secret, once"),
    ("/keys/ID", "one of them; DELETE removes it"),
    ("/keys/ID/ORDER", "POST: `rotate`, `disable`, `enable` or `expire` a key"),
    ("/issuers", "whose tokens are believed, which keys they have, and how fetching these goes"),
    ("/certificates", "the certificates of each listener, when they end, and how orders by ACME go"),
];

const TEXT: &str = "text/plain; charset=utf-8";

/// Answers one request that came to the listener at an address, from another one.
pub(crate) async fn answer(
    view: &View,
    at: IpAddr,
    by: IpAddr,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    match refusal(view, at, &request) {
        Some(reply) => reply,
        None if keys::concerns(request.uri().path()) => keys::answer(view, by, request).await,
        None => page(view, by, &request).await,
    }
}

/// What is said to whoever may not ask for this.
fn refusal(view: &View, at: IpAddr, request: &Request<Incoming>) -> Option<Response<Full<Bytes>>> {
    let open = matches!(request.uri().path(), "/livez" | "/readyz");
    match access::check(&view.active().snapshot.admin, at, request.headers(), open) {
        Ok(()) => None,
        Err(Denied::Origin) => {
            Some(text(StatusCode::FORBIDDEN, "This address answers requests for this machine only.\n"))
        }
        Err(Denied::Token) => {
            let mut reply =
                text(StatusCode::UNAUTHORIZED, "A token is needed: authorization: Bearer TOKEN\n");
            reply.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            Some(reply)
        }
    }
}

/// What a page about limits is asked for; or what is wrong with it.
fn asked(view: &View, path: &str, query: &str) -> Result<Asked, Box<Response<Full<Bytes>>>> {
    let known: &[&str] = match path {
        "/limits" | "/limits/reset" => &["key", "at"],
        "/usage" => &["key", "at", "after"],
        _ => return Ok(Asked::default()),
    };
    let wrong = |status, why: &str| Box::new(text(status, &format!("{why}\n")));
    let asked = Asked::parse(query, known).map_err(|why| wrong(StatusCode::BAD_REQUEST, &why))?;
    if path == "/limits/reset" && !asked.says_whose() {
        let why = "Say whose: POST /limits/reset?key=CONSUMER, with one `key` for each of `by`.";
        return Err(wrong(StatusCode::BAD_REQUEST, why));
    }
    match asked.names_no_place(&view.active().snapshot) {
        Some(why) => Err(wrong(StatusCode::NOT_FOUND, &why)),
        None => Ok(asked),
    }
}

async fn page(view: &View, by: IpAddr, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    let asked = match asked(view, path, request.uri().query().unwrap_or_default()) {
        Ok(asked) => asked,
        Err(wrong) => return *wrong,
    };
    let change = Change::parse(path, &asked);
    let wrong_method = |how: &'static str, allowed| {
        let mut reply = text(StatusCode::METHOD_NOT_ALLOWED, how);
        reply.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
        reply
    };
    match (request.method(), change) {
        (&Method::POST, Some(change)) => {
            return match change.run(view, by).await {
                Ok(done) => json_reply(&done),
                Err(Refused::Unknown(why)) => text(StatusCode::NOT_FOUND, &format!("{why}\n")),
                Err(Refused::NotNow(why)) => text(StatusCode::SERVICE_UNAVAILABLE, &format!("{why}\n")),
            };
        }
        (_, Some(_)) => return wrong_method("Changes are asked for with POST.\n", "POST"),
        (&Method::GET | &Method::HEAD, None) => {}
        (_, None) => return wrong_method("This page is asked for with GET.\n", "GET, HEAD"),
    }
    match path {
        "/" => text(StatusCode::OK, &index()),
        "/livez" => live(view),
        "/readyz" => ready(view),
        "/metrics" => reply(StatusCode::OK, Metrics::CONTENT_TYPE, view.metrics.render()),
        "/config" => json_reply(&config(view)),
        "/routes" => json_reply(&routes::page(view)),
        "/canaries" => json_reply(&canaries::page(view)),
        "/certificates" => json_reply(&certificates::page(view, SystemTime::now())),
        "/limits" => json_reply(&limits::page(view, &asked).await),
        "/usage" => json_reply(&limits::usage(view, &asked)),
        "/issuers" => json_reply(&issuers::page(view)),
        "/services" => json_reply(&services::page(view)),
        _ => text(StatusCode::NOT_FOUND, &format!("There is no such page. There are:\n\n{}", index())),
    }
}

/// What can be changed.
enum Change<'p> {
    Drain(drain::Drain<'p>),
    Canary(&'p str, control::CanaryOrder),
    Limits(&'p Asked),
}

impl<'p> Change<'p> {
    /// What a path asks for; `None` if it is a page.
    fn parse(path: &'p str, asked: &'p Asked) -> Option<Change<'p>> {
        if path == "/limits/reset" {
            return Some(Change::Limits(asked));
        }
        let canary = canaries::parse(path).map(|(route, order)| Change::Canary(route, order));
        drain::parse(path).map(Change::Drain).or(canary)
    }

    async fn run(&self, view: &View, by: IpAddr) -> Result<Value, Refused> {
        match self {
            Change::Drain(drain) => drain::run(view, drain).map_err(Refused::Unknown),
            Change::Limits(asked) => limits::reset(view, asked, by).await,
            Change::Canary(route, order) => canaries::run(view, route, *order).map_err(Refused::Unknown),
        }
    }
}

fn index() -> String {
    PAGES.iter().map(|(path, what)| format!("{path:<13} {what}\n")).collect()
}

fn live(view: &View) -> Response<Full<Bytes>> {
    let hanging = view.hanging_workers();
    if hanging.is_empty() {
        return text(StatusCode::OK, "live\n");
    }
    let names: Vec<String> = hanging.iter().map(|index| format!("worker-{index}")).collect();
    text(StatusCode::SERVICE_UNAVAILABLE, &format!("not live: {} hangs\n", names.join(", ")))
}

fn ready(view: &View) -> Response<Full<Bytes>> {
    match view.phase() {
        Phase::Serving => text(StatusCode::OK, "ready\n"),
        Phase::Starting => text(StatusCode::SERVICE_UNAVAILABLE, "not ready: starting\n"),
        Phase::Stopping => text(StatusCode::SERVICE_UNAVAILABLE, "not ready: stopping\n"),
    }
}

/// The configuration in use, and how it got there.
fn config(view: &View) -> Value {
    let active = view.active();
    let rejected = view.rejected().map(|rejected| json!({ "at": seconds(rejected.at), "why": rejected.why }));
    let files: Vec<&str> = active.sources.names().collect();
    json!({
        "loaded_at": seconds(active.since),
        "files": files,
        "rejected": rejected,
        "config": effective(view),
    })
}

/// The configuration with defaults and without secrets.
pub(crate) fn effective(view: &View) -> Value {
    view.active().tree.as_ref().map_or(Value::Null, |tree| config::effective(tree, &policy::shape))
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

pub(crate) fn json_reply(value: &Value) -> Response<Full<Bytes>> {
    reply(StatusCode::OK, "application/json", format!("{value:#}\n"))
}

fn text(status: StatusCode, body: &str) -> Response<Full<Bytes>> {
    reply(status, TEXT, body.to_owned())
}

pub(crate) fn reply(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut reply = Response::new(Full::new(Bytes::from(body)));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}
