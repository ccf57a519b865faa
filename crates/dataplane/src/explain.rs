//! What would become of a request, and why: without sockets, by the code that serves.
//!
//! A head goes through the codec and through `decide.rs`, and is written as it would be for the service. Nothing
//! is decided here; what was decided is taken down. It costs time and memory: it is for people, not for requests.
//! Entry point: [`explain()`].

mod step;
#[cfg(test)]
mod tests;
mod trail;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use message::{Encryption, Fault, ForwardingInfo, Reply, RequestHead, ResponseHead};
use policy::{Chain, Halt, Refusal, RequestCx, Saw, Verified};
use router::{Candidate, RouteIndex};
use snapshot::{Action, Listener, Route, Service, Snapshot};
use wire::{HeadLimits, HeadScan, Kind};

use crate::answer;
use crate::attempt::write_request;
use crate::client::{head_limits, introduce};
use crate::decide::{self, Local, Onward};
use crate::explain::trail::{Trail, fields, text, values};
use crate::request::{Request, Subject};

pub use step::{Known, Said, Step};
pub use trail::{Cause, Change, Fields};

/// Where randomness begins, so that the same question has the same answer.
const SEED: u64 = 1;

/// A request to be explained.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Its head as a client sends it, with the empty line at the end.
    pub head: &'a [u8],
    /// By which listener it comes.
    pub listener: &'a Listener,
    /// The address at the other end of the connection.
    pub peer: IpAddr,
    /// The server that is asked for in the handshake, where the listener has one.
    pub server_name: Option<&'a str>,
    /// The consumer that is supposed to be calling, whatever the request shows.
    pub supposed: Option<u32>,
    /// The time, in seconds since 1970.
    pub now: u64,
}

/// What becomes of a request.
#[derive(Debug)]
pub struct Explanation<'s> {
    /// What was understood of it; `None` if it was refused before.
    pub understood: Option<Understood>,
    /// Every alternative in order of precedence; empty if none was looked at.
    pub candidates: Vec<Tried<'s>>,
    /// The route it takes.
    pub route: Option<&'s Route>,
    /// How it goes on.
    pub next: Next<'s>,
}

/// How a request goes on after routes were looked for.
#[derive(Debug)]
pub enum Next<'s> {
    /// It takes a route. There is one way for each service of a split, and otherwise one.
    Ways(Vec<Way<'s>>),
    /// It is answered without a route.
    Answer(Answer),
    /// Its path could be read so that another rule holds: that is refused.
    Ambiguous(Answer, Reading<'s>),
}

/// What the gateway understood of a request, in the form that routes see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Understood {
    /// The method.
    pub method: String,
    /// The canonical host without port; `None` if it names none.
    pub host: Option<String>,
    /// The canonical path.
    pub path: String,
    /// The query without its question mark.
    pub query: Option<String>,
    /// The client, seen through trusted proxies.
    pub client: IpAddr,
    /// Whether the peer is a trusted proxy.
    pub trusted: bool,
    /// The length of the body; `None` if it comes in chunks.
    pub body: Option<u64>,
    /// The fields that are left after those that do not travel on were removed.
    pub fields: Fields,
}

/// One alternative of a route, and what became of it.
#[derive(Clone, Debug)]
pub struct Tried<'s> {
    /// The alternative.
    pub candidate: Candidate<'s>,
    /// The values that the request has of the header or query parameter that failed.
    pub had: Vec<String>,
}

/// How a path could be read so that another rule holds.
#[derive(Debug)]
pub enum Reading<'s> {
    /// With dot segments.
    Traversal,
    /// As this path, which leads to this route.
    Path(String, &'s Route),
}

/// One way of a route.
#[derive(Debug)]
pub struct Way<'s> {
    /// The service; `None` if the route answers itself.
    pub service: Option<&'s Service>,
    /// Its share among the ways, and the sum of all shares.
    pub share: (u32, u64),
    /// The policies in order.
    pub steps: Vec<Step<'s>>,
    /// Where it ends.
    pub end: End,
    /// A token was taken for genuine: the keys to tell are fetched when the gateway runs.
    pub is_unverified: bool,
}

/// Where a way ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// At the service.
    Forward(Upstream),
    /// At the gateway.
    Answer(Answer),
    /// At a policy that would have to ask somebody, and nobody is asked to explain.
    Unknown,
}

/// A request as its service gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// The method.
    pub method: String,
    /// The path, with the query if there is one.
    pub target: String,
    /// The value of Host.
    pub host: String,
    /// All fields.
    pub fields: Fields,
    /// What differs from what the client sent.
    pub changes: Vec<Change>,
    /// Whether it may be sent again after the service may have seen it.
    pub may_be_repeated: bool,
    /// Whether a WebSocket is asked for.
    pub websocket: bool,
    /// Whether it came in gRPC-Web, and is translated.
    pub grpc_web: bool,
    /// The id that was made for it: another one for each request.
    pub generated: Option<String>,
}

/// What the gateway answers itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Who decided it.
    pub by: Decider,
    /// The fault; `None` for an answer that is meant.
    pub fault: Option<Fault>,
    /// The status.
    pub status: u16,
    /// The fields after the response policies, without Date and what is about the connection.
    pub fields: Fields,
    /// The body.
    pub body: Vec<u8>,
    /// The id that was made for the request: another one for each request.
    pub generated: Option<String>,
}

impl Answer {
    /// Whether it is what the request was to get: that of a route, of the gateway about itself, or of a policy that has
    /// done what was asked, such as a preflight.
    pub fn is_meant(&self) -> bool {
        self.fault.is_none()
            && match self.by {
                Decider::Route | Decider::Gateway | Decider::Listener => true,
                Decider::Policy(_) => (200..300).contains(&self.status),
                Decider::Reading | Decider::Normalizing | Decider::Routing | Decider::Preparing => false,
            }
    }
}

/// Who decides that the gateway answers itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decider {
    /// Reading the head.
    Reading,
    /// Bringing host and path into their canonical form.
    Normalizing,
    /// Looking for a route.
    Routing,
    /// The request asks about the gateway itself.
    Gateway,
    /// What the listener is set to, before any route: clients are to come by https, or by another connection.
    Listener,
    /// The policy at this position.
    Policy(usize),
    /// Making the request for the service.
    Preparing,
    /// The route.
    Route,
}

/// Says what becomes of a request.
pub fn explain<'s>(question: &Question<'_>, snapshot: &'s Snapshot) -> Explanation<'s> {
    let info = met(question, snapshot);
    let mut request = Request::default();
    let refused = |request: &mut Request, refusal, by| {
        let answer = refuse(request, &snapshot.gateway, &mut fastrand::Rng::with_seed(SEED), refusal, by);
        Explanation { understood: None, candidates: Vec::new(), route: None, next: Next::Answer(answer) }
    };
    if let Err(fault) = read(question, &info, &mut request) {
        return refused(&mut request, Refusal::Fault(fault), Decider::Reading);
    }
    let found = decide::find(&mut request, &info, question.listener, snapshot);
    if let Err(refusal) = found {
        return match refusal {
            Refusal::Reply(Reply { status: 308, .. }) => refused(&mut request, refusal, Decider::Listener),
            Refusal::Reply(_) => refused(&mut request, refusal, Decider::Gateway),
            Refusal::Fault(Fault::Misdirected) => refused(&mut request, refusal, Decider::Listener),
            Refusal::Fault(Fault::NoRoute | Fault::AmbiguousPath | Fault::Internal) => {
                let candidates = candidates(&request.head, snapshot);
                let understood = Some(understand(&request, &info));
                let reading = reading(&request.head, &candidates, snapshot);
                let whole = refused(&mut request, refusal, Decider::Routing);
                let next = match (whole.next, reading) {
                    (Next::Answer(answer), Some(reading)) => Next::Ambiguous(answer, reading),
                    (next, _) => next,
                };
                Explanation { understood, candidates, next, ..whole }
            }
            Refusal::Fault(_) => refused(&mut request, refusal, Decider::Normalizing),
        };
    }
    let candidates = candidates(&request.head, snapshot);
    let understood = understand(&request, &info);
    let route = found.ok().and_then(|index| route_at(snapshot, index));
    let ways = route.into_iter().flat_map(|route| {
        (0..route.action.ways()).filter_map(|number| way(question, snapshot, &info, route, number))
    });
    let ways = ways.collect();
    Explanation { understood: Some(understood), candidates, route, next: Next::Ways(ways) }
}

/// What is known of the connection.
fn met(question: &Question<'_>, snapshot: &Snapshot) -> ForwardingInfo {
    let mut info = introduce(SocketAddr::new(question.peer, 0));
    info.trusted = snapshot.trusted_proxies.contains(info.peer);
    if question.listener.tls.is_some() {
        info.scheme = "https";
        let server_name = question.server_name.map(|name| name.to_ascii_lowercase().into());
        info.encryption = Some(Arc::new(Encryption { server_name, ..Encryption::default() }));
    }
    info
}

/// Reads the head, as it is read from a connection.
fn read(question: &Question<'_>, info: &ForwardingInfo, request: &mut Request) -> Result<(), Fault> {
    request.state.https = info.scheme == "https";
    let limits = head_limits(&question.listener.limits);
    // A head without its end is waited for.
    let end = HeadScan::default().find_end(question.head, &limits, Kind::Request)?;
    let head = end.and_then(|end| question.head.get(..end)).ok_or(Fault::HeaderTimeout)?;
    request.meta = wire::parse_request(head, &limits, &mut request.head)?;
    Ok(())
}

fn route_at(snapshot: &Snapshot, index: RouteIndex) -> Option<&Route> {
    snapshot.routes.get(index.0 as usize).map(|route| &**route)
}

fn understand(request: &Request, info: &ForwardingInfo) -> Understood {
    Understood {
        method: text(request.head.method_bytes()),
        host: request.head.host().map(str::to_owned),
        path: text(request.head.path()),
        query: request.head.query().map(text),
        client: request.client,
        trusted: info.trusted,
        body: request.body_length(),
        fields: fields(&request.head.headers),
    }
}

fn candidates<'s>(head: &RequestHead, snapshot: &'s Snapshot) -> Vec<Tried<'s>> {
    let subject = Subject { head, path: head.path() };
    let tried = |candidate: Candidate<'s>| {
        let had = candidate.verdict.had(&subject).iter().map(|value| text(value)).collect();
        Tried { candidate, had }
    };
    snapshot.router.explain(&subject).into_iter().map(tried).collect()
}

/// Why a path is ambiguous, if it is.
fn reading<'s>(head: &RequestHead, candidates: &[Tried<'s>], snapshot: &'s Snapshot) -> Option<Reading<'s>> {
    let matched = candidates.iter().find(|tried| tried.candidate.verdict == router::Verdict::Matched)?;
    let route = route_at(snapshot, matched.candidate.route)?;
    decide::dodge(head, snapshot, route).map(|dodge| match dodge {
        decide::Dodge::Traversal => Reading::Traversal,
        decide::Dodge::Reading(path, other) => Reading::Path(text(&path), other),
    })
}

/// Follows one way of a route from the beginning, as if it had been chosen.
fn way<'s>(
    question: &Question<'_>,
    snapshot: &'s Snapshot,
    info: &ForwardingInfo,
    route: &'s Route,
    number: usize,
) -> Option<Way<'s>> {
    let chain = route.action.chain(number)?;
    let service = route.action.service(number).and_then(|index| snapshot.services.get(index.0));
    let mut request = Request::default();
    read(question, info, &mut request).ok()?;
    let mut trail = Trail::of(&request, info);
    decide::find(&mut request, info, question.listener, snapshot).ok()?;
    trail.note(None, &request.head.headers);
    let mut rng = fastrand::Rng::with_seed(SEED);
    let mut steps: Vec<Step<'s>> = chain.links().iter().map(Step::new).collect();
    let mut limit = request.state.body_limit;
    request.state.explain();
    if let Some(consumer) = question.supposed {
        request.state.suppose(consumer);
    }
    let mut verified = Verified::default();
    let mut last = None;
    let mut watch = |at: usize, saw: Saw<'_>, cx: &RequestCx<'_>| {
        trail.note(Some(Cause::Policy(at)), &cx.head.headers);
        let Some(step) = steps.get_mut(at) else { return };
        step.see(saw, cx);
        step.body_limit = cx.state.body_limit.filter(|now| limit != Some(*now)).or(step.body_limit);
        limit = cx.state.body_limit;
        last = Some(at);
    };
    let mut answer = None;
    let next = loop {
        let local =
            Local { rng: &mut rng, verified: &mut verified, now: question.now, answer: answer.take() };
        let next = decide::permit(&mut request, info, route, chain, local, &mut watch);
        answer = at_hand(&next);
        if answer.is_none() {
            break next;
        }
    };
    let stopper = stopper(&request, chain).or(last);
    if let Some(step) = stopper.and_then(|at| steps.get_mut(at)) {
        step.give_reason(&request.state);
    }
    steps.iter_mut().enumerate().for_each(|(at, step)| step.changes = trail.changes_by(Cause::Policy(at)));
    let end = match (next, service) {
        (Ok(Onward::Forward(_)), Some(service)) => End::Forward(upstream(&request, service, trail)),
        (Ok(onward), _) => End::Answer(match onward.reply(&route.action) {
            Some(reply) => compose(&request, chain, reply, Decider::Route),
            None => {
                let internal = Refusal::Fault(Fault::Internal);
                refuse(&mut request, chain, &mut rng, internal, Decider::Preparing)
            }
        }),
        (Err(Halt::Ask(..)), _) => End::Unknown,
        (Err(Halt::Refused(refusal)), _) => {
            let stopper = stopper.filter(|at| {
                let said = steps.get(*at).and_then(|step| step.said);
                !matches!(said, None | Some(Said::Continue | Said::Known))
            });
            let by = stopper.map_or(Decider::Preparing, Decider::Policy);
            End::Answer(refuse(&mut request, chain, &mut rng, refusal, by))
        }
    };
    let is_unverified = request.state.is_unverified;
    Some(Way { service, share: share(route, number), steps, end, is_unverified })
}

/// The answer to what a policy has asked, where nobody has to be asked for it: whether a password is that of a hash.
fn at_hand(next: &Result<Onward, Halt>) -> Option<policy::Answer> {
    let Err(Halt::Ask(_, asked)) = next else { return None };
    let policy::Question::Password { password, hash } = &**asked else { return None };
    Some(policy::Answer::Password(policy::verify_password(password, hash)))
}

/// The place of the policy that has answered, as the access log names it.
fn stopper(request: &Request, chain: &Chain) -> Option<usize> {
    let (kind, _) = request.state.stopped_by?;
    chain.links().iter().position(|link| link.policy.kind().name == kind)
}

fn share(route: &Route, number: usize) -> (u32, u64) {
    let Action::Forward { split, .. } = &route.action else { return (1, 1) };
    let weight = |position: usize| split.targets().get(position).map_or(0, |target| target.weight);
    (weight(number), (0..split.targets().len()).map(|position| u64::from(weight(position))).sum())
}

/// The request as it is written for a service.
fn upstream(request: &Request, service: &Service, mut trail: Trail) -> Upstream {
    let mut bytes = Vec::new();
    write_request(&mut bytes, request, service, request.meta.expect_continue);
    let whatever = HeadLimits { bytes: usize::MAX, fields: usize::MAX, target: usize::MAX };
    let mut written = RequestHead::default();
    // What cannot be read back shows up as a request without fields: it cannot happen, and hides nothing.
    _ = wire::parse_request(&bytes, &whatever, &mut written);
    trail.note(Some(Cause::Gateway), &written.headers);
    let sent = fields(&written.headers);
    Upstream {
        method: text(written.method_bytes()),
        target: text(written.headers.slice(written.target)),
        host: values(&sent, "host").join(", "),
        changes: trail.changes(),
        generated: generated(request, trail.sent()),
        fields: sent,
        may_be_repeated: request.may_be_repeated(&service.retries),
        websocket: request.meta.upgrade_websocket,
        grpc_web: request.grpc_web.is_some(),
    }
}

/// The id of a request, if the gateway has made it.
fn generated(request: &Request, sent: &[(String, String)]) -> Option<String> {
    let id = request.state.id.as_str();
    let adopted = sent.iter().any(|(_, value)| value == id);
    (!id.is_empty() && !adopted).then(|| id.to_owned())
}

/// What is answered instead of going on.
fn refuse(
    request: &mut Request,
    chain: &Chain,
    rng: &mut fastrand::Rng,
    refusal: Refusal,
    by: Decider,
) -> Answer {
    match refusal {
        Refusal::Reply(reply) => {
            if reply.problem.is_some() {
                request.state.id.or_generate(rng);
            }
            compose(request, chain, &reply, by)
        }
        Refusal::Fault(fault) => {
            request.record.fault = Some(fault);
            let reply = Reply::fault(fault, request.state.id.or_generate(rng).as_str());
            Answer { fault: Some(fault), ..compose(request, chain, &reply, by) }
        }
    }
}

fn compose(request: &Request, chain: &Chain, reply: &Reply, by: Decider) -> Answer {
    let in_grpc = answer::as_grpc(request, reply);
    let reply = in_grpc.as_ref().unwrap_or(reply);
    let mut head = ResponseHead::default();
    reply.write_head(&mut head);
    answer::change(&mut head, chain, &request.state);
    let mut body = Vec::new();
    reply.push_body(request.state.id.as_bytes(), &mut body);
    Answer {
        by,
        fault: None,
        status: reply.status,
        fields: fields(&head.headers),
        body,
        generated: generated(request, &Fields::new()),
    }
}
