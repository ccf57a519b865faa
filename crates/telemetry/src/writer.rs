//! The thread that writes the access log. It alone touches the sink, and it alone may wait for it.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::target::{LogCounts, Target};

/// Between two lines to the operator about a sink that fails.
const PAUSE: Duration = Duration::from_secs(10);
/// How long a pipe that does not wait by itself is left alone before the next try.
const RETRY: Duration = Duration::from_millis(10);

/// What a writer is to do.
#[derive(Debug)]
pub(crate) enum Job {
    /// Write these lines, and send the empty buffer home.
    Write { bytes: Vec<u8>, lines: u64, home: SyncSender<Vec<u8>> },
    /// Open the file anew.
    Reopen,
}

/// A sink that is open.
pub(crate) struct Writer {
    target: Target,
    file: File,
    counts: Arc<LogCounts>,
    trouble: mpsc::Sender<String>,
    said: Option<Instant>,
    lost: u64,
    /// The last write ended within a line, and the rest of it is not there.
    is_torn: bool,
}

impl Writer {
    pub(crate) fn open(
        target: Target,
        counts: Arc<LogCounts>,
        trouble: mpsc::Sender<String>,
    ) -> std::io::Result<Writer> {
        let file = open(&target)?;
        Ok(Writer { target, file, counts, trouble, said: None, lost: 0, is_torn: false })
    }

    fn reopen(&mut self) {
        match open(&self.target) {
            Ok(file) => {
                self.file = file;
                self.is_torn = false;
            }
            // The old one is better than none.
            Err(error) => self.tell(&format!("access log: {} cannot be reopened: {error}", self.target)),
        }
    }

    /// Writes whole lines. What cannot be written is lost and counted; the next lines get their own try.
    fn write(&mut self, bytes: &[u8], lines: u64) {
        if self.is_torn && !self.write_all(b"\n").1 {
            return self.lose(lines);
        }
        let (written, is_whole) = self.write_all(bytes);
        if is_whole {
            self.is_torn = false;
            self.counts.wrote(lines);
            return;
        }
        let done = bytes.get(..written).unwrap_or_default();
        let whole = done.iter().filter(|b| **b == b'\n').count() as u64;
        self.counts.wrote(whole);
        let torn = written - done.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        self.is_torn = torn > 0 && !self.cut(torn as u64);
        self.lose(lines.saturating_sub(whole));
    }

    /// Takes the beginning of a line back from the end of a file.
    fn cut(&self, torn: u64) -> bool {
        // Others may write to standard output too.
        let Target::File(_) = self.target else { return false };
        let Ok(length) = self.file.metadata().map(|metadata| metadata.len()) else { return false };
        self.file.set_len(length.saturating_sub(torn)).is_ok()
    }

    fn lose(&mut self, lines: u64) {
        self.counts.lost(lines);
        self.lost += lines;
    }

    /// How much was written, and whether it was all. Says why not.
    fn write_all(&mut self, mut bytes: &[u8]) -> (usize, bool) {
        let length = bytes.len();
        while !bytes.is_empty() {
            match self.file.write(bytes) {
                Ok(0) => return (length - bytes.len(), false),
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::park_timeout(RETRY),
                Err(error) => {
                    self.tell(&format!("access log: lines to {} are lost: {error}", self.target));
                    return (length - bytes.len(), false);
                }
            }
        }
        (length, true)
    }

    /// Tells the operator, but not again and again.
    fn tell(&mut self, text: &str) {
        if self.said.is_some_and(|said| said.elapsed() < PAUSE) {
            return;
        }
        let text = match std::mem::take(&mut self.lost) {
            0 => text.to_owned(),
            lost => format!("{text} ({lost} before this)"),
        };
        // With its queue full the operator has enough to read.
        let _ = self.trouble.try_send(text);
        self.said = Some(Instant::now());
    }
}

fn open(target: &Target) -> std::io::Result<File> {
    match target {
        // A descriptor of our own: that of the standard library has a buffer, which would hold lines back.
        Target::Stdout => Ok(File::from(std::io::stdout().as_fd().try_clone_to_owned()?)),
        Target::File(path) => {
            // A named pipe without a reader would keep us waiting; opened for reading too, it does not (fifo(7)).
            let is_pipe = std::fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo());
            OpenOptions::new().read(is_pipe).append(true).create(!is_pipe).open(path)
        }
    }
}

/// Writes until nobody can send any more.
pub(crate) fn run(mut writer: Writer, jobs: &Receiver<Job>) {
    while let Ok(job) = jobs.recv() {
        match job {
            Job::Write { mut bytes, lines, home } => {
                writer.write(&bytes, lines);
                bytes.clear();
                // A worker that has ended needs no buffer.
                let _ = home.try_send(bytes);
            }
            Job::Reopen => writer.reopen(),
        }
    }
}
