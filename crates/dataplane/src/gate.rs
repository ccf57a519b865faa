//! How many requests a service gets at a time, and who waits for a turn.
//!
//! A limit that is a number holds for all workers together; one that is found from latency is each worker's own. What
//! does not fit waits in a small fair queue, and is refused as soon as it is clear that it would wait too long. Entry
//! points: [`Gate::enter`], [`Gate::serve`].

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use balance::adaptive::Outcome;
use balance::queue::{Refusal, Ticket};
use balance::{AdaptiveLimit, FairQueue, Importance};
use message::Fault;
use snapshot::{Concurrency, Limit};

/// With which limit the search begins, for all workers together, and between which it stays.
const FIRST_LIMIT: u32 = 50;
const LEAST_LIMIT: u32 = 2;
const MOST_LIMIT: u32 = 10_000;

/// So long everybody may wait: bursts of quick requests are no overload.
const LEAST_WAIT_MS: u64 = 10;

/// How many requests a service gets at a time, in one worker.
pub(crate) struct Gate {
    settings: Concurrency,
    own: Weak<Gate>,
    /// Requests of all workers, where the limit is theirs together.
    all: Arc<AtomicUsize>,
    /// Requests of this worker.
    in_use: Cell<u32>,
    adaptive: RefCell<Option<AdaptiveLimit>>,
    queue: RefCell<FairQueue<Rc<Turn>>>,
    /// How long a request takes, in microseconds: a moving mean.
    mean: Cell<u32>,
    workers: u32,
}

/// The right to send one request, for as long as it lives.
pub(crate) struct Slot(Rc<Gate>);

/// Somebody who waits.
#[derive(Default)]
struct Turn {
    given: RefCell<Option<Result<Slot, Fault>>>,
    waker: RefCell<Option<Waker>>,
}

/// A request that waits for its turn. Dropping it gives the place up.
pub(crate) struct Waiting {
    gate: Rc<Gate>,
    turn: Rc<Turn>,
    ticket: Ticket,
}

/// How a request gets in.
pub(crate) enum Entry {
    /// At once.
    Slot(Slot),
    /// In its turn.
    Waits(Waiting),
    /// Not at all.
    Refused(Fault),
}

/// Who asks, and how long there is time.
pub(crate) struct Asker {
    pub(crate) importance: Importance,
    /// The same for all requests of a client.
    pub(crate) key: u64,
    /// In milliseconds.
    pub(crate) deadline: u64,
    /// In milliseconds.
    pub(crate) now: u64,
}

impl Gate {
    /// For one of so many workers, which share `all`.
    pub(crate) fn new(settings: Concurrency, all: Arc<AtomicUsize>, workers: usize) -> Rc<Gate> {
        let workers = u32::try_from(workers).unwrap_or(1).max(1);
        let adaptive = (settings.limit == Limit::Adaptive)
            .then(|| AdaptiveLimit::new(FIRST_LIMIT.div_ceil(workers), LEAST_LIMIT, MOST_LIMIT));
        Rc::new_cyclic(|own| Gate {
            own: Weak::clone(own),
            all,
            in_use: Cell::new(0),
            adaptive: RefCell::new(adaptive),
            queue: RefCell::new(FairQueue::new(settings.queue)),
            mean: Cell::new(0),
            workers,
            settings,
        })
    }

    /// Lets a request in, now or later.
    pub(crate) fn enter(&self, asker: &Asker) -> Entry {
        // Whoever waits has come before.
        let first = self.queue.borrow().is_empty();
        if let Some(slot) = first.then(|| self.take()).flatten() {
            return Entry::Slot(slot);
        }
        let deadline = asker.deadline.min(asker.now.saturating_add(self.longest_wait()));
        let mut queue = self.queue.borrow_mut();
        let ahead = queue.ahead(asker.importance, asker.key);
        let wait = balance::expected_wait_ms(ahead, self.limit(), self.mean.get());
        if asker.now.saturating_add(wait) > deadline {
            return Entry::Refused(Fault::QueueTimeout);
        }
        let turn = Rc::<Turn>::default();
        match queue.push(asker.importance, asker.key, deadline, asker.now, Rc::clone(&turn)) {
            Ok(waiting) => {
                drop(queue);
                waiting.instead_of.into_iter().for_each(|gone| gone.item.tell(Err(fault(gone.why))));
                let Some(gate) = self.own.upgrade() else { return Entry::Refused(Fault::QueueFull) };
                Entry::Waits(Waiting { gate, turn, ticket: waiting.ticket })
            }
            Err(refused) => Entry::Refused(fault(refused.why)),
        }
    }

    /// Lets those in whose turn it is, and refuses those that have waited too long. Another worker may have made room, so
    /// it is done now and then besides.
    pub(crate) fn serve(&self, now: u64) {
        loop {
            let Some(late) = self.queue.borrow_mut().expired(now) else { break };
            late.tell(Err(Fault::QueueTimeout));
        }
        while !self.queue.borrow().is_empty() {
            let Some(slot) = self.take() else { return };
            let next = self.queue.borrow_mut().pop(now);
            match next {
                Some(turn) => turn.tell(Ok(slot)),
                // All that were left have waited too long.
                None => {
                    drop(slot);
                    return;
                }
            }
        }
    }

    /// Takes note of how long an answer took, and whether the service had too much to do.
    pub(crate) fn observe(&self, micros: u32, is_dropped: bool, now: u64) {
        let mean = self.mean.get();
        let moved = u64::from(mean) * 15 / 16 + u64::from(micros) / 16;
        self.mean.set(if mean == 0 { micros } else { u32::try_from(moved).unwrap_or(u32::MAX) });
        if let Some(adaptive) = &mut *self.adaptive.borrow_mut() {
            let outcome = if is_dropped { Outcome::Dropped } else { Outcome::Answered };
            adaptive.observe(micros, self.in_use.get(), outcome, now);
        }
    }

    /// How many requests this worker may have with the service, about.
    pub(crate) fn limit(&self) -> u32 {
        match (&*self.adaptive.borrow(), self.settings.limit) {
            (Some(adaptive), _) => adaptive.limit(),
            (None, Limit::Fixed(limit)) => limit.div_ceil(self.workers),
            (None, Limit::Adaptive) => MOST_LIMIT,
        }
    }

    /// How long somebody may wait, in milliseconds. Where the limit is found from latency, that is what latency is to be
    /// like: waiting for longer than an answer takes would only move the queue from the service to here.
    fn longest_wait(&self) -> u64 {
        let longest = u64::try_from(self.settings.max_wait.as_millis()).unwrap_or(u64::MAX);
        match self.settings.limit {
            Limit::Fixed(_) => longest,
            Limit::Adaptive => longest.min(u64::from(self.mean.get()) / 1000).max(LEAST_WAIT_MS),
        }
    }

    /// How many requests wait.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.borrow().len()
    }

    fn take(&self) -> Option<Slot> {
        let gate = self.own.upgrade()?;
        match self.settings.limit {
            Limit::Adaptive if self.in_use.get() >= self.limit() => return None,
            Limit::Adaptive => {}
            Limit::Fixed(limit) => {
                let room = |all: usize| (all < limit as usize).then_some(all + 1);
                self.all.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).ok()?;
            }
        }
        self.in_use.set(self.in_use.get() + 1);
        Some(Slot(gate))
    }

    fn leave(&self) {
        if let Limit::Fixed(_) = self.settings.limit {
            self.all.fetch_sub(1, Ordering::Relaxed);
        }
        self.in_use.set(self.in_use.get().saturating_sub(1));
    }
}

impl Slot {
    /// The request is over. `now` is in milliseconds.
    pub(crate) fn finish(self, now: u64) {
        let gate = Rc::clone(&self.0);
        drop(self);
        gate.serve(now);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Turn {
    fn tell(&self, what: Result<Slot, Fault>) {
        *self.given.borrow_mut() = Some(what);
        self.waker.take().into_iter().for_each(Waker::wake);
    }
}

impl Waiting {
    /// Ready when it may be sent, or is refused.
    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<Result<Slot, Fault>> {
        match self.turn.given.take() {
            Some(given) => Poll::Ready(given),
            None => {
                *self.turn.waker.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // Gone from the queue if it still waits; a slot that nobody fetched goes with the turn.
        drop(self.gate.queue.borrow_mut().remove(self.ticket));
    }
}

const fn fault(why: Refusal) -> Fault {
    match why {
        Refusal::Late => Fault::QueueTimeout,
        Refusal::Full | Refusal::Outranked | Refusal::Crowded => Fault::QueueFull,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn gate(limit: Limit, queue: u32) -> Rc<Gate> {
        let settings = Concurrency { limit, queue, max_wait: Duration::from_secs(1) };
        Gate::new(settings, Arc::default(), 1)
    }

    fn ask(importance: Importance, now: u64) -> Asker {
        Asker { importance, key: 1, deadline: u64::MAX, now }
    }

    fn given(waiting: &Waiting) -> Option<Result<(), Fault>> {
        match waiting.poll(&Context::from_waker(Waker::noop())) {
            Poll::Ready(given) => Some(given.map(|_slot| ())),
            Poll::Pending => None,
        }
    }

    #[test]
    fn who_comes_next_goes_first_and_nobody_waits_for_ever() {
        let gate = gate(Limit::Fixed(1), 2);
        let Entry::Slot(slot) = gate.enter(&ask(Importance::Normal, 0)) else { panic!("there is room") };
        let Entry::Waits(first) = gate.enter(&ask(Importance::Normal, 0)) else { panic!("it waits") };
        let Entry::Waits(second) = gate.enter(&ask(Importance::Normal, 500)) else { panic!("it waits") };
        let Entry::Refused(Fault::QueueFull) = gate.enter(&ask(Importance::Normal, 500)) else {
            panic!("full")
        };
        // What matters more takes the place of the last.
        let Entry::Waits(high) = gate.enter(&ask(Importance::High, 500)) else { panic!("it waits") };
        assert_eq!(given(&second), Some(Err(Fault::QueueFull)));
        slot.finish(600);
        let Poll::Ready(Ok(slot)) = high.poll(&Context::from_waker(Waker::noop())) else {
            panic!("its turn")
        };
        gate.serve(1_100);
        assert_eq!(given(&first), Some(Err(Fault::QueueTimeout)));
        drop(slot);
        assert!(matches!(gate.enter(&ask(Importance::Normal, 1_100)), Entry::Slot(_)));
        assert_eq!((gate.in_use.get(), gate.all.load(Ordering::Relaxed)), (0, 0));
    }

    #[test]
    fn who_leaves_makes_room() {
        let gate = gate(Limit::Fixed(1), 1);
        let Entry::Slot(slot) = gate.enter(&ask(Importance::Normal, 0)) else { panic!("there is room") };
        let Entry::Waits(waiting) = gate.enter(&ask(Importance::Normal, 0)) else { panic!("it waits") };
        drop(waiting);
        let Entry::Waits(waiting) = gate.enter(&ask(Importance::Normal, 0)) else { panic!("it waits") };
        slot.finish(0);
        // It was given a slot, and never came for it.
        drop(waiting);
        assert!(matches!(gate.enter(&ask(Importance::Normal, 0)), Entry::Slot(_)));
    }

    #[test]
    fn what_would_wait_too_long_is_refused_at_once() {
        let gate = gate(Limit::Fixed(1), 100);
        gate.observe(300_000, false, 0);
        let Entry::Slot(_slot) = gate.enter(&ask(Importance::Normal, 0)) else { panic!("there is room") };
        let waiting: Vec<Entry> = (0..10).map(|_| gate.enter(&ask(Importance::Normal, 0))).collect();
        let waits = waiting.iter().filter(|entry| matches!(entry, Entry::Waits(_))).count();
        assert!((2..=4).contains(&waits), "{waits} of 0.3 s each fit into a second");
    }
}
