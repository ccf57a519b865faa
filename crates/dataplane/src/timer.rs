//! Coarse timers: one wheel per worker, one entry per connection.
//!
//! Arming a timer stores a number. An entry sits in the wheel at some tick and, when that tick comes, looks
//! at its deadline: if it was moved, the entry moves on; if not, its task is woken. So a connection that
//! re-arms on every request touches the wheel about once per timeout, not once per request. A deadline is
//! met within one [`TICK`].
//!
//! A connection on which nothing is under way says so, and can be asked to end when others need its place: see
//! [`Wheel::end_idle`].

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::stage::ListenerId;

/// The length of a tick.
pub(crate) const TICK: Duration = Duration::from_millis(50);
/// Slots of the wheel; longer waits go around.
const SLOTS: u64 = 512;
/// No deadline.
const NEVER: u64 = u64::MAX;
/// Something is under way on a connection.
const BUSY: u64 = 0;
/// Nothing was, and it is to end.
const ENDING: u64 = u64::MAX;
/// Of so many idle connections one is ended at a time, so that not each new one has to look for a place.
const ENDED_AT_A_TIME: usize = 32;
/// How often in a tick it is looked for them: each time all connections are looked at.
const MOST_LOOKS: u32 = 8;

/// A point in time, in ticks since the worker started.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Tick(pub(crate) u64);

impl Tick {
    /// Later than everything.
    pub(crate) const NEVER: Tick = Tick(NEVER);

    /// This long after: at least one whole tick more, so that no wait is cut short.
    pub(crate) fn after(self, wait: Duration) -> Tick {
        Tick(self.0.saturating_add(ticks(wait)))
    }
}

/// A duration in ticks, rounded up, and one more because the current tick has begun already. Asked several
/// times for each request, so without the 128-bit division that `as_millis` would bring.
pub(crate) fn ticks(wait: Duration) -> u64 {
    const PER_SECOND: u64 = 1000 / TICK.as_millis() as u64;
    let part = wait.subsec_nanos().div_ceil(TICK.subsec_nanos());
    wait.as_secs().saturating_mul(PER_SECOND).saturating_add(u64::from(part)).saturating_add(1)
}

/// The wheel of a worker.
pub(crate) struct Wheel {
    now: Cell<u64>,
    slots: Box<[RefCell<Vec<Rc<Entry>>>]>,
    /// Entries that asked for the next tick, apart from their deadline.
    next: RefCell<Vec<Rc<Entry>>>,
    /// Every entry there is; as many as there were connections at a time.
    entries: RefCell<Vec<Rc<Entry>>>,
    /// Entries without a timer. One may still sit in a slot, which is harmless: the wheel asks for its
    /// deadline when it gets there.
    free: RefCell<Vec<Rc<Entry>>>,
    /// When it was last looked for idle connections, and how often in that tick.
    looked: Cell<(u64, u32)>,
}

struct Entry {
    deadline: Cell<u64>,
    /// The tick at which the wheel looks at this entry next; `NEVER` if it is in no slot.
    queued: Cell<u64>,
    /// `BUSY`, `ENDING`, or one more than the number of the listener where the connection waits for a request.
    idle: Cell<u64>,
    /// Whether to wake the task at the next tick, and whether the entry is in the list for it already.
    wants_tick: Cell<bool>,
    listed: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Entry {
    fn wake(&self) {
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }
}

impl Default for Wheel {
    fn default() -> Self {
        let slots = (0..SLOTS).map(|_| RefCell::default()).collect();
        Wheel {
            now: Cell::new(0),
            slots,
            next: RefCell::default(),
            entries: RefCell::default(),
            free: RefCell::default(),
            looked: Cell::new((NEVER, 0)),
        }
    }
}

impl Wheel {
    /// The current tick. Reading it costs no system call.
    #[inline]
    pub(crate) fn now(&self) -> Tick {
        Tick(self.now.get())
    }

    /// A new timer without deadline.
    pub(crate) fn timer(self: &Rc<Self>) -> Timer {
        let entry = self.free.borrow_mut().pop().unwrap_or_else(|| {
            let entry = Rc::new(Entry {
                deadline: Cell::new(NEVER),
                queued: Cell::new(NEVER),
                idle: Cell::new(BUSY),
                wants_tick: Cell::new(false),
                listed: Cell::new(false),
                waker: RefCell::new(None),
            });
            self.entries.borrow_mut().push(Rc::clone(&entry));
            entry
        });
        Timer { entry, wheel: Rc::clone(self) }
    }

    /// Lets time pass until `now`, and wakes whose deadline has come.
    pub(crate) fn advance(&self, now: Tick) {
        while self.now.get() < now.0 {
            let tick = self.now.get() + 1;
            self.now.set(tick);
            let mut due = std::mem::take(&mut *self.slot(tick).borrow_mut());
            for entry in due.drain(..) {
                if entry.queued.get() != tick {
                    continue; // it was queued again for an earlier tick, and this place is stale
                }
                entry.queued.set(NEVER);
                let deadline = entry.deadline.get();
                if deadline <= tick {
                    entry.wake();
                } else {
                    self.queue(entry);
                }
            }
            // Nothing is queued for the tick that is now, so the slot is empty and may have its memory back.
            *self.slot(tick).borrow_mut() = due;
            for entry in self.next.borrow_mut().drain(..) {
                entry.listed.set(false);
                if entry.wants_tick.take() {
                    entry.wake();
                }
            }
        }
    }

    /// Ends the connections of a listener, or of all, that have been waiting for a request for the longest time: one in
    /// 32. How many; it looks a few times in a tick and not more, because it looks at all connections.
    pub(crate) fn end_idle(&self, of: Option<ListenerId>) -> usize {
        let now = self.now.get();
        let (_, looks) = Some(self.looked.get()).filter(|(tick, _)| *tick == now).unwrap_or_default();
        if looks >= MOST_LOOKS {
            return 0;
        }
        self.looked.set((now, looks + 1));
        let is_meant = |entry: &&Rc<Entry>| match (entry.idle.get(), of) {
            (BUSY | ENDING, _) => false,
            (_, None) => true,
            (idle, Some(ListenerId(id))) => idle == id + 1,
        };
        let entries = self.entries.borrow();
        let mut idle: Vec<&Rc<Entry>> = entries.iter().filter(is_meant).collect();
        let count = idle.len().div_ceil(ENDED_AT_A_TIME);
        if let Some(last) = count.checked_sub(1) {
            // All of them wait for equally long, so the deadlines are in the order in which they began to.
            idle.select_nth_unstable_by_key(last, |entry| entry.deadline.get());
        }
        for entry in idle.iter().take(count) {
            entry.idle.set(ENDING);
            entry.wake();
        }
        count
    }

    /// Wakes every task that has a timer, so that it looks at the state of the worker again.
    pub(crate) fn wake_all(&self) {
        self.entries.borrow().iter().for_each(|entry| entry.wake());
    }

    fn slot(&self, tick: u64) -> &RefCell<Vec<Rc<Entry>>> {
        &self.slots[(tick % SLOTS) as usize]
    }

    fn queue(&self, entry: Rc<Entry>) {
        let deadline = entry.deadline.get();
        if deadline == NEVER {
            return;
        }
        let now = self.now.get();
        let tick = deadline.clamp(now + 1, now + SLOTS - 1);
        if tick < entry.queued.get() {
            entry.queued.set(tick);
            self.slot(tick).borrow_mut().push(entry);
        }
    }
}

/// The timer of one connection.
pub(crate) struct Timer {
    entry: Rc<Entry>,
    wheel: Rc<Wheel>,
}

impl Timer {
    /// The wheel's current tick.
    #[inline]
    pub(crate) fn now(&self) -> Tick {
        self.wheel.now()
    }

    /// Sets the deadline; the one before is forgotten.
    #[inline]
    pub(crate) fn arm(&self, deadline: Tick) {
        self.entry.deadline.set(deadline.0);
        if deadline.0 < self.entry.queued.get() {
            self.wheel.queue(Rc::clone(&self.entry));
        }
    }

    /// The same while nothing is under way: others may need the place. Whether it is to end at once.
    #[inline]
    pub(crate) fn arm_idle(&self, deadline: Tick, at: ListenerId) -> bool {
        if self.entry.idle.get() == ENDING {
            return true;
        }
        self.entry.idle.set(at.0 + 1);
        self.arm(deadline);
        false
    }

    /// Something is under way again.
    #[inline]
    pub(crate) fn leave_idle(&self) {
        self.entry.idle.set(BUSY);
    }

    /// Wakes the task at the next tick, unless [`Timer::skip_tick`] comes before. Costs nothing that is kept: most
    /// requests are over by then, and a deadline for each would wander through the wheel.
    #[inline]
    pub(crate) fn want_tick(&self) {
        self.entry.wants_tick.set(true);
        if !self.entry.listed.replace(true) {
            self.wheel.next.borrow_mut().push(Rc::clone(&self.entry));
        }
    }

    /// The next tick is not waited for any more.
    #[inline]
    pub(crate) fn skip_tick(&self) {
        self.entry.wants_tick.set(false);
    }

    /// Ready when the deadline has come; otherwise wakes the task then.
    #[inline]
    pub(crate) fn poll_expired(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut waker = self.entry.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        if self.entry.deadline.get() <= self.wheel.now.get() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.entry.deadline.set(NEVER);
        self.entry.wants_tick.set(false);
        self.entry.idle.set(BUSY);
        self.entry.waker.borrow_mut().take();
        self.wheel.free.borrow_mut().push(Rc::clone(&self.entry));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    struct Count(AtomicUsize);
    impl std::task::Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn watched(wheel: &Rc<Wheel>) -> (Timer, Arc<Count>, Waker) {
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&count));
        let timer = wheel.timer();
        assert!(timer.poll_expired(&mut Context::from_waker(&waker)).is_pending());
        (timer, count, waker)
    }

    #[test]
    fn durations_are_rounded_up_to_ticks() {
        for (millis, wanted) in [(0, 1), (1, 2), (50, 2), (51, 3), (999, 21), (1000, 21), (10_020, 202)] {
            assert_eq!(ticks(Duration::from_millis(millis)), wanted, "{millis} ms");
        }
        assert_eq!(ticks(Duration::MAX), u64::MAX, "no overflow");
    }

    #[test]
    fn a_timer_fires_at_its_deadline_and_not_before() {
        let wheel = Rc::new(Wheel::default());
        for deadline in [1, 2, 511, 512, 513, 5000] {
            let (timer, count, _waker) = watched(&wheel);
            let start = wheel.now().0;
            timer.arm(Tick(start + deadline));
            wheel.advance(Tick(start + deadline - 1));
            assert_eq!(count.0.load(Ordering::Relaxed), 0, "{deadline}");
            wheel.advance(Tick(start + deadline));
            assert_eq!(count.0.load(Ordering::Relaxed), 1, "{deadline}");
        }
    }

    #[test]
    fn a_deadline_can_move_both_ways() {
        let wheel = Rc::new(Wheel::default());
        let (timer, count, waker) = watched(&wheel);
        timer.arm(Tick(10));
        timer.arm(Tick(600));
        wheel.advance(Tick(599));
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
        timer.arm(Tick(700));
        timer.arm(Tick(650));
        wheel.advance(Tick(649));
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
        wheel.advance(Tick(650));
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert!(timer.poll_expired(&mut Context::from_waker(&waker)).is_ready());
        timer.arm(Tick::NEVER);
        wheel.advance(Tick(5000));
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn the_next_tick_can_be_asked_for_and_given_up() {
        let wheel = Rc::new(Wheel::default());
        let (timer, count, _waker) = watched(&wheel);
        let (other, skipped, _other_waker) = watched(&wheel);
        timer.want_tick();
        timer.want_tick();
        other.want_tick();
        other.skip_tick();
        assert_eq!(wheel.next.borrow().len(), 2);
        wheel.advance(Tick(wheel.now().0 + 1));
        assert_eq!((count.0.load(Ordering::Relaxed), skipped.0.load(Ordering::Relaxed)), (1, 0));
        wheel.advance(Tick(wheel.now().0 + 1));
        assert_eq!(count.0.load(Ordering::Relaxed), 1, "once only");
        timer.want_tick();
        drop(timer);
        wheel.advance(Tick(wheel.now().0 + 1));
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn those_that_have_been_idle_the_longest_end_first() {
        let wheel = Rc::new(Wheel::default());
        let (here, elsewhere) = (ListenerId(0), ListenerId(7));
        let timers: Vec<_> = (0..70).map(|_| watched(&wheel)).collect();
        for (at, (timer, ..)) in timers.iter().enumerate() {
            let listener = if at < 66 { here } else { elsewhere };
            assert!(!timer.arm_idle(Tick(1_000 + (at as u64 * 37) % 66), listener));
        }
        timers[0].0.leave_idle();
        assert_eq!(wheel.end_idle(Some(here)), 3, "of 65");
        let ended = |at: usize| timers[at].0.arm_idle(Tick(9_999), here);
        let all: Vec<usize> = (1..66).filter(|at| ended(*at)).collect();
        let mut oldest: Vec<usize> = (1..66).collect();
        oldest.sort_by_key(|at| (at * 37) % 66);
        oldest.truncate(3);
        oldest.sort_unstable();
        assert_eq!(all, oldest);
        assert!(all.iter().all(|at| timers[*at].1.0.load(Ordering::Relaxed) == 1), "they are told");
        wheel.advance(Tick(1));
        assert_eq!(wheel.end_idle(Some(elsewhere)), 1);
        wheel.advance(Tick(2));
        assert_eq!(wheel.end_idle(None), 3, "of 65 that are left");
        wheel.advance(Tick(3));
        assert_eq!(wheel.end_idle(Some(ListenerId(9))), 0);
        for _ in 1..MOST_LOOKS {
            assert!(wheel.end_idle(None) > 0);
        }
        assert_eq!(wheel.end_idle(None), 0, "not in this tick");
        wheel.advance(Tick(4));
        assert!(wheel.end_idle(None) > 0);
    }

    #[test]
    fn entries_of_dropped_timers_are_used_again() {
        let wheel = Rc::new(Wheel::default());
        for _ in 0..1000 {
            let (timer, count, _waker) = watched(&wheel);
            timer.arm(Tick(wheel.now().0 + 100));
            wheel.advance(Tick(wheel.now().0 + 1));
            drop(timer);
            wheel.advance(Tick(wheel.now().0 + 100));
            assert_eq!(count.0.load(Ordering::Relaxed), 0);
        }
        assert_eq!(wheel.entries.borrow().len(), 1);
        assert!(wheel.slots.iter().all(|slot| slot.borrow().is_empty()));
    }
}
