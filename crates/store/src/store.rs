//! The store as a worker sees it: decisions that end in time, and the breaker in front of them.
//!
//! It knows when a connection is given up and when another is tried. It must not know what a decision is for.
//! Entry points: [`Store::start`], [`Store::decide`], [`Store::status`].

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use fastrand::Rng;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::ask::{self, Ask, Decision, Limit};
use crate::link::{Link, Trust, Ways};
use crate::script::{Deed, Script};
use crate::{Address, Trouble};

/// For a connection with its handshakes and the first decision. With `PAUSE`, it bounds how long a server that is
/// back goes unnoticed: 3.3 seconds, and then a decision.
const CONNECT: Duration = Duration::from_secs(2);
/// Between two attempts to connect, give or take a quarter.
const PAUSE: Duration = Duration::from_secs(1);
/// An idle connection is looked at so often: one that has ended is made anew before somebody needs it.
const LOOK: Duration = Duration::from_secs(1);
/// An idle connection is tried so often: servers and what stands between close those that say nothing.
const BEAT: Duration = Duration::from_secs(10);
/// A connection that has lasted so long was a good one: the next attempt comes at once.
const LASTING: Duration = Duration::from_secs(2);

/// What a store needs to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where the servers are.
    pub address: Address,
    /// Whose word is taken for who they are.
    pub trust: Trust,
    /// For one decision, all in all.
    pub timeout: Duration,
    /// How many decisions may be under way.
    pub most_in_flight: usize,
}

impl Settings {
    /// The default of `timeout`.
    pub const TIMEOUT: Duration = Duration::from_millis(100);
    /// The default of `most_in_flight`.
    pub const MOST_IN_FLIGHT: usize = 1024;

    /// With the defaults, and the authorities that the system trusts.
    #[must_use]
    pub fn new(address: Address) -> Settings {
        Settings {
            address,
            trust: Trust::default(),
            timeout: Settings::TIMEOUT,
            most_in_flight: Settings::MOST_IN_FLIGHT,
        }
    }
}

/// Whether there are decisions now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// The first connection is on its way.
    Connecting,
    /// There are.
    Up,
    /// There are none: decisions end at once with [`Trouble::Down`], until an attempt to connect succeeds.
    Down(Trouble),
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Status::Connecting => f.write_str("connecting"),
            Status::Up => f.write_str("up"),
            Status::Down(why) => write!(f, "down: {why}"),
        }
    }
}

/// The counters at the servers, for one worker. Cheap to clone; the connection ends with the last clone.
///
/// A decision fails at the latest after the timeout. The first one that fails for a reason that is not its own ends
/// all that are under way, and from then on decisions fail at once, while one connection attempt a second is made in
/// the background. The first connection is made this way too. A decision that failed may have been charged.
#[derive(Clone)]
pub struct Store {
    shared: Rc<Shared>,
    _keeper: Rc<Keeper>,
}

struct Keeper(JoinHandle<()>);

impl Drop for Keeper {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Shared {
    ways: Ways,
    script: Rc<Script>,
    timeout: Duration,
    most_in_flight: usize,
    in_flight: Cell<usize>,
    link: RefCell<Option<Rc<Link>>>,
    status: RefCell<Status>,
    on_change: Box<dyn Fn(&Status)>,
    /// Told when the link is given up.
    broken: Notify,
    /// When something was decided last, and the time of the server then, in microseconds since 1970.
    heard: Cell<Option<(Instant, u64)>>,
}

/// A place among the decisions under way.
struct Place<'s>(&'s Cell<usize>);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("status", &*self.shared.status.borrow()).finish_non_exhaustive()
    }
}

impl Store {
    /// Begins to connect, within the local tasks of this thread. `on_change` hears when the status changes.
    ///
    /// # Errors
    /// A certificate or key cannot be read. What the servers say is no error of the start.
    pub fn start(
        settings: Settings,
        rng: Rng,
        on_change: impl Fn(&Status) + 'static,
    ) -> Result<Store, Trouble> {
        let Settings { address, trust, timeout, most_in_flight } = settings;
        let most_in_flight = most_in_flight.clamp(1, 65_536);
        let shared = Rc::new(Shared {
            ways: Ways::new(address, &trust, timeout, most_in_flight)?,
            script: Rc::new(Script::new()),
            timeout,
            most_in_flight,
            in_flight: Cell::new(0),
            link: RefCell::new(None),
            status: RefCell::new(Status::Connecting),
            on_change: Box::new(on_change),
            broken: Notify::new(),
            heard: Cell::new(None),
        });
        let keeper = tokio::task::spawn_local(keep(Rc::clone(&shared), rng));
        Ok(Store { shared, _keeper: Rc::new(Keeper(keeper)) })
    }

    /// Charges all limits, or none if one of them refuses. One call of the server; in a cluster, one for each
    /// identity. With no limits it allows.
    ///
    /// # Errors
    /// There is no decision.
    pub async fn decide(&self, asks: &[Ask<'_>]) -> Result<Decision, Trouble> {
        self.run(Deed::Decide, asks).await
    }

    /// Charges all limits, also those that refuse: each at most up to its limit. For costs that are known when it is
    /// too late to refuse.
    ///
    /// # Errors
    /// There is no decision.
    pub async fn charge(&self, asks: &[Ask<'_>]) -> Result<Decision, Trouble> {
        self.run(Deed::Charge, asks).await
    }

    /// Takes back what was charged and not used.
    ///
    /// # Errors
    /// It is not known to have been taken back.
    pub async fn give_back(&self, asks: &[Ask<'_>]) -> Result<Decision, Trouble> {
        self.run(Deed::GiveBack, asks).await
    }

    /// Whether there are decisions now, and if not, why.
    #[must_use]
    pub fn status(&self) -> Status {
        self.shared.status.borrow().clone()
    }

    /// The time of the server by what it has said last, in milliseconds since 1970; `None` if it has said nothing
    /// yet. It follows no step of the clock of this machine.
    #[must_use]
    pub fn unix_ms(&self) -> Option<u64> {
        let (at, unix_us) = self.shared.heard.get()?;
        Some(unix_us.saturating_add(at.elapsed().as_micros() as u64) / 1000)
    }

    async fn run(&self, deed: Deed, asks: &[Ask<'_>]) -> Result<Decision, Trouble> {
        let shared = &*self.shared;
        let link = shared.link.borrow().clone().ok_or(Trouble::Down)?;
        ask::check(asks)?;
        let in_flight = shared.in_flight.get();
        if in_flight >= shared.most_in_flight {
            return Err(Trouble::Busy);
        }
        shared.in_flight.set(in_flight + 1);
        let _place = Place(&shared.in_flight);
        shared.through(&link, deed, asks).await
    }
}

impl Shared {
    /// Decides over a link, and gives the link up if that fails.
    async fn through(&self, link: &Rc<Link>, deed: Deed, asks: &[Ask<'_>]) -> Result<Decision, Trouble> {
        let outcome = timeout(self.timeout, link.decide(deed, asks)).await.unwrap_or(Err(Trouble::Timeout));
        match &outcome {
            Ok(decision) => self.heard.set(Some((Instant::now(), decision.unix_us))),
            Err(trouble) if trouble.breaks() => self.give_up(link, trouble),
            Err(_) => {}
        }
        outcome
    }

    /// Only the first failure of a link counts: what is under way over it fails because of it.
    fn give_up(&self, link: &Rc<Link>, trouble: &Trouble) {
        let current = self.link.borrow().as_ref().is_some_and(|current| Rc::ptr_eq(current, link));
        if current {
            self.link.replace(None);
            link.close();
            self.change(Status::Down(trouble.clone()));
            self.broken.notify_one();
        }
    }

    fn change(&self, status: Status) {
        if *self.status.borrow() != status {
            (self.on_change)(&status);
            self.status.replace(status);
        }
    }

    /// Connects, and makes a decision that counts for nobody: one that charges tells what only looking would not,
    /// such as a replica or a server without memory.
    async fn connect(&self, rng: &mut Rng) -> Result<Rc<Link>, Trouble> {
        let link = Rc::new(self.ways.open(&self.script).await?);
        self.probe(&link, rng).await?;
        Ok(link)
    }

    /// Another identity each time, so that in a cluster all servers have their turn.
    async fn probe(&self, link: &Rc<Link>, rng: &mut Rng) -> Result<Decision, Trouble> {
        let limit = Limit::Gcra { period_ns: 1_000_000, limit: 1, burst: 1 };
        let probe = Ask { identity: rng.u128(..).to_be_bytes(), name: "probe", limit, cost: 1, ahead: 0 };
        self.through(link, Deed::Charge, &[probe]).await
    }
}

/// Keeps a connection, until it is told to end.
async fn keep(shared: Rc<Shared>, mut rng: Rng) {
    loop {
        let connected = timeout(CONNECT, Box::pin(shared.connect(&mut rng))).await;
        let since = Instant::now();
        match connected.unwrap_or(Err(Trouble::Timeout)) {
            Ok(link) => {
                shared.link.replace(Some(Rc::clone(&link)));
                shared.change(Status::Up);
                attend(&shared, &link, &mut rng).await;
            }
            Err(trouble) => shared.change(Status::Down(trouble)),
        }
        let closed = *shared.status.borrow() == Status::Down(Trouble::Closed);
        let pause = if closed && since.elapsed() >= LASTING { PAUSE / 10 } else { PAUSE };
        sleep(pause.mul_f64(0.75 + rng.f64() / 2.0)).await;
    }
}

/// Looks at a connection and tries it now and then, until it is given up.
async fn attend(shared: &Rc<Shared>, link: &Rc<Link>, rng: &mut Rng) {
    loop {
        let broken = timeout(LOOK, shared.broken.notified()).await;
        if shared.link.borrow().is_none() {
            return;
        }
        if link.is_over() {
            shared.give_up(link, &Trouble::Closed);
            return;
        }
        let idle = shared.heard.get().is_none_or(|(at, _)| at.elapsed() >= BEAT);
        if broken.is_err() && idle {
            // What goes wrong gives the link up, and that ends this.
            let _ = shared.probe(link, rng).await;
        }
    }
}
