//! Certificates by ACME across snapshots: who keeps them, and what clients ask for on demand.
//!
//! There is one keeper for each way of ordering that stands in the configuration. It is the same one for as long
//! as its settings stay the same, so that a reload, which every new certificate brings, stops no order. Entry points:
//! [`Keepers::plan`], [`Keepers::adopt`].

use std::cell::RefCell;
use std::collections::HashSet;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use acme::{Challenge, Keeper, Refusal, Settings, Wanted, What};
use snapshot::{Acme, AcmeChallenge, AcmeShared, Snapshot};
use telemetry::{CertificateEnd, Metrics};
use tokio::task::JoinHandle;

use crate::Report;

/// Hosts that clients ask for are gathered for so long: handshakes must not keep this thread busy.
const GATHER: Duration = Duration::from_millis(100);
/// So often at most it is told that clients ask for hosts that get no certificate.
const TELL: Duration = Duration::from_secs(60);

/// Why certificates cannot be kept.
#[derive(Debug)]
pub enum KeepError {
    /// The state folder cannot be used.
    Folder {
        /// Which.
        folder: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// The settings ask for something that cannot be done.
    Settings(acme::Error),
}

impl std::fmt::Display for KeepError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (folder, error) = match self {
            KeepError::Settings(why) => return write!(out, "certificates cannot be ordered: {why}"),
            KeepError::Folder { folder, error } => (folder.display(), error),
        };
        match error.kind() {
            std::io::ErrorKind::NotFound => write!(
                out,
                "the folder `state_dir: {folder}` does not exist\n  Create it for the user that runs the gateway: \
                 install -d -m 700 -o USER {folder}"
            ),
            std::io::ErrorKind::NotADirectory => {
                write!(out, "`state_dir: {folder}` is not a folder\n  Name another one.")
            }
            _ => write!(
                out,
                "the folder `state_dir: {folder}` cannot be written: {error}\n  The user that runs the gateway must \
                 be allowed to make and change files there, or name another folder."
            ),
        }
    }
}

/// Everybody who keeps certificates.
pub(crate) struct Keepers {
    shared: AcmeShared,
    report: Report,
    metrics: Arc<Metrics>,
    orders: Orders,
    listener: JoinHandle<()>,
}

/// Who keeps certificates now, as it changes.
#[derive(Clone, Default)]
pub(crate) struct Orders(Rc<RefCell<Vec<Kept>>>);

/// A keeper, and what belongs to it.
#[derive(Clone)]
struct Kept {
    keeper: Rc<Keeper>,
    /// What listeners want of it.
    of: Vec<Acme>,
    /// What keeps it working; `None` before it is in use.
    work: Option<Rc<Work>>,
}

impl Kept {
    /// Whether a certificate for this host is ordered once a client asks for it.
    fn may_want(&self, host: &str) -> bool {
        self.of.iter().any(|acme| acme.on_demand.contains(host))
    }
}

/// Ends with whoever holds it.
struct Work(JoinHandle<()>);

impl Drop for Work {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The keepers of a snapshot that is about to be used.
pub(crate) struct Planned(Vec<Kept>);

impl Keepers {
    /// None yet.
    pub(crate) fn new(shared: AcmeShared, metrics: Arc<Metrics>, report: &Report) -> Keepers {
        let orders = Orders::default();
        let hearing = hear(shared.wanted.clone(), orders.clone(), Rc::clone(report));
        let listener = tokio::task::spawn_local(hearing);
        Keepers { shared, report: Rc::clone(report), metrics, orders, listener }
    }

    /// Finds out who goes on, and makes those that are new. They do not work yet.
    ///
    /// # Errors
    /// One of them could keep nothing.
    pub(crate) fn plan(&self, snapshot: &Snapshot) -> Result<Planned, KeepError> {
        let mut ways: Vec<Vec<&Acme>> = Vec::new();
        for acme in snapshot.listeners.iter().filter_map(|listener| listener.acme.as_ref()) {
            match ways.iter_mut().find(|way| way.iter().any(|same| same.in_the_same_way(acme))) {
                Some(way) => way.push(acme),
                None => ways.push(vec![acme]),
            }
        }
        let now = self.orders.0.borrow();
        let mut planned = Vec::with_capacity(ways.len());
        for way in ways {
            let Some(settings) = settings(&way) else { continue };
            let same = now.iter().find(|kept| *kept.keeper.settings() == settings);
            let (keeper, work) = match same {
                Some(kept) => (Rc::clone(&kept.keeper), kept.work.clone()),
                None => (self.make(settings, &now)?, None),
            };
            planned.push(Kept { keeper, of: way.into_iter().cloned().collect(), work });
        }
        Ok(Planned(planned))
    }

    fn make(&self, settings: Settings, now: &[Kept]) -> Result<Rc<Keeper>, KeepError> {
        // A folder that is in use may be full or gone by now: that is told when something is to be kept, and must not
        // stop a reload.
        if !now.iter().any(|kept| kept.keeper.settings().state == settings.state) {
            let prepared = acme::Store::new(&settings.state).prepare();
            prepared.map_err(|error| KeepError::Folder { folder: settings.state.clone(), error })?;
        }
        let answers = Answers { to: self.shared.challenges.clone(), report: Rc::clone(&self.report) };
        let (report, metrics) = (Rc::clone(&self.report), Arc::clone(&self.metrics));
        let told = move |event: acme::Event| {
            match event.what {
                What::Obtained { .. } => metrics.certificates().ordered(event.host.as_str(), true),
                What::Failed { .. } => metrics.certificates().ordered(event.host.as_str(), false),
                What::Loaded { .. } | What::Unusable { .. } | What::Warning { .. } => {}
            }
            report(event.to_string());
        };
        Keeper::new(settings, Rc::new(answers), told).map(Rc::new).map_err(KeepError::Settings)
    }

    /// Lets those work that a snapshot wants, from now on, and no others.
    pub(crate) fn adopt(&self, planned: Planned, snapshot: &Snapshot, addresses: &[SocketAddr]) {
        let Planned(mut planned) = planned;
        for kept in &mut planned {
            kept.keeper.serve(|host| kept.may_want(host));
            kept.work.get_or_insert_with(|| {
                let keeper = Rc::clone(&kept.keeper);
                Rc::new(Work(tokio::task::spawn_local(async move { keeper.run().await })))
            });
        }
        let hosts = snapshot.listeners.iter().filter_map(|listener| listener.acme.as_ref());
        let hosts: Vec<&str> = hosts.flat_map(|acme| &acme.hosts).map(|host| &**host).collect();
        let ordered: HashSet<&str> = hosts.iter().copied().collect();
        let known = |host: &str| ordered.contains(host) || planned.iter().any(|kept| kept.may_want(host));
        self.metrics.certificates().use_now(ends(snapshot, addresses), &hosts, known);
        self.orders.0.replace(planned);
    }

    /// Who keeps certificates, as it changes.
    pub(crate) fn share(&self) -> Orders {
        self.orders.clone()
    }

    /// Orders nothing any more.
    pub(crate) fn stop(&self) {
        self.listener.abort();
        self.orders.0.take();
    }
}

impl std::fmt::Debug for Keepers {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.orders.fmt(out)
    }
}

impl std::fmt::Debug for Orders {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let orders = self.0.borrow();
        out.debug_list().entries(orders.iter().map(|kept| kept.keeper.settings())).finish()
    }
}

impl Orders {
    /// What is known of the certificates that are ordered for a listener.
    pub(crate) fn of(&self, acme: &Acme) -> Vec<acme::View> {
        let orders = self.0.borrow();
        let kept = orders.iter().find(|kept| kept.of.iter().any(|other| other.in_the_same_way(acme)));
        let all = kept.map(|kept| kept.keeper.view()).unwrap_or_default();
        let ordered: HashSet<&str> = acme.hosts.iter().map(|host| &**host).collect();
        let of_listener = |host: &str| ordered.contains(host) || acme.on_demand.contains(host);
        all.into_iter().filter(|view| of_listener(view.host.as_str())).collect()
    }

    /// A client has asked for a host that has no certificate.
    fn want(&self, host: &str) -> Option<Refusal> {
        let orders = self.0.borrow();
        let kept = orders.iter().find(|kept| kept.may_want(host))?;
        match kept.keeper.want(host) {
            Wanted::Refused(why) => Some(why),
            Wanted::Have | Wanted::Coming => None,
        }
    }
}

/// Passes on what clients ask for.
async fn hear(wanted: tls::Wanted, orders: Orders, report: Report) {
    let mut told: Option<Instant> = None;
    loop {
        for host in poll_fn(|context| wanted.poll_take(context)).await {
            // That it failed was told when it failed.
            let Some(why @ (Refusal::Impossible(_) | Refusal::TooMany)) = orders.want(&host) else {
                continue;
            };
            if told.is_none_or(|at| at.elapsed() >= TELL) {
                told = Some(Instant::now());
                report(format!("acme: clients ask for {host}, which gets no certificate now: {why}"));
            }
        }
        tokio::time::sleep(GATHER).await;
    }
}

/// What the data plane answers authorities from.
struct Answers {
    to: tls::Challenges,
    report: Report,
}

impl acme::Challenges for Answers {
    fn set_http(&self, token: &str, key_authorization: &str) {
        if let Err(tls::Full) = self.to.put_token(token, key_authorization) {
            (self.report)("acme: too many orders are under way, one more cannot be proved".to_owned());
        }
    }

    fn remove_http(&self, token: &str) {
        self.to.remove_token(token);
    }

    fn set_alpn(&self, host: &str, certificate_der: &[u8], key_der: &[u8]) {
        if let Err(why) = self.to.put_proof(host, certificate_der, key_der) {
            (self.report)(format!("acme: {host} cannot be proved: {why}"));
        }
    }

    fn remove_alpn(&self, host: &str) {
        self.to.remove_proof(host);
    }
}

/// When the certificates of all listeners end.
fn ends(snapshot: &Snapshot, addresses: &[SocketAddr]) -> Vec<CertificateEnd> {
    let listeners = snapshot.listeners.iter().zip(addresses);
    let all = listeners.filter_map(|(listener, address)| Some((listener.tls.as_ref()?, address)));
    let each = all.flat_map(|(tls, address)| {
        tls.certificates().map(|(names, at)| CertificateEnd {
            listener: address.to_string().into(),
            name: names.first().cloned().unwrap_or_default(),
            at,
        })
    });
    each.collect()
}

/// What a keeper is to do for all of these, which are ordered in the same way.
fn settings(way: &[&Acme]) -> Option<Settings> {
    let acme = way.first()?;
    let texts = |texts: &[Box<str>]| texts.iter().map(ToString::to_string).collect();
    let mut hosts: Vec<String> = way.iter().flat_map(|acme| &acme.hosts).map(ToString::to_string).collect();
    hosts.sort_unstable();
    hosts.dedup();
    Some(Settings {
        directory: acme.directory.to_string(),
        email: acme.email.as_ref().map(ToString::to_string),
        hosts,
        challenge: match acme.challenge {
            AcmeChallenge::Http => Challenge::Http01,
            AcmeChallenge::TlsAlpn => Challenge::TlsAlpn01,
            AcmeChallenge::Dns => Challenge::Dns01 { hook: texts(&acme.hook) },
        },
        authorities: acme.authorities.clone(),
        renew_before: acme.renew_before,
        state: acme.state_dir.clone(),
    })
}
