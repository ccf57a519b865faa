//! A running gateway: its workers, and what keeps them supplied.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use dataplane::{Order, Part, Setup, Shared, Stage};
use snapshot::Snapshot;
use telemetry::{Metrics, Sink};
use tokio::sync::{mpsc, oneshot};

use crate::BindError;
use crate::canaries::{self, Canaries};
use crate::certificates::{self, KeepError, Keepers, Orders};
use crate::health::{Known as KnownHealth, Probes};
use crate::issuers::Issuers;
use crate::keys::Keys;
use crate::listeners::{Listeners, Planned};
use crate::log::{self, LogError};
use crate::memory;
use crate::names::Names;
use crate::quotas::{self, QuotaError, QuotaLedger};
use crate::store::StoreView;

/// How long workers may take to switch to a snapshot before the old one is let go anyway.
const SWITCH: Duration = Duration::from_secs(10);
/// Lines to the operator about the access log that may wait.
const LOG_TROUBLES: usize = 16;

/// Tells the operator something, in a line.
pub type Report = Rc<dyn Fn(String)>;

/// Why a gateway could not start, or could not switch to another snapshot.
#[derive(Debug)]
pub enum StartError {
    /// An address cannot be listened on.
    Bind(BindError),
    /// The access log cannot be opened.
    Log(LogError),
    /// A thread or runtime could not be made.
    System(std::io::Error),
    /// Names of endpoints cannot be resolved at all.
    Resolver(String),
    /// Certificates that are ordered could not be kept.
    Keep(KeepError),
    /// What is used up of quotas could not be kept.
    Quota(QuotaError),
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StartError::Bind(error) => error.fmt(f),
            StartError::Log(error) => error.fmt(f),
            StartError::Keep(error) => error.fmt(f),
            StartError::Quota(error) => error.fmt(f),
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
    listeners: Listeners,
    names: Names,
    keepers: Keepers,
    probes: Probes,
    canaries: Canaries,
    issuers: Issuers,
    quotas: QuotaLedger,
    store: StoreView,
    keys: Rc<Keys>,
    shared: Arc<Shared>,
    memory: Option<memory::Watch>,
    log: Option<Sink>,
    log_troubles: mpsc::Sender<String>,
    metrics: Arc<Metrics>,
    snapshot: Arc<Snapshot>,
    generation: usize,
}

impl Gateway {
    /// Binds all listeners, resolves the names of endpoints and starts the workers, as many as `metrics` is made
    /// for. Nothing is started unless everything that can fail has succeeded. `report` is told what an operator
    /// should know.
    pub async fn start(
        snapshot: Arc<Snapshot>,
        metrics: Arc<Metrics>,
        report: &Report,
    ) -> Result<Gateway, StartError> {
        let workers = metrics.workers();
        let (queues, orders): (Vec<_>, Vec<_>) = (0..workers).map(|_| dataplane::orders()).unzip();
        let (troubles, mut told) = dataplane::troubles();
        let (log_troubles, mut log_told) = mpsc::channel(LOG_TROUBLES);
        let tell = Rc::clone(report);
        tokio::task::spawn_local(async move {
            while let Some(trouble) = told.recv().await {
                tell(trouble.to_string());
            }
        });
        let tell = Rc::clone(report);
        tokio::task::spawn_local(async move {
            while let Some(text) = log_told.recv().await {
                tell(text);
            }
        });
        let names = Names::default();
        let shared = Shared::new(Arc::clone(&metrics));
        let probes = Probes::new(names.share(), names.changes(), &shared, &queues, &metrics, report);
        let mut gateway = Gateway {
            workers: Vec::new(),
            queues,
            listeners: Listeners::default(),
            names,
            probes,
            canaries: Canaries::new(&metrics, report),
            issuers: Issuers::new(Arc::clone(&metrics)),
            quotas: QuotaLedger::new(Arc::clone(&metrics), report),
            store: StoreView::default(),
            keys: Rc::new(Keys::new(snapshot.providers.stored_keys(), report)),
            shared: Arc::clone(&shared),
            memory: None,
            keepers: Keepers::new(snapshot.acme.clone(), Arc::clone(&metrics), report),
            log: None,
            log_troubles,
            metrics,
            snapshot: Arc::clone(&snapshot),
            generation: 0,
        };
        let (prepared, beside) = gateway.prepare(&snapshot, report).await?;
        gateway.quotas.adopt(&snapshot, beside.quotas).await;
        gateway.keys.adopt(snapshot.state_dir.as_deref()).await;
        gateway.probes.adopt(&snapshot);
        gateway.canaries.adopt(&snapshot, &shared);
        gateway.store.adopt(snapshot.state.as_ref());
        let (stages, _old_log) = gateway.stage(snapshot, prepared);
        for (index, (stage, orders)) in stages.into_iter().zip(orders).enumerate() {
            let setup = Setup {
                index,
                stage,
                shared: Arc::clone(&shared),
                orders,
                troubles: troubles.clone(),
                siblings: gateway.queues.clone(),
            };
            let thread = std::thread::Builder::new()
                .name(format!("worker-{index}"))
                .spawn(move || dataplane::run(setup))
                .map_err(StartError::System)?;
            gateway.workers.push(thread);
        }
        gateway.adopt(beside.keepers);
        Ok(gateway)
    }

    /// Switches to another snapshot. Services, listeners and connections that it does not change stay as they are.
    ///
    /// # Errors
    /// Something that it needs is not to be had: then nothing has changed.
    pub async fn switch(&mut self, snapshot: Arc<Snapshot>, report: &Report) -> Result<(), StartError> {
        let (prepared, beside) = self.prepare(&snapshot, report).await?;
        self.quotas.adopt(&snapshot, beside.quotas).await;
        // Before the workers switch, so that none of them hears of probes that nobody wants any more.
        self.probes.adopt(&snapshot);
        self.canaries.adopt(&snapshot, &self.shared);
        self.store.adopt(snapshot.state.as_ref());
        let (stages, old_log) = self.stage(snapshot, prepared);
        for (index, stage) in stages.into_iter().enumerate() {
            if let Err(why) = self.hand_over(index, stage).await {
                report(format!("worker-{index} has not taken over all of the configuration: {why}"));
            }
        }
        self.keys.adopt(self.snapshot.state_dir.as_deref()).await;
        self.names.keep(&self.snapshot);
        self.adopt(beside.keepers);
        if let Some(sink) = old_log {
            log::close(sink).await;
        }
        Ok(())
    }

    /// Gives a worker its part of a snapshot, and waits until it has switched.
    async fn hand_over(&self, index: usize, mut stage: Stage) -> Result<(), String> {
        let Some(queue) = self.queues.get(index) else { return Ok(()) };
        let switch = async {
            let place = queue.reserve().await.map_err(|_| "it has ended".to_owned())?;
            // As they are now: while the queue was full, a name may have got other addresses.
            stage.know(self.names.known(), self.probes.known());
            let (done, is_done) = oneshot::channel();
            place.send(Order::Use(Box::new(stage), done));
            match is_done.await {
                Ok(adopted) => {
                    adopted.map_err(|error| format!("it cannot accept on a new listener: {error}"))
                }
                Err(_) => Err("it has ended".to_owned()),
            }
        };
        let in_time = tokio::time::timeout(SWITCH, switch).await;
        in_time.unwrap_or_else(|_| Err("it hangs".to_owned()))
    }

    /// Everything about a snapshot that can fail.
    async fn prepare(
        &mut self,
        snapshot: &Snapshot,
        report: &Report,
    ) -> Result<(Prepared, Beside), StartError> {
        let listeners =
            self.listeners.plan(&snapshot.listeners, self.queues.len()).map_err(StartError::Bind)?;
        let same_log = self.log.as_ref().map(Sink::target) == snapshot.access_log.as_ref();
        let log = match &snapshot.access_log {
            Some(target) if !same_log => {
                Some(log::open(target, &self.metrics, &self.log_troubles).map_err(StartError::Log)?)
            }
            _ => None,
        };
        self.names.add(snapshot, &self.queues, report).await.map_err(StartError::Resolver)?;
        let keepers = self.keepers.plan(snapshot).map_err(StartError::Keep)?;
        let quotas = self.quotas.plan(snapshot).map_err(StartError::Quota)?;
        self.issuers.adopt(snapshot, report).await;
        Ok((Prepared { listeners, log, same_log }, Beside { keepers, quotas }))
    }

    /// Authorities may look for answers from now on: the workers give them.
    fn adopt(&self, keepers: certificates::Planned) {
        self.keepers.adopt(keepers, &self.snapshot, &self.addresses());
    }

    /// Makes a snapshot ready for every worker. Returns the access log that is no longer needed.
    fn stage(&mut self, snapshot: Arc<Snapshot>, prepared: Prepared) -> (Vec<Stage>, Option<Sink>) {
        let Prepared { mut listeners, log: new_log, same_log } = prepared;
        let old_log = if same_log { None } else { std::mem::replace(&mut self.log, new_log) };
        let buffers = log::buffers(self.log.as_ref(), self.queues.len());
        let parts: Vec<Part> =
            buffers.into_iter().map(|log| Part { listeners: listeners.stage(), log }).collect();
        self.generation += 1;
        self.memory = Some(memory::watch(snapshot.overload.memory_percent, &self.shared));
        let names = listeners.series();
        let stages =
            Stage::all(&snapshot, self.generation, &self.metrics, &names, &self.names.known(), parts);
        self.listeners = listeners.into_listeners();
        self.snapshot = snapshot;
        (stages, old_log)
    }

    /// The addresses that are listened on, in the order of the configuration, with real ports.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.addresses()
    }

    /// What is known of the names of endpoints, as it changes.
    pub(crate) fn names(&self) -> crate::names::Known {
        self.names.share()
    }

    /// What is known of the health of services, as it changes.
    pub(crate) fn health(&self) -> KnownHealth {
        self.probes.share()
    }

    /// What is known of canaries, as it changes.
    pub(crate) fn canaries(&self) -> canaries::Known {
        self.canaries.share()
    }

    /// The store that gateways share, as those who run the gateway see it.
    pub(crate) fn store(&self) -> StoreView {
        self.store.clone()
    }

    /// What is known of the certificates that are ordered, as it changes.
    pub(crate) fn orders(&self) -> Orders {
        self.keepers.share()
    }

    /// The keys that are made while it runs.
    pub(crate) fn keys(&self) -> Rc<Keys> {
        Rc::clone(&self.keys)
    }

    /// Opens the file of the access log anew, after it was moved away.
    pub fn reopen_log(&self) {
        if let Some(log) = &self.log {
            log.reopen();
        }
    }

    /// Stops accepting, lets requests finish for at most `drain`, and ends the workers.
    pub async fn stop(mut self, drain: Duration) {
        self.names.stop();
        self.keepers.stop();
        self.probes.stop();
        self.canaries.stop();
        let workers = self.workers;
        let queues = self.queues;
        let ended = async {
            for queue in &queues {
                let _ = queue.send(Order::Drain(drain)).await;
            }
            let joined = tokio::task::spawn_blocking(move || {
                for worker in workers {
                    // What a worker died of was printed by its thread; there is nothing left to save here.
                    let _ = worker.join();
                }
            });
            let _ = joined.await;
        };
        // A worker that hangs does not keep the process.
        let _ = tokio::time::timeout(drain + SWITCH, ended).await;
        self.quotas.stop().await;
        if let Some(log) = self.log {
            log::close(log).await;
        }
    }
}

/// What works beside the workers for a snapshot, and begins to when it is used.
struct Beside {
    keepers: certificates::Planned,
    quotas: Option<quotas::Planned>,
}

/// What a snapshot needs, at hand.
struct Prepared {
    listeners: Planned,
    /// A sink that was opened for it.
    log: Option<Sink>,
    /// The sink in use is the one it wants.
    same_log: bool,
}
