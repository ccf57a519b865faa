//! Charges a request to all limits, or to none.
//!
//! Each limit is counted here, at the store that gateways share, or from units that were charged there ahead of need.
//! What needs no answer of the store comes first; then the store is asked about all the rest at once, and the request
//! waits. Entry points: [`charge`], [`give_back`].

use std::sync::LazyLock;
use std::time::Instant;

use message::{Problem, Reply};
use store::{Decision, Drawn, Flight, Landed, OwnAsk};

use limits::Judged;

use super::run::{ChargedTo, Counted, Owed, Ready, Rule};
use super::shared::{judged, judged_here};
use crate::sharing::{OnStoreFailure, Shared, unavailable};
use crate::trial::DRY_RUN;
use crate::{Answer, Decided, Errand, Flow, Question, RequestCx};

/// What is answered while a limit is used up: often, to some.
static LIMITED: LazyLock<Problem> = LazyLock::new(|| {
    let detail = "Wait for as many seconds as Retry-After says.";
    Problem::new(429, "rate-limited", detail, "client", true)
});

/// What a request was charged to: a bit for each limit, by how it is counted.
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub(crate) struct Charged {
    here: u16,
    lease: u16,
    store: u16,
}

impl Charged {
    fn is_nothing(self) -> bool {
        self.here | self.lease | self.store == 0
    }
}

/// What was charged before the store was asked about the rest. Whoever drops it has not asked.
#[derive(Debug)]
struct Pending {
    charged: Charged,
    asked: Vec<Asked>,
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
    /// Whether an answer is waited for.
    pub(crate) fn is_some(&self) -> bool {
        self.0.is_some()
    }

    /// Waits for nothing any more.
    pub(crate) fn clear(&mut self) {
        self.0 = None;
    }
}

/// One of the limits that the store was asked about.
#[derive(Debug)]
struct Asked {
    position: u32,
    /// It brings units for other requests too.
    flight: Option<Flight>,
}

/// One limit of several policies, by its position among all.
#[derive(Clone, Copy)]
struct Place<'r> {
    position: u32,
    ready: &'r Ready,
    rule: &'r Rule,
    counted: &'r Counted,
    /// Where it stands in its policy.
    at: (u16, u16),
}

/// All limits of these policies, in order.
fn places<'a, 'r>(all: &'a [&'r Ready]) -> Places<'a, 'r> {
    Places { all, position: 0, policy: 0, rule: 0, at: 0 }
}

/// Iterators in one another would do the same. Each request goes through these, most often through one, and it costs a
/// third like this.
struct Places<'a, 'r> {
    all: &'a [&'r Ready],
    position: u32,
    policy: usize,
    rule: usize,
    at: usize,
}

impl<'r> Iterator for Places<'_, 'r> {
    type Item = Place<'r>;

    #[inline]
    fn next(&mut self) -> Option<Place<'r>> {
        let short = |at: usize| u16::try_from(at).unwrap_or(u16::MAX);
        loop {
            let ready: &'r Ready = self.all.get(self.policy)?;
            let Some(rule) = ready.rules.get(self.rule) else {
                (self.policy, self.rule) = (self.policy + 1, 0);
                continue;
            };
            let Some(counted) = rule.counted.get(self.at) else {
                (self.rule, self.at) = (self.rule + 1, 0);
                continue;
            };
            let at = (short(self.rule), short(self.at));
            let place = Place { position: self.position, ready, rule, counted, at };
            (self.position, self.at) = (self.position + 1, self.at + 1);
            return Some(place);
        }
    }
}

/// Charges the request to all limits of these policies, at most two, or to none: then with what a policy of this kind
/// says. It may be a question; asked again with the answer, it goes on from there.
pub(crate) fn charge(kind: &'static str, all: &[&Ready], cx: &mut RequestCx<'_>) -> Result<Charged, Flow> {
    let mut charged = Charged::default();
    let outcome = match cx.state.pending.0.take() {
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
    // A question leaves what was charged to who asks again.
    if outcome.as_ref().is_err_and(|flow| !matches!(flow, Flow::Ask(_))) {
        give_back(all, charged, cx);
    }
    outcome.map(|()| charged)
}

/// Takes back what was charged, because something else has refused.
pub(crate) fn give_back(all: &[&Ready], charged: Charged, cx: &mut RequestCx<'_>) {
    cx.state.owed.clear();
    if charged.is_nothing() {
        return;
    }
    for place in places(all) {
        let has = |bits: u16| bits >> place.position & 1 == 1;
        let to = if has(charged.here) {
            place.here(cx)
        } else if has(charged.lease) {
            let Some(to) = place.lease(cx) else { continue };
            to
        } else if has(charged.store) {
            ChargedTo::Store(place.rule.identity(cx))
        } else {
            continue;
        };
        cx.state.errands.extend(place.counted.give_back(to, place.rule.cost(cx)));
    }
}

fn begin(
    kind: &'static str,
    all: &[&Ready],
    charged: &mut Charged,
    cx: &mut RequestCx<'_>,
) -> Result<(), Flow> {
    let (mut asks, mut asked) = (Vec::new(), Vec::new());
    for place in places(all) {
        let Some(shared) = &place.counted.shared else {
            place.count_here(kind, charged, cx)?;
            continue;
        };
        if let Drawing::Ask(flight, ask) = place.draw(kind, shared, charged, cx)? {
            asks.push(ask);
            asked.push(Asked { position: place.position, flight });
        }
    }
    if asks.is_empty() {
        return Ok(());
    }
    cx.state.pending = Waiting(Some(Box::new(Pending { charged: *charged, asked })));
    Err(Flow::Ask(Box::new(Question::Store(asks))))
}

/// Goes on with what the store has decided, or without a decision.
fn settle(
    kind: &'static str,
    all: &[&Ready],
    asked: Vec<Asked>,
    decided: Option<&Decided>,
    charged: &mut Charged,
    cx: &mut RequestCx<'_>,
) -> Result<(), Flow> {
    let decision = decided.and_then(|decided| Some((decided.outcome.as_ref().ok()?, decided)));
    let mut asked: Vec<(usize, Asked)> = asked.into_iter().enumerate().collect();
    let mut stopped = None;
    for place in places(all) {
        let Some(found) = asked.iter().position(|(_, one)| one.position == place.position) else { continue };
        let (index, Asked { flight, .. }) = asked.swap_remove(found);
        let outcome = match decision {
            Some((decision, decided)) => {
                place.settled(kind, index, flight, decision, (decided.asked, decided.at), charged, cx)
            }
            // A flight that is dropped has not brought anything.
            None if stopped.is_none() => place.undecided(kind, charged, cx),
            None => Ok(()),
        };
        // All flights have to land.
        stopped = stopped.or(outcome.err());
    }
    stopped.map_or(Ok(()), Err)
}

enum Drawing {
    Done,
    Ask(Option<Flight>, OwnAsk),
}

impl Place<'_> {
    fn bit(&self) -> u16 {
        1_u16.checked_shl(self.position).unwrap_or(0)
    }

    fn here(&self, cx: &RequestCx<'_>) -> ChargedTo {
        ChargedTo::Here(self.rule.key(self.counted, cx), self.ready.nanoseconds(cx.at))
    }

    fn lease(&self, cx: &RequestCx<'_>) -> Option<ChargedTo> {
        let leases = self.counted.shared.as_ref()?.leases.as_ref()?;
        let key = leases.key(|out| self.rule.whose.hash(cx, out));
        Some(ChargedTo::Lease(key, cx.at))
    }

    /// This gateway counts it by itself.
    fn count_here(
        &self,
        kind: &'static str,
        charged: &mut Charged,
        cx: &mut RequestCx<'_>,
    ) -> Result<(), Flow> {
        let (key, now) = (self.rule.key(self.counted, cx), self.ready.nanoseconds(cx.at));
        let judged = self.counted.used.take(&self.counted.limit, key, self.rule.cost(cx), now);
        if judged.allowed {
            charged.here |= self.bit();
        }
        self.note(kind, judged, ChargedTo::Here(key, now), cx)
    }

    /// From units that are held; or it says what to ask.
    fn draw(
        &self,
        kind: &'static str,
        shared: &Shared,
        charged: &mut Charged,
        cx: &mut RequestCx<'_>,
    ) -> Result<Drawing, Flow> {
        let cost = self.rule.cost(cx);
        let mut flight = None;
        if let (Some(leases), Some(to @ ChargedTo::Lease(key, at))) = (&shared.leases, self.lease(cx)) {
            let judged = match leases.take(key, cost, at, || self.rule.identity(cx)) {
                Drawn::Admitted(known, more) => {
                    charged.lease |= self.bit();
                    cx.state.errands.extend(more.map(Errand::Fly));
                    Some(judged_here(known, None))
                }
                Drawn::Refused { known, retry_after_ms } => Some(judged_here(known, Some(retry_after_ms))),
                Drawn::Ask(own) => {
                    flight = own;
                    None
                }
            };
            if let Some(judged) = judged {
                self.note(kind, judged, to, cx)?;
                return Ok(Drawing::Done);
            }
        }
        if self.rule.dry_run {
            // It stands in nobody's way, so it costs nothing, and what it would cost is charged if it fits. More than
            // that would not fit so soon: units for others come in another way.
            cx.state.errands.extend(flight.map(|flight| Errand::Fly(flight.unattended())));
            let ask = OwnAsk { cost: 0, ahead: cost.into(), ..shared.ask(self.rule.identity(cx), cost) };
            return Ok(Drawing::Ask(None, ask));
        }
        let ask = match &flight {
            Some(flight) => flight.own_ask(),
            None => shared.ask(self.rule.identity(cx), cost),
        };
        Ok(Drawing::Ask(flight, ask))
    }

    /// The store has decided.
    #[allow(clippy::too_many_arguments, reason = "all of them are of one decision")]
    fn settled(
        &self,
        kind: &'static str,
        index: usize,
        flight: Option<Flight>,
        decision: &Decision,
        (asked, at): (Instant, Instant),
        charged: &mut Charged,
        cx: &mut RequestCx<'_>,
    ) -> Result<(), Flow> {
        let Some(standing) = decision.each.get(index) else { return Ok(()) };
        let landed = flight.map(|flight| flight.land(decision.allowed, standing, asked, at));
        let fits = if self.rule.dry_run { standing.ahead } else { standing.fits };
        if !decision.allowed && (fits || self.rule.dry_run) {
            // Another one has refused, and nothing was charged.
            return Ok(());
        }
        let to = match landed.and_then(|landed| self.lease(cx).filter(|_| landed == Landed::Lease)) {
            Some(to) => to,
            None => ChargedTo::Store(self.rule.identity(cx)),
        };
        if fits {
            match to {
                ChargedTo::Lease(..) => charged.lease |= self.bit(),
                _ => charged.store |= self.bit(),
            }
        }
        self.note(kind, judged(standing, fits), to, cx)
    }

    /// There is no decision.
    fn undecided(
        &self,
        kind: &'static str,
        charged: &mut Charged,
        cx: &mut RequestCx<'_>,
    ) -> Result<(), Flow> {
        match self.rule.on_store_failure {
            OnStoreFailure::Local => self.count_here(kind, charged, cx),
            OnStoreFailure::Closed if !self.rule.dry_run => Err(Flow::Reply(unavailable(kind, cx))),
            OnStoreFailure::Open | OnStoreFailure::Closed => Ok(()),
        }
    }

    /// Takes note of how a limit was judged; refuses if it has to.
    fn note(
        &self,
        kind: &'static str,
        judged: Judged,
        to: ChargedTo,
        cx: &mut RequestCx<'_>,
    ) -> Result<(), Flow> {
        let Place { rule, counted, at, .. } = self;
        if !judged.allowed && !rule.dry_run {
            return Err(Flow::Reply(refuse(kind, rule, counted, judged, cx)));
        }
        if !judged.allowed {
            cx.state.tried = Some((kind, DRY_RUN));
        }
        if rule.headers && !rule.dry_run {
            let level = counted.level(judged, rule.cost(cx));
            cx.state.note_limit(level);
        }
        if rule.cost.is_said() && judged.allowed {
            cx.state.owed.push(Owed { rule: at.0, counted: at.1, to });
        }
        Ok(())
    }
}

fn refuse(
    kind: &'static str,
    rule: &Rule,
    counted: &Counted,
    judged: Judged,
    cx: &mut RequestCx<'_>,
) -> Reply {
    cx.state.stopped_by = Some((kind, "limited"));
    cx.state.refuse_by_limit(rule.headers.then(|| counted.level(judged, rule.cost(cx))));
    // Whatever can never fit is not worth trying again soon.
    let seconds = judged.retry.clamp(1, 366 * 86_400);
    LIMITED.reply().retry_after(seconds)
}
