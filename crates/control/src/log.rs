//! The access log across snapshots: one sink, which stays open as long as its target stays the same.

use std::time::Duration;

use telemetry::{LogBuffer, Metrics, Sink, Target};
use tokio::sync::mpsc;

/// How long what is left may take to be written when a sink is closed.
const CLOSE: Duration = Duration::from_secs(1);

/// Why an access log could not be opened.
#[derive(Debug)]
pub struct LogError {
    target: Target,
    error: std::io::Error,
}

impl std::fmt::Display for LogError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "the access log {} cannot be opened: {}", self.target, self.error)?;
        match self.error.kind() {
            std::io::ErrorKind::NotFound => {
                write!(out, "\n  Its folder must exist: create it, or name another file.")
            }
            std::io::ErrorKind::PermissionDenied => {
                write!(out, "\n  The user that runs the gateway must be allowed to write there.")
            }
            _ => Ok(()),
        }
    }
}

/// Opens the sink for a target.
pub(crate) fn open(
    target: &Target,
    metrics: &Metrics,
    trouble: &mpsc::Sender<String>,
) -> Result<Sink, LogError> {
    Sink::open(target.clone(), metrics.workers(), std::sync::Arc::clone(metrics.log()), trouble.clone())
        .map_err(|error| LogError { target: target.clone(), error })
}

/// A buffer for each worker.
pub(crate) fn buffers(sink: Option<&Sink>, workers: usize) -> Vec<Option<LogBuffer>> {
    (0..workers).map(|_| sink.map(Sink::buffer)).collect()
}

/// Waits until a sink has written what it was given, and closes it.
pub(crate) async fn close(sink: Sink) {
    // The thread that waits may be given up; then it ends with the process.
    let _ = tokio::task::spawn_blocking(move || sink.close(CLOSE)).await;
}
