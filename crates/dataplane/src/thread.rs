//! The thread of a worker: it starts, accepts, carries out orders, drains, ends.
//!
//! Orders come in through a bounded queue and are carried out between requests. The state that requests
//! use is in `worker.rs`.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use snapshot::Snapshot;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::client;
use crate::timer::{TICK, Tick};
use crate::trouble::{Trouble, Troubles};
use crate::worker::{Shared, Worker, date_now};

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
    /// Where failures of services are told.
    pub troubles: mpsc::Sender<Trouble>,
    /// The queues of all workers, for handing connections over.
    pub siblings: Vec<mpsc::Sender<Order>>,
}

/// Runs a worker on this thread until it is told to end.
pub fn run(setup: Setup) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default())?;
    runtime.block_on(work(setup))
}

async fn work(setup: Setup) -> std::io::Result<()> {
    let Setup { index, sockets, snapshot, shared, mut orders, siblings, troubles } = setup;
    let worker = Rc::new(Worker::new(index, snapshot, shared, Troubles::new(troubles)));
    let siblings: Rc<[mpsc::Sender<Order>]> = siblings.into();
    let ticker = tokio::task::spawn_local(tick(Rc::clone(&worker)));
    let mut accepting = Vec::new();
    for (number, socket) in sockets.into_iter().enumerate() {
        socket.set_nonblocking(true)?;
        let socket = TcpListener::from_std(socket)?;
        accepting.push(tokio::task::spawn_local(accept(
            Rc::clone(&worker),
            socket,
            number,
            Rc::clone(&siblings),
        )));
    }
    while let Some(order) = orders.recv().await {
        match order {
            Order::Use(snapshot) => worker.adopt(snapshot),
            Order::Resolved(name, addresses) => worker.resolve(&name, &addresses),
            Order::Serve(stream, peer, listener) => {
                if let Ok(stream) = TcpStream::from_std(stream) {
                    start(&worker, stream, peer, listener);
                }
            }
            Order::Drain(limit) => {
                drain(&worker, accepting, &mut orders, limit).await;
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
            worker.every_second();
        }
    }
}

/// Accepts connections of one listener, for ever.
async fn accept(worker: Rc<Worker>, socket: TcpListener, number: usize, siblings: Rc<[mpsc::Sender<Order>]>) {
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
        match worker.lighter_sibling().and_then(|lighter| siblings.get(lighter)) {
            None => start(&worker, stream, peer, number),
            Some(sibling) => hand_over(&worker, sibling, stream, peer, number),
        }
    }
}

/// Gives a connection to another worker.
fn hand_over(
    worker: &Rc<Worker>,
    queue: &mpsc::Sender<Order>,
    stream: TcpStream,
    peer: SocketAddr,
    number: usize,
) {
    // A full queue is no reason to lose a client: then this worker serves it after all.
    match queue.try_reserve() {
        Err(_) => start(worker, stream, peer, number),
        Ok(place) => {
            if let Ok(stream) = stream.into_std() {
                place.send(Order::Serve(stream, peer, number));
            }
        }
    }
}

/// Begins to serve a connection, unless its listener has as many as it may.
fn start(worker: &Rc<Worker>, stream: TcpStream, peer: SocketAddr, number: usize) {
    let current = worker.current();
    let Some(listener) = current.snapshot.listeners.get(number) else { return };
    let Some(open) = OpenConnection::begin(worker, number, listener.limits.connections) else {
        return refuse(&stream);
    };
    let listener = Rc::new(listener.clone());
    let worker = Rc::clone(worker);
    tokio::task::spawn_local(async move {
        client::run(worker, stream, peer, listener).await;
        drop(open);
    });
}

/// Stops accepting and waits until all connections have ended, or the time is up.
async fn drain(
    worker: &Rc<Worker>,
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
    worker.begin_to_drain();
    let deadline = tokio::time::Instant::now() + limit;
    let mut interval = tokio::time::interval(TICK);
    loop {
        // Connections that another worker had accepted before it drained.
        while let Ok(order) = orders.try_recv() {
            if let Order::Serve(stream, peer, number) = order
                && let Ok(stream) = TcpStream::from_std(stream)
            {
                start(worker, stream, peer, number);
            }
        }
        if worker.connections() == 0 || tokio::time::Instant::now() >= deadline {
            break;
        }
        interval.tick().await;
    }
}

/// One open client connection, counted for as long as it lives.
struct OpenConnection {
    worker: Rc<Worker>,
    number: usize,
}

impl OpenConnection {
    /// `None` if the listener has as many as it may.
    fn begin(worker: &Rc<Worker>, number: usize, most: usize) -> Option<OpenConnection> {
        let open = worker.shared.open.get(number)?;
        if open.fetch_add(1, Ordering::Relaxed) >= most {
            open.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        worker.count_connection(1);
        Some(OpenConnection { worker: Rc::clone(worker), number })
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.worker.count_connection(-1);
        if let Some(open) = self.worker.shared.open.get(self.number) {
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
