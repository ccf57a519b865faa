//! Sends what the gateway itself answers: faults, refusals, redirects, fixed responses.

use std::future::poll_fn;
use std::task::{Context, Poll};

use message::{Blame, Fault, GrpcContentType, Method, Reply, ResponseHead};
use policy::{Chain, RequestState, ResponseCx};
use wire::{BodyDecoder, ConnectionHeader, ResponseBody, ResponseFraming};

use crate::connection::Connection;
use crate::patience::Patience;
use crate::request::Request;
use crate::serving::{BodyState, Outcome, Serving};

/// The reply for a fault, and whether the connection must end with it: where the client is to blame, what follows
/// is not to be trusted.
pub(crate) fn fault(s: &mut Serving<'_>, fault: Fault) -> (Reply, bool) {
    s.request.record.fault = Some(fault);
    let reply = Reply::fault(fault, s.request_id());
    (reply, fault.blame() == Blame::Client && fault != Fault::BodyTooLarge)
}

/// An answer that waits to be sent, and what becomes of the connection with it.
#[derive(Clone, Copy)]
#[must_use]
pub(crate) struct Staged(Outcome);

/// Puts a reply into what is sent to the client. Without a chain, where no route was found, those of the gateway's
/// policies hold that change responses. `close` ends the connection with it.
pub(crate) fn stage(s: &mut Serving<'_>, chain: Option<&Chain>, reply: &Reply, close: bool) -> Staged {
    let in_grpc = as_grpc(s.request, reply);
    let reply = in_grpc.as_ref().unwrap_or(reply);
    let whole = take_body_in_hand(s);
    let keep = whole && !close && s.request.meta.keep_alive && !s.is_closing();
    s.request.record.status = reply.status;
    compose(s, chain, reply, keep);
    Staged(match (keep, whole && !close && !s.request.meta.keep_alive) {
        (true, _) => Outcome::KeepAlive,
        (false, true) => Outcome::Close,
        // It may be sending, or about to send, what nobody will read.
        (false, false) => Outcome::Linger,
    })
}

/// Sends what was staged, if that is possible without waiting.
#[inline]
pub(crate) fn send_now(
    down: &mut Connection,
    cx: &mut Context<'_>,
    staged: Staged,
) -> Result<Outcome, Staged> {
    match down.poll_flush(cx) {
        Poll::Ready(Ok(())) => Ok(staged.0),
        // What is wrong is found out again.
        Poll::Ready(Err(_)) | Poll::Pending => Err(staged),
    }
}

/// Sends what was staged, for as long as the client takes it.
pub(crate) async fn send(s: &mut Serving<'_>, Staged(outcome): Staged) -> Outcome {
    s.down.unfinished = true;
    let mut patience = Patience::new(s.listener.timeouts.send, s.listener.limits.min_rate);
    let before = s.down.sent;
    let sent = poll_fn(|cx| {
        let polled = s.down.poll_flush(cx);
        let now = s.timer.now();
        patience.progress(now, s.down.sent - before);
        match polled {
            Poll::Ready(outcome) => Poll::Ready(outcome.map_err(drop)),
            Poll::Pending => {
                patience.wait(now);
                s.timer.arm(patience.deadline());
                s.timer.poll_expired(cx).map(Err)
            }
        }
    });
    if sent.await.is_err() {
        s.request.record.fault.get_or_insert(Fault::ClientGone);
        return Outcome::Gone;
    }
    s.down.unfinished = false;
    outcome
}

/// What a client that speaks gRPC is told: its libraries look at the status of the call and at nothing else.
pub(crate) fn as_grpc(request: &Request, reply: &Reply) -> Option<Reply> {
    // Calls are made by POST.
    if reply.status < 400 || request.head.method != Method::Post {
        return None;
    }
    let content_type = request.head.headers.values(b"content-type").next()?;
    let found = GrpcContentType::of(content_type)?;
    let content_type = found.in_form(request.grpc_web.unwrap_or(found.form));
    let content_type = String::from_utf8_lossy(&content_type).into_owned();
    Some(match request.record.fault {
        Some(fault) if fault.status() == reply.status => Reply::grpc_fault(fault, content_type),
        _ => reply.clone().into_grpc(content_type),
    })
}

/// Puts the reply into what is sent to the client, after the response policies have changed it.
fn compose(s: &mut Serving<'_>, chain: Option<&Chain>, reply: &Reply, keep: bool) {
    if reply.problem.is_some() {
        s.request.state.id.or_generate(&mut s.worker.rng.borrow_mut());
    }
    let mut response = s.worker.pools.take_response();
    reply.write_head(&mut response);
    s.request.put_cookies(&mut response.headers);
    match chain {
        Some(chain) => change(&mut response, chain, &s.request.state),
        None => change(&mut response, &s.worker.current().snapshot.gateway, &s.request.state),
    }
    s.live.announce_http3(s.request.head.version, &mut response);
    let head_only = s.request.head.method == Method::Head;
    let bodiless = matches!(reply.status, 100..=199 | 204 | 304);
    let id = s.request.state.id.as_bytes();
    let length = reply.body_len(id);
    let framing = ResponseFraming {
        body: if bodiless { ResponseBody::None } else { ResponseBody::Exact(length as u64) },
        connection: connection_header(s.request, keep),
        date: Some(&s.worker.clock.date()),
    };
    let has_body = !head_only && !bodiless && length > 0;
    s.down.send_reply(
        &mut response,
        &framing,
        has_body.then_some(|out: &mut Vec<u8>| reply.push_body(id, out)),
    );
    s.worker.pools.give_response(response);
}

/// Lets the response policies change the head of a reply.
pub(crate) fn change(response: &mut ResponseHead, chain: &Chain, state: &RequestState) {
    chain.run_response(&mut ResponseCx { status: response.status, headers: &mut response.headers, state });
}

/// What Connection says to the client.
pub(crate) fn connection_header(request: &Request, keep: bool) -> ConnectionHeader {
    match (keep, request.head.version) {
        (_, message::Version::Http2 | message::Version::Http3) => ConnectionHeader::None,
        (false, _) => ConnectionHeader::Close,
        (true, message::Version::Http10) => ConnectionHeader::KeepAlive,
        (true, _) => ConnectionHeader::None,
    }
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
            s.request.record.received += (decoded.consumed - range.start) as u64;
        }
        s.down.inbox.buffer = Some(buffer).filter(|buffer| !buffer.is_empty());
    }
    s.body = if decoder.is_done() { BodyState::Whole } else { BodyState::Partial };
    decoder.is_done()
}
