//! One client connection over HTTP/3: takes requests from it, and gives each a task of its own.
//!
//! Packets, windows and encryption are the business of the `quinn` crate, frames and compressed heads that of `h3`,
//! which `quic.rs` puts together. Here is what they leave open, as for HTTP/2: how long a connection may be idle, how
//! it ends, and how much of the traffic may be about nothing.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use h3::error::{Code, StreamError};
use h3::frame::FrameStream;
use h3::server::{Connection as Http3, RequestResolver};
use h3::stream::BufRecvStream;
use message::{Fault, ForwardingInfo, Version};
use quinn::Incoming;
use quinn::crypto::rustls::HandshakeData;
use rustls::pki_types::CertificateDer;
use telemetry::Abuse;

use crate::client::{FIRST_REQUEST, introduce};
use crate::endpoint::Unfinished;
use crate::greeting;
use crate::handshake::Ending;
use crate::http3_stream::Http3Stream;
use crate::listener::OpenConnection;
use crate::pipe::Pipe;
use crate::quic::{Quic, Watch};
use crate::stream::{Payload, Stream};
use crate::streams::{ActiveRequest, Arrival, FRAMES_PER_TICK, LAST_WORDS, Streams};
use crate::timer::{TICK, Tick, Timer};

/// How many frames about nothing a request earns.
const FRAMES_PER_REQUEST: i64 = 4;
/// How many requests may be broken off before their head has come. The library remembers each.
const MOST_HEADLESS: u32 = 10_000;
/// How many more requests a client is told that it may send when a connection begins to end: those that are on their
/// way already.
const ON_THE_WAY: usize = 1000;
/// The largest head that the library can hold, in bytes.
const LARGEST_HEAD: usize = 512 * 1024;
/// Requests of clients have every fourth number (RFC 9000 §2.1).
const NEXT_STREAM: u64 = 4;

type Resolver = RequestResolver<Quic, Payload>;

/// A connection, as its requests and the task that drives it see it.
struct Shared {
    streams: Rc<Streams>,
    /// Requests that were broken off before their head had come.
    headless: Cell<u32>,
}

impl Shared {
    /// When the connection is to be looked at again, or what is to be done now. `unused` says that no request has come.
    fn next_deadline(&self, end: &mut End, pace: &mut Pace, now: Tick, unused: bool) -> Result<Tick, Step> {
        let OpenConnection { worker, listener } = &self.streams.open;
        let active = self.streams.is_active();
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
    let shared = Rc::new(Shared { streams: Streams::new(open, info), headless: Cell::new(0) });
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
                shared.streams.open.listener.series().connections.abuse(Abuse::ResetFlood);
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
            && !shared.streams.is_active()
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
    let listener = &shared.streams.open.listener;
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
                    tokio::task::spawn_local(exchange(
                        Rc::clone(shared),
                        shared.streams.begin(),
                        resolver,
                        pipe,
                    ));
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
            if shared.streams.is_out_of_patience() {
                return Poll::Ready(Step::TooMuch);
            }
            let deadline = match shared.next_deadline(&mut end, pace, now, *next == 0) {
                Ok(deadline) => deadline,
                Err(step) => return Poll::Ready(step),
            };
            timer.arm(deadline);
            shared.streams.wait(cx);
            if timer.poll_expired(cx).is_pending() {
                return Poll::Pending;
            }
        }
    })
    .await
}

/// Serves one request.
async fn exchange(
    shared: Rc<Shared>,
    mut active: ActiveRequest,
    resolver: Resolver,
    pipe: Rc<RefCell<Pipe>>,
) {
    let OpenConnection { worker, listener: live } = &shared.streams.open;
    let timer = worker.wheel.timer();
    timer.arm(timer.now().after(live.settings().timeouts.header));
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
    let (mut parts, ()) = message.into_parts();
    let protocol = parts.extensions.remove::<h3::ext::Protocol>();
    let arrival = Arrival {
        parts,
        version: Version::Http3,
        ends: stream.is_read() && stream.trailers().is_none(),
        protocol: protocol.as_ref().map(h3::ext::Protocol::as_str),
        fault: stream.is_broken().then_some(Fault::BadFraming),
    };
    active.serve(arrival, Stream::Http3(stream), &timer).await;
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
