//! Charges a request to all quotas, or to none.
//!
//! A quota of this gateway alone is judged by its ledger. One that gateways share is judged by their store, or by units
//! that were charged there ahead of need, and then the ledger takes note of what has passed here. What needs no answer of
//! the store comes first; then the store is asked about all the rest at once, and the request waits. Entry point:
//! [`charge`].

use std::sync::{Arc, LazyLock};
use std::time::Instant;

use message::{Problem, Reply};
use quota::{Bounds, Counter, Counters, MAX_COUNT, Period};
use smallvec::SmallVec;
use store::{Decision, Drawn, Flight, Landed, LeaseKey, Leases, OwnAsk};

use super::key::Key;
use super::run::{Counted, Ready, Rule, milliseconds, name_of};
use crate::sharing::{OnStoreFailure, Shared, unavailable};
use crate::trial::DRY_RUN;
use crate::{Answer, Decided, Errand, Flow, Question, RequestCx, rate_limit};

/// What a request was charged to. Few have more than two quotas.
#[derive(Debug, Default)]
#[must_use]
struct Charged(SmallVec<[(u8, One); 2]>);

/// What a request was charged to of one quota.
#[derive(Clone, Debug)]
pub(super) struct One {
    counter: Arc<Counter>,
    cost: u32,
    /// In which period of the ledger.
    period: Bounds,
    besides: Besides,
}

/// Where it was charged besides the ledger.
#[derive(Clone, Copy, Debug)]
enum Besides {
    Nowhere,
    /// To units that are held.
    Lease(LeaseKey, Instant),
    /// At the store: who, and the period.
    Store([u8; 16], u32),
}

/// A request whose cost is said by the answer: what it was charged to, and by which rule.
#[derive(Clone, Debug)]
pub(crate) struct Owed {
    pub(super) rule: u8,
    pub(super) counted: u8,
    pub(super) one: One,
}

/// What was charged before the store was asked about the rest. Whoever drops it has not asked.
#[derive(Debug)]
struct Pending {
    charged: Charged,
    asked: Vec<Asked>,
    /// The limits that a plan has charged before.
    limits: rate_limit::Charged,
}

/// One of the quotas that the store was asked about.
#[derive(Debug)]
struct Asked {
    position: u8,
    counter: Arc<Counter>,
    period: Bounds,
    /// It brings units for other requests too.
    flight: Option<Flight>,
}

/// What waits for an answer of the store, if anything does. A copy of a request waits for nothing.
#[derive(Debug, Default)]
pub(crate) struct Waiting(Option<Box<Pending>>);

impl Clone for Waiting {
    fn clone(&self) -> Self {
        Waiting(None)
    }
}

impl Waiting {
    /// Waits for nothing any more.
    pub(crate) fn clear(&mut self) {
        self.0 = None;
    }

    /// Keeps what was charged to limits before, until there is an answer.
    pub(crate) fn keep(&mut self, limits: rate_limit::Charged) {
        if let Some(pending) = &mut self.0 {
            pending.limits = limits;
        }
    }

    /// What was charged to limits before, if an answer is waited for.
    pub(crate) fn kept(&self) -> Option<rate_limit::Charged> {
        self.0.as_ref().map(|pending| pending.limits)
    }
}

/// One quota of several policies, by its position among all.
#[derive(Clone, Copy)]
struct Place<'r> {
    position: u8,
    ready: &'r Ready,
    rule: &'r Rule,
    counted: &'r Counted,
    /// Where it stands in its policy.
    at: (u8, u8),
}

fn places<'r>(all: &[&'r Ready]) -> impl Iterator<Item = Place<'r>> {
    let counted = all.iter().flat_map(|&ready| {
        (0..).zip(&ready.rules).flat_map(move |(rule_at, rule)| {
            (0..).zip(&rule.counted).map(move |(at, counted)| (ready, rule, counted, (rule_at, at)))
        })
    });
    (0..).zip(counted).map(|(position, (ready, rule, counted, at))| Place {
        position,
        ready,
        rule,
        counted,
        at,
    })
}

/// Charges the request to all quotas of these policies, at most two, or to none: then with what a policy of this kind
/// says. It may be a question; asked again with the answer, it goes on from there.
pub(crate) fn charge(kind: &'static str, all: &[&Ready], cx: &mut RequestCx<'_>) -> Result<(), Flow> {
    let mut charged = Charged::default();
    let outcome = match cx.state.pending_quotas.0.take() {
        None => begin(kind, all, &mut charged, cx),
        Some(pending) => {
            let decided = match cx.answer.take() {
                Some(Answer::Store(decided)) => Some(*decided),
                _ => None,
            };
            charged = pending.charged;
            settle(kind, all, pending.asked, decided.as_ref(), &mut charged, cx)
        }
    };
    match outcome {
        Ok(asks) if asks.is_empty() => Ok(()),
        Ok(asks) => {
            let (asks, asked) = asks.into_iter().unzip();
            let pending = Pending { charged, asked, limits: rate_limit::Charged::default() };
            cx.state.pending_quotas = Waiting(Some(Box::new(pending)));
            Err(Flow::Ask(Box::new(Question::Store(asks))))
        }
        Err(reply) => {
            give_back(all, charged, cx);
            Err(Flow::Reply(reply))
        }
    }
}

/// Takes back what was charged, because another quota has refused.
fn give_back(all: &[&Ready], charged: Charged, cx: &mut RequestCx<'_>) {
    cx.state.owed_quotas.clear();
    for (position, one) in charged.0 {
        if let Some(place) = places(all).nth(position.into()) {
            let errand = one.give_back(place.counted, one.cost, &place.ready.quotas.counters());
            cx.state.errands.extend(errand);
        }
    }
}

/// What is still to be asked.
type Asks = Vec<(OwnAsk, Asked)>;

fn begin(
    kind: &'static str,
    all: &[&Ready],
    charged: &mut Charged,
    cx: &mut RequestCx<'_>,
) -> Result<Asks, Reply> {
    let now = milliseconds(cx.now);
    let (mut asks, mut key) = (Vec::new(), None);
    for place in places(all) {
        let counters = place.ready.quotas.counters();
        // All quotas of a rule have the same one.
        if place.at.1 == 0 {
            key = Some(Key::of(&place.rule.whose, cx));
        }
        // There is one of the others, in whatever quota.
        let counter = key.as_ref().and_then(|key| place.counted.counter(&counters, key));
        let Some(counter) = counter else { continue };
        let period = place.counted.period(&place.rule.zone, now);
        match &place.counted.shared {
            None => place.count_here(kind, counter, period, charged, cx)?,
            Some(shared) => {
                // If the clock has stepped back, the period that had begun goes on.
                let period = counters.take(&counter, 0, MAX_COUNT, period).period;
                asks.extend(place.draw(kind, shared, (counter, period), charged, cx)?);
            }
        }
    }
    Ok(asks)
}

/// Goes on with what the store has decided, or without a decision.
fn settle(
    kind: &'static str,
    all: &[&Ready],
    asked: Vec<Asked>,
    decided: Option<&Decided>,
    charged: &mut Charged,
    cx: &mut RequestCx<'_>,
) -> Result<Asks, Reply> {
    let decision = decided.and_then(|decided| Some((decided.outcome.as_ref().ok()?, decided)));
    let mut stopped = None;
    for (index, asked) in asked.into_iter().enumerate() {
        let Some(place) = places(all).nth(asked.position.into()) else { continue };
        let outcome = match decision {
            Some((decision, decided)) => {
                place.settled(kind, index, asked, decision, (decided.asked, decided.at), charged, cx)
            }
            // A flight that is dropped has not brought anything.
            None if stopped.is_none() => place.undecided(kind, asked, charged, cx),
            None => Ok(()),
        };
        // All flights have to land.
        stopped = stopped.or(outcome.err());
    }
    stopped.map_or(Ok(Vec::new()), Err)
}

impl Place<'_> {
    fn lease(&self, leases: &Leases, period: Bounds, cx: &RequestCx<'_>) -> LeaseKey {
        leases.key_in(name_of(period), |out| self.rule.whose.hash(cx, out))
    }

    /// This gateway judges by itself.
    fn count_here(
        &self,
        kind: &'static str,
        counter: Arc<Counter>,
        period: Bounds,
        charged: &mut Charged,
        cx: &mut RequestCx<'_>,
    ) -> Result<(), Reply> {
        let cost = self.rule.cost(cx);
        let limit = self.counted.allowance.limit;
        let taken = self.ready.quotas.counters().take(&counter, cost.into(), limit, period);
        let one = One { counter, cost, period: taken.period, besides: Besides::Nowhere };
        self.note(kind, taken.allowed.then_some(one), (taken.left, taken.period), charged, cx)
    }

    /// Takes note in the ledger of what has passed.
    fn passed(&self, counter: Arc<Counter>, period: Bounds, besides: Besides, cx: &RequestCx<'_>) -> One {
        let cost = self.rule.cost(cx);
        let taken = self.ready.quotas.counters().take(&counter, cost.into(), MAX_COUNT, period);
        One { counter, cost, period: taken.period, besides }
    }

    /// From units that are held; or it says what to ask.
    fn draw(
        &self,
        kind: &'static str,
        shared: &Shared,
        (counter, period): (Arc<Counter>, Bounds),
        charged: &mut Charged,
        cx: &mut RequestCx<'_>,
    ) -> Result<Option<(OwnAsk, Asked)>, Reply> {
        let cost = self.rule.cost(cx);
        let mut flight = None;
        if let Some(leases) = &shared.leases {
            let key = self.lease(leases, period, cx);
            match leases.take(key, cost, cx.at, || self.rule.identity(cx)) {
                Drawn::Admitted(known, more) => {
                    cx.state.errands.extend(more.map(Errand::Fly));
                    let one = self.passed(counter, period, Besides::Lease(key, cx.at), cx);
                    self.note(kind, Some(one), (known.left.into(), period), charged, cx)?;
                    return Ok(None);
                }
                Drawn::Refused { .. } => {
                    self.note(kind, None, (0, period), charged, cx)?;
                    return Ok(None);
                }
                Drawn::Ask(own) => flight = own,
            }
        }
        let mut ask = self.counted.ask(shared, self.rule.identity(cx), name_of(period), cost);
        if self.rule.dry_run {
            // It stands in nobody's way, so it costs nothing, and what it would cost is charged if it fits. More than
            // that would not fit so soon: units for others come in another way.
            cx.state.errands.extend(flight.take().map(|flight| Errand::Fly(flight.unattended())));
            (ask.cost, ask.ahead) = (0, cost.into());
        } else if let Some(flight) = &flight {
            ask = flight.own_ask();
        }
        Ok(Some((ask, Asked { position: self.position, counter, period, flight })))
    }

    /// The store has decided.
    #[allow(clippy::too_many_arguments, reason = "all of them are of one decision")]
    fn settled(
        &self,
        kind: &'static str,
        index: usize,
        Asked { counter, period, flight, .. }: Asked,
        decision: &Decision,
        (asked, at): (Instant, Instant),
        charged: &mut Charged,
        cx: &mut RequestCx<'_>,
    ) -> Result<(), Reply> {
        let Some(standing) = decision.each.get(index) else { return Ok(()) };
        let landed = flight.map(|flight| flight.land(decision.allowed, standing, asked, at));
        let fits = if self.rule.dry_run { standing.ahead } else { standing.fits };
        if !decision.allowed && (fits || self.rule.dry_run) {
            // Another one has refused, and nothing was charged.
            return Ok(());
        }
        let leases = self.counted.shared.as_ref().and_then(|shared| shared.leases.as_ref());
        let one = fits.then(|| {
            let besides = match leases.filter(|_| landed == Some(Landed::Lease)) {
                Some(leases) => Besides::Lease(self.lease(leases, period, cx), cx.at),
                None => Besides::Store(self.rule.identity(cx), name_of(period)),
            };
            self.passed(counter, period, besides, cx)
        });
        self.note(kind, one, (standing.left, period), charged, cx)
    }

    /// There is no decision.
    fn undecided(
        &self,
        kind: &'static str,
        Asked { counter, period, .. }: Asked,
        charged: &mut Charged,
        cx: &mut RequestCx<'_>,
    ) -> Result<(), Reply> {
        match self.rule.on_store_failure {
            OnStoreFailure::Local => self.count_here(kind, counter, period, charged, cx),
            OnStoreFailure::Closed if !self.rule.dry_run => Err(unavailable(kind, cx)),
            OnStoreFailure::Open | OnStoreFailure::Closed => {
                let one = self.passed(counter, period, Besides::Nowhere, cx);
                self.owe(&one, cx);
                charged.0.push((self.position, one));
                Ok(())
            }
        }
    }

    /// Takes note of how a quota was judged, and what was charged to it; refuses if nothing was, and it has to.
    fn note(
        &self,
        kind: &'static str,
        one: Option<One>,
        (left, period): (u64, Bounds),
        charged: &mut Charged,
        cx: &mut RequestCx<'_>,
    ) -> Result<(), Reply> {
        let level = self.counted.level(left, self.rule.cost(cx), period, milliseconds(cx.now));
        if one.is_none() && !self.rule.dry_run {
            cx.state.refuse_by_limit(self.rule.headers.then_some(level));
            return Err(refuse(kind, self.counted, level.full_after, cx));
        }
        if self.rule.headers && !self.rule.dry_run {
            cx.state.note_limit(level);
        }
        match one {
            None => cx.state.tried = Some((kind, DRY_RUN)),
            Some(one) => {
                self.owe(&one, cx);
                charged.0.push((self.position, one));
            }
        }
        Ok(())
    }

    /// The answer of the service says what it has cost.
    fn owe(&self, one: &One, cx: &mut RequestCx<'_>) {
        if self.rule.cost.is_said() {
            let one = one.clone();
            cx.state.owed_quotas.push(Owed { rule: self.at.0, counted: self.at.1, one });
        }
    }
}

impl Counted {
    /// What is asked about somebody in a period.
    pub(super) fn ask(&self, shared: &Shared, identity: [u8; 16], period: u32, cost: u32) -> OwnAsk {
        OwnAsk { limit: shared.limit.in_period(period), ..shared.ask(identity, cost) }
    }
}

impl One {
    /// Takes a charge back; what the store has to be told, it says.
    pub(super) fn give_back(&self, counted: &Counted, cost: u32, counters: &Counters) -> Option<Errand> {
        counters.give_back(&self.counter, cost.into(), self.period);
        let shared = counted.shared.as_ref()?;
        match self.besides {
            Besides::Nowhere => None,
            Besides::Lease(key, at) => {
                shared.leases.as_ref()?.undo(key, cost, at);
                None
            }
            Besides::Store(identity, period) => {
                Some(Errand::GiveBack(counted.ask(shared, identity, period, cost)))
            }
        }
    }

    /// Charges more, whether it fits or not; what the store has to be told, it says. What goes over the quota is a debt,
    /// so that the next request is refused.
    pub(super) fn charge_more(&self, counted: &Counted, cost: u32, counters: &Counters) -> Option<Errand> {
        _ = counters.take(&self.counter, cost.into(), MAX_COUNT, self.period);
        let shared = counted.shared.as_ref()?;
        match self.besides {
            Besides::Nowhere => None,
            Besides::Lease(key, at) => shared.leases.as_ref()?.spend(key, cost, at).map(Errand::Charge),
            Besides::Store(identity, period) => {
                Some(Errand::Charge(counted.ask(shared, identity, period, cost)))
            }
        }
    }
}

fn refuse(kind: &'static str, counted: &Counted, wait: u64, cx: &mut RequestCx<'_>) -> Reply {
    cx.state.stopped_by = Some((kind, "used_up"));
    let [day, week, month] = LazyLock::force(&USED_UP);
    let problem = match counted.allowance.period {
        Period::Day => day,
        Period::Week => week,
        Period::Month => month,
    };
    problem.reply().retry_after(wait.max(1))
}

/// What is answered when a day, a week or a month is used up: often, to some.
static USED_UP: LazyLock<[Problem; 3]> = LazyLock::new(|| {
    [Period::Day, Period::Week, Period::Month].map(|period| {
        let period = period.as_str();
        let detail = format!(
            "All that may be used in this {period} is used up. The next one begins after as many seconds as Retry-After says."
        );
        Problem::new(429, "quota-exceeded", &detail, "client", true)
    })
});
