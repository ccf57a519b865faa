//! Connections to a service that carry many requests at a time.
//!
//! A worker keeps as few of them for an address as it needs. What drives one is a task of its own, which ends with the
//! last request once nobody holds the connection any more.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use h2::client::{Builder, SendRequest};

use crate::buffers::Buffers;
use crate::connection::Connection;
use crate::http2::Io;
use crate::member::OpenSlot;
use crate::stream::{Payload, Stream};
use crate::timer::Tick;
use crate::transport::Transport;

/// How much of a response a service may send ahead on one stream, and on all of them together, in bytes.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 2 * 1024 * 1024;
/// How much of a request waits for the windows of the service, for each stream, in bytes.
const SEND_BUFFER: usize = 64 * 1024;
/// How many requests a service is trusted with at a time before it has said how many it takes.
const FIRST_STREAMS: usize = 100;

/// A connection that carries many requests.
struct Carrier {
    connection: SendRequest<Payload>,
    active: Cell<usize>,
    ended: Rc<Cell<bool>>,
    /// A request on it came to its end.
    served: Cell<bool>,
    /// When it is closed if nobody uses it; set while it is unused.
    unused_until: Cell<Tick>,
}

/// A request on one of them, counted for as long as it lives.
pub(crate) struct ActiveStream {
    carrier: Rc<Carrier>,
    waiters: Rc<Waiters>,
}

impl Drop for ActiveStream {
    fn drop(&mut self) {
        self.carrier.active.set(self.carrier.active.get() - 1);
        self.carrier.served.set(true);
        self.waiters.wake_all();
    }
}

/// Requests that wait for a connection to be opened.
#[derive(Default)]
struct Waiters(RefCell<Vec<Waker>>);

impl Waiters {
    fn wake_all(&self) {
        self.0.take().into_iter().for_each(Waker::wake);
    }
}

/// The connections of a worker to one address.
#[derive(Default)]
pub(crate) struct Carriers {
    all: RefCell<Vec<Rc<Carrier>>>,
    /// How many requests at a time the service takes, as it said on an earlier connection.
    most: Cell<Option<usize>>,
    opening: Cell<bool>,
    waiters: Rc<Waiters>,
}

/// Somebody opens a connection, for all that wait.
pub(crate) struct Opening<'a>(&'a Carriers);

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.0.opening.set(false);
        self.0.waiters.wake_all();
    }
}

/// How a request gets its connection.
pub(crate) enum Joined<'a> {
    /// On one that is open.
    Stream(Box<Connection>, ActiveStream),
    /// By opening one.
    Opens(Opening<'a>),
}

impl Carriers {
    /// A stream of an open connection that has room for one more.
    pub(crate) fn join(
        &self,
        cx: &mut Context<'_>,
        home: &Rc<Buffers>,
    ) -> Option<(Box<Connection>, ActiveStream)> {
        let mut all = self.all.borrow_mut();
        // One that the service is about to close takes no more requests.
        all.retain(|carrier| {
            !carrier.ended.get() && !matches!(carrier.connection.clone().poll_ready(cx), Poll::Ready(Err(_)))
        });
        let has_room =
            |one: &&Rc<Carrier>| one.active.get() < one.connection.current_max_send_streams().max(1);
        let carrier = Rc::clone(all.iter().find(has_room)?);
        if carrier.served.get() {
            // Whoever has answered has said before how many it takes.
            self.most.set(Some(carrier.connection.current_max_send_streams()));
        }
        carrier.active.set(carrier.active.get() + 1);
        carrier.unused_until.set(Tick::NEVER);
        let stream = Stream::opening(carrier.connection.clone());
        let connection = Connection::new(Transport::Stream(Box::new(stream)), home);
        Some((Box::new(connection), ActiveStream { carrier, waiters: Rc::clone(&self.waiters) }))
    }

    /// The same, or the task of opening a connection; waits while somebody else does that.
    pub(crate) fn poll_join(&self, cx: &mut Context<'_>, home: &Rc<Buffers>) -> Poll<Joined<'_>> {
        if let Some((connection, active)) = self.join(cx, home) {
            return Poll::Ready(Joined::Stream(connection, active));
        }
        if !self.opening.replace(true) {
            return Poll::Ready(Joined::Opens(Opening(self)));
        }
        self.waiters.0.borrow_mut().push(cx.waker().clone());
        Poll::Pending
    }

    /// Takes in a fresh connection.
    ///
    /// # Errors
    /// The service does not speak HTTP/2, or has gone.
    pub(crate) async fn add(&self, transport: Connection, slot: OpenSlot) -> Result<(), h2::Error> {
        let mut builder = Builder::new();
        builder
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buffer_size(SEND_BUFFER)
            .max_header_list_size(crate::exchange::RESPONSE_LIMITS.bytes as u32)
            .initial_max_send_streams(self.most.get().unwrap_or(FIRST_STREAMS))
            .enable_push(false);
        let (connection, driver) = builder.handshake::<_, Payload>(Io::new(transport, None)).await?;
        let ended = Rc::new(Cell::new(false));
        let (has_ended, waiters) = (Rc::clone(&ended), Rc::clone(&self.waiters));
        tokio::task::spawn_local(async move {
            // Whatever it ended of, its requests are told by their streams.
            let _ = driver.await;
            has_ended.set(true);
            waiters.wake_all();
            drop(slot);
        });
        let unused_until = Cell::new(Tick::NEVER);
        let (active, served) = (Cell::new(0), Cell::new(false));
        let carrier = Carrier { connection, active, ended, served, unused_until };
        self.all.borrow_mut().push(Rc::new(carrier));
        Ok(())
    }

    /// Lets go of connections that were not used until `now`. `until` is when those are that are unused now.
    pub(crate) fn sweep(&self, now: Tick, until: Tick) {
        self.all.borrow_mut().retain(|carrier| {
            if carrier.active.get() == 0 && carrier.unused_until.get() == Tick::NEVER {
                carrier.unused_until.set(until);
            }
            !carrier.ended.get() && carrier.unused_until.get() > now
        });
    }

    /// Lets go of all; each ends with the last of its requests.
    pub(crate) fn retire(&self) {
        self.all.borrow_mut().clear();
    }
}
