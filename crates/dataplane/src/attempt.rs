//! One attempt at one request: a connection, the exchange on it, and the answer to the client.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use message::{Fault, GrpcStatus, Method, Version};
use policy::{Chain, ResponseCx};
use snapshot::Service;
use wire::{BodyLength, ConnectionHeader, RequestFraming, ResponseBody, ResponseFraming, ResponseMeta};

use crate::affinity;
use crate::answer::connection_header;
use crate::connection::Connection;
use crate::exchange::{Ending, Exchange, Failure};
use crate::hedge;
use crate::member::{InFlight, Member};
use crate::open::{Lease, dial, open};
use crate::plan::Plan;
use crate::request::{Request, as_it_comes};
use crate::serving::{Outcome, Serving};
use crate::stream::Lost;
use crate::timer::Tick;
use crate::translation::{Translation, length_for_service, translate_response};
use crate::tunnel::Upgraded;
use crate::websocket;

/// Why an attempt did not lead to an answer for the client.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Failed {
    /// The address has as many connections as it may have.
    Full,
    /// No connection could be opened.
    Connect(Fault),
    /// A kept connection turned out to be closed.
    Stale,
    /// The service broke a fresh connection before it answered.
    Reset,
    /// The service has said that it did not look at the request.
    Refused,
    /// The same, because it is about to close the connection.
    Leaving,
    /// No answer in the time for one attempt.
    TryTimeout,
    /// Nothing comes from this address any more, and another attempt was paid for.
    Stalled,
    /// The service answered a status that is to be tried again, and another attempt was paid for.
    Status,
    /// Another attempt would not help.
    Final(Fault),
}

impl Failed {
    /// What a failure before the head of a response means, on a connection that was `reused` or not.
    fn of(failure: Failure, reused: bool) -> Failed {
        match failure {
            Failure::Reset if reused => Failed::Stale,
            Failure::Reset | Failure::StreamReset | Failure::CutHead => Failed::Reset,
            Failure::Refused => Failed::Refused,
            Failure::Leaving => Failed::Leaving,
            Failure::TryTimeout => Failed::TryTimeout,
            Failure::Final(fault) => Failed::Final(fault),
        }
    }
}

/// Sends the request to one address, and if it answers, the answer to the client.
pub(crate) async fn attempt(
    s: &mut Serving<'_>,
    plan: &mut Plan<'_>,
    member: &Rc<Member>,
) -> Result<Outcome, Failed> {
    let in_flight = member.begin();
    if s.request.head.method == Method::Connect {
        return Box::pin(connect_through(s, plan, member, in_flight)).await;
    }
    let Asked { member, mut in_flight, mut up, lease } = ask(s, plan, member, in_flight).await?;
    let (member, timeouts) = (&member, &plan.service.settings.timeouts);
    let per_try = plan.service.settings.retries.per_try.map_or(Tick::NEVER, |t| s.timer.now().after(t));
    let encrypted = s.is_encrypted();
    let mut exchange = Exchange::begin(s, timeouts, &mut up, plan.total, per_try);
    let head = poll_fn(|cx| {
        // Looked at first: the worker wakes everybody when an address is found to hang.
        if plan.may_leave(member, exchange.request, exchange.worker) {
            return Poll::Ready(Err(Failed::Stalled));
        }
        exchange.poll_head(cx).map_err(|failure| Failed::of(failure, plan.reused))
    });
    let meta = head.await?;
    let is_good = !speaks_against(&exchange);
    exchange.request.record.status = exchange.status();
    plan.note_response(exchange.worker, &mut in_flight, &mut exchange.request.record, is_good);
    if wants_another_try(&exchange, plan, member, &meta) && plan.charge(exchange.worker) {
        return Err(Failed::Status);
    }
    // Now it is clear that this is the address whose answer the client gets.
    affinity::remember(plan.service, member, exchange.request, encrypted);
    settle_cost(&mut exchange, plan.chain);
    if exchange.status() == 101 || has_joined(&exchange) {
        agree(&mut exchange, &meta)?;
        write_head(&mut exchange, plan.chain, &meta, true);
        s.upgraded = Some(Upgraded::new(up, timeouts.tunnel, lease, in_flight));
        return Ok(Outcome::Upgraded);
    }
    // A service that answers before it has the whole request may take the rest for another one, and its
    // connection is not used again, whatever comes (CVE-2025-31699, CVE-2024-24791).
    let in_step = exchange.is_request_done() && exchange.progress.reusable && meta.keep_alive;
    let is_inspected = exchange.request.state.response_check.is_some();
    if is_inspected {
        // Boxed like all that is rare.
        Box::pin(exchange.inspect(&meta)).await.map_err(Failed::Final)?;
    }
    let Written { keep, chunked, translates } = write_head(&mut exchange, plan.chain, &meta, false);
    let length = as_it_comes(meta.body, exchange.up.is_stream());
    exchange.begin_download(length, chunked);
    if translates {
        exchange.progress.download.translate(exchange.request.grpc_web.map(Translation::of_response));
    }
    let ending = pass_body(&mut exchange, is_inspected).await;
    let request_done = exchange.is_request_done();
    let request_received = exchange.request.upload.is_received();
    if ending == Ending::Complete {
        s.down.unfinished = false;
        if let Lease::Connection(slot) = lease
            && in_step
            && up.is_clean()
            // A connection that was opened for one client is not used for another.
            && plan.service.settings.proxy_protocol.is_none()
        {
            let until = s.timer.now().after(timeouts.idle);
            plan.service.checkin(member, up, slot, until);
        }
    }
    Ok(match ending {
        Ending::Complete if keep && request_done => Outcome::KeepAlive,
        Ending::Complete if request_received && !s.request.meta.keep_alive => Outcome::Close,
        Ending::Complete => Outcome::Linger,
        Ending::Cut(fault) | Ending::ClientGone(fault) => {
            note_cut(s, plan, member, fault);
            Outcome::Gone
        }
    })
}

/// Passes the body of the response on. Unless time `has_passed` already, or passes now, the head says when the answer
/// was complete.
async fn pass_body(exchange: &mut Exchange<'_>, mut has_passed: bool) -> Ending {
    exchange.begin_body();
    exchange.down.unfinished = true;
    let ending = poll_fn(|cx| {
        let polled = exchange.poll_body(cx);
        has_passed |= polled.is_pending();
        polled
    });
    let ending = ending.await;
    exchange.request.came_whole = !has_passed;
    ending
}

/// An address that was sent the request.
struct Asked {
    member: Rc<Member>,
    in_flight: InFlight,
    up: Box<Connection>,
    lease: Lease,
}

/// Sends the request to an address; and to another one as well, if the answer takes long and that one is quicker.
async fn ask(
    s: &mut Serving<'_>,
    plan: &mut Plan<'_>,
    member: &Rc<Member>,
    in_flight: InFlight,
) -> Result<Asked, Failed> {
    let (mut up, lease) = open(s, plan, member).await?;
    // With bytes of the body in hand nobody waits for permission to send them.
    let expect_continue = s.request.meta.expect_continue && s.down.inbox.is_empty();
    send_request(&mut up, s.request, &plan.service.settings, expect_continue)?;
    // A kept connection that was found alive just now may be closed at any moment, and this is not sent twice.
    up.send_at_once(!s.request.head.method.is_idempotent());
    let would_be_repeated = s.request.would_be_repeated(&plan.service.settings.retries);
    if up.is_stream() || s.request.keeps_body || would_be_repeated {
        s.request.upload.keep();
    }
    if let Some(patience) = hedge::patience(plan, s.request)
        && let Some(rival) = Box::pin(hedge::race(s, plan, member, &mut up, patience)).await?
    {
        // The first one is let go with its connection: nobody reads its answer.
        s.request.member = Some(Rc::clone(&rival.member));
        plan.reused = rival.reused;
        let lease = Lease::Connection(rival.slot);
        return Ok(Asked { member: rival.member, in_flight: rival.in_flight, up: rival.up, lease });
    }
    Ok(Asked { member: Rc::clone(member), in_flight, up, lease })
}

/// The body of the response was not sent to its end.
fn note_cut(s: &mut Serving<'_>, plan: &Plan<'_>, member: &Member, fault: Fault) {
    s.request.record.fault = Some(fault);
    if fault.blame() == message::Blame::Service {
        member.series.failed(fault);
        member.fail();
        s.tell(&plan.service.settings.name, Some(member.address), fault);
    }
}

/// Whether a service has taken a WebSocket on a stream (RFC 8441 §5).
fn has_joined(exchange: &Exchange<'_>) -> bool {
    exchange.up.is_stream()
        && exchange.request.meta.upgrade_websocket
        && (200..300).contains(&exchange.status())
}

/// Makes sure that both sides mean a WebSocket. The proof is the client's business where both speak HTTP/1.1; where
/// one side does not, it is asked for or given here.
fn agree(exchange: &mut Exchange<'_>, meta: &ResponseMeta) -> Result<(), Failed> {
    let malformed = Failed::Final(Fault::UpstreamMalformed);
    if !exchange.request.meta.upgrade_websocket || !(meta.upgrade || exchange.up.is_stream()) {
        return Err(malformed);
    }
    let (head, progress) = (&exchange.request.head, &mut exchange.progress);
    let key = head.headers.values(b"sec-websocket-key").next();
    let Some(response) = &mut progress.response else { return Err(malformed) };
    let proof = key.map(websocket::accept_of);
    if exchange.up.is_stream() {
        response.status = 101;
        response.headers.remove(b"content-length");
        if let Some(proof) = proof {
            response.headers.set(b"sec-websocket-accept", &proof);
        }
    } else if head.version.has_streams() {
        let shown = response.headers.values(b"sec-websocket-accept").next();
        if shown.map(<[u8]>::to_vec) != proof {
            return Err(malformed);
        }
    }
    Ok(())
}

/// A connection to the service for the client itself, whatever it says on it (RFC 9110 §9.3.6).
async fn connect_through(
    s: &mut Serving<'_>,
    plan: &Plan<'_>,
    member: &Rc<Member>,
    mut in_flight: InFlight,
) -> Result<Outcome, Failed> {
    if s.request.has_body() {
        return Err(Failed::Final(Fault::BadFraming));
    }
    let (up, lease) = dial(s, plan, member).await?;
    plan.note_response(s.worker, &mut in_flight, &mut s.request.record, true);
    let mut response = s.worker.pools.take_response();
    response.status = 200;
    let connection = if s.down.is_stream() { ConnectionHeader::Upgrade } else { ConnectionHeader::None };
    let framing = ResponseFraming { body: ResponseBody::None, connection, date: None };
    s.down.send_response(&response, &framing, false);
    s.worker.pools.give_response(response);
    s.request.record.status = 200;
    let idle = plan.service.settings.timeouts.tunnel;
    s.upgraded = Some(Upgraded::new(up, idle, lease, in_flight));
    Ok(Outcome::Upgraded)
}

/// Sends the head of the request to the service, or puts it into what is sent next.
fn send_request(
    up: &mut Connection,
    request: &mut Request,
    service: &Service,
    expect_continue: bool,
) -> Result<(), Failed> {
    let Some(stream) = up.stream() else {
        request.upload.set_stream(false);
        write_request(up.head_mut(), request, service, expect_continue);
        return Ok(());
    };
    request.upload.set_stream(true);
    let scheme = if service.tls.is_some() { "https" } else { "http" };
    let framing = framing(request, expect_continue);
    let mut message = wire::request_message(&request.head, scheme, default_host(service), &framing)
        .ok_or(Failed::Final(Fault::BadHeader))?;
    let websocket = framing.upgrade_websocket;
    if websocket {
        message.extensions_mut().insert(h2::ext::Protocol::from_static(websocket::PROTOCOL));
        // What comes on the stream once both have agreed is no body.
        request.upload.done = true;
    }
    let ends = !request.has_body() && !websocket;
    stream.send_request(message, ends).map_err(|lost| match lost {
        Lost::Refused => Failed::Refused,
        Lost::Leaving => Failed::Leaving,
        Lost::Broken | Lost::Closed => Failed::Stale,
    })
}

/// Writes the head of the request as HTTP/1.1.
pub(crate) fn write_request(out: &mut Vec<u8>, request: &Request, service: &Service, expect_continue: bool) {
    let framing = framing(request, expect_continue);
    wire::write_request(out, &request.head, default_host(service), &framing);
}

fn default_host(service: &Service) -> &[u8] {
    service.endpoints.first().map_or(&[], |endpoint| endpoint.authority.as_bytes())
}

fn framing(request: &Request, expect_continue: bool) -> RequestFraming {
    RequestFraming {
        body: length_for_service(request.meta.body, request.grpc_web),
        expect_continue,
        upgrade_websocket: request.meta.upgrade_websocket,
        te_trailers: request.meta.te_trailers,
    }
}

/// Whether an answer is a failure of the address that gave it: it, or what it needs, does not work. What is not
/// implemented (501, 505) is not broken.
fn speaks_against(exchange: &Exchange<'_>) -> bool {
    let is_broken = matches!(exchange.status(), 500 | 502..=504 | 506..);
    is_broken
        || exchange.grpc_status().is_some_and(|status| {
            matches!(
                status,
                GrpcStatus::Unknown | GrpcStatus::Internal | GrpcStatus::Unavailable | GrpcStatus::DataLoss
            )
        })
}

/// Whether the status that came is to be tried again elsewhere; or here, unless the service wants to be left alone
/// for now (RFC 9110 §10.2.3).
fn wants_another_try(exchange: &Exchange<'_>, plan: &Plan<'_>, member: &Member, meta: &ResponseMeta) -> bool {
    let retries = &plan.service.settings.retries;
    // A call that failed before it had an answer: its head says so, and is all there is. Every call is a POST, so the
    // method says nothing about whether it may be repeated; naming the status has.
    let is_call = !retries.on.grpc.is_empty()
        && meta.body == BodyLength::Empty
        && exchange.grpc_status().is_some_and(|status| retries.on.grpc.contains(&status))
        && exchange.request.upload.can_repeat();
    let is_status =
        retries.on.statuses.contains(&exchange.status()) && exchange.request.may_be_repeated(retries);
    (is_call || is_status) && (plan.has_another(member) || (retries.again && !exchange.asks_for_a_pause()))
}

/// How the body of a response is framed for this client.
fn body_framing(exchange: &Exchange<'_>, meta: &ResponseMeta) -> ResponseBody {
    let request = &exchange.request;
    let old_client = request.head.version == Version::Http10;
    match meta.body {
        BodyLength::Empty if request.head.method == Method::Head || exchange.status() == 304 => {
            ResponseBody::Omitted
        }
        BodyLength::Empty if matches!(exchange.status(), 100..=199 | 204) => ResponseBody::None,
        // On a stream a head can be all there is; elsewhere that has to be said.
        BodyLength::Empty => ResponseBody::Exact(0),
        BodyLength::Exact(length) => ResponseBody::Exact(length),
        BodyLength::Chunked | BodyLength::UntilClose if old_client => ResponseBody::UntilClose,
        BodyLength::Chunked | BodyLength::UntilClose => ResponseBody::Chunked,
    }
}

/// What was decided about a response when its head was written.
struct Written {
    /// The connection to the client can be kept.
    keep: bool,
    /// The body is sent in chunks.
    chunked: bool,
    /// The body is translated.
    translates: bool,
}

/// Charges what the service says that the request has cost.
fn settle_cost(exchange: &mut Exchange<'_>, chain: &Chain) {
    if let Some(response) = &mut exchange.progress.response {
        let (status, headers) = (response.status, &mut response.headers);
        chain.settle(&mut ResponseCx { status, headers, state: &exchange.request.state });
    }
}

/// Puts the head of the response into what is sent to the client.
fn write_head(exchange: &mut Exchange<'_>, chain: &Chain, meta: &ResponseMeta, upgrade: bool) -> Written {
    let mut body = body_framing(exchange, meta);
    let mut translates = false;
    if let (Some(form), Some(response)) = (exchange.request.grpc_web, &mut exchange.progress.response) {
        translates = translate_response(&mut response.headers, form);
        if translates && matches!(body, ResponseBody::Exact(1..)) {
            body = ResponseBody::Chunked;
        }
    }
    let chunked = matches!(body, ResponseBody::Chunked) && !exchange.down.is_stream();
    let keep = exchange.request.meta.keep_alive
        && !upgrade
        && !matches!(body, ResponseBody::UntilClose)
        && exchange.request.upload.is_received()
        && !exchange.progress.upload_failed
        && !exchange.is_closing();
    let Some(mut response) = exchange.progress.response.take() else {
        return Written { keep: false, chunked, translates };
    };
    let request = &mut *exchange.request;
    request.record.status = response.status;
    response.headers.strip_response(meta.connection);
    response.headers.add_via(response.version);
    request.put_cookies(&mut response.headers);
    chain.run_response(&mut ResponseCx {
        status: response.status,
        headers: &mut response.headers,
        state: &request.state,
    });
    exchange.live.announce_http3(exchange.request.head.version, &mut response);
    let connection =
        if upgrade { ConnectionHeader::Upgrade } else { connection_header(exchange.request, keep) };
    let framing = ResponseFraming { body, connection, date: Some(&exchange.worker.clock.date()) };
    let ends =
        matches!(body, ResponseBody::Omitted | ResponseBody::None | ResponseBody::Exact(0)) && !upgrade;
    exchange.down.send_response(&response, &framing, ends);
    exchange.worker.pools.give_response(response);
    Written { keep, chunked, translates }
}
