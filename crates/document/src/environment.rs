//! What a configuration takes from outside its text: variables and files.
//!
//! Behind a trait, so that reading a configuration can be tested without a disk. Entry points:
//! [`Environment`], [`SystemEnvironment`], [`MemoryEnvironment`].

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

/// The largest configuration file, in bytes.
pub const MAX_FILE: u64 = 64 << 20;

/// The largest file of a `${file:…}`, in bytes.
pub const MAX_SECRET: u64 = 1 << 20;

/// The largest binary file that a value names, in bytes. The largest in use are databases of addresses.
pub const MAX_BINARY: u64 = 256 << 20;

/// Where variables and files come from.
pub trait Environment {
    /// The value of a variable; `None` when it is not set or is not UTF-8.
    fn var(&self, name: &str) -> Option<String>;

    /// The bytes of a file of at most `limit` bytes.
    ///
    /// # Errors
    /// What the system says; `FileTooLarge` beyond the limit.
    fn read_bytes(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>>;

    /// The text of a file of at most `limit` bytes.
    ///
    /// # Errors
    /// Those of [`Environment::read_bytes`]; `InvalidData` for what is not UTF-8.
    fn read(&self, path: &Path, limit: u64) -> io::Result<String> {
        String::from_utf8(self.read_bytes(path, limit)?).map_err(|_| ErrorKind::InvalidData.into())
    }

    /// The names of the files in a folder, sorted.
    ///
    /// # Errors
    /// What the system says; `NotADirectory` for a file.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;
}

/// What is wrong with a file, in words for a message.
pub fn reason(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "it does not exist".to_owned(),
        ErrorKind::PermissionDenied => "permission denied".to_owned(),
        ErrorKind::FileTooLarge => "it is too large".to_owned(),
        ErrorKind::InvalidData => "it is not UTF-8 text".to_owned(),
        ErrorKind::IsADirectory => "it is a folder".to_owned(),
        ErrorKind::InvalidInput => "it is not a regular file".to_owned(),
        _ => error.to_string(),
    }
}

/// The environment of this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEnvironment;

impl Environment for SystemEnvironment {
    fn var(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn read_bytes(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        // Before it is opened: opening a named pipe would wait for a writer.
        let kind = fs::metadata(path)?;
        if kind.is_dir() {
            return Err(ErrorKind::IsADirectory.into());
        }
        if !kind.is_file() {
            return Err(ErrorKind::InvalidInput.into());
        }
        let mut bytes = Vec::new();
        fs::File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            return Err(ErrorKind::FileTooLarge.into());
        }
        Ok(bytes)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        // The folder of a bare file name is empty, and means the current one.
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            // Follows links: Kubernetes mounts every file as one. What cannot be read is listed too, so that
            // reading it says so: a file that is silently left out is a rule that silently does not hold.
            let folder = fs::metadata(entry.path()).is_ok_and(|kind| kind.is_dir());
            if !folder {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        names.sort();
        Ok(names)
    }
}

/// Variables and files in memory, for tests and examples.
#[derive(Clone, Debug, Default)]
pub struct MemoryEnvironment {
    vars: BTreeMap<String, String>,
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl MemoryEnvironment {
    /// Without any.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a variable.
    #[must_use]
    pub fn with_var(mut self, name: &str, value: &str) -> Self {
        self.vars.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Adds a file; its folders exist from then on.
    #[must_use]
    pub fn with_file(self, path: impl Into<PathBuf>, text: &str) -> Self {
        self.with_bytes(path, text.as_bytes())
    }

    /// Adds a file that need not be text.
    #[must_use]
    pub fn with_bytes(mut self, path: impl Into<PathBuf>, bytes: &[u8]) -> Self {
        self.files.insert(path.into(), bytes.to_vec());
        self
    }
}

impl Environment for MemoryEnvironment {
    fn var(&self, name: &str) -> Option<String> {
        self.vars.get(name).cloned()
    }

    fn read_bytes(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let bytes = self.files.get(path).ok_or(ErrorKind::NotFound)?;
        if bytes.len() as u64 > limit { Err(ErrorKind::FileTooLarge.into()) } else { Ok(bytes.clone()) }
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        if self.files.contains_key(folder) {
            return Err(ErrorKind::NotADirectory.into());
        }
        let inside = |path: &&PathBuf| path.parent() == Some(folder);
        let name = |path: &PathBuf| Some(path.file_name()?.to_str()?.to_owned());
        let names: Vec<String> = self.files.keys().filter(inside).filter_map(name).collect();
        if names.is_empty() { Err(ErrorKind::NotFound.into()) } else { Ok(names) }
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::path::Path;

    use super::{Environment, MemoryEnvironment, SystemEnvironment, reason};

    #[test]
    fn the_system_refuses_what_is_not_a_small_text_file() {
        let kind =
            |path: &str| SystemEnvironment.read(Path::new(path), 1 << 20).map_err(|error| error.kind());
        assert_eq!(kind("/"), Err(ErrorKind::IsADirectory));
        assert_eq!(kind("/dev/zero"), Err(ErrorKind::InvalidInput));
        assert_eq!(kind("/no/such/file"), Err(ErrorKind::NotFound));
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let manifest = here.join("Cargo.toml");
        assert!(SystemEnvironment.read(&manifest, 1 << 20).is_ok());
        let error = SystemEnvironment.read(&manifest, 10).unwrap_err();
        assert_eq!(reason(&error), "it is too large");
        assert_eq!(SystemEnvironment.list(here).unwrap(), ["Cargo.toml"]);
        assert!(SystemEnvironment.list(&manifest).is_err());
    }

    #[test]
    fn memory_behaves_like_the_system() {
        let memory = MemoryEnvironment::new().with_file("a/b.yaml", "text").with_var("X", "1");
        assert_eq!(memory.list(Path::new("a")).unwrap(), ["b.yaml"]);
        assert!(memory.list(Path::new("a/b.yaml")).is_err() && memory.list(Path::new("c")).is_err());
        assert_eq!(memory.read(Path::new("a/b.yaml"), 4).unwrap(), "text");
        assert!(memory.read(Path::new("a/b.yaml"), 3).is_err());
        let memory = memory.with_bytes("c", &[0xff]);
        assert_eq!(memory.read_bytes(Path::new("c"), 1).unwrap(), [0xff]);
        assert_eq!(memory.read(Path::new("c"), 1).unwrap_err().kind(), ErrorKind::InvalidData);
        assert_eq!((memory.var("X"), memory.var("Y")), (Some("1".to_owned()), None));
    }
}
