//! How each address of each service stands.
//!
//! It makes no probes and tells nobody: it keeps what probes have found, by service and address. Entry point: [`Table`].

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use balance::{Health, Outage, Standing, Thresholds};
use diagnostics::counted;
use snapshot::Endpoint;

use super::Task;
use super::ask::{Failure, Manner, Target};

/// What probes say of a service.
#[derive(Debug, Clone)]
pub struct ServiceHealth {
    /// Its addresses, sorted.
    pub addresses: Vec<AddressHealth>,
    /// So few are healthy that those that fail get requests too.
    pub panic: bool,
}

/// What probes say of an address.
#[derive(Debug, Clone)]
pub struct AddressHealth {
    /// The address.
    pub address: SocketAddr,
    /// How it stands.
    pub standing: Standing,
    /// Since when.
    pub since: SystemTime,
    /// The last probe, once there was one.
    pub last: Option<LastProbe>,
}

/// A probe that is over.
#[derive(Debug, Clone)]
pub struct LastProbe {
    /// When it ended.
    pub at: SystemTime,
    /// What came of it, in words.
    pub result: String,
}

/// How each address of each service stands.
#[derive(Default)]
pub(super) struct Table(RefCell<BTreeMap<Arc<str>, Probed>>);

/// A service that is probed.
struct Probed {
    manner: Rc<Manner>,
    endpoints: Vec<Endpoint>,
    addresses: BTreeMap<SocketAddr, (Rc<Watched>, Option<Task>)>,
    said: Choice,
}

/// Which addresses requests go to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Choice {
    /// Those that are healthy.
    Healthy,
    /// Those that fail as well.
    Failing,
    /// None.
    Nobody,
}

/// An address that is probed.
pub(super) struct Watched {
    pub(super) target: Target,
    state: RefCell<State>,
    /// It was there before anything was known of it.
    since: Cell<SystemTime>,
}

#[derive(Clone, Default)]
struct State {
    health: Health,
    last: Option<LastProbe>,
}

/// A change of how an address stands.
pub(super) struct Note {
    /// It, and why, for the operator.
    pub(super) line: String,
}

/// How many addresses of a service are healthy.
pub(super) struct Counts {
    pub(super) healthy: usize,
    pub(super) all: usize,
    /// What the operator has to know of it.
    pub(super) line: Option<String>,
}

impl Table {
    /// Keeps these services and no others, and returns their names. Addresses stay with how they stand; where the manner
    /// has changed, their probes end.
    pub(super) fn adopt(
        &self,
        services: impl Iterator<Item = (Arc<str>, Manner, Vec<Endpoint>)>,
    ) -> Vec<Arc<str>> {
        let mut old = self.0.take();
        let one = |(name, manner, endpoints): (Arc<str>, Manner, Vec<Endpoint>)| {
            let (mut addresses, said) = old.get_mut(&name).map_or_else(
                || (BTreeMap::new(), Choice::Healthy),
                |before| (std::mem::take(&mut before.addresses), before.said),
            );
            let same = old.get(&name).filter(|before| *before.manner == manner);
            let manner = same.map_or_else(|| Rc::new(manner), |before| Rc::clone(&before.manner));
            if same.is_none() {
                addresses.values_mut().for_each(|(_, task)| drop(task.take()));
            }
            (name, Probed { manner, endpoints, addresses, said })
        };
        let now: BTreeMap<_, _> = services.map(one).collect();
        let names = now.keys().cloned().collect();
        *self.0.borrow_mut() = now;
        names
    }

    /// Sees to it that exactly the addresses that endpoints stand for now are watched, each by a task that `start` makes.
    /// Returns the services where that was a change.
    pub(super) fn watch(
        &self,
        targets: impl Fn(&[Endpoint]) -> Vec<Target>,
        start: impl Fn(&Arc<str>, &Rc<Manner>, &Rc<Watched>) -> Task,
    ) -> Vec<Arc<str>> {
        let mut changed = Vec::new();
        for (name, probed) in self.0.borrow_mut().iter_mut() {
            let mut before = std::mem::take(&mut probed.addresses);
            let known = before.len();
            let mut kept = 0;
            for target in targets(&probed.endpoints) {
                if probed.addresses.contains_key(&target.address) {
                    continue; // two names for one address are one member
                }
                let (watched, task) = match before.remove(&target.address) {
                    Some((watched, task)) if watched.target == target => {
                        kept += 1;
                        (watched, task)
                    }
                    Some((watched, _)) => (Rc::new(watched.asked_as(target)), None),
                    None => (Rc::new(Watched::new(target)), None),
                };
                let task = task.unwrap_or_else(|| start(name, &probed.manner, &watched));
                probed.addresses.insert(watched.target.address, (watched, Some(task)));
            }
            if kept != known || kept != probed.addresses.len() {
                changed.push(Arc::clone(name));
            }
        }
        changed
    }

    /// Counts who is healthy.
    pub(super) fn count(&self, service: &str) -> Option<Counts> {
        let mut table = self.0.borrow_mut();
        let probed = table.get_mut(service)?;
        let outages = || probed.addresses.values().map(|(watched, _)| watched.standing().outage());
        let (healthy, all) = (outages().filter(Option::is_none).count(), outages().count());
        let panic = balance::is_panic(outages());
        let taking = outages().filter(|outage| balance::takes_requests(*outage, panic)).count();
        let choice = match (panic, taking) {
            (true, 0) => Choice::Nobody,
            (true, _) => Choice::Failing,
            (false, _) => Choice::Healthy,
        };
        let line = (std::mem::replace(&mut probed.said, choice) != choice).then(|| {
            let of = format!("{healthy} of {} healthy", counted_addresses(all));
            match choice {
                Choice::Healthy => format!("{of}: requests go to these only"),
                Choice::Failing => {
                    format!("{of}, which is less than half: requests go to those that fail as well")
                }
                Choice::Nobody => format!("{of}, and all say that they do not serve: requests are refused"),
            }
        });
        Some(Counts { healthy, all, line })
    }

    /// The addresses of a service that are not healthy.
    pub(super) fn outages_of(&self, service: &str) -> Vec<(SocketAddr, Outage)> {
        let table = self.0.borrow();
        let Some(probed) = table.get(service) else { return Vec::new() };
        let standings = probed.addresses.iter().map(|(address, (watched, _))| (address, watched.standing()));
        standings.filter_map(|(address, standing)| Some((*address, standing.outage()?))).collect()
    }

    /// Whether an address of a service is not healthy.
    pub(super) fn is_down(&self, service: &str, address: SocketAddr) -> bool {
        let table = self.0.borrow();
        let watched = table.get(service).and_then(|probed| probed.addresses.get(&address));
        watched.is_some_and(|(watched, _)| !watched.standing().is_healthy())
    }

    /// What is known of a service.
    pub(super) fn of(&self, service: &str) -> Option<ServiceHealth> {
        let table = self.0.borrow();
        let addresses: Vec<AddressHealth> =
            table.get(service)?.addresses.values().map(|(watched, _)| watched.shown()).collect();
        let panic = balance::is_panic(addresses.iter().map(|one| one.standing.outage()));
        Some(ServiceHealth { addresses, panic })
    }
}

fn counted_addresses(all: usize) -> String {
    if all == 1 { "1 address is".to_owned() } else { format!("{all} addresses are") }
}

impl Watched {
    fn new(target: Target) -> Watched {
        Watched { target, state: RefCell::default(), since: Cell::new(SystemTime::now()) }
    }

    /// The same address, asked in another way.
    fn asked_as(&self, target: Target) -> Watched {
        Watched { target, state: self.state.clone(), since: self.since.clone() }
    }

    fn standing(&self) -> Standing {
        self.state.borrow().health.standing()
    }

    fn shown(&self) -> AddressHealth {
        let state = self.state.borrow();
        AddressHealth {
            address: self.target.address,
            standing: state.health.standing(),
            since: self.since.get(),
            last: state.last.clone(),
        }
    }

    /// Takes note of a probe. Returns whether it changes how the address stands.
    pub(super) fn note(&self, outcome: Result<String, Failure>, thresholds: Thresholds) -> Option<Note> {
        let (probe, result) = match outcome {
            Ok(words) => (Standing::Healthy, words),
            Err(failure) => (failure.standing(), failure.to_string()),
        };
        let mut state = self.state.borrow_mut();
        let before = state.health.standing();
        let changed = state.health.observe(probe, thresholds);
        let line = changed.then(|| match (before.is_healthy(), probe.is_healthy()) {
            (true, _) => {
                let probes = counted(thresholds.unhealthy_after as usize, "probe");
                format!("is unhealthy: {result} ({probes} in a row)")
            }
            (false, true) => {
                let probes = counted(thresholds.healthy_after as usize, "probe");
                format!("is healthy again: {result} ({probes} in a row)")
            }
            (false, false) => format!("is still unhealthy: {result}"),
        });
        if changed {
            self.since.set(SystemTime::now());
        }
        state.last = Some(LastProbe { at: SystemTime::now(), result });
        line.map(|line| Note { line })
    }
}
