//! One client connection over HTTP/3: takes requests from it, and gives each a task of its own.
//!
//! Packets, windows and encryption are the business of the `quinn` crate, frames and compressed heads that of `h3`,
//! which `quic.rs` puts together. Here is what they leave open, as for HTTP/2: how long a connection may be idle, how
//! it ends, and how much of the traffic may be about nothing.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use h3::error::{Code, StreamError};
use h3::frame::FrameStream;
use h3::server::{Connection as Http3, RequestResolver};
use h3::stream::BufRecvStream;
use message::{Fault, ForwardingInfo, Version};
use quinn::Incoming;
use quinn::crypto::rustls::HandshakeData;
use rustls::pki_types::CertificateDer;
use telemetry::{Abuse, Record};

use crate::client::{Meeting, head_limits, introduce, serve_one};
use crate::connection::Connection;
use crate::endpoint::Unfinished;
use crate::greeting;
use crate::handshake::Ending;
use crate::http3_stream::Http3Stream;
use crate::listener::OpenConnection;
use crate::pipe::Pipe;
use crate::quic::{Quic, Watch};
use crate::stream::{Payload, Stream};
use crate::timer::{TICK, Tick, Timer};
use crate::transport::Transport;

/// How many requests a client may give up before it has to see one through.
const PATIENCE: u32 = 200;
/// How many frames about nothing a client may send in each tick, and for each request.
const FRAMES_PER_TICK: i64 = 10;
const FRAMES_PER_REQUEST: i64 = 4;
/// How many requests may be broken off before their head has come. The library remembers each.
const MOST_HEADLESS: u32 = 10_000;
/// How long a new connection may take to send its request when no more are taken.
const FIRST_REQUEST: Duration = Duration::from_millis(500);
/// How long a connection that ends may take for what is on its way.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How many more requests a client is told that it may send when a connection begins to end: those that are on their
/// way already.
const ON_THE_WAY: usize = 1000;
/// The largest head that the library can hold, in bytes.
const LARGEST_HEAD: usize = 512 * 1024;
/// Requests of clients have every fourth number (RFC 9000 §2.1).
const NEXT_STREAM: u64 = 4;

type Resolver = RequestResolver<Quic, Payload>;

/// What the requests of a connection share with the task that drives it.
struct Shared {
    open: OpenConnection,
    info: ForwardingInfo,
    active: Cell<usize>,
    /// How many more requests may be given up.
    patience: Cell<u32>,
    headless: Cell<u32>,
    driver: RefCell<Option<Waker>>,
}

impl Shared {
    /// When the connection is to be looked at again, or what is to be done now. `unused` says that no request has come.
    fn next_deadline(&self, end: &mut End, pace: &mut Pace, now: Tick, unused: bool) -> Result<Tick, Step> {
        let OpenConnection { worker, listener } = &self.open;
        let active = self.active.get() > 0;
        if active {
            pace.idle_since = now;
        }
        match end {
            End::Open => {
                let settings = listener.settings();
                let leaves = worker.is_draining()
                    || listener.is_closing()
                    || !settings.protocols.http3
                    || self.headless.get() >= MOST_HEADLESS;
                let idle_until =
                    if active { Tick::NEVER } else { pace.idle_since.after(settings.timeouts.idle) };
                // Whoever has just connected is about to ask, or has asked already.
                let first_until = pace.began.after(FIRST_REQUEST);
                let is_new = leaves && unused && first_until > now;
                if (leaves && !is_new) || idle_until <= now {
                    return Err(if unused { Step::GoAway } else { Step::Announce });
                }
                Ok(if is_new { first_until } else { idle_until })
            }
            End::Announced(until) if *until <= now => Err(Step::GoAway),
            End::Announced(until) => Ok(*until),
            End::GoAway { over, .. } => {
                // The last of its requests has ended: what is left is to say so.
                if !active && *over == Tick::NEVER {
                    *over = now.after(LAST_WORDS);
                }
                if *over <= now { Err(Step::Over) } else { Ok(*over) }
            }
        }
    }

    fn wake(&self) {
        if let Some(driver) = self.driver.borrow_mut().take() {
            driver.wake();
        }
    }
}

/// A request under way, counted for as long as it lives.
struct Active {
    shared: Rc<Shared>,
    given_up: bool,
}

impl Active {
    fn begin(shared: &Rc<Shared>) -> Active {
        shared.active.set(shared.active.get() + 1);
        Active { shared: Rc::clone(shared), given_up: true }
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        let shared = &self.shared;
        shared.active.set(shared.active.get() - 1);
        let patience = shared.patience.get();
        let left = if self.given_up { patience.saturating_sub(1) } else { (patience + 1).min(PATIENCE) };
        shared.patience.set(left);
        if shared.active.get() == 0 || left == 0 {
            shared.wake();
        }
    }
}

/// What is next for a connection.
enum Step {
    /// It is over.
    Over,
    /// The client is to be told that it ends; requests that are on their way are still taken.
    Announce,
    /// From now on no request is taken.
    GoAway,
    /// The client asks too much.
    TooMuch,
}

/// How far the end of a connection has come.
#[derive(Clone, Copy)]
enum End {
    Open,
    /// The client was told, and at this tick no more is taken.
    Announced(Tick),
    /// Requests from this number on are not served; at this tick it is over.
    GoAway {
        first_refused: u64,
        over: Tick,
    },
}

/// Serves a connection until it ends.
pub(crate) async fn serve(open: OpenConnection, unfinished: Unfinished, incoming: Incoming) {
    let timer = open.worker.wheel.timer();
    let settings = open.listener.settings();
    timer.arm(timer.now().after(settings.timeouts.header));
    let peer = incoming.remote_address();
    let connected = match incoming.accept() {
        Ok(connecting) => in_time(&timer, connecting).await.ok_or_else(Ending::timeout),
        Err(error) => Ok(Err(error)),
    };
    let connection = connected.and_then(|outcome| outcome.map_err(|error| Ending::of_quic(&error)));
    drop(unfinished);
    let introduced = connection.and_then(|connection| Ok((introduce_client(&connection)?, connection)));
    let (info, connection) = match introduced {
        Ok(introduced) => introduced,
        Err(ending) => return ending.tell(&open, peer),
    };
    // The library does not tell whether a session was resumed.
    Ending::done(false).tell(&open, peer);
    let largest = settings.limits.header_bytes.min(LARGEST_HEAD);
    let watch = Watch::new(connection.clone(), largest);
    let building = async {
        h3::server::builder()
            .max_field_section_size(largest as u64)
            .send_grease(false)
            .build(Quic::new(Rc::clone(&watch)))
            .await
    };
    let Some(Ok(http3)) = in_time(&timer, building).await else { return };
    drop(settings);
    let shared = Rc::new(Shared {
        open,
        info,
        active: Cell::new(0),
        patience: Cell::new(PATIENCE),
        headless: Cell::new(0),
        driver: RefCell::default(),
    });
    drive(http3, &connection, &watch, &shared, &timer).await;
    // So that what was said last leaves before the connection counts as gone.
    tokio::task::yield_now().await;
}

/// The outcome of a future; `None` when its time is up.
async fn in_time<T>(timer: &Timer, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
        Poll::Pending => timer.poll_expired(cx).map(|()| None),
    })
    .await
}

/// Who has connected. That the address is its own was shown by the handshake; should packets come from another one
/// later, the client stays who it was.
fn introduce_client(connection: &quinn::Connection) -> Result<ForwardingInfo, Ending> {
    let mut info = introduce(connection.remote_address());
    let data = connection.handshake_data().and_then(|data| data.downcast::<HandshakeData>().ok());
    let name = data.and_then(|data| data.server_name).map(|name| name.to_ascii_lowercase().into());
    let chain =
        connection.peer_identity().and_then(|chain| chain.downcast::<Vec<CertificateDer<'static>>>().ok());
    let certificate = chain.as_ref().and_then(|chain| chain.first());
    greeting::note_encryption(&mut info, Some("1.3"), certificate, name)?;
    Ok(info)
}

/// Takes requests until the connection has ended.
async fn drive(
    mut http3: Http3<Quic, Payload>,
    connection: &quinn::Connection,
    watch: &Watch,
    shared: &Rc<Shared>,
    timer: &Timer,
) {
    let mut end = End::Open;
    let mut pace = Pace { began: timer.now(), idle_since: timer.now(), seen: timer.now() };
    let mut next = 0;
    loop {
        let step = next_step(&mut http3, watch, shared, timer, end, &mut pace, &mut next).await;
        timer.arm(timer.now().after(LAST_WORDS));
        match step {
            Step::Over => return,
            Step::TooMuch => {
                shared.open.listener.series().connections.abuse(Abuse::ResetFlood);
                return watch.close(Code::H3_EXCESSIVE_LOAD, "too many requests were given up");
            }
            Step::Announce => {
                if !matches!(in_time(timer, http3.shutdown(ON_THE_WAY)).await, Some(Ok(()))) {
                    return;
                }
                let until = timer.now().after((connection.rtt() * 2).clamp(TICK, LAST_WORDS));
                end = End::Announced(until);
            }
            Step::GoAway => {
                // The library says the number of the last request, or one more: the first that is not served.
                if !matches!(in_time(timer, http3.shutdown(usize::from(next > 0))).await, Some(Ok(()))) {
                    return;
                }
                end = End::GoAway { first_refused: next, over: Tick::NEVER };
            }
        }
        if let End::GoAway { over, .. } = &mut end
            && shared.active.get() == 0
        {
            *over = timer.now().after(LAST_WORDS);
        }
    }
}

/// Times of a connection.
struct Pace {
    began: Tick,
    /// Since when it has no requests.
    idle_since: Tick,
    /// When it was looked at last.
    seen: Tick,
}

/// Takes requests until something else is to be done. `next` is the number of the first request that has not come.
async fn next_step(
    http3: &mut Http3<Quic, Payload>,
    watch: &Watch,
    shared: &Rc<Shared>,
    timer: &Timer,
    mut end: End,
    pace: &mut Pace,
    next: &mut u64,
) -> Step {
    let listener = &shared.open.listener;
    poll_fn(|cx| {
        loop {
            match http3.poll_accept_request_stream(cx) {
                Poll::Ready(Ok(Some(stream))) => {
                    watch.earn(FRAMES_PER_REQUEST);
                    let pipe = Rc::clone(&stream.0);
                    let id = pipe.borrow().id();
                    if matches!(end, End::GoAway { first_refused, .. } if id >= first_refused) {
                        pipe.borrow_mut().reset(Code::H3_REQUEST_REJECTED);
                        continue;
                    }
                    *next = (*next).max(id + NEXT_STREAM);
                    let resolver = http3.create_resolver(FrameStream::new(BufRecvStream::new(stream)));
                    tokio::task::spawn_local(exchange(Active::begin(shared), resolver, pipe));
                    continue;
                }
                Poll::Ready(Ok(None) | Err(_)) => {
                    if watch.is_flooded() {
                        listener.series().connections.abuse(Abuse::FrameFlood);
                    }
                    return Poll::Ready(Step::Over);
                }
                Poll::Pending => {}
            }
            let now = timer.now();
            watch.earn((now.0 - pace.seen.0) as i64 * FRAMES_PER_TICK);
            pace.seen = now;
            if shared.patience.get() == 0 {
                return Poll::Ready(Step::TooMuch);
            }
            let deadline = match shared.next_deadline(&mut end, pace, now, *next == 0) {
                Ok(deadline) => deadline,
                Err(step) => return Poll::Ready(step),
            };
            timer.arm(deadline);
            *shared.driver.borrow_mut() = Some(cx.waker().clone());
            if timer.poll_expired(cx).is_pending() {
                return Poll::Pending;
            }
        }
    })
    .await
}

/// Serves one request.
async fn exchange(mut active: Active, resolver: Resolver, pipe: Rc<RefCell<Pipe>>) {
    let shared = Rc::clone(&active.shared);
    let OpenConnection { worker, listener: live } = &shared.open;
    let timer = worker.wheel.timer();
    let settings = live.settings();
    timer.arm(timer.now().after(settings.timeouts.header));
    let (message, stream) = match in_time(&timer, resolver.resolve_request()).await {
        Some(Ok(resolved)) => resolved,
        refused => {
            shared.headless.set(shared.headless.get() + 1);
            return refuse(refused.and_then(Result::err), &pipe, &timer).await;
        }
    };
    let promised = message.headers().get(http::header::CONTENT_LENGTH);
    let promised = promised.and_then(|value| value.to_str().ok()?.parse().ok());
    let mut stream = Http3Stream::accepted(stream, Rc::clone(&pipe), promised);
    // What says that it has no body is not complete before its end is there, and may turn out to have one.
    let waits = promised == Some(0);
    in_time(
        &timer,
        poll_fn(|cx| if stream.look_ahead(cx) || !waits { Poll::Ready(()) } else { Poll::Pending }),
    )
    .await;
    let ends = stream.is_read() && stream.trailers().is_none();
    let limits = head_limits(&settings.limits);
    drop(settings);
    let protocol = message.extensions().get::<h3::ext::Protocol>().copied();
    let (parts, ()) = message.into_parts();
    let mut request = worker.take_request();
    let now = Instant::now();
    request.record = Record::begin(now);
    request.ready = now;
    let protocol = protocol.as_ref().map(h3::ext::Protocol::as_str);
    let read = wire::read_request(&parts, ends, protocol, Version::Http3, &limits, &mut request.head);
    let fault = match read {
        Ok(_) if stream.is_broken() => Some(Fault::BadFraming),
        Ok(meta) => {
            request.meta = meta;
            None
        }
        Err(fault) => Some(fault),
    };
    drop(parts);
    let stream = Transport::Stream(Box::new(Stream::Http3(stream)));
    let mut down = Connection::new(stream, &worker.buffers);
    let mut info = shared.info.clone();
    let meets = Meeting { worker, live, timer: &timer };
    serve_one(&meets, &mut info, &mut down, &mut request, fault).await;
    active.given_up = request.record.fault == Some(Fault::ClientGone);
    worker.give_back(request);
    drop(down);
    if pipe.borrow().is_finished() {
        // Until the client has what it was sent, its connection must not end.
        let taken = pipe.borrow().stopped();
        timer.arm(timer.now().after(live.settings().timeouts.send));
        in_time(&timer, taken).await;
    }
}

/// Ends a request whose head has not come, or was none.
async fn refuse(error: Option<StreamError>, pipe: &RefCell<Pipe>, timer: &Timer) {
    match error {
        // The library has answered, with 431.
        Some(StreamError::HeaderTooBig { .. }) => {
            pipe.borrow_mut().finish();
            let flushed = poll_fn(|cx| pipe.borrow_mut().poll_flush(cx));
            let _ = in_time(timer, flushed).await;
        }
        Some(_) if pipe.borrow().is_too_long() => pipe.borrow_mut().reset(Code::H3_EXCESSIVE_LOAD),
        Some(_) => pipe.borrow_mut().reset(Code::H3_MESSAGE_ERROR),
        None => pipe.borrow_mut().reset(Code::H3_REQUEST_INCOMPLETE),
    }
}
