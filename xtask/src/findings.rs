//! The tree that is checked, and what a rule says when something is wrong.
//!
//! A [`Tree`] is a list of text files with their contents, so that a rule can be tested on a tree made up
//! in memory. It knows nothing of any rule. Entry point: [`Tree::of_this_repository`].

use std::fmt;
use std::path::{Path, PathBuf};

/// One breach of a rule: where it is and what to do about it.
#[derive(Debug)]
pub(crate) struct Finding {
    /// Relative to the root of the repository.
    pub(crate) path: String,
    /// Counted from 1; 0 where the whole file is meant.
    pub(crate) line: usize,
    /// What is wrong and what to do, in one sentence each.
    pub(crate) message: String,
}

impl Finding {
    pub(crate) fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(out, "{}: {}", self.path, self.message),
            line => write!(out, "{}:{line}: {}", self.path, self.message),
        }
    }
}

/// A text file of the tree.
pub(crate) struct File {
    /// Relative to the root, with forward slashes.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Every text file of the repository that is ours.
pub(crate) struct Tree {
    root: PathBuf,
    files: Vec<File>,
    /// Paths of everything, folders and files that are not text included: links may point at them.
    all: Vec<String>,
}

/// Folders that hold what others made: build output, corpora, virtual environments.
const SKIPPED: &[&str] = &["target", ".git", ".venv", "__pycache__", "node_modules", "corpus", "artifacts"];

const TEXT: &[&str] = &["rs", "md", "toml"];

impl Tree {
    /// The repository this program was built in.
    pub(crate) fn of_this_repository() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).to_path_buf();
        let mut tree = Self { root: root.clone(), files: Vec::new(), all: Vec::new() };
        tree.walk(&root, "");
        tree.files.sort_by(|a, b| a.path.cmp(&b.path));
        tree
    }

    /// A tree made up in memory.
    #[cfg(test)]
    pub(crate) fn made_of(files: &[(&str, &str)]) -> Self {
        let mut tree = Self { root: PathBuf::new(), files: Vec::new(), all: Vec::new() };
        for (path, text) in files {
            tree.all.extend(path.match_indices('/').map(|(at, _)| path[..at].to_owned()));
            tree.all.push((*path).to_owned());
            tree.files.push(File { path: (*path).to_owned(), text: (*text).to_owned() });
        }
        tree
    }

    fn walk(&mut self, folder: &Path, prefix: &str) {
        let Ok(entries) = std::fs::read_dir(folder) else { return };
        for entry in entries.flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                if !SKIPPED.contains(&name.as_str()) {
                    self.walk(&entry.path(), &path);
                    self.all.push(path);
                }
                continue;
            }
            if extension(&name).is_some_and(|end| TEXT.contains(&end))
                && let Ok(text) = std::fs::read_to_string(entry.path())
            {
                self.files.push(File { path: path.clone(), text });
            }
            self.all.push(path);
        }
    }

    /// Where the tree lies on disk.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn files(&self) -> &[File] {
        &self.files
    }

    /// Files whose name ends in `.{end}`.
    pub(crate) fn with_extension<'a>(&'a self, end: &'a str) -> impl Iterator<Item = &'a File> {
        self.files.iter().filter(move |file| extension(&file.path) == Some(end))
    }

    pub(crate) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Whether a file or folder of that path exists.
    pub(crate) fn exists(&self, path: &str) -> bool {
        path.is_empty() || self.all.iter().any(|known| known == path)
    }
}

fn extension(path: &str) -> Option<&str> {
    Path::new(path).extension().and_then(|end| end.to_str())
}
