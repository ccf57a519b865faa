//! One worker: a thread with its own sockets, pools, buffers, timers and pointer to the snapshot.
//!
//! Nothing on the request path is shared with other workers. Orders come in through a bounded queue and
//! are carried out between requests.

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use snapshot::{Listener, ServiceIndex, Snapshot};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::buffers::Buffers;
use crate::client;
use crate::live::{ConnectionCounts, LiveService};
use crate::request::Request;
use crate::timer::{TICK, Tick, Wheel};

/// Requests kept for reuse, per worker.
const KEEP_REQUESTS: usize = 1024;
/// Orders that may wait for a worker.
const QUEUE: usize = 1024;
/// How long to wait before accepting again when the system is out of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What the control thread tells a worker.
#[derive(Debug)]
pub enum Order {
    /// Serve with this snapshot from now on.
    Use(Arc<Snapshot>),
    /// A name now stands for these addresses.
    Resolved(Arc<str>, Arc<[IpAddr]>),
    /// Serve this connection, which another worker has accepted.
    Serve(std::net::TcpStream, SocketAddr, usize),
    /// Stop accepting, finish what is under way until the deadline, and end.
    Drain(Duration),
}

/// What all workers share. Touched when connections come and go, not by requests.
#[derive(Debug)]
pub struct Shared {
    counts: Arc<ConnectionCounts>,
    /// Open client connections of each worker.
    loads: Vec<AtomicUsize>,
    /// Open client connections of each listener.
    open: Vec<AtomicUsize>,
}

impl Shared {
    /// For this many workers and listeners.
    pub fn new(workers: usize, listeners: usize) -> Arc<Shared> {
        let zeros = |count| (0..count).map(|_| AtomicUsize::new(0)).collect();
        Arc::new(Shared { counts: Arc::default(), loads: zeros(workers), open: zeros(listeners) })
    }
}

/// The queue of orders of one worker.
pub fn orders() -> (mpsc::Sender<Order>, mpsc::Receiver<Order>) {
    mpsc::channel(QUEUE)
}

/// What a worker needs to start.
pub struct Setup {
    /// Its position among the workers.
    pub index: usize,
    /// Its own listening sockets, in the order of the snapshot's listeners.
    pub sockets: Vec<std::net::TcpListener>,
    /// The first snapshot.
    pub snapshot: Arc<Snapshot>,
    /// What all workers share.
    pub shared: Arc<Shared>,
    /// Its orders.
    pub orders: mpsc::Receiver<Order>,
    /// The queues of all workers, for handing connections over.
    pub siblings: Vec<mpsc::Sender<Order>>,
}

/// A snapshot with the live state of its services.
pub(crate) struct Current {
    pub(crate) snapshot: Arc<Snapshot>,
    services: Vec<Rc<LiveService>>,
}

impl Current {
    pub(crate) fn service(&self, index: ServiceIndex) -> Option<&LiveService> {
        self.services.get(index.0).map(|service| &**service)
    }
}

/// The state of one worker.
pub(crate) struct Worker {
    index: usize,
    pub(crate) buffers: Rc<Buffers>,
    pub(crate) wheel: Rc<Wheel>,
    pub(crate) rng: RefCell<fastrand::Rng>,
    #[allow(clippy::vec_box, reason = "the boxes go to and fro; a request is too large to be moved")]
    requests: RefCell<Vec<Box<Request>>>,
    current: RefCell<Rc<Current>>,
    date: Cell<[u8; 29]>,
    draining: Cell<bool>,
    connections: Cell<usize>,
    shared: Arc<Shared>,
    siblings: Vec<mpsc::Sender<Order>>,
}

/// Runs a worker on this thread until it is told to end.
pub fn run(setup: Setup) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default())?;
    runtime.block_on(work(setup))
}

async fn work(setup: Setup) -> std::io::Result<()> {
    let Setup { index, sockets, snapshot, shared, mut orders, siblings } = setup;
    let worker = Rc::new(Worker {
        index,
        buffers: Rc::default(),
        wheel: Rc::default(),
        rng: RefCell::new(fastrand::Rng::new()),
        requests: RefCell::default(),
        current: RefCell::new(Rc::new(Current { snapshot: Arc::clone(&snapshot), services: Vec::new() })),
        date: Cell::new(date_now()),
        draining: Cell::new(false),
        connections: Cell::new(0),
        shared,
        siblings,
    });
    worker.adopt(snapshot);
    let ticker = tokio::task::spawn_local(tick(Rc::clone(&worker)));
    let mut accepting = Vec::new();
    for (number, socket) in sockets.into_iter().enumerate() {
        socket.set_nonblocking(true)?;
        let socket = TcpListener::from_std(socket)?;
        accepting.push(tokio::task::spawn_local(accept(Rc::clone(&worker), socket, number)));
    }
    while let Some(order) = orders.recv().await {
        match order {
            Order::Use(snapshot) => worker.adopt(snapshot),
            Order::Resolved(name, addresses) => worker.resolve(&name, &addresses),
            Order::Serve(stream, peer, listener) => {
                if let Ok(stream) = TcpStream::from_std(stream) {
                    worker.start(stream, peer, listener);
                }
            }
            Order::Drain(limit) => {
                worker.drain(accepting, &mut orders, limit).await;
                break;
            }
        }
    }
    ticker.abort();
    Ok(())
}

/// Lets time pass: wakes timers, keeps the date current, sweeps unused upstream connections.
async fn tick(worker: Rc<Worker>) {
    let started = Instant::now();
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut second = 0;
    loop {
        interval.tick().await;
        let elapsed = started.elapsed();
        worker.wheel.advance(Tick((elapsed.as_millis() / TICK.as_millis()) as u64));
        if elapsed.as_secs() > second {
            second = elapsed.as_secs();
            worker.date.set(date_now());
            let services = worker.current().services.clone();
            for service in services {
                service.sweep(worker.wheel.now());
            }
        }
    }
}

fn date_now() -> [u8; 29] {
    let text = httpdate::fmt_http_date(SystemTime::now());
    text.as_bytes().try_into().unwrap_or(*b"Thu, 01 Jan 1970 00:00:00 GMT")
}

/// Accepts connections of one listener, for ever.
async fn accept(worker: Rc<Worker>, socket: TcpListener, number: usize) {
    loop {
        let (stream, peer) = match socket.accept().await {
            Ok(accepted) => accepted,
            // The client gave up before it was accepted, or the system is out of something: neither
            // is a reason to stop, and only the second one to wait.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionAborted => continue,
            Err(_) => {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        match worker.lighter_sibling() {
            None => worker.start(stream, peer, number),
            Some(sibling) => worker.hand_over(sibling, stream, peer, number),
        }
    }
}

impl Worker {
    /// The snapshot in use, with its live services.
    #[inline]
    pub(crate) fn current(&self) -> Rc<Current> {
        Rc::clone(&self.current.borrow())
    }

    /// The text of the Date field.
    #[inline]
    pub(crate) fn date(&self) -> [u8; 29] {
        self.date.get()
    }

    /// Milliseconds since the start, as coarse as the timers.
    pub(crate) fn now_millis(&self) -> u64 {
        self.wheel.now().0 * TICK.as_millis() as u64
    }

    /// Whether the worker is about to end.
    #[inline]
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// An empty request, reused where possible.
    pub(crate) fn take_request(&self) -> Box<Request> {
        self.requests.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes a request back after it was served.
    pub(crate) fn give_back(&self, mut request: Box<Request>) {
        let keep = request.reset();
        let mut requests = self.requests.borrow_mut();
        if keep && requests.len() < KEEP_REQUESTS {
            requests.push(request);
        }
    }

    /// Switches to a snapshot. Services that stay keep their live state.
    fn adopt(&self, snapshot: Arc<Snapshot>) {
        let old = self.current();
        let services = snapshot
            .services
            .iter()
            .map(|service| {
                let before = old.services.iter().find(|live| live.settings.name == service.name);
                match before {
                    Some(live) if live.settings == *service => Rc::clone(live),
                    _ => Rc::new(LiveService::new(
                        service.clone(),
                        before.map(|live| &**live),
                        &self.shared.counts,
                        self.shared.loads.len(),
                    )),
                }
            })
            .collect();
        *self.current.borrow_mut() = Rc::new(Current { snapshot, services });
    }

    fn resolve(&self, name: &str, addresses: &[IpAddr]) {
        for service in &self.current().services {
            service.resolve(name, addresses);
        }
    }

    /// A worker with clearly fewer connections than this one.
    fn lighter_sibling(&self) -> Option<usize> {
        let loads: Vec<usize> = self.shared.loads.iter().map(|load| load.load(Ordering::Relaxed)).collect();
        let mean = loads.iter().sum::<usize>() / loads.len().max(1);
        if self.connections.get() <= mean + mean / 4 + 1 {
            return None;
        }
        let (lightest, load) = loads.iter().enumerate().min_by_key(|(_, load)| **load)?;
        (lightest != self.index && *load < self.connections.get()).then_some(lightest)
    }

    fn hand_over(self: &Rc<Self>, sibling: usize, stream: TcpStream, peer: SocketAddr, number: usize) {
        let Some(queue) = self.siblings.get(sibling) else { return self.start(stream, peer, number) };
        // A full queue is no reason to lose a client: then this worker serves it after all.
        match queue.try_reserve() {
            Err(_) => self.start(stream, peer, number),
            Ok(place) => {
                if let Ok(stream) = stream.into_std() {
                    place.send(Order::Serve(stream, peer, number));
                }
            }
        }
    }

    /// Begins to serve a connection, unless its listener has as many as it may.
    fn start(self: &Rc<Self>, stream: TcpStream, peer: SocketAddr, number: usize) {
        let current = self.current();
        let Some(listener) = current.snapshot.listeners.get(number) else { return };
        let Some(open) = self.shared.open.get(number) else { return };
        if open.fetch_add(1, Ordering::Relaxed) >= listener.limits.connections {
            open.fetch_sub(1, Ordering::Relaxed);
            return refuse(&stream);
        }
        let listener: Rc<Listener> = Rc::new(listener.clone());
        self.connections.set(self.connections.get() + 1);
        if let Some(load) = self.shared.loads.get(self.index) {
            load.fetch_add(1, Ordering::Relaxed);
        }
        let open = OpenConnection { worker: Rc::clone(self), number };
        let worker = Rc::clone(self);
        tokio::task::spawn_local(async move {
            client::run(worker, stream, peer, listener).await;
            drop(open);
        });
    }

    /// Stops accepting and waits until all connections have ended, or the time is up.
    async fn drain(
        self: &Rc<Self>,
        accepting: Vec<JoinHandle<()>>,
        orders: &mut mpsc::Receiver<Order>,
        limit: Duration,
    ) {
        for task in &accepting {
            task.abort();
        }
        for task in accepting {
            // An aborted task says so; that is what was asked for.
            let _ = task.await;
        }
        self.draining.set(true);
        self.wheel.wake_all();
        let deadline = tokio::time::Instant::now() + limit;
        let mut interval = tokio::time::interval(TICK);
        loop {
            // Connections that another worker had accepted before it drained.
            while let Ok(order) = orders.try_recv() {
                if let Order::Serve(stream, peer, number) = order
                    && let Ok(stream) = TcpStream::from_std(stream)
                {
                    self.start(stream, peer, number);
                }
            }
            if self.connections.get() == 0 || tokio::time::Instant::now() >= deadline {
                break;
            }
            interval.tick().await;
        }
    }
}

/// One open client connection, for as long as it lives.
struct OpenConnection {
    worker: Rc<Worker>,
    number: usize,
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        let worker = &self.worker;
        worker.connections.set(worker.connections.get().saturating_sub(1));
        if let Some(load) = worker.shared.loads.get(worker.index) {
            load.fetch_sub(1, Ordering::Relaxed);
        }
        if let Some(open) = worker.shared.open.get(self.number) {
            open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Tells a client that there is no room, if that can be said without waiting.
fn refuse(stream: &TcpStream) {
    let reply = message::Reply::fault(message::Fault::Overloaded, "");
    let mut head = message::ResponseHead { status: reply.status, ..message::ResponseHead::default() };
    for (name, value) in &reply.headers {
        head.headers.push(name.as_bytes(), value.as_bytes());
    }
    let framing = wire::ResponseFraming {
        body: wire::ResponseBody::Exact(reply.body.len() as u64),
        connection: wire::ConnectionHeader::Close,
        date: &date_now(),
    };
    let mut text = Vec::new();
    wire::write_response(&mut text, &head, &framing);
    text.extend_from_slice(&reply.body);
    // Straight to the socket: the runtime does not know yet whether it can be written to. If it cannot, the
    // client learns from the close.
    let _ = socket2::SockRef::from(stream).send(&text);
}
