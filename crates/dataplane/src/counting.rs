//! A worker's connection to the store that gateways share, and what is told over it.
//!
//! It asks what policies want to know, runs the errands that they leave, and gives back units that nobody uses. It must
//! not know what is limited. Entry points: [`Counting::decide`], [`Counting::run`], [`Counting::sweep`].

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use policy::{Decided, Errand};
use snapshot::Snapshot;
use store::{Ask, Leases, OwnAsk, Settings, Status, Store, Trouble};
use telemetry::Metrics;

use crate::trouble::Troubles;

/// How many limits are given back to with one call.
const AT_A_TIME: usize = 16;
/// Between two lines about the store that say another reason, or what it does not decide.
const PAUSE: Duration = Duration::from_secs(30);

/// What a worker has for it.
#[derive(Default)]
pub(crate) struct Counting {
    asked: RefCell<Option<Rc<Asked>>>,
    /// Of these, it gives back what nobody uses: each leases are one worker's.
    leases: RefCell<Vec<Arc<Leases>>>,
}

/// A store, and who is told of it.
struct Asked {
    settings: Settings,
    address: String,
    /// There is none where it could not be started.
    store: Option<Store>,
    listening: Rc<Listening>,
}

/// How the store is for each worker, and what was said of that: one line for all of them.
#[derive(Debug, Default)]
pub(crate) struct StoreStates(Mutex<Said>);

#[derive(Debug, Default)]
struct Said {
    workers: Vec<Option<Status>>,
    /// That it is down, why, and when.
    down: Option<(Trouble, Instant)>,
    /// When it was said last that it does not decide about something.
    undecided: Option<Instant>,
}

impl StoreStates {
    /// Takes note of how it is for a worker, and says what an operator should know.
    fn set(&self, worker: usize, status: Option<Status>, address: &str, now: Instant) -> Option<String> {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if said.workers.len() <= worker {
            said.workers.resize(worker + 1, None);
        }
        if let Some(own) = said.workers.get_mut(worker) {
            own.clone_from(&status);
        }
        match status {
            Some(Status::Down(why)) => {
                let again = said
                    .down
                    .as_ref()
                    .is_none_or(|(before, at)| *before != why && now.saturating_duration_since(*at) >= PAUSE);
                again.then(|| {
                    let line = format!(
                        "state {address}: {why}; `on_store_failure` of each limit holds until it can be asked"
                    );
                    said.down = Some((why, now));
                    line
                })
            }
            Some(Status::Up) => {
                let all = said.workers.iter().flatten().all(|one| *one == Status::Up);
                let was_down = if all { said.down.take() } else { None };
                was_down.map(|_| format!("state {address}: it can be asked again"))
            }
            Some(Status::Connecting) | None => {
                if said.workers.iter().all(Option::is_none) {
                    (said.down, said.undecided) = (None, None);
                }
                None
            }
        }
    }

    /// Takes note of why it has not decided, and says what an operator should know: what is wrong with one key or one
    /// clock does not end by itself, and all others do not show it.
    fn undecided(&self, why: &Trouble, address: &str, now: Instant) -> Option<String> {
        if !matches!(why, Trouble::Foreign(_) | Trouble::PeriodOver) {
            return None;
        }
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if said.undecided.is_some_and(|at| now.saturating_duration_since(at) < PAUSE) {
            return None;
        }
        said.undecided = Some(now);
        Some(format!("state {address}: {why}; until then `on_store_failure` holds for what is counted there"))
    }
}

/// Who is told of the store.
pub(crate) struct Listening {
    pub(crate) worker: usize,
    pub(crate) states: Arc<StoreStates>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) troubles: Troubles,
}

impl Listening {
    fn hear(&self, status: Option<Status>, address: &str) {
        if let Some(series) = self.metrics.worker(self.worker) {
            let up = match &status {
                Some(Status::Up) => 1,
                Some(_) => -1,
                None => 0,
            };
            series.store.connected.set(up);
        }
        let line = self.states.set(self.worker, status, address, Instant::now());
        line.into_iter().for_each(|line| self.troubles.say_store(line));
    }

    /// Takes note of how something ended that it was asked, and of how long that took.
    fn count<T>(&self, outcome: &Result<T, Trouble>, address: &str, took: Duration) {
        if let Some(series) = self.metrics.worker(self.worker) {
            series.store.asked(outcome.is_ok(), took);
        }
        let line = outcome.as_ref().err().and_then(|why| self.states.undecided(why, address, Instant::now()));
        line.into_iter().for_each(|line| self.troubles.say_store(line));
    }
}

impl Counting {
    /// Goes over to the store of a snapshot. One that stays the same keeps its connection.
    pub(crate) fn adopt(&self, snapshot: &Snapshot, workers: usize, listening: Listening) {
        let own =
            |(at, leases): (usize, Arc<Leases>)| (at % workers.max(1) == listening.worker).then_some(leases);
        self.leases.replace(snapshot.providers.leases().into_iter().enumerate().filter_map(own).collect());
        // One that could not be started is tried again: its files may be there now.
        let same = match (&*self.asked.borrow(), &snapshot.state) {
            (Some(asked), Some(state)) => asked.store.is_some() && asked.settings == *state,
            (asked, state) => asked.is_none() && state.is_none(),
        };
        if same {
            return;
        }
        // The one before ends with what is still asked of it.
        self.asked.replace(None);
        listening.hear(None, "");
        let Some(settings) = snapshot.state.clone() else { return };
        let address = settings.address.to_string();
        listening.hear(Some(Status::Connecting), &address);
        let listening = Rc::new(listening);
        let told = {
            let (listening, address) = (Rc::clone(&listening), address.clone());
            move |status: &Status| listening.hear(Some(status.clone()), &address)
        };
        let store = match Store::start(settings.clone(), fastrand::Rng::new(), told) {
            Ok(store) => Some(store),
            Err(why) => {
                listening.hear(Some(Status::Down(why)), &address);
                None
            }
        };
        self.asked.replace(Some(Rc::new(Asked { settings, address, store, listening })));
    }

    /// What the store decides about all of this.
    pub(crate) async fn decide(&self, asks: &[OwnAsk]) -> Decided {
        let asked = Instant::now();
        let Some(whom) = self.current() else {
            return Decided { outcome: Err(Trouble::Down), asked, at: asked };
        };
        let outcome = match &whom.store {
            Some(store) => store.decide(&put(asks)).await,
            None => Err(Trouble::Down),
        };
        let at = Instant::now();
        whom.listening.count(&outcome, &whom.address, at.saturating_duration_since(asked));
        Decided { outcome, asked, at }
    }

    /// Runs an errand that nobody waits for. The store bounds how many are under way.
    pub(crate) fn run(&self, errand: Errand) {
        let Some(whom) = self.current() else { return };
        tokio::task::spawn_local(async move {
            let Some(store) = &whom.store else { return };
            let asked = Instant::now();
            let outcome = match errand {
                Errand::Fly(flight) => {
                    let decision = store.decide(&[flight.ask()]).await;
                    flight.land_alone(decision.as_ref().ok(), asked, Instant::now());
                    decision.map(drop)
                }
                Errand::Charge(ask) => store.charge(&[ask.ask()]).await.map(drop),
                Errand::GiveBack(ask) => store.give_back(&[ask.ask()]).await.map(drop),
            };
            whom.listening.count(&outcome, &whom.address, asked.elapsed());
        });
    }

    /// Gives back units whose time is over. To be called now and then.
    pub(crate) fn sweep(&self, now: Instant) {
        let mut back = Vec::new();
        for leases in &*self.leases.borrow() {
            back.extend(leases.overdue(now));
        }
        if let Some(whom) = self.current().filter(|_| !back.is_empty()) {
            tokio::task::spawn_local(async move { give_back(whom.store.as_ref(), back).await });
        }
    }

    /// Gives back all units, at the end.
    pub(crate) async fn end(&self) {
        let back = self.leases.borrow().iter().flat_map(|leases| leases.everything()).collect();
        if let Some(whom) = self.current() {
            give_back(whom.store.as_ref(), back).await;
        }
    }

    fn current(&self) -> Option<Rc<Asked>> {
        self.asked.borrow().clone()
    }
}

/// Ends at the first call that fails: the others would too, and what is lost comes back with time.
async fn give_back(store: Option<&Store>, back: Vec<OwnAsk>) {
    let Some(store) = store else { return };
    for some in back.chunks(AT_A_TIME) {
        if store.give_back(&put(some)).await.is_err() {
            return;
        }
    }
}

fn put(asks: &[OwnAsk]) -> Vec<Ask<'_>> {
    asks.iter().map(OwnAsk::ask).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_is_said_for_all_workers() {
        let states = StoreStates::default();
        let begin = Instant::now();
        let set = |worker, status, after| {
            states.set(worker, Some(status), "redis://a:6379/0", begin + Duration::from_secs(after))
        };
        let down = || Status::Down(Trouble::Timeout);
        assert_eq!(
            (set(0, Status::Connecting, 0), set(1, Status::Up, 0), set(0, Status::Up, 0)),
            (None, None, None)
        );
        let line = set(0, down(), 1).unwrap();
        assert!(line.starts_with("state redis://a:6379/0: the store has not answered in time;"), "{line}");
        assert_eq!((set(1, down(), 1), set(1, Status::Down(Trouble::Closed), 2)), (None, None));
        assert!(set(1, Status::Down(Trouble::Password), 60).unwrap().contains("`requirepass`"));
        assert_eq!(set(0, Status::Up, 61), None, "the other one cannot ask yet");
        assert_eq!(set(1, Status::Up, 61).as_deref(), Some("state redis://a:6379/0: it can be asked again"));
        // What it does not decide is said once in a while.
        let undecided = |why: Trouble, after| {
            states.undecided(&why, "redis://a:6379/0", begin + Duration::from_secs(after))
        };
        let foreign = || Trouble::Foreign("gateward:x".into());
        assert_eq!(
            undecided(foreign(), 61).as_deref(),
            Some(
                "state redis://a:6379/0: the key `gateward:x` holds something that was not written here: delete it, \
                 and keep other programs away from `gateward:*`; until then `on_store_failure` holds for what is \
                 counted there"
            )
        );
        assert_eq!((undecided(foreign(), 90), undecided(Trouble::Timeout, 91)), (None, None));
        assert!(undecided(Trouble::PeriodOver, 91).is_some());
        // A store that is gone from the configuration is not spoken of.
        assert!(set(0, down(), 62).is_some());
        assert_eq!((states.set(0, None, "", begin), states.set(1, None, "", begin)), (None, None));
        assert_eq!((set(0, Status::Up, 63), set(1, Status::Up, 63)), (None, None));
    }
}
