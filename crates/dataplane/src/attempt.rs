//! One attempt at one request: a connection, the exchange on it, and the answer to the client.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Instant;

use message::{Fault, Method, Version};
use policy::{Chain, ResponseCx};
use snapshot::Service;
use wire::{BodyLength, ConnectionHeader, RequestFraming, ResponseBody, ResponseFraming, ResponseMeta};

use crate::answer::connection_header;
use crate::exchange::{Ending, Exchange, Failure};
use crate::live::{LiveService, Member, OpenSlot};
use crate::plan::Plan;
use crate::pump::Pump;
use crate::request::Request;
use crate::serving::{Outcome, Serving};
use crate::timer::Tick;
use crate::transport::{Connection, Transport};
use crate::tunnel::Upgraded;

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
    /// No answer in the time for one attempt.
    TryTimeout,
    /// The service answered a status that is to be tried again, and another attempt was paid for.
    Status,
    /// Another attempt would not help.
    Final(Fault),
}

/// Sends the request to one address, and if it answers, the answer to the client.
pub(crate) async fn attempt(
    s: &mut Serving<'_>,
    plan: &mut Plan<'_>,
    member: &Rc<Member>,
) -> Result<Outcome, Failed> {
    let in_flight = member.begin();
    let (mut up, slot) = open(s, plan, member).await?;
    // With bytes of the body in hand nobody waits for permission to send them.
    let expect_continue = s.request.meta.expect_continue && s.down.inbox.is_empty();
    write_request(up.head_mut(), s.request, &plan.service.settings, expect_continue);
    let timeouts = &plan.service.settings.timeouts;
    let per_try = plan.service.settings.retries.per_try.map_or(Tick::NEVER, |t| s.timer.now().after(t));
    let mut exchange = Exchange::begin(s, timeouts, &mut up, plan.total, per_try);
    let head = poll_fn(|cx| exchange.poll_head(cx)).await;
    let meta = head.map_err(|failure| match failure {
        Failure::Reset if plan.reused => Failed::Stale,
        Failure::Reset => Failed::Reset,
        Failure::TryTimeout => Failed::TryTimeout,
        Failure::Final(fault) => Failed::Final(fault),
    })?;
    plan.note_response(member, &mut exchange.request.record);
    if exchange.status() == 101 {
        if !(meta.upgrade && exchange.request.meta.upgrade_websocket) {
            return Err(Failed::Final(Fault::UpstreamMalformed));
        }
        write_head(&mut exchange, plan.chain, &meta, true);
        s.upgraded =
            Some(Box::new(Upgraded { up, idle: timeouts.tunnel, _slot: slot, _in_flight: in_flight }));
        return Ok(Outcome::Upgraded);
    }
    if wants_another_try(&exchange, plan.service) && plan.charge(exchange.worker) {
        return Err(Failed::Status);
    }
    // A service that answers before it has the whole request may take the rest for another one, and its
    // connection is not used again, whatever comes (CVE-2025-31699, CVE-2024-24791).
    let in_step = exchange.is_request_done() && exchange.request.progress.reusable && meta.keep_alive;
    let (keep, chunked) = write_head(&mut exchange, plan.chain, &meta, false);
    exchange.request.download = Pump::new(meta.body, chunked, None);
    exchange.begin_body();
    exchange.down.unfinished = true;
    let ending = poll_fn(|cx| exchange.poll_body(cx)).await;
    let request_done = exchange.is_request_done();
    let request_received = exchange.request.upload.is_received();
    if ending == Ending::Complete {
        s.down.unfinished = false;
        if in_step && up.is_clean() {
            let until = s.timer.now().after(timeouts.idle);
            plan.service.checkin(member, up, slot, until);
        }
    }
    if let Ending::Cut(fault) = ending
        && fault.blame() == message::Blame::Service
    {
        member.series.failed(fault);
        s.tell(&plan.service.settings.name, Some(member.address), fault);
    }
    Ok(match ending {
        Ending::Complete if keep && request_done => Outcome::KeepAlive,
        Ending::Complete if request_received && !s.request.meta.keep_alive => Outcome::Close,
        Ending::Complete => Outcome::Linger,
        Ending::Cut(fault) | Ending::ClientGone(fault) => {
            s.request.record.fault = Some(fault);
            Outcome::Gone
        }
    })
}

/// Puts the head of the request into what is sent to the service.
pub(crate) fn write_request(out: &mut Vec<u8>, request: &Request, service: &Service, expect_continue: bool) {
    let default_host = service.endpoints.first().map_or("", |endpoint| &endpoint.authority);
    let framing = RequestFraming {
        body: request.meta.body,
        expect_continue,
        upgrade_websocket: request.meta.upgrade_websocket,
        te_trailers: request.meta.te_trailers,
    };
    wire::write_request(out, &request.head, default_host.as_bytes(), &framing);
}

/// Whether the status that came is to be tried again elsewhere.
fn wants_another_try(exchange: &Exchange<'_>, service: &LiveService) -> bool {
    let retries = &service.settings.retries;
    retries.on.statuses.contains(&exchange.status()) && exchange.request.may_be_repeated(retries)
}

/// A connection to one address: a kept one, or a new one.
async fn open(
    s: &mut Serving<'_>,
    plan: &mut Plan<'_>,
    member: &Rc<Member>,
) -> Result<(Box<Connection>, OpenSlot), Failed> {
    plan.reused = false;
    if !plan.fresh
        && let Some(kept) = member.checkout()
    {
        plan.reused = true;
        return Ok(kept);
    }
    let settings = &plan.service.settings;
    let slot = member.reserve(settings.max_connections).ok_or(Failed::Full)?;
    s.timer.arm(s.timer.now().after(settings.timeouts.connect).min(plan.total));
    let watches_client = !s.request.has_body();
    let began = Instant::now();
    let transport = Transport::begin_connect(member.address);
    let transport = transport.map_err(|_| Failed::Connect(Fault::ConnectFailed))?;
    poll_fn(|cx| {
        if let Poll::Ready(outcome) = transport.poll_connected(cx) {
            return Poll::Ready(outcome.map_err(|_| Failed::Connect(Fault::ConnectFailed)));
        }
        // Nobody connects for a client that has gone. What it sends ahead is kept for later.
        if watches_client && matches!(s.down.poll_fill(cx), Poll::Ready(Err(_))) {
            return Poll::Ready(Err(Failed::Final(Fault::ClientGone)));
        }
        s.timer.poll_expired(cx).map(|()| Err(Failed::Connect(Fault::ConnectTimeout)))
    })
    .await?;
    let took = began.elapsed();
    s.request.record.connect = Some(took);
    member.series.opened.add(1);
    member.series.connect.observe(took);
    Ok((Box::new(Connection::new(transport, &s.worker.buffers)), slot))
}

/// How the body of a response is framed for this client.
fn body_framing(exchange: &Exchange<'_>, meta: &ResponseMeta) -> ResponseBody {
    let request = &exchange.request;
    let old_client = request.head.version == Version::Http10;
    match meta.body {
        BodyLength::Empty if request.head.method == Method::Head || exchange.status() == 304 => {
            ResponseBody::Omitted
        }
        BodyLength::Empty => ResponseBody::None,
        BodyLength::Exact(length) => ResponseBody::Exact(length),
        BodyLength::Chunked | BodyLength::UntilClose if old_client => ResponseBody::UntilClose,
        BodyLength::Chunked | BodyLength::UntilClose => ResponseBody::Chunked,
    }
}

/// Puts the head of the response into what is sent to the client. Returns whether the connection to the
/// client can be kept, and whether the body is sent in chunks.
fn write_head(
    exchange: &mut Exchange<'_>,
    chain: &Chain,
    meta: &ResponseMeta,
    upgrade: bool,
) -> (bool, bool) {
    let body = body_framing(exchange, meta);
    let chunked = matches!(body, ResponseBody::Chunked);
    let keep = exchange.request.meta.keep_alive
        && !upgrade
        && !matches!(body, ResponseBody::UntilClose)
        && exchange.request.upload.is_received()
        && !exchange.request.progress.upload_failed
        && !exchange.is_closing();
    let Some(mut response) = exchange.request.progress.response.take() else { return (false, chunked) };
    let request = &mut *exchange.request;
    request.record.status = response.status;
    response.headers.strip_response(meta.connection);
    response.headers.add_via(response.version);
    chain.run_response(&mut ResponseCx {
        status: response.status,
        headers: &mut response.headers,
        state: &request.state,
    });
    let connection =
        if upgrade { ConnectionHeader::Upgrade } else { connection_header(exchange.request, keep) };
    let framing = ResponseFraming { body, connection, date: &exchange.worker.date() };
    wire::write_response(exchange.down.head_mut(), &response, &framing);
    exchange.worker.give_back_response(response);
    (keep, chunked)
}
