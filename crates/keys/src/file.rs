//! The file of keys in a folder: taking it over, adding to it, making it anew, and what is left when the disk fails.
//!
//! It must not know what a change means. Only one process at a time has the folder. What was added is on the disk before
//! anybody is told. Everything that can fail on a disk while it is in use goes through [`Disk`], in whose place tests put
//! one that fails. Entry points: [`JournalFile::open`], [`JournalFile::append`].

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, BufReader, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::journal::{self, Condition, Contents, Entry};
use crate::{Id, Key};

/// The name of the file in its folder.
const JOURNAL: &str = "journal";
/// By how much it grows beyond twice what it would be anew until it is made anew, in bytes.
const SLACK: u64 = 1024 * 1024;
/// How much is written at a time, in bytes.
const BATCH: usize = 256 * 1024;

/// Why the file cannot be used, or not be written.
#[derive(Debug)]
pub enum Error {
    /// Another process has the folder.
    InUse(PathBuf),
    /// A later version has written it.
    Newer(PathBuf),
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
            Error::InUse(lock) => {
                write!(f, "another gateway keeps its keys there: it holds {}", lock.display())
            }
            Error::Newer(path) => write!(f, "{} was written by a later version", path.display()),
            Error::Io { doing, path, error } => write!(f, "cannot {doing} {}: {error}", path.display()),
        }
    }
}

impl std::error::Error for Error {}

/// What was wrong with the file.
#[derive(Debug, PartialEq, Eq)]
pub enum Finding {
    /// The last line was written by halves, as by a crash. Nobody was told that it was written, and it was cut off.
    Torn {
        /// The file.
        file: PathBuf,
    },
    /// Some of it cannot be read. It was set aside, and what could be read was kept.
    Damaged {
        /// The file.
        file: PathBuf,
        /// Where it is now.
        aside: PathBuf,
        /// What is wrong with it.
        what: String,
        /// How many keys are left.
        kept: usize,
        /// How many of these were switched off, because what cannot be read may have been about them.
        doubted: usize,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::Torn { file } => {
                write!(f, "the last line of {} was written by halves, and is cut off", file.display())
            }
            Finding::Damaged { file, aside, what, kept, doubted } => write!(
                f,
                "{} is damaged: {what}. It is now {}, and {kept} keys of it are left; those that cannot be read are refused. \
                 {doubted} of those left are switched off, because what cannot be read may have been about them",
                file.display(),
                aside.display(),
            ),
        }
    }
}

/// What is done with the disk.
#[derive(Debug)]
pub(crate) enum Step<'a> {
    /// Writes all bytes where the file is at.
    Write(&'a [u8]),
    /// Waits until all that was written is on the disk.
    Sync,
    /// Cuts off what is behind a place.
    Cut(u64),
}

/// Does a step.
pub(crate) type Disk = Box<dyn FnMut(&mut File, Step<'_>) -> io::Result<()> + Send>;

/// The disk as it is.
pub(crate) fn disk() -> Disk {
    Box::new(|file, step| match step {
        Step::Write(bytes) => file.write_all(bytes),
        Step::Sync => file.sync_data(),
        Step::Cut(end) => file.set_len(end),
    })
}

/// The file of a folder, open for writing.
pub(crate) struct JournalFile {
    disk: Disk,
    path: PathBuf,
    file: File,
    first_end: u64,
    /// What is behind this does not count.
    end: u64,
    /// Whether everything before `end` is on the disk and nothing is behind it, as far as is known.
    sound: bool,
    /// Held for as long as this lives; the system lets go of it when the process ends, however it does.
    _lock: File,
}

impl fmt::Debug for JournalFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JournalFile({}, {} bytes)", self.path.display(), self.end)
    }
}

type Keys = BTreeMap<Id, Arc<Key>>;

impl JournalFile {
    /// Whether a folder has such a file.
    pub(crate) fn exists(folder: &Path) -> bool {
        // A link that leads nowhere is one that cannot be opened, and not none.
        fs::symlink_metadata(folder.join(JOURNAL)).is_ok()
    }

    /// Takes over the file of a folder, or makes both.
    pub(crate) fn open(
        mut disk: Disk,
        folder: &Path,
        now: u64,
    ) -> Result<(JournalFile, Keys, Option<Finding>), Error> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(told("make", folder))?;
        let lock = lock(&folder.join("lock"))?;
        let path = folder.join(JOURNAL);
        let opened = OpenOptions::new().read(true).write(true).open(&path);
        let (file, contents) = match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let keys = Keys::new();
                let (file, end) = make(&mut disk, &path, &keys).map_err(told("write", &path))?;
                let made = JournalFile { disk, path, file, first_end: end, end, sound: true, _lock: lock };
                return Ok((made, keys, None));
            }
            Err(error) => return Err(told("open", &path)(error)),
            Ok(file) => {
                let contents = journal::read(&mut BufReader::new(&file)).map_err(told("read", &path))?;
                (file, contents)
            }
        };
        let Contents { keys, first_end, end, state } = contents;
        let mut taken = JournalFile { disk, path, file, first_end, end, sound: true, _lock: lock };
        let finding = match state {
            Condition::Whole => None,
            Condition::Newer => return Err(Error::Newer(taken.path)),
            Condition::Torn => {
                taken.cut().map_err(told("cut off the end of", &taken.path))?;
                Some(Finding::Torn { file: taken.path.clone() })
            }
            Condition::Damaged { what, doubted } => {
                let aside = set_aside(&taken.path, now).map_err(told("set aside", &taken.path))?;
                if let Err(error) = taken.make_anew(&keys) {
                    // The file still has its own name, and will be tried again.
                    let _ = fs::remove_file(&aside);
                    return Err(told("write", &taken.path)(error));
                }
                let (file, kept) = (taken.path.clone(), keys.len());
                Some(Finding::Damaged { file, aside, what, kept, doubted })
            }
        };
        Ok((taken, keys, finding))
    }

    /// Adds a change to what there is of these keys. If it fails, the change did not happen.
    pub(crate) fn append(&mut self, entry: &Entry, keys: &Keys) -> Result<(), Error> {
        if !self.sound {
            // What became of the last change is not certain: it must not come back.
            self.make_anew(keys).map_err(told("write", &self.path))?;
        }
        let line = journal::line(entry);
        self.try_append(line.as_bytes()).map_err(told("write", &self.path))?;
        self.end += line.len() as u64;
        Ok(())
    }

    fn try_append(&mut self, line: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.end))?;
        if let Err(error) = (self.disk)(&mut self.file, Step::Write(line)) {
            self.sound = self.cut().is_ok();
            return Err(error);
        }
        if let Err(error) = (self.disk)(&mut self.file, Step::Sync) {
            // The system may forget what it could not write, and say later that all is well.
            self.sound = false;
            let _ = self.cut();
            return Err(error);
        }
        Ok(())
    }

    /// Makes the file anew if it has grown a lot. If that fails, the old one goes on, and grows further before it is tried
    /// again.
    pub(crate) fn tidy(&mut self, keys: &Keys) {
        if self.end > self.first_end.saturating_mul(2).saturating_add(SLACK) && self.make_anew(keys).is_err()
        {
            self.first_end = self.end;
        }
    }

    fn make_anew(&mut self, keys: &Keys) -> io::Result<()> {
        self.sound = false;
        let (file, end) = make(&mut self.disk, &self.path, keys)?;
        (self.file, self.first_end, self.end, self.sound) = (file, end, end, true);
        Ok(())
    }

    /// Cuts off what does not count, so that it cannot be taken for a part of what is added.
    fn cut(&mut self) -> io::Result<()> {
        (self.disk)(&mut self.file, Step::Cut(self.end))?;
        (self.disk)(&mut self.file, Step::Sync)
    }
}

/// Makes a file beside its place, with these keys, makes it durable, and moves it there. Says how long it is.
fn make(disk: &mut Disk, path: &Path, keys: &Keys) -> io::Result<(File, u64)> {
    let beside = path.with_extension("new");
    // A crash may have left one behind.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&beside)?;
    let made = fill(disk, &mut file, keys).and_then(|end| {
        fs::rename(&beside, path)?;
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())?;
        Ok(end)
    });
    if made.is_err() {
        // It holds room that may be what is missing. What failed before says more than this could.
        let _ = fs::remove_file(&beside);
    }
    Ok((file, made?))
}

fn fill(disk: &mut Disk, file: &mut File, keys: &Keys) -> io::Result<u64> {
    let mut batch = journal::head(0);
    let head = batch.len() as u64;
    let mut end = 0;
    for key in keys.values() {
        batch.push_str(&journal::line(&Entry::Put(Arc::clone(key))));
        if batch.len() >= BATCH {
            disk(file, Step::Write(batch.as_bytes()))?;
            end += batch.len() as u64;
            batch.clear();
        }
    }
    disk(file, Step::Write(batch.as_bytes()))?;
    end += batch.len() as u64;
    file.seek(SeekFrom::Start(0))?;
    disk(file, Step::Write(journal::head(end - head).as_bytes()))?;
    disk(file, Step::Sync)?;
    Ok(end)
}

/// Gives a file a second name. It loses the first one when another takes its place: at no moment is there none.
fn set_aside(path: &Path, now: u64) -> io::Result<PathBuf> {
    for number in 0..100 {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".corrupt-{}", now.saturating_add(number)));
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
        Err(TryLockError::WouldBlock) => Err(Error::InUse(path.to_owned())),
        Err(TryLockError::Error(error)) => Err(told("lock", path)(error)),
    }
}

fn told(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |error| Error::Io { doing, path, error }
}
