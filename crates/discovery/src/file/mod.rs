//! Endpoints from a file in YAML or JSON, which other programs keep current.
//!
//! Owns when the file is read: it is looked at every now and then, as the files of the configuration are and for the
//! same reasons: that works on every file system and through links that are swapped. What stands in it is the matter
//! of `parse`; what it is used for is not known here. Entry point: [`watch`].

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::Endpoint;

mod parse;

/// How often the file is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// A file must have been left alone for so long before it is read: half a list is a list, too. And what is written
/// after that has another time, however coarse the clock of the file system is.
const SETTLE: Duration = Duration::from_millis(100);
/// How often to wait for that at most.
const MOST_SETTLING: usize = 20;
/// The largest file, in bytes.
const LARGEST: u64 = 1 << 20;

/// What tells one state of a file from another: device, inode, size, and when content and file were changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp(u64, u64, u64, (i64, i64), (i64, i64));

/// What stands in a file, or in words the mistake in it.
type Content = Result<Arc<[Endpoint]>, String>;

/// Keeps looking at the file at `path`. `changed` is called with each new set of endpoints, also with an empty one if
/// that is what stands there.
///
/// A file that is missing, cannot be read or has a mistake leaves the last endpoints in use. `report` is told of
/// that, once for each change of the file, and of recovery.
pub async fn watch(path: Arc<Path>, mut changed: impl AsyncFnMut(Arc<[Endpoint]>), report: impl Fn(String)) {
    let mut last: Option<Arc<[Endpoint]>> = None;
    let mut failure: Option<String> = None;
    // The state in which the file was read.
    let mut read: Option<Stamp> = None;
    loop {
        let unusable = match look(&path, read).await {
            Ok(None) => None,
            Ok(Some((stamp, content))) => {
                read = Some(stamp);
                match content {
                    Ok(endpoints) => {
                        if failure.take().is_some() {
                            report(format!("{} can be used again", path.display()));
                        }
                        if last.as_ref() != Some(&endpoints) {
                            last = Some(Arc::clone(&endpoints));
                            changed(endpoints).await;
                        }
                        None
                    }
                    Err(mistake) => Some(mistake),
                }
            }
            // It is tried again each time, and told once.
            Err(why) => {
                read = None;
                (failure.as_ref() != Some(&why)).then_some(why)
            }
        };
        if let Some(why) = unusable {
            let kept = if last.is_some() {
                "the last endpoints stay in use"
            } else {
                "requests to the service get 503 meanwhile"
            };
            report(format!("{} cannot be used: {why}; {kept}", path.display()));
            failure = Some(why);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The state and the content of the file, if its state is another than `before`.
///
/// # Errors
/// In words: why it cannot be read.
async fn look(path: &Arc<Path>, before: Option<Stamp>) -> Result<Option<(Stamp, Content)>, String> {
    let stamp = || {
        let path = Arc::clone(path);
        apart(move || stamp(&std::fs::metadata(path)?))
    };
    let mut now = stamp().await?;
    if Some(now) == before {
        return Ok(None);
    }
    for _ in 0..MOST_SETTLING {
        tokio::time::sleep(SETTLE).await;
        let again = stamp().await?;
        if again == now {
            break;
        }
        now = again;
    }
    let path = Arc::clone(path);
    let content = apart(move || content(&path, now)).await?;
    Ok(content.map(|content| (now, content)))
}

/// On a thread of its own: a file system that hangs must not stop everything else.
async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, String> {
    let outcome =
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)));
    outcome.map_err(|error| match error.kind() {
        ErrorKind::NotFound => "there is no such file: write it, or correct the path".to_owned(),
        ErrorKind::PermissionDenied => {
            "permission denied: let the user that the gateway runs as read it".to_owned()
        }
        _ => error.to_string(),
    })
}

fn stamp(metadata: &Metadata) -> io::Result<Stamp> {
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a file: correct the path"));
    }
    if metadata.size() > LARGEST {
        return Err(too_large());
    }
    let modified = (metadata.mtime(), metadata.mtime_nsec());
    let changed = (metadata.ctime(), metadata.ctime_nsec());
    Ok(Stamp(metadata.dev(), metadata.ino(), metadata.size(), modified, changed))
}

fn too_large() -> io::Error {
    io::Error::other("it is larger than 1 MiB: remove what is no endpoint")
}

/// `None` if the file has another state than `expected`: it is just being changed, and looked at again later.
fn content(path: &Path, expected: Stamp) -> io::Result<Option<Content>> {
    let mut file = File::open(path)?;
    if stamp(&file.metadata()?)? != expected {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    (&mut file).take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(too_large()); // a file that does not tell its size
    }
    let same = stamp(&file.metadata()?)? == expected;
    Ok(same.then(|| parse::parse(&bytes)))
}

#[cfg(test)]
mod tests;
