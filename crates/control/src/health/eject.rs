//! Who is ejected because of what became of requests, and who is drained because an operator has said so.
//!
//! It reads what workers have counted, a few times per second, and tells nobody: whoever drives it does. Ejections stay
//! over reloads for as long as the service does. Entry point: [`Ejector`].

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use balance::{Cause, Change, Ejection, Out, Outage, Outliers};
use snapshot::{Endpoint, Service};

/// Between two looks at what workers have counted.
pub(super) const LOOK: Duration = Duration::from_millis(100);

/// Who is ejected or drained.
#[derive(Default)]
pub(super) struct Ejector(RefCell<BTreeMap<Arc<str>, Judged>>);

/// A service.
struct Judged {
    endpoints: Vec<Endpoint>,
    ejection: Option<Ejection>,
    outliers: Outliers,
    drained: BTreeSet<SocketAddr>,
}

/// An address that is ejected.
#[derive(Debug, Clone)]
pub struct Ejected {
    /// The address.
    pub address: SocketAddr,
    /// Why.
    pub cause: Cause,
    /// When it is back.
    pub back_in: Duration,
}

impl Ejector {
    /// Keeps these services and no others.
    pub(super) fn adopt(&self, services: &[Service]) {
        let mut old = self.0.take();
        let one = |service: &Service| {
            let name = Arc::<str>::from(&*service.name);
            let before = old.remove(&name);
            let (outliers, drained) =
                before.map_or_else(Default::default, |before| (before.outliers, before.drained));
            let outliers = if service.ejection.is_some() { outliers } else { Outliers::default() };
            let judged = Judged {
                endpoints: service.endpoints.clone(),
                ejection: service.ejection,
                outliers,
                drained,
            };
            (name, judged)
        };
        *self.0.borrow_mut() = services.iter().map(one).collect();
    }

    /// Judges every service by what its addresses have done. `addresses` says which it has, `tallies` what they have
    /// counted, `is_down` whether probes have taken one out. Returns what has changed.
    pub(super) fn look(
        &self,
        addresses: impl Fn(&[Endpoint]) -> Vec<SocketAddr>,
        tallies: impl Fn(&str, &[SocketAddr]) -> Vec<(SocketAddr, balance::Tally)>,
        is_down: impl Fn(&str, SocketAddr) -> bool,
        now: u64,
    ) -> Vec<(Arc<str>, Change)> {
        let mut all = Vec::new();
        for (name, judged) in self.0.borrow_mut().iter_mut() {
            let Some(ejection) = &judged.ejection else { continue };
            let addresses = addresses(&judged.endpoints);
            // One that is alone is never ejected; it may have been before it was alone.
            if addresses.len() < 2 && judged.outliers.out().next().is_none() {
                continue;
            }
            let (tallies, drained) = (tallies(name, &addresses), &judged.drained);
            let is_down = |address| drained.contains(&address) || is_down(name, address);
            let changes = judged.outliers.observe(&tallies, is_down, ejection, now);
            all.extend(changes.into_iter().map(|change| (Arc::clone(name), change)));
        }
        all
    }

    /// Why addresses of a service are to get no requests.
    pub(super) fn outages_of(&self, service: &str) -> Vec<(SocketAddr, Outage)> {
        let table = self.0.borrow();
        let Some(judged) = table.get(service) else { return Vec::new() };
        let ejected = judged.outliers.out().map(|(address, out)| match out.cause {
            Cause::Stalled(..) => (address, Outage::Stalled),
            Cause::InARow(_) | Cause::FailureRate(..) | Cause::Slow(..) => (address, Outage::Ejected),
        });
        ejected.chain(judged.drained.iter().map(|address| (*address, Outage::Drained))).collect()
    }

    /// Who of a service is ejected. `now` is that of the last look.
    pub(super) fn ejected_of(&self, service: &str, now: u64) -> Vec<Ejected> {
        let table = self.0.borrow();
        let Some(judged) = table.get(service) else { return Vec::new() };
        let shown = |(address, Out { cause, until_ms }): (SocketAddr, Out)| Ejected {
            address,
            cause,
            back_in: Duration::from_millis(until_ms.saturating_sub(now)),
        };
        judged.outliers.out().map(shown).collect()
    }

    /// Who of a service is drained.
    pub(super) fn drained_of(&self, service: &str) -> Vec<SocketAddr> {
        self.0
            .borrow()
            .get(service)
            .map(|judged| judged.drained.iter().copied().collect())
            .unwrap_or_default()
    }

    /// Drains an address, or takes that back. Returns whether that is a change; `None` for a service that there is not.
    pub(super) fn drain(&self, service: &str, address: SocketAddr, drains: bool) -> Option<bool> {
        let mut table = self.0.borrow_mut();
        let drained = &mut table.get_mut(service)?.drained;
        Some(if drains { drained.insert(address) } else { drained.remove(&address) })
    }

    /// The endpoints of a service.
    pub(super) fn endpoints_of(&self, service: &str) -> Option<Vec<Endpoint>> {
        self.0.borrow().get(service).map(|judged| judged.endpoints.clone())
    }

    /// All services.
    pub(super) fn names(&self) -> Vec<Arc<str>> {
        self.0.borrow().keys().cloned().collect()
    }
}
