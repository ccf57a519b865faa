//! Lines for the operator while a gateway runs.
//!
//! They go to standard error on a thread of their own: should nobody read them until the pipe is full, reloads,
//! signals and the admin listener go on. Entry point: [`Operator::begin`].

use std::rc::Rc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use control::Report;

use crate::output;

/// Lines that may wait to be written; further ones are lost.
const QUEUE: usize = 256;
/// How long what is left may take at the end.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Where lines for the operator go.
pub(crate) struct Operator {
    queue: SyncSender<String>,
    /// Disconnected when the last line is written.
    ended: Receiver<()>,
}

impl Operator {
    /// Starts the thread. Without one, lines are written at once.
    pub(crate) fn begin() -> Operator {
        let (queue, lines) = sync_channel::<String>(QUEUE);
        let (alive, ended) = sync_channel(1);
        let write = move || {
            while let Ok(line) = lines.recv() {
                output::note(&line);
            }
            drop(alive);
        };
        // A system that refuses a thread will refuse the workers too, and that is reported.
        let _ = std::thread::Builder::new().name("operator".to_owned()).spawn(write);
        Operator { queue, ended }
    }

    /// Says a line as it is.
    pub(crate) fn say(&self, line: impl Into<String>) {
        say(&self.queue, line.into());
    }

    /// For those who report while they work.
    pub(crate) fn report(&self) -> Report {
        let queue = self.queue.clone();
        Rc::new(move |text| say(&queue, format!("gateward: {text}")))
    }

    /// Waits until everything is written, for a moment. Every [`Report`] must be gone.
    pub(crate) fn end(self) {
        drop(self.queue);
        // An error is the end of the thread; a timeout is a standard error that nobody reads.
        let _ = self.ended.recv_timeout(LAST_LINES);
    }
}

fn say(queue: &SyncSender<String>, line: String) {
    if let Err(TrySendError::Disconnected(line)) = queue.try_send(line) {
        output::note(&line);
    }
}
