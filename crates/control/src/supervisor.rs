//! Keeps a gateway current until it is told to stop: signals, changed files, reloads.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use diagnostics::{Diagnostics, Severity, Sources, counted};
use telemetry::Reload;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::configuration::{self, Outcome};
use crate::gateway::{Gateway, Report};
use crate::view::{Active, Phase, View};
use crate::watched::Watched;

/// How often the files of the configuration are looked at.
const LOOK: Duration = Duration::from_millis(500);
/// Files must have been left alone for so long before they are read: an editor may still be writing.
const SETTLE: Duration = Duration::from_millis(100);
/// How often to wait for that at most.
const MOST_SETTLING: usize = 20;

/// The signals that a gateway understands.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    reopen: Signal,
}

impl Signals {
    /// From now on these signals are asked about, and do not end the process by themselves.
    ///
    /// # Errors
    /// The system refuses.
    pub fn listen() -> std::io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            reopen: signal(SignalKind::user_defined1())?,
        })
    }

    /// Waits for SIGTERM or SIGINT.
    pub async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Why the configuration is read again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Cause {
    /// Somebody asked.
    Signal,
    /// A file has changed.
    Files,
}

/// What happens next.
enum Event {
    Stop,
    Reload(Cause),
    Reopen,
}

/// Keeps a gateway current until it is told to stop.
pub struct Supervisor {
    gateway: Gateway,
    path: PathBuf,
    view: Rc<View>,
    watched: Watched,
    report: Report,
}

impl Supervisor {
    /// For a gateway that was started with what stands at `path`, and was read from `files`.
    pub fn new(
        gateway: Gateway,
        path: PathBuf,
        files: Watched,
        view: Rc<View>,
        report: Report,
    ) -> Supervisor {
        view.share_names(gateway.names());
        view.share_orders(gateway.orders());
        view.share_health(gateway.health());
        view.share_canaries(gateway.canaries());
        view.share_store(gateway.store());
        view.share_keys(gateway.keys());
        view.listening(gateway.addresses());
        view.enter(Phase::Serving);
        Supervisor { gateway, path, view, watched: files, report }
    }

    /// Runs until the gateway has stopped. SIGTERM and SIGINT stop it, a second one at once; SIGHUP and changed
    /// files reload the configuration; SIGHUP and SIGUSR1 reopen the access log.
    pub async fn run(mut self, mut signals: Signals) {
        loop {
            match self.next(&mut signals).await {
                Event::Stop => break,
                Event::Reopen => self.gateway.reopen_log(),
                Event::Reload(cause) => {
                    if cause == Cause::Signal {
                        self.gateway.reopen_log();
                    }
                    tokio::select! {
                        () = self.reload(cause) => {}
                        () = signals.stop() => break,
                    }
                }
            }
        }
        self.stop(signals).await;
    }

    async fn next(&self, signals: &mut Signals) -> Event {
        tokio::select! {
            _ = signals.terminate.recv() => Event::Stop,
            _ = signals.interrupt.recv() => Event::Stop,
            _ = signals.hang_up.recv() => Event::Reload(Cause::Signal),
            _ = signals.reopen.recv() => Event::Reopen,
            () = changed(&self.watched) => Event::Reload(Cause::Files),
        }
    }

    /// Reads the configuration again, and switches to it if nothing stands against it.
    async fn reload(&mut self, cause: Cause) {
        let (path, before) = (self.path.clone(), self.view.active().snapshot.clone());
        let Ok(outcome) = tokio::task::spawn_blocking(move || configuration::reload(&path, &before)).await
        else {
            self.watched = look(&self.watched).await; // not again before something changes
            let why = "reading the configuration failed: this is a bug of Gateward";
            return self.reject(why, why);
        };
        let Outcome { sources, diagnostics, tree, snapshot, watched } = outcome;
        self.watched = watched;
        let active = self.view.active();
        if cause == Cause::Files && tree.is_some() && tree == active.tree && snapshot.is_some() {
            // A file was touched, or something else in its folder has changed; or a mistake was taken back.
            if self.view.rejected().is_some() {
                (self.report)("the configuration is again the one in use".to_owned());
                self.view.metrics.reloaded(Reload::Restored);
                self.view.unchanged();
            }
            return;
        }
        let text = diagnostics::render_text(&diagnostics, &sources, false);
        let Some(snapshot) = snapshot else {
            return self.reject(&text, &in_brief(&diagnostics, &sources));
        };
        if !text.is_empty() {
            (self.report)(text.trim_end().to_owned());
        }
        if let Err(error) = self.gateway.switch(std::sync::Arc::clone(&snapshot), &self.report).await {
            let why = error.to_string();
            return self.reject(&why, &why);
        }
        let before = &active.snapshot;
        if snapshot.workers != before.workers {
            (self.report)("`workers` has changed: it takes effect with the next start".to_owned());
        }
        (self.report)(format!(
            "reloaded: {}, {}, {}",
            counted(snapshot.listeners.len(), "listener"),
            counted(snapshot.services.len(), "service"),
            counted(snapshot.routes.len(), "route"),
        ));
        self.view.metrics.reloaded(Reload::Applied);
        drop(active);
        self.view.listening(self.gateway.addresses());
        let before = self.view.applied(Active { snapshot, sources, tree, since: SystemTime::now() });
        if let Ok(before) = Rc::try_unwrap(before) {
            // Taking apart ten thousand routes takes a while, and nobody should have to wait for it.
            drop(tokio::task::spawn_blocking(move || drop(before)));
        }
    }

    /// `whole` is for the log of the operator, `brief` for the admin listener.
    fn reject(&self, whole: &str, brief: &str) {
        (self.report)(format!(
            "the configuration was not reloaded, the one before stays in use:\n{}",
            whole.trim_end()
        ));
        self.view.metrics.reloaded(Reload::Rejected);
        self.view.refused(brief.to_owned());
    }

    /// Drains and ends; a second signal ends at once.
    async fn stop(self, mut signals: Signals) {
        self.view.enter(Phase::Stopping);
        let snapshot = self.view.active().snapshot.clone();
        let delay = match snapshot.delay {
            Duration::ZERO => String::new(),
            delay => format!("accepting for {} s more; then ", delay.as_secs_f64()),
        };
        (self.report)(format!("stopping: {delay}requests have {} s to finish", snapshot.drain.as_secs_f64()));
        let gateway = self.gateway;
        let ending = async {
            tokio::time::sleep(snapshot.delay).await;
            gateway.stop(snapshot.drain).await;
        };
        tokio::select! {
            () = ending => (self.report)("stopped".to_owned()),
            () = signals.stop() => (self.report)("stopped at once".to_owned()),
        }
    }
}

/// All errors with their places, without the lines that they are in: those may hold secrets.
fn in_brief(diagnostics: &Diagnostics, sources: &Sources) -> String {
    let errors = diagnostics.sorted().into_iter().filter(|one| one.severity == Severity::Error);
    let lines = errors.map(|one| {
        let place = one.span.map(|span| format!(" ({})", sources.place(span))).unwrap_or_default();
        format!("error[{}]: {}{place}\n", one.code, one.message)
    });
    lines.collect()
}

/// Waits until a file of the configuration has changed, and has been left alone for a moment.
async fn changed(watched: &Watched) {
    loop {
        tokio::time::sleep(LOOK).await;
        let mut now = look(watched).await;
        if now == *watched {
            continue;
        }
        for _ in 0..MOST_SETTLING {
            tokio::time::sleep(SETTLE).await;
            let again = look(&now).await;
            if again == now {
                break;
            }
            now = again;
        }
        return;
    }
}

/// On a thread of its own: a file system that hangs must not stop everything else.
async fn look(watched: &Watched) -> Watched {
    let asked = watched.clone();
    tokio::task::spawn_blocking(move || asked.look()).await.unwrap_or_default()
}
