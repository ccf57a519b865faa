//! One attempt at one request: a connection, the exchange on it, and the answer to the client.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use message::{Fault, Method, Version};
use policy::{Chain, ResponseCx};
use tokio::net::TcpStream;
use wire::{BodyLength, ConnectionHeader, RequestFraming, ResponseBody, ResponseFraming, ResponseMeta};

use crate::answer::connection_header;
use crate::exchange::{Ending, Exchange, Failure};
use crate::live::{LiveService, Member, OpenSlot};
use crate::plan::Plan;
use crate::pump::Pump;
use crate::serving::{Outcome, Serving};
use crate::timer::Tick;
use crate::transport::{Connection, Transport};
use crate::tunnel;

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
    upload: &mut Pump,
    member: &Rc<Member>,
) -> Result<Outcome, Failed> {
    let _in_flight = member.begin();
    let (mut up, slot, reused) = open(s, plan, member).await?;
    write_request(s, plan.service, &mut up);
    let timeouts = &plan.service.settings.timeouts;
    let mut exchange =
        Exchange::new(s.worker, s.listener, timeouts, s.timer, s.down, &mut up, s.request, upload);
    exchange.total = plan.total;
    exchange.per_try = plan.service.settings.retries.per_try.map_or(Tick::NEVER, |t| s.timer.now().after(t));
    let head = poll_fn(|cx| exchange.poll_head(cx)).await;
    let meta = head.map_err(|failure| match failure {
        Failure::Reset if reused => Failed::Stale,
        Failure::Reset => Failed::Reset,
        Failure::TryTimeout => Failed::TryTimeout,
        Failure::Final(fault) => Failed::Final(fault),
    })?;
    if exchange.request.response.status == 101 {
        if !(meta.upgrade && exchange.request.meta.upgrade_websocket) {
            return Err(Failed::Final(Fault::UpstreamMalformed));
        }
        write_head(&mut exchange, plan.chain, &meta, true);
        return Ok(tunnel::run(s, &mut up, timeouts.tunnel).await);
    }
    if wants_another_try(&exchange, plan.service) && plan.charge(s.worker) {
        return Err(Failed::Status);
    }
    // A service that answers before it has the whole request may take the rest for another one, and its
    // connection is not used again, whatever comes (CVE-2025-31699, CVE-2024-24791).
    let in_step = exchange.is_request_done() && exchange.reusable && meta.keep_alive;
    let keep = write_head(&mut exchange, plan.chain, &meta, false);
    let chunked = matches!(body_framing(&exchange, &meta), ResponseBody::Chunked);
    let mut download = Pump::new(meta.body, chunked, None);
    exchange.begin_body();
    exchange.down.unfinished = true;
    let ending = poll_fn(|cx| exchange.poll_body(cx, &mut download)).await;
    let request_done = exchange.is_request_done();
    let request_received = exchange.upload.is_received();
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
        s.tell(&plan.service.settings.name, Some(member.address), fault);
    }
    Ok(match ending {
        Ending::Complete if keep && request_done => Outcome::KeepAlive,
        Ending::Complete if request_received && !s.request.meta.keep_alive => Outcome::Close,
        Ending::Complete => Outcome::Linger,
        Ending::Cut(_) | Ending::ClientGone(_) => Outcome::Gone,
    })
}

/// Puts the head of the request into what is sent to the service.
fn write_request(s: &Serving<'_>, service: &LiveService, up: &mut Connection) {
    let default_host = service.settings.endpoints.first().map_or("", |endpoint| &endpoint.authority);
    let framing = RequestFraming {
        body: s.request.meta.body,
        // With bytes of the body in hand nobody waits for permission to send them.
        expect_continue: s.request.meta.expect_continue && s.down.inbox.is_empty(),
        upgrade_websocket: s.request.meta.upgrade_websocket,
        te_trailers: s.request.meta.te_trailers,
    };
    wire::write_request(up.head_mut(), &s.request.head, default_host.as_bytes(), &framing);
}

/// Whether the status that came is to be tried again elsewhere.
fn wants_another_try(exchange: &Exchange<'_>, service: &LiveService) -> bool {
    let retries = &service.settings.retries;
    let request = &exchange.request;
    retries.on.statuses.contains(&request.response.status)
        && !request.has_body()
        && retries.allows(request.head.method, request.head.method_bytes())
}

/// A connection to one address: a kept one, or a new one.
async fn open(
    s: &mut Serving<'_>,
    plan: &Plan<'_>,
    member: &Rc<Member>,
) -> Result<(Connection, OpenSlot, bool), Failed> {
    if !plan.fresh
        && let Some((connection, slot)) = member.checkout()
    {
        return Ok((connection, slot, true));
    }
    let settings = &plan.service.settings;
    let slot = member.reserve(settings.max_connections).ok_or(Failed::Full)?;
    s.timer.arm(s.timer.now().after(settings.timeouts.connect).min(plan.total));
    let watches_client = !s.request.has_body();
    let mut connecting = pin!(TcpStream::connect(member.address));
    let stream = poll_fn(|cx| {
        if let Poll::Ready(outcome) = connecting.as_mut().poll(cx) {
            return Poll::Ready(outcome.map_err(|_| Failed::Connect(Fault::ConnectFailed)));
        }
        // Nobody connects for a client that has gone. What it sends ahead is kept for later.
        if watches_client && matches!(s.down.poll_fill(cx), Poll::Ready(Err(_))) {
            return Poll::Ready(Err(Failed::Final(Fault::ClientGone)));
        }
        s.timer.poll_expired(cx).map(|()| Err(Failed::Connect(Fault::ConnectTimeout)))
    })
    .await?;
    // Every message leaves in one write; waiting for more would only add latency. Failing to say so is
    // no reason to fail the request.
    let _ = stream.set_nodelay(true);
    Ok((Connection::new(Transport::Tcp(stream), &s.worker.buffers), slot, false))
}

/// How the body of a response is framed for this client.
fn body_framing(exchange: &Exchange<'_>, meta: &ResponseMeta) -> ResponseBody {
    let request = &exchange.request;
    let old_client = request.head.version == Version::Http10;
    match meta.body {
        BodyLength::Empty if request.head.method == Method::Head || request.response.status == 304 => {
            ResponseBody::Omitted
        }
        BodyLength::Empty => ResponseBody::None,
        BodyLength::Exact(length) => ResponseBody::Exact(length),
        BodyLength::Chunked | BodyLength::UntilClose if old_client => ResponseBody::UntilClose,
        BodyLength::Chunked | BodyLength::UntilClose => ResponseBody::Chunked,
    }
}

/// Puts the head of the response into what is sent to the client. Returns whether the connection to the
/// client can be kept.
fn write_head(exchange: &mut Exchange<'_>, chain: &Chain, meta: &ResponseMeta, upgrade: bool) -> bool {
    let body = body_framing(exchange, meta);
    let keep = exchange.request.meta.keep_alive
        && !upgrade
        && !matches!(body, ResponseBody::UntilClose)
        && exchange.upload.is_received()
        && !exchange.upload_failed
        && !exchange.worker.is_draining();
    let request = &mut *exchange.request;
    request.response.headers.strip_response(meta.connection);
    request.response.headers.add_via(request.response.version);
    chain.run_response(&mut ResponseCx {
        status: request.response.status,
        headers: &mut request.response.headers,
        state: &request.state,
    });
    let connection =
        if upgrade { ConnectionHeader::Upgrade } else { connection_header(exchange.request, keep) };
    let framing = ResponseFraming { body, connection, date: &exchange.worker.date() };
    wire::write_response(exchange.down.head_mut(), &exchange.request.response, &framing);
    keep
}
