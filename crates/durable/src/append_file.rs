//! A file that is added to, and made anew when it has grown.
//!
//! Entry points: [`AppendFile::make`], [`AppendFile::append`], [`AppendFile::make_anew`].

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::{Disk, Step};

/// A file that is open for writing. It begins with a head that says where it ended when it was made.
pub struct AppendFile {
    disk: Disk,
    path: PathBuf,
    file: File,
    first_end: u64,
    /// What is behind this does not count.
    end: u64,
    /// Whether everything before `end` is on the disk and nothing is behind it, as far as is known.
    sound: bool,
}

impl fmt::Debug for AppendFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AppendFile({}, {} bytes)", self.path.display(), self.end)
    }
}

/// Writes at the end of a file.
pub struct Pen<'a> {
    disk: &'a mut Disk,
    file: &'a mut File,
    place: u64,
}

impl fmt::Debug for Pen<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pen(at {})", self.place)
    }
}

impl Pen<'_> {
    /// Where it writes next, in bytes from the begin of the file.
    pub fn place(&self) -> u64 {
        self.place
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// The system says no. A part may have been written.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        (self.disk)(self.file, Step::Write(bytes))?;
        self.place += bytes.len() as u64;
        Ok(())
    }
}

impl AppendFile {
    /// Goes on with a file that was read: when it was made it ended at `first_end`, and what counts now at `end`.
    pub fn go_on(disk: Disk, path: PathBuf, file: File, (first_end, end): (u64, u64)) -> AppendFile {
        AppendFile { disk, path, file, first_end, end, sound: true }
    }

    /// Makes a file in the place of what has its name. `head` makes the head of a file that ends somewhere, always of the
    /// same length; `fill` writes what stands behind it.
    ///
    /// # Errors
    /// The system says no: then what has the name still has it.
    pub fn make(
        mut disk: Disk,
        path: PathBuf,
        head: impl Fn(u64) -> Vec<u8>,
        fill: impl FnOnce(&mut Pen<'_>) -> io::Result<()>,
    ) -> io::Result<AppendFile> {
        let (file, end) = make_beside(&mut disk, &path, head, fill)?;
        sync_folder(&path)?;
        Ok(AppendFile { disk, path, file, first_end: end, end, sound: true })
    }

    /// Makes this one anew.
    ///
    /// # Errors
    /// The system says no: then this one stays as it is, or it is not certain which of them a crash would leave, and it is
    /// not sound any more.
    pub fn make_anew(
        &mut self,
        head: impl Fn(u64) -> Vec<u8>,
        fill: impl FnOnce(&mut Pen<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let (file, end) = make_beside(&mut self.disk, &self.path, head, fill)?;
        (self.file, self.first_end, self.end) = (file, end, end);
        // The new file has the name now. If that is not durable yet, a crash may bring the old one back.
        self.sound = false;
        sync_folder(&self.path)?;
        self.sound = true;
        Ok(())
    }

    /// Adds what `write` writes, and waits until it is on the disk.
    ///
    /// # Errors
    /// The system says no: then nothing was added, and the file is as it was or not sound any more.
    pub fn append(&mut self, write: impl FnOnce(&mut Pen<'_>) -> io::Result<()>) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.end))?;
        let mut pen = Pen { disk: &mut self.disk, file: &mut self.file, place: self.end };
        let written = write(&mut pen).map(|()| pen.place);
        let end = match written {
            Ok(end) => end,
            Err(error) => {
                self.sound = self.cut().is_ok();
                return Err(error);
            }
        };
        if let Err(error) = (self.disk)(&mut self.file, Step::Sync) {
            // The system may forget what it could not write, and say later that all is well.
            self.sound = false;
            let _ = self.cut();
            return Err(error);
        }
        self.end = end;
        Ok(())
    }

    /// Cuts off what does not count, so that it cannot be taken for a part of what is added.
    ///
    /// # Errors
    /// The system says no.
    pub fn cut(&mut self) -> io::Result<()> {
        (self.disk)(&mut self.file, Step::Cut(self.end))?;
        (self.disk)(&mut self.file, Step::Sync)
    }

    /// Whether it can be added to. If not, it has to be made anew first.
    pub fn is_sound(&self) -> bool {
        self.sound
    }

    /// Whether it has grown by so many bytes beyond twice what it was when it was made.
    pub fn has_grown(&self, slack: u64) -> bool {
        self.end > self.first_end.saturating_mul(2).saturating_add(slack)
    }

    /// As if it had been made now: it is not asked so soon again whether it has grown.
    pub fn grow_on(&mut self) {
        self.first_end = self.end;
    }
}

/// Makes a file beside its place, makes it durable, and moves it there. Says where it ends.
fn make_beside(
    disk: &mut Disk,
    path: &Path,
    head: impl Fn(u64) -> Vec<u8>,
    fill: impl FnOnce(&mut Pen<'_>) -> io::Result<()>,
) -> io::Result<(File, u64)> {
    let beside = path.with_extension("new");
    // A crash may have left one behind.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&beside)?;
    let made = write_whole(disk, &mut file, head, fill).and_then(|end| {
        fs::rename(&beside, path)?;
        Ok(end)
    });
    if made.is_err() {
        // It holds room that may be what is missing. What failed before says more than this could.
        let _ = fs::remove_file(&beside);
    }
    Ok((file, made?))
}

fn write_whole(
    disk: &mut Disk,
    file: &mut File,
    head: impl Fn(u64) -> Vec<u8>,
    fill: impl FnOnce(&mut Pen<'_>) -> io::Result<()>,
) -> io::Result<u64> {
    let mut pen = Pen { disk: &mut *disk, file: &mut *file, place: 0 };
    // Where it ends is known at the end.
    pen.write(&vec![0; head(0).len()])?;
    fill(&mut pen)?;
    let end = pen.place;
    file.seek(SeekFrom::Start(0))?;
    disk(file, Step::Write(&head(end)))?;
    disk(file, Step::Sync)?;
    Ok(end)
}

/// Makes durable which file has the name.
fn sync_folder(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}
