//! The live state of services in one worker: addresses, balancer, retry budget.
//!
//! Keyed by the name of the service and by address, so that a new snapshot or new addresses leave what
//! did not change as it was. One address is in `member.rs`; what workers share of it in `places.rs`.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use balance::{Balancer, Members, Outage, Recent, RetryBudget, Seat, hash_key};
use message::Fault;
use snapshot::{Endpoint, EndpointHost, Hedge, Service, SourceKind};
use telemetry::ServiceSeries;

use crate::connection::Connection;
use crate::fuse::Probe;
use crate::gate::Gate;
use crate::member::{Member, OpenSlot};
use crate::places::{Common, Places};
use crate::stage::{Found, Resolved};
use crate::timer::Tick;

/// A service in one worker.
pub(crate) struct LiveService {
    pub(crate) settings: Service,
    members: RefCell<Vec<Rc<Member>>>,
    balancer: RefCell<Balancer>,
    budget: RefCell<RetryBudget>,
    /// What each endpoint of the configuration stands for.
    resolved: RefCell<Vec<Vec<Found>>>,
    /// Addresses that get no requests, sorted.
    outages: RefCell<Arc<[(SocketAddr, Outage)]>>,
    /// How many of a thousand requests stay near; `None` where no address is nearer than another.
    local_share: Cell<Option<u32>>,
    /// How long answers take lately, and when another address is asked because of that, in microseconds.
    latencies: RefCell<Recent>,
    hedge_after: Cell<Option<u32>>,
    /// Some address has not warmed up yet.
    warming: Cell<bool>,
    places: Arc<Places>,
    common: Arc<Common>,
    /// Limits how many requests it gets at a time.
    gate: Option<Rc<Gate>>,
    series: Arc<ServiceSeries>,
    worker: usize,
    /// Unused connections to one address that this worker keeps: its share.
    idle_share: usize,
    /// Connections to one address that no other worker can want.
    open_share: usize,
}

/// What is asked for when an address is chosen.
pub(crate) struct Wish<'a> {
    /// Addresses that were tried for this request.
    pub(crate) tried: &'a [SocketAddr],
    /// What requests that belong together have in common, where the service is chosen by that.
    pub(crate) key: Option<u64>,
    /// In milliseconds.
    pub(crate) now: u64,
}

/// The addresses of a service, as one request may have them.
struct Candidates<'a> {
    members: &'a [Rc<Member>],
    wish: &'a Wish<'a>,
    /// Those that have just refused connections are left out.
    shuns: bool,
    /// Only those that are near, or only the others.
    near: Option<bool>,
    /// Those that have not warmed up are passed over at random; this is the chance.
    dice: Option<u64>,
    ramp: u64,
}

impl Members for Candidates<'_> {
    #[inline]
    fn in_flight(&self, at: usize) -> u32 {
        let Some(member) = self.members.get(at) else { return 0 };
        match member.warm_since.get().filter(|_| self.dice.is_some()) {
            Some(since) => balance::in_flight_as_if_warm(member.in_flight.get(), self.warmth(since)),
            None => member.in_flight.get(),
        }
    }

    #[inline]
    fn cost_micros(&self, at: usize) -> u32 {
        self.members.get(at).map_or(0, |member| member.latency.get().value(self.wish.now))
    }

    #[inline]
    fn is_eligible(&self, at: usize) -> bool {
        let Some(member) = self.members.get(at) else { return false };
        if self.shuns && member.shunned_until.get() > self.wish.now {
            return false;
        }
        if !member.may_take(self.wish.tried) || self.near.is_some_and(|near| near != member.is_local.get()) {
            return false;
        }
        let (Some(dice), Some(since)) = (self.dice, member.warm_since.get()) else { return true };
        !balance::is_passed_over(self.warmth(since), &mut fastrand::Rng::with_seed(dice ^ at as u64))
    }
}

impl Candidates<'_> {
    /// How warm an address is that takes requests since then.
    fn warmth(&self, since: u64) -> u32 {
        balance::warmth(self.wish.now.saturating_sub(since), self.ramp)
    }
}

impl LiveService {
    /// From a snapshot; takes over what `old` had. `worker` is the position of the worker.
    pub(crate) fn new(
        settings: Service,
        old: Option<&LiveService>,
        places: &Arc<Places>,
        series: Arc<ServiceSeries>,
        worker: usize,
        now: u64,
    ) -> LiveService {
        let resolved = settings
            .endpoints
            .iter()
            .map(|endpoint| match &endpoint.host {
                EndpointHost::Address(address) => vec![Found::plain(*address)],
                EndpointHost::Name(_) | EndpointHost::Source(_) => old
                    .and_then(|old| {
                        let place =
                            old.settings.endpoints.iter().position(|other| other.host == endpoint.host)?;
                        old.resolved.borrow().get(place).cloned()
                    })
                    .unwrap_or_default(),
            })
            .collect();
        let budget = RetryBudget::new(settings.retries.budget);
        let workers = places.workers();
        let common = places.common(&settings.name);
        let gate = settings.concurrency.map(|concurrency| {
            // Whoever is in or waits stays where it is.
            let same = old.filter(|old| old.settings.concurrency == Some(concurrency));
            let fresh = || Gate::new(concurrency, Arc::clone(&common.in_use), workers);
            same.and_then(|old| old.gate.clone()).unwrap_or_else(fresh)
        });
        let live = LiveService {
            common,
            gate,
            balancer: RefCell::new(Balancer::new(settings.algorithm, &[])),
            members: RefCell::default(),
            budget: RefCell::new(budget),
            resolved: RefCell::new(resolved),
            outages: RefCell::default(),
            local_share: Cell::new(None),
            latencies: RefCell::default(),
            hedge_after: Cell::new(None),
            warming: Cell::new(false),
            places: Arc::clone(places),
            series,
            worker,
            idle_share: settings.idle_connections.div_ceil(workers.max(1)),
            open_share: if workers > 1 { settings.max_connections / workers } else { usize::MAX },
            settings,
        };
        live.rebuild(&old.map(|old| old.members.borrow().clone()).unwrap_or_default(), now);
        live
    }

    /// Takes note of what names stand for now; `known` is sorted by key. Addresses that stay keep their connections.
    pub(crate) fn resolve(&self, known: &[Resolved], now: u64) {
        let mut changed = false;
        for (endpoint, resolved) in self.settings.endpoints.iter().zip(self.resolved.borrow_mut().iter_mut())
        {
            let Some(key) = endpoint.host.key() else { continue };
            let Ok(place) = known.binary_search_by(|one| (*one.key).cmp(key)) else { continue };
            if let Some(one) = known.get(place).filter(|one| *one.found != **resolved) {
                *resolved = one.found.to_vec();
                changed = true;
            }
        }
        if changed {
            let members = self.members.borrow().clone();
            self.rebuild(&members, now);
        }
    }

    /// No request begins here any more: the service has left the configuration.
    pub(crate) fn retire(&self) {
        self.members.borrow().iter().for_each(|member| member.retire());
    }

    fn rebuild(&self, old: &[Rc<Member>], now: u64) {
        let mut members: Vec<Rc<Member>> = Vec::new();
        let mut reweighed = false;
        let resolved = self.resolved.borrow();
        let zone = self.settings.zone.as_deref();
        for (endpoint, all) in self.settings.endpoints.iter().zip(resolved.iter()) {
            for found in all {
                let address = found.address(endpoint.port);
                if members.iter().any(|member| member.address == address) {
                    continue; // two names for one address are one member
                }
                let kept = old.iter().find(|member| member.address == address).cloned();
                let member = kept.unwrap_or_else(|| {
                    let member = self.member(endpoint, address);
                    // What comes to others that serve already is cold; where all are new, all are alike.
                    member.warm_since.set((!old.is_empty()).then_some(now));
                    Rc::new(member)
                });
                let weight = found.weight.unwrap_or(endpoint.weight);
                reweighed |= member.weight.replace(weight) != weight;
                let is_near = zone.is_some() && found.zone.as_deref() == zone;
                member.is_local.set(endpoint.is_local || is_near);
                let sticky = self.settings.sticky.as_ref();
                let tag =
                    |sticky| self.places.cookie_key.tag(sticky, &self.settings.name, &member.address_text);
                *member.tag.borrow_mut() = sticky.map(tag);
                members.push(member);
            }
        }
        for member in old.iter().filter(|one| !members.iter().any(|member| Rc::ptr_eq(one, member))) {
            member.retire();
        }
        let same = !reweighed && {
            let current = self.members.borrow();
            current.len() == members.len() && current.iter().zip(&members).all(|(a, b)| Rc::ptr_eq(a, b))
        };
        if !same {
            let seat = |member: &Rc<Member>| Seat {
                weight: member.weight.get(),
                id: hash_key(member.address_text.as_bytes()),
            };
            let seats: Vec<Seat> = members.iter().map(seat).collect();
            let mut balancer = Balancer::new(self.settings.algorithm, &seats);
            // The workers would otherwise all begin with the same one.
            balancer.start_anywhere(&mut fastrand::Rng::new());
            *self.balancer.borrow_mut() = balancer;
            *self.members.borrow_mut() = members;
        }
        self.settle(now);
    }

    fn member(&self, endpoint: &Endpoint, address: SocketAddr) -> Member {
        let host = match &endpoint.host {
            EndpointHost::Address(address) => address.to_string().into(),
            EndpointHost::Name(name) => name.clone(),
            EndpointHost::Source(source) => match &source.kind {
                SourceKind::Dns { name, .. } => name.clone(),
                SourceKind::Srv { .. } | SourceKind::File { .. } => address.ip().to_string().into(),
            },
        };
        let place = self.places.of(&self.settings.name, address);
        Member::new(address, host, Arc::clone(&self.series), place, self.worker)
    }

    /// Takes note of which addresses are to get no requests now; they are sorted. Nothing speaks against all others.
    /// Returns whether requests wait in vain on one of them.
    pub(crate) fn take_note(&self, outages: Option<&Arc<[(SocketAddr, Outage)]>>, now: u64) -> bool {
        *self.outages.borrow_mut() = outages.cloned().unwrap_or_default();
        self.settle(now)
    }

    /// Settles which members take requests, so that no request has to count who does well. Returns whether one of them
    /// hangs that did not before.
    fn settle(&self, now: u64) -> bool {
        let (members, outages) = (self.members.borrow(), self.outages.borrow());
        let outage = |member: &Rc<Member>| {
            let place = outages.binary_search_by_key(&member.address, |(address, _)| *address).ok()?;
            outages.get(place).map(|(_, outage)| *outage)
        };
        let panic = balance::is_panic(members.iter().map(outage));
        let (mut one_hangs, mut warming) = (false, false);
        let (mut near, mut far) = (balance::ZoneWeight::default(), balance::ZoneWeight::default());
        for member in members.iter() {
            let outage = outage(member);
            let takes = balance::takes_requests(outage, panic);
            if takes && !member.takes_requests.replace(takes) {
                // Where it is asked because all do badly, nobody is to be spared.
                member.warm_since.set(outage.is_none().then_some(now));
            }
            member.takes_requests.set(takes);
            let hangs = outage == Some(Outage::Stalled);
            one_hangs |= hangs && !member.hangs.replace(hangs);
            member.hangs.set(hangs);
            warming |= member.warm_since.get().is_some();
            let zone = if member.is_local.get() { &mut near } else { &mut far };
            zone.add(member.weight.get(), takes);
        }
        let is_zoned = near.all > 0 && far.all > 0;
        self.local_share.set(is_zoned.then(|| balance::local_share(near, far)));
        self.warming.set(warming && !self.settings.slow_start.is_zero());
        one_hangs
    }

    /// Chooses an address that takes requests and was not tried yet.
    pub(crate) fn pick(&self, rng: &mut fastrand::Rng, wish: &Wish<'_>) -> Option<Rc<Member>> {
        let members = self.members.borrow();
        let mut balancer = self.balancer.borrow_mut();
        let mut candidates =
            Candidates { members: &members, wish, shuns: true, near: None, dice: None, ramp: 0 };
        let mut choose = |candidates: &Candidates<'_>, rng: &mut fastrand::Rng| {
            let at = balancer.pick(rng, candidates, wish.key)?;
            members.get(at).cloned()
        };
        // What belongs together stays together, wherever that is.
        let is_free = wish.key.is_none();
        if self.warming.get() && is_free {
            candidates.ramp = self.settings.slow_start.as_millis() as u64;
            candidates.dice = Some(rng.u64(..));
        }
        if let Some(share) = self.local_share.get().filter(|_| is_free) {
            candidates.near = Some(rng.u32(..1000) < share);
        }
        if candidates.near.is_some() || candidates.dice.is_some() {
            let chosen = choose(&candidates, rng);
            if chosen.is_some() {
                return chosen;
            }
            (candidates.near, candidates.dice) = (None, None);
        }
        choose(&candidates, rng).or_else(|| {
            candidates.shuns = false;
            choose(&candidates, rng)
        })
    }

    /// Lets requests in that wait, if there is room now.
    pub(crate) fn serve_waiting(&self, now: u64) {
        if let Some(gate) = &self.gate {
            gate.serve(now);
            self.series.waiting.set(gate.waiting() as i64);
            self.series.limit.set(gate.limit().into());
        }
    }

    /// What limits its requests, if something does.
    pub(crate) fn gate(&self) -> Option<&Rc<Gate>> {
        self.gate.as_ref()
    }

    /// Whether its circuit breaker lets a request pass, and whom the request has to tell if it is a probe.
    #[inline]
    pub(crate) fn admit(&self) -> Result<Option<Probe>, Fault> {
        match self.settings.breaker {
            None => Ok(None),
            Some(_) => self.common.fuse.admit().map_err(|()| Fault::CircuitOpen),
        }
    }

    /// The first address of which something is true.
    pub(crate) fn find(&self, is_it: impl Fn(&Member) -> bool) -> Option<Rc<Member>> {
        self.members.borrow().iter().find(|member| is_it(member)).cloned()
    }

    /// Whether there is an address that takes requests besides these.
    pub(crate) fn has_other_than(&self, tried: &[SocketAddr]) -> bool {
        self.members.borrow().iter().any(|member| member.may_take(tried))
    }

    /// Keeps a connection for the next request; but not when all that may be open are open and another worker may be
    /// waiting for its turn.
    pub(crate) fn checkin(&self, member: &Member, connection: Box<Connection>, slot: OpenSlot, until: Tick) {
        let is_full = member.place.open.load(Ordering::Relaxed) >= self.settings.max_connections;
        if member.retired.get() || self.idle_share == 0 || (is_full && member.own.get() > self.open_share) {
            return;
        }
        member.keep(connection, slot, until, self.idle_share);
    }

    /// Counts a request that was refused before any address was asked.
    pub(crate) fn count_refusal(&self, fault: Fault) {
        self.series.failed(fault);
    }

    /// Counts a copy of a request that was sent, or could not be.
    pub(crate) fn count_copy(&self, sent: bool) {
        let counter = if sent { &self.series.copies_sent } else { &self.series.copies_dropped };
        counter.add(1);
    }

    /// Takes note of how long an answer took, where that decides when another address is asked.
    #[inline]
    pub(crate) fn learn(&self, micros: u32) {
        if self.settings.hedge.is_some() {
            self.latencies.borrow_mut().add(micros);
        }
    }

    /// How long to wait for an answer before another address is asked; `None` for never, or if it is not known yet.
    pub(crate) fn hedge_after(&self) -> Option<Duration> {
        match self.settings.hedge? {
            Hedge::After(time) => Some(time),
            Hedge::Quantile(_) => self.hedge_after.get().map(|micros| Duration::from_micros(micros.into())),
        }
    }

    /// Counts a request for the retry budget. `now` in milliseconds.
    pub(crate) fn on_request(&self, now: u64) {
        self.budget.borrow_mut().on_request(now);
    }

    /// Whether the retry budget allows one more.
    pub(crate) fn try_retry(&self, now: u64) -> bool {
        self.budget.borrow_mut().try_retry(now)
    }

    /// Closes kept connections that were unused for too long, or on which something happened; and looks who has warmed
    /// up.
    pub(crate) fn sweep(&self, now: Tick, now_ms: u64) {
        if let Some(Hedge::Quantile(permille)) = self.settings.hedge {
            let mut latencies = self.latencies.borrow_mut();
            latencies.turn(now_ms);
            self.hedge_after.set(latencies.quantile(permille));
        }
        let ramp = self.settings.slow_start.as_millis() as u64;
        let mut warming = false;
        for member in self.members.borrow().iter() {
            member.sweep(now, now.after(self.settings.timeouts.idle));
            let warms = member.warm_since.get().filter(|since| now_ms.saturating_sub(*since) < ramp);
            member.warm_since.set(warms);
            warming |= warms.is_some();
        }
        self.warming.set(warming);
    }
}
