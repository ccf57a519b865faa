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
/// Between two lines about the store that say another reason.
const PAUSE: Duration = Duration::from_secs(30);

/// What a worker has for it.
#[derive(Default)]
pub(crate) struct Counting {
    store: RefCell<Option<(Settings, Rc<Store>)>>,
    /// Of these, it gives back what nobody uses: each leases are one worker's.
    leases: RefCell<Vec<Arc<Leases>>>,
}

/// How the store is for each worker, and what was said of that: one line for all of them.
#[derive(Debug, Default)]
pub(crate) struct StoreStates(Mutex<Said>);

#[derive(Debug, Default)]
struct Said {
    workers: Vec<Option<Status>>,
    /// That it is down, why, and when.
    down: Option<(Trouble, Instant)>,
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
                    said.down = None;
                }
                None
            }
        }
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
}

impl Counting {
    /// Goes over to the store of a snapshot. One that stays the same keeps its connection.
    pub(crate) fn adopt(&self, snapshot: &Snapshot, workers: usize, listening: Listening) {
        let own =
            |(at, leases): (usize, Arc<Leases>)| (at % workers.max(1) == listening.worker).then_some(leases);
        self.leases.replace(snapshot.providers.leases().into_iter().enumerate().filter_map(own).collect());
        let same = self.store.borrow().as_ref().map(|(settings, _)| settings) == snapshot.state.as_ref();
        if same {
            return;
        }
        // The one before ends with what is still asked of it.
        self.store.replace(None);
        listening.hear(None, "");
        let Some(settings) = snapshot.state.clone() else { return };
        let address = settings.address.to_string();
        listening.hear(Some(Status::Connecting), &address);
        let listening = Rc::new(listening);
        let told = {
            let (listening, address) = (Rc::clone(&listening), address.clone());
            move |status: &Status| listening.hear(Some(status.clone()), &address)
        };
        match Store::start(settings.clone(), fastrand::Rng::new(), told) {
            Ok(store) => *self.store.borrow_mut() = Some((settings, Rc::new(store))),
            Err(why) => listening.hear(Some(Status::Down(why)), &address),
        }
    }

    /// What the store decides about all of this.
    pub(crate) async fn decide(&self, asks: &[OwnAsk], metrics: &Metrics, worker: usize) -> Decided {
        let asked = Instant::now();
        let outcome = match self.current() {
            Some(store) => store.decide(&put(asks)).await,
            None => Err(Trouble::Down),
        };
        let at = Instant::now();
        count(metrics, worker, outcome.is_ok(), at.saturating_duration_since(asked));
        Decided { outcome, asked, at }
    }

    /// Runs an errand that nobody waits for. The store bounds how many are under way.
    pub(crate) fn run(&self, errand: Errand, metrics: &Arc<Metrics>, worker: usize) {
        let Some(store) = self.current() else { return };
        let metrics = Arc::clone(metrics);
        tokio::task::spawn_local(async move {
            let asked = Instant::now();
            let is_done = match errand {
                Errand::Fly(flight) => {
                    let decision = store.decide(&[flight.ask()]).await.ok();
                    flight.land_alone(decision.as_ref(), asked, Instant::now());
                    decision.is_some()
                }
                Errand::Charge(ask) => store.charge(&[ask.ask()]).await.is_ok(),
                Errand::GiveBack(ask) => store.give_back(&[ask.ask()]).await.is_ok(),
            };
            count(&metrics, worker, is_done, asked.elapsed());
        });
    }

    /// Gives back units whose time is over. To be called now and then.
    pub(crate) fn sweep(&self, now: Instant) {
        let mut back = Vec::new();
        for leases in &*self.leases.borrow() {
            back.extend(leases.overdue(now));
        }
        if let Some(store) = self.current().filter(|_| !back.is_empty()) {
            tokio::task::spawn_local(give_back(store, back));
        }
    }

    /// Gives back all units, at the end.
    pub(crate) async fn end(&self) {
        let back = self.leases.borrow().iter().flat_map(|leases| leases.everything()).collect();
        if let Some(store) = self.current() {
            give_back(store, back).await;
        }
    }

    fn current(&self) -> Option<Rc<Store>> {
        self.store.borrow().as_ref().map(|(_, store)| Rc::clone(store))
    }
}

/// Ends at the first call that fails: the others would too, and what is lost comes back with time.
async fn give_back(store: Rc<Store>, back: Vec<OwnAsk>) {
    for some in back.chunks(AT_A_TIME) {
        if store.give_back(&put(some)).await.is_err() {
            return;
        }
    }
}

fn put(asks: &[OwnAsk]) -> Vec<Ask<'_>> {
    asks.iter().map(OwnAsk::ask).collect()
}

fn count(metrics: &Metrics, worker: usize, is_done: bool, took: Duration) {
    if let Some(series) = metrics.worker(worker) {
        series.store.asked(is_done, took);
    }
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
        // A store that is gone from the configuration is not spoken of.
        assert!(set(0, down(), 62).is_some());
        assert_eq!((states.set(0, None, "", begin), states.set(1, None, "", begin)), (None, None));
        assert_eq!((set(0, Status::Up, 63), set(1, Status::Up, 63)), (None, None));
    }
}
