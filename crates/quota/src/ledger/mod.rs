//! The ledger: the counters of quotas in a file, so that a crash forgets at most what was not flushed yet.
//!
//! It must not know what is counted or why. Only one process at a time uses a folder. Nothing in it is secret, but its
//! owner alone can read it. All of it is synchronous: somebody's thread calls [`Ledger::flush`] once per second. Entry
//! points: [`Ledger::open`], [`Ledger::flush`].

mod file;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use durable::{AppendFile, Disk, Error, told};

use crate::journal::{self, Contents, State};
use crate::{Counter, Counters};

const JOURNAL: &str = "journal";
/// By how much a file grows beyond twice what it would be anew until it is made anew, in bytes.
const SLACK: u64 = 1024 * 1024;
/// If a file cannot be made anew, but the old one does, it is tried again after so many flushes.
const PAUSE: u32 = 60;

/// What was wrong with a file that was read.
#[derive(Debug, PartialEq, Eq)]
pub enum Finding {
    /// The end of what was written last is missing, as after a crash. It was cut off: that is normal.
    Torn {
        /// The file.
        file: PathBuf,
        /// How many bytes were cut off.
        bytes: u64,
    },
    /// The file is damaged and was set aside. What could be read was kept: counts may be too low.
    Damaged {
        /// The file.
        file: PathBuf,
        /// Where it is now.
        aside: PathBuf,
        /// What is wrong with it.
        what: String,
        /// How many of its records could be read.
        kept: usize,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::Torn { file, bytes } => {
                write!(
                    f,
                    "the last {bytes} bytes of {} were written by halves and are cut off",
                    file.display()
                )
            }
            Finding::Damaged { file, aside, what, kept } => write!(
                f,
                "{} is damaged: {what}. It is now {}; {kept} records of it were kept, and counts of quotas may be too low",
                file.display(),
                aside.display()
            ),
        }
    }
}

/// What a flush has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flushed {
    /// How many counters had changed and are on the disk now.
    pub counters: usize,
    /// Whether the file was made anew.
    pub anew: bool,
}

/// The ledger of a folder, and what stood in it.
#[derive(Debug)]
pub struct Opened {
    /// Writes what changes.
    pub ledger: Ledger,
    /// What is used up.
    pub counters: Arc<Counters>,
    /// What was wrong.
    pub finding: Option<Finding>,
}

/// Writes counters to the file of a folder.
#[derive(Debug)]
pub struct Ledger {
    counters: Arc<Counters>,
    path: PathBuf,
    file: AppendFile,
    /// What has changed and is being written. It is kept for its room.
    batch: Vec<Arc<Counter>>,
    /// For so many flushes the file is not made anew because it has grown.
    pause: u32,
    slack: u64,
    /// Held for as long as this lives; the system lets go of it when the process ends, however it does.
    _lock: File,
}

impl Ledger {
    /// Reads the ledger of a folder, which is made if need be. There will be at most `max` counters, or as many as stand
    /// in the ledger if those are more. Periods that ended long before `now_ms` are left out.
    ///
    /// # Errors
    /// Another process uses the folder, the file cannot be opened, or a new one cannot be written in place of none or of a
    /// damaged one. Then nothing was lost.
    pub fn open(folder: &Path, max: usize, now_ms: i64) -> Result<Opened, Error> {
        Ledger::open_on(durable::disk(), folder, max, now_ms)
    }

    fn open_on(disk: Disk, folder: &Path, max: usize, now_ms: i64) -> Result<Opened, Error> {
        let lock = durable::claim(folder, "quotas")?;
        let path = folder.join(JOURNAL);
        let counters = Arc::new(Counters::recorded(max));
        let (file, finding) = match OpenOptions::new().read(true).write(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                (file::make(disk, path.clone(), &counters).map_err(told("write", &path))?, None)
            }
            Err(error) => return Err(told("open", &path)(error)),
            Ok(file) => take_over(disk, file, &path, &counters, now_ms)?,
        };
        counters.drop_ended(now_ms);
        let batch = Vec::new();
        let ledger = Ledger {
            counters: Arc::clone(&counters),
            path,
            file,
            batch,
            pause: 0,
            slack: SLACK,
            _lock: lock,
        };
        Ok(Opened { ledger, counters, finding })
    }

    /// Writes what has changed since the last flush, and waits until it is on the disk. To be called once per second, and
    /// once more at the end. What is not flushed yet is what a crash forgets. It also makes room for new counters.
    ///
    /// # Errors
    /// It could not be written: the disk is full, or broken. Counting goes on, and the next flush tries again with all that
    /// is not on the disk. If only making the file anew has failed, everything is on the disk, in a file that grows.
    pub fn flush(&mut self, now_ms: i64) -> Result<Flushed, Error> {
        self.counters.sweep(now_ms);
        self.counters.changed(&mut self.batch);
        // What changes from here on is written again by the next flush, whether or not this one has seen it.
        self.batch.iter().for_each(|counter| counter.clear_changed());
        let written = self.write(now_ms);
        let mut flushed = Flushed { counters: self.batch.len(), ..Flushed::default() };
        for counter in self.batch.drain(..) {
            if written.is_err() {
                self.counters.not_written(&counter, now_ms);
            }
        }
        flushed.anew = written.map_err(told("write", &self.path))?;
        self.pause = self.pause.saturating_sub(1);
        if self.file.has_grown(self.slack) && self.pause == 0 {
            self.pause = PAUSE;
            self.make_anew(now_ms).map_err(told("make anew", &self.path))?;
            (self.pause, flushed.anew) = (0, true);
        }
        Ok(flushed)
    }

    /// Writes the batch, to a new file if what became of the last one is not certain, and says whether it did.
    fn write(&mut self, now_ms: i64) -> io::Result<bool> {
        if self.file.is_sound() {
            file::append(&mut self.file, &self.batch)?;
            return Ok(false);
        }
        self.make_anew(now_ms)?;
        Ok(true)
    }

    fn make_anew(&mut self, now_ms: i64) -> io::Result<()> {
        self.counters.drop_ended(now_ms);
        file::make_anew(&mut self.file, &self.counters)
    }
}

/// Reads a file that is there, and goes on with it or with a new one.
fn take_over(
    disk: Disk,
    file: File,
    path: &Path,
    counters: &Counters,
    now_ms: i64,
) -> Result<(AppendFile, Option<Finding>), Error> {
    let length = file.metadata().map_err(told("read", path))?.len();
    let contents: Contents = journal::read(&mut BufReader::new(&file), length, |quota, key, usage| {
        counters.restore(quota, key, usage);
    });
    let Contents { first_end, end, records, state } = contents;
    let go_on = |disk, file| AppendFile::go_on(disk, path.to_owned(), file, (first_end, end));
    match state {
        State::Whole => Ok((go_on(disk, file), None)),
        State::Torn => {
            let finding = Finding::Torn { file: path.to_owned(), bytes: length - end };
            let mut file = go_on(disk, file);
            file.cut().map_err(told("cut off the end of", path))?;
            Ok((file, Some(finding)))
        }
        State::Damaged(what) => {
            let aside = durable::set_aside(path, u64::try_from(now_ms).unwrap_or(0))
                .map_err(told("set aside", path))?;
            let file = file::make(disk, path.to_owned(), counters).map_err(|error| {
                // The file still has its own name, and will be tried again.
                let _ = fs::remove_file(&aside);
                told("write", path)(error)
            })?;
            let kept = records;
            Ok((file, Some(Finding::Damaged { file: path.to_owned(), aside, what, kept })))
        }
    }
}
