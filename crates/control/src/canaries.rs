//! Canaries on their way: once a second each is judged by what workers have counted, and its dial turned.
//!
//! They stay over reloads by route and services, and over restarts in the state folder. Entry points: [`Canaries`];
//! what is kept is in `canaries/kept.rs`.

mod kept;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use balance::rollout::{BOUNDS, Event, Rollout, Sample, State, Wait};
use dataplane::{Dial, Shared as Workers};
use snapshot::{Action, Snapshot};
use telemetry::{CanaryState, Metrics};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::Report;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// Looks between two writes of what is kept, if nothing has happened.
const KEEP_EVERY: u32 = 10;

/// All canaries of a gateway.
pub(crate) struct Canaries {
    shared: Rc<Shared>,
    driver: JoinHandle<()>,
}

struct Shared {
    canaries: RefCell<BTreeMap<Arc<str>, Canary>>,
    /// Where they are kept.
    file: RefCell<Option<PathBuf>>,
    metrics: Arc<Metrics>,
    report: Report,
    began: Instant,
}

/// One of them.
struct Canary {
    stable: Box<str>,
    new: Box<str>,
    rollout: Rollout,
    dial: Arc<Dial>,
}

/// What an operator may do to a canary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CanaryOrder {
    /// It stays at its step.
    Pause,
    /// It goes on.
    Resume,
    /// It gets everything.
    Promote,
    /// It gets nothing.
    Abort,
    /// It begins anew.
    Restart,
}

/// How a canary stands, for people and programs.
#[derive(Debug, Clone)]
pub struct CanaryView {
    /// The route.
    pub route: Arc<str>,
    /// The stable service.
    pub stable: Box<str>,
    /// The new one.
    pub new: Box<str>,
    /// `stepping`, `paused`, `promoted` or `rolled_back`.
    pub state: &'static str,
    /// The share of the new one, in percent.
    pub percent: f64,
    /// The step it is in, from 1, and how many there are.
    pub step: Option<(usize, usize)>,
    /// Requests of this step, and those that failed.
    pub requests: Option<(u64, u64)>,
    /// What it waits for, or why it was rolled back.
    pub why: Option<String>,
}

/// What is known of canaries, as it changes.
#[derive(Clone, Default)]
pub(crate) struct Known(Option<Rc<Shared>>);

impl Canaries {
    /// None yet.
    pub(crate) fn new(metrics: &Arc<Metrics>, report: &Report) -> Canaries {
        let shared = Rc::new(Shared {
            canaries: RefCell::default(),
            file: RefCell::default(),
            metrics: Arc::clone(metrics),
            report: Rc::clone(report),
            began: Instant::now(),
        });
        let driver = tokio::task::spawn_local(drive(Rc::downgrade(&shared)));
        Canaries { shared, driver }
    }

    /// Drives what a snapshot says. One whose route and services stay goes on where it is.
    pub(crate) fn adopt(&self, snapshot: &Snapshot, workers: &Workers) {
        let file = snapshot.state_dir.as_ref().map(|folder| folder.join("canaries.json"));
        let kept = match (&file, self.shared.canaries.borrow().is_empty()) {
            (Some(file), true) => kept::read(file, &self.shared.report),
            _ => BTreeMap::new(),
        };
        *self.shared.file.borrow_mut() = file;
        let mut old = self.shared.canaries.take();
        let name = |way: usize, action: &Action| {
            let service = action.service(way).and_then(|index| snapshot.services.get(index.0));
            service.map(|service| service.name.clone()).unwrap_or_default()
        };
        let mut now = BTreeMap::new();
        for route in &snapshot.routes {
            let Some(plan) = route.canary.clone() else { continue };
            let key = Arc::<str>::from(&*route.name);
            let (stable, new) = (name(0, &route.action), name(1, &route.action));
            let same = old.remove(&key).filter(|before| before.stable == stable && before.new == new);
            let rollout = match same {
                Some(mut before) => {
                    before.rollout.change_plan(plan);
                    before.rollout
                }
                None => match kept.get(&kept::key(&key, &stable, &new)) {
                    Some(saved) => Rollout::restore(plan, &BOUNDS, saved),
                    None => Rollout::new(plan, &BOUNDS),
                },
            };
            let dial = workers.dial(&key);
            dial.turn(rollout.share().hundredths());
            now.insert(key, Canary { stable, new, rollout, dial });
        }
        *self.shared.canaries.borrow_mut() = now;
        self.shared.count();
    }

    /// What is known, as it changes.
    pub(crate) fn share(&self) -> Known {
        Known(Some(Rc::clone(&self.shared)))
    }

    /// Drives none any more, and keeps how they stand.
    pub(crate) fn stop(&self) {
        self.driver.abort();
        self.shared.keep();
    }
}

impl Drop for Canaries {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl std::fmt::Debug for Canaries {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Canaries")
    }
}

impl std::fmt::Debug for Known {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Known")
    }
}

async fn drive(shared: Weak<Shared>) {
    let mut interval = tokio::time::interval(LOOK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut looks = 0;
    loop {
        interval.tick().await;
        let Some(shared) = shared.upgrade() else { return };
        looks += 1;
        let happened = shared.look();
        if happened || looks % KEEP_EVERY == 0 {
            shared.keep();
        }
    }
}

impl Shared {
    /// Judges all of them. Returns whether something has happened.
    fn look(&self) -> bool {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut happened = false;
        for (route, canary) in self.canaries.borrow_mut().iter_mut() {
            let [stable, new] = [0, 1].map(|version| canary.dial.recorded(version));
            let sample = |recorded: &'_ dataplane::Recorded| (recorded.requests, recorded.failed);
            let ((all, failed), (new_all, new_failed)) = (sample(&stable), sample(&new));
            let stable = Sample { requests: all, failed, latency: &stable.latency };
            let sample = Sample { requests: new_all, failed: new_failed, latency: &new.latency };
            let Some(event) = canary.rollout.observe(&stable, &sample, now) else { continue };
            happened = true;
            canary.dial.turn(canary.rollout.share().hundredths());
            (self.report)(format!("route {route}: {}", told(canary, &event)));
        }
        if happened {
            self.count();
        }
        happened
    }

    fn count(&self) {
        let canaries = self.canaries.borrow();
        let numbers = canaries.iter().map(|(route, canary)| {
            let state = match canary.rollout.state() {
                State::Stepping(_) => CanaryState::Stepping,
                State::Paused(_) => CanaryState::Paused,
                State::Promoted => CanaryState::Promoted,
                State::RolledBack { .. } => CanaryState::RolledBack,
            };
            (Box::from(&**route), (canary.rollout.share().fraction(), state))
        });
        self.metrics.canaries().set(numbers.collect());
    }

    fn keep(&self) {
        let Some(file) = self.file.borrow().clone() else { return };
        let canaries = self.canaries.borrow();
        let all = canaries
            .iter()
            .map(|(route, canary)| (kept::key(route, &canary.stable, &canary.new), canary.rollout.save()));
        if let Err(error) = kept::write(&file, all) {
            (self.report)(format!("how canaries stand cannot be kept in {}: {error}", file.display()));
        }
    }
}

/// What has happened, for the operator.
fn told(canary: &Canary, event: &Event) -> String {
    let Canary { stable, new, .. } = canary;
    match event {
        Event::Stepped { step, share } => {
            format!("canary {new} gets {share} of the requests (step {})", step + 1)
        }
        Event::Waits(Wait::Traffic { requests, needed }) => {
            format!("canary {new} has had {requests} requests, and waits for {needed}")
        }
        Event::Waits(Wait::Doubt { why }) => {
            format!("canary {new} stays where it is: {why}, but it is not sure yet")
        }
        Event::Waits(Wait::Operator) => {
            format!("canary {new} has taken its last step, and waits to be promoted")
        }
        Event::Waits(Wait::Time { .. }) => format!("canary {new} goes on"),
        Event::Promoted => format!("canary {new} gets all requests, and {stable} none any more"),
        Event::RolledBack { why } => {
            format!("canary {new} is rolled back, and {stable} gets all requests: {why}")
        }
    }
}

impl Known {
    /// All canaries, by route.
    pub(crate) fn all(&self) -> Vec<CanaryView> {
        let Some(shared) = &self.0 else { return Vec::new() };
        shared.canaries.borrow().iter().map(|(route, canary)| view(route, canary)).collect()
    }

    /// Does something to the canary of a route. Returns whether that was a change; `None` if the route has none.
    pub(crate) fn order(&self, route: &str, order: CanaryOrder) -> Option<bool> {
        let shared = self.0.as_ref()?;
        let mut canaries = shared.canaries.borrow_mut();
        let canary = canaries.get_mut(route)?;
        let (changed, word) = match order {
            CanaryOrder::Pause => (canary.rollout.pause(), "paused"),
            CanaryOrder::Resume => (canary.rollout.resume(), "resumed"),
            CanaryOrder::Promote => (canary.rollout.promote(), "promoted"),
            CanaryOrder::Abort => (canary.rollout.abort("an operator has said so"), "rolled back"),
            CanaryOrder::Restart => {
                canary.rollout.restart();
                (true, "begun anew")
            }
        };
        canary.dial.turn(canary.rollout.share().hundredths());
        if changed {
            let line = format!("route {route}: canary {} was {word} by an operator", canary.new);
            (shared.report)(line);
        }
        drop(canaries);
        shared.count();
        shared.keep();
        Some(changed)
    }
}

fn view(route: &Arc<str>, canary: &Canary) -> CanaryView {
    let state = canary.rollout.state();
    let progress = match &state {
        State::Stepping(progress) | State::Paused(progress) => Some(progress),
        State::Promoted | State::RolledBack { .. } => None,
    };
    let why = match (&state, progress.map(|progress| progress.wait)) {
        (State::RolledBack { why }, _) => Some((*why).to_owned()),
        (_, Some(Wait::Time { left_ms })) => {
            Some(format!("the step lasts {} s more", left_ms.div_ceil(1000)))
        }
        (_, Some(Wait::Traffic { requests, needed })) => {
            Some(format!("it has had {requests} requests and needs {needed}"))
        }
        (_, Some(Wait::Doubt { why })) => Some(format!("{why}, but it is not sure yet")),
        (_, Some(Wait::Operator)) => Some("it waits for an operator".to_owned()),
        _ => None,
    };
    CanaryView {
        route: Arc::clone(route),
        stable: canary.stable.clone(),
        new: canary.new.clone(),
        state: match state {
            State::Stepping(_) => "stepping",
            State::Paused(_) => "paused",
            State::Promoted => "promoted",
            State::RolledBack { .. } => "rolled_back",
        },
        percent: canary.rollout.share().fraction() * 100.0,
        step: progress.map(|progress| (progress.step + 1, progress.steps)),
        requests: progress.map(|progress| (progress.requests, progress.failed)),
        why,
    }
}
