//! Files of the state folder that survive a crash: one process at a time adds to them and makes them anew.
//!
//! What was added is on the disk before anybody is told, or it did not happen; what is damaged is set aside and never
//! lost. It must not know what stands in a file: who reads one says where it ends. All of it waits for the disk.
//! Everything that can fail on a disk while a file is in use goes through a [`Disk`], in whose place tests put one that
//! fails. Entry points: [`claim`], [`AppendFile`], [`set_aside`].

mod append_file;

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

pub use append_file::{AppendFile, Pen};

/// Why a file cannot be used, or not be written.
#[derive(Debug)]
pub enum Error {
    /// Another process has the folder.
    InUse {
        /// What it keeps there.
        what: &'static str,
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
            Error::InUse { what, lock } => {
                write!(f, "another gateway keeps its {what} there: it holds {}", lock.display())
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

/// What the system says of something that was tried with a file or folder.
pub fn told(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |error| Error::Io { doing, path, error }
}

/// What is done with the disk.
#[derive(Debug)]
pub enum Step<'a> {
    /// Writes all bytes where the file is at.
    Write(&'a [u8]),
    /// Waits until all that was written is on the disk.
    Sync,
    /// Cuts off what is behind a place.
    Cut(u64),
}

/// Does a step.
pub type Disk = Box<dyn FnMut(&mut File, Step<'_>) -> io::Result<()> + Send>;

/// The disk as it is.
pub fn disk() -> Disk {
    Box::new(|file, step| match step {
        Step::Write(bytes) => file.write_all(bytes),
        Step::Sync => file.sync_data(),
        Step::Cut(end) => file.set_len(end),
    })
}

/// Makes a folder, if need be, that its owner alone can read, and takes it for this process. It is held for as long as the
/// file that is returned lives; the system lets go of it when the process ends, however it does. `what` is kept there.
///
/// # Errors
/// The folder cannot be made, or another process has it.
pub fn claim(folder: &Path, what: &'static str) -> Result<File, Error> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(told("make", folder))?;
    let path = folder.join("lock");
    let options = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = options.map_err(told("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::InUse { what, lock: path }),
        Err(TryLockError::Error(error)) => Err(told("lock", &path)(error)),
    }
}

/// Gives a file a second name, with a time in it. It loses the first one when another takes its place: at no moment is there
/// none, which a crash would make an empty one.
///
/// # Errors
/// The system says no.
pub fn set_aside(path: &Path, time: u64) -> io::Result<PathBuf> {
    for number in 0..100 {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".corrupt-{}", time.saturating_add(number)));
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
