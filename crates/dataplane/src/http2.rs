//! One client connection over HTTP/2: takes requests from it, and gives each a task of its own.
//!
//! Frames, compression and windows are the business of the `h2` crate. Here is what it leaves open: how long a
//! connection may be idle, when it ends, and how much of the traffic may be about nothing.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream};
use message::Version;
use snapshot::ListenerLimits;
use telemetry::Abuse;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wire::FrameMeter;

use crate::client::Client;
use crate::connection::Connection;
use crate::listener::OpenConnection;
use crate::stream::{Payload, Stream};
use crate::streams::{ActiveRequest, Arrival, FRAMES_PER_TICK, LAST_WORDS, Streams};
use crate::timer::{Tick, Timer};
use crate::transport::Transport;

/// How much of a body a client may send ahead on one stream, and on all of them together, in bytes.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// How much of a response waits for the windows of the client, for each stream, in bytes.
const SEND_BUFFER: usize = 64 * 1024;
/// How many streams the gateway itself may have to reset because of what the client does wrong in them.
const MOST_OWN_RESETS: usize = 100;
/// A connection as the library wants it.
pub(crate) struct Io {
    down: Connection,
    /// Counts what a client sends; a service is believed to mean well.
    meter: Option<Rc<FrameMeter>>,
}

impl Io {
    pub(crate) fn new(down: Connection, meter: Option<Rc<FrameMeter>>) -> Io {
        Io { down, meter }
    }
}

impl AsyncRead for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = room.filled().len();
        let polled = self.poll_bytes(cx, room);
        if let Some(meter) = &self.meter {
            meter.received(room.filled().get(before..).unwrap_or_default());
        }
        polled
    }
}

impl Io {
    fn poll_bytes(&mut self, cx: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let down = &mut self.down;
        if !down.inbox.is_empty() {
            // What came before it was known that this is HTTP/2.
            let bytes = down.inbox.filled();
            let count = bytes.len().min(room.remaining());
            room.put_slice(&bytes[..count]);
            down.inbox.consume(count);
            return Poll::Ready(Ok(()));
        }
        match &mut down.transport {
            Transport::Tcp(socket) => socket.poll_read_buf(cx, room),
            other => other.poll_read(cx, room.initialize_unfilled()).map_ok(|count| room.advance(count)),
        }
    }
}

impl Io {
    fn poll_slices(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let polled = self.down.transport.poll_write(cx, slices);
        if let (Some(meter), Poll::Ready(Ok(count))) = (&self.meter, &polled) {
            meter.sent(*count);
        }
        polled
    }
}

impl AsyncWrite for Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_slices(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_slices(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.down.transport.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.down.transport.poll_shutdown(cx)
    }
}

fn builder(limits: &ListenerLimits) -> Builder {
    let mut builder = Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .max_send_buffer_size(SEND_BUFFER)
        .max_local_error_reset_streams(Some(MOST_OWN_RESETS))
        .enable_connect_protocol();
    builder
}

/// Serves a connection until it ends.
pub(crate) async fn serve(client: Client) {
    let Client { open, info, timer, down } = client;
    let settings = open.listener.settings();
    timer.arm(timer.now().after(settings.timeouts.header));
    let meter = Rc::new(FrameMeter::default());
    let io = Io::new(down, Some(Rc::clone(&meter)));
    let mut handshake = builder(&settings.limits).handshake::<_, Payload>(io);
    let connection = poll_fn(|cx| match Pin::new(&mut handshake).poll(cx) {
        Poll::Ready(outcome) => Poll::Ready(outcome.ok()),
        Poll::Pending => timer.poll_expired(cx).map(|()| None),
    });
    let Some(connection) = connection.await else { return };
    drop(handshake);
    open.listener.series().connections.http2();
    let now = timer.now();
    let mut driver = Driver {
        connection,
        streams: Streams::new(open, info),
        meter,
        timer,
        first: true,
        idle_since: now,
        seen: now,
        head_since: None,
        end: End::Open,
    };
    poll_fn(|cx| driver.poll(cx)).await;
}

/// How far the end of a connection has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Open,
    /// The client was told. Requests that have begun are finished.
    Told,
    /// What is on its way may take until then.
    At(Tick),
}

/// What keeps a connection going.
struct Driver {
    connection: h2::server::Connection<Io, Payload>,
    streams: Rc<Streams>,
    meter: Rc<FrameMeter>,
    timer: Timer,
    /// No request has come.
    first: bool,
    /// When the last of its requests ended.
    idle_since: Tick,
    /// When the meter was given credit last.
    seen: Tick,
    /// Since when the head of a request has been waited for.
    head_since: Option<Tick>,
    end: End,
}

impl Driver {
    /// Takes requests, until the connection has ended.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match self.connection.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => {
                    self.first = false;
                    tokio::task::spawn_local(exchange(self.streams.begin(), request, respond));
                    continue;
                }
                Poll::Ready(Some(Err(error))) => {
                    // The library has counted something that nobody needs so many of; unless it was told to end,
                    // which was counted before.
                    let is_news = !matches!(self.end, End::At(_)) && error.is_library();
                    if is_news && error.reason() == Some(Reason::ENHANCE_YOUR_CALM) {
                        self.streams.open.listener.series().connections.abuse(Abuse::Excess);
                    }
                    return Poll::Ready(());
                }
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => {}
            }
            if self.settle() {
                self.streams.wait(cx);
                return self.timer.poll_expired(cx);
            }
        }
    }

    /// Looks at the time and at what the client has done, and arms the timer. Returns false when there is something
    /// new to send.
    fn settle(&mut self) -> bool {
        let now = self.timer.now();
        self.meter.earn((now.0 - self.seen.0) as i64 * FRAMES_PER_TICK);
        self.seen = now;
        if let End::At(until) = self.end {
            self.timer.leave_idle();
            self.timer.arm(until);
            return true;
        }
        let OpenConnection { worker, listener } = &self.streams.open;
        let settings = listener.settings();
        let waits = &settings.timeouts;
        self.head_since = self.head_since.or(Some(now)).filter(|_| self.meter.is_inside_head());
        let head_until = self.head_since.map_or(Tick::NEVER, |since| since.after(waits.header));
        let abuse = match () {
            () if self.streams.is_out_of_patience() => Some(Abuse::ResetFlood),
            () if self.meter.is_exhausted() => Some(Abuse::FrameFlood),
            () if head_until <= now => Some(Abuse::HalfHead),
            () => None,
        };
        if let Some(reason) = abuse {
            listener.series().connections.abuse(reason);
            self.connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
            self.end = End::At(now.after(LAST_WORDS));
            return false;
        }
        if self.streams.is_active() {
            self.idle_since = now;
        } else if self.end == End::Told {
            // The last of its requests has ended: what is left is to say so.
            self.end = End::At(now.after(LAST_WORDS));
            return self.settle();
        }
        let wait = match (self.connection.has_streams(), self.first) {
            // What was answered and not taken keeps a connection for as long as a client may take to take it.
            (true, _) => waits.send,
            (false, true) => waits.header,
            (false, false) => waits.idle,
        };
        let idle_until = if self.streams.is_active() { Tick::NEVER } else { self.idle_since.after(wait) };
        let until = idle_until.min(head_until);
        let is_idle = wait == waits.idle && idle_until != Tick::NEVER && head_until == Tick::NEVER;
        let must_end = if is_idle {
            self.timer.arm_idle(until, listener.id)
        } else {
            self.timer.leave_idle();
            self.timer.arm(until);
            false
        };
        let leaves = worker.is_draining() || listener.is_closing() || idle_until <= now || must_end;
        if leaves && self.end == End::Open {
            self.connection.graceful_shutdown();
            self.end = End::Told;
            return false;
        }
        true
    }
}

/// Serves one request.
async fn exchange(
    mut active: ActiveRequest,
    request: http::Request<RecvStream>,
    respond: SendResponse<Payload>,
) {
    let (mut parts, receive) = request.into_parts();
    let protocol = parts.extensions.remove::<h2::ext::Protocol>();
    let arrival = Arrival {
        parts,
        version: Version::Http2,
        ends: receive.is_end_stream(),
        protocol: protocol.as_ref().map(h2::ext::Protocol::as_str),
        fault: None,
    };
    let timer = active.streams.open.worker.wheel.timer();
    active.serve(arrival, Stream::accepted(receive, respond), &timer).await;
}
