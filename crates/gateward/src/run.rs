//! `gateward run`

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use control::{Active, Gateway, Outcome, Signals, Supervisor, View};
use diagnostics::counted;
use snapshot::{Admin, Snapshot};
use telemetry::Metrics;

use crate::arguments::{AdminAddress, RunOptions};
use crate::operator::Operator;
use crate::{No, configuration, output};

/// Serves a configuration until it is told to stop.
pub(crate) fn run(options: &RunOptions) -> Result<(), No> {
    let path = &options.source.path;
    if configuration::explain_how_to_begin(path) {
        return Err(No);
    }
    let mut outcome = control::load(path);
    let text =
        diagnostics::render_text(&outcome.diagnostics, &outcome.sources, output::stderr_takes_colour());
    if !text.is_empty() {
        output::note(text.trim_end());
    }
    let Some(snapshot) = outcome.snapshot.take() else {
        output::note(&format!("{}: {}; not started", path.display(), outcome.diagnostics.summary_line()));
        return Err(No);
    };
    let workers = workers_of(&snapshot, options.workers.map(usize::from));
    let operator = Operator::begin();
    let served = on_control_runtime(serve(path, outcome, snapshot, workers, options.admin, &operator));
    operator.end();
    served
}

async fn serve(
    path: &Path,
    outcome: Outcome,
    snapshot: Arc<Snapshot>,
    workers: usize,
    admin: Option<AdminAddress>,
    operator: &Operator,
) -> Result<(), No> {
    // Before anybody can know that the gateway runs, and ask it to stop.
    let signals = listen_for_signals()?;
    let report = operator.report();
    let (listener, admin_line) = bind_admin(&snapshot.admin, admin).await?;
    let metrics =
        Metrics::new(env!("CARGO_PKG_VERSION"), workers, policy::KINDS.iter().map(|kind| kind.name));
    let Outcome { sources, tree, watched, .. } = outcome;
    let active = Active { snapshot: Arc::clone(&snapshot), sources, tree, since: SystemTime::now() };
    let view = View::new(active, Arc::clone(&metrics));
    let gateway = Gateway::start(Arc::clone(&snapshot), metrics, &report).await.map_err(|error| {
        output::note(&format!("gateward: {error}"));
        No
    })?;
    for line in announcement(&snapshot, &gateway, workers) {
        operator.say(line);
    }
    operator.say(admin_line);
    // Every snapshot belongs to those who use it: the first one goes with the first reload.
    drop(snapshot);
    match admin {
        Some(_) => drop(tokio::task::spawn_local(admin::serve_fixed(Rc::clone(&view), listener))),
        None => drop(tokio::task::spawn_local(admin::serve(Rc::clone(&view), listener, Rc::clone(&report)))),
    }
    Supervisor::new(gateway, path.to_path_buf(), watched, view, report).run(signals).await;
    Ok(())
}

/// Binds the admin listener, and says where it is. An address that nobody has asked for may be taken.
async fn bind_admin(
    configured: &Admin,
    wanted: Option<AdminAddress>,
) -> Result<(Option<tokio::net::TcpListener>, String), No> {
    let mut admin = configured.clone();
    match wanted {
        None => {}
        Some(AdminAddress::Off) => (admin.address, admin.explicit) = (None, true),
        Some(AdminAddress::At(address)) => {
            if !address.ip().to_canonical().is_loopback() && admin.token.is_none() {
                output::note(&format!(
                    "gateward: --admin {address} can be reached by others, and there is no token\n  \
                     Set one with `admin: {{ address: {address}, token: … }}` in the configuration."
                ));
                return Err(No);
            }
            (admin.address, admin.explicit) = (Some(address), true);
        }
    }
    match admin::bind(&admin).await {
        Ok(Some(listener)) => {
            let address = listener.local_addr().map_or_else(|_| String::new(), |address| address.to_string());
            Ok((Some(listener), format!("the admin listener is at http://{address}")))
        }
        Ok(None) if !admin.explicit => {
            let why = "its default address is taken by a listener; `admin: 127.0.0.1:PORT` gives it another";
            Ok((None, format!("there is no admin listener: {why}")))
        }
        Ok(None) => Ok((None, "there is no admin listener".to_owned())),
        Err(error) if !admin.explicit => Ok((None, format!("gateward: {error}\n  It goes on without one."))),
        Err(error) => {
            output::note(&format!("gateward: {error}"));
            Err(No)
        }
    }
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

/// From now on signals do not end the process by themselves.
pub(crate) fn listen_for_signals() -> Result<Signals, No> {
    Signals::listen().map_err(|error| {
        output::note(&format!("gateward: cannot listen for signals: {error}"));
        No
    })
}

/// How many workers there will be.
pub(crate) fn workers_of(snapshot: &Snapshot, wanted: Option<usize>) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    wanted.or(snapshot.workers).unwrap_or_else(cores)
}

/// What it listens on, and what it serves.
fn announcement(snapshot: &Snapshot, gateway: &Gateway, workers: usize) -> [String; 2] {
    let addresses: Vec<String> = gateway.addresses().iter().map(ToString::to_string).collect();
    [
        format!("gateward {}: listening on {}", env!("CARGO_PKG_VERSION"), addresses.join(", ")),
        format!(
            "serving {} to {} with {}",
            counted(snapshot.routes.len(), "route"),
            counted(snapshot.services.len(), "service"),
            counted(workers, "worker"),
        ),
    ]
}
