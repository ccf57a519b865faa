//! The thread of a worker: it starts, accepts, carries out orders, drains, ends.
//!
//! Orders come in through a bounded queue and are carried out between requests. The state that requests
//! use is in `worker.rs`.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::endpoint;
use crate::listener::{self, LiveListener};
use crate::stage::{ListenerId, Resolved, ServiceOutages, Stage};
use crate::timer::{TICK, Tick};
use crate::trouble::{Trouble, Troubles};
use crate::worker::{Fresh, Shared, Worker};

/// Orders that may wait for a worker.
const QUEUE: usize = 1024;

/// What the control thread tells a worker.
#[derive(Debug)]
pub enum Order {
    /// Serve with this snapshot from now on, and say so when it is done; an error is that of a new listener, which
    /// this worker then does not serve.
    Use(Box<Stage>, oneshot::Sender<std::io::Result<()>>),
    /// A name now stands for these addresses.
    Resolved(Resolved),
    /// These addresses of a service are to get no requests, and nothing speaks against all others of it.
    Outages(ServiceOutages),
    /// Serve this connection, which another worker has accepted on a listener.
    Serve(std::net::TcpStream, SocketAddr, ListenerId),
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
    /// The first snapshot, with a socket for every listener.
    pub stage: Stage,
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
    let Setup { index, stage, shared, mut orders, siblings, troubles } = setup;
    let worker = Rc::new(Worker::new(index, &stage, shared, Troubles::new(troubles)));
    let siblings: Rc<[mpsc::Sender<Order>]> = siblings.into();
    let ticker = tokio::task::spawn_local(tick(Rc::clone(&worker)));
    let outbox = Rc::clone(&worker.outbox);
    let sender = tokio::task::spawn_local(async move { outbox.run().await });
    let mut accepting = Vec::new();
    adopt(&worker, stage, &siblings, &mut accepting)?;
    while let Some(order) = orders.recv().await {
        match order {
            Order::Use(stage, done) => {
                let adopted = adopt(&worker, *stage, &siblings, &mut accepting);
                // Whoever asked may have stopped waiting.
                let _ = done.send(adopted);
            }
            Order::Resolved(resolved) => worker.resolve(&resolved),
            Order::Outages(outages) => worker.take_note(&outages),
            Order::Serve(stream, peer, listener) => take_over(&worker, stream, peer, listener),
            Order::Drain(limit) => {
                drain(&worker, accepting, &mut orders, limit).await;
                break;
            }
        }
    }
    ticker.abort();
    sender.abort();
    worker.counting.end().await;
    // The tasks of all connections have ended, and may have left something.
    worker.outbox.send_all();
    worker.retire();
    Ok(())
}

/// Switches to a snapshot, and accepts on the listeners that came with it.
fn adopt(
    worker: &Rc<Worker>,
    stage: Stage,
    siblings: &Rc<[mpsc::Sender<Order>]>,
    accepting: &mut Vec<JoinHandle<()>>,
) -> std::io::Result<()> {
    accepting.retain(|task| !task.is_finished());
    let mut outcome = Ok(());
    for Fresh { listener, tcp, udp } in worker.adopt(stage) {
        match udp.map(|udp| listener.open_quic(udp)) {
            Some(Ok(side)) => {
                let accept = endpoint::accept(Rc::clone(worker), Rc::clone(&listener), side);
                accepting.push(tokio::task::spawn_local(accept));
            }
            Some(Err(error)) => outcome = Err(error),
            None => {}
        }
        let Some(socket) = tcp else { continue };
        match socket.set_nonblocking(true).and_then(|()| TcpListener::from_std(socket)) {
            Ok(socket) => {
                let accept = listener::accept(Rc::clone(worker), listener, socket, Rc::clone(siblings));
                accepting.push(tokio::task::spawn_local(accept));
            }
            Err(error) => outcome = Err(error),
        }
    }
    outcome
}

/// Serves a connection that another worker has accepted.
fn take_over(worker: &Rc<Worker>, stream: std::net::TcpStream, peer: SocketAddr, id: ListenerId) {
    let listener: Option<Rc<LiveListener>> = worker.listener(id);
    if let (Some(listener), Ok(stream)) = (listener, TcpStream::from_std(stream)) {
        listener::start(worker, &listener, stream, peer);
    }
}

/// Lets time pass: wakes timers, keeps the date current, sweeps unused upstream connections.
async fn tick(worker: Rc<Worker>) {
    let started = Instant::now();
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut second = 0;
    let mut before = Duration::ZERO;
    loop {
        interval.tick().await;
        let elapsed = started.elapsed();
        // A tick after a late one is due a whole tick later, so each is measured from the one before.
        let late = elapsed.saturating_sub(before).saturating_sub(TICK);
        before = elapsed;
        worker.wheel.advance(Tick((elapsed.as_millis() / TICK.as_millis()) as u64));
        worker.every_tick(late);
        if elapsed.as_secs() > second {
            second = elapsed.as_secs();
            worker.every_second();
        }
    }
}

/// Stops accepting and waits until all connections have ended, or the time is up.
async fn drain(
    worker: &Rc<Worker>,
    accepting: Vec<JoinHandle<()>>,
    orders: &mut mpsc::Receiver<Order>,
    limit: Duration,
) {
    // Siblings keep what they accept from now on; what they have sent before is still taken.
    orders.close();
    worker.begin_to_drain();
    worker.close_listeners();
    for task in accepting {
        // It ends after it has taken in what waits already.
        let _ = task.await;
    }
    let deadline = tokio::time::Instant::now() + limit;
    let mut interval = tokio::time::interval(TICK);
    loop {
        // Connections that another worker had accepted before it drained.
        while let Ok(order) = orders.try_recv() {
            if let Order::Serve(stream, peer, listener) = order {
                take_over(worker, stream, peer, listener);
            }
        }
        if worker.connections() == 0 || tokio::time::Instant::now() >= deadline {
            break;
        }
        interval.tick().await;
    }
}
