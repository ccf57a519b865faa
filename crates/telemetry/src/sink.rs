//! Where lines of the access log go, and how they get there without anybody waiting.
//!
//! Each worker appends to a buffer of its own. A full buffer, or one whose time has come, goes to the writer's
//! thread (`writer.rs`) and comes back empty. A worker has [`BUFFERS`] of them: when all are on their way because
//! the sink is slow, lines are dropped and counted. Nothing is allocated once the buffers are there.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc;

use crate::line::{LONGEST, Line, TimeText};
use crate::target::{LogCounts, Target};
use crate::writer::{self, Job, Writer};

/// A buffer with so many bytes leaves: one write of this size costs hardly more than a small one.
const FULL: usize = 64 * 1024;
/// Buffers of one worker. Together they hold some seven thousand lines: a tenth of a second of all that a core can
/// serve, for a writer that has to wait for its turn.
const BUFFERS: usize = 32;

/// An open sink. Its thread ends when it and all its buffers are gone.
#[derive(Debug)]
pub struct Sink {
    target: Target,
    queue: SyncSender<Job>,
    counts: Arc<LogCounts>,
    /// Disconnected when the writer has ended.
    ended: Receiver<()>,
}

impl Sink {
    /// Opens a target and starts its writer. `trouble` is told what an operator should know, in a line.
    ///
    /// # Errors
    /// The file cannot be opened, or the system refuses a thread.
    pub fn open(
        target: Target,
        workers: usize,
        counts: Arc<LogCounts>,
        trouble: mpsc::Sender<String>,
    ) -> std::io::Result<Sink> {
        // Room for every buffer there is, and for orders to reopen: sending never fails for want of room.
        let (queue, jobs) = sync_channel(workers * BUFFERS + 8);
        let (alive, ended) = sync_channel(1);
        let writer = Writer::open(target.clone(), Arc::clone(&counts), trouble)?;
        std::thread::Builder::new().name("access-log".to_owned()).spawn(move || {
            writer::run(writer, &jobs);
            drop(alive);
        })?;
        Ok(Sink { target, queue, counts, ended })
    }

    /// Where it writes to.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Opens the file anew, after it was moved away. Lines that were handed over before go to the old one.
    pub fn reopen(&self) {
        // A queue that is full of such orders already will do it.
        let _ = self.queue.try_send(Job::Reopen);
    }

    /// A buffer for one worker.
    pub fn buffer(&self) -> LogBuffer {
        let (home, returned) = sync_channel(BUFFERS);
        LogBuffer {
            bytes: Vec::new(),
            lines: 0,
            unmade: BUFFERS,
            home,
            returned,
            queue: self.queue.clone(),
            counts: Arc::clone(&self.counts),
            time: TimeText::default(),
        }
    }

    /// Waits until everything that was handed over is written, for at most `limit`: a sink that takes nothing does
    /// not keep a process from ending. The buffers of all workers must be gone.
    pub fn close(self, limit: Duration) {
        let Sink { queue, ended, .. } = self;
        drop(queue);
        // An error is the end of the writer; a timeout is a sink that does not take its lines.
        let _ = ended.recv_timeout(limit);
    }
}

/// The lines of one worker that are not written yet.
#[derive(Debug)]
pub struct LogBuffer {
    bytes: Vec<u8>,
    lines: u64,
    /// Buffers that were never needed so far.
    unmade: usize,
    home: SyncSender<Vec<u8>>,
    returned: Receiver<Vec<u8>>,
    queue: SyncSender<Job>,
    counts: Arc<LogCounts>,
    time: TimeText,
}

impl LogBuffer {
    /// Takes in a line. Never waits; a line that finds no room is dropped and counted.
    pub fn add(&mut self, time: SystemTime, line: &Line<'_>) {
        if self.bytes.capacity() == 0 && !self.take_empty() {
            return self.counts.lost(1);
        }
        line.write(time, &mut self.time, &mut self.bytes);
        self.lines += 1;
        if self.bytes.len() >= FULL {
            self.flush();
        }
    }

    /// Hands over what there is.
    pub fn flush(&mut self) {
        if self.lines == 0 {
            return;
        }
        let (bytes, lines) = (std::mem::take(&mut self.bytes), std::mem::take(&mut self.lines));
        let job = Job::Write { bytes, lines, home: self.home.clone() };
        if self.queue.try_send(job).is_err() {
            // The writer's thread has died; it has said why.
            self.counts.lost(lines);
            self.unmade += 1;
        }
    }

    /// An empty buffer: one that came back, or a new one.
    fn take_empty(&mut self) -> bool {
        match self.returned.try_recv() {
            Ok(bytes) => self.bytes = bytes,
            Err(TryRecvError::Empty | TryRecvError::Disconnected) if self.unmade > 0 => {
                self.unmade -= 1;
                self.bytes = Vec::with_capacity(FULL + LONGEST);
            }
            Err(_) => return false,
        }
        true
    }
}

impl Drop for LogBuffer {
    fn drop(&mut self) {
        self.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Record;
    use std::time::Instant;

    fn line(record: &Record) -> Line<'_> {
        Line {
            request_id: "0123456789abcdef",
            client: "192.0.2.1",
            method: b"GET",
            host: b"a.test",
            path: b"/orders/42",
            route: "orders",
            service: "orders",
            endpoint: "192.0.2.2:80",
            total: Duration::from_millis(1),
            tls: "",
            server_name: "",
            client_certificate: "",
            client_names: &[],
            consumer: "",
            subject: "",
            auth: "",
            answered_by: ("", ""),
            record,
        }
    }

    #[test]
    fn lines_reach_the_file_whole_and_in_order() {
        let folder = std::env::temp_dir().join(format!("gateward-sink-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("access.log");
        let (trouble, _told) = mpsc::channel(8);
        let counts = Arc::<LogCounts>::default();
        let sink = Sink::open(Target::File(path.clone()), 1, Arc::clone(&counts), trouble).unwrap();
        let mut buffer = sink.buffer();
        let mut record = Record::begin(Instant::now());
        for number in 0..1500 {
            record.received = number;
            buffer.add(SystemTime::now(), &line(&record));
            if number == 700 {
                buffer.flush();
            }
        }
        drop(buffer);
        sink.close(Duration::from_secs(10));
        let text = std::fs::read_to_string(&path).unwrap();
        let (written, dropped) = counts.counts();
        assert_eq!((written, dropped), (1500, 0));
        assert_eq!(text.lines().count() as u64, written);
        assert!(text.lines().all(|line| line.starts_with('{') && line.ends_with('}')));
        let numbers = text.lines().map(|line| line.split("\"bytes_in\":").nth(1).unwrap());
        let numbers: Vec<u64> =
            numbers.map(|rest| rest.split(',').next().unwrap().parse().unwrap()).collect();
        assert!(numbers.into_iter().eq(0..1500));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_writer_that_does_not_write_costs_lines_and_bounded_memory() {
        let (queue, jobs) = sync_channel(BUFFERS + 8);
        let (home, returned) = sync_channel(BUFFERS);
        let counts = Arc::<LogCounts>::default();
        let mut buffer = LogBuffer {
            bytes: Vec::new(),
            lines: 0,
            unmade: BUFFERS,
            home,
            returned,
            queue,
            counts: Arc::clone(&counts),
            time: TimeText::default(),
        };
        let record = Record::begin(Instant::now());
        for _ in 0..20_000 {
            buffer.add(SystemTime::now(), &line(&record));
        }
        let (_, dropped) = counts.counts();
        assert!(dropped > 5_000, "{dropped}");
        // The writer wakes up, and lines are taken again.
        for _ in 0..BUFFERS {
            let Ok(Job::Write { mut bytes, home, .. }) = jobs.try_recv() else {
                panic!("a buffer is missing")
            };
            bytes.clear();
            home.try_send(bytes).unwrap();
        }
        buffer.add(SystemTime::now(), &line(&record));
        assert_eq!(counts.counts().1, dropped);
    }
}
