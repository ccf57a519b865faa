//! Forwards one request: pick an endpoint, send, look at the outcome, maybe try again.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use message::{Fault, Method, Version, write_forwarding_headers};
use policy::{Chain, Permitted, ResponseCx};
use tokio::net::TcpStream;
use wire::{BodyLength, ConnectionHeader, RequestFraming, ResponseBody, ResponseFraming, ResponseMeta};

use crate::answer::{self, connection_header};
use crate::exchange::{self, Ending, Exchange, Failure};
use crate::live::{LiveService, Member, OpenSlot};
use crate::pump::Pump;
use crate::serve::{BodyState, Outcome, Serving};
use crate::timer::Tick;
use crate::transport::{Connection, Transport};
use crate::tunnel;

/// A request that passed this gateway this often already goes in a circle.
const MOST_LOOPS: usize = 8;
/// Addresses that one request may try.
const MOST_TRIED: usize = 16;

/// Why an attempt did not lead to an answer for the client.
#[derive(Clone, Copy, Debug)]
enum Failed {
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
    /// The service answered a status that is to be tried again.
    Status,
    /// Another attempt would not help.
    Final(Fault),
}

/// What holds for all attempts at one request.
struct Plan<'a> {
    service: &'a LiveService,
    chain: &'a Chain,
    upload: Pump,
    total: Tick,
    attempts_left: u32,
    tried: Vec<SocketAddr>,
    /// Kept connections are not to be trusted any more.
    fresh: bool,
}

/// Forwards a request to a service. Takes the proof that every policy let it pass.
pub(crate) async fn forward(
    s: &mut Serving<'_>,
    _permitted: Permitted,
    service: &LiveService,
    chain: &Chain,
    route_timeout: Option<Duration>,
) -> Outcome {
    if let Err(fault) = prepare(s) {
        return answer::fault(s, Some(chain), fault).await;
    }
    let retries = &service.settings.retries;
    let mut plan = Plan {
        service,
        chain,
        upload: exchange::upload(s.request),
        total: route_timeout
            .or(service.settings.timeouts.request)
            .map_or(Tick::NEVER, |t| s.timer.now().after(t)),
        attempts_left: retries.attempts,
        tried: Vec::new(),
        fresh: false,
    };
    service.on_request(s.worker.now_millis());
    let mut last = Fault::NoEndpoint;
    loop {
        let Some(member) = pick(s, &mut plan) else { break };
        match attempt(s, &mut plan, &member).await {
            Ok(outcome) => return outcome,
            Err(failed) => match next_step(s, &mut plan, &member, failed) {
                Ok(fault) => last = fault,
                Err(fault) => {
                    last = fault;
                    break;
                }
            },
        }
    }
    s.body = match plan.upload.is_received() {
        true if plan.upload.passed > 0 || !s.request.has_body() => BodyState::Whole,
        _ if plan.upload.passed == 0 && s.body == BodyState::Untouched => BodyState::Untouched,
        _ => BodyState::Partial,
    };
    if last == Fault::ClientGone {
        return Outcome::Gone;
    }
    answer::fault(s, Some(chain), last).await
}

/// Adds what the gateway says about the client and about itself.
fn prepare(s: &mut Serving<'_>) -> Result<(), Fault> {
    let head = &mut s.request.head;
    if head.headers.add_via(head.version) > MOST_LOOPS {
        return Err(Fault::LoopDetected);
    }
    // The authority may be part of the same text that the fields are added to.
    s.request.scratch.clear();
    s.request.scratch.extend_from_slice(head.client_authority().unwrap_or_default());
    write_forwarding_headers(&mut head.headers, s.info, &s.request.scratch);
    Ok(())
}

/// An address that was not tried yet; when all were, one that was.
fn pick(s: &Serving<'_>, plan: &mut Plan<'_>) -> Option<Rc<Member>> {
    let mut rng = s.worker.rng.borrow_mut();
    plan.service.pick(&mut rng, &plan.tried)
}

/// Whether there is another attempt. `Ok` goes on; both say what to answer if it was the last.
fn next_step(s: &Serving<'_>, plan: &mut Plan<'_>, member: &Member, failed: Failed) -> Result<Fault, Fault> {
    let retries = &plan.service.settings.retries;
    let untouched = plan.upload.passed == 0 && s.body == BodyState::Untouched;
    let repeatable = untouched && !s.request.has_body();
    let harmless = repeatable && retries.allows(s.request.head.method, s.request.head.method_bytes());
    let (fault, allowed, elsewhere) = match failed {
        Failed::Full => {
            plan.tried.push(member.address);
            return Ok(Fault::Overloaded);
        }
        Failed::Stale if repeatable && s.request.head.method.is_idempotent() && !plan.fresh => {
            plan.fresh = true;
            plan.upload = exchange::upload(s.request);
            return Ok(Fault::UpstreamReset);
        }
        Failed::Connect(fault) => (fault, retries.on.connect_failure && untouched, true),
        Failed::Stale | Failed::Reset => (Fault::UpstreamReset, retries.on.reset && harmless, false),
        Failed::TryTimeout => (Fault::ResponseTimeout, retries.on.timeout && harmless, false),
        Failed::Status => (Fault::UpstreamReset, true, false),
        Failed::Final(fault) => return Err(fault),
    };
    let in_time = s.timer.now() < plan.total && plan.tried.len() < MOST_TRIED;
    if !allowed || !in_time || plan.attempts_left == 0 || !plan.service.try_retry(s.worker.now_millis()) {
        return Err(fault);
    }
    plan.attempts_left -= 1;
    plan.tried.push(member.address);
    if !elsewhere && plan.service.pick(&mut s.worker.rng.borrow_mut(), &plan.tried).is_none() {
        plan.tried.clear(); // better the same one again than none
    }
    plan.upload = exchange::upload(s.request);
    Ok(fault)
}

/// Sends the request to one address, and if it answers, the answer to the client.
async fn attempt(s: &mut Serving<'_>, plan: &mut Plan<'_>, member: &Rc<Member>) -> Result<Outcome, Failed> {
    let (mut up, slot, reused) = open(s, plan, member).await?;
    let _in_flight = member.begin();
    let authority = &plan.service.settings.endpoints.first().map_or("", |endpoint| &endpoint.authority);
    let in_hand = !s.down.inbox.is_empty();
    let framing = RequestFraming {
        body: s.request.meta.body,
        // With bytes of the body in hand nobody waits for permission to send them.
        expect_continue: s.request.meta.expect_continue && !in_hand,
        upgrade_websocket: s.request.meta.upgrade_websocket,
        te_trailers: s.request.meta.te_trailers,
    };
    wire::write_request(&mut up.outgoing.head, &s.request.head, authority.as_bytes(), &framing);
    let timeouts = &plan.service.settings.timeouts;
    let mut exchange =
        Exchange::new(s.worker, s.listener, timeouts, s.timer, s.down, &mut up, s.request, &mut plan.upload);
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
    if wants_another_try(&exchange, plan.service, plan.attempts_left) {
        return Err(Failed::Status);
    }
    let keep = write_head(&mut exchange, plan.chain, &meta, false);
    let chunked = matches!(body_framing(&exchange, &meta), ResponseBody::Chunked);
    let mut download = Pump::new(meta.body, chunked, None);
    exchange.begin_body();
    let ending = poll_fn(|cx| exchange.poll_body(cx, &mut download)).await;
    let request_done = exchange.is_request_done();
    let request_received = exchange.upload.is_received();
    if ending == Ending::Complete && request_done && meta.keep_alive && up.is_clean() {
        let until = s.timer.now().after(timeouts.idle);
        member.checkin(up, slot, until, plan.service.idle_share);
    }
    Ok(match ending {
        Ending::Complete if keep && request_done => Outcome::KeepAlive,
        Ending::Complete if request_received => Outcome::Close,
        Ending::Complete => Outcome::Linger,
        Ending::Cut(_) => Outcome::Reset,
        Ending::ClientGone(_) => Outcome::Gone,
    })
}

/// Whether the status that came is to be tried again elsewhere.
fn wants_another_try(exchange: &Exchange<'_>, service: &LiveService, attempts_left: u32) -> bool {
    let retries = &service.settings.retries;
    let request = &exchange.request;
    attempts_left > 0
        && retries.on.statuses.contains(&request.response.status)
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
    let mut connecting = pin!(TcpStream::connect(member.address));
    let stream = poll_fn(|cx| match connecting.as_mut().poll(cx) {
        Poll::Ready(Ok(stream)) => Poll::Ready(Ok(stream)),
        Poll::Ready(Err(_)) => Poll::Ready(Err(Failed::Connect(Fault::ConnectFailed))),
        Poll::Pending => s.timer.poll_expired(cx).map(|()| Err(Failed::Connect(Fault::ConnectTimeout))),
    })
    .await?;
    // Every message leaves in one write; waiting for more would only add latency. Failing to say so is
    // no reason to fail the request.
    let _ = stream.set_nodelay(true);
    Ok((Connection::new(Transport::Tcp(stream)), slot, false))
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
    wire::write_response(&mut exchange.down.outgoing.head, &exchange.request.response, &framing);
    keep
}
