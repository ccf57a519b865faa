//! Sends what the gateway itself answers: faults, refusals, redirects, fixed responses.

use std::future::poll_fn;
use std::task::Poll;

use message::{Blame, Fault, Method, Name, Reply};
use policy::{Chain, Refusal, ResponseCx};
use wire::{BodyDecoder, ConnectionHeader, ResponseBody, ResponseFraming};

use crate::patience::Patience;
use crate::request::Request;
use crate::serving::{BodyState, Outcome, Serving};

/// Answers with a fault. Without a chain, where no route was found, those of the gateway's policies hold that
/// change responses. Where the client is to blame the connection closes: what follows on it is
/// not to be trusted.
pub(crate) async fn fault(s: &mut Serving<'_>, chain: Option<&Chain>, fault: Fault) -> Outcome {
    let reply = Reply::fault(fault, s.request_id());
    let close = fault.blame() == Blame::Client && fault != Fault::BodyTooLarge;
    send(s, chain, &reply, close).await
}

/// Answers with what a policy decided.
pub(crate) async fn refusal(s: &mut Serving<'_>, chain: &Chain, refusal: Refusal) -> Outcome {
    match refusal {
        Refusal::Reply(answer) => reply(s, Some(chain), &answer).await,
        Refusal::Fault(found) => fault(s, Some(chain), found).await,
    }
}

/// Answers with a reply.
pub(crate) async fn reply(s: &mut Serving<'_>, chain: Option<&Chain>, reply: &Reply) -> Outcome {
    send(s, chain, reply, false).await
}

async fn send(s: &mut Serving<'_>, chain: Option<&Chain>, reply: &Reply, close: bool) -> Outcome {
    let whole = take_body_in_hand(s);
    let keep = whole && !close && s.request.meta.keep_alive && !s.worker.is_draining();
    let current = s.worker.current();
    compose(s.request, chain.unwrap_or(&current.snapshot.gateway), reply);
    let head_only = s.request.head.method == Method::Head;
    let bodiless = matches!(reply.status, 100..=199 | 204 | 304);
    let framing = ResponseFraming {
        body: if bodiless { ResponseBody::None } else { ResponseBody::Exact(reply.body.len() as u64) },
        connection: connection_header(s.request, keep),
        date: &s.worker.date(),
    };
    let out = s.down.head_mut();
    wire::write_response(out, &s.request.response, &framing);
    if !head_only && !bodiless {
        out.extend_from_slice(&reply.body);
    }
    s.down.unfinished = true;
    if flush(s).await.is_err() {
        return Outcome::Gone;
    }
    s.down.unfinished = false;
    match (keep, whole && !close && !s.request.meta.keep_alive) {
        (true, _) => Outcome::KeepAlive,
        (false, true) => Outcome::Close,
        // It may be sending, or about to send, what nobody will read.
        (false, false) => Outcome::Linger,
    }
}

/// What Connection says to the client.
pub(crate) fn connection_header(request: &Request, keep: bool) -> ConnectionHeader {
    match (keep, request.head.version) {
        (false, _) => ConnectionHeader::Close,
        (true, message::Version::Http10) => ConnectionHeader::KeepAlive,
        (true, message::Version::Http11) => ConnectionHeader::None,
    }
}

/// Puts the reply into the response head, and lets the response policies change it.
fn compose(request: &mut Request, chain: &Chain, reply: &Reply) {
    let response = &mut request.response;
    response.clear();
    response.status = reply.status;
    response.headers.push(Name::Server.as_str().as_bytes(), b"gateward");
    for (name, value) in &reply.headers {
        response.headers.push(name.as_bytes(), value.as_bytes());
    }
    chain.run_response(&mut ResponseCx {
        status: reply.status,
        headers: &mut response.headers,
        state: &request.state,
    });
}

/// Takes the body of a request that is not forwarded from the connection, if all of it is there already.
/// Otherwise the connection cannot be used again, because nobody would wait for the rest.
fn take_body_in_hand(s: &mut Serving<'_>) -> bool {
    match s.body {
        BodyState::Whole => return true,
        BodyState::Partial => return false,
        BodyState::Untouched => {}
    }
    let mut decoder = BodyDecoder::new(s.request.meta.body);
    if !decoder.is_done()
        && let Some(mut buffer) = s.down.inbox.buffer.take()
    {
        let range = buffer.range();
        if let Ok(decoded) = decoder.decode(buffer.raw(), range.clone()) {
            buffer.consume(decoded.consumed - range.start);
        }
        s.down.inbox.buffer = Some(buffer).filter(|buffer| !buffer.is_empty());
    }
    s.body = if decoder.is_done() { BodyState::Whole } else { BodyState::Partial };
    decoder.is_done()
}

/// Sends what is waiting, for as long as the client takes it.
pub(crate) async fn flush(s: &mut Serving<'_>) -> Result<(), ()> {
    let mut patience = Patience::new(s.listener.timeouts.send, s.listener.limits.min_rate);
    let mut sent = 0;
    poll_fn(|cx| {
        let polled = s.down.poll_flush(cx, &mut sent);
        let now = s.timer.now();
        patience.progress(now, sent);
        match polled {
            Poll::Ready(outcome) => Poll::Ready(outcome.map_err(drop)),
            Poll::Pending => {
                patience.wait(now);
                s.timer.arm(patience.deadline());
                s.timer.poll_expired(cx).map(Err)
            }
        }
    })
    .await
}
