//! Listeners in one worker: accepting connections, counting them, closing.
//!
//! A listener lives for as long as its address stands in the configuration; its settings can change under it.

use std::cell::{Cell, OnceCell, RefCell};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use message::{ResponseHead, Version};
use snapshot::Listener;
use telemetry::ListenerSeries;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::client::{self, Client};
use crate::clock::date_now;
use crate::endpoint::QuicSide;
use crate::greeting;
use crate::outbox::Socket;
use crate::stage::ListenerId;
use crate::thread::Order;
use crate::transport::Transport;
use crate::udp::StagedUdp;
use crate::worker::Worker;

/// How long to wait before accepting again when the system is out of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A listener in one worker.
pub(crate) struct LiveListener {
    pub(crate) id: ListenerId,
    settings: RefCell<Rc<Listener>>,
    series: Arc<ListenerSeries>,
    closing: Cell<bool>,
    /// Connections of this worker.
    connections: Cell<usize>,
    /// The task that accepts.
    acceptor: RefCell<Option<Waker>>,
    /// Once it speaks HTTP/3, or has done.
    quic: OnceCell<Rc<QuicSide>>,
}

impl LiveListener {
    pub(crate) fn new(id: ListenerId, settings: Listener, series: Arc<ListenerSeries>) -> LiveListener {
        if settings.tls.is_some() {
            series.connections.expect_handshakes();
        }
        LiveListener {
            id,
            settings: RefCell::new(Rc::new(settings)),
            series,
            closing: Cell::new(false),
            connections: Cell::new(0),
            acceptor: RefCell::default(),
            quic: OnceCell::new(),
        }
    }

    /// What holds for its connections now.
    #[inline]
    pub(crate) fn settings(&self) -> Rc<Listener> {
        Rc::clone(&self.settings.borrow())
    }

    /// What is counted of it.
    pub(crate) fn series(&self) -> &ListenerSeries {
        &self.series
    }

    /// From now on other settings hold, from the next request of each connection on. Whether there may be connections
    /// that end because of that.
    pub(crate) fn set(&self, settings: Listener) -> bool {
        let speaks_less = self.settings.borrow().protocols.http3 && !settings.protocols.http3;
        if **self.settings.borrow() != settings {
            if settings.tls.is_some() {
                self.series.connections.expect_handshakes();
            }
            if let Some(quic) = self.quic.get() {
                quic.set(&settings);
            }
            *self.settings.borrow_mut() = Rc::new(settings);
        }
        speaks_less
    }

    /// From now on it speaks HTTP/3 too.
    ///
    /// # Errors
    /// It cannot.
    pub(crate) fn open_quic(&self, udp: StagedUdp) -> std::io::Result<Rc<QuicSide>> {
        let side = Rc::new(QuicSide::open(udp, &self.settings())?);
        Ok(Rc::clone(self.quic.get_or_init(|| side)))
    }

    /// Adds to a response where there is a newer version of HTTP.
    #[inline]
    pub(crate) fn announce_http3(&self, version: Version, response: &mut ResponseHead) {
        if let Some(quic) = self.quic.get() {
            quic.announce(version, response);
        }
    }

    /// Accepts no more. Its connections end after the request that is under way.
    pub(crate) fn close(&self) {
        self.closing.set(true);
        if let Some(quic) = self.quic.get() {
            quic.close();
        }
        if let Some(waker) = self.acceptor.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Whether its connections are about to end.
    #[inline]
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.get()
    }

    /// Whether it accepts, or has connections.
    pub(crate) fn is_open(&self) -> bool {
        !self.closing.get() || self.connections.get() > 0
    }

    fn poll_accept(
        &self,
        cx: &mut Context<'_>,
        socket: &TcpListener,
    ) -> Poll<Option<std::io::Result<(TcpStream, SocketAddr)>>> {
        if self.closing.get() {
            return Poll::Ready(None);
        }
        let polled = socket.poll_accept(cx);
        if polled.is_pending() {
            *self.acceptor.borrow_mut() = Some(cx.waker().clone());
        }
        polled.map(Some)
    }
}

/// Accepts connections until the listener closes, and then those that wait already.
pub(crate) async fn accept(
    worker: Rc<Worker>,
    listener: Rc<LiveListener>,
    socket: TcpListener,
    siblings: Rc<[mpsc::Sender<Order>]>,
) {
    while let Some(accepted) = poll_fn(|cx| listener.poll_accept(cx, &socket)).await {
        match accepted {
            Ok((stream, peer)) => match worker.lighter_sibling().and_then(|lighter| siblings.get(lighter)) {
                None => start(&worker, &listener, stream, peer),
                Some(sibling) => hand_over(&worker, &listener, sibling, stream, peer),
            },
            // The client gave up before it was accepted, or the system is out of something: neither
            // is a reason to stop, and only the second one to wait.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionAborted => {}
            Err(_) => {
                worker.wheel.end_idle(None);
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // Whoever is in the queue has a connection already, and would see a reset. Asked of the system itself: the
    // runtime may not have heard of them yet.
    if let Ok(socket) = socket.into_std() {
        loop {
            match socket.accept() {
                Ok((stream, peer)) => {
                    if stream.set_nonblocking(true).is_ok()
                        && let Ok(stream) = TcpStream::from_std(stream)
                    {
                        start(&worker, &listener, stream, peer);
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionAborted => {}
                Err(_) => break, // nobody waits, or nobody can be let in
            }
        }
    }
}

/// Gives a connection to another worker.
fn hand_over(
    worker: &Rc<Worker>,
    listener: &Rc<LiveListener>,
    queue: &mpsc::Sender<Order>,
    stream: TcpStream,
    peer: SocketAddr,
) {
    // A full queue is no reason to lose a client: then this worker serves it after all.
    match queue.try_reserve() {
        Err(_) => start(worker, listener, stream, peer),
        Ok(place) => {
            if let Ok(stream) = stream.into_std() {
                place.send(Order::Serve(stream, peer, listener.id));
            }
        }
    }
}

/// Begins to serve a connection. If its listener has as many as it may, those that have been idle for the longest time
/// make room; otherwise it is refused.
pub(crate) fn start(worker: &Rc<Worker>, listener: &Rc<LiveListener>, stream: TcpStream, peer: SocketAddr) {
    if let Some(open) = OpenConnection::begin(worker, listener) {
        return serve(open, stream, peer);
    }
    worker.wheel.end_idle(Some(listener.id));
    let (worker, listener) = (Rc::clone(worker), Rc::clone(listener));
    tokio::task::spawn_local(async move {
        // Those that are to end have been woken and come first.
        tokio::task::yield_now().await;
        match OpenConnection::begin(&worker, &listener) {
            Some(open) => serve(open, stream, peer),
            None => {
                listener.series.refuse();
                refuse(&stream);
            }
        }
    });
}

fn serve(open: OpenConnection, stream: TcpStream, peer: SocketAddr) {
    let listener = Rc::clone(&open.listener);
    let settings = listener.settings();
    if settings.tls.is_none() && !settings.proxy_protocol {
        let socket = Socket::new(stream, &open.worker.outbox);
        let client = Box::new(Client::new(open, Transport::Tcp(socket), client::introduce(peer)));
        tokio::task::spawn_local(client::run(client, false));
        return;
    }
    tokio::task::spawn_local(async move {
        // What the greeting needs is given back before requests are served.
        if let Some((client, streams)) = Box::pin(greeting::greet(open, stream, peer)).await {
            client::run(client, streams).await;
        }
    });
}

/// One open client connection, counted for as long as it lives.
pub(crate) struct OpenConnection {
    pub(crate) worker: Rc<Worker>,
    pub(crate) listener: Rc<LiveListener>,
}

impl OpenConnection {
    /// `None` if the listener has as many as it may.
    pub(crate) fn begin(worker: &Rc<Worker>, listener: &Rc<LiveListener>) -> Option<OpenConnection> {
        if !listener.series.begin(listener.settings.borrow().limits.connections) {
            return None;
        }
        worker.count_connection(1);
        listener.connections.set(listener.connections.get() + 1);
        Some(OpenConnection { worker: Rc::clone(worker), listener: Rc::clone(listener) })
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.worker.count_connection(-1);
        self.listener.connections.set(self.listener.connections.get().saturating_sub(1));
        self.listener.series.end();
    }
}

/// Tells a client that there is no room, if that can be said without waiting.
fn refuse(stream: &TcpStream) {
    let reply = message::Reply::fault(message::Fault::Overloaded, "");
    let mut head = ResponseHead::default();
    reply.write_head(&mut head);
    let framing = wire::ResponseFraming {
        body: wire::ResponseBody::Exact(reply.body.len() as u64),
        connection: wire::ConnectionHeader::Close,
        date: Some(&date_now()),
    };
    let Some(text) = wire::end_response(&mut head, &framing) else { return };
    text.extend_from_slice(&reply.body);
    // Straight to the socket: the runtime does not know yet whether it can be written to. If it cannot, the
    // client learns from the close.
    let _ = socket2::SockRef::from(stream).send(text);
}
