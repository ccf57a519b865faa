//! Keeps what is used up of quotas in the state folder.
//!
//! The ledger is opened when a configuration first has quotas and a state folder, and written once per second on a
//! thread of its own, because the disk may be slow. It stays open over reloads. Entry points: [`QuotaLedger::plan`],
//! [`QuotaLedger::adopt`], [`QuotaLedger::stop`].

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use policy::Quotas;
use quota::{Counters, Ledger, Opened};
use snapshot::Snapshot;
use telemetry::Metrics;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::gateway::Report;

/// The folder of the ledger, in the state folder.
const FOLDER: &str = "quota";
/// Between two flushes: what a crash may forget.
const FLUSH: Duration = Duration::from_secs(1);
/// For how long the end waits for the last flush.
const LAST: Duration = Duration::from_secs(5);

/// Why what is used up cannot be kept.
#[derive(Debug)]
pub enum QuotaError {
    /// The state folder is not there.
    NoFolder(PathBuf),
    /// The ledger cannot be used.
    Ledger(quota::Error),
}

impl std::fmt::Display for QuotaError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            QuotaError::NoFolder(folder) => write!(
                out,
                "the folder `state_dir: {0}` does not exist, and what is used up of quotas is kept there\n  Create it \
                 for the user that runs the gateway: install -d -m 700 -o USER {0}",
                folder.display()
            ),
            QuotaError::Ledger(error @ quota::Error::InUse { .. }) => write!(
                out,
                "{error}\n  Wait until it has ended, or give each gateway a `state_dir` of its own."
            ),
            QuotaError::Ledger(error) => write!(
                out,
                "what is used up of quotas cannot be kept: {error}\n  The user that runs the gateway must be allowed to \
                 make and change files there, or name another `state_dir`."
            ),
        }
    }
}

impl std::error::Error for QuotaError {}

/// The ledger of a gateway, once it has one.
pub(crate) struct QuotaLedger {
    metrics: Arc<Metrics>,
    report: Report,
    open: Option<Writer>,
}

impl std::fmt::Debug for QuotaLedger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QuotaLedger").field("open", &self.open.is_some()).finish_non_exhaustive()
    }
}

struct Writer {
    folder: PathBuf,
    end: oneshot::Sender<()>,
    work: JoinHandle<()>,
}

/// A ledger that a snapshot needs, and that is not in use yet.
pub(crate) struct Planned {
    folder: PathBuf,
    opened: Opened,
}

impl QuotaLedger {
    /// None yet.
    pub(crate) fn new(metrics: Arc<Metrics>, report: &Report) -> QuotaLedger {
        QuotaLedger { metrics, report: Rc::clone(report), open: None }
    }

    /// Opens the ledger, if the snapshot needs one and it is not open.
    ///
    /// # Errors
    /// It cannot be used: then nothing has changed.
    pub(crate) fn plan(&self, snapshot: &Snapshot) -> Result<Option<Planned>, QuotaError> {
        let Some(state) = snapshot.state_dir.as_deref().filter(|_| snapshot.has_quotas()) else {
            return Ok(None);
        };
        if self.open.as_ref().is_some_and(|open| open.folder == state) {
            return Ok(None);
        }
        if !state.exists() {
            return Err(QuotaError::NoFolder(state.to_owned()));
        }
        let opened =
            Ledger::open(&state.join(FOLDER), Quotas::MOST_COUNTERS, now()).map_err(QuotaError::Ledger)?;
        if let Some(finding) = &opened.finding {
            (self.report)(finding.to_string());
            if matches!(finding, quota::Finding::Damaged { .. }) {
                self.metrics.quotas().damaged();
            }
        }
        Ok(Some(Planned { folder: state.to_owned(), opened }))
    }

    /// Counts in the ledger from now on.
    pub(crate) async fn adopt(&mut self, snapshot: &Snapshot, planned: Option<Planned>) {
        let Some(Planned { folder, opened }) = planned else { return };
        snapshot.providers.quotas().keep_in(&opened.counters);
        let (end, ends) = oneshot::channel();
        let writing =
            write(opened.ledger, opened.counters, Arc::clone(&self.metrics), self.report.clone(), ends);
        let before = self.open.replace(Writer { folder, end, work: tokio::task::spawn_local(writing) });
        finish(before).await;
    }

    /// Writes for the last time. Nobody counts any more.
    pub(crate) async fn stop(&mut self) {
        finish(self.open.take()).await;
    }
}

async fn finish(writer: Option<Writer>) {
    let Some(Writer { end, work, .. }) = writer else { return };
    drop(end);
    // A disk that hangs does not keep the process.
    _ = tokio::time::timeout(LAST, work).await;
}

/// Flushes once per second, and once more when it ends.
async fn write(
    mut ledger: Ledger,
    counters: Arc<Counters>,
    metrics: Arc<Metrics>,
    report: Report,
    mut ends: oneshot::Receiver<()>,
) {
    let mut failing = false;
    loop {
        let is_last = tokio::select! {
            _ = &mut ends => true,
            () = tokio::time::sleep(FLUSH) => false,
        };
        let flush = tokio::task::spawn_blocking(move || {
            let flushed = ledger.flush(now());
            (ledger, flushed)
        });
        let Ok((back, flushed)) = flush.await else {
            report("writing the ledger of quotas has failed: this is a bug of Gateward. What is used up from now on is \
                    forgotten at a restart".to_owned());
            return;
        };
        ledger = back;
        let was_failing = std::mem::replace(&mut failing, flushed.is_err());
        metrics.quotas().flushed(flushed.is_ok(), counters.len());
        match flushed {
            Ok(_) if was_failing => report("what is used up of quotas can be written down again".to_owned()),
            Err(error) if !was_failing => report(format!(
                "what is used up of quotas cannot be written down, and is forgotten if the gateway ends now: {error}"
            )),
            _ => {}
        }
        if is_last {
            return;
        }
    }
}

/// In milliseconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
