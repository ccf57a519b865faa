//! The file of a ledger: adding to it, making it anew, and what is left when the disk fails.
//!
//! It must not know when that happens. Everything that can fail on a disk goes through [`Disk`], in whose place tests put
//! one that fails. Entry points: [`JournalFile::make`], [`JournalFile::append`], [`JournalFile::make_anew`].

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use crate::journal::{Contents, Frame, HEAD, head};
use crate::{Bounds, Counter, Counters};

/// What is done with the disk.
#[derive(Debug)]
pub(super) enum Step<'a> {
    /// Writes all bytes where the file is at.
    Write(&'a [u8]),
    /// Waits until all that was written is on the disk.
    Sync,
    /// Cuts off what is behind a place.
    Cut(u64),
}

/// Does a step.
pub(super) type Disk = Box<dyn FnMut(&mut File, Step<'_>) -> io::Result<()> + Send>;

/// The disk as it is.
pub(super) fn disk() -> Disk {
    Box::new(|file, step| match step {
        Step::Write(bytes) => file.write_all(bytes),
        Step::Sync => file.sync_data(),
        Step::Cut(end) => file.set_len(end),
    })
}

/// A file that is open for writing.
pub(super) struct JournalFile {
    disk: Disk,
    file: File,
    frame: Frame,
    first_end: u64,
    /// What is behind this does not count.
    end: u64,
    /// Whether everything before `end` is on the disk and nothing is behind it, as far as is known.
    sound: bool,
}

impl fmt::Debug for JournalFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JournalFile({:?}, {} bytes)", self.file, self.end)
    }
}

impl JournalFile {
    /// Goes on with a file that was read.
    pub(super) fn go_on(disk: Disk, file: File, contents: &Contents) -> JournalFile {
        let Contents { first_end, end, .. } = *contents;
        JournalFile { disk, file, frame: Frame::default(), first_end, end, sound: true }
    }

    /// Makes a file with all counters, in the place of what has its name.
    pub(super) fn make(mut disk: Disk, path: &Path, counters: &Counters) -> io::Result<JournalFile> {
        let mut frame = Frame::default();
        let (file, end) = make_file(&mut disk, &mut frame, path, counters)?;
        sync_folder(path)?;
        Ok(JournalFile { disk, file, frame, first_end: end, end, sound: true })
    }

    /// The same, for this one. If it fails, this one stays as it is.
    pub(super) fn make_anew(&mut self, path: &Path, counters: &Counters) -> io::Result<()> {
        let made = make_file(&mut self.disk, &mut self.frame, path, counters);
        let (file, end) = made?;
        (self.file, self.first_end, self.end) = (file, end, end);
        // The new file has the name now. If that is not durable yet, a crash may bring the old one back.
        self.sound = false;
        sync_folder(path)?;
        self.sound = true;
        Ok(())
    }

    /// Adds counters. If it fails, the file is as it was, or not sound any more.
    pub(super) fn append(&mut self, counters: &[Arc<Counter>]) -> io::Result<()> {
        if counters.is_empty() {
            return Ok(());
        }
        let written = self.try_append(counters);
        match &written {
            Ok(end) => self.end = *end,
            Err(Failed::Write(_)) => self.sound = self.cut().is_ok(),
            // The system may forget what it could not write, and say later that all is well.
            Err(Failed::Sync(_)) => self.sound = false,
        }
        written.map(drop).map_err(|(Failed::Write(error) | Failed::Sync(error))| error)
    }

    fn try_append(&mut self, counters: &[Arc<Counter>]) -> Result<u64, Failed> {
        self.file.seek(SeekFrom::Start(self.end)).map_err(Failed::Write)?;
        self.frame.clear();
        let mut end = self.end;
        for counter in counters {
            self.frame.add(counter.quota(), counter.key(), counter.usage());
            if self.frame.is_full() {
                end = write_frame(&mut self.disk, &mut self.file, &mut self.frame, end)
                    .map_err(Failed::Write)?;
            }
        }
        end = write_frame(&mut self.disk, &mut self.file, &mut self.frame, end).map_err(Failed::Write)?;
        (self.disk)(&mut self.file, Step::Sync).map_err(Failed::Sync)?;
        Ok(end)
    }

    /// Cuts off what does not count, so that it cannot be taken for a part of what is added.
    pub(super) fn cut(&mut self) -> io::Result<()> {
        (self.disk)(&mut self.file, Step::Cut(self.end))?;
        (self.disk)(&mut self.file, Step::Sync)
    }

    /// Whether it can be added to.
    pub(super) fn is_sound(&self) -> bool {
        self.sound
    }

    /// How long it was when it was made, in bytes.
    pub(super) fn first_end(&self) -> u64 {
        self.first_end
    }

    /// How long it is, in bytes.
    pub(super) fn end(&self) -> u64 {
        self.end
    }
}

/// What went wrong while adding.
enum Failed {
    Write(io::Error),
    Sync(io::Error),
}

/// Makes a file beside its place, with all counters, makes it durable, and moves it there. Says how long it is.
fn make_file(
    disk: &mut Disk,
    frame: &mut Frame,
    path: &Path,
    counters: &Counters,
) -> io::Result<(File, u64)> {
    let beside = path.with_extension("new");
    // A crash may have left one behind.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&beside)?;
    let made = fill(disk, frame, &mut file, counters).and_then(|end| {
        fs::rename(&beside, path)?;
        Ok(end)
    });
    if made.is_err() {
        // It holds room that may be what is missing. What failed before says more than this could.
        let _ = fs::remove_file(&beside);
    }
    Ok((file, made?))
}

fn fill(disk: &mut Disk, frame: &mut Frame, file: &mut File, counters: &Counters) -> io::Result<u64> {
    let mut end = HEAD as u64;
    frame.clear();
    disk(file, Step::Write(&[0; HEAD]))?;
    let mut written = Ok(end);
    // What has used up nothing in no period needs no record.
    counters.each(|counter| {
        let usage = counter.usage();
        if written.is_err() || usage.period == Bounds::default() {
            return;
        }
        frame.add(counter.quota(), counter.key(), usage);
        if frame.is_full() {
            written = write_frame(disk, file, frame, end);
            end = *written.as_ref().unwrap_or(&end);
        }
    });
    written?;
    end = write_frame(disk, file, frame, end)?;
    file.seek(SeekFrom::Start(0))?;
    disk(file, Step::Write(&head(end)))?;
    disk(file, Step::Sync)?;
    Ok(end)
}

/// Writes a frame where the file is at, `place`, unless it is empty, and says where it ends.
fn write_frame(disk: &mut Disk, file: &mut File, frame: &mut Frame, place: u64) -> io::Result<u64> {
    let bytes = frame.close(place);
    let end = place + bytes.len() as u64;
    if !bytes.is_empty() {
        disk(file, Step::Write(bytes))?;
    }
    frame.clear();
    Ok(end)
}

/// Makes durable which file has the name.
fn sync_folder(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}
