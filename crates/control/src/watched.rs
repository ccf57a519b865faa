//! Which files a configuration was read from, and whether they have changed since.
//!
//! They are looked at every now and then rather than watched by the system: that works on every file system, and
//! through the symbolic links by which Kubernetes swaps whole folders, and a file that was missing is noticed when
//! it appears. Looking costs one `stat` for each file.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use document::{Environment, SystemEnvironment};

/// What tells one state of a file or folder from another; `None` while there is none.
type Stamp = Option<(u64, u64, u64, (i64, i64), (i64, i64))>;

fn stamp(path: &Path) -> Stamp {
    let metadata = std::fs::metadata(path).ok()?;
    let modified = (metadata.mtime(), metadata.mtime_nsec());
    let changed = (metadata.ctime(), metadata.ctime_nsec());
    Some((metadata.dev(), metadata.ino(), metadata.size(), modified, changed))
}

/// The environment of the process, and a list of what was asked of it.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    seen: RefCell<BTreeMap<PathBuf, Stamp>>,
}

impl Recorder {
    pub(crate) fn into_watched(self) -> Watched {
        Watched { seen: self.seen.into_inner() }
    }

    /// Before it is read: a change in between is then noticed later, and not missed.
    fn note(&self, path: &Path) {
        self.seen.borrow_mut().entry(path.to_path_buf()).or_insert_with(|| stamp(path));
    }
}

impl Environment for Recorder {
    fn var(&self, name: &str) -> Option<String> {
        SystemEnvironment.var(name)
    }

    fn read_bytes(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        self.note(path);
        SystemEnvironment.read_bytes(path, limit)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.note(folder);
        SystemEnvironment.list(folder)
    }
}

/// Files and folders, and the state in which they were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    seen: BTreeMap<PathBuf, Stamp>,
}

impl Watched {
    /// The same files and folders in the state in which they are now.
    pub(crate) fn look(&self) -> Watched {
        Watched { seen: self.seen.keys().map(|path| (path.clone(), stamp(path))).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_files_folders_and_links_are_seen() {
        let folder = std::env::temp_dir().join(format!("gateward-watched-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("one")).unwrap();
        std::fs::create_dir_all(folder.join("two")).unwrap();
        let (file, link) = (folder.join("one/a.yaml"), folder.join("current"));
        std::fs::write(&file, "a").unwrap();
        std::fs::write(folder.join("two/a.yaml"), "a").unwrap();
        std::os::unix::fs::symlink("one", &link).unwrap();
        let recorder = Recorder::default();
        recorder.read(&link.join("a.yaml"), 100).unwrap();
        recorder.read(&folder.join("missing"), 100).unwrap_err();
        recorder.list(&folder.join("two")).unwrap();
        recorder.list(&folder.join("conf.d")).unwrap_err();
        let mut before = recorder.into_watched();
        assert_eq!(before, before.look());
        let mut changed = |what: &str| {
            let now = before.look();
            assert_ne!(before, now, "{what}");
            before = now;
        };
        std::fs::write(&file, "ab").unwrap();
        changed("content");
        std::fs::write(folder.join("missing"), "").unwrap();
        changed("appears");
        std::fs::write(folder.join("two/b.yaml"), "").unwrap();
        changed("a new file in a folder");
        std::fs::create_dir(folder.join("conf.d")).unwrap();
        changed("a folder that was missing");
        std::fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink("two", &link).unwrap();
        changed("a link leads elsewhere");
        std::fs::remove_dir_all(&folder).unwrap();
        changed("gone");
    }
}
