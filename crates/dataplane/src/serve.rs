//! One request, from its head to its outcome: the straight line.
//!
//! [`serve`] is the function to read first. It exists once; what the codecs below deliver is the same
//! whatever came over the wire.

use std::net::IpAddr;

use message::{Fault, Method, Name, Reply, client_address};
use policy::{Chain, Refusal, RequestCx};
use snapshot::{Action, Redirect, Route, Snapshot};

use crate::answer;
use crate::forward;
use crate::request::{Request, Subject};
use crate::serving::{Outcome, Serving};

/// Serves one request whose head was parsed.
pub(crate) async fn serve(s: &mut Serving<'_>) -> Outcome {
    let current = s.worker.current(); // a request stays with the snapshot it began with
    let snapshot = &*current.snapshot;

    if let Err(fault) = s.request.head.normalize() {
        return answer::fault(s, None, fault).await;
    }
    admit(s, snapshot);
    if let Some(reply) = answer_as_last_recipient(s) {
        return answer::reply(s, None, &reply).await;
    }
    let Some(route) = find_route(s, snapshot) else {
        return answer::fault(s, None, Fault::NoRoute).await;
    };
    if let Action::Forward { .. } = route.action
        && dodges_a_rule(s.request, snapshot, route)
    {
        return answer::fault(s, None, Fault::AmbiguousPath).await;
    }
    match &route.action {
        Action::Forward { split, rewrite } => {
            let target = split.choose(&mut s.worker.rng.borrow_mut());
            let permitted = match run_policies(s, &target.chain) {
                Ok(permitted) => permitted,
                Err(refusal) => return answer::refusal(s, &target.chain, refusal).await,
            };
            if let Some(template) = rewrite
                && let Err(fault) = rewrite_path(s.request, template)
            {
                return answer::fault(s, Some(&target.chain), fault).await;
            }
            let Some(service) = current.service(target.service) else {
                return answer::fault(s, Some(&target.chain), Fault::Internal).await;
            };
            forward::forward(s, permitted, service, &target.chain, route.timeout).await
        }
        Action::Redirect { redirect, chain } => match run_policies(s, chain) {
            Ok(_permitted) => {
                let reply = redirect_reply(s.request, redirect);
                answer::reply(s, Some(chain), &reply).await
            }
            Err(refusal) => answer::refusal(s, chain, refusal).await,
        },
        Action::Respond { reply, chain } => match run_policies(s, chain) {
            Ok(_permitted) => answer::reply(s, Some(chain), reply).await,
            Err(refusal) => answer::refusal(s, chain, refusal).await,
        },
    }
}

/// Settles who is calling and removes what must not travel on, before anybody looks at the fields.
fn admit(s: &mut Serving<'_>, snapshot: &Snapshot) {
    let request = &mut *s.request;
    request.head.headers.strip_request(request.meta.connection, s.info.trusted);
    request.client = client_address(&request.head.headers, s.info, |address: IpAddr| {
        snapshot.trusted_proxies.contains(address)
    });
}

/// `OPTIONS *` and `OPTIONS` with `Max-Forwards: 0` are for the gateway itself (RFC 9110 §7.6.2, §9.3.7).
fn answer_as_last_recipient(s: &mut Serving<'_>) -> Option<Reply> {
    let head = &mut s.request.head;
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

fn find_route<'a>(s: &mut Serving<'_>, snapshot: &'a Snapshot) -> Option<&'a Route> {
    let Request { head, captures, .. } = &mut *s.request;
    let index = snapshot.router.find(&Subject { head, path: head.path() }, captures)?;
    snapshot.routes.get(index.0 as usize)
}

/// Whether a service that reads the path less strictly than RFC 3986 would be reached in a way that
/// other rules forbid or guard. Such a path is refused instead of guessed at.
fn dodges_a_rule(request: &Request, snapshot: &Snapshot, route: &Route) -> bool {
    let Ok(readings) = message::lax_readings(request.head.path()) else { return true };
    readings.iter().any(|path| {
        let mut captures = router::Captures::default();
        let found = snapshot.router.find(&Subject { head: &request.head, path }, &mut captures);
        let Some(other) = found.and_then(|index| snapshot.routes.get(index.0 as usize)) else { return false };
        !std::ptr::eq(other, route) && !guards_like(route, other)
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

fn run_policies(s: &mut Serving<'_>, chain: &Chain) -> Result<policy::Permitted, Refusal> {
    let body_length = s.request.body_length();
    let request = &mut *s.request;
    chain.run_request(&mut RequestCx {
        head: &mut request.head,
        body_length,
        client: request.client,
        trusted_peer: s.info.trusted,
        state: &mut request.state,
        rng: &mut s.worker.rng.borrow_mut(),
    })
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
