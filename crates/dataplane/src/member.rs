//! One address of a service in one worker: its kept connections, and what is counted of it.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use balance::PeakEwma;
use telemetry::ServiceSeries;

use crate::carrier::Carriers;
use crate::connection::Connection;
use crate::places::{Place, Pulse};
use crate::timer::Tick;

/// How long others are asked before an address that has refused connections.
const SHUN_MS: u64 = 500;

/// One address of a service.
pub(crate) struct Member {
    pub(crate) address: SocketAddr,
    /// The same as text, for the access log.
    pub(crate) address_text: Box<str>,
    /// What this worker has counted of the service.
    pub(crate) series: Arc<ServiceSeries>,
    /// The host of its endpoint, whose certificate it has to show.
    pub(crate) host: Box<str>,
    /// Connections that carry many requests.
    pub(crate) carriers: Carriers,
    /// It was asked which version it speaks, and has chosen HTTP/1.1.
    pub(crate) speaks_http1: Cell<bool>,
    /// What a client shows that is to stay here.
    pub(crate) tag: RefCell<Option<Box<str>>>,
    /// Its share among the addresses of the service.
    pub(crate) weight: Cell<u32>,
    /// It is near, if the configuration says what that is.
    pub(crate) is_local: Cell<bool>,
    /// It takes requests: nothing is known against it, or so much against so many that it is not believed.
    pub(crate) takes_requests: Cell<bool>,
    /// It was ejected because nothing comes from it: whoever can asks another one.
    pub(crate) hangs: Cell<bool>,
    /// Since when it takes requests again, or for the first time, in milliseconds; until it has warmed up.
    pub(crate) warm_since: Cell<Option<u64>>,
    /// Connections in a row that could not be opened.
    refusals: Cell<u32>,
    /// Others are asked first until then, in milliseconds: it has just refused connections.
    pub(crate) shunned_until: Cell<u64>,
    /// How long answers take.
    pub(crate) latency: Cell<PeakEwma>,
    pub(crate) in_flight: Cell<u32>,
    /// No service chooses it any more: what comes back to it is closed.
    pub(crate) retired: Cell<bool>,
    /// Connections of this worker, in use or kept.
    pub(crate) own: Rc<Cell<usize>>,
    pub(crate) idle: RefCell<Vec<Idle>>,
    pub(crate) place: Arc<Place>,
    worker: usize,
}

/// A kept connection.
pub(crate) struct Idle {
    pub(crate) connection: Box<Connection>,
    slot: OpenSlot,
    pub(crate) until: Tick,
}

/// Counts one open connection for as long as it lives.
pub(crate) struct OpenSlot {
    place: Arc<Place>,
    own: Rc<Cell<usize>>,
    series: Arc<ServiceSeries>,
}

impl Drop for OpenSlot {
    fn drop(&mut self) {
        self.series.open.add(-1);
        self.place.open.fetch_sub(1, Ordering::Relaxed);
        self.own.set(self.own.get().saturating_sub(1));
    }
}

/// Counts one request in flight for as long as it lives.
pub(crate) struct InFlight {
    member: Rc<Member>,
    /// It waits for an answer.
    waits: bool,
}

impl InFlight {
    /// What is counted of its service.
    pub(crate) fn series(&self) -> &ServiceSeries {
        &self.member.series
    }

    /// An answer has come after so many microseconds, and speaks for the address or against it.
    #[inline]
    pub(crate) fn hear(&mut self, micros: u32, is_good: bool) {
        let Some(pulse) = self.member.pulse().filter(|_| self.waits) else { return };
        self.waits = false;
        self.member.refusals.set(0);
        pulse.end();
        pulse.hear(micros, is_good);
    }

    /// Takes note of how long its address takes to answer. `now` is in milliseconds.
    pub(crate) fn learn(&self, micros: u32, now: u64) {
        let mut latency = self.member.latency.get();
        latency.observe(micros, now);
        self.member.latency.set(latency);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if let Some(pulse) = self.member.pulse().filter(|_| self.waits) {
            pulse.end();
        }
        self.member.in_flight.set(self.member.in_flight.get().saturating_sub(1));
        self.member.series.in_flight.add(-1);
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.retire();
    }
}

impl Member {
    /// An address that nothing is known of yet.
    pub(crate) fn new(
        address: SocketAddr,
        host: Box<str>,
        series: Arc<ServiceSeries>,
        place: Arc<Place>,
        worker: usize,
    ) -> Member {
        Member {
            address,
            address_text: address.to_string().into(),
            series,
            host,
            carriers: Carriers::default(),
            speaks_http1: Cell::new(false),
            tag: RefCell::default(),
            weight: Cell::new(1),
            is_local: Cell::new(false),
            takes_requests: Cell::new(true),
            hangs: Cell::new(false),
            warm_since: Cell::new(None),
            refusals: Cell::new(0),
            shunned_until: Cell::new(0),
            latency: Cell::default(),
            in_flight: Cell::new(0),
            retired: Cell::new(false),
            own: Rc::default(),
            idle: RefCell::default(),
            place,
            worker,
        }
    }

    /// Whether it may get a request that these were tried for already.
    #[inline]
    pub(crate) fn may_take(&self, tried: &[SocketAddr]) -> bool {
        self.takes_requests.get() && !tried.contains(&self.address)
    }

    #[inline]
    fn pulse(&self) -> Option<&Pulse> {
        self.place.pulse(self.worker)
    }

    /// A request was not answered, or not to its end, and that is the fault of this address.
    pub(crate) fn fail(&self) {
        if let Some(pulse) = self.pulse() {
            pulse.fail();
        }
    }

    /// No connection could be opened. After two in a row others are asked first for a moment: by then it is known
    /// whether it is to be ejected, and retries are not used up on it meanwhile. `now` is in milliseconds.
    pub(crate) fn refuse(&self, now: u64) {
        self.refusals.set(self.refusals.get().saturating_add(1));
        if self.refusals.get() > 1 {
            self.shunned_until.set(now + SHUN_MS);
        }
    }

    /// Closes what is kept, and keeps nothing more.
    pub(crate) fn retire(&self) {
        self.retired.set(true);
        self.carriers.retire();
        let kept = std::mem::take(&mut *self.idle.borrow_mut());
        self.series.idle.add(-(kept.len() as i64));
    }

    /// Counts a request that is about to be sent here.
    pub(crate) fn begin(self: &Rc<Self>) -> InFlight {
        self.in_flight.set(self.in_flight.get() + 1);
        self.series.in_flight.add(1);
        if let Some(pulse) = self.pulse() {
            pulse.begin();
        }
        InFlight { member: Rc::clone(self), waits: true }
    }

    /// A kept connection on which nothing has happened, the most recently used first: it is the one
    /// least likely to be closed by the service at this moment.
    pub(crate) fn checkout(&self) -> Option<(Box<Connection>, OpenSlot)> {
        let mut idle = self.idle.borrow_mut();
        while let Some(mut entry) = idle.pop() {
            self.series.idle.add(-1);
            if entry.connection.transport.is_quiet() {
                return Some((entry.connection, entry.slot));
            }
        }
        None
    }

    /// Counts one more open connection, unless there are as many as allowed.
    pub(crate) fn reserve(&self, most: usize) -> Option<OpenSlot> {
        let reserved = self
            .place
            .open
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| (open < most).then_some(open + 1));
        reserved.ok().map(|_| {
            self.own.set(self.own.get() + 1);
            self.series.open.add(1);
            OpenSlot {
                place: Arc::clone(&self.place),
                own: Rc::clone(&self.own),
                series: Arc::clone(&self.series),
            }
        })
    }

    /// Keeps a connection for the next request, among at most `most`: the oldest goes when there are too many.
    pub(crate) fn keep(&self, connection: Box<Connection>, slot: OpenSlot, until: Tick, most: usize) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() >= most {
            idle.remove(0);
        } else {
            self.series.idle.add(1);
        }
        idle.push(Idle { connection, slot, until });
    }

    /// Closes kept connections that were unused for too long, or on which something happened.
    pub(crate) fn sweep(&self, now: Tick, idle_limit: Tick) {
        let mut idle = self.idle.borrow_mut();
        let before = idle.len();
        idle.retain_mut(|idle| idle.until > now && idle.connection.transport.is_quiet());
        self.series.idle.add(idle.len() as i64 - before as i64);
        self.carriers.sweep(now, idle_limit);
    }
}
