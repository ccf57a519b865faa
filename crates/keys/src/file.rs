//! The file of keys in a folder: taking it over, adding to it, making it anew.
//!
//! It must not know what a change means, nor what is left when the disk fails. What was added is on the disk before anybody
//! is told. Entry points: [`JournalFile::open`], [`JournalFile::append`].

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use durable::{AppendFile, Disk, Pen, told};

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
    /// A later version has written it.
    Newer(PathBuf),
    /// Another process has the folder, or the system says no.
    File(durable::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Newer(path) => write!(f, "{} was written by a later version", path.display()),
            Error::File(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

impl From<durable::Error> for Error {
    fn from(error: durable::Error) -> Error {
        Error::File(error)
    }
}

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

/// The file of a folder, open for writing.
#[derive(Debug)]
pub(crate) struct JournalFile {
    path: PathBuf,
    file: AppendFile,
    /// Held for as long as this lives; the system lets go of it when the process ends, however it does.
    _lock: File,
}

type Keys = BTreeMap<Id, Arc<Key>>;

impl JournalFile {
    /// Whether a folder has such a file, as far as can be told. A folder that may not be looked into has one that cannot
    /// be opened, and not none; so does a link that leads nowhere.
    pub(crate) fn exists(folder: &Path) -> bool {
        !matches!(fs::symlink_metadata(folder.join(JOURNAL)), Err(error) if error.kind() == io::ErrorKind::NotFound)
    }

    /// Takes over the file of a folder, or makes both.
    pub(crate) fn open(
        disk: Disk,
        folder: &Path,
        now: u64,
    ) -> Result<(JournalFile, Keys, Option<Finding>), Error> {
        let lock = durable::claim(folder, "keys")?;
        let path = folder.join(JOURNAL);
        let opened = OpenOptions::new().read(true).write(true).open(&path);
        let (file, contents) = match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let keys = Keys::new();
                let file = AppendFile::make(disk, path.clone(), head, |pen| fill(pen, &keys));
                let file = file.map_err(told("write", &path))?;
                return Ok((JournalFile { path, file, _lock: lock }, keys, None));
            }
            Err(error) => return Err(told("open", &path)(error).into()),
            Ok(file) => {
                let contents = journal::read(&mut BufReader::new(&file)).map_err(told("read", &path))?;
                (file, contents)
            }
        };
        let Contents { keys, first_end, end, state } = contents;
        let file = AppendFile::go_on(disk, path.clone(), file, (first_end, end));
        let mut taken = JournalFile { path, file, _lock: lock };
        let finding = match state {
            Condition::Whole => None,
            Condition::Newer => return Err(Error::Newer(taken.path)),
            Condition::Torn => {
                taken.file.cut().map_err(told("cut off the end of", &taken.path))?;
                Some(Finding::Torn { file: taken.path.clone() })
            }
            Condition::Damaged { what, doubted } => {
                let aside = durable::set_aside(&taken.path, now).map_err(told("set aside", &taken.path))?;
                if let Err(error) = taken.make_anew(&keys) {
                    // The file still has its own name, and will be tried again.
                    let _ = fs::remove_file(&aside);
                    return Err(told("write", &taken.path)(error).into());
                }
                let (file, kept) = (taken.path.clone(), keys.len());
                Some(Finding::Damaged { file, aside, what, kept, doubted })
            }
        };
        Ok((taken, keys, finding))
    }

    /// Adds a change to what there is of these keys. If it fails, the change did not happen.
    pub(crate) fn append(&mut self, entry: &Entry, keys: &Keys) -> Result<(), Error> {
        if !self.file.is_sound() {
            // What became of the last change is not certain: it must not come back.
            self.make_anew(keys).map_err(told("write", &self.path))?;
        }
        let line = journal::line(entry);
        self.file.append(|pen| pen.write(line.as_bytes())).map_err(told("write", &self.path))?;
        Ok(())
    }

    /// Makes the file anew if it has grown a lot. If that fails, the old one goes on, and grows further before it is tried
    /// again.
    pub(crate) fn tidy(&mut self, keys: &Keys) {
        if self.file.has_grown(SLACK) && self.make_anew(keys).is_err() {
            self.file.grow_on();
        }
    }

    fn make_anew(&mut self, keys: &Keys) -> io::Result<()> {
        self.file.make_anew(head, |pen| fill(pen, keys))
    }
}

/// The head of a file that ends at a place.
fn head(end: u64) -> Vec<u8> {
    // It says how much stands behind it, and is always as long.
    let own = journal::head(0).len() as u64;
    journal::head(end.saturating_sub(own)).into_bytes()
}

fn fill(pen: &mut Pen<'_>, keys: &Keys) -> io::Result<()> {
    let mut batch = String::new();
    for key in keys.values() {
        batch.push_str(&journal::line(&Entry::Put(Arc::clone(key))));
        if batch.len() >= BATCH {
            pen.write(batch.as_bytes())?;
            batch.clear();
        }
    }
    pen.write(batch.as_bytes())
}
