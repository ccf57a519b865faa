//! A running gateway: its workers, and what keeps them supplied.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use dataplane::{Order, Setup, Shared};
use discovery::dns::Dns;
use snapshot::{EndpointHost, Snapshot};
use tokio::sync::mpsc;

use crate::BindError;
use crate::sockets::bind;

/// How long the first answers of name servers are waited for before connections are accepted.
const FIRST_ANSWERS: Duration = Duration::from_secs(2);

/// Why a gateway could not start.
#[derive(Debug)]
pub enum StartError {
    /// An address cannot be listened on.
    Bind(BindError),
    /// A thread or runtime could not be made.
    System(std::io::Error),
    /// Names of endpoints cannot be resolved at all.
    Resolver(String),
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StartError::Bind(error) => error.fmt(f),
            StartError::System(error) => write!(f, "the system refused a thread: {error}"),
            StartError::Resolver(error) => {
                write!(f, "{error}\n  Name them with `dns: {{ servers: [127.0.0.1:53] }}`.")
            }
        }
    }
}

impl std::error::Error for StartError {}

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    workers: Vec<JoinHandle<std::io::Result<()>>>,
    queues: Vec<mpsc::Sender<Order>>,
    addresses: Vec<SocketAddr>,
    resolvers: Vec<tokio::task::JoinHandle<()>>,
}

impl Gateway {
    /// Binds all listeners, starts the workers, and resolves the names of endpoints. Nothing is started
    /// unless every listener could be bound. `report` is told what an operator should know.
    pub async fn start(
        snapshot: Arc<Snapshot>,
        workers: usize,
        report: impl Fn(String) + Clone + 'static,
    ) -> Result<Gateway, StartError> {
        let mut by_worker: Vec<Vec<std::net::TcpListener>> = (0..workers).map(|_| Vec::new()).collect();
        let mut addresses = Vec::new();
        for listener in &snapshot.listeners {
            let (sockets, address) = bind(listener, workers).map_err(StartError::Bind)?;
            addresses.push(address);
            for (own, socket) in by_worker.iter_mut().zip(sockets) {
                own.push(socket);
            }
        }
        let shared = Shared::new(workers, snapshot.listeners.len());
        let (troubles, mut told) = dataplane::troubles();
        let tell = report.clone();
        tokio::task::spawn_local(async move {
            while let Some(trouble) = told.recv().await {
                tell(trouble.to_string());
            }
        });
        let (queues, orders): (Vec<_>, Vec<_>) = (0..workers).map(|_| dataplane::orders()).unzip();
        let mut gateway =
            Gateway { workers: Vec::new(), queues: queues.clone(), addresses, resolvers: Vec::new() };
        gateway.watch_names(&snapshot, report).await?;
        for (index, (sockets, orders)) in by_worker.into_iter().zip(orders).enumerate() {
            let setup = Setup {
                index,
                sockets,
                snapshot: Arc::clone(&snapshot),
                shared: Arc::clone(&shared),
                orders,
                troubles: troubles.clone(),
                siblings: queues.clone(),
            };
            let thread = std::thread::Builder::new()
                .name(format!("worker-{index}"))
                .spawn(move || dataplane::run(setup))
                .map_err(StartError::System)?;
            gateway.workers.push(thread);
        }
        Ok(gateway)
    }

    /// Starts a watch for each name, and gives them a moment to have their first answers, so that the
    /// first requests find endpoints.
    async fn watch_names(
        &mut self,
        snapshot: &Snapshot,
        report: impl Fn(String) + Clone + 'static,
    ) -> Result<(), StartError> {
        let names: BTreeSet<&str> = snapshot
            .services
            .iter()
            .flat_map(|service| &service.endpoints)
            .filter_map(|endpoint| match &endpoint.host {
                EndpointHost::Name(name) => Some(&**name),
                EndpointHost::Address(_) => None,
            })
            .collect();
        if names.is_empty() {
            return Ok(());
        }
        let dns = Dns::new(&snapshot.name_servers).map_err(StartError::Resolver)?;
        let (answered, mut answers) = mpsc::channel::<()>(1);
        for name in names {
            let name: Arc<str> = name.into();
            let queues = self.queues.clone();
            let mut answered = Some(answered.clone());
            let own = Arc::clone(&name);
            let changed = async move |addresses: Arc<[std::net::IpAddr]>| {
                for queue in &queues {
                    // A worker that has ended takes no more orders, and needs none.
                    let _ = queue.send(Order::Resolved(Arc::clone(&own), Arc::clone(&addresses))).await;
                }
                answered.take();
            };
            self.resolvers.push(tokio::task::spawn_local(dns.clone().watch(name, changed, report.clone())));
        }
        drop(answered);
        // Ends when every watch has dropped its sender, which it does after its first answer.
        let _ = tokio::time::timeout(FIRST_ANSWERS, answers.recv()).await;
        Ok(())
    }

    /// The addresses that are listened on, in the order of the configuration, with real ports.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Stops accepting, lets requests finish for at most `drain`, and ends the workers.
    pub async fn stop(self, drain: Duration) {
        for resolver in &self.resolvers {
            resolver.abort();
        }
        for queue in &self.queues {
            let _ = queue.send(Order::Drain(drain)).await;
        }
        let workers = self.workers;
        let joined = tokio::task::spawn_blocking(move || {
            for worker in workers {
                // What a worker died of was printed by its thread; there is nothing left to save here.
                let _ = worker.join();
            }
        });
        let _ = joined.await;
    }
}
