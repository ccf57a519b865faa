//! What becomes of a request: the decisions, without any waiting.
//!
//! [`find`] leads from a head to a route, [`permit`] from there to a service or to an answer. They know neither
//! sockets nor workers, so that [`crate::explain()`] runs the very code that serves.

use std::net::IpAddr;

use message::{
    Fault, ForwardingInfo, Method, Name, Reply, RequestHead, client_address, write_forwarding_headers,
};
use policy::{Answer, Chain, Halt, Permitted, Refusal, RequestCx, Saw, Verified};
use router::RouteIndex;
use snapshot::{Action, Listener, Redirect, Route, Snapshot};

use crate::request::{Request, Subject};
use crate::translation::translate_request;
use crate::websocket;

/// A request that passed this gateway this often already goes in a circle.
const MOST_LOOPS: usize = 8;

/// How a request goes on after its policies let it pass.
pub(crate) enum Onward {
    /// To the service of the route.
    Forward(Permitted),
    /// Back to the client, with the reply that the route says.
    Respond,
    /// Back to the client, with this, which says where to go.
    Redirect(Reply),
}

impl Onward {
    /// What goes back to the client, on a route with this action.
    pub(crate) fn reply<'a>(&'a self, action: &'a Action) -> Option<&'a Reply> {
        match (self, action) {
            (Onward::Redirect(reply), _) => Some(reply),
            (Onward::Respond, Action::Respond { reply, .. }) => Some(reply),
            _ => None,
        }
    }
}

/// Finds the route of a request whose head was parsed, or what is answered without one.
pub(crate) fn find(
    request: &mut Request,
    info: &ForwardingInfo,
    listener: &Listener,
    snapshot: &Snapshot,
) -> Result<RouteIndex, Refusal> {
    request.head.normalize().map_err(Refusal::Fault)?;
    if info.encryption.is_some() && info.is_misdirected(request.head.host()) {
        return Err(Refusal::Fault(Fault::Misdirected));
    }
    if request.early && !matches!(request.head.method, Method::Get | Method::Head | Method::Options) {
        return Err(Refusal::Fault(Fault::TooEarly));
    }
    if let Some(reply) = answer_before_routes(&request.head, listener, snapshot) {
        return Err(Refusal::Reply(reply));
    }
    admit(request, info, snapshot);
    if let Some(reply) = answer_as_last_recipient(&mut request.head) {
        return Err(Refusal::Reply(reply));
    }
    let Request { head, captures, .. } = &mut *request;
    let found = snapshot.router.find(&Subject { head, path: head.path() }, captures);
    let connects = head.method == Method::Connect;
    let nothing = if connects { Fault::MethodNotImplemented } else { Fault::NoRoute };
    let index = found.ok_or(Refusal::Fault(nothing))?;
    let route = snapshot.routes.get(index.0 as usize).ok_or(Refusal::Fault(Fault::Internal))?;
    // A route that takes every method does not mean this one.
    if connects && !route.connect {
        return Err(Refusal::Fault(Fault::MethodNotImplemented));
    }
    if matches!(route.action, Action::Forward { .. }) && dodge(&request.head, snapshot, route).is_some() {
        return Err(Refusal::Fault(Fault::AmbiguousPath));
    }
    Ok(index)
}

/// What policies have of the worker that runs them, and of whom they asked.
pub(crate) struct Local<'w> {
    /// Randomness.
    pub(crate) rng: &'w mut fastrand::Rng,
    /// Credentials that were verified lately.
    pub(crate) verified: &'w mut Verified,
    /// The time, in seconds since 1970.
    pub(crate) now: u64,
    /// The answer to what was asked.
    pub(crate) answer: Option<Answer>,
}

/// Runs the policies on one way of a route, and prepares the request for the service. Where a policy has asked
/// something, it is called again with the answer, and goes on from there. `watch` sees the request after each policy:
/// serving does not look.
pub(crate) fn permit(
    request: &mut Request,
    info: &ForwardingInfo,
    route: &Route,
    chain: &Chain,
    local: Local<'_>,
    watch: impl FnMut(usize, Saw<'_>, &RequestCx<'_>),
) -> Result<Onward, Halt> {
    let refused = |fault| Halt::Refused(Refusal::Fault(fault));
    let Local { rng, verified, now, answer } = local;
    let body_length = request.body_length();
    let mut cx = RequestCx {
        head: &mut request.head,
        body_length,
        client: request.client,
        encryption: info.encryption.as_deref(),
        trusted_peer: info.trusted,
        state: &mut request.state,
        rng: &mut *rng,
        now,
        at: request.record.started,
        route: &route.name,
        consumers: &route.consumers,
        verified,
        answer,
    };
    let permitted = chain.run_request(&mut cx, watch)?;
    match &route.action {
        Action::Forward { rewrite, .. } => {
            if let Some(template) = rewrite {
                rewrite_path(request, template).map_err(refused)?;
            }
            prepare(request, info).map_err(refused)?;
            route.reserved.strip_cookies(&mut request.head.headers);
            if route.grpc_web {
                request.grpc_web = translate_request(&mut request.head, &mut request.meta);
            }
            if request.meta.upgrade_websocket && request.head.version.has_streams() {
                request.head.headers.set(b"sec-websocket-key", &websocket::new_key(rng));
            }
            Ok(Onward::Forward(permitted))
        }
        Action::Redirect { redirect, .. } => Ok(Onward::Redirect(redirect_reply(request, redirect))),
        Action::Respond { .. } => Ok(Onward::Respond),
    }
}

/// Settles who is calling and removes what must not travel on, before anybody looks at the fields.
fn admit(request: &mut Request, info: &ForwardingInfo, snapshot: &Snapshot) {
    request.head.headers.strip_request(request.meta.connection, info.trusted);
    snapshot.reserved.strip_fields(&mut request.head.headers);
    if info.trusted && request.head.headers.first(Name::XForwardedProto) == Some(b"https") {
        request.state.https = true;
    }
    request.client = client_address(&request.head.headers, info, |address: IpAddr| {
        snapshot.trusted_proxies.contains(address)
    });
}

/// Adds what the gateway says about the client and about itself.
fn prepare(request: &mut Request, info: &ForwardingInfo) -> Result<(), Fault> {
    let head = &mut request.head;
    if head.headers.add_via(head.version) > MOST_LOOPS {
        return Err(Fault::LoopDetected);
    }
    if request.early {
        head.headers.set(b"early-data", b"1");
    }
    // The authority may be part of the same text that the fields are added to.
    request.scratch.clear();
    request.scratch.extend_from_slice(head.client_authority().unwrap_or_default());
    write_forwarding_headers(&mut head.headers, info, &request.scratch);
    if let Some(certificate) = info.forwarded_certificate() {
        head.headers.set_certificate(certificate, &mut request.scratch);
    }
    Ok(())
}

/// Where authorities look for what they gave an ACME client to show (RFC 8555 §8.3).
const ACME: &[u8] = b"/.well-known/acme-challenge/";

/// What a listener answers whatever the routes say: an authority that is about to issue a certificate, and clients
/// that are to come by HTTPS.
fn answer_before_routes(head: &RequestHead, listener: &Listener, snapshot: &Snapshot) -> Option<Reply> {
    if let Some(token) = head.path().strip_prefix(ACME)
        && let Some(answer) =
            std::str::from_utf8(token).ok().and_then(|token| snapshot.acme.challenges.token(token))
    {
        let reply = Reply::status(200).header("content-type", "application/octet-stream");
        return Some(Reply { body: answer.as_bytes().to_vec().into(), ..reply });
    }
    let port = listener.redirect_https?;
    let mut to = format!("https://{}", head.host()?);
    if port != 443 {
        to.push_str(&format!(":{port}"));
    }
    // It was checked to be visible ASCII when it was read.
    to.push_str(&String::from_utf8_lossy(head.path()));
    if let Some(query) = head.query() {
        to.push('?');
        to.push_str(&String::from_utf8_lossy(query));
    }
    Some(Reply::status(308).header("location", to))
}

/// `OPTIONS *` and `OPTIONS` with `Max-Forwards: 0` are for the gateway itself (RFC 9110 §7.6.2, §9.3.7).
fn answer_as_last_recipient(head: &mut RequestHead) -> Option<Reply> {
    if head.method != Method::Options {
        return None;
    }
    let hops = head
        .headers
        .first(Name::MaxForwards)
        .map(|value| std::str::from_utf8(value).ok().and_then(|text| text.parse::<u32>().ok()));
    match hops {
        _ if head.path() == b"*" => {}
        None | Some(None) => return None,
        Some(Some(0)) => {}
        Some(Some(hops)) => {
            head.headers.set(b"max-forwards", (hops - 1).to_string().as_bytes());
            return None;
        }
    }
    Some(Reply::status(204).header("allow", "GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS"))
}

/// How a path could be read so that a rule does not hold.
pub(crate) enum Dodge<'s> {
    /// With dot segments, which lead anywhere.
    Traversal,
    /// As this path, which is under the rules of this route.
    Reading(Vec<u8>, &'s Route),
}

/// How a service that reads the path less strictly than RFC 3986 would be reached in a way that
/// other rules forbid or guard. Such a path is refused instead of guessed at.
pub(crate) fn dodge<'s>(head: &RequestHead, snapshot: &'s Snapshot, route: &Route) -> Option<Dodge<'s>> {
    let Ok(readings) = message::lax_readings(head.path()) else { return Some(Dodge::Traversal) };
    readings.into_iter().find_map(|path| {
        let mut captures = router::Captures::default();
        let found = snapshot.router.find(&Subject { head, path: &path }, &mut captures)?;
        let other = snapshot.routes.get(found.0 as usize)?;
        let dodges = !std::ptr::eq(&**other, route) && !guards_like(route, other);
        dodges.then(|| Dodge::Reading(path, other))
    })
}

/// Whether two routes let the same requests through to some service.
fn guards_like(one: &Route, other: &Route) -> bool {
    let (Action::Forward { split: one, .. }, Action::Forward { split: other, .. }) =
        (&one.action, &other.action)
    else {
        return false;
    };
    let all =
        |split: &snapshot::Split, chain: &Chain| split.targets().iter().all(|t| t.chain.guards_like(chain));
    one.targets().iter().all(|target| all(other, &target.chain))
}

fn rewrite_path(request: &mut Request, template: &snapshot::Template) -> Result<(), Fault> {
    request.scratch.clear();
    template.render(request.head.path(), &request.captures, &mut request.scratch);
    let (path, query) = match memchr::memchr(b'?', &request.scratch) {
        Some(mark) => (&request.scratch[..mark], Some(&request.scratch[mark + 1..])),
        None => (&request.scratch[..], None),
    };
    // Captures are parts of a canonical path; putting them together can still make dot segments, and
    // those are resolved like everywhere else. What comes out must not have a second reading either.
    request.head.rewrite(path, query).map_err(|_| Fault::BadTarget)?;
    message::lax_readings(request.head.path()).map(|_| ()).map_err(|()| Fault::AmbiguousPath)
}

fn redirect_reply(request: &Request, redirect: &Redirect) -> Reply {
    let mut to = Vec::new();
    redirect.to.render(request.head.path(), &request.captures, &mut to);
    // A path that begins with two slashes would be another site.
    while to.starts_with(b"//") {
        to.remove(0);
    }
    if let Some(query) = request.head.query()
        && !to.contains(&b'?')
    {
        to.push(b'?');
        to.extend_from_slice(query);
    }
    Reply::status(redirect.status).header("location", String::from_utf8_lossy(&to).into_owned())
}
