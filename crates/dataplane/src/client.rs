//! One client connection over HTTP/1.1: read a head, serve it, again.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll};

use message::{Fault, ForwardingInfo};
use snapshot::Listener;
use tokio::net::TcpStream;
use wire::{HeadLimits, HeadScan, Kind};

use crate::answer;
use crate::request::Request;
use crate::serve::serve;
use crate::serving::{BodyState, Outcome, Serving};
use crate::timer::{Tick, Timer};
use crate::transport::{Connection, Transport};
use crate::worker::Worker;

/// How long a connection that must close lets the client finish sending, so that it can read the answer.
const LINGER: std::time::Duration = std::time::Duration::from_secs(2);
/// How much it reads away meanwhile.
const LINGER_BYTES: usize = 1024 * 1024;

/// What waiting for a request led to.
enum Next {
    /// A head.
    Request(Box<Request>),
    /// Something that is no request; the box is for the answer.
    Fault(Fault, Box<Request>),
    /// The client has gone, or nothing came.
    Closed,
}

/// Serves one connection until it ends.
pub(crate) async fn run(worker: Rc<Worker>, stream: TcpStream, peer: SocketAddr, listener: Rc<Listener>) {
    let peer = peer.ip().to_canonical();
    let mut info = ForwardingInfo { peer, peer_text: peer.to_string(), trusted: false, scheme: "http" };
    let timer = worker.wheel.timer();
    let mut down = Connection::new(Transport::Tcp(stream), &worker.buffers);
    let mut first = true;
    let outcome = loop {
        let (mut request, fault) = match next_request(&worker, &listener, &timer, &mut down, first).await {
            Next::Request(request) => (request, None),
            Next::Fault(fault, request) => (request, Some(fault)),
            Next::Closed => break Outcome::Close,
        };
        first = false;
        // The list may have changed since the last request.
        info.trusted = worker.current().snapshot.trusted_proxies.contains(peer);
        let mut serving = Serving {
            worker: &worker,
            listener: &listener,
            info: &info,
            timer: &timer,
            down: &mut down,
            request: &mut request,
            body: if fault.is_some() { BodyState::Partial } else { BodyState::Untouched },
        };
        let outcome = match fault {
            None => serve(&mut serving).await,
            Some(fault) => answer::fault(&mut serving, None, fault).await,
        };
        worker.give_back(request);
        if outcome != Outcome::KeepAlive {
            break outcome;
        }
    };
    close(&timer, down, outcome).await;
}

/// Waits for the next request head. An idle connection waits here, and owns nothing but itself.
async fn next_request(
    worker: &Rc<Worker>,
    listener: &Listener,
    timer: &Timer,
    down: &mut Connection,
    first: bool,
) -> Next {
    let limits = HeadLimits {
        bytes: listener.limits.header_bytes,
        fields: listener.limits.headers,
        target: listener.limits.uri,
    };
    let silence = if first { listener.timeouts.header } else { listener.timeouts.idle };
    let mut scan = HeadScan::default();
    let mut deadline = timer.now().after(silence);
    let mut begun = false;
    poll_fn(|cx| {
        loop {
            if !down.inbox.is_empty() {
                if !begun {
                    begun = true;
                    deadline = timer.now().after(listener.timeouts.header);
                }
                match take_head(worker, down, &mut scan, &limits) {
                    Ok(Some(request)) => return Poll::Ready(Next::Request(request)),
                    Ok(None) => {}
                    Err((fault, request)) => return Poll::Ready(Next::Fault(fault, request)),
                }
            }
            match down.poll_fill(cx) {
                Poll::Ready(Ok(0)) | Poll::Ready(Err(_)) => return Poll::Ready(Next::Closed),
                Poll::Ready(Ok(_)) => {}
                Poll::Pending if !begun && worker.is_draining() => return Poll::Ready(Next::Closed),
                Poll::Pending => return poll_silence(worker, timer, cx, deadline, begun),
            }
        }
    })
    .await
}

/// A whole head from what the client has sent, parsed.
fn take_head(
    worker: &Worker,
    down: &mut Connection,
    scan: &mut HeadScan,
    limits: &HeadLimits,
) -> Result<Option<Box<Request>>, (Fault, Box<Request>)> {
    let bytes = down.inbox.filled();
    let end = match scan.find_end(bytes, limits, Kind::Request) {
        Ok(Some(end)) => end,
        Ok(None) => {
            if let Some(buffer) = &mut down.inbox.buffer
                && buffer.is_full()
            {
                buffer.grow(limits.bytes);
            }
            return Ok(None);
        }
        Err(fault) => return Err((fault, worker.take_request())),
    };
    let mut request = worker.take_request();
    match wire::parse_request(bytes.get(..end).unwrap_or_default(), limits, &mut request.head) {
        Ok(meta) => request.meta = meta,
        Err(fault) => return Err((fault, request)),
    }
    down.inbox.consume(end);
    Ok(Some(request))
}

/// Nothing came: how long already?
fn poll_silence(
    worker: &Worker,
    timer: &Timer,
    cx: &mut Context<'_>,
    deadline: Tick,
    begun: bool,
) -> Poll<Next> {
    timer.arm(deadline);
    timer
        .poll_expired(cx)
        .map(|()| if begun { Next::Fault(Fault::HeaderTimeout, worker.take_request()) } else { Next::Closed })
}

/// Ends the connection in the way that the outcome demands.
async fn close(timer: &Timer, mut down: Connection, outcome: Outcome) {
    match outcome {
        Outcome::Reset => down.unfinished = true,
        Outcome::KeepAlive | Outcome::Gone => {}
        // Unread input would turn the close into a reset, which can overtake the answer.
        Outcome::Close if down.inbox.is_empty() => {}
        Outcome::Close | Outcome::Linger => linger(timer, &mut down).await,
    }
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
