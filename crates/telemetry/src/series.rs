//! The numbers that are kept, by what they are about: a route, a service, a listener, a worker.
//!
//! Every series belongs to something in the configuration, or to one of the closed lists of methods, classes
//! of status and faults, so their number is bounded whatever clients send.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use message::{Fault, Method, Version};

use crate::connections::Protocols;
use crate::histogram::HistogramSum;
use crate::{ConnectionSeries, Counter, Gauge, Histogram, PolicyCounts, Record, StoreSeries};

/// Methods that are told apart.
pub(crate) const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "other"];
/// Classes of status.
pub(crate) const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

const fn method_index(method: Option<Method>) -> usize {
    match method {
        Some(Method::Get) => 0,
        Some(Method::Head) => 1,
        Some(Method::Post) => 2,
        Some(Method::Put) => 3,
        Some(Method::Delete) => 4,
        Some(Method::Patch) => 5,
        Some(Method::Options) => 6,
        Some(Method::Trace | Method::Connect | Method::Other) | None => 7,
    }
}

/// Requests of one worker that took one route to one service.
///
/// The numbers themselves are made with the first request: most of ten thousand routes never see one.
#[derive(Debug, Default)]
pub struct RouteSeries {
    cells: OnceLock<Box<RouteCells>>,
}

/// Aligned, so that no two workers write to one cache line.
#[derive(Debug, Default)]
#[repr(align(128))]
struct RouteCells {
    requests: [[Counter; CLASSES.len()]; METHODS.len()],
    seconds: Histogram,
    received: Counter,
    sent: Counter,
    in_flight: Gauge,
}

impl RouteSeries {
    /// A request has taken this route.
    #[inline]
    pub fn begin(&self) {
        self.cells().in_flight.add(1);
    }

    /// A request has taken another way in the end.
    pub fn leave(&self) {
        self.cells().in_flight.add(-1);
    }

    /// A request that took this route is over, after `total`. How long a tunnel (status 101) was open says nothing
    /// of how fast anything is, so it is counted but not timed.
    #[inline]
    pub fn finish(&self, record: &Record, total: Duration) {
        let cells = self.cells();
        cells.in_flight.add(-1);
        let class = usize::from(record.status / 100).clamp(1, CLASSES.len()) - 1;
        if let Some(counter) = cells.requests.get(method_index(record.method)).and_then(|of| of.get(class)) {
            counter.add(1);
        }
        if record.status != 101 {
            cells.seconds.observe(total);
        }
        cells.received.add(record.received);
        cells.sent.add(record.sent);
    }

    #[inline]
    fn cells(&self) -> &RouteCells {
        self.cells.get_or_init(Box::default)
    }

    pub(crate) fn add_to(&self, totals: &mut RouteTotals) {
        let Some(cells) = self.cells.get() else { return };
        for (own, total) in cells.requests.iter().flatten().zip(totals.requests.iter_mut().flatten()) {
            *total += own.get();
        }
        cells.seconds.add_to(&mut totals.seconds);
        totals.received += cells.received.get();
        totals.sent += cells.sent.get();
        totals.in_flight += cells.in_flight.get();
    }
}

/// Requests of all workers that took one route to one service.
#[derive(Debug, Default, Clone)]
pub struct RouteTotals {
    pub(crate) requests: [[u64; CLASSES.len()]; METHODS.len()],
    pub(crate) seconds: HistogramSum,
    pub(crate) received: u64,
    pub(crate) sent: u64,
    /// Requests under way.
    pub in_flight: i64,
}

impl RouteTotals {
    /// All requests that are over.
    pub fn requests(&self) -> u64 {
        self.requests.iter().flatten().sum()
    }

    /// Those of one class of status, 1 to 5.
    pub fn of_class(&self, class: usize) -> u64 {
        self.requests.iter().filter_map(|of| of.get(class.wrapping_sub(1))).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.requests() == 0 && self.in_flight == 0
    }
}

/// One service as one worker sees it.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct ServiceSeries {
    /// Requests that are with the service now.
    pub in_flight: Gauge,
    /// Those of them whose connection has become a tunnel, such as a WebSocket.
    pub tunnels: Gauge,
    /// Open connections, in use or kept.
    pub open: Gauge,
    /// Kept connections.
    pub idle: Gauge,
    /// Connections that were opened.
    pub opened: Counter,
    /// Requests that used a kept connection.
    pub reused: Counter,
    /// Attempts after the first.
    pub retries: Counter,
    /// Second requests for answers that took long.
    pub hedges: Counter,
    /// Those of them that were answered first.
    pub hedges_won: Counter,
    /// Requests that wait for their turn.
    pub waiting: Gauge,
    /// How many it may have at a time, where that is limited.
    pub limit: Gauge,
    /// Copies of requests that it was sent.
    pub copies_sent: Counter,
    /// Copies that were not made: there were too many, or their bodies were too long.
    pub copies_dropped: Counter,
    /// How long opening a connection took.
    pub connect: Histogram,
    /// From the request to the head of its response.
    pub response: Histogram,
    failures: Failures,
}

/// By the position of the fault in `Fault::ALL`.
#[derive(Debug)]
struct Failures([Counter; Fault::ALL.len()]);

impl Default for Failures {
    fn default() -> Failures {
        Failures(std::array::from_fn(|_| Counter::default()))
    }
}

impl Failures {
    fn count(&self, fault: Fault) {
        if let Some(counter) = self.0.get(fault as usize) {
            counter.add(1);
        }
    }

    fn add_to(&self, totals: &mut [u64]) {
        for (own, total) in self.0.iter().zip(totals) {
            *total += own.get();
        }
    }
}

impl ServiceSeries {
    /// An attempt has failed.
    pub fn failed(&self, fault: Fault) {
        self.failures.count(fault);
    }

    pub(crate) fn add_to(&self, totals: &mut ServiceTotals) {
        totals.in_flight += self.in_flight.get();
        totals.tunnels += self.tunnels.get();
        totals.open += self.open.get();
        totals.idle += self.idle.get();
        totals.opened += self.opened.get();
        totals.reused += self.reused.get();
        totals.retries += self.retries.get();
        totals.hedges += self.hedges.get();
        totals.hedges_won += self.hedges_won.get();
        totals.waiting += self.waiting.get();
        totals.limit += self.limit.get();
        totals.copies_sent += self.copies_sent.get();
        totals.copies_dropped += self.copies_dropped.get();
        self.connect.add_to(&mut totals.connect);
        self.response.add_to(&mut totals.response);
        self.failures.add_to(&mut totals.failures);
    }
}

/// One service as all workers see it.
#[derive(Debug, Clone)]
pub struct ServiceTotals {
    /// Requests that are with the service now.
    pub in_flight: i64,
    /// Those of them whose connection has become a tunnel, such as a WebSocket.
    pub tunnels: i64,
    /// Open connections, in use or kept.
    pub open: i64,
    /// Kept connections.
    pub idle: i64,
    /// Connections that were opened.
    pub opened: u64,
    /// Requests that used a kept connection.
    pub reused: u64,
    /// Attempts after the first.
    pub retries: u64,
    /// Second requests for answers that took long.
    pub hedges: u64,
    /// Those of them that were answered first.
    pub hedges_won: u64,
    /// Requests that wait for their turn.
    pub waiting: i64,
    /// How many it may have at a time; 0 for no limit.
    pub limit: i64,
    /// Copies of requests that it was sent.
    pub copies_sent: u64,
    /// Copies that were not made.
    pub copies_dropped: u64,
    pub(crate) connect: HistogramSum,
    pub(crate) response: HistogramSum,
    pub(crate) failures: [u64; Fault::ALL.len()],
}

impl Default for ServiceTotals {
    fn default() -> ServiceTotals {
        ServiceTotals {
            in_flight: 0,
            tunnels: 0,
            open: 0,
            idle: 0,
            opened: 0,
            reused: 0,
            retries: 0,
            hedges: 0,
            hedges_won: 0,
            waiting: 0,
            limit: 0,
            copies_sent: 0,
            copies_dropped: 0,
            connect: HistogramSum::default(),
            response: HistogramSum::default(),
            failures: [0; Fault::ALL.len()],
        }
    }
}

impl ServiceTotals {
    /// Attempts that failed.
    pub fn failures(&self) -> u64 {
        self.failures.iter().sum()
    }
}

/// One listener. Shared by all workers, because its limit is; touched when connections come and go, never by
/// requests.
#[derive(Debug, Default)]
pub struct ListenerSeries {
    open: AtomicUsize,
    accepted: AtomicU64,
    refused: AtomicU64,
    /// What became of its connections.
    pub connections: ConnectionSeries,
}

impl ListenerSeries {
    /// Counts one more open connection, unless there are `most`.
    pub fn begin(&self, most: usize) -> bool {
        if self.open.fetch_add(1, Ordering::Relaxed) >= most {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        self.accepted.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// A connection was refused: there was no room for it.
    pub fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection has ended.
    pub fn end(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// Open, accepted and refused connections.
    pub fn counts(&self) -> (usize, u64, u64) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (self.open.load(Ordering::Relaxed), read(&self.accepted), read(&self.refused))
    }
}

/// One worker.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct WorkerSeries {
    /// When it was last seen alive, in milliseconds of [`crate::Metrics::uptime`]; `i64::MAX` once it has ended as
    /// it was told to.
    pub alive: Gauge,
    /// How much later than it should it came back to its work the last time, in microseconds.
    pub lag: Gauge,
    /// Which share of requests it refuses because of that, in permille.
    pub shed: Gauge,
    /// What policies did.
    pub policies: PolicyCounts,
    /// What it has asked the store that gateways share.
    pub store: StoreSeries,
    faults: Failures,
    protocols: Protocols,
}

impl WorkerSeries {
    /// A request ended with a fault.
    pub fn fault(&self, fault: Fault) {
        self.faults.count(fault);
    }

    /// A request has come in this version of HTTP, and is over.
    #[inline]
    pub fn request(&self, version: Version) {
        self.protocols.count(version);
    }

    pub(crate) fn add_protocols_to(&self, totals: &mut [u64]) {
        self.protocols.add_to(totals);
    }

    pub(crate) fn add_faults_to(&self, totals: &mut [u64]) {
        self.faults.add_to(totals);
    }
}
