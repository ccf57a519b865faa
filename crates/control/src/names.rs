//! The names and sources of endpoints: what they stand for, kept current for as long as a snapshot mentions them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use dataplane::{Found, Order, Resolved};
use discovery::dns::Dns;
use discovery::file;
use snapshot::{Endpoint, EndpointHost, Snapshot, Source, SourceKind};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use crate::Report;

/// How long the first answers are waited for before a snapshot is used.
const FIRST_ANSWERS: Duration = Duration::from_secs(2);

/// What is known, by [`EndpointHost::key`].
pub(crate) type Known = Rc<RefCell<BTreeMap<Arc<str>, Resolved>>>;

/// Everything that is watched.
#[derive(Default)]
pub(crate) struct Names {
    servers: Vec<SocketAddr>,
    watches: BTreeMap<Arc<str>, JoinHandle<()>>,
    known: Known,
    changed: Rc<Notify>,
}

/// Where an endpoint is reached now.
pub(crate) fn addresses_of(endpoint: &Endpoint, known: &BTreeMap<Arc<str>, Resolved>) -> Vec<SocketAddr> {
    let found = |resolved: &Resolved| resolved.found.iter().map(|one| one.address(endpoint.port)).collect();
    match (&endpoint.host, endpoint.host.key()) {
        (EndpointHost::Address(ip), _) => vec![SocketAddr::new(*ip, endpoint.port)],
        (_, Some(key)) => known.get(key).map(found).unwrap_or_default(),
        (_, None) => Vec::new(),
    }
}

impl Names {
    /// Watches what a snapshot names besides what is watched already, and gives what is new a moment to have its first
    /// answer, so that the first requests find endpoints.
    ///
    /// # Errors
    /// In words: names cannot be resolved at all.
    pub(crate) async fn add(
        &mut self,
        snapshot: &Snapshot,
        queues: &[mpsc::Sender<Order>],
        report: &Report,
    ) -> Result<(), String> {
        let sources = sources_of(snapshot);
        let other_servers = self.servers != snapshot.name_servers;
        let is_new = |(key, kind): &(&&str, &SourceKind)| {
            let asks_servers = !matches!(kind, SourceKind::File { .. });
            (other_servers && asks_servers) || !self.watches.contains_key(**key)
        };
        let new: Vec<(Arc<str>, SourceKind)> =
            sources.iter().filter(is_new).map(|(key, kind)| ((*key).into(), kind.clone())).collect();
        if new.is_empty() {
            return Ok(());
        }
        let dns = Dns::new(&snapshot.name_servers)?;
        if other_servers {
            // They may know other addresses. What is known stays in use until they answer.
            for (key, _) in &new {
                self.watches.remove(key).into_iter().for_each(|watch| watch.abort());
            }
            self.servers.clone_from(&snapshot.name_servers);
        }
        let (answered, mut answers) = mpsc::channel::<()>(1);
        for (key, kind) in new {
            let watch = self.watch(&dns, Arc::clone(&key), kind, queues.to_vec(), answered.clone(), report);
            self.watches.insert(key, tokio::task::spawn_local(watch));
        }
        drop(answered);
        // Ends when every watch has dropped its sender, which it does after its first answer.
        let _ = tokio::time::timeout(FIRST_ANSWERS, answers.recv()).await;
        Ok(())
    }

    fn watch(
        &self,
        dns: &Dns,
        key: Arc<str>,
        kind: SourceKind,
        queues: Vec<mpsc::Sender<Order>>,
        answered: mpsc::Sender<()>,
        report: &Report,
    ) -> impl Future<Output = ()> + 'static {
        let mut answered = Some(answered);
        let (known, other) = (Rc::clone(&self.known), Rc::clone(&self.changed));
        let mut changed = async move |found: Arc<[Found]>| {
            let resolved = Resolved { key: Arc::clone(&key), found };
            known.borrow_mut().insert(Arc::clone(&key), resolved.clone());
            other.notify_one();
            for queue in &queues {
                // A worker that has ended takes no more orders, and needs none.
                let _ = queue.send(Order::Resolved(resolved.clone())).await;
            }
            answered.take();
        };
        let (dns, report) = (dns.clone(), Rc::clone(report));
        async move {
            let report = |text| report(text);
            match kind {
                SourceKind::Dns { name, every } => {
                    let found = async |addresses: Arc<[std::net::IpAddr]>| {
                        changed(addresses.iter().copied().map(Found::plain).collect()).await;
                    };
                    dns.watch_every((&*name).into(), every, found, report).await;
                }
                SourceKind::Srv { name, every } => {
                    let found = async |endpoints: Arc<[discovery::Endpoint]>| changed(all(&endpoints)).await;
                    dns.watch_srv((&*name).into(), every, found, report).await;
                }
                SourceKind::File { path } => {
                    let found = async |endpoints: Arc<[discovery::Endpoint]>| changed(all(&endpoints)).await;
                    file::watch(std::path::Path::new(&*path).into(), found, report).await;
                }
            }
        }
    }

    /// What is known, as it changes.
    pub(crate) fn share(&self) -> Known {
        Rc::clone(&self.known)
    }

    /// Hears of every change of what is known. There is one who may listen.
    pub(crate) fn changes(&self) -> Rc<Notify> {
        Rc::clone(&self.changed)
    }

    /// All that is known.
    pub(crate) fn known(&self) -> Vec<Resolved> {
        self.known.borrow().values().cloned().collect()
    }

    /// Forgets what a snapshot does not mention.
    pub(crate) fn keep(&mut self, snapshot: &Snapshot) {
        let sources = sources_of(snapshot);
        self.watches.retain(|key, watch| {
            let stays = sources.contains_key(&**key);
            if !stays {
                watch.abort();
            }
            stays
        });
        self.known.borrow_mut().retain(|key, _| sources.contains_key(&**key));
    }

    /// Watches nothing any more.
    pub(crate) fn stop(&mut self) {
        for watch in std::mem::take(&mut self.watches).into_values() {
            watch.abort();
        }
    }
}

impl std::fmt::Debug for Names {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_set().entries(self.watches.keys()).finish()
    }
}

/// What a source has found.
fn all(endpoints: &[discovery::Endpoint]) -> Arc<[Found]> {
    let found = |endpoint: &discovery::Endpoint| Found {
        ip: endpoint.address.ip(),
        port: Some(endpoint.address.port()),
        weight: endpoint.weight,
        zone: endpoint.zone.clone(),
    };
    endpoints.iter().map(found).collect()
}

/// Everything that a snapshot wants to be watched, by key.
fn sources_of(snapshot: &Snapshot) -> BTreeMap<&str, SourceKind> {
    let endpoints = snapshot.services.iter().flat_map(|service| &service.endpoints);
    let sources = endpoints.filter_map(|endpoint| match &endpoint.host {
        EndpointHost::Name(name) => Some((&**name, SourceKind::Dns { name: name.clone(), every: None })),
        EndpointHost::Source(Source { key, kind }) => Some((&**key, kind.clone())),
        EndpointHost::Address(_) => None,
    });
    sources.collect()
}
