//! Sees to it that every wanted host has a certificate, and that it is renewed in time.
//!
//! Two orders are under way at most, so that one that hangs does not stop everything and a long list of hosts is
//! no burst. All of it runs on one thread. Entry points: [`Keeper::new`], [`Keeper::run`], [`Keeper::want`].

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustls_pki_types::CertificateDer;
use tokio::sync::Notify;

use crate::account::Accounts;
use crate::demand::{self, Bucket};
use crate::directory::Directory;
use crate::issuer::{Issuer, Obtained, Refused};
use crate::schedule::LONGEST_PAUSE;
use crate::{
    Action, Challenges, Error, Event, Facts, Failure, Host, Pair, Refusal, Settings, Status, Store, Wanted,
    What, Window, moment, next_action, pause_after,
};

/// The clock of the machine may be set while we sleep, so we look at it from time to time.
const LONGEST_NAP: Duration = Duration::from_secs(600);
/// How often the authority is asked when a certificate should be renewed, if it does not say how often
/// (RFC 9773, section 4.3.3), and the bounds for what it says.
const ASK_AGAIN: Duration = Duration::from_secs(6 * 3600);
const ASK_OFTENEST: Duration = Duration::from_secs(60);
const ASK_SELDOMEST: Duration = Duration::from_secs(86_400);

/// Sees to it that every wanted host has a certificate, and that it is renewed in time.
pub struct Keeper {
    settings: Settings,
    store: Store,
    issuer: Issuer,
    report: Box<dyn Fn(Event)>,
    hosts: RefCell<BTreeMap<Host, Kept>>,
    bucket: RefCell<Bucket>,
    woken: Notify,
}

/// What is known of the certificate of a host, to be shown.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// The host.
    pub host: Host,
    /// The certificate in use; `None` if there is none.
    pub facts: Option<Facts>,
    /// What is remembered, with the last failure.
    pub status: Status,
    /// What is to be done next.
    pub next: Action,
    /// Whether it is being done.
    pub busy: bool,
}

struct Kept {
    /// It is one of the settings, not one that came on demand.
    always: bool,
    certificate: Option<(Facts, CertificateDer<'static>)>,
    status: Status,
    window: Option<Window>,
    /// When the authority is asked for the window.
    ask: SystemTime,
    busy: bool,
}

enum Job {
    Obtain(Host),
    Ask(Host),
    Nap(Duration),
}

impl Keeper {
    /// Checks the settings, and reads what is in the store. Nothing is asked of the network before
    /// [`Keeper::run`]. `report` is told what happens, on the same thread.
    ///
    /// # Errors
    /// The settings ask for something that cannot be done.
    pub fn new(
        settings: Settings,
        challenges: Rc<dyn Challenges>,
        report: impl Fn(Event) + 'static,
    ) -> Result<Keeper, Error> {
        let wanted = settings.check()?;
        let server = Directory::new(&settings.authorities)?;
        let store = Store::new(&settings.state);
        let accounts =
            Accounts::new(settings.directory.clone(), settings.email.clone(), server, store.clone());
        let issuer = Issuer { accounts, challenge: settings.challenge.clone(), challenges };
        let keeper = Keeper {
            settings,
            store,
            issuer,
            report: Box::new(report),
            hosts: RefCell::default(),
            bucket: RefCell::new(Bucket::new(Instant::now())),
            woken: Notify::new(),
        };
        for host in wanted {
            let kept = keeper.load(&host, true);
            keeper.hosts.borrow_mut().insert(host, kept);
        }
        Ok(keeper)
    }

    /// What it was made from: one with equal settings need not be replaced.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Where certificates are.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Works without end. When the future is dropped, orders under way are given up and their answers withdrawn.
    pub async fn run(&self) {
        for kept in self.hosts.borrow_mut().values_mut() {
            kept.busy = false;
        }
        tokio::join!(self.work(), self.work());
    }

    /// A certificate for this host would be of use. It is obtained if it can be, and renewed from then on. Whoever
    /// calls this has made sure that the host is one that is served.
    pub fn want(&self, host: &str) -> Wanted {
        let host = match Host::parse(host).and_then(|host| self.settings.check_host(&host).map(|()| host)) {
            Ok(host) => host,
            Err(why) => return Wanted::Refused(Refusal::Impossible(why)),
        };
        let now = SystemTime::now();
        if let Some(kept) = self.hosts.borrow().get(&host) {
            return self.answer(kept, now);
        }
        let (mut here, mut waiting) = (0, 0);
        for kept in self.hosts.borrow().values().filter(|kept| !kept.always) {
            here += 1;
            waiting += usize::from(kept.certificate.is_none());
        }
        if here >= demand::KEPT {
            return Wanted::Refused(Refusal::TooMany);
        }
        let kept = self.load(&host, false);
        let answer = self.answer(&kept, now);
        let answer = match answer {
            Wanted::Refused(_) => return answer,
            Wanted::Coming
                if waiting >= demand::WAITING || !self.bucket.borrow_mut().take(Instant::now()) =>
            {
                return Wanted::Refused(Refusal::TooMany);
            }
            answer => answer,
        };
        self.hosts.borrow_mut().insert(host, kept);
        self.woken.notify_one();
        answer
    }

    /// Takes up the hosts that came on demand in the life of another keeper and have a certificate, so that it is
    /// renewed without anybody asking for it; and gives up those that are served no longer. Their files stay.
    pub fn serve(&self, served: impl Fn(&str) -> bool) {
        let gone = |host: &Host, kept: &Kept| !kept.always && !kept.busy && !served(host.as_str());
        self.hosts.borrow_mut().retain(|host, kept| !gone(host, kept));
        for host in self.store.hosts() {
            if served(host.as_str()) && self.store.chain_path(&host).exists() {
                // What is refused now is asked for again.
                let _ = self.want(host.as_str());
            }
        }
    }

    /// Every host that is kept, in order.
    pub fn view(&self) -> Vec<View> {
        let now = SystemTime::now();
        let hosts = self.hosts.borrow();
        let view = hosts.iter().map(|(host, kept)| View {
            host: host.clone(),
            facts: kept.facts().copied(),
            status: kept.status.clone(),
            next: kept.next(now, &self.settings),
            busy: kept.busy,
        });
        view.collect()
    }

    fn answer(&self, kept: &Kept, now: SystemTime) -> Wanted {
        if kept.facts().is_some_and(|facts| facts.not_after > now) {
            return Wanted::Have;
        }
        match kept.next(now, &self.settings) {
            Action::Wait(next) if !kept.busy => Wanted::Refused(Refusal::Failed { next }),
            _ => Wanted::Coming,
        }
    }

    async fn work(&self) {
        loop {
            match self.pick(SystemTime::now()) {
                Job::Obtain(host) => {
                    self.obtain(&host).await;
                    self.done(&host);
                }
                Job::Ask(host) => {
                    self.ask(&host).await;
                    self.done(&host);
                }
                Job::Nap(duration) => {
                    let _ = tokio::time::timeout(duration, self.woken.notified()).await;
                }
            }
        }
    }

    /// What to do now. Hosts without a certificate come first, and questions last.
    fn pick(&self, now: SystemTime) -> Job {
        let mut hosts = self.hosts.borrow_mut();
        let mut wake = moment::later(now, LONGEST_NAP);
        let (mut renew, mut ask) = (None, None);
        for (host, kept) in hosts.iter_mut().filter(|(_, kept)| !kept.busy) {
            match kept.next(now, &self.settings) {
                Action::Obtain if kept.certificate.is_none() => {
                    kept.busy = true;
                    return Job::Obtain(host.clone());
                }
                Action::Obtain => renew = renew.or_else(|| Some(host.clone())),
                Action::Wait(at) => wake = wake.min(at),
            }
            if kept.certificate.is_some() {
                if kept.ask <= now {
                    ask = ask.or_else(|| Some(host.clone()));
                } else {
                    wake = wake.min(kept.ask);
                }
            }
        }
        let job = match (renew, ask) {
            (Some(host), _) => Job::Obtain(host),
            (None, Some(host)) => Job::Ask(host),
            (None, None) => return Job::Nap(wake.duration_since(now).unwrap_or_default()),
        };
        if let Job::Obtain(host) | Job::Ask(host) = &job
            && let Some(kept) = hosts.get_mut(host)
        {
            kept.busy = true;
        }
        job
    }

    /// The other half of [`Keeper::pick`].
    fn done(&self, host: &Host) {
        let mut hosts = self.hosts.borrow_mut();
        if let Some(kept) = hosts.get_mut(host) {
            kept.busy = false;
            // What came on demand and failed is tried again when it is wanted again.
            if !kept.always && kept.certificate.is_none() {
                hosts.remove(host);
            }
        }
        // The other worker may have gone to sleep without this host in sight.
        self.woken.notify_one();
    }

    /// What the store has of a host.
    fn load(&self, host: &Host, always: bool) -> Kept {
        let read = match self.store.pair(host) {
            Ok(Some(pair)) => pair.read(host).map(Some),
            Ok(None) => Ok(None),
            Err(why) => Err(why),
        };
        let certificate = match read {
            Ok(read) => read.map(|read| (read.facts, read.leaf)),
            Err(why) => {
                self.tell(host, What::Unusable { why });
                None
            }
        };
        if let Some((facts, _)) = &certificate {
            self.tell(host, What::Loaded { not_after: facts.not_after });
        }
        let status = self.store.status(host);
        Kept { always, certificate, status, window: None, ask: UNIX_EPOCH, busy: false }
    }

    async fn obtain(&self, host: &Host) {
        if self.found_elsewhere(host) {
            return;
        }
        let replaces = {
            let hosts = self.hosts.borrow();
            let kept = hosts.get(host);
            let known = kept.filter(|kept| kept.window.is_some()).and_then(|kept| kept.certificate.as_ref());
            known.map(|(_, leaf)| leaf.clone())
        };
        // A certificate that cannot be kept must not be ordered: authorities count them.
        if let Err(why) = self.store.set_status(host, &self.status(host)) {
            return self.failed(host, Refused { why, not_before: None });
        }
        let result = Box::pin(self.issuer.obtain(host, replaces.as_ref())).await;
        let kept = result.and_then(|Obtained { pair, warnings }| {
            for why in warnings {
                self.tell(host, What::Warning { why });
            }
            self.keep(host, &pair).map_err(|why| Refused { why, not_before: None })
        });
        match kept {
            Ok(not_after) => self.tell(host, What::Obtained { not_after }),
            Err(refused) => self.failed(host, refused),
        }
    }

    /// Another process that uses the same folder, or somebody by hand, may have put a certificate there.
    fn found_elsewhere(&self, host: &Host) -> bool {
        let Ok(Some(pair)) = self.store.pair(host) else { return false };
        let Ok(read) = pair.read(host) else { return false };
        let status = self.store.status(host);
        let now = SystemTime::now();
        let settings = &self.settings;
        let found = {
            let mut hosts = self.hosts.borrow_mut();
            let Some(kept) = hosts.get_mut(host) else { return false };
            let same = kept.certificate.as_ref().is_some_and(|(_, leaf)| *leaf == read.leaf);
            let facts = read.facts;
            let next =
                next_action(now, Some(&facts), &status, &settings.directory, None, settings.renew_before);
            let found = !same && matches!(next, Action::Wait(_));
            if found {
                (kept.certificate, kept.status) = (Some((facts, read.leaf)), status);
                (kept.window, kept.ask) = (None, now);
            }
            found.then_some(facts.not_after)
        };
        if let Some(not_after) = found {
            self.tell(host, What::Loaded { not_after });
        }
        found.is_some()
    }

    fn keep(&self, host: &Host, pair: &Pair) -> Result<SystemTime, Error> {
        let now = SystemTime::now();
        let read = pair.read_new(host, now)?;
        self.store.set_pair(host, pair)?;
        let not_after = read.facts.not_after;
        let status = Status {
            directory: Some(self.settings.directory.clone()),
            obtained: Some(now),
            not_after: Some(not_after),
            failure: None,
        };
        if let Some(kept) = self.hosts.borrow_mut().get_mut(host) {
            (kept.certificate, kept.status) = (Some((read.facts, read.leaf)), status.clone());
            (kept.window, kept.ask) = (None, now);
        }
        self.remember(host, &status);
        Ok(not_after)
    }

    fn failed(&self, host: &Host, refused: Refused) {
        let now = SystemTime::now();
        let mut status = self.status(host);
        let before = status.failure.take().filter(|failure| failure.directory == self.settings.directory);
        let count = before.map_or(1, |failure| failure.count.saturating_add(1));
        let pause = moment::later(now, pause_after(count, fastrand::f64()));
        let asked = refused.not_before.map_or(pause, |asked| asked.min(moment::later(now, LONGEST_PAUSE)));
        let next = pause.max(asked);
        let directory = self.settings.directory.clone();
        let why = refused.why;
        status.failure = Some(Failure { directory, count, at: now, why: why.clone(), next });
        let not_after = self.hosts.borrow_mut().get_mut(host).and_then(|kept| {
            kept.status = status.clone();
            kept.facts().map(|facts| facts.not_after)
        });
        self.remember(host, &status);
        self.tell(host, What::Failed { why, next, not_after });
    }

    /// Asks the authority when the certificate of a host should be renewed.
    async fn ask(&self, host: &Host) {
        let leaf = self.hosts.borrow().get(host).and_then(|kept| Some(kept.certificate.as_ref()?.1.clone()));
        let Some(leaf) = leaf else { return };
        let answer = Box::pin(self.issuer.window(&leaf)).await;
        let now = SystemTime::now();
        let mut hosts = self.hosts.borrow_mut();
        let Some(kept) = hosts.get_mut(host) else { return };
        // No answer is no news: what it said before still holds.
        let again = match answer {
            Ok((window, fresh)) => {
                kept.window = Some(window);
                fresh.clamp(ASK_OFTENEST, ASK_SELDOMEST)
            }
            Err(_) => ASK_AGAIN,
        };
        kept.ask = moment::later(now, again);
    }

    fn status(&self, host: &Host) -> Status {
        self.hosts.borrow().get(host).map(|kept| kept.status.clone()).unwrap_or_default()
    }

    fn remember(&self, host: &Host, status: &Status) {
        if let Err(why) = self.store.set_status(host, status) {
            let why = why.after("this will be forgotten at the next start");
            self.tell(host, What::Warning { why });
        }
    }

    fn tell(&self, host: &Host, what: What) {
        (self.report)(Event { host: host.clone(), what });
    }
}

impl Kept {
    fn facts(&self) -> Option<&Facts> {
        self.certificate.as_ref().map(|(facts, _)| facts)
    }

    fn next(&self, now: SystemTime, settings: &Settings) -> Action {
        let window = self.window.as_ref();
        next_action(now, self.facts(), &self.status, &settings.directory, window, settings.renew_before)
    }
}
