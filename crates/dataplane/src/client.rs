//! One client connection over HTTP/1.1: read a head, serve it, again. And what all versions have in common.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use message::{Fault, ForwardingInfo};
use snapshot::{Listener, ListenerLimits, ListenerTimeouts};
use telemetry::Record;
use wire::{HeadLimits, HeadScan, Kind};

use crate::connection::Connection;
use crate::handler::{Job, Meeting, Served};
use crate::http2;
use crate::listener::OpenConnection;
use crate::request::Request;
use crate::serve::Begun;
use crate::serving::Outcome;
use crate::timer::{Tick, Timer};
use crate::transport::Transport;
use crate::worker::Worker;

/// How long a connection that must close lets the client finish sending, so that it can read the answer.
const LINGER: std::time::Duration = std::time::Duration::from_secs(2);
/// How long a new connection may take to send its request when no more are taken.
pub(crate) const FIRST_REQUEST: std::time::Duration = std::time::Duration::from_millis(500);
/// How much it reads away meanwhile.
const LINGER_BYTES: usize = 1024 * 1024;

/// What waiting for a request led to.
enum Next {
    /// To one that was answered, or to something that is no request and was told so.
    Ended(Box<Request>, Outcome),
    /// To one that has come so far without waiting.
    Begun(Box<Request>, Begun),
    /// The client speaks HTTP/2, and knows that the gateway does (RFC 9113 §3.3).
    Streams,
    /// The client has gone, or nothing came.
    Closed,
}

/// What a client has sent.
enum Sent {
    /// A head.
    Request(Box<Request>),
    /// Something that is no request; the box is for the answer.
    Fault(Fault, Box<Request>),
    /// What HTTP/2 begins with.
    Streams,
    /// Nothing.
    Closed,
}

/// One connection of a client.
pub(crate) struct Client {
    pub(crate) open: OpenConnection,
    pub(crate) info: ForwardingInfo,
    pub(crate) timer: Timer,
    pub(crate) down: Connection,
}

impl Client {
    /// For a connection on which requests come next.
    pub(crate) fn new(open: OpenConnection, transport: Transport, info: ForwardingInfo) -> Client {
        let timer = open.worker.wheel.timer();
        let down = Connection::new(transport, &open.worker.buffers);
        Client { open, info, timer, down }
    }

    /// What its requests meet, what is known of it, and its connection.
    pub(crate) fn meeting(&mut self) -> (Meeting<'_>, &mut ForwardingInfo, &mut Connection) {
        let Client { open: OpenConnection { worker, listener: live }, info, timer, down } = self;
        (Meeting { worker, live, timer }, info, down)
    }
}

/// Serves one connection until it ends.
pub(crate) async fn run(mut client: Box<Client>, mut streams: bool) {
    if !streams {
        let outcome;
        (client, outcome) = serve(client).await;
        close(&mut client, outcome).await;
        streams = outcome == Outcome::Streams;
    }
    if streams {
        // Few connections are of this kind, and the others need no room for it.
        Box::pin(http2::serve(*client)).await;
    }
}

/// Serves requests until the connection is to end, and says how.
async fn serve(mut client: Box<Client>) -> (Box<Client>, Outcome) {
    let mut first = true;
    loop {
        let (mut request, mut outcome);
        match next_request(&mut client, first).await {
            Next::Ended(ended, end) => (request, outcome) = (ended, end),
            Next::Begun(asked, begun) => {
                let mut handler = client.open.worker.pools.take_handler();
                handler.begin(Job { client, request: asked, begun });
                let upgraded;
                Served { client, request, outcome, upgraded } = poll_fn(|cx| handler.poll(cx)).await;
                client.open.worker.pools.give_handler(handler);
                if let Some(upgraded) = upgraded {
                    let (meets, _, down) = client.meeting();
                    outcome = meets.tunnel(down, &mut request, upgraded).await;
                }
            }
            Next::Streams => return (client, Outcome::Streams),
            Next::Closed => return (client, Outcome::Close),
        }
        first = false;
        let (meets, info, down) = client.meeting();
        meets.end(info, down, &mut request);
        meets.worker.pools.give_request(request);
        if outcome != Outcome::KeepAlive {
            return (client, outcome);
        }
    }
}

/// Waits for the next request, and begins to serve it. An idle connection waits here, and owns nothing but itself.
async fn next_request(client: &mut Client, first: bool) -> Next {
    let Client { open, timer, .. } = &*client;
    let patience = |waits: &ListenerTimeouts| if first { waits.header } else { waits.idle };
    let deadline = timer.now().after(patience(&open.listener.settings().timeouts));
    let mut wait = Wait { first, deadline, scan: HeadScan::default(), began: None };
    poll_fn(|cx| {
        let (meets, info, down) = client.meeting();
        let (mut request, fault) = match ready!(wait.poll(cx, meets, down)) {
            Sent::Request(request) => (request, None),
            Sent::Fault(fault, request) => (request, Some(fault)),
            Sent::Streams => return Poll::Ready(Next::Streams),
            Sent::Closed => return Poll::Ready(Next::Closed),
        };
        Poll::Ready(match meets.begin(cx, info, down, &mut request, fault) {
            Ok(outcome) => Next::Ended(request, outcome),
            Err(begun) => Next::Begun(request, begun),
        })
    })
    .await
}

/// A wait for a request.
struct Wait {
    /// It would be the first one of its connection.
    first: bool,
    deadline: Tick,
    scan: HeadScan,
    /// When it began to come.
    began: Option<Instant>,
}

impl Wait {
    #[inline]
    fn poll(&mut self, cx: &mut Context<'_>, meets: Meeting<'_>, down: &mut Connection) -> Poll<Sent> {
        let Meeting { worker, live, timer } = meets;
        loop {
            if !down.inbox.is_empty() {
                // What holds now: the connection may have been idle across a reload.
                let listener = live.settings();
                if self.first
                    && let Some(streams) = speaks_http2(down, &listener)
                {
                    return Poll::Ready(if streams { Sent::Streams } else { Sent::Closed });
                }
                match take_head(worker, down, &mut self.scan, &listener) {
                    Ok(Some(mut request)) => {
                        request.early = down.transport.is_early();
                        timer.leave_idle();
                        return Poll::Ready(Sent::Request(started(request, self.began)));
                    }
                    Ok(None) => {}
                    Err((fault, request)) => {
                        return Poll::Ready(Sent::Fault(fault, started(request, self.began)));
                    }
                }
                if self.began.is_none() {
                    timer.leave_idle();
                    self.began = Some(Instant::now());
                    self.deadline = timer.now().after(listener.timeouts.header);
                }
            }
            match down.poll_fill(cx) {
                Poll::Ready(Ok(0)) | Poll::Ready(Err(_)) => return Poll::Ready(Sent::Closed),
                Poll::Ready(Ok(_)) => {}
                Poll::Pending => return self.poll_expired(cx, meets, down),
            }
        }
    }

    /// Nothing has come.
    fn poll_expired(
        &mut self,
        cx: &mut Context<'_>,
        meets: Meeting<'_>,
        down: &mut Connection,
    ) -> Poll<Sent> {
        let Meeting { worker, live, timer } = meets;
        if self.began.is_none() && !down.has_unsent() && (worker.is_draining() || live.is_closing()) {
            if !self.first {
                return Poll::Ready(Sent::Closed);
            }
            // Whoever has just connected is about to ask, or has asked already.
            self.deadline = self.deadline.min(timer.now().after(FIRST_REQUEST));
        }
        if self.first || self.began.is_some() {
            timer.arm(self.deadline);
        } else if timer.arm_idle(self.deadline, live.id) {
            return Poll::Ready(Sent::Closed);
        }
        timer.poll_expired(cx).map(|()| match self.began {
            Some(_) => {
                let mut request = worker.pools.take_request();
                request.record.received = down.inbox.filled().len() as u64;
                Sent::Fault(Fault::HeaderTimeout, started(request, self.began))
            }
            None => Sent::Closed,
        })
    }
}

/// What a client sends first if it speaks HTTP/2 (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Whether the first bytes of a connection are those of HTTP/2, and may be; or of HTTP/1.1, and may not be. `None`
/// as long as requests may come in HTTP/1.1.
#[inline]
fn speaks_http2(down: &Connection, listener: &Listener) -> Option<bool> {
    let bytes = down.inbox.filled();
    // No method begins like this.
    if bytes.starts_with(b"PRI ") && bytes.len() <= PREFACE.len() && PREFACE.starts_with(bytes)
        || bytes.starts_with(PREFACE)
    {
        return Some(listener.protocols.http2);
    }
    (!listener.protocols.http1).then_some(false)
}

/// What is known of a connection before its first request.
pub(crate) fn introduce(peer: SocketAddr) -> ForwardingInfo {
    let (address, port) = (peer.ip().to_canonical(), peer.port());
    let peer_text = address.to_string().into();
    ForwardingInfo {
        peer: address,
        port,
        asked: None,
        peer_text,
        trusted: false,
        scheme: "http",
        encryption: None,
        forwards_certificate: false,
    }
}

/// How large a head may be.
pub(crate) fn head_limits(limits: &ListenerLimits) -> HeadLimits {
    HeadLimits { bytes: limits.header_bytes, fields: limits.headers, target: limits.uri }
}

/// Takes note of when a request began: with its first byte, which most often brings the whole head.
fn started(mut request: Box<Request>, began: Option<Instant>) -> Box<Request> {
    let now = Instant::now();
    let received = request.record.received;
    request.record = Record { received, ..Record::begin(began.unwrap_or(now)) };
    request.ready = now;
    request
}

/// A whole head from what the client has sent, parsed.
fn take_head(
    worker: &Worker,
    down: &mut Connection,
    scan: &mut HeadScan,
    listener: &Listener,
) -> Result<Option<Box<Request>>, (Fault, Box<Request>)> {
    let limits = head_limits(&listener.limits);
    let bytes = down.inbox.filled();
    let end = match scan.find_end(bytes, &limits, Kind::Request) {
        Ok(Some(end)) => end,
        Ok(None) => {
            if let Some(buffer) = &mut down.inbox.buffer
                && buffer.is_full()
            {
                buffer.grow(limits.bytes);
            }
            return Ok(None);
        }
        Err(fault) => {
            let mut request = worker.pools.take_request();
            request.record.received = bytes.len() as u64;
            return Err((fault, request));
        }
    };
    let mut request = worker.pools.take_request();
    request.record.received = end as u64;
    match wire::parse_request(bytes.get(..end).unwrap_or_default(), &limits, &mut request.head) {
        Ok(meta) => request.meta = meta,
        Err(fault) => return Err((fault, request)),
    }
    down.inbox.consume(end);
    Ok(Some(request))
}

/// Ends the connection in the way that the outcome demands.
async fn close(client: &mut Client, outcome: Outcome) {
    let Client { open, timer, down, .. } = client;
    match outcome {
        Outcome::Reset => down.unfinished = true,
        Outcome::KeepAlive | Outcome::Upgraded | Outcome::Gone | Outcome::Streams => {}
        Outcome::Close | Outcome::Linger => {
            let patience = open.listener.settings().timeouts.send;
            down.unfinished = send_rest(timer, down, patience).await.is_err();
            // Unread input would turn the close into a reset, which can overtake the answer.
            if !down.unfinished && (outcome == Outcome::Linger || !down.inbox.is_empty()) {
                linger(timer, down).await;
            }
        }
    }
}

/// Sends the end of the last answer, if it still waits for its turn: behind it, nobody would know what became of it.
async fn send_rest(timer: &Timer, down: &mut Connection, patience: std::time::Duration) -> Result<(), ()> {
    let deadline = timer.now().after(patience);
    poll_fn(|cx| {
        if let Poll::Ready(outcome) = down.transport.poll_drain(cx) {
            return Poll::Ready(outcome.map_err(drop));
        }
        timer.arm(deadline);
        timer.poll_expired(cx).map(Err)
    })
    .await
}

/// Stops sending, and reads on for a moment (RFC 9112 §9.6).
async fn linger(timer: &Timer, down: &mut Connection) {
    let deadline = timer.now().after(LINGER);
    let mut left = LINGER_BYTES;
    let mut stopped = false;
    poll_fn(|cx| {
        if !stopped {
            stopped = down.transport.poll_shutdown(cx).is_ready();
        }
        loop {
            let unread = down.inbox.filled().len();
            down.inbox.consume(unread);
            if unread > left {
                return Poll::Ready(());
            }
            left -= unread;
            match down.poll_fill(cx) {
                Poll::Ready(Ok(0)) | Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(_)) => {}
                Poll::Pending => break,
            }
        }
        timer.arm(deadline);
        timer.poll_expired(cx)
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of what a function makes.
    fn room_of<F: Future>(_: impl FnOnce(Box<Client>, bool) -> F) -> usize {
        size_of::<F>()
    }

    /// The task has as much room as the longest wait needs, so one careless variable costs all connections.
    #[test]
    fn a_connection_that_waits_has_room_for_little_else() {
        assert!(room_of(run) <= 256, "{} bytes", room_of(run));
        assert!(size_of::<Client>() <= 288, "{} bytes", size_of::<Client>());
        // A WebSocket keeps it for as long as it lives.
        assert!(size_of::<Request>() <= 1408, "{} bytes", size_of::<Request>());
    }
}
