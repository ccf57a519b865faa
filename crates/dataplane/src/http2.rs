//! One client connection over HTTP/2: takes requests from it, and gives each a task of its own.
//!
//! Frames, compression and windows are the business of the `h2` crate. Here is what it leaves open: how long a
//! connection may be idle, when it ends, and how much of the traffic may be about nothing.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream};
use message::{Fault, ForwardingInfo, Version};
use snapshot::ListenerLimits;
use telemetry::{Abuse, Record};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wire::FrameMeter;

use crate::client::{Client, Meeting, head_limits, serve_one};
use crate::connection::Connection;
use crate::listener::{LiveListener, OpenConnection};
use crate::stream::{Payload, Stream};
use crate::timer::{Tick, Timer};
use crate::transport::Transport;

/// How much of a body a client may send ahead on one stream, and on all of them together, in bytes.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// How much of a response waits for the windows of the client, for each stream, in bytes.
const SEND_BUFFER: usize = 64 * 1024;
/// How many streams the gateway itself may have to reset because of what the client does wrong in them.
const MOST_OWN_RESETS: usize = 100;
/// How many requests a client may give up before it has to see one through.
const PATIENCE: u32 = 200;
/// How many frames about nothing a client may send in each tick.
const FRAMES_PER_TICK: i64 = 10;
/// How long a connection that ends may take for what is on its way.
const LAST_WORDS: Duration = Duration::from_secs(1);

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
            Transport::Tcp(stream) => Pin::new(stream).poll_read(cx, room),
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

/// What the streams of a connection share with the task that drives it.
struct Shared {
    open: OpenConnection,
    info: RefCell<ForwardingInfo>,
    active: Cell<usize>,
    /// How many more requests may be given up.
    patience: Cell<u32>,
    driver: RefCell<Option<Waker>>,
}

impl Shared {
    fn ended(&self, given_up: bool) {
        self.active.set(self.active.get() - 1);
        let patience = self.patience.get();
        self.patience.set(if given_up { patience.saturating_sub(1) } else { (patience + 1).min(PATIENCE) });
        let is_news = self.active.get() == 0 || self.patience.get() == 0;
        if let Some(driver) = self.driver.borrow_mut().take_if(|_| is_news) {
            driver.wake();
        }
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
    let listener = Rc::clone(&open.listener);
    let settings = listener.settings();
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
    listener.series().connections.http2();
    let shared = Rc::new(Shared {
        open,
        info: RefCell::new(info),
        active: Cell::new(0),
        patience: Cell::new(PATIENCE),
        driver: RefCell::default(),
    });
    let now = timer.now();
    let mut driver = Driver {
        connection,
        shared,
        meter,
        timer,
        listener,
        first: true,
        idle_since: now,
        seen: now,
        head_since: None,
        ends: Tick::NEVER,
    };
    poll_fn(|cx| driver.poll(cx)).await;
}

/// What keeps a connection going.
struct Driver {
    connection: h2::server::Connection<Io, Payload>,
    shared: Rc<Shared>,
    meter: Rc<FrameMeter>,
    timer: Timer,
    listener: Rc<LiveListener>,
    /// No request has come.
    first: bool,
    /// When the last of its requests ended.
    idle_since: Tick,
    /// When the meter was given credit last.
    seen: Tick,
    /// Since when the head of a request has been waited for.
    head_since: Option<Tick>,
    /// When it ends, once that is settled.
    ends: Tick,
}

impl Driver {
    /// Takes requests, until the connection has ended.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match self.connection.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => {
                    self.shared.active.set(self.shared.active.get() + 1);
                    self.first = false;
                    tokio::task::spawn_local(exchange(Rc::clone(&self.shared), request, respond));
                    continue;
                }
                Poll::Ready(Some(Err(error))) => {
                    // The library has counted something that nobody needs so many of.
                    // Where it was told to, that was counted already.
                    let is_news = self.ends == Tick::NEVER && error.is_library();
                    if is_news && error.reason() == Some(Reason::ENHANCE_YOUR_CALM) {
                        self.listener.series().connections.abuse(Abuse::Excess);
                    }
                    return Poll::Ready(());
                }
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => {}
            }
            if self.settle() {
                *self.shared.driver.borrow_mut() = Some(cx.waker().clone());
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
        let active = self.shared.active.get() > 0;
        if active {
            self.idle_since = now;
        }
        if self.ends != Tick::NEVER {
            // Once the last of its requests has ended, what is left is to say so.
            let last = now.after(LAST_WORDS);
            if !active && self.ends > last {
                self.ends = last;
            }
            self.timer.arm(self.ends);
            return true;
        }
        let settings = self.listener.settings();
        let waits = &settings.timeouts;
        self.head_since = self.head_since.or(Some(now)).filter(|_| self.meter.is_inside_head());
        let head_until = self.head_since.map_or(Tick::NEVER, |since| since.after(waits.header));
        let abuse = match () {
            () if self.shared.patience.get() == 0 => Some(Abuse::ResetFlood),
            () if self.meter.is_exhausted() => Some(Abuse::FrameFlood),
            () if head_until <= now => Some(Abuse::HalfHead),
            () => None,
        };
        if let Some(reason) = abuse {
            self.listener.series().connections.abuse(reason);
            self.connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
            self.ends = now.after(LAST_WORDS);
            return false;
        }
        let wait = match (self.connection.has_streams(), self.first) {
            // What was answered and not taken keeps a connection for as long as a client may take to take it.
            (true, _) => waits.send,
            (false, true) => waits.header,
            (false, false) => waits.idle,
        };
        let idle_until = if active { Tick::NEVER } else { self.idle_since.after(wait) }.min(head_until);
        if self.shared.open.worker.is_draining() || self.listener.is_closing() || idle_until <= now {
            self.connection.graceful_shutdown();
            self.ends = if active { Tick(Tick::NEVER.0 - 1) } else { now.after(LAST_WORDS) };
            return false;
        }
        self.timer.arm(idle_until);
        true
    }
}

/// Serves one request.
async fn exchange(shared: Rc<Shared>, request: http::Request<RecvStream>, respond: SendResponse<Payload>) {
    let OpenConnection { worker, listener: live } = &shared.open;
    let (parts, receive) = request.into_parts();
    let ends = receive.is_end_stream();
    let limits = head_limits(&live.settings().limits);
    let protocol = parts.extensions.get::<h2::ext::Protocol>().map(h2::ext::Protocol::as_str);
    let mut request = worker.take_request();
    let now = Instant::now();
    request.record = Record::begin(now);
    request.ready = now;
    let read = wire::read_request(&parts, ends, protocol, Version::Http2, &limits, &mut request.head);
    let fault = read.map(|meta| request.meta = meta).err();
    drop(parts);
    let stream = Stream::accepted(receive, respond);
    let mut down = Connection::new(Transport::Stream(Box::new(stream)), &worker.buffers);
    let timer = worker.wheel.timer();
    let mut info = shared.info.borrow().clone();
    let meets = Meeting { worker, live, timer: &timer };
    serve_one(&meets, &mut info, &mut down, &mut request, fault).await;
    let given_up = request.record.fault == Some(Fault::ClientGone);
    drop(down);
    worker.give_back(request);
    shared.ended(given_up);
}
