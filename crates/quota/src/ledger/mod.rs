//! The ledger: the counters of quotas in a file, so that a crash forgets at most what was not flushed yet.
//!
//! It must not know what is counted or why. Only one process at a time uses a folder. Nothing in it is secret, but its
//! owner alone can read it. All of it is synchronous: somebody's thread calls [`Ledger::flush`] once per second. Entry
//! points: [`Ledger::open`], [`Ledger::flush`].

mod file;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, BufReader};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::journal::{self, Contents, State};
use crate::{Counter, Counters};
use file::{Disk, JournalFile};

const JOURNAL: &str = "journal";
/// By how much a file grows beyond twice what it would be anew until it is made anew, in bytes.
const SLACK: u64 = 1024 * 1024;
/// If a file cannot be made anew, but the old one does, it is tried again after so many flushes.
const PAUSE: u32 = 60;

/// Why the ledger could not do what it should.
#[derive(Debug)]
pub enum Error {
    /// Another process uses the folder.
    InUse {
        /// The file that it holds.
        lock: PathBuf,
    },
    /// The system says no.
    Io {
        /// What was tried.
        doing: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// What it says.
        error: io::Error,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::InUse { lock } => {
                write!(f, "another gateway keeps its quotas there: it holds {}", lock.display())
            }
            Error::Io { doing, path, error } => write!(f, "cannot {doing} {}: {error}", path.display()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io { error, .. } => Some(error),
            Error::InUse { .. } => None,
        }
    }
}

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
    file: JournalFile,
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
        Ledger::open_on(file::disk(), folder, max, now_ms)
    }

    fn open_on(disk: Disk, folder: &Path, max: usize, now_ms: i64) -> Result<Opened, Error> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(told("make", folder))?;
        let lock = lock(&folder.join("lock"))?;
        let path = folder.join(JOURNAL);
        let counters = Arc::new(Counters::recorded(max));
        let (file, finding) = match OpenOptions::new().read(true).write(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                (JournalFile::make(disk, &path, &counters).map_err(told("write", &path))?, None)
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
        if self.file.end() > self.file.first_end().saturating_mul(2).saturating_add(self.slack)
            && self.pause == 0
        {
            self.pause = PAUSE;
            self.make_anew(now_ms).map_err(told("make anew", &self.path))?;
            (self.pause, flushed.anew) = (0, true);
        }
        Ok(flushed)
    }

    /// Writes the batch, to a new file if what became of the last one is not certain, and says whether it did.
    fn write(&mut self, now_ms: i64) -> io::Result<bool> {
        if self.file.is_sound() {
            self.file.append(&self.batch)?;
            return Ok(false);
        }
        self.make_anew(now_ms)?;
        Ok(true)
    }

    fn make_anew(&mut self, now_ms: i64) -> io::Result<()> {
        self.counters.drop_ended(now_ms);
        self.file.make_anew(&self.path, &self.counters)
    }
}

/// Reads a file that is there, and goes on with it or with a new one.
fn take_over(
    disk: Disk,
    file: File,
    path: &Path,
    counters: &Counters,
    now_ms: i64,
) -> Result<(JournalFile, Option<Finding>), Error> {
    let length = file.metadata().map_err(told("read", path))?.len();
    let contents: Contents = journal::read(&mut BufReader::new(&file), length, |quota, key, usage| {
        counters.restore(quota, key, usage);
    });
    let Contents { end, records, state, .. } = &contents;
    match state {
        State::Whole => Ok((JournalFile::go_on(disk, file, &contents), None)),
        State::Torn => {
            let finding = Finding::Torn { file: path.to_owned(), bytes: length - end };
            let mut file = JournalFile::go_on(disk, file, &contents);
            file.cut().map_err(told("cut off the end of", path))?;
            Ok((file, Some(finding)))
        }
        State::Damaged(what) => {
            let aside = set_aside(path, now_ms).map_err(told("set aside", path))?;
            let file = JournalFile::make(disk, path, counters).map_err(|error| {
                // The file still has its own name, and will be tried again.
                let _ = fs::remove_file(&aside);
                told("write", path)(error)
            })?;
            let (what, kept) = (what.clone(), *records);
            Ok((file, Some(Finding::Damaged { file: path.to_owned(), aside, what, kept })))
        }
    }
}

/// Gives a file a second name. It loses the first one when another takes its place: at no moment is there none, which a
/// crash would make an empty ledger.
fn set_aside(path: &Path, now_ms: i64) -> io::Result<PathBuf> {
    for number in 0..100 {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".corrupt-{}", now_ms.saturating_add(number)));
        match fs::hard_link(path, &name) {
            Ok(()) => return Ok(name.into()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            // Not every file system can do that.
            Err(_) => {
                fs::copy(path, &name)?;
                File::open(&name)?.sync_all()?;
                return Ok(name.into());
            }
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

fn lock(path: &Path) -> Result<File, Error> {
    let options = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    let file = options.map_err(told("open", path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::InUse { lock: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(told("lock", path)(error)),
    }
}

fn told(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |error| Error::Io { doing, path: path.to_owned(), error }
}
