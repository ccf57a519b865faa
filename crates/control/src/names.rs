//! The names of endpoints: what they stand for, kept current for as long as a snapshot mentions them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use dataplane::{Order, Resolved};
use discovery::dns::Dns;
use snapshot::{EndpointHost, Snapshot};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use crate::Report;

/// How long the first answers of name servers are waited for before a snapshot is used.
const FIRST_ANSWERS: Duration = Duration::from_secs(2);

/// What is known of names.
pub(crate) type Known = Rc<RefCell<BTreeMap<Arc<str>, Resolved>>>;

/// Every name that is watched.
#[derive(Default)]
pub(crate) struct Names {
    servers: Vec<SocketAddr>,
    watches: BTreeMap<Arc<str>, JoinHandle<()>>,
    known: Known,
    changed: Rc<Notify>,
}

impl Names {
    /// Watches the names of a snapshot besides those that are watched already, and gives new ones a moment to have
    /// their first answers, so that the first requests find endpoints.
    ///
    /// # Errors
    /// In words: names cannot be resolved at all.
    pub(crate) async fn add(
        &mut self,
        snapshot: &Snapshot,
        queues: &[mpsc::Sender<Order>],
        report: &Report,
    ) -> Result<(), String> {
        let names = names_of(snapshot);
        let other_servers = self.servers != snapshot.name_servers;
        let is_new = |name: &&&str| other_servers || !self.watches.contains_key(**name);
        let new: Vec<Arc<str>> = names.iter().filter(is_new).map(|name| (*name).into()).collect();
        if new.is_empty() {
            return Ok(());
        }
        let dns = Dns::new(&snapshot.name_servers)?;
        if other_servers {
            // They may know other addresses. What is known stays in use until they answer.
            self.stop();
            self.servers.clone_from(&snapshot.name_servers);
        }
        let (answered, mut answers) = mpsc::channel::<()>(1);
        for name in new {
            let watch = self.watch(&dns, Arc::clone(&name), queues.to_vec(), answered.clone(), report);
            self.watches.insert(name, tokio::task::spawn_local(watch));
        }
        drop(answered);
        // Ends when every watch has dropped its sender, which it does after its first answer.
        let _ = tokio::time::timeout(FIRST_ANSWERS, answers.recv()).await;
        Ok(())
    }

    fn watch(
        &self,
        dns: &Dns,
        name: Arc<str>,
        queues: Vec<mpsc::Sender<Order>>,
        answered: mpsc::Sender<()>,
        report: &Report,
    ) -> impl Future<Output = ()> + 'static {
        let mut answered = Some(answered);
        let (known, other) = (Rc::clone(&self.known), Rc::clone(&self.changed));
        let own = Arc::clone(&name);
        let changed = async move |addresses| {
            let resolved = Resolved { name: Arc::clone(&own), addresses };
            known.borrow_mut().insert(Arc::clone(&own), resolved.clone());
            other.notify_one();
            for queue in &queues {
                // A worker that has ended takes no more orders, and needs none.
                let _ = queue.send(Order::Resolved(resolved.clone())).await;
            }
            answered.take();
        };
        let report = Rc::clone(report);
        dns.clone().watch(name, changed, move |text| report(text))
    }

    /// What is known, as it changes.
    pub(crate) fn share(&self) -> Known {
        Rc::clone(&self.known)
    }

    /// Hears of every change of what is known. There is one who may listen.
    pub(crate) fn changes(&self) -> Rc<Notify> {
        Rc::clone(&self.changed)
    }

    /// What is known of all names.
    pub(crate) fn known(&self) -> Vec<Resolved> {
        self.known.borrow().values().cloned().collect()
    }

    /// Forgets the names that a snapshot does not mention.
    pub(crate) fn keep(&mut self, snapshot: &Snapshot) {
        let names = names_of(snapshot);
        self.watches.retain(|name, watch| {
            let stays = names.contains(&**name);
            if !stays {
                watch.abort();
            }
            stays
        });
        self.known.borrow_mut().retain(|name, _| names.contains(&**name));
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

fn names_of(snapshot: &Snapshot) -> BTreeSet<&str> {
    let endpoints = snapshot.services.iter().flat_map(|service| &service.endpoints);
    let names = endpoints.filter_map(|endpoint| match &endpoint.host {
        EndpointHost::Name(name) => Some(&**name),
        EndpointHost::Address(_) => None,
    });
    names.collect()
}
