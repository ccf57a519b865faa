//! The requests of one connection that carries many, whatever the version of HTTP: how many there are, and how many
//! more a client may give up.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use http::request::Parts;
use message::{Fault, ForwardingInfo, Version};
use telemetry::Record;

use crate::client::head_limits;
use crate::connection::Connection;
use crate::handler::Meeting;
use crate::listener::OpenConnection;
use crate::stream::Stream;
use crate::timer::Timer;
use crate::transport::Transport;

/// How many requests a client may give up before it has to see one through.
const PATIENCE: u32 = 200;
/// How many frames about nothing a client may send in each tick.
pub(crate) const FRAMES_PER_TICK: i64 = 10;
/// How long a connection that ends may take for what is on its way.
pub(crate) const LAST_WORDS: Duration = Duration::from_secs(1);

/// What the requests of a connection share with the task that drives it.
pub(crate) struct Streams {
    pub(crate) open: OpenConnection,
    info: ForwardingInfo,
    active: Cell<usize>,
    /// How many more requests may be given up.
    patience: Cell<u32>,
    driver: RefCell<Option<Waker>>,
}

impl Streams {
    /// Of a connection that has carried nothing.
    pub(crate) fn new(open: OpenConnection, info: ForwardingInfo) -> Rc<Streams> {
        let patience = Cell::new(PATIENCE);
        Rc::new(Streams { open, info, active: Cell::new(0), patience, driver: RefCell::default() })
    }

    /// Whether there are requests under way.
    pub(crate) fn is_active(&self) -> bool {
        self.active.get() > 0
    }

    /// Whether the client has given up more than it may.
    pub(crate) fn is_out_of_patience(&self) -> bool {
        self.patience.get() == 0
    }

    /// The task that drives the connection is woken when one of these changes.
    pub(crate) fn wait(&self, cx: &Context<'_>) {
        *self.driver.borrow_mut() = Some(cx.waker().clone());
    }

    /// A request that has come.
    pub(crate) fn begin(self: &Rc<Self>) -> ActiveRequest {
        self.active.set(self.active.get() + 1);
        ActiveRequest { streams: Rc::clone(self), given_up: true }
    }
}

/// A request under way, counted for as long as it lives; as given up, unless it was served.
pub(crate) struct ActiveRequest {
    pub(crate) streams: Rc<Streams>,
    given_up: bool,
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        let Streams { active, patience, driver, .. } = &*self.streams;
        active.set(active.get() - 1);
        let left = patience.get();
        patience.set(if self.given_up { left.saturating_sub(1) } else { (left + 1).min(PATIENCE) });
        let is_news = active.get() == 0 || patience.get() == 0;
        if let Some(driver) = driver.borrow_mut().take_if(|_| is_news) {
            driver.wake();
        }
    }
}

/// The head of a request, as the library below has read it.
pub(crate) struct Arrival<'a> {
    pub(crate) parts: Parts,
    pub(crate) version: Version,
    /// Nothing follows it.
    pub(crate) ends: bool,
    /// What an extended CONNECT asks for (RFC 8441 §4).
    pub(crate) protocol: Option<&'a str>,
    /// The stream has broken a rule already.
    pub(crate) fault: Option<Fault>,
}

impl ActiveRequest {
    /// Serves the request.
    pub(crate) async fn serve(&mut self, arrival: Arrival<'_>, stream: Stream, timer: &Timer) {
        let OpenConnection { worker, listener: live } = &self.streams.open;
        let Arrival { parts, version, ends, protocol, fault } = arrival;
        let mut request = worker.pools.take_request();
        let now = Instant::now();
        request.record = Record::begin(now);
        request.ready = now;
        let limits = head_limits(&live.settings().limits);
        let read = wire::read_request(&parts, ends, protocol, version, &limits, &mut request.head);
        let fault = read.map(|meta| request.meta = meta).err().or(fault);
        drop(parts);
        let mut down = Connection::new(Transport::Stream(Box::new(stream)), &worker.buffers);
        let mut info = self.streams.info.clone();
        Meeting { worker, live, timer }.serve(&mut info, &mut down, &mut request, fault).await;
        // Whether it went away while it was waiting or while it was sending.
        self.given_up = matches!(request.record.fault, Some(Fault::ClientGone | Fault::BodyCut));
        worker.pools.give_request(request);
    }
}
