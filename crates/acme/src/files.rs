//! Files that are there whole or not at all, and that nobody else can read.
//!
//! A file is written beside its place, made durable, and moved there. Entry points: [`write()`], [`read`].

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;

/// Nothing that is kept here is longer.
const LONGEST: u64 = 1024 * 1024;
/// For files that hold secrets.
pub(crate) const SECRET: u32 = 0o600;
/// For other files; their folder keeps others out all the same.
pub(crate) const PLAIN: u32 = 0o644;
const FOLDER: u32 = 0o700;

/// Makes a folder, and those above it, which only its owner can enter.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(FOLDER).create(folder)?;
    let permissions = fs::metadata(folder)?.permissions();
    if permissions.mode() & 0o777 != FOLDER {
        fs::set_permissions(folder, PermissionsExt::from_mode(FOLDER))?;
    }
    Ok(())
}

/// The text of a file; `None` if there is no such file.
pub(crate) fn read(path: &Path) -> io::Result<Option<String>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = String::new();
    file.take(LONGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LONGEST {
        return Err(io::Error::other("it is longer than a MiB"));
    }
    Ok(Some(text))
}

/// Puts a file in its place, whole: whoever reads sees the old text or the new one.
pub(crate) fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let beside = beside(path);
    remove(&beside)?;
    write_new(&beside, text, mode)?;
    fs::rename(&beside, path)?;
    sync_parent(path)
}

/// Writes a file that is not there yet, and makes it durable.
pub(crate) fn write_new(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Puts a link in its place, whole.
pub(crate) fn link(path: &Path, target: &Path) -> io::Result<()> {
    if fs::read_link(path).is_ok_and(|there| there == target) {
        return Ok(());
    }
    let beside = beside(path);
    remove(&beside)?;
    symlink(target, &beside)?;
    fs::rename(&beside, path)?;
    sync_parent(path)
}

/// Makes durable which files a folder holds.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), sync_folder)
}

fn beside(path: &Path) -> std::path::PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    path.with_file_name(name)
}

/// What a crash may have left behind is in the way.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
