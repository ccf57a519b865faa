//! Which files an `include` means.
//!
//! It looks for names only; reading and joining is for others. Entry points: [`expand`], [`tidy`],
//! [`is_configuration`].

use std::io;
use std::path::{Component, Path, PathBuf};

use document::Environment;

/// The files that a path or pattern means, in the order of their names. `folder` is where it begins.
///
/// # Errors
/// In words for a message: the folder of a pattern cannot be read, or `*` stands where it cannot.
pub(crate) fn expand(
    pattern: &str,
    folder: &Path,
    environment: &dyn Environment,
) -> Result<Vec<PathBuf>, String> {
    let path = tidy(&folder.join(pattern));
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("").to_owned();
    let parent = path.parent().unwrap_or(Path::new("")).to_path_buf();
    if !pattern.contains('*') {
        return Ok(vec![path]);
    }
    if Path::new(pattern).parent().is_some_and(|parent| parent.to_string_lossy().contains('*')) {
        return Err("`*` can stand only in the last part of a path".to_owned());
    }
    let names = environment.list(&parent).map_err(|error| {
        format!("the folder `{}` cannot be read: {}", parent.display(), document::reason(&error))
    })?;
    // Hidden files are leftovers of editors and mounts.
    let fits = |candidate: &&String| !candidate.starts_with('.') && matches(&name, candidate);
    Ok(names.iter().filter(fits).map(|name| parent.join(name)).collect())
}

/// The configuration files of a folder, in the order of their names.
///
/// # Errors
/// What the system says; `NotADirectory` for a file.
pub(crate) fn of_folder(folder: &Path, environment: &dyn Environment) -> io::Result<Vec<PathBuf>> {
    let names = environment.list(folder)?;
    Ok(names.iter().filter(|name| is_configuration(name)).map(|name| tidy(&folder.join(name))).collect())
}

/// Whether a file of a folder belongs to the configuration.
fn is_configuration(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    !name.starts_with('.') && [".yaml", ".yml", ".json"].iter().any(|end| name.ends_with(end))
}

/// The same path without `.` and, as far as it goes, without `..`: one file has one path.
pub(crate) fn tidy(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(out.components().next_back(), Some(Component::Normal(_))) => {
                out.pop();
            }
            _ => out.push(part),
        }
    }
    out
}

/// Whether a name fits a pattern in which `*` stands for any text.
///
/// On a mismatch only the last `*` is given one more byte: the work grows with the product of the lengths.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p, n));
            p += 1;
        } else if pattern.get(p) == Some(&name[n]) {
            (p, n) = (p + 1, n + 1);
        } else if let Some((at, taken)) = star {
            star = Some((at, taken + 1));
            (p, n) = (at + 1, taken + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{is_configuration, matches, tidy};

    #[test]
    fn patterns() {
        for (pattern, name, fits) in [
            ("*.yaml", "a.yaml", true),
            ("*.yaml", ".yaml", true),
            ("*.yaml", "a.yml", false),
            ("a*b*c", "a1b2bc", true),
            ("a*b*c", "a1b2", false),
            ("*", "", true),
            ("a", "a", true),
            ("a", "ab", false),
            ("**", "ab", true),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
        assert!(is_configuration("a.yaml") && is_configuration("a.yml"));
        assert!(!is_configuration(".a.yaml") && !is_configuration("a.yaml~") && !is_configuration("yaml"));
    }

    #[test]
    fn one_file_has_one_path() {
        for (path, wanted) in [
            ("a/./b", "a/b"),
            ("a/../b", "b"),
            ("../a", "../a"),
            ("./a", "a"),
            ("/a/../../b", "/../b"),
            ("a/b/../..", ""),
        ] {
            assert_eq!(tidy(Path::new(path)), Path::new(wanted), "{path}");
        }
    }
}
