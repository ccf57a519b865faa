//! `gateward run`

use std::sync::Arc;
use std::time::Duration;

use control::Gateway;
use snapshot::Snapshot;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::arguments::RunOptions;
use crate::check::count;
use crate::{No, configuration, output};

/// Where the admin page will be; nothing listens there in this version.
const ADMIN: &str = "127.0.0.1:9901";

/// Serves a configuration until it is told to stop.
pub(crate) fn run(options: &RunOptions) -> Result<(), No> {
    let path = &options.source.path;
    if configuration::explain_how_to_begin(path) {
        return Err(No);
    }
    let outcome = configuration::load(path);
    let text =
        diagnostics::render_text(&outcome.diagnostics, &outcome.sources, output::stderr_takes_colour());
    if !text.is_empty() {
        output::note(text.trim_end());
    }
    let Some(snapshot) = outcome.snapshot else {
        output::note(&format!("{}: {}; not started", path.display(), outcome.diagnostics.summary_line()));
        return Err(No);
    };
    let workers = options.workers.map(usize::from);
    on_control_runtime(async move {
        // Before anybody can know that the gateway runs, and ask it to stop.
        let stop = Stop::listen()?;
        let gateway = start(&snapshot, workers).await?;
        for line in announcement(&snapshot, &gateway, workers_of(&snapshot, workers)) {
            output::note(&line);
        }
        serve_until_told(gateway, stop, snapshot.drain).await
    })
}

/// Runs what goes on beside the workers, on this thread.
pub(crate) fn on_control_runtime(work: impl Future<Output = Result<(), No>>) -> Result<(), No> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default());
    match runtime {
        Ok(runtime) => {
            let outcome = runtime.block_on(work);
            // Whoever was told twice to stop does not wait for workers.
            runtime.shutdown_background();
            outcome
        }
        Err(error) => {
            output::note(&format!("gateward: the system refused a runtime: {error}"));
            Err(No)
        }
    }
}

/// How many workers there will be.
fn workers_of(snapshot: &Snapshot, wanted: Option<usize>) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    wanted.or(snapshot.workers).unwrap_or_else(cores)
}

/// Starts the gateway, or says why it cannot be started.
pub(crate) async fn start(snapshot: &Arc<Snapshot>, workers: Option<usize>) -> Result<Gateway, No> {
    let report = |text: String| output::note(&format!("gateward: {text}"));
    let workers = workers_of(snapshot, workers);
    Gateway::start(Arc::clone(snapshot), workers, report).await.map_err(|error| {
        output::note(&format!("gateward: {error}"));
        No
    })
}

/// What it listens on, what it serves, where the admin page will be.
fn announcement(snapshot: &Snapshot, gateway: &Gateway, workers: usize) -> [String; 3] {
    let addresses: Vec<String> = gateway.addresses().iter().map(ToString::to_string).collect();
    [
        format!("gateward {}: listening on {}", env!("CARGO_PKG_VERSION"), addresses.join(", ")),
        format!(
            "serving {} to {} with {}",
            count(snapshot.routes.len(), "route"),
            count(snapshot.services.len(), "service"),
            count(workers, "worker"),
        ),
        format!("the admin page will be at http://{ADMIN} (not in this version)"),
    ]
}

/// The signals that end a gateway.
pub(crate) struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    /// From now on these signals are asked about, and do not end the process by themselves.
    pub(crate) fn listen() -> Result<Stop, No> {
        let listen = || {
            Ok(Stop {
                terminate: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
            })
        };
        listen().map_err(|error: std::io::Error| {
            output::note(&format!("gateward: cannot listen for signals: {error}"));
            No
        })
    }

    /// Waits for one of them.
    pub(crate) async fn told(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Waits for a signal, drains, and ends; a second signal ends at once.
async fn serve_until_told(gateway: Gateway, mut stop: Stop, drain: Duration) -> Result<(), No> {
    stop.told().await;
    output::note(&format!("gateward: stopping; requests have {} s to finish", drain.as_secs()));
    tokio::select! {
        () = gateway.stop(drain) => output::note("gateward: stopped"),
        () = stop.told() => output::note("gateward: stopped at once"),
    }
    Ok(())
}
